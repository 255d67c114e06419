/**
 * The log sender.
 *
 * @module
 */
import { type Bytes, latin1 } from "../bytes.ts";
import {
  close,
  EAGAIN,
  isSeekable,
  read,
  seek,
  write,
} from "../sys/descriptors.ts";
import { SysError } from "../sys/errors.ts";
import {
  Poller,
  READABLE,
  Readiness,
  WRITABLE,
  yieldToEventLoop,
} from "../sys/poll.ts";
import { closeWrite, unacknowledgedBytes } from "../sys/sockets.ts";
import { complaint, LONGEST_ANSWER } from "./acknowledgement.ts";
import {
  connectToOneOf,
  dial,
  type Dialled,
  type DialManner,
  type DialOptions,
  type RemoteEnd,
  Unreachable,
  waitOn,
} from "./dialling.ts";
import { LogferryError } from "../logferry_error.ts";
import { TROUBLE } from "../program.ts";
import { Messages, type Verbosity } from "./messages.ts";
import { noteFailure, noteSuccess, type Server } from "./servers.ts";
import type { TlsConnection } from "./tls.ts";

const BUFFER = 256 * 1024;
/** How many bytes to send before the event loop gets a turn. */
const QUANTUM = 4 * BUFFER;

/** For {@linkcode Source.waits}: the next read returns at once. */
export const NOW = -1;
/**
 * For {@linkcode Source.waits}: the source calls `wake` before a read makes
 * sense.
 */
export const LATER = -2;

/** Where the bytes that are sent come from. */
export interface Source {
  /**
   * The descriptor to wait for before the next read, {@linkcode NOW}, or
   * {@linkcode LATER}.
   */
  readonly waits: number;

  /**
   * Called before the first read.
   *
   * @param wake The function that the source calls when there is something to
   * read after {@linkcode LATER}
   */
  attach?(wake: () => void): void;

  /**
   * Reads what has arrived.
   *
   * @param buffer Where the bytes go
   * @returns How many bytes; 0 at the end, -1 when nothing has arrived yet
   * @throws When it can't be read
   */
  read(buffer: Bytes): number;

  /** Goes back to the beginning; missing when the source can't. */
  rewind?(): void;
}

/**
 * Makes a source of a descriptor.
 *
 * @param fd The descriptor; messages call it standard input
 */
export function sourceOf(fd: number): Source {
  const start = isSeekable(fd) ? seek(fd, 0, "here") : undefined;
  return {
    waits: fd,
    ...(start !== undefined && { rewind: () => void seek(fd, start) }),
    read(buffer) {
      const n = read(fd, buffer);
      if (n >= 0) return n;
      if (n === -EAGAIN) return -1;
      const cause = new SysError(-n);
      throw new LogferryError(
        `unable to read standard input: ${cause.message}`,
        {
          cause,
        },
      );
    },
  };
}

/** The names of the files that TLS needs, which are in PEM. */
export interface TlsFiles {
  /** The authorities to trust (`-C`); by default those of this machine. */
  authorities: string | undefined;
  /** The key of this client (`-k`). */
  key: string | undefined;
  /** The certificate of this client (`-e`). */
  certificate: string | undefined;
}

/** The contents of the files that TLS needs: texts in PEM. */
export interface TlsTexts {
  /** The authorities to trust in addition to those that the runtime trusts. */
  readonly caCerts: string[];
  /** The key of this client. */
  readonly key?: string;
  /** The certificate of this client. */
  readonly cert?: string;
}

/** Where to send, and how. */
export interface TransmitOptions extends DialManner {
  /** The log servers; the bytes are sent to one of them. */
  servers: readonly Server[];
  /** What TLS needs (`-z`); `undefined` to send without TLS. */
  tls: TlsFiles | TlsTexts | undefined;
  /** Whether it is a failure if not every byte is acknowledged (`-a`). */
  acknowledge: boolean;
}

/** The options of `socklog-tcp send`. */
export interface SendOptions extends TransmitOptions {
  /** The files for TLS (`-z`); `undefined` to send without TLS. */
  tls: TlsFiles | undefined;
  /** Which messages are written. */
  verbosity: Verbosity;
}

/** A sender's input, its messages, and what may end it. */
export interface SenderIo {
  /** Where the bytes that are sent come from. */
  readonly source: Source;
  /** The descriptor that messages go to. */
  readonly errors: number;
  /** Ends the sender when it aborts. */
  readonly signal?: AbortSignal;
  /** Called with the reason of a failure, also when `-q` forbids messages. */
  onFailure?(why: string): void;
}

/**
 * Sends to a log server. Meanwhile the event loop turns; afterwards nothing is
 * left open.
 *
 * @param options Where to send, and how
 * @param io The input, and where messages go
 * @returns The exit code: 0 when all bytes have arrived, as far as is known;
 * 111 after a failure, for which a message was written
 * @throws What the source or the signal throws
 */
export async function send(
  options: SendOptions,
  io: SenderIo,
): Promise<number> {
  const messages = new Messages("socklog-tcp", options.verbosity, io.errors);
  try {
    await transmit(options, io, messages);
    return 0;
  } catch (error) {
    if (!(error instanceof LogferryError)) throw error;
    io.onFailure?.(error.message);
    if (!(error instanceof Unreachable)) {
      messages.error(`fatal: ${error.message}`);
    }
    await messages.flushPatiently();
    return TROUBLE;
  }
}

/**
 * Sends to one server after the other, until one has received everything. When
 * the source can't be rewound, only the first server that answers is tried.
 *
 * @param options Where to send, and how
 * @param io The input, and what may end the sender
 * @param messages Takes the messages
 * @throws {LogferryError} When not all bytes have arrived, as far as is known
 * @throws What the source or the signal throws
 */
export async function transmit(
  options: TransmitOptions,
  io: Pick<SenderIo, "source" | "signal">,
  messages: Messages,
): Promise<void> {
  const { source, signal } = io;
  const way = await wayOf(options);
  let { servers } = options;
  while (true) {
    const [connection, server] = await connectToOneOf(
      servers,
      options,
      way.connect,
      messages,
      signal,
    );
    try {
      await messages.flushPatiently();
      const { sent, answer } = await way.transmit(connection, io);
      const wrong = options.acknowledge ? complaint(answer, sent) : undefined;
      if (wrong !== undefined) {
        throw new LogferryError(wrong, { code: "EBADMSG" });
      }
      noteSuccess(server);
      return;
    } catch (error) {
      noteFailure(server);
      if (options.servers.length === 1 || !(error instanceof LogferryError)) {
        throw error;
      }
      const { ip, port } = connection.remote;
      const named = `${ip} port ${port}: ${error.message}`;
      servers = servers.filter((one) => one !== server);
      if (servers.length === 0 || source.rewind === undefined) {
        throw new LogferryError(named, { cause: error, code: error.code });
      }
      messages.warn(named);
      source.rewind();
    }
  }
}

/** How many bytes were sent, and what the server sent. */
interface Transmitted {
  readonly sent: number;
  readonly answer: string;
}

/** A way to connect and send: with TLS or without. */
interface Way<T extends { remote: RemoteEnd }> {
  connect(options: DialOptions, signal?: AbortSignal): Promise<T>;
  /**
   * Sends everything, and waits until the server has closed the connection:
   * only then has it succeeded.
   */
  transmit(
    connection: T,
    io: Pick<SenderIo, "source" | "signal">,
  ): Promise<Transmitted>;
}

async function wayOf(
  { tls }: TransmitOptions,
): Promise<Way<{ remote: RemoteEnd }>> {
  if (tls === undefined) return plain;
  const { dialTls, readTexts, transmitTls } = await import("./tls.ts");
  const way: Way<TlsConnection> = {
    async connect(options, signal) {
      const texts = "caCerts" in tls ? tls : readTexts(tls);
      return await dialTls(options, texts, signal);
    },
    transmit: (connection, { source, signal }) =>
      transmitTls(connection, source, signal),
  };
  return way;
}

const plain: Way<Dialled> = {
  connect: dial,
  async transmit({ fd }, { source, signal }) {
    const transmission = new Transmission(fd, source, signal);
    try {
      return await transmission.run();
    } finally {
      transmission.close();
      close(fd);
    }
  },
};

/** The buffer of an earlier transmission, for reuse. */
const buffers: Bytes[] = [];

class Transmission {
  readonly #fd: number;
  readonly #source: Source;
  readonly #signal: AbortSignal | undefined;
  readonly #poller = new Poller(2);
  readonly #buffer = buffers.pop() ?? new Uint8Array(BUFFER);
  readonly #input = new Uint8Array(4096);
  /** Where in the buffer the bytes begin and end that are still to be sent. */
  #first = 0;
  #end = 0;
  #sent = 0;
  #answer = "";
  /** Whether the source has been read to its end. */
  #inputEnded = false;
  /** Whether this side of the connection has been closed. */
  #finished = false;
  /** Whether the server has closed its side. */
  #answerEnded = false;

  constructor(fd: number, source: Source, signal: AbortSignal | undefined) {
    this.#fd = fd;
    this.#source = source;
    this.#signal = signal;
    source.attach?.(() => this.#poller.wake());
  }

  async run(): Promise<Transmitted> {
    while (!this.#answerEnded) {
      // Before any wait everything is sent that can be sent now.
      const more = this.#sendAll();
      if (more) await yieldToEventLoop();
      const blocked = this.#first < this.#end;
      const reads = !blocked && !this.#inputEnded;
      const { waits } = this.#source;
      const sends = blocked || (reads && waits === NOW);
      this.#poller.set(0, reads ? waits : -1, READABLE);
      this.#poller.set(1, this.#fd, sends ? READABLE | WRITABLE : READABLE);
      await waitOn(this.#poller, -1, this.#signal);
      if (this.#poller.found(1) & ~WRITABLE) this.#listen();
    }
    return { sent: this.#sent, answer: this.#answer };
  }

  /** Releases what this holds, but doesn't close the connection. */
  close(): void {
    this.#poller.close();
    if (buffers.length === 0) buffers.push(this.#buffer);
  }

  /** Sends until it would have to wait; `true` when it has only paused. */
  #sendAll(): boolean {
    const end = this.#sent + QUANTUM;
    while (this.#sent < end) {
      if (this.#first < this.#end) {
        if (!this.#send()) return false;
      } else if (this.#inputEnded) {
        this.#finish();
        return false;
      } else if (!this.#fill()) return false;
    }
    return true;
  }

  /** Fills the buffer; `false` when the source has nothing yet. */
  #fill(): boolean {
    const { waits } = this.#source;
    if (waits === LATER) return false;
    if (waits !== NOW && !new Readiness(waits).ready()) return false;
    const n = this.#source.read(this.#buffer);
    if (n < 0) return false;
    if (n === 0) this.#inputEnded = true;
    this.#first = 0;
    this.#end = n;
    return true;
  }

  /** Sends from the buffer; `false` when the connection takes nothing now. */
  #send(): boolean {
    const n = write(this.#fd, this.#buffer.subarray(this.#first, this.#end));
    if (n === -EAGAIN) return false;
    if (n < 0) throw failure(new SysError(-n));
    this.#first += n;
    this.#sent += n;
    return true;
  }

  #finish(): void {
    if (this.#finished) return;
    this.#finished = true;
    try {
      closeWrite(this.#fd);
    } catch (error) {
      if (!(error instanceof SysError)) throw error;
      // The server has reset the connection, and that was told already.
      throw error.code === "ENOTCONN" ? closedEarly() : failure(error);
    }
  }

  #listen(): void {
    const n = read(this.#fd, this.#input);
    if (n === -EAGAIN) return;
    if (n < 0) throw failure(new SysError(-n));
    if (n > 0) {
      if (this.#answer.length < LONGEST_ANSWER) {
        this.#answer += latin1(this.#input.subarray(0, n));
      }
      return;
    }
    this.#answerEnded = true;
    // With its end of input the other side's kernel has acknowledged all bytes
    // that had arrived by then. Bytes that aren't acknowledged by now arrived
    // at no server. Our own end of input counts as one byte; it may still be on
    // its way, since a server may close as soon as it has what it wants.
    if (!this.#finished || unacknowledgedBytes(this.#fd) > 1) {
      throw closedEarly();
    }
  }
}

/** The server has closed the connection before all bytes had arrived. */
export function closedEarly(): LogferryError {
  return new LogferryError("connection closed before everything was sent", {
    code: "ECONNABORTED",
  });
}

function failure(cause: SysError): LogferryError {
  return new LogferryError(`unable to send: ${cause.message}`, { cause });
}

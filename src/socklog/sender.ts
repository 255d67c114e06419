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
/** How much is sent before somebody else has a turn. */
const QUANTUM = 4 * BUFFER;

/** In the place of a descriptor: the next read returns at once. */
export const NOW = -1;
/** The same: there is nothing to read before the source says so. */
export const LATER = -2;

/** What is sent. */
export interface Source {
  /**
   * The descriptor on which a read may have to wait, {@linkcode NOW}, or
   * {@linkcode LATER}.
   */
  readonly waits: number;

  /**
   * Tells the source, before the first read, what it is to call when there is
   * something to read after {@linkcode LATER}.
   */
  attach?(wake: () => void): void;

  /**
   * Reads what is there.
   *
   * @param buffer Where the bytes go
   * @returns How many bytes; 0 at the end, -1 when there is nothing yet
   * @throws When it can't be read
   */
  read(buffer: Bytes): number;

  /** Goes back to where it began, where it can. */
  rewind?(): void;
}

/**
 * Makes a descriptor what is sent.
 *
 * @param fd The descriptor; messages call it standard input
 * @returns What is sent
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

/** What TLS needs, in PEM. */
export interface TlsFiles {
  /** The authorities that are trusted (`-C`); this machine's without it. */
  authorities: string | undefined;
  /** The key of one's own (`-k`). */
  key: string | undefined;
  /** The certificate for it (`-e`). */
  certificate: string | undefined;
}

/** What TLS needs, read already: each is a text in PEM. */
export interface TlsTexts {
  /** The authorities that are trusted beside those that the runtime trusts. */
  readonly caCerts: string[];
  /** The key of one's own. */
  readonly key?: string;
  /** The certificate for it. */
  readonly cert?: string;
}

/** Where to send, and how. */
export interface TransmitOptions extends DialManner {
  /** The log servers, of which one is enough. */
  servers: readonly Server[];
  /** What TLS needs (`-z`); nothing without it. */
  tls: TlsFiles | TlsTexts | undefined;
  /** Whether only an acknowledgement of every byte is success (`-a`). */
  acknowledge: boolean;
}

/** The same, as the command line asks for it. */
export interface SendOptions extends TransmitOptions {
  /** The files for TLS (`-z`); nothing without it. */
  tls: TlsFiles | undefined;
  /** Which messages are written. */
  verbosity: Verbosity;
}

/** What a sender has to do with. */
export interface SenderIo {
  /** What is sent. */
  readonly source: Source;
  /** The descriptor that messages go to. */
  readonly errors: number;
  /** Ends it. */
  readonly signal?: AbortSignal;
  /** Told why it fails, also when no message may say so. */
  onFailure?(why: string): void;
}

/**
 * Sends something to a log server. It never keeps the event loop from turning,
 * and leaves nothing open.
 *
 * @param options Where to, and how
 * @param io What, and where to say what happens
 * @returns The exit code: 0 when all has arrived, as far as is known; 111
 * otherwise, which has been told
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
 * Sends to one server after the other, until one has taken everything. What
 * can't be read again is sent to one alone.
 *
 * @param options Where to, and how
 * @param io What is sent, and what ends it
 * @param messages Where to say what happens
 * @throws {LogferryError} When it hasn't arrived, as far as is known
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

/** What was sent, in bytes, and what the server said to that. */
interface Transmitted {
  readonly sent: number;
  readonly answer: string;
}

/** How bytes get to a server. */
interface Way<T extends { remote: RemoteEnd }> {
  connect(options: DialOptions, signal?: AbortSignal): Promise<T>;
  /**
   * Sends, and waits until the server has closed the connection: only that is
   * success.
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

/** The buffer that the last transmission is done with. */
const buffers: Bytes[] = [];

class Transmission {
  readonly #fd: number;
  readonly #source: Source;
  readonly #signal: AbortSignal | undefined;
  readonly #poller = new Poller(2);
  readonly #buffer = buffers.pop() ?? new Uint8Array(BUFFER);
  readonly #input = new Uint8Array(4096);
  /** What of the buffer is still to be sent. */
  #first = 0;
  #end = 0;
  #sent = 0;
  #answer = "";
  /** Whether all that is to be sent has been read. */
  #inputEnded = false;
  /** Whether the server has been told so. */
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
      // What can be sent is sent before anything is waited for.
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

  /** Ends it, whatever it has come to. */
  close(): void {
    this.#poller.close();
    if (buffers.length === 0) buffers.push(this.#buffer);
  }

  /** Sends what can be sent at once; `true` when that isn't all. */
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

  /** Reads; `false` when there is nothing yet. */
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

  /** Sends; `false` when nothing is taken now. */
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
      throw failure(error);
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
    // The end that the other side has sent carries its word for all that had
    // arrived by then; without it, these bytes met nobody. Our own end counts
    // as one, and may still be on its way to a server that knows enough.
    if (!this.#finished || unacknowledgedBytes(this.#fd) > 1) {
      throw new LogferryError("connection closed before everything was sent", {
        code: "ECONNABORTED",
      });
    }
  }
}

function failure(cause: SysError): LogferryError {
  return new LogferryError(`unable to send: ${cause.message}`, { cause });
}

/**
 * A log server for datagrams: `/dev/log`, and syslog over UDP.
 *
 * @module
 */
import { type Bytes, encode } from "../bytes.ts";
import { getenv } from "../sys/environment.ts";
import { latin1 } from "../bytes.ts";
import { DatagramReader } from "../sys/datagrams.ts";
import { EAGAIN } from "../sys/descriptors.ts";
import { SysError } from "../sys/errors.ts";
import { FAILED, HUNG_UP, Poller, READABLE } from "../sys/poll.ts";
import { onTermination, settleSignals } from "../sys/signals.ts";
import { setgid, setuid } from "../sys/users.ts";
import { LONGEST_DATAGRAM, putDatagram, roomForDatagram } from "./datagrams.ts";
import { LogferryError } from "../logferry_error.ts";
import type { FramerOptions } from "./framing.ts";
import type { Output } from "./output.ts";

/** How many bytes of lines are put together before they are written. */
const OUTPUT = 256 * 1024;
/** How many are enough, where no more datagrams have been received. */
const ENOUGH = 128 * 1024;
/** How often at the most the loss of datagrams is told, milliseconds. */
const TELL_EVERY = 1000;
/** For how long after SIGTERM what waits in the socket is read, milliseconds. */
const DRAIN = 2000;
/** How many senders' prefixes are remembered. */
const MOST_PREFIXES = 4096;

/** What a datagram server does with what it receives. */
export interface DatagramServerOptions {
  /** How lines come out. */
  readonly form: NonNullable<FramerOptions["form"]>;
  /** Whether each line begins with the sender's address. */
  readonly prefixed: boolean;
  /** Told what goes wrong while the server goes on. */
  readonly warn: (message: string) => void;
}

/** Receives datagrams and writes their lines, until a signal ends it. */
export class DatagramServer {
  readonly #fd: number;
  readonly #output: Output;
  readonly #options: DatagramServerOptions;
  readonly #reader: DatagramReader;
  readonly #poller = new Poller(2);
  readonly #lines: Bytes = new Uint8Array(OUTPUT + roomForDatagram(64));
  /** Where the lines begin and end that haven't been written. */
  #first = 0;
  #end = 0;
  /** By the number that is an IPv4 address. */
  readonly #prefixes = new Map<number, Bytes>();
  #terminating = false;
  /** How many dropped datagrams have been told. */
  #told = 0;
  #tellAt = 0;

  /**
   * Makes the server.
   *
   * @param fd The bound socket
   * @param output Where lines go
   * @param options What else there is to know
   */
  constructor(fd: number, output: Output, options: DatagramServerOptions) {
    this.#fd = fd;
    this.#output = output;
    this.#options = options;
    this.#reader = new DatagramReader(fd, LONGEST_DATAGRAM);
  }

  /**
   * Serves until SIGTERM, SIGINT or SIGHUP. What the socket had received by
   * then is written.
   *
   * @param ready Called once a signal ends it well
   * @throws {LogferryError} When the socket or the output fails for good
   */
  async run(ready: () => void): Promise<void> {
    const stopListening = onTermination(() => {
      this.#terminating = true;
      this.#output.stop();
      this.#poller.wake();
    });
    settleSignals();
    ready();
    try {
      this.#poller.set(1, this.#output.fd, 0);
      while (!this.#terminating) {
        this.#poller.set(0, this.#fd, READABLE);
        const until = this.#untilTelling();
        if (this.#output.turns) await this.#poller.wait(until);
        else await this.#poller.waitHere(until);
        // A pipe fails when its reader is gone, a terminal hangs up.
        if (this.#poller.found(1) & (FAILED | HUNG_UP)) {
          throw this.#output.gone();
        }
        if (this.#poller.found(0) !== 0) await this.#receive();
        this.#tellDropped();
      }
      const end = performance.now() + DRAIN;
      while (await this.#receive() && performance.now() < end);
    } finally {
      this.#tellAt = 0;
      this.#tellDropped();
      stopListening();
    }
  }

  /**
   * Receives what there is, as far as it makes one write.
   *
   * @returns Whether there may be more
   */
  async #receive(): Promise<boolean> {
    let n;
    do {
      n = this.#reader.receive();
      for (let i = 0; i < n; i++) {
        this.#end = putDatagram(
          this.#reader.bytes,
          this.#reader.start(i),
          this.#reader.length(i),
          this.#prefixOf(i),
          this.#options.form,
          this.#lines,
          this.#end,
        );
        if (this.#end >= OUTPUT) await this.#write();
      }
    } while (n === this.#reader.most && this.#end < ENOUGH);
    await this.#write();
    if (n >= 0) return true;
    if (n === -EAGAIN) return false;
    throw new LogferryError(`unable to receive: ${new SysError(-n).message}`);
  }

  #prefixOf(i: number): Bytes {
    if (!this.#options.prefixed) return NO_PREFIX;
    const key = this.#reader.senderKey(i);
    const known = this.#prefixes.get(key);
    if (known !== undefined) return known;
    const { ip, bytes } = this.#reader.sender(i);
    const made = encode(`${ip}: `);
    // What a key stands for in an IPv6 address is not the whole of it.
    if (bytes.length !== IPV4_LENGTH) return made;
    if (this.#prefixes.size >= MOST_PREFIXES) this.#prefixes.clear();
    this.#prefixes.set(key, made);
    return made;
  }

  /** Writes all lines, however long that takes. */
  async #write(): Promise<void> {
    while (this.#first < this.#end) {
      this.#first += await this.#output.write(
        this.#lines.subarray(this.#first, this.#end),
      );
    }
    this.#first = this.#end = 0;
  }

  #untilTelling(): number {
    if (this.#reader.dropped === this.#told) return -1;
    return Math.max(this.#tellAt - performance.now(), 0);
  }

  /** Tells how many datagrams were lost, at times. */
  #tellDropped(): void {
    const { dropped } = this.#reader;
    if (dropped === this.#told || performance.now() < this.#tellAt) return;
    const lost = (dropped - this.#told) >>> 0;
    this.#options.warn(
      `${lost} datagrams lost: they came faster than they were read`,
    );
    this.#told = dropped;
    this.#tellAt = performance.now() + TELL_EVERY;
  }
}

const NO_PREFIX: Bytes = new Uint8Array(0);
/** Bytes of a `struct sockaddr_in`. */
const IPV4_LENGTH = 16;

/**
 * Becomes the user and group of `$UID` and `$GID`, where they are set.
 *
 * @returns What to say of it, as in the original
 * @throws {LogferryError} When one is no number, or it can't be done
 */
export function dropPermissions(): string {
  let said = "";
  for (const [name, set] of [["GID", setgid], ["UID", setuid]] as const) {
    const value = getenv(name);
    if (value === undefined) continue;
    const text = latin1(value);
    if (!/^\d{1,10}$/.test(text)) {
      throw new LogferryError(`$${name} must be a number, not ${text || '""'}`);
    }
    said += `${name.toLowerCase()}=${text}, `;
    try {
      set(Number(text));
    } catch (error) {
      if (!(error instanceof SysError)) throw error;
      throw new LogferryError(
        `unable to set${name.toLowerCase()} ${text}: ${error.message}`,
      );
    }
  }
  return said;
}

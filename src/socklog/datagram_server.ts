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

/** With this many bytes of lines no further datagram is added to a write. */
const OUTPUT = 256 * 1024;
/** With this many, no more datagrams are received before the write. */
const ENOUGH = 128 * 1024;
/** The milliseconds between two warnings that datagrams were lost. */
const WARN_EVERY = 1000;
/**
 * How long to read what the socket has received after SIGTERM, milliseconds.
 */
const DRAIN = 2000;
/** How many senders' prefixes are kept. */
const MOST_PREFIXES = 4096;

/** What a datagram server does with each datagram. */
export interface DatagramServerOptions {
  /** The form of its lines; see {@linkcode FramerOptions.form}. */
  readonly form: NonNullable<FramerOptions["form"]>;
  /** Whether each line begins with the sender's address. */
  readonly prefixed: boolean;
  /** Called with a message about trouble after which the server goes on. */
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
  /** Where in `#lines` those begin and end that haven't been written. */
  #first = 0;
  #end = 0;
  /** The prefixes of IPv4 senders, by {@linkcode DatagramReader.senderKey}. */
  readonly #prefixes = new Map<number, Bytes>();
  #terminating = false;
  /** How many dropped datagrams the warnings so far have counted. */
  #warned = 0;
  /** When the next warning may be written, on `performance.now()`'s clock. */
  #warnAt = 0;

  /**
   * Makes the server.
   *
   * @param fd The bound socket
   * @param output Where lines go
   * @param options What to do with each datagram
   */
  constructor(fd: number, output: Output, options: DatagramServerOptions) {
    this.#fd = fd;
    this.#output = output;
    this.#options = options;
    this.#reader = new DatagramReader(fd, LONGEST_DATAGRAM);
  }

  /**
   * Serves until SIGTERM, SIGINT or SIGHUP. The datagrams that the socket has
   * received by then are still written.
   *
   * @param ready Called as soon as a signal would end it so
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
        const until = this.#untilWarning();
        if (this.#output.turns) await this.#poller.wait(until);
        else await this.#poller.waitHere(until);
        // When its reader is gone a pipe shows FAILED, a terminal HUNG_UP.
        if (this.#poller.found(1) & (FAILED | HUNG_UP)) {
          throw this.#output.gone();
        }
        if (this.#poller.found(0) !== 0) await this.#receive();
        this.#warnOfDropped();
      }
      const end = performance.now() + DRAIN;
      while (await this.#receive() && performance.now() < end);
    } finally {
      this.#warnAt = 0;
      this.#warnOfDropped();
      stopListening();
    }
  }

  /**
   * Receives datagrams, as many as fit into one write, and writes their lines.
   *
   * @returns Whether there may be more datagrams
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
    // The key holds only a part of an IPv6 address.
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

  /** How long to wait at the most before a warning is due; -1 for none. */
  #untilWarning(): number {
    if (this.#reader.dropped === this.#warned) return -1;
    return Math.max(this.#warnAt - performance.now(), 0);
  }

  /** Warns of lost datagrams, unless the last warning was just before. */
  #warnOfDropped(): void {
    const { dropped } = this.#reader;
    if (dropped === this.#warned || performance.now() < this.#warnAt) return;
    const lost = (dropped - this.#warned) >>> 0;
    this.#options.warn(
      `${lost} datagrams lost: they came faster than they were read`,
    );
    this.#warned = dropped;
    this.#warnAt = performance.now() + WARN_EVERY;
  }
}

const NO_PREFIX: Bytes = new Uint8Array(0);
/** The size of a `struct sockaddr_in`. */
const IPV4_LENGTH = 16;

/**
 * Becomes the user `$UID` and the group `$GID`, if these are set.
 *
 * @returns The original's words about it, for the message at the start
 * @throws {LogferryError} When one is no number, or this isn't allowed
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

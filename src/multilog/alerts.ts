/**
 * Alerts on their way to standard error, which the log never waits for.
 *
 * @module
 */
import { type Bytes, encode, NEWLINE } from "../bytes.ts";
import { EAGAIN, PIPE_BUF, write } from "../sys/descriptors.ts";
import { Readiness, WRITABLE } from "../sys/poll.ts";

/** How many bytes wait for a reader; alerts beyond that are only counted. */
const ROOM = 64 * 1024;
/** For how long an end waits for a reader that stands still, milliseconds. */
const PATIENCE = 1000;
/** The same for one that reads slowly. */
const PATIENCE_IN_ALL = 3000;
/** How often an end looks, in milliseconds. */
const LOOK = 10;

/** A queue of alerts. */
export class Alerts {
  readonly #fd: number;
  readonly #program: string;
  readonly #ready: Readiness;
  readonly #queue: Bytes = new Uint8Array(ROOM);
  #from = 0;
  #to = 0;
  /** How many there was no room for since the last that there was room for. */
  #left = 0;

  /**
   * Makes an empty queue.
   *
   * @param fd The descriptor that alerts are written to
   * @param program The name that a message begins with
   */
  constructor(fd: number, program = "multilog") {
    this.#fd = fd;
    this.#program = program;
    this.#ready = new Readiness(fd, WRITABLE);
  }

  /** Whether there are alerts that haven't been written. */
  get waiting(): boolean {
    return this.#from < this.#to || this.#left > 0;
  }

  /**
   * Writes alerts, or has them wait, or counts them.
   *
   * @param lines Whole lines
   */
  put(lines: Bytes): void {
    for (let at = 0; at < lines.length;) {
      let end = Math.min(lines.length, at + PIPE_BUF);
      if (end < lines.length) end = lines.lastIndexOf(NEWLINE, end - 1) + 1;
      this.#add(lines.subarray(at, end));
      at = end;
    }
  }

  #add(lines: Bytes): void {
    if (this.#left > 0 || ROOM - (this.#to - this.#from) < lines.length) {
      this.#left += countLines(lines);
    } else this.#keep(lines);
    this.flush();
  }

  #keep(lines: Bytes): void {
    if (ROOM - this.#to < lines.length) {
      this.#queue.copyWithin(0, this.#from, this.#to);
      this.#to -= this.#from;
      this.#from = 0;
    }
    this.#queue.set(lines, this.#to);
    this.#to += lines.length;
  }

  /** Says how many there was no room for, where they would stand. */
  #tell(): void {
    const count = this.#left;
    this.#left = 0;
    this.#keep(encode(
      `${this.#program}: warning: ${count} alerts not written: ` +
        "nobody reads them\n",
    ));
  }

  /**
   * Writes what can be written without waiting.
   *
   * @returns Whether anything was
   */
  flush(): boolean {
    let wrote = false;
    while (this.waiting) {
      if (this.#from === this.#to) this.#tell();
      // It then takes PIPE_BUF bytes at once.
      if (!this.#ready.ready()) break;
      // Whole lines, so that no other program's gets inside one.
      let end = Math.min(this.#to, this.#from + PIPE_BUF);
      if (end < this.#to) {
        end = this.#queue.lastIndexOf(NEWLINE, end - 1) + 1;
      }
      const n = write(this.#fd, this.#queue.subarray(this.#from, end));
      if (n === -EAGAIN) break;
      // There is no one to whom trouble with standard error could be told.
      this.#from = n > 0 ? this.#from + n : this.#to;
      wrote = true;
    }
    return wrote;
  }

  /** Writes what waits, as long as somebody reads, but no more than seconds. */
  async end(): Promise<void> {
    const end = performance.now() + PATIENCE_IN_ALL;
    let last = performance.now();
    while (this.waiting) {
      const now = performance.now();
      if (this.flush()) last = now;
      else if (now > Math.min(last + PATIENCE, end)) break;
      else await new Promise((resolve) => setTimeout(resolve, LOOK));
    }
  }
}

function countLines(bytes: Bytes): number {
  let count = 0;
  for (const byte of bytes) if (byte === NEWLINE) count++;
  return count;
}

/**
 * What a server or client tells on standard error.
 *
 * @module
 */
import { type Bytes, encode, fromLatin1, NEWLINE } from "../bytes.ts";
import { writePatiently } from "../diagnostics.ts";
import { EAGAIN, PIPE_BUF, write } from "../sys/descriptors.ts";
import { Readiness, WRITABLE } from "../sys/poll.ts";

/** How much is told: nothing (`-q`), errors, or everything (`-v`). */
export enum Verbosity {
  /** Nothing. */
  Quiet,
  /** Errors and warnings. */
  Errors,
  /** Those, and what happens. */
  Everything,
}

/**
 * One program's messages. They are collected, so that a busy server writes
 * many at once, and so that none is written while a line of data has gone
 * only half way into what may be the same pipe.
 */
export class Messages {
  readonly #program: string;
  readonly #verbosity: Verbosity;
  /** The descriptor that they go to. */
  readonly fd: number;
  readonly #writable: Readiness;
  /** A character for each byte. */
  #collected = "";

  /**
   * Makes them for a program.
   *
   * @param program The name that each message begins with
   * @param verbosity Which of them are written
   * @param fd The descriptor that they go to
   */
  constructor(program: string, verbosity: Verbosity, fd = 2) {
    this.#program = program;
    this.#verbosity = verbosity;
    this.fd = fd;
    this.#writable = new Readiness(fd, WRITABLE);
  }

  /** Whether {@linkcode Messages.report} writes anything. */
  get verbose(): boolean {
    return this.#verbosity === Verbosity.Everything;
  }

  /**
   * Tells what happens, to who has asked for that (`-v`).
   *
   * @param text The text after `program: `, a character for each byte
   * (Latin-1): a stranger's name may be any bytes
   */
  report(text: string): void {
    if (this.verbose) this.#collected += `${this.#program}: ${text}\n`;
  }

  /**
   * Tells what went wrong.
   *
   * @param text The text after `program: `
   */
  error(text: string): void {
    if (this.#verbosity === Verbosity.Quiet) return;
    for (const byte of encode(`${this.#program}: ${text}\n`)) {
      this.#collected += String.fromCharCode(byte);
    }
  }

  /**
   * Tells what went wrong, and that the program goes on.
   *
   * @param text The text after `program: warning: `
   */
  warn(text: string): void {
    this.error(`warning: ${text}`);
  }

  /**
   * Writes what was collected, as far as it goes without waiting for a reader
   * that stands still; the rest stays for the next time.
   */
  flush(): void {
    if (!this.waiting || !this.#writable.ready()) return;
    const bytes = fromLatin1(this.#collected);
    let at = 0;
    do {
      const n = write(this.fd, bytes.subarray(at, endOfWhole(bytes, at)));
      if (n === -EAGAIN) break;
      // Where nothing can be written there is nobody to be told.
      at = n < 0 ? bytes.length : at + n;
    } while (at < bytes.length && this.#writable.ready());
    this.#collected = this.#collected.slice(at);
  }

  /** Whether there are messages that wait for their reader. */
  get waiting(): boolean {
    return this.#collected !== "";
  }

  /**
   * Writes what was collected; a reader that stands still is waited for, but
   * not for long.
   */
  async flushPatiently(): Promise<void> {
    const bytes = fromLatin1(this.#collected);
    this.#collected = "";
    for (let at = 0; at < bytes.length;) {
      const end = endOfWhole(bytes, at);
      if (!await writePatiently(this.fd, bytes.subarray(at, end))) return;
      at = end;
    }
  }
}

/**
 * Where as many whole messages end as a pipe takes in one piece: a program
 * that is killed while it waits for the pipe's reader has written no part of
 * one, after which the next program's first would stand.
 */
function endOfWhole(bytes: Bytes, from: number): number {
  if (bytes.length - from <= PIPE_BUF) return bytes.length;
  const last = bytes.lastIndexOf(NEWLINE, from + PIPE_BUF - 1) + 1;
  if (last > from) return last;
  // One that is longer than that: alone, at least.
  return bytes.indexOf(NEWLINE, from) + 1;
}

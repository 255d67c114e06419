/**
 * What a server or client tells on standard error.
 *
 * @module
 */
import { type Bytes, encode, fromLatin1, NEWLINE } from "../bytes.ts";
import { writePatiently } from "../diagnostics.ts";
import { PIPE_BUF } from "../sys/descriptors.ts";
import { writeAll } from "../sys/write_all.ts";

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
  readonly #fd: number;
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
    this.#fd = fd;
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

  /** Writes what was collected. */
  flush(): void {
    for (const bytes of this.#take()) writeAll(this.#fd, bytes);
  }

  /** Writes what was collected, but waits for no reader that stands still. */
  async flushPatiently(): Promise<void> {
    for (const bytes of this.#take()) await writePatiently(this.#fd, bytes);
  }

  /** Takes what was collected, in parts that are each written at once. */
  *#take(): Generator<Bytes> {
    const bytes = fromLatin1(this.#collected);
    this.#collected = "";
    for (let at = 0; at < bytes.length;) {
      const end = endOfWhole(bytes, at);
      yield bytes.subarray(at, end);
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

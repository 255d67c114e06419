/**
 * What a server or sender tells on standard error.
 *
 * @module
 */
import { encode } from "../bytes.ts";
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
  #collected = "";

  /**
   * Makes them for a program.
   *
   * @param program The name that each message begins with
   * @param verbosity Which of them are written
   */
  constructor(program: string, verbosity: Verbosity) {
    this.#program = program;
    this.#verbosity = verbosity;
  }

  /** Whether {@linkcode Messages.status} writes anything. */
  get verbose(): boolean {
    return this.#verbosity === Verbosity.Everything;
  }

  /**
   * Says what happens.
   *
   * @param text The text behind `program: `
   */
  status(text: string): void {
    if (this.verbose) this.#collected += `${this.#program}: ${text}\n`;
  }

  /**
   * Says what went wrong.
   *
   * @param text The text behind `program: `
   */
  error(text: string): void {
    if (this.#verbosity === Verbosity.Quiet) return;
    this.#collected += `${this.#program}: ${text}\n`;
  }

  /** Writes what was collected. */
  flush(): void {
    if (this.#collected === "") return;
    const text = this.#collected;
    this.#collected = "";
    writeAll(2, encode(text));
  }
}

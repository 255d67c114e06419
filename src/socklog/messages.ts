/**
 * What a server or sender tells on standard error.
 *
 * @module
 */
import { encode } from "../bytes.ts";
import { writePatiently } from "../diagnostics.ts";
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
    const text = this.#take();
    if (text !== "") writeAll(this.#fd, encode(text));
  }

  /** Writes what was collected, but waits for no reader that stands still. */
  async flushPatiently(): Promise<void> {
    const text = this.#take();
    if (text !== "") await writePatiently(this.#fd, encode(text));
  }

  #take(): string {
    const text = this.#collected;
    this.#collected = "";
    return text;
  }
}

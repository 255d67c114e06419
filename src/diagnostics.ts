/**
 * Messages to standard error, in the shape that the originals gave them:
 * `multilog: fatal: unable to lock directory ./main: temporarily unavailable`.
 *
 * @module
 */
import { encode } from "./bytes.ts";
import { Readiness, WRITABLE } from "./sys/poll.ts";
import { writeAll } from "./sys/write_all.ts";

function isWritable(milliseconds: number): boolean {
  return new Readiness(2, WRITABLE).ready(milliseconds);
}

/** One program's messages. */
export class Diagnostics {
  readonly #program: string;
  readonly #patience: number;

  /**
   * Makes them for a program.
   *
   * @param program The name that each message begins with
   * @param patience How many milliseconds a message waits for a reader that
   * stands still before it is dropped; -1 for as long as it takes
   */
  constructor(program: string, patience = -1) {
    this.#program = program;
    this.#patience = patience;
  }

  /**
   * Writes a message: one line, in one write, so that no other program's line
   * gets inside it.
   *
   * @param parts What stands behind `program: `; of an error, its message
   * @returns Whether it could be written
   */
  say(...parts: readonly unknown[]): boolean {
    const text = parts.map((part) =>
      part instanceof Error ? part.message : String(part)
    ).join("");
    // A pipe that is called writable takes a message whole.
    if (this.#patience >= 0 && !isWritable(this.#patience)) return false;
    return writeAll(2, encode(`${this.#program}: ${text}\n`)) === undefined;
  }

  /**
   * Says what went wrong while the program goes on.
   *
   * @param parts The text
   */
  warn(...parts: readonly unknown[]): void {
    this.say("warning: ", ...parts);
  }

  /**
   * Writes what a program was asked for, `--help` say, to standard output.
   *
   * @param text The answer
   * @returns The exit code: 0; or 111, having said why it couldn't be written
   */
  answer(text: string): 0 | 111 {
    const failure = writeAll(1, encode(text));
    if (failure === undefined) return 0;
    this.say("fatal: unable to write to standard output: ", failure);
    return 111;
  }

  /**
   * Says what went wrong, and ends the program.
   *
   * @param code The exit code: 111 for trouble, 100 for wrong usage
   * @param parts The text
   */
  die(code: number, ...parts: readonly unknown[]): never {
    this.say("fatal: ", ...parts);
    Deno.exit(code);
  }
}

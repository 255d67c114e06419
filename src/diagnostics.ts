/**
 * Messages to standard error, in the shape that the originals gave them:
 * `multilog: fatal: unable to lock directory ./main: temporarily unavailable`.
 *
 * @module
 */
import { type Bytes, encode } from "./bytes.ts";
import { EAGAIN, write } from "./sys/descriptors.ts";
import { SysError } from "./sys/errors.ts";
import { Readiness, WRITABLE } from "./sys/poll.ts";

/**
 * Writes all of something to a descriptor, waiting when it must. Trouble with
 * standard error can't be told to anyone, so nothing is told.
 *
 * @param fd The descriptor
 * @param bytes The bytes
 * @returns Whether all went out
 */
export function writeAll(fd: number, bytes: Bytes): boolean {
  return failureOf(fd, bytes) === undefined;
}

/** Writes all, or returns what kept it from that. */
function failureOf(fd: number, bytes: Bytes): SysError | undefined {
  let at = 0;
  while (at < bytes.length) {
    const n = write(fd, at === 0 ? bytes : bytes.subarray(at));
    if (n > 0) at += n;
    else if (n !== -EAGAIN) return new SysError(-n);
    else new Readiness(fd, WRITABLE).ready(-1);
  }
  return undefined;
}

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
    return writeAll(2, encode(`${this.#program}: ${text}\n`));
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
    const failure = failureOf(1, encode(text));
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

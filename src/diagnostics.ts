/**
 * Messages to standard error, in the shape that the originals gave them:
 * `multilog: fatal: unable to lock directory ./main: temporarily unavailable`.
 *
 * @module
 */
import { type Bytes, encode } from "./bytes.ts";
import { EAGAIN, PIPE_BUF, write } from "./sys/descriptors.ts";
import { Poller, Readiness, WRITABLE } from "./sys/poll.ts";
import { writeAll } from "./sys/write_all.ts";

/** How many milliseconds a message waits for a reader that stands still. */
export const PATIENCE = 1000;

/**
 * Writes all of something to a descriptor while the event loop turns: no reader
 * that stands still holds up anything but this.
 *
 * @param fd The descriptor
 * @param bytes The bytes
 * @param patience For how many milliseconds such a reader is waited for
 * @returns Whether all went out
 */
export async function writePatiently(
  fd: number,
  bytes: Bytes,
  patience: number = PATIENCE,
): Promise<boolean> {
  const writable = new Readiness(fd, WRITABLE);
  const end = performance.now() + patience;
  let at = 0;
  while (at < bytes.length) {
    if (writable.ready()) {
      const n = write(fd, bytes.subarray(at, at + PIPE_BUF));
      if (n >= 0) at += n;
      else if (n !== -EAGAIN) return false;
      continue;
    }
    const left = end - performance.now();
    if (left <= 0) return false;
    const poller = new Poller(1);
    poller.set(0, fd, WRITABLE);
    await poller.wait(left);
    poller.close();
  }
  return true;
}

/** A message's line. */
function lineOf(program: string, parts: readonly unknown[]): Bytes {
  const text = parts.map((part) =>
    part instanceof Error ? part.message : String(part)
  ).join("");
  return encode(`${program}: ${text}\n`);
}

/**
 * One program's messages where it mustn't stand still for their reader: after
 * {@linkcode PATIENCE} a message is dropped.
 */
export class PatientDiagnostics {
  readonly #program: string;
  readonly #fd: number;

  /**
   * Makes them for a program.
   *
   * @param program The name that each message begins with
   * @param fd The descriptor that they go to
   */
  constructor(program: string, fd: number) {
    this.#program = program;
    this.#fd = fd;
  }

  /**
   * Writes a message: one line, in one write.
   *
   * @param parts What follows `program: `; of an error, its message
   * @returns Whether it could be written
   */
  say(...parts: readonly unknown[]): Promise<boolean> {
    return writePatiently(this.#fd, lineOf(this.#program, parts));
  }

  /**
   * Says what went wrong while the program goes on.
   *
   * @param parts The text
   */
  async warn(...parts: readonly unknown[]): Promise<void> {
    await this.say("warning: ", ...parts);
  }
}

/** One program's messages. */
export class Diagnostics {
  readonly #program: string;

  /**
   * Makes them for a program.
   *
   * @param program The name that each message begins with
   */
  constructor(program: string) {
    this.#program = program;
  }

  /**
   * Writes a message: one line, in one write, so that no other program's line
   * gets inside it.
   *
   * @param parts What follows `program: `; of an error, its message
   */
  say(...parts: readonly unknown[]): boolean {
    return writeAll(2, lineOf(this.#program, parts)) === undefined;
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
   * @param text The text
   * @returns The exit code: 0; or 111, having said why it couldn't be written
   */
  print(text: string): 0 | 111 {
    const failure = writeAll(1, encode(text));
    if (failure === undefined) return 0;
    this.say("fatal: unable to write to standard output: ", failure);
    return 111;
  }
}

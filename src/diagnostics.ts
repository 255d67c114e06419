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

/** How many milliseconds a message waits for a reader that doesn't read. */
export const PATIENCE = 1000;

/**
 * Writes all bytes to a descriptor. While it waits for a reader that doesn't
 * read, the event loop turns, so nothing else is held up.
 *
 * @param fd The descriptor
 * @param bytes The bytes
 * @param patience For how many milliseconds it waits for the reader in all
 * @returns Whether all bytes were written
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
 * The messages of a program that mustn't be held up by the reader of its
 * messages: one that can't be written within {@linkcode PATIENCE} is dropped.
 */
export class PatientDiagnostics {
  readonly #program: string;
  readonly #fd: number;

  /**
   * @param program The name that each message begins with
   * @param fd The descriptor that messages are written to
   */
  constructor(program: string, fd: number) {
    this.#program = program;
    this.#fd = fd;
  }

  /**
   * Writes a message: one line, in one write.
   *
   * @param parts What follows `program: `; an error stands for its message
   * @returns Whether all of it was written
   */
  say(...parts: readonly unknown[]): Promise<boolean> {
    return writePatiently(this.#fd, lineOf(this.#program, parts));
  }

  /** Writes a warning: a message after which the program goes on. */
  async warn(...parts: readonly unknown[]): Promise<void> {
    await this.say("warning: ", ...parts);
  }
}

/** The messages of a program. Each waits until it is written. */
export class Diagnostics {
  readonly #program: string;

  /** @param program The name that each message begins with */
  constructor(program: string) {
    this.#program = program;
  }

  /**
   * Writes a message: one line, in one write, so that no other program's line
   * gets inside it.
   *
   * @param parts What follows `program: `; an error stands for its message
   * @returns Whether all of it was written
   */
  say(...parts: readonly unknown[]): boolean {
    return writeAll(2, lineOf(this.#program, parts)) === undefined;
  }

  /** Writes a warning: a message after which the program goes on. */
  warn(...parts: readonly unknown[]): void {
    this.say("warning: ", ...parts);
  }

  /**
   * Writes what the program was asked for, the text of `--help` for example, to
   * standard output.
   *
   * @returns The program's exit code: 0; or 111 when the text couldn't be
   * written, after a message that says why
   */
  print(text: string): 0 | 111 {
    const failure = writeAll(1, encode(text));
    if (failure === undefined) return 0;
    this.say("fatal: unable to write to standard output: ", failure);
    return 111;
  }
}

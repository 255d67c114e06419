/**
 * The messages of a server or client on standard error.
 *
 * @module
 */
import { type Bytes, encode, fromLatin1, NEWLINE } from "../bytes.ts";
import { writePatiently } from "../diagnostics.ts";
import { EAGAIN, PIPE_BUF, write } from "../sys/descriptors.ts";
import { Readiness, WRITABLE } from "../sys/poll.ts";

/** Which messages are written. */
export enum Verbosity {
  /** None (`-q`). */
  Quiet,
  /** Errors and warnings (`-Q`, the default). */
  Errors,
  /** Those, and what happens to each connection (`-v`). */
  Everything,
}

/**
 * One program's messages. They are collected before they are written, so that a
 * busy server writes many at once, and so that none is written into the middle
 * of a line of data when both go to the same pipe.
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
   * Makes the collection, which is empty.
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
   * Adds a message about what happens, if `-v` asks for those.
   *
   * @param text The text after `program: `, a character for each byte
   * (Latin-1), since a remote host's name may hold any bytes
   */
  report(text: string): void {
    if (this.verbose) this.#collected += `${this.#program}: ${text}\n`;
  }

  /**
   * Adds a message about an error, unless `-q` forbids those.
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
   * Adds a warning: something went wrong, and the program goes on.
   *
   * @param text The text after `program: warning: `
   */
  warn(text: string): void {
    this.error(`warning: ${text}`);
  }

  /**
   * Writes the collected messages, as many as can be written without waiting;
   * the others stay for the next call.
   */
  flush(): void {
    if (!this.waiting || !this.#writable.ready()) return;
    const bytes = fromLatin1(this.#collected);
    let at = 0;
    do {
      const n = write(this.fd, bytes.subarray(at, endOfWhole(bytes, at)));
      if (n === -EAGAIN) break;
      // After an error the messages are dropped: there is no other place to
      // report it to.
      at = n < 0 ? bytes.length : at + n;
    } while (at < bytes.length && this.#writable.ready());
    this.#collected = this.#collected.slice(at);
  }

  /** Whether there are messages that haven't been written yet. */
  get waiting(): boolean {
    return this.#collected !== "";
  }

  /**
   * Writes the collected messages. If their reader is slow this waits for it,
   * but not for long.
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
 * The end of the last whole message that fits into `PIPE_BUF` bytes, which a
 * pipe takes in one piece. So a program that is killed while it waits for the
 * pipe's reader leaves no half message, which the next program's first message
 * would be appended to.
 */
function endOfWhole(bytes: Bytes, from: number): number {
  if (bytes.length - from <= PIPE_BUF) return bytes.length;
  const last = bytes.lastIndexOf(NEWLINE, from + PIPE_BUF - 1) + 1;
  if (last > from) return last;
  // A longer message is written alone.
  return bytes.indexOf(NEWLINE, from) + 1;
}

/**
 * The file `failure`, which is there while a log's processor fails, and says why
 * and since when. `multilog --status` shows it, and nothing else depends on it:
 * so it isn't synced, and when it can't be written, the log goes on without it.
 *
 * @module
 */
import { encode, latin1 } from "../bytes.ts";
import { readClock } from "../sys/clock.ts";
import { close, read, write } from "../sys/descriptors.ts";
import { SysError } from "../sys/errors.ts";
import { label, LABEL_LENGTH, type Moment, parseLabel } from "../tai64n.ts";
import type { Directory } from "./directory.ts";

/** The file's name. */
export const FAILURE = "failure";
/** How many characters of a cause are written. */
const LONGEST = 500;

/** What the file says. */
export interface Failure {
  /** When the processor failed for the first time since its last success. */
  readonly since: Moment;
  /** Why it failed last, in words. */
  readonly cause: string;
}

/**
 * Reads the file's text.
 *
 * @returns What it says; `undefined` when the text isn't whole
 */
export function parseFailure(text: string): Failure | undefined {
  const since = parseLabel(text.slice(0, LABEL_LENGTH));
  if (since === undefined || !text.endsWith("\n")) return undefined;
  return { since, cause: text.slice(LABEL_LENGTH + 1, -1) };
}

/** The file `failure` of one log. */
export class FailureFile {
  readonly #directory: Directory;
  /** What it says; `undefined` when it isn't there, `null` until it was read. */
  #said: Failure | undefined | null = null;

  constructor(directory: Directory) {
    this.#directory = directory;
  }

  /** Writes why the processor has failed, unless the file says so already. */
  write(cause: string): void {
    const line = cause.slice(0, LONGEST).replaceAll("\n", " ");
    try {
      const before = this.#said ??= this.#read();
      if (before?.cause === line) return;
      const since = before?.since ?? readClock();
      // A new file: a process that is reading the former one reads all of that.
      const fd = this.#directory.create(FAILURE);
      try {
        write(fd, encode(`${label(since)} ${line}\n`));
      } finally {
        close(fd);
      }
      this.#said = { since, cause: line };
    } catch (error) {
      if (!(error instanceof SysError)) throw error;
    }
  }

  /** Removes it: the processor has succeeded, or no file waits any more. */
  clear(): void {
    if (this.#said === undefined) return;
    try {
      if (this.#directory.stat(FAILURE) !== undefined) {
        this.#directory.unlink(FAILURE);
      }
      this.#said = undefined;
    } catch (error) {
      if (!(error instanceof SysError)) throw error;
    }
  }

  /** What an earlier run left: the processor may still fail for that reason. */
  #read(): Failure | undefined {
    if (this.#directory.stat(FAILURE) === undefined) return undefined;
    const fd = this.#directory.open(FAILURE, "read");
    try {
      const buffer = new Uint8Array(2 * LONGEST);
      const n = Math.max(read(fd, buffer), 0);
      return parseFailure(latin1(buffer.subarray(0, n)));
    } finally {
      close(fd);
    }
  }
}

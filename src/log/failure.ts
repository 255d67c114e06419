/**
 * Why a log's processor fails, and since when: in the file `failure`, while it
 * does, for who looks at the log. Nothing else depends on it, so it isn't
 * synced, and where it can't be written it isn't there.
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
/** How many bytes of a cause are of use to anybody. */
const LONGEST = 500;

/** What it says. */
export interface Failure {
  /** When the processor failed first since it succeeded. */
  readonly since: Moment;
  /** Why it failed last, in words. */
  readonly cause: string;
}

/**
 * Reads what such a file says.
 *
 * @param text Its text
 * @returns What it says; `undefined` where it isn't whole
 */
export function parseFailure(text: string): Failure | undefined {
  const since = parseLabel(text.slice(0, LABEL_LENGTH));
  if (since === undefined || !text.endsWith("\n")) return undefined;
  return { since, cause: text.slice(LABEL_LENGTH + 1, -1) };
}

/** The file of one log. */
export class FailureFile {
  readonly #directory: Directory;
  /** What it says; `undefined` for nothing, `null` while nobody has looked. */
  #said: Failure | undefined | null = null;

  constructor(directory: Directory) {
    this.#directory = directory;
  }

  /** The processor has failed. It is written only when that is news. */
  say(cause: string): void {
    const line = cause.slice(0, LONGEST).replaceAll("\n", " ");
    try {
      const before = this.#said ??= this.#read();
      if (before?.cause === line) return;
      const since = before?.since ?? readClock();
      // Who has the former one open has read it, or reads on.
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

  /** It has succeeded, or nothing waits for it any more. */
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

  /** What an earlier run has left: it may have failed for the same reason. */
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

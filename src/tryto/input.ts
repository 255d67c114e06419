/**
 * Input that can be read more than once.
 *
 * @module
 */
import type { Bytes } from "../bytes.ts";
import { close, read, seek, write } from "../sys/descriptors.ts";
import { getenv } from "../sys/environment.ts";
import { SysError } from "../sys/errors.ts";
import { tmpfile } from "../sys/files.ts";

/** How many bytes of input that can't be rewound are kept in memory. */
export const KEPT_IN_MEMORY = 4 * 1024 * 1024;

/** What can be read from its start again: a file, or what is kept of a pipe. */
export interface Input extends Disposable {
  /**
   * The descriptor on which a read may have to wait; -1 when the next read
   * returns at once.
   */
  readonly waits: number;

  /**
   * Reads what is there.
   *
   * @param buffer Where the bytes go
   * @returns How many bytes; 0 at the end
   * @throws {InputError} When it can't be read
   */
  read(buffer: Bytes): number;

  /**
   * Goes back to where the input was when it was opened.
   *
   * @throws {InputError} When it can't
   */
  rewind(): void;

  /** Closes what it has opened itself. */
  [Symbol.dispose](): void;
}

/** Input that can't be read (again); the message is the whole story. */
export class InputError extends Error {
  override name = "InputError";
}

/**
 * Makes an open descriptor an input.
 *
 * @param fd The descriptor
 * @param number What messages call it
 * @param warn Told what goes wrong while nothing is lost by it
 * @returns The input; that of a file begins where the file stands now, so that
 * what somebody else has read of it before is no part of it
 */
export function openInput(
  fd: number,
  number: number,
  warn: (...parts: readonly unknown[]) => void,
): Input {
  let start: number;
  try {
    start = seek(fd, 0, "here");
  } catch (error) {
    if (!(error instanceof SysError)) throw error;
    return new KeptInput(fd, number, warn);
  }
  return {
    waits: -1,
    read: (buffer) => mustRead(fd, number, buffer),
    rewind: () => mustSeek(fd, number, start),
    [Symbol.dispose]: () => {},
  };
}

function mustRead(fd: number, name: number, buffer: Bytes): number {
  const n = read(fd, buffer);
  if (n >= 0) return n;
  const { message } = new SysError(-n);
  throw new InputError(`unable to read descriptor ${name}: ${message}`);
}

function mustSeek(fd: number, name: number, offset: number): void {
  try {
    seek(fd, offset);
  } catch (error) {
    if (!(error instanceof SysError)) throw error;
    throw new InputError(`unable to lseek fd ${name}: ${error.message}`);
  }
}

/**
 * A pipe's, a socket's or a terminal's input, kept aside while it is read: the
 * oldest of it in a file without a name, the newest in memory. What never
 * grows beyond {@linkcode KEPT_IN_MEMORY} makes no file. Where the file can't
 * be made or its disk is full, memory grows: more than it should, but the log
 * may be nowhere else.
 */
class KeptInput implements Input {
  readonly #fd: number;
  readonly #number: number;
  readonly #warn: (...parts: readonly unknown[]) => void;
  #file = -1;
  #fileFailed = false;
  #memory: Bytes = new Uint8Array(64 * 1024);
  /** How much of the memory is filled. */
  #length = 0;
  /** How much of the memory has been read since the last rewind. */
  #at = 0;
  /** Whether there is something in the file that is to be read again. */
  #inFile = false;
  #ended = false;

  constructor(
    fd: number,
    number: number,
    warn: (...parts: readonly unknown[]) => void,
  ) {
    this.#fd = fd;
    this.#number = number;
    this.#warn = warn;
  }

  get waits(): number {
    const again = this.#inFile || this.#at < this.#length || this.#ended;
    return again ? -1 : this.#fd;
  }

  read(buffer: Bytes): number {
    if (this.#inFile) {
      const n = mustRead(this.#file, this.#number, buffer);
      if (n > 0) return n;
      this.#inFile = false;
    }
    if (this.#at < this.#length) {
      const end = Math.min(this.#length, this.#at + buffer.length);
      const part = this.#memory.subarray(this.#at, end);
      buffer.set(part);
      this.#at = end;
      return part.length;
    }
    if (this.#ended) return 0;
    const n = mustRead(this.#fd, this.#number, buffer);
    if (n === 0) this.#ended = true;
    else this.#keep(buffer.subarray(0, n));
    return n;
  }

  rewind(): void {
    this.#at = 0;
    if (this.#file < 0) return;
    mustSeek(this.#file, this.#number, 0);
    this.#inFile = true;
  }

  #keep(bytes: Bytes): void {
    if (this.#length + bytes.length > KEPT_IN_MEMORY) this.#moveToFile();
    const needed = this.#length + bytes.length;
    if (needed > this.#memory.length) {
      let size = this.#memory.length;
      while (size < needed) size *= 2;
      const larger = new Uint8Array(size);
      larger.set(this.#memory.subarray(0, this.#length));
      this.#memory = larger;
    }
    this.#memory.set(bytes, this.#length);
    this.#length = needed;
    this.#at = needed;
  }

  /** What comes new was read last, so the file stands at its end by now. */
  #moveToFile(): void {
    if (this.#fileFailed) return;
    let moved = 0;
    try {
      if (this.#file < 0) this.#file = tmpfile(folder());
      while (moved < this.#length) {
        const n = write(this.#file, this.#memory.subarray(moved, this.#length));
        if (n < 0) throw new SysError(-n);
        moved += n;
      }
    } catch (error) {
      if (!(error instanceof SysError)) throw error;
      this.#fileFailed = true;
      this.#warn(
        "unable to keep input in a temporary file, keeping it in memory: ",
        error,
      );
    }
    this.#memory.copyWithin(0, moved, this.#length);
    this.#length -= moved;
  }

  /** Closes the file. */
  [Symbol.dispose](): void {
    if (this.#file >= 0) close(this.#file);
  }
}

function folder(): string | Uint8Array {
  const given = getenv("TMPDIR");
  return given?.length ? given : "/tmp";
}

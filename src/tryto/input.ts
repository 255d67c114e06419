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

/** How many bytes of a pipe's input are kept in memory at the most. */
export const KEPT_IN_MEMORY = 4 * 1024 * 1024;

/**
 * Input that can be read again from its start: a file; or a pipe, of which
 * everything that was read is kept.
 */
export interface Input extends Disposable {
  /**
   * The descriptor that the next read may have to wait for; -1 when it returns
   * at once.
   */
  readonly waits: number;

  /**
   * Reads what has arrived.
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

  /** Closes the temporary file, but not the descriptor itself. */
  [Symbol.dispose](): void;
}

/**
 * Input can't be read or rewound; the message is fit to be printed as it is.
 */
export class InputError extends Error {
  override name = "InputError";
}

/**
 * Makes an input of an open descriptor.
 *
 * @param fd The descriptor
 * @param number The number by which messages call it
 * @param warn Called with a message about trouble by which nothing is lost
 * @returns The input. A file's begins at its present offset: what another
 * program has read of the file before is no part of it
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
    read: (buffer) => readOrThrow(fd, number, buffer),
    rewind: () => seekOrThrow(fd, number, start),
    [Symbol.dispose]: () => {},
  };
}

function readOrThrow(fd: number, name: number, buffer: Bytes): number {
  const n = read(fd, buffer);
  if (n >= 0) return n;
  const { message } = new SysError(-n);
  throw new InputError(`unable to read descriptor ${name}: ${message}`);
}

function seekOrThrow(fd: number, name: number, offset: number): void {
  try {
    seek(fd, offset);
  } catch (error) {
    if (!(error instanceof SysError)) throw error;
    throw new InputError(`unable to lseek fd ${name}: ${error.message}`);
  }
}

/**
 * The input from a pipe, a socket or a terminal. All that is read is kept: the
 * oldest bytes in a file without a name, the newest in memory. An input of at
 * most {@linkcode KEPT_IN_MEMORY} bytes needs no file. When the file can't be
 * made, or its disk is full, all is kept in memory, however much it is, since
 * the log may exist nowhere else.
 */
class KeptInput implements Input {
  readonly #fd: number;
  readonly #number: number;
  readonly #warn: (...parts: readonly unknown[]) => void;
  #file = -1;
  #fileFailed = false;
  #memory: Bytes = new Uint8Array(64 * 1024);
  /** How many bytes of the memory are filled. */
  #length = 0;
  /** How many of them have been read since the last rewind. */
  #at = 0;
  /** Whether the file hasn't been read to its end since the last rewind. */
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
      const n = readOrThrow(this.#file, this.#number, buffer);
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
    const n = readOrThrow(this.#fd, this.#number, buffer);
    if (n === 0) this.#ended = true;
    else this.#keep(buffer.subarray(0, n));
    return n;
  }

  rewind(): void {
    this.#at = 0;
    if (this.#file < 0) return;
    seekOrThrow(this.#file, this.#number, 0);
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

  /**
   * Appends the memory's bytes to the file. Its offset is at its end: new input
   * is read only after all of the file has been read again.
   */
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

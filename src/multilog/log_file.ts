/**
 * A file of a log, for reading; unpacked where a processor has compressed it.
 *
 * @module
 */
import { type Bytes, fromLatin1, latin1, NEWLINE } from "../bytes.ts";
import { close, pipe, read, seek } from "../sys/descriptors.ts";
import { environ } from "../sys/environment.ts";
import { SysError } from "../sys/errors.ts";
import { open, stat } from "../sys/files.ts";
import { spawn, waitFor } from "../sys/process.ts";
import { isOld, isUnprocessed } from "../log/names.ts";

/** How compressed files begin, and the programs that unpack them. */
const PACKINGS: readonly [start: readonly number[], program: string][] = [
  [[0x1f, 0x8b], "gzip"],
  [[0x28, 0xb5, 0x2f, 0xfd], "zstd"],
];
/** The same of those that aren't unpacked. */
const FOREIGN: readonly [start: readonly number[], what: string][] = [
  [[0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00], "xz"],
  [[0x42, 0x5a, 0x68, 0x39, 0x31, 0x41, 0x59], "bzip2"],
  [[0x04, 0x22, 0x4d, 0x18], "lz4"],
];
/** What stands for a beginning that nobody sees: a name's end. */
const ENDS: readonly [end: string, program: string][] = [
  [".gz", "gzip"],
  [".zst", "zstd"],
];
const SIGHT = 8;
const CHUNK = 64 * 1024;

function startsWith(bytes: Uint8Array, start: readonly number[]): boolean {
  return start.every((byte, i) => bytes[i] === byte);
}

/** An open file of a log. */
export class LogFile {
  /** The open file, packed as it may be. */
  readonly fd: number;
  /** The file's identity: that of its inode. */
  readonly identity: string;
  /** The program that unpacks it; `undefined` where it is read as it is. */
  readonly packing: string | undefined;
  #unpacking: Unpacking | undefined;
  /** Why nothing more of it can be read; `undefined` while nothing is wrong. */
  failure: string | undefined;

  private constructor(
    fd: number,
    identity: string,
    packing: string | undefined,
    failure: string | undefined,
  ) {
    this.fd = fd;
    this.identity = identity;
    this.packing = packing;
    this.failure = failure;
  }

  /**
   * Opens a file.
   *
   * @param name Its name, a byte for each character
   * @param directory The open directory
   * @returns The file; `undefined` where there is none
   * @throws {SysError} When it can't be opened
   */
  static open(name: string, directory: number): LogFile | undefined {
    let fd: number;
    try {
      fd = open(fromLatin1(name), "read", 0, directory);
    } catch (error) {
      if (error instanceof SysError && error.code === "ENOENT") {
        return undefined;
      }
      throw error;
    }
    const { identity, isFile, size } = stat("", fd)!;
    if (!isFile) return new LogFile(fd, identity, undefined, "not a file");
    if (!isOld(name) || isUnprocessed(name) || size === 0) {
      return new LogFile(fd, identity, undefined, undefined);
    }
    const bytes = new Uint8Array(SIGHT);
    const start = bytes.subarray(0, Math.max(read(fd, bytes), 0));
    seek(fd, 0);
    const packing = PACKINGS.find(([magic]) => startsWith(start, magic)) ??
      ENDS.find(([end]) => name.endsWith(end));
    const foreign = FOREIGN.find(([magic]) => startsWith(start, magic));
    return new LogFile(
      fd,
      identity,
      packing?.[1],
      foreign && `compressed with ${foreign[1]}`,
    );
  }

  /**
   * Reads on.
   *
   * @param buffer Where the bytes go
   * @returns How many there are; 0 at the end, or where something is wrong:
   * see {@linkcode LogFile.failure}
   * @throws {SysError} When the disk fails
   */
  read(buffer: Bytes): number {
    if (this.failure !== undefined) return 0;
    if (this.packing === undefined) {
      const n = read(this.fd, buffer);
      if (n < 0) throw new SysError(-n);
      return n;
    }
    try {
      this.#unpacking ??= new Unpacking(this.packing, this.fd);
    } catch (error) {
      if (!(error instanceof SysError)) throw error;
      this.failure = `unable to run ${this.packing}: ${error.message}`;
      return 0;
    }
    const n = this.#unpacking.read(buffer);
    if (n === 0) this.failure = this.#unpacking.failure();
    return n;
  }

  /**
   * Reads to the beginning of its last lines.
   *
   * @param lines How many lines
   * @returns How many of them it doesn't have
   * @throws {SysError} When the disk fails
   */
  toLastLines(lines: number): number {
    if (lines === Infinity || this.failure !== undefined) return lines;
    return this.packing === undefined
      ? toLastLines(this.fd, lines)
      : this.#toLastPacked(lines);
  }

  #toLastPacked(lines: number): number {
    const buffer = new Uint8Array(CHUNK);
    // It is unpacked twice: what it was may not fit into memory.
    const total = this.#count(buffer, Infinity).lines;
    this.#restart();
    if (lines < total) {
      const { rest } = this.#count(buffer, total - lines);
      this.#unpacking?.unread(rest);
    }
    return Math.max(lines - total, 0);
  }

  /** Reads so many lines, and to the end of what came with the last of them. */
  #count(buffer: Bytes, most: number): { lines: number; rest: Bytes } {
    let lines = 0;
    let within = false;
    let n: number;
    while ((n = this.read(buffer)) > 0) {
      for (let at = 0; at < n;) {
        const newline = buffer.subarray(0, n).indexOf(NEWLINE, at);
        within = newline < 0;
        if (within) break;
        at = newline + 1;
        if (++lines === most) return { lines, rest: buffer.slice(at, n) };
      }
    }
    return { lines: within ? lines + 1 : lines, rest: buffer.slice(0, 0) };
  }

  #restart(): void {
    this.#unpacking?.close();
    this.#unpacking = undefined;
    this.failure = undefined;
    seek(this.fd, 0);
  }

  /** Closes it. */
  close(): void {
    this.#unpacking?.close();
    close(this.fd);
  }
}

/** A program that unpacks a file. */
class Unpacking {
  readonly #program: string;
  readonly #output: number;
  readonly #errors: number;
  /** What was read, and is to be read again. */
  #unread: Bytes = new Uint8Array(0);

  /** @throws {SysError} When the program can't be started */
  constructor(program: string, file: number) {
    this.#program = program;
    const output = pipe();
    const errors = pipe();
    try {
      const pid = spawn({
        args: [program, "-dc"],
        env: environ(),
        fds: new Map([[0, file], [1, output.writer], [2, errors.writer]]),
      });
      // How it ended it says itself.
      waitFor(pid).catch(() => {});
    } catch (error) {
      close(output.reader);
      close(errors.reader);
      throw error;
    } finally {
      close(output.writer);
      close(errors.writer);
    }
    this.#output = output.reader;
    this.#errors = errors.reader;
  }

  read(buffer: Bytes): number {
    if (this.#unread.length > 0) {
      const n = Math.min(this.#unread.length, buffer.length);
      buffer.set(this.#unread.subarray(0, n));
      this.#unread = this.#unread.subarray(n);
      return n;
    }
    const n = read(this.#output, buffer);
    if (n < 0) throw new SysError(-n);
    return n;
  }

  unread(bytes: Bytes): void {
    this.#unread = bytes;
  }

  /** What it has complained of, at its end; one line. */
  failure(): string | undefined {
    const buffer = new Uint8Array(CHUNK);
    let text = "";
    let n: number;
    while ((n = read(this.#errors, buffer)) > 0) {
      text += latin1(buffer.subarray(0, n));
    }
    const line = text.split("\n").find((line) => line.trim() !== "");
    if (line === undefined) return undefined;
    const name = `${this.#program}: `;
    return line.startsWith(name) ? line : `${name}${line}`;
  }

  close(): void {
    close(this.#output);
    close(this.#errors);
  }
}

/**
 * Moves to the beginning of the last lines of a file.
 *
 * @returns How many lines it doesn't have
 */
function toLastLines(fd: number, lines: number): number {
  const { size } = stat("", fd)!;
  if (lines === 0) seek(fd, size);
  if (lines === 0 || size === 0) return lines;
  const buffer = new Uint8Array(CHUNK);
  for (let end = size; end > 0;) {
    const from = Math.max(end - CHUNK, 0);
    seek(fd, from);
    let length = 0;
    let n: number;
    while (
      length < end - from &&
      (n = read(fd, buffer.subarray(length, end - from))) > 0
    ) length += n;
    const bytes = buffer.subarray(0, length);
    for (
      let at = bytes.lastIndexOf(NEWLINE);
      at >= 0;
      at = at === 0 ? -1 : bytes.lastIndexOf(NEWLINE, at - 1)
    ) {
      // The newline that ends the last line doesn't begin another one.
      if (from + at === size - 1 || --lines > 0) continue;
      seek(fd, from + at + 1);
      return 0;
    }
    end = from;
  }
  seek(fd, 0);
  return lines - 1;
}

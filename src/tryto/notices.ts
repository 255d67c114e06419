/**
 * Notices: what `tryto -p` writes about a log that it keeps. They go to the log
 * server before the next log that can be sent. Until then each run finds them
 * on descriptor 4 and, when its log can't be sent either, leaves them on 5
 * again with its own.
 *
 * @module
 */
import { type Bytes, encode, fromLatin1, latin1 } from "../bytes.ts";
import { close, ftruncate, read, seek, write } from "../sys/descriptors.ts";
import { SysError } from "../sys/errors.ts";
import { open, readlink, stat } from "../sys/files.ts";
import { label, parseLabel } from "../tai64n.ts";
import type { Input } from "./input.ts";

/** The most bytes of notices that are kept; beyond, the middle is left out. */
export const NOTICES_MAX: number = 64 * 1024;

const LEFT_OUT = /^tryto: warning: (\d+) bytes of notices left out\n/m;
/** More bytes than a line has that says how many were left out. */
const LINE = 128;
const HALF = NOTICES_MAX / 2 - LINE;

/**
 * Collects notices. Of more than {@linkcode NOTICES_MAX} bytes it keeps the
 * beginning and the end, and between them a line that says how many bytes were
 * left out. When the notices added contain such a line already, its number is
 * added to the new one's.
 */
export class Notices {
  #first = "";
  #last = "";
  #length = 0;

  /**
   * Adds notices.
   *
   * @param bytes Their bytes; the caller may reuse the memory
   */
  add(bytes: Uint8Array): void {
    const text = latin1(bytes);
    const room = NOTICES_MAX - this.#first.length;
    this.#first += text.slice(0, room);
    if (text.length >= HALF) this.#last = text.slice(-HALF);
    else this.#last = (this.#last + text).slice(-HALF);
    this.#length += text.length;
  }

  /**
   * Counts bytes that the caller leaves out itself. It must have added at least
   * {@linkcode NOTICES_MAX} bytes before them, and add as many after them.
   *
   * @param length How many bytes
   */
  skip(length: number): void {
    this.#length += length;
  }

  /**
   * Adds the rest of an input, up to the first byte that would have to be
   * waited for.
   *
   * @throws {InputError} When it can't be read
   */
  addAll(input: Pick<Input, "read" | "waits">): void {
    const buffer = new Uint8Array(NOTICES_MAX);
    while (input.waits < 0) {
      const n = input.read(buffer);
      if (n === 0) return;
      this.add(buffer.subarray(0, n));
    }
  }

  /**
   * The notices, the middle left out if need be.
   *
   * @returns At most {@linkcode NOTICES_MAX} bytes
   */
  bytes(): Bytes {
    if (this.#length <= NOTICES_MAX) return fromLatin1(this.#first);
    const cut = LEFT_OUT.exec(this.#first);
    let first = this.#first.slice(0, HALF);
    if (cut !== null && cut.index <= HALF) first = first.slice(0, cut.index);
    else first = first.slice(0, first.lastIndexOf("\n") + 1) || first + "\n";
    const last = this.#last.slice(this.#last.indexOf("\n") + 1) || this.#last;
    const between = this.#length - first.length - last.length;
    const earlier = cut === null || cut.index > first.length
      ? 0
      : Number(cut[1]) - cut[0].length;
    return fromLatin1(
      `${first}tryto: warning: ${between + earlier} bytes of notices ` +
        `left out\n${last}`,
    );
  }
}

/**
 * Words the notice of a log that is kept.
 *
 * @param bytes How many bytes the log has
 * @param log The descriptor of its file
 * @param directory The open directory that the file is in; by default the
 * working directory
 * @param reason Why the log is kept
 * @returns The text after `tryto: warning: `
 */
export function keptMessage(
  bytes: number,
  log: number,
  directory: number | undefined,
  reason: string,
): string {
  const place = nameOf(directory === undefined ? "cwd" : `fd/${directory}`);
  const info = stat("", log);
  const seconds = Math.floor(info?.mtime ?? 0);
  const nanoseconds = Math.round(((info?.mtime ?? 0) - seconds) * 1e9);
  // A file that waits for its processor has its timestamp as its name.
  const own = nameOf(`fd/${log}`).replace(/.*\//s, "").slice(0, 25);
  const file = parseLabel(own) === undefined
    ? label({ seconds, nanoseconds: Math.min(nanoseconds, 999_999_999) })
    : own;
  const since = new Date(seconds * 1000).toISOString().replace(".000", "");
  return `kept ${bytes} bytes of ${place} ${file}, ` +
    `not sent since ${since}: ${reason}`;
}

/** The path of an open file, from `/proc`, without control characters. */
function nameOf(file: string): string {
  try {
    return latin1(readlink(`/proc/self/${file}`))
      // deno-lint-ignore no-control-regex
      .replace(/[\x00-\x1f\x7f]/g, "?");
  } catch (error) {
    if (!(error instanceof SysError)) throw error;
    return "?";
  }
}

/**
 * Leaves notices for the next run: first those that this run has found, then
 * what this run and prog have written to the descriptor, then one more. What a
 * file holds is replaced by all of these; to a pipe only the first and the last
 * are written, since what prog wrote has passed through it.
 *
 * @param fd The descriptor to leave them on
 * @param old The notices that this run has found; `undefined` when they were
 * sent
 * @param message The last notice
 * @returns Whether all could be written
 */
export function leaveNotices(
  fd: number,
  old: Input | undefined,
  message: string,
): boolean {
  const notices = new Notices();
  try {
    old?.rewind();
    if (old !== undefined) notices.addAll(old);
    if (stat("", fd)?.isFile) {
      addFile(notices, fd);
      notices.add(encode(message));
      ftruncate(fd, 0);
      seek(fd, 0);
    } else notices.add(encode(message));
    return writeWhole(fd, notices.bytes());
  } catch (error) {
    if (!(error instanceof SysError)) throw error;
    return false;
  }
}

/**
 * Adds the contents of a descriptor's file, which is opened once more since the
 * descriptor is for writing only. The middle of a large file isn't read: a
 * process that prog has left may go on writing to it.
 */
function addFile(notices: Notices, fd: number): void {
  const file = open(`/proc/self/fd/${fd}`, "read");
  try {
    const { size } = stat("", file)!;
    const buffer = new Uint8Array(NOTICES_MAX);
    for (let at = 0; at < size;) {
      const end = size - NOTICES_MAX;
      if (at >= NOTICES_MAX && at < end) {
        notices.skip(end - at);
        at = seek(file, end);
      }
      const n = read(file, buffer.subarray(0, size - at));
      if (n < 0) throw new SysError(-n);
      if (n === 0) return;
      notices.add(buffer.subarray(0, n));
      at += n;
    }
  } finally {
    close(file);
  }
}

function writeWhole(fd: number, bytes: Bytes): boolean {
  for (let at = 0; at < bytes.length;) {
    const n = write(fd, bytes.subarray(at));
    if (n <= 0) return false;
    at += n;
  }
  return true;
}

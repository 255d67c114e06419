/**
 * What the next transmission tells: that a log was kept, with all that has
 * been told nobody yet.
 *
 * @module
 */
import { type Bytes, encode, fromLatin1, latin1 } from "../bytes.ts";
import { close, ftruncate, read, seek, write } from "../sys/descriptors.ts";
import { SysError } from "../sys/errors.ts";
import { open, readlink, stat } from "../sys/files.ts";
import { label, parseLabel } from "../tai64n.ts";
import type { Input } from "./input.ts";

/** The most that is told, in bytes; of more the middle is left out. */
export const NOTICES_MAX: number = 64 * 1024;

const LEFT_OUT = /^tryto: warning: (\d+) bytes of notices left out\n/m;
/** No line of the above is longer. */
const LINE = 128;
const HALF = NOTICES_MAX / 2 - LINE;

/**
 * The beginning and the end of what is added, all of it while that isn't more
 * than {@linkcode NOTICES_MAX}; between them a line that counts what was left
 * out, now or, when one such line is in what is left out, before.
 */
export class Notices {
  #first = "";
  #last = "";
  #length = 0;

  /**
   * Adds something.
   *
   * @param bytes The bytes, which the caller may use again
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
   * Counts what was not read, as if it had been added. There is more than is
   * told before it, and comes after it.
   *
   * @param length How many bytes
   */
  skip(length: number): void {
    this.#length += length;
  }

  /**
   * Adds all of an input, from where it stands, while it needn't be waited
   * for.
   *
   * @param input The input
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
   * All of it, or what stands for it.
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
 * The message that a log is kept.
 *
 * @param bytes How many bytes it has
 * @param log The descriptor of its file
 * @param directory The open directory that it is in; the working directory
 * unless given
 * @param reason Why it is kept
 * @returns What follows `tryto: warning: `
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
  // multilog calls a file that waits for its processor by its time.
  const own = nameOf(`fd/${log}`).replace(/.*\//s, "").slice(0, 25);
  const file = parseLabel(own) === undefined
    ? label({ seconds, nanoseconds: Math.min(nanoseconds, 999_999_999) })
    : own;
  const since = new Date(seconds * 1000).toISOString().replace(".000", "");
  return `kept ${bytes} bytes of ${place} ${file}, ` +
    `not sent since ${since}: ${reason}`;
}

/** What `/proc` calls an open file, on one line. */
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
 * Replaces what a descriptor's file holds by what was told nobody yet, that
 * before it, and a last message after it. A descriptor that is no file's gets
 * the first and the last.
 *
 * @param fd The descriptor
 * @param old What was told nobody yet; `undefined` when all was
 * @param message What is added
 * @returns Whether it could be written
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
 * Adds what a descriptor's file holds now; it itself is for writing only. Of
 * one that is large, which somebody may go on writing to, the middle isn't read.
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

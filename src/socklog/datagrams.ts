/**
 * Makes lines of datagrams, by the rules of socklog(8).
 *
 * @module
 */
import { type Bytes, NEWLINE } from "../bytes.ts";
import type { FramerOptions } from "./framing.ts";
import { noPriority, type Priority, priority } from "./priorities.ts";

/** How many bytes of a datagram are read, as in the original. */
export const LONGEST_DATAGRAM = 1024;

const LESS = 0x3c;
const GREATER = 0x3e;
const DOT = 0x2e;
/** The longest `facility.priority: `, with room to spare. */
const LONGEST_WORDS = 32;

/**
 * How many bytes the lines of one datagram may have together.
 *
 * @param prefix The length of the prefix in bytes
 */
export function roomForDatagram(prefix: number): number {
  // At the worst each of its bytes is a line; `-r` prints it all once more.
  return LONGEST_DATAGRAM * (prefix + LONGEST_WORDS + 2) + LONGEST_DATAGRAM + 4;
}

/**
 * Makes lines of one datagram. NULs at its end are dropped; if it has no other
 * bytes it makes no line. A leading `<n>` becomes `facility.priority: `. A
 * datagram of {@linkcode LONGEST_DATAGRAM} bytes may have been cut off, and its
 * last line ends in `...`.
 *
 * A newline inside the datagram begins another line. The original prints that
 * line as it was sent, so that a sender can forge another host's line; here it
 * has the same prefix and priority as the first. Raw lines (`-r`, `-R`) have
 * neither prefix nor priority, as in the original.
 *
 * @param bytes The memory that the datagram is in; the byte after the datagram
 * is overwritten
 * @param at The offset of its first byte
 * @param length Its length in bytes
 * @param prefix What each line that isn't raw begins with
 * @param form The form of the lines
 * @param out The memory to put the lines into
 * @param to The offset to put them at, where {@linkcode roomForDatagram} bytes
 * are free
 * @returns The offset after the last line
 */
export function putDatagram(
  bytes: Bytes,
  at: number,
  length: number,
  prefix: Bytes,
  form: NonNullable<FramerOptions["form"]>,
  out: Bytes,
  to: number,
): number {
  while (length > 0 && bytes[at + length - 1] === 0) length--;
  if (length === 0) return to;
  const cut = length === LONGEST_DATAGRAM;
  const end = at + length;
  // This ends the search for a newline at the datagram's end.
  bytes[end] = NEWLINE;
  if (form !== "cooked") to = endLine(copy(bytes, at, end, out, to), cut, out);
  if (form === "raw") return to;
  const words = priorityOf(bytes, at, end);
  at += words.length;
  do {
    out.set(prefix, to);
    out.set(words.text, to + prefix.length);
    to += prefix.length + words.text.length;
    const stop = Math.min(bytes.indexOf(NEWLINE, at) + 1, end);
    to = copy(bytes, at, stop, out, to);
    at = stop;
  } while (at < end);
  return endLine(to, cut, out);
}

function copy(
  bytes: Bytes,
  from: number,
  end: number,
  out: Bytes,
  to: number,
): number {
  out.set(bytes.subarray(from, end), to);
  return to + end - from;
}

/** Ends the last line, unless it ends with a newline already. */
function endLine(to: number, cut: boolean, out: Bytes): number {
  if (to > 0 && out[to - 1] === NEWLINE) return to;
  if (cut) {
    out.fill(DOT, to, to + 3);
    to += 3;
  }
  out[to] = NEWLINE;
  return to + 1;
}

function priorityOf(bytes: Bytes, at: number, end: number): Priority {
  if (bytes[at] !== LESS) return noPriority;
  let number = 0;
  for (let i = 1; i < 5 && at + i < end; i++) {
    const byte = bytes[at + i]!;
    if (byte === GREATER) return i > 1 ? priority(number, i - 1) : noPriority;
    if (byte < 0x30 || byte > 0x39) return noPriority;
    number = number * 10 + byte - 0x30;
  }
  return noPriority;
}

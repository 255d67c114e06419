/**
 * Datagrams become lines, by the rules of socklog(8).
 *
 * @module
 */
import { type Bytes, NEWLINE } from "../bytes.ts";
import type { FramerOptions } from "./framing.ts";
import { noPriority, type Priority, priority } from "./priorities.ts";

/** Of a longer datagram, as in the original, only so many bytes are read. */
export const LONGEST_DATAGRAM = 1024;

const LESS = 0x3c;
const GREATER = 0x3e;
const DOT = 0x2e;
/** The longest `facility.priority: `, with room to spare. */
const LONGEST_WORDS = 32;

/**
 * How many bytes a datagram's lines may need.
 *
 * @param prefix How many bytes the prefix has
 */
export function roomForDatagram(prefix: number): number {
  // A line for each of its bytes, and once more all of it for `-r`.
  return LONGEST_DATAGRAM * (prefix + LONGEST_WORDS + 2) + LONGEST_DATAGRAM + 4;
}

/**
 * Puts out a datagram as lines. NULs at its end are dropped, and one that has
 * nothing else is no line. A leading `<n>` becomes `facility.priority: `. One
 * that reached the longest length may have been cut, and ends in `...`.
 *
 * A newline inside it begins a line of its own. In the original that line
 * stands there as it was sent, so a sender can make up another host's line;
 * here each has the same prefix and priority as the first. Raw lines (`-r`,
 * `-R`) have neither prefix nor priority, as in the original.
 *
 * @param bytes Where it is; the byte after it is overwritten
 * @param at The offset of its first byte
 * @param length How many bytes it has
 * @param prefix What each line begins with, but for raw ones
 * @param form How lines come out
 * @param out Where the lines go: {@linkcode roomForDatagram} bytes are free
 * @param to The offset of the first of them
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
  // No search for a newline goes on after it.
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

/** Ends the last line, unless its own newline has. */
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

/**
 * Where a log is cut into files. It depends on the bytes alone, not on how
 * many of them come at once.
 *
 * @module
 */
import { type Bytes, NEWLINE } from "../bytes.ts";

/** A file that ends in a newline may be this much smaller than its size. */
export const SLACK = 2000;

/**
 * Whether a file is big enough.
 *
 * @param length How many bytes it has
 * @param partial Whether it ends inside a line
 * @param size The size of the log's files
 * @returns Whether nothing more goes into it
 */
export function isBigEnough(
  length: number,
  partial: boolean,
  size: number,
): boolean {
  return length >= size || !partial && length >= size - SLACK;
}

/**
 * How much of some bytes goes into a file that isn't big enough yet: up to the
 * newline that makes it so, or as many as there is room for.
 *
 * @param bytes Where they are
 * @param from The offset of the first
 * @param to The offset after the last
 * @param length How many bytes the file has
 * @param size The size of the log's files
 * @param least How many bytes are enough for a file that ends in a newline
 * @returns The offset after the last that goes into the file
 */
export function cut(
  bytes: Bytes,
  from: number,
  to: number,
  length: number,
  size: number,
  least: number = size - SLACK,
): number {
  const end = Math.min(to, from + size - length);
  // The newline itself is the last byte of what is enough.
  const first = from + Math.max(least - length - 1, 0);
  if (first >= end) return end;
  const newline = bytes.subarray(first, end).indexOf(NEWLINE);
  return newline < 0 ? end : first + newline + 1;
}

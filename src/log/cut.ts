/**
 * Where a log's lines are cut into files. That depends on the bytes alone, not
 * on how many of them come in one read.
 *
 * @module
 */
import { type Bytes, NEWLINE } from "../bytes.ts";

/**
 * A file that ends in a newline is big enough when it is smaller than the log's
 * size by this many bytes, or by fewer.
 */
export const SLACK = 2000;

/**
 * Whether a file is big enough to be finished.
 *
 * @param length How many bytes it has
 * @param partial Whether it ends inside a line
 * @param size The size of the log's files
 */
export function isBigEnough(
  length: number,
  partial: boolean,
  size: number,
): boolean {
  return length >= size || !partial && length >= size - SLACK;
}

/**
 * How many of the next bytes go into a file that isn't big enough yet: those up
 * to the first newline that makes it big enough, or as many as it has room for.
 *
 * @param bytes The array that the next bytes are in
 * @param from The offset of the first of them
 * @param to The offset after the last of them
 * @param length How many bytes the file has
 * @param size The size of the log's files
 * @param least How many bytes make a file big enough that ends in a newline
 * @returns The offset after the last byte that goes into the file
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
  // The newline itself counts: it may be the last of the `least` bytes.
  const first = from + Math.max(least - length - 1, 0);
  if (first >= end) return end;
  const newline = bytes.subarray(first, end).indexOf(NEWLINE);
  return newline < 0 ? end : first + newline + 1;
}

/**
 * Writing all of a message, or of something else that is small.
 *
 * @module
 */
import { EAGAIN, write } from "./descriptors.ts";
import { SysError } from "./errors.ts";
import { Readiness, WRITABLE } from "./poll.ts";

/**
 * Writes all of some bytes to a descriptor. When a write has to wait, this
 * thread waits, and the event loop with it.
 *
 * @returns The error that stopped it, or `undefined` when all was written
 */
export function writeAll(
  fd: number,
  bytes: Uint8Array<ArrayBuffer>,
): SysError | undefined {
  let at = 0;
  while (at < bytes.length) {
    const n = write(fd, at === 0 ? bytes : bytes.subarray(at));
    if (n >= 0) at += n;
    else if (n !== -EAGAIN) return new SysError(-n);
    else new Readiness(fd, WRITABLE).ready(-1);
  }
  return undefined;
}

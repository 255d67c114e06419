/**
 * Writing all of something, for messages and other small things.
 *
 * @module
 */
import { EAGAIN, write } from "./descriptors.ts";
import { SysError } from "./errors.ts";
import { Readiness, WRITABLE } from "./poll.ts";

/**
 * Writes all of something to a descriptor. Where a write has to wait, this
 * thread, and the event loop with it, stands still.
 *
 * @returns What kept them from being written, or `undefined` when all were
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

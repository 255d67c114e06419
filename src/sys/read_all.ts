/**
 * Reading all of a file that is small.
 *
 * @module
 */
import { read } from "./descriptors.ts";
import { SysError } from "./errors.ts";

/**
 * Reads a descriptor up to its end.
 *
 * @param size The expected number of bytes; there may be more or fewer
 * @throws {SysError} When it can't be read
 */
export function readAll(fd: number, size = 65536): Uint8Array<ArrayBuffer> {
  let buffer = new Uint8Array(size + 1);
  let length = 0;
  while (true) {
    const n = read(fd, buffer.subarray(length));
    if (n < 0) throw new SysError(-n);
    if (n === 0) return buffer.subarray(0, length);
    length += n;
    if (length < buffer.length) continue;
    const larger = new Uint8Array(2 * length);
    larger.set(buffer);
    buffer = larger;
  }
}

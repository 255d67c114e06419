/**
 * `errno`, where the C library leaves the reason of a call's failure.
 *
 * @module
 */
import { SysError } from "./errors.ts";
import { load } from "./libc.ts";

const { location } = load({
  location: { name: "__errno_location", parameters: [], result: "pointer" },
});
/** This program's one JavaScript thread has one, so it is located once. */
const errno = new Deno.UnsafePointerView(location()!);

/**
 * The error number of the synchronous call that has just failed. It holds
 * only until the next call into the C library.
 */
export function lastErrno(): number {
  return errno.getInt32(0);
}

/**
 * Turns a failed call into an exception.
 *
 * @param result What the call returned
 * @returns The same, when it is not negative
 * @throws {SysError} When it is negative
 */
export function check(result: number): number {
  if (result < 0) throw new SysError(lastErrno());
  return result;
}

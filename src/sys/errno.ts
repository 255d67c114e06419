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
/** Each thread has its own; all of JavaScript here runs in one thread. */
const errno = new Deno.UnsafePointerView(location()!);

/**
 * The error number of the synchronous call that has just failed. The next call
 * into the C library may change it.
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

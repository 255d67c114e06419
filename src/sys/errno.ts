/**
 * `errno`, where the C library leaves the reason of a call's failure.
 *
 * @module
 */
import { errorNumber, SysError } from "./errors.ts";
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

// What V8 does when it first meets a function may change `errno`: not where the
// number matters.
lastErrno();

const EINTR = errorNumber("EINTR");
const ENOENT = errorNumber("ENOENT");
let repeated = false;

/**
 * Whether a call that can't fail with `ENOENT` is to be made again: a signal has
 * interrupted it, or the number isn't that call's.
 *
 * When a thread first has to wait for one of V8's locks, once in a process, it
 * looks for the processor's frequency in a file that few machines have
 * (`tsc_freq_khz` in Abseil's `sysinfo.cc`). Where that comes between a call and
 * the look at `errno`, `ENOENT` is what is found there.
 *
 * @param errno The error number
 * @returns `true` for `EINTR`, and once for `ENOENT`
 */
export function isToBeRepeated(errno: number): boolean {
  if (errno !== ENOENT || repeated) return errno === EINTR;
  return repeated = true;
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

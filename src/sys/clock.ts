/**
 * The time of day, with nanoseconds.
 *
 * @module
 */
import { load } from "./libc.ts";

const lib = load({
  clock_gettime: { parameters: ["i32", "buffer"], result: "i32" },
});

const REALTIME = 0;
const words = new Uint32Array(4);
const bytes = new Uint8Array(words.buffer);

/**
 * A moment: seconds since 1970, and nanoseconds.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 *
 * const moment: Moment = readClock();
 * assert(moment.nanoseconds < 1e9);
 * ```
 */
export interface Moment {
  /** Whole seconds since 1970-01-01 00:00:00 UTC, leap seconds not counted. */
  seconds: number;
  /** Nanoseconds of the second, 0 to 999999999. */
  nanoseconds: number;
}

/**
 * Reads the time of day. It may be earlier than the last one read, when
 * somebody has set the clock back.
 *
 * @param moment The object to fill in, so that a hot path allocates none
 * @returns The same object
 */
export function readClock(
  moment: Moment = { seconds: 0, nanoseconds: 0 },
): Moment {
  lib.clock_gettime(REALTIME, bytes);
  moment.seconds = words[0]! + words[1]! * 0x100000000;
  moment.nanoseconds = words[2]!;
  return moment;
}

/**
 * Local time: what the machine, or `$TZ`, says.
 *
 * @module
 */
import { load } from "./libc.ts";

const lib = load({
  tzset: { parameters: [], result: "void" },
  localtime_r: { parameters: ["buffer", "buffer"], result: "pointer" },
  mktime: { parameters: ["buffer"], result: "i64" },
});

/** A moment as calendars and clocks show it. */
export interface LocalTime {
  /** The year. */
  year: number;
  /** The month, 1 to 12. */
  month: number;
  /** The day of the month, from 1. */
  day: number;
  /** The hour, 0 to 23. */
  hour: number;
  /** The minute, 0 to 59. */
  minute: number;
  /** The second, 0 to 59; 60 where a zone counts leap seconds. */
  second: number;
}

const time = new BigInt64Array(1);
const timeBytes = new Uint8Array(time.buffer);
/** `struct tm` begins with six numbers; it has 56 bytes. */
const fields = new Int32Array(16);
const fieldBytes = new Uint8Array(fields.buffer);
let zoneKnown = false;

/**
 * Turns seconds into local time.
 *
 * @param seconds Whole seconds since 1970-01-01 00:00:00 UTC
 * @returns The local time, or `undefined` where no calendar goes so far
 */
export function localTime(seconds: number): LocalTime | undefined {
  // Only `localtime` itself has to look for the zone without being asked.
  if (!zoneKnown) lib.tzset();
  zoneKnown = true;
  time[0] = BigInt(seconds);
  if (lib.localtime_r(timeBytes, fieldBytes) === null) return undefined;
  const [second, minute, hour, day, month, year] = fields as unknown as [
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  return { year: year + 1900, month: month + 1, day, hour, minute, second };
}

/**
 * Turns local time into seconds. Of two moments that clocks show alike, in
 * autumn, it is the C library's choice.
 *
 * @param local The local time
 * @returns Whole seconds since 1970-01-01 00:00:00 UTC, or `undefined` where
 * no calendar has it
 */
export function secondsOf(local: LocalTime): number | undefined {
  const { year, month, day, hour, minute, second } = local;
  fields.set([second, minute, hour, day, month - 1, year - 1900, 0, 0, -1]);
  const seconds = Number(lib.mktime(fieldBytes));
  // One second before 1970 looks like a failure, and nobody misses it.
  return seconds === -1 ? undefined : seconds;
}

/**
 * Local time, in the time zone of the machine or of `$TZ`.
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
/** `struct tm`: second, minute, hour, day, month, year, …; 56 bytes. */
const fields = new Int32Array(16);
const fieldBytes = new Uint8Array(fields.buffer);
let zoneKnown = false;

/**
 * Turns seconds into local time.
 *
 * @param seconds Whole seconds since 1970-01-01 00:00:00 UTC
 * @returns The local time, or `undefined` when the year doesn't fit into an int
 */
export function localTime(seconds: number): LocalTime | undefined {
  // localtime(3) would read the time zone by itself; localtime_r(3) needn't.
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
 * Turns local time into seconds. When clocks are put back in autumn an hour
 * comes twice; the C library chooses which of the two is meant.
 *
 * @param local The local time
 * @returns Whole seconds since 1970-01-01 00:00:00 UTC, or `undefined` when
 * mktime(3) fails
 */
export function secondsOf(local: LocalTime): number | undefined {
  const { year, month, day, hour, minute, second } = local;
  fields.set([second, minute, hour, day, month - 1, year - 1900, 0, 0, -1]);
  const seconds = Number(lib.mktime(fieldBytes));
  // The last second of 1969 looks like a failure, too; no log has it.
  return seconds === -1 ? undefined : seconds;
}

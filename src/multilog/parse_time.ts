/**
 * Moments, as people type them.
 *
 * @module
 */
import { readClock } from "../sys/clock.ts";
import { type LocalTime, localTime, secondsOf } from "../sys/local_time.ts";
import { LABEL_LENGTH, type Moment, parseLabel } from "../tai64n.ts";

const DATE = /^(\d{4})-(\d\d)-(\d\d)(?:[ T](?=\d)|$)/;
const CLOCK = /^(\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?(Z?)$/;
const SECONDS = /^(\d{9,11})(?:\.(\d{1,9}))?$/;

/**
 * Reads a moment: a TAI64N label; the seconds since 1970; or a date, a time of
 * day (today's), or both, in local time, or, with a `Z` at the end, in UTC.
 *
 * @param text The text
 * @returns The moment; `undefined` where it is none
 */
export function parseTime(text: string): Moment | undefined {
  if (text.startsWith("@")) {
    return text.length === LABEL_LENGTH ? parseLabel(text) : undefined;
  }
  const since = SECONDS.exec(text);
  if (since !== null) {
    return { seconds: Number(since[1]), nanoseconds: fraction(since[2]) };
  }
  const date = DATE.exec(text);
  const rest = date === null ? text : text.slice(date[0].length);
  const clock = CLOCK.exec(rest || "00:00");
  if (clock === null || date === null && rest === "") return undefined;
  const today = localTime(readClock().seconds)!;
  const [year, month, day] = date?.slice(1).map(Number) ??
    [today.year, today.month, today.day];
  const [hour, minute, second] = clock.slice(1, 4)
    .map((digits) => Number(digits ?? 0));
  const time = {
    year: year!,
    month: month!,
    day: day!,
    hour: hour!,
    minute: minute!,
    second: second!,
  };
  const utc = clock[5] === "Z";
  // In UTC, today is what it is there.
  if (utc && date === null) return undefined;
  if (!isTime(time)) return undefined;
  const seconds = utc
    ? Date.UTC(time.year, time.month - 1, time.day) / 1000 +
      3600 * time.hour + 60 * time.minute + time.second
    : secondsOf(time);
  if (seconds === undefined) return undefined;
  return { seconds, nanoseconds: fraction(clock[4]) };
}

function isTime(
  { year, month, day, hour, minute, second }: LocalTime,
): boolean {
  const days = new Date(Date.UTC(year, month, 0)).getUTCDate();
  return month >= 1 && month <= 12 && day >= 1 && day <= days &&
    hour < 24 && minute < 60 && second <= 60;
}

function fraction(digits: string | undefined): number {
  return Number((digits ?? "").padEnd(9, "0"));
}

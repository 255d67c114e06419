/**
 * The names and modes of a log's files.
 *
 * @module
 */
import { LABEL_LENGTH, type Moment, parseLabel } from "../tai64n.ts";

/** `current` while lines are written to it, and `state`. */
export const MODE_RUNNING = 0o644;
/** A file that is complete and on the disk. */
export const MODE_COMPLETE = 0o744;

const COMPLETE_BIT = 0o100;
/** Times in names that are taken seriously, in seconds since 1970. */
const LAST_SECOND = 2 ** 40;

/** The end of the name of a file that no processor has succeeded on. */
export const UNPROCESSED = "u";

/**
 * Whether a mode says that the file is complete and on the disk.
 *
 * @param mode The mode
 */
export function isComplete(mode: number): boolean {
  return (mode & COMPLETE_BIT) !== 0;
}

/**
 * Whether a name is an old file's.
 *
 * @param name The name
 */
export function isOld(name: string): boolean {
  return name.length >= LABEL_LENGTH && name[0] === "@";
}

/**
 * Whether a name is that of a file which no processor has succeeded on.
 *
 * @param name The name
 */
export function isUnprocessed(name: string): boolean {
  return isOld(name) && name.endsWith(`.${UNPROCESSED}`);
}

/**
 * The name that a processed file gets: its time, so that names sort in the
 * order in which the lines were written.
 *
 * @param name The waiting file's name
 * @param code The end of the other one
 * @returns The other one
 */
export function processedName(name: string, code: string): string {
  return `${name.slice(0, -UNPROCESSED.length)}${code}`;
}

/**
 * An old file's name without its end.
 *
 * @param name The name
 * @returns The label, and the dot
 */
export function stem(name: string): string {
  return name.slice(0, LABEL_LENGTH + 1);
}

/**
 * The time in an old file's name.
 *
 * @param name The name
 * @returns The time; `undefined` where it says none for which there is a next
 */
export function timeOf(name: string): Moment | undefined {
  const moment = parseLabel(name);
  return moment && moment.seconds < LAST_SECOND ? moment : undefined;
}

/**
 * Whether one moment is after another.
 *
 * @param a The one
 * @param b The other
 */
export function isLater(a: Moment, b: Moment): boolean {
  return a.seconds > b.seconds ||
    a.seconds === b.seconds && a.nanoseconds > b.nanoseconds;
}

/**
 * The time for the next old file: now, or, where the clock stands still or has
 * been set back, the smallest one that sorts after all that are there.
 *
 * @param now What the clock says
 * @param newest The largest time in the names that are there
 * @returns The time
 */
export function nextTime(now: Moment, newest: Moment): Moment {
  if (isLater(now, newest)) return now;
  const { seconds, nanoseconds } = newest;
  return nanoseconds >= 999999999
    ? { seconds: seconds + 1, nanoseconds: 0 }
    : { seconds, nanoseconds: nanoseconds + 1 };
}

/**
 * The names and modes of a log's files.
 *
 * @module
 */
import { LABEL_LENGTH, type Moment, parseLabel } from "../tai64n.ts";

/** `current` while lines are written to it, and `state`. */
export const MODE_RUNNING = 0o644;
/** A file that is complete, and synced to the disk. */
export const MODE_COMPLETE = 0o744;

const COMPLETE_BIT = 0o100;
/**
 * Names of this second or a later one, in seconds since 1970, count for no time:
 * no clock shows such a time, and there may be no greater name.
 */
const LAST_SECOND = 2 ** 40;

/** How a file's name ends until it has been synced, and processed if need be. */
export const UNPROCESSED = "u";

/**
 * Whether a file's mode says that it is complete and on the disk.
 */
export function isComplete(mode: number): boolean {
  return (mode & COMPLETE_BIT) !== 0;
}

/** Whether a name is an old file's. */
export function isOld(name: string): boolean {
  return name.length >= LABEL_LENGTH && name[0] === "@";
}

/** Whether a name is that of an old file that isn't synced or processed yet. */
export function isUnprocessed(name: string): boolean {
  return isOld(name) && name.endsWith(`.${UNPROCESSED}`);
}

/**
 * The name of what a waiting file becomes when it is processed. It has the same
 * time, so names sort in the order in which lines were written.
 *
 * @param name The waiting file's name
 * @param code What the new name ends in
 */
export function processedName(name: string, code: string): string {
  return `${name.slice(0, -UNPROCESSED.length)}${code}`;
}

/** An old file's name without its end: the label, and the dot. */
export function stem(name: string): string {
  return name.slice(0, LABEL_LENGTH + 1);
}

/**
 * The time in an old file's name.
 *
 * @returns The time; `undefined` when the name has none, or one that is too large
 * for another name to come after it
 */
export function timeOf(name: string): Moment | undefined {
  const moment = parseLabel(name);
  return moment && moment.seconds < LAST_SECOND ? moment : undefined;
}

/** Whether moment `a` is after moment `b`. */
export function isLater(a: Moment, b: Moment): boolean {
  return a.seconds > b.seconds ||
    a.seconds === b.seconds && a.nanoseconds > b.nanoseconds;
}

/**
 * The time for the next old file's name: now, or, when the clock stands still or
 * was set back, the smallest time that sorts after all names in the directory.
 *
 * @param now What the clock says
 * @param newest The largest time in a name in the directory
 */
export function nextTime(now: Moment, newest: Moment): Moment {
  if (isLater(now, newest)) return now;
  const { seconds, nanoseconds } = newest;
  return nanoseconds >= 999999999
    ? { seconds: seconds + 1, nanoseconds: 0 }
    : { seconds, nanoseconds: nanoseconds + 1 };
}

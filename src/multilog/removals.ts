/**
 * What a log's limits will remove next, and when, as `multilog --status` shows
 * it.
 *
 * @module
 */
import { timeOf } from "../log/names.ts";
import type { LogSettings } from "../log/settings.ts";
import { duration } from "./duration.ts";

/** The file that one of a log's limits removes next. */
export interface Removal {
  /** The limit's letter. */
  by: "n" | "b" | "k";
  /** The limit: files, bytes or seconds. */
  limit: number;
  /** The file's name. */
  file: string;
  /** After how many more files, bytes of finished files, or seconds. */
  after: number;
}

/** A log's old files. */
export interface Found {
  /** How many have been processed, or need not be, and their bytes. */
  readonly count: number;
  readonly bytes: number;
  /** How many wait, and their bytes. */
  readonly waiting: number;
  readonly waitingBytes: number;
  /** The first of those that may go, and the first of them without a byte. */
  readonly oldest: string | undefined;
  readonly empty: string | undefined;
}

/**
 * What is removed next.
 *
 * @param settings What the log's writer was told of it, where that is known
 * @param found The log's old files
 * @param now Seconds since 1970
 * @returns What each of its limits removes next
 */
export function nextRemovals(
  settings: Readonly<LogSettings> | undefined,
  found: Found,
  now: number,
): Removal[] {
  const { oldest } = found;
  if (settings === undefined || oldest === undefined) return [];
  const { keep, keepBytes, keepSeconds } = settings;
  const removals: Removal[] = [{
    by: "n",
    limit: keep,
    file: found.empty ?? oldest,
    after: Math.max(keep - found.count - found.waiting, 1),
  }];
  if (keepBytes !== undefined) {
    const left = keepBytes - found.bytes - found.waitingBytes;
    removals.push({
      by: "b",
      limit: keepBytes,
      file: oldest,
      after: Math.max(left, 0),
    });
  }
  const time = timeOf(oldest)?.seconds;
  if (keepSeconds !== undefined && time !== undefined) {
    removals.push({
      by: "k",
      limit: keepSeconds,
      file: oldest,
      after: Math.max(time + keepSeconds - now, 0),
    });
  }
  return removals;
}

/**
 * The same for people.
 *
 * @param removal What is removed
 * @returns Such as `n10 removes @….s after 3 more files`
 */
export function removalText({ by, limit, file, after }: Removal): string {
  const when = {
    n: `after ${after} more ${after === 1 ? "file" : "files"}`,
    b: `after ${after} more bytes`,
    k: `in ${duration(after)}`,
  };
  return `${by}${limit} removes ${file} ${when[by]}`;
}

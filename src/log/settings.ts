/**
 * A log's settings: how large its files are, how many of them there are, and
 * what is done with them.
 *
 * @module
 */

/** The smallest size of a log file, in bytes. */
export const SIZE_MIN = 4096;
/** The largest size of a log file, in bytes. */
export const SIZE_MAX = 16777215;
/** The size of a log file unless the script gives another, in bytes. */
export const SIZE_DEFAULT = 99999;
/** The smallest number of log files, `current` included. */
export const KEEP_MIN = 2;
/** The number of log files unless the script gives another, `current` included. */
export const KEEP_DEFAULT = 10;
/** What a finished file's name ends in unless the script gives another code. */
export const CODE_DEFAULT = "s";
/** How many characters a code may have. */
const CODE_MOST = 100;

/**
 * A log's settings, which a script gives by the actions `s`, `n`, `!`, `a`, `d`,
 * `w`, `b` and `k` before the directory.
 *
 * @example
 * ```ts
 * // Compressed, and at least one file an hour.
 * const settings: LogSettings = {
 *   size: 16777215,
 *   keep: 100,
 *   processor: "gzip",
 *   age: 3600,
 * };
 * ```
 */
export interface LogSettings {
  /** The size at which `current` is finished, in bytes. */
  size: number;
  /** How many log files there are at most, `current` included. */
  keep: number;
  /** The command that processes each finished file; empty for none. */
  processor: string;
  /**
   * The age of its oldest line at which `current` is finished, in seconds; 0 when
   * age doesn't matter.
   */
  age: number;
  /**
   * Whether the oldest waiting file is removed when there is no room for another
   * one to wait for the processor; otherwise writes to the log wait then.
   */
  discard?: boolean;
  /** What finished files' names end in, after the dot; `s` unless given. */
  code?: string;
  /** How many bytes all old files may have together; any number unless given. */
  keepBytes?: number;
  /**
   * How many seconds an old file stays after it was finished; for ever unless
   * given.
   */
  keepSeconds?: number;
}

/**
 * What is wrong with a code, the end of finished files' names.
 *
 * @returns The fault in a few words; `undefined` when the code is right
 */
export function codeFault(code: string): string | undefined {
  if (code.includes("/")) return "no file's name has a slash";
  if (code.length > CODE_MOST) return "too long for a file's name";
  // A finished file of such a name would be taken for a waiting one, and be
  // processed again, or overwrite a waiting one.
  return code === "u" || code.endsWith(".u")
    ? ".u is for files that wait"
    : undefined;
}

/**
 * Makes sure that a script could give these settings.
 *
 * @throws {RangeError} When it couldn't
 */
export function checkSettings(settings: Readonly<LogSettings>): void {
  const { size, keep, keepBytes = 1, keepSeconds = 1 } = settings;
  inRange("size", size, SIZE_MIN, SIZE_MAX);
  inRange("keep", keep, KEEP_MIN, Infinity);
  inRange("keepBytes", keepBytes, 1, Infinity);
  inRange("keepSeconds", keepSeconds, 1, Infinity);
  const fault = codeFault(settings.code ?? CODE_DEFAULT);
  if (fault) throw new RangeError(`code ${settings.code}: ${fault}`);
}

function inRange(what: string, n: number, least: number, most: number): void {
  if (Number.isInteger(n) && n >= least && n <= most) return;
  throw new RangeError(`${what} ${n} is not from ${least} to ${most}`);
}

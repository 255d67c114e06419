/**
 * What can be said of a log: how large its files are, how many there are, and
 * what becomes of them.
 *
 * @module
 */

/** The smallest size of a log file, in bytes. */
export const SIZE_MIN = 4096;
/** The largest size of a log file, in bytes. */
export const SIZE_MAX = 16777215;
/** The size of a log file unless the script says, in bytes. */
export const SIZE_DEFAULT = 99999;
/** The smallest number of log files, `current` included. */
export const KEEP_MIN = 2;
/** The number of log files unless the script says, `current` included. */
export const KEEP_DEFAULT = 10;
/** The end of a finished file's name unless the script says. */
export const CODE_DEFAULT = "s";
/** How long such an end may be. */
const CODE_MOST = 100;

/**
 * What the actions `s`, `n`, `!`, `a`, `d`, `w`, `b` and `k` say of the
 * directories after them.
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
  /** How many log files there are at the most, `current` included. */
  keep: number;
  /** The command that each finished file goes through; none when empty. */
  processor: string;
  /** The age at which `current` is finished, in seconds; 0 for any age. */
  age: number;
  /**
   * Whether the oldest waiting file goes when all files wait for the
   * processor; otherwise the log stands still then.
   */
  discard?: boolean;
  /** What finished files' names end in, after the dot; `s` unless given. */
  code?: string;
  /** How many bytes old files may have together; any number unless given. */
  keepBytes?: number;
  /** How many seconds old a finished file may get; any age unless given. */
  keepSeconds?: number;
}

/**
 * What is wrong with the end of a finished file's name.
 *
 * @param code The end
 * @returns What, in a few words; `undefined` when it can be one
 */
export function codeFault(code: string): string | undefined {
  if (code.includes("/")) return "no file's name has a slash";
  if (code.length > CODE_MOST) return "too long for a file's name";
  // Such a file would be processed again, or take the place of one that waits.
  return code === "u" || code.endsWith(".u")
    ? ".u is for files that wait"
    : undefined;
}

/**
 * Makes sure that settings are some that a script could give.
 *
 * @param settings The settings
 * @throws {RangeError} When they aren't
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

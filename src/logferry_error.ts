/**
 * The error that the library throws.
 *
 * @module
 */
import { SysError } from "./sys/errors.ts";

/**
 * Something can't be done. The message says what and why, in one line.
 *
 * @example
 * ```ts
 * import { assertEquals, assertRejects } from "@std/assert";
 * import { openLog } from "@logferry/logferry/log";
 *
 * const error = await assertRejects(
 *   () => openLog("/proc/no/log"),
 *   LogferryError,
 * );
 * assertEquals(error.code, "ENOENT");
 * assertEquals(
 *   error.message,
 *   "unable to open directory /proc/no/log: file does not exist",
 * );
 * ```
 */
export class LogferryError extends Error {
  /** The class's name. */
  override name = "LogferryError";
  /**
   * The name of the reason: the C library's name for the error of a system call,
   * such as `"ENOSPC"`, or of a look-up, such as `"EAI_NONAME"`. `"EINVAL"` when
   * no call failed, but what the caller asked for makes no sense.
   */
  readonly code: string;

  /**
   * Makes it.
   *
   * @param message What can't be done, and why
   * @param reason `cause`: the error that led to this one; `code`: the name of
   * the reason, where the cause isn't a failed system call
   */
  constructor(message: string, reason: ErrorOptions & { code?: string } = {}) {
    const { cause, code } = reason;
    super(message, cause === undefined ? undefined : { cause });
    this.code = code ?? (cause instanceof SysError ? cause.code : "EINVAL");
  }
}

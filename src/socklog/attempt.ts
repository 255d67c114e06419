/**
 * Words for steps that can fail.
 *
 * @module
 */
import { LogferryError } from "../logferry_error.ts";
import { SysError } from "../sys/errors.ts";
import { shortage } from "../sys/limits.ts";

/**
 * Takes a step, and names it in the error when it fails.
 *
 * @param what The step in words, such as `bind`
 * @param step The step
 * @returns What the step returns
 * @throws {LogferryError} Such as `unable to bind: address already used`
 */
export function attempt<T>(what: string, step: () => T): T {
  try {
    return step();
  } catch (cause) {
    if (!(cause instanceof SysError)) throw cause;
    throw new LogferryError(`unable to ${what}: ${cause.message}`, { cause });
  }
}

/**
 * Makes sure, before anything is begun, that this process's limits are high
 * enough.
 *
 * @param needs How many more descriptors, and how many bytes of data in all,
 * are needed
 * @throws {LogferryError} When they aren't
 */
export function checkLimits(
  needs: { descriptors: number; data: number },
): void {
  const message = shortage(needs);
  if (message !== undefined) {
    throw new LogferryError(message, { code: "EMFILE" });
  }
}

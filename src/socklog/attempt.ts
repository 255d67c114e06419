/**
 * Steps that can fail.
 *
 * @module
 */
import { LogferryError } from "../logferry_error.ts";
import { SysError } from "../sys/errors.ts";

/**
 * Does one step of many, and says which when it fails.
 *
 * @param what What is being done: `bind`
 * @param step The step
 * @returns What the step returns
 * @throws {LogferryError} `unable to bind: address already used`
 */
export function attempt<T>(what: string, step: () => T): T {
  try {
    return step();
  } catch (cause) {
    if (!(cause instanceof SysError)) throw cause;
    throw new LogferryError(`unable to ${what}: ${cause.message}`, { cause });
  }
}

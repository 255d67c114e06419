/**
 * The one way in which anything here ends the program.
 *
 * @module
 */

import { LogferryError } from "../logferry_error.ts";
import { SysError } from "../sys/errors.ts";

/** The program can't go on. The message stands after `socklog-tcp: fatal: `. */
export class Fatal extends LogferryError {
  /** The exit code: 111 for trouble, 100 for wrong usage. */
  readonly exitCode: number;

  /**
   * Makes it.
   *
   * @param message What went wrong
   * @param reason Why, and the exit code; 111 unless given
   */
  constructor(
    message: string,
    reason: ErrorOptions & { code?: string; exitCode?: number } = {},
  ) {
    super(message, reason);
    this.exitCode = reason.exitCode ?? 111;
  }
}

/**
 * Does one step of many, and says which when it fails.
 *
 * @param what What is being done: `bind`
 * @param step The step
 * @returns What the step returns
 * @throws {Fatal} `unable to bind: address already used`
 */
export function attempt<T>(what: string, step: () => T): T {
  try {
    return step();
  } catch (error) {
    if (!(error instanceof SysError)) throw error;
    throw new Fatal(`unable to ${what}: ${error.message}`, { cause: error });
  }
}

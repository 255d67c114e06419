/**
 * What is done when the disk, or a processor, fails after the start: say so,
 * pause, and try the same step again, for as long as it takes. Nothing is
 * given up, so nothing is lost.
 *
 * @module
 */
import { LogferryError } from "../logferry_error.ts";
import { SysError } from "../sys/errors.ts";
import { roomToCome } from "../sys/unlink_aside.ts";

/** How long a pause is, in milliseconds. */
export const PAUSE = 5000;

/**
 * Whether a step that failed may be taken again at once: the disk was full, and
 * large files that had been removed before were still being freed.
 *
 * @param error What the step failed with
 * @returns After they are
 */
export async function hasMadeRoom({ code }: SysError): Promise<boolean> {
  return code === "ENOSPC" && await roomToCome();
}

/** A start that failed; the message says what, in the originals' words. */
export class StartError extends LogferryError {
  /** The log directory that can't be opened, where it is one. */
  readonly path: string | undefined;

  /**
   * Makes it.
   *
   * @param message What is wrong
   * @param options What the system says, and the log directory that can't be
   * opened, where it is one
   */
  constructor(
    message: string,
    options: ErrorOptions & { code?: string; path?: string } = {},
  ) {
    super(message, options);
    this.path = options.path;
  }
}

/**
 * Warnings, pauses, and what cuts a pause short.
 */
export class Retrier {
  /** Where the warnings go. */
  readonly warn: (message: string) => void;
  readonly #sleepers = new Set<() => void>();

  /**
   * Makes it.
   *
   * @param warn Where the warnings go
   */
  constructor(warn: (message: string) => void) {
    this.warn = warn;
  }

  /**
   * Says what is wrong, and pauses.
   *
   * @param message What is wrong
   * @param milliseconds How long, unless {@linkcode Retrier.hurry} is called
   */
  async pause(message: string, milliseconds = PAUSE): Promise<void> {
    this.warn(message);
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, milliseconds);
    this.#sleepers.add(resolve);
    await promise;
    clearTimeout(timer);
    this.#sleepers.delete(resolve);
  }

  /** Ends all pauses: a signal came, and waits for the step to succeed. */
  hurry(): void {
    for (const resolve of this.#sleepers) resolve();
  }

  /**
   * Takes a step until it succeeds.
   *
   * @param step The step
   * @param failure What to say when it fails, without the reason
   * @returns What the step returned
   */
  async retry<T>(step: () => T | Promise<T>, failure: string): Promise<T> {
    while (true) {
      try {
        return await step();
      } catch (error) {
        if (!(error instanceof SysError)) throw error;
        if (await hasMadeRoom(error)) continue;
        await this.pause(`${failure}, pausing: ${error.message}`);
      }
    }
  }
}

/**
 * Takes a step of the start, where a failure ends the program.
 *
 * @param step The step
 * @param failure What to say when it fails, without the reason
 * @param path The log directory that is opened by it, where it is one
 * @returns What the step returned
 * @throws {StartError} When it fails
 */
export function startStep<T>(
  step: () => T,
  failure: string,
  path?: string,
): T {
  try {
    return step();
  } catch (error) {
    if (!(error instanceof SysError)) throw error;
    throw new StartError(`${failure}: ${error.message}`, {
      cause: error,
      ...(path === undefined ? {} : { path }),
    });
  }
}

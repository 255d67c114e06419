/**
 * What a log does when the disk or a processor fails after the start: it warns,
 * pauses, and takes the same step again, for as long as it takes. It gives
 * nothing up, so no line is lost.
 *
 * @module
 */
import { LogferryError } from "../logferry_error.ts";
import { SysError } from "../sys/errors.ts";
import { roomToCome } from "../sys/unlink_aside.ts";

/** How long a pause is, in milliseconds. */
export const PAUSE = 5000;

/**
 * Whether a step that failed can be taken again at once, because the disk was
 * full, and large files, removed before, were still being freed in a thread.
 * Waits until they are freed.
 *
 * @param error What the step failed with
 */
export async function hasMadeRoom({ code }: SysError): Promise<boolean> {
  return code === "ENOSPC" && await roomToCome();
}

/** A start failed. The message says why, in the originals' words. */
export class StartError extends LogferryError {
  /** The log directory that can't be opened, when that is what failed. */
  readonly path: string | undefined;

  /**
   * @param message What is wrong
   * @param options Cause and code as for {@linkcode LogferryError}, and the log
   * directory that can't be opened, when that is what failed
   */
  constructor(
    message: string,
    options: ErrorOptions & { code?: string; path?: string } = {},
  ) {
    super(message, options);
    this.path = options.path;
  }
}

/** Warns, pauses, and retries. A signal cuts its pauses short. */
export class Retrier {
  /** Where the warnings go. */
  readonly warn: (message: string) => void;
  readonly #sleepers = new Set<() => void>();

  /** @param warn Where the warnings go */
  constructor(warn: (message: string) => void) {
    this.warn = warn;
  }

  /**
   * Warns, and pauses.
   *
   * @param message The warning
   * @param milliseconds How long the pause is, unless {@linkcode Retrier.hurry}
   * ends it
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

  /** Ends all pauses at once, so that what a signal asks for isn't held up. */
  hurry(): void {
    for (const resolve of this.#sleepers) resolve();
  }

  /**
   * Takes a step again and again until it succeeds.
   *
   * @param step The step
   * @param failure The warning when the step fails, without the reason
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
 * Takes a step of the start, where a failure isn't retried: it ends the program.
 *
 * @param step The step
 * @param failure The message when the step fails, without the reason
 * @param path The log directory, when the step opens it
 * @returns What the step returned
 * @throws {StartError} When the step fails
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

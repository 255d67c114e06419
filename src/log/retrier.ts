/**
 * What is done when the disk, or a processor, fails after the start: say so,
 * pause, and try the same step again, for as long as it takes. Nothing is
 * given up, so nothing is lost.
 *
 * @module
 */
import { SysError } from "../sys/errors.ts";

/** How long a pause is, in milliseconds. */
export const PAUSE = 5000;

/**
 * A start that failed; the message says what, in the originals' words.
 *
 * @example
 * ```ts
 * import { assertRejects } from "@std/assert";
 * import { logStream } from "../multilog/log_stream.ts";
 *
 * const stream = logStream(["/proc/no/log"]);
 * const writer = stream.getWriter();
 * writer.closed.catch(() => {});
 * await assertRejects(() => writer.write(new Uint8Array(1)), StartError);
 * ```
 */
export class StartError extends Error {
  /** The class's name. */
  override name = "StartError";
}

/**
 * Warnings, pauses, and what cuts a pause short.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * const warnings: string[] = [];
 * const trouble = new Retrier((message) => warnings.push(message));
 * const pause = trouble.pause("unable to write to ./log/current, pausing");
 * trouble.hurry();
 * await pause;
 * assertEquals(warnings.length, 1);
 * ```
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
  async retry<T>(step: () => T, failure: string): Promise<T> {
    while (true) {
      try {
        return step();
      } catch (error) {
        if (!(error instanceof SysError)) throw error;
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
 * @returns What the step returned
 * @throws {StartError} When it fails
 */
export function startStep<T>(step: () => T, failure: string): T {
  try {
    return step();
  } catch (error) {
    if (!(error instanceof SysError)) throw error;
    throw new StartError(`${failure}: ${error.message}`);
  }
}

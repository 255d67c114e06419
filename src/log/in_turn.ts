/**
 * Asynchronous steps that are taken one after the other.
 *
 * @module
 */

/** Takes steps one after the other, in the order in which they were asked for. */
export class InTurn {
  /** The last step that was asked for, until it is done. */
  #last: Promise<void> | undefined;
  readonly #idle: () => void;

  /**
   * @param idle Called when no step is left
   */
  constructor(idle: () => void = () => {}) {
    this.#idle = idle;
  }

  /** A promise of the end of all steps so far; `undefined` when all have ended. */
  get busy(): Promise<void> | undefined {
    return this.#last;
  }

  /**
   * Takes a step when all steps before it have ended, also those that failed.
   *
   * @throws What this step throws
   */
  async take(step: () => Promise<void> | undefined): Promise<void> {
    const before = this.#last;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#last = promise;
    try {
      await before;
      await step();
    } finally {
      if (this.#last === promise) {
        this.#last = undefined;
        this.#idle();
      }
      resolve();
    }
  }
}

/**
 * Steps that are taken one after the other.
 *
 * @module
 */

/** Takes steps in turn. */
export class InTurn {
  /** The last step that was asked for, until it is done. */
  #last: Promise<void> | undefined;
  readonly #idle: () => void;

  /**
   * Makes it.
   *
   * @param idle Called when no step is left
   */
  constructor(idle: () => void = () => {}) {
    this.#idle = idle;
  }

  /** The end of all steps that were asked for; none when there are none. */
  get busy(): Promise<void> | undefined {
    return this.#last;
  }

  /**
   * Takes a step when all before it are done, whatever became of them.
   *
   * @param step The step
   * @throws What the step throws
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

/**
 * Limiting how many things are done at the same time.
 *
 * @module
 */

/** A semaphore for asynchronous functions; they pass in the order they came. */
export class Semaphore {
  #free: number;
  #waiting: (() => void)[] = [];

  /**
   * Makes the semaphore.
   *
   * @param most How many may pass {@linkcode Semaphore.wait} before one of them
   * has to {@linkcode Semaphore.post}
   */
  constructor(most: number) {
    this.#free = most;
  }

  /**
   * Passes at once, or after another one posts.
   *
   * @returns A promise when the caller has to wait, otherwise `undefined`
   */
  wait(): Promise<void> | undefined {
    if (this.#free > 0) {
      this.#free--;
      return undefined;
    }
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** How many may pass now without waiting. */
  get free(): number {
    return this.#free;
  }

  /** Lets the one that has waited longest pass. */
  post(): void {
    const next = this.#waiting.shift();
    if (next) next();
    else this.#free++;
  }

  /** Ends every wait, without letting anyone pass: they must not post. */
  cancel(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}

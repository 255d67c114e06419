/**
 * Doing only so many things at a time.
 *
 * @module
 */

/** A semaphore of this thread's own: whoever has to wait does so in turn. */
export class Semaphore {
  #free: number;
  #waiting: (() => void)[] = [];

  /**
   * Makes it.
   *
   * @param most How many may have passed {@linkcode Semaphore.wait} at a time
   */
  constructor(most: number) {
    this.#free = most;
  }

  /**
   * Passes, or waits until one that has passed posts.
   *
   * @returns A promise when it has to be waited for
   */
  wait(): Promise<void> | undefined {
    if (this.#free > 0) {
      this.#free--;
      return undefined;
    }
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** Lets the next one pass, who takes this one's place. */
  post(): void {
    const next = this.#waiting.shift();
    if (next) next();
    else this.#free++;
  }

  /** Ends the wait of all who wait; they haven't passed, and don't post. */
  cancel(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}

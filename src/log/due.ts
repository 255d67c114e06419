/**
 * When one of several logs is next to be looked at because time has passed:
 * `current` is old enough to be finished, or an old file is too old to stay.
 *
 * @module
 */
import type { AnyLog } from "./log_directory.ts";

/**
 * The longest sleep, in milliseconds: the clock may be set while it lasts, and
 * the sleep would then end at the wrong time.
 */
const LONGEST_SLEEP = 3_600_000;

/**
 * How long until `current` of one of the logs is old enough to be finished.
 *
 * @returns Milliseconds; -1 while time alone finishes none
 */
export function untilDue(logs: readonly AnyLog[]): number {
  let least = -1;
  for (const log of logs) {
    const until = log.untilDue();
    if (until >= 0 && (least < 0 || until < least)) least = until;
  }
  return least;
}

/**
 * When the next old file of one of the logs is too old.
 *
 * @returns Whole seconds since 1970; `undefined` while none gets too old
 */
export function nextExpiry(logs: readonly AnyLog[]): number | undefined {
  let least: number | undefined;
  for (const log of logs) {
    const expiry = log.expiry();
    if (expiry !== undefined && expiry < (least ?? Infinity)) least = expiry;
  }
  return least;
}

/**
 * A timer that rings when time may have made something due in one of the logs.
 * It doesn't keep the program from ending.
 */
export class DueTimer {
  readonly #logs: readonly AnyLog[];
  readonly #ring: () => void;
  #timer: number | undefined;
  /** When the timer rings, on this process's own clock. */
  #at = Infinity;

  /**
   * @param logs The logs
   * @param ring Called when something may be due in one of the logs. The timer
   * is then off until it is set again
   */
  constructor(logs: readonly AnyLog[], ring: () => void) {
    this.#logs = logs;
    this.#ring = ring;
  }

  /** Sets the timer by what the logs say now, unless it rings earlier anyway. */
  set(): void {
    const expiry = nextExpiry(this.#logs) ?? Infinity;
    const due = untilDue(this.#logs);
    const wait = Math.min(
      due < 0 ? Infinity : due,
      Math.max(1000 * expiry - Date.now(), 0),
    );
    if (wait === Infinity) return;
    const sleep = Math.min(wait, LONGEST_SLEEP);
    const at = performance.now() + sleep;
    if (at >= this.#at) return;
    this.stop();
    this.#at = at;
    this.#timer = setTimeout(() => {
      this.#at = Infinity;
      this.#ring();
    }, sleep);
    Deno.unrefTimer(this.#timer);
  }

  /** Turns the timer off. */
  stop(): void {
    clearTimeout(this.#timer);
    this.#at = Infinity;
  }
}

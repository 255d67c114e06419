/**
 * When time makes something due in one of several logs.
 *
 * @module
 */
import type { AnyLog } from "./log_directory.ts";

/** The clock may be set meanwhile, so nobody sleeps longer; milliseconds. */
const LONGEST_SLEEP = 3_600_000;

/**
 * How long until one of some logs is old enough to be finished.
 *
 * @param logs The logs
 * @returns Milliseconds; -1 for never, as things are
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
 * When the next old file of one of some logs is too old.
 *
 * @param logs The logs
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

/** Rings when logs are to be looked at. It keeps no program from ending. */
export class DueTimer {
  readonly #logs: readonly AnyLog[];
  readonly #ring: () => void;
  #timer: number | undefined;
  /** When it rings, on this process's own clock. */
  #at = Infinity;

  /**
   * Makes it.
   *
   * @param logs The logs
   * @param ring Called when something may be due in one of them; then it is to
   * be set again
   */
  constructor(logs: readonly AnyLog[], ring: () => void) {
    this.#logs = logs;
    this.#ring = ring;
  }

  /** Sets it by what the logs say now, unless it rings before anyway. */
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

  /** Lets it not ring any more. */
  stop(): void {
    clearTimeout(this.#timer);
    this.#at = Infinity;
  }
}

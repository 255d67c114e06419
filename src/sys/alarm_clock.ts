/**
 * Waking up at a time of day, even when the clock is set in the meantime.
 *
 * A timeout runs on another clock, which stands still while the machine sleeps
 * and doesn't follow when the time of day is corrected.
 *
 * @module
 */
import { close, read } from "./descriptors.ts";
import { check } from "./errno.ts";
import { load } from "./libc.ts";

const lib = load({
  timerfd_create: { parameters: ["i32", "i32"], result: "i32" },
  timerfd_settime: {
    parameters: ["i32", "i32", "buffer", "buffer"],
    result: "i32",
  },
});

const CLOCK_REALTIME = 0;
const TFD_NONBLOCK = 0o4000;
const TFD_CLOEXEC = 0o2000000;
const TFD_TIMER_ABSTIME = 1;
const TFD_TIMER_CANCEL_ON_SET = 2;

/** A timer that ends at a time of day (timerfd_create(2)). */
export class AlarmClock implements Disposable {
  /** Becomes readable when the time has come or the clock has been set. */
  readonly fd: number;
  #time: number | undefined;
  /** `struct itimerspec`: the interval, which stays 0, and the time. */
  readonly #spec = new BigInt64Array(4);
  readonly #former = new Uint8Array(32);

  /**
   * Makes a timer that is set to no time.
   *
   * @throws {SysError} `EMFILE`, `ENFILE`, `ENOMEM`
   */
  constructor() {
    const flags = TFD_NONBLOCK | TFD_CLOEXEC;
    this.fd = check(lib.timerfd_create(CLOCK_REALTIME, flags));
  }

  /**
   * Sets the timer.
   *
   * @param time Whole seconds since 1970; `undefined` for no time
   */
  set(time: number | undefined): void {
    if (time === this.#time) return;
    this.#time = time;
    // The kernel takes a time of 0 for no time.
    this.#spec[2] = BigInt(time === undefined ? 0 : Math.max(time, 1));
    const flags = TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET;
    const spec = new Uint8Array(this.#spec.buffer);
    check(lib.timerfd_settime(this.fd, flags, spec, this.#former));
  }

  /** Makes `fd` unreadable again, and sets the timer to no time. */
  take(): void {
    // When the clock has been set the read returns ECANCELED: no trouble.
    read(this.fd, this.#former);
    this.set(undefined);
  }

  /** Closes the timer's descriptor. */
  [Symbol.dispose](): void {
    close(this.fd);
  }
}

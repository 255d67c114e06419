/**
 * Waking up at a time of day, however the clock is set meanwhile.
 *
 * A timeout counts on a clock of its own, which stands still while the machine
 * sleeps, and knows nothing of the time of day being corrected.
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

/** A time of day that is waited for (timerfd_create(2)). */
export class AlarmClock implements Disposable {
  /** Readable when the time has come, or the clock has been set. */
  readonly fd: number;
  #time: number | undefined;
  /** `struct itimerspec`: the interval, none, and the time. */
  readonly #spec = new BigInt64Array(4);
  readonly #former = new Uint8Array(32);

  /**
   * Makes one that is set to no time.
   *
   * @throws {SysError} When there are too many descriptors
   */
  constructor() {
    const flags = TFD_NONBLOCK | TFD_CLOEXEC;
    this.fd = check(lib.timerfd_create(CLOCK_REALTIME, flags));
  }

  /**
   * Sets it.
   *
   * @param time Whole seconds since 1970; `undefined` for no time
   */
  set(time: number | undefined): void {
    if (time === this.#time) return;
    this.#time = time;
    // A time of 0 is none.
    this.#spec[2] = BigInt(time === undefined ? 0 : Math.max(time, 1));
    const flags = TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET;
    const spec = new Uint8Array(this.#spec.buffer);
    check(lib.timerfd_settime(this.fd, flags, spec, this.#former));
  }

  /** It has been seen; from now on it is set to no time. */
  take(): void {
    // This fails where the clock has been set, and is no failure.
    read(this.fd, this.#former);
    this.set(undefined);
  }

  /** Lets it go. */
  [Symbol.dispose](): void {
    close(this.fd);
  }
}

/**
 * Waiting for descriptors with poll(2): the only place where a program waits
 * for something to happen.
 *
 * @module
 */
import { check, isToBeRepeated, lastErrno } from "./errno.ts";
import { SysError } from "./errors.ts";
import { close, pipe, read, write } from "./descriptors.ts";
import { load } from "./libc.ts";
import {
  giveMemoryBack,
  hasThread,
  inThread,
  isThreadIdle,
  loopEvents,
} from "./runtime.ts";

const lib = load({
  now: { name: "poll", parameters: ["buffer", "usize", "i32"], result: "i32" },
  wait: {
    name: "poll",
    parameters: ["buffer", "usize", "i32"],
    result: "i32",
    nonblocking: true,
  },
});

/** There is something to read, or the input has ended. */
export const READABLE = 1;
/** Something can be written. */
export const WRITABLE = 4;
/** Always reported, asked for or not: the descriptor has failed. */
export const FAILED = 8;
/** Always reported, asked for or not: the other end is closed. */
export const HUNG_UP = 16;

/**
 * For how many milliseconds this thread may wait, and the event loop with it,
 * when the descriptor that shows the loop's work isn't known.
 */
const LONGEST_STOP = 20;

/**
 * For how many milliseconds it may wait when that descriptor is known and
 * watched too. It doesn't show a signal that came just as the loop stopped
 * turning: that signal is handled only after this time.
 */
const LONGEST_WATCHED_STOP = 500;

/**
 * After this many turns of the event loop a signal's handler has surely run.
 */
const TURNS_FOR_SIGNALS = 5;

/**
 * For how many milliseconds at a time to wait when a wake-up can't end the
 * wait, since there was no descriptor for its pipe or no thread to wait in.
 */
const SLICE = 50;

/**
 * A set of descriptors to wait for, and a way to end the wait early.
 *
 * A signal or the end of a child comes through the event loop, which turns
 * while {@linkcode Poller.wait} waits in another thread. The handler calls
 * {@linkcode Poller.wake}. So a main loop has one line at which it learns of
 * everything that can happen, and no thread is left waiting when it goes on.
 *
 * To hand a wait to a thread and get the result back takes longer than most
 * waits of a busy program. So {@linkcode Poller.waitHere} begins to wait in
 * this thread.
 */
export class Poller {
  readonly #size: number;
  /**
   * One `struct pollfd` for each of the caller's places, and one for `#wake`.
   */
  #words: Int32Array<ArrayBuffer>;
  #bytes: Uint8Array<ArrayBuffer>;
  #wake: { reader: number; writer: number } | undefined;
  #waiting = false;
  #woken = false;
  #interrupted = false;
  /** How many times in a row the event loop has turned without any work. */
  #quiet = 0;
  /** When the event loop has to turn again, on `performance.now()`'s clock. */
  #turnBy: number | undefined;
  readonly #scratch = new Uint8Array(64);

  /**
   * Makes the set.
   *
   * @param size How many descriptors it can hold
   */
  constructor(size: number) {
    this.#size = size;
    this.#words = new Int32Array(2 * (size + 1)).fill(-1);
    this.#bytes = new Uint8Array(this.#words.buffer);
    for (let i = 0; i <= size; i++) this.set(i, -1, 0);
  }

  /**
   * Sets what a place of the set waits for. Don't call it during a wait.
   *
   * @param place The place, from 0
   * @param fd The descriptor; -1 for none
   * @param events {@linkcode READABLE}, {@linkcode WRITABLE}, both, or 0
   */
  set(place: number, fd: number, events: number): void {
    this.#words[2 * place] = fd;
    this.#words[2 * place + 1] = events;
  }

  /**
   * The events that the last look or wait found at a place.
   *
   * @returns The events; 0 for none
   */
  found(place: number): number {
    return this.#words[2 * place + 1]! >>> 16;
  }

  /** Clears the events found last, since a poll that fails leaves them. */
  #forget(): void {
    for (let i = 1; i < this.#words.length; i += 2) this.#words[i]! &= 0xffff;
  }

  /**
   * Polls in this thread. When a signal interrupts it, it has found nothing.
   */
  #poll(count: number, milliseconds: number): number {
    const n = lib.now(this.#bytes, BigInt(count), milliseconds);
    this.#interrupted = n < 0;
    if (n >= 0) return n;
    if (!isToBeRepeated(lastErrno())) check(n);
    this.#forget();
    return 0;
  }

  /**
   * Looks for events in this thread, so that the event loop doesn't turn.
   *
   * @param milliseconds How long this thread, and the event loop with it, may
   * wait until something is found; -1 for as long as it takes
   * @returns Whether anything was found
   * @throws {SysError} When the kernel has no memory
   */
  look(milliseconds = 0): boolean {
    return this.#poll(this.#size, atMost(milliseconds)) > 0;
  }

  /**
   * Waits until an event is found, {@linkcode Poller.wake} is called, or the
   * time is over. Meanwhile the event loop turns: signals and the ends of
   * children are handled.
   *
   * @param milliseconds How long; -1 for as long as it takes
   * @throws {SysError} When the kernel has no memory
   */
  async wait(milliseconds = -1): Promise<void> {
    const end = milliseconds < 0 ? Infinity : performance.now() + milliseconds;
    this.#wake ??= this.#openWake();
    this.#waiting = true;
    let n: number;
    do {
      const left = this.#woken ? 0 : Math.max(end - performance.now(), 0);
      n = await this.#pollAside(left);
    } while (n === 0 && !this.#woken && performance.now() < end);
    this.#waiting = false;
    this.#woken = false;
    if (n < 0) {
      // The error number stayed in the other thread. EINTR doesn't matter, and
      // any other error comes again in this thread, where it is thrown.
      this.#forget();
      this.look();
    }
    if (this.#wake && this.found(this.#size)) {
      while (read(this.#wake.reader, this.#scratch) > 0);
      this.#words[2 * this.#size + 1]! &= 0xffff;
    }
  }

  /** Polls in another thread or, when there is none, here for a short time. */
  async #pollAside(milliseconds: number): Promise<number> {
    const count = BigInt(this.#size + (this.#wake ? 1 : 0));
    const thread = hasThread();
    const limit = atMost(
      this.#wake && thread ? milliseconds : Math.min(milliseconds, SLICE),
    );
    if (thread) return await pollInThread(this.#bytes, count, limit);
    const n = lib.now(this.#bytes, count, limit);
    await timerTurn();
    return n;
  }

  #openWake(): { reader: number; writer: number } | undefined {
    try {
      const ends = pipe(false);
      this.set(this.#size, ends.reader, READABLE);
      return ends;
    } catch (error) {
      if (!(error instanceof SysError)) throw error;
      if (error.code !== "EMFILE" && error.code !== "ENFILE") throw error;
      // The next wait tries again.
      return undefined;
    }
  }

  /**
   * Waits as {@linkcode Poller.wait} does, but begins in this thread, while the
   * event loop doesn't turn. For a busy program this costs many times less. Use
   * it when only a descriptor, the time or a signal can end the wait.
   *
   * A signal doesn't reliably interrupt this thread, since the runtime may
   * receive it in another one. But it makes the descriptor readable that the
   * event loop waits for, and this waits for that descriptor, too. Only a
   * signal that came just as the loop stopped turning doesn't show there.
   * Therefore the loop turns again soon, whether anything is found or not.
   *
   * @param milliseconds How long; -1 for as long as it takes
   * @returns `undefined` when it has waited in this thread only: a busy program
   * has no use for a promise then. Otherwise a promise of the end of the wait
   * @throws {SysError} When the kernel has no memory
   */
  waitHere(milliseconds = -1): Promise<void> | undefined {
    const start = performance.now();
    if (this.#turnBy === undefined) {
      this.#turnBy = start + LONGEST_STOP;
      // What a program finds as it starts, the end of its input perhaps, it
      // shall have before it starts a thread. The loop has work by then that
      // the runtime has left in it.
      if (!this.#woken && this.look()) return undefined;
      giveMemoryBack();
    }
    const events = loopEvents();
    const still = this.#turnBy - start;
    if (still > 0 && !this.#woken) {
      const whole = milliseconds >= 0 && milliseconds <= still;
      const limit = atMost(whole ? milliseconds : still);
      // In the place that the wake-up pipe has in other waits.
      this.set(this.#size, events, READABLE);
      const n = this.#poll(this.#size + 1, limit);
      const waiting = this.found(this.#size) !== 0;
      this.set(this.#size, this.#wake?.reader ?? -1, READABLE);
      if (!waiting) {
        if (n > 0) return undefined;
        if (whole && !this.#interrupted) return undefined;
      } else if (n > 1) milliseconds = 0;
      if (waiting || this.#interrupted) this.#quiet = 0;
    }
    const spent = performance.now() - start;
    return this.#turnOnce(
      milliseconds < 0 ? -1 : Math.max(milliseconds - spent, 0),
      events,
    );
  }

  /** Waits while the event loop turns, and notes by when it has to turn again. */
  async #turnOnce(milliseconds: number, events: number): Promise<void> {
    this.#quiet++;
    await this.wait(milliseconds);
    const watched = events >= 0 && this.#quiet > TURNS_FOR_SIGNALS;
    this.#turnBy = performance.now() +
      (watched ? LONGEST_WATCHED_STOP : LONGEST_STOP);
  }

  /** Ends the wait that is going on or, when there is none, the next one. */
  wake(): void {
    this.#woken = true;
    if (!this.#waiting || this.#wake === undefined) return;
    write(this.#wake.writer, this.#scratch.subarray(0, 1));
  }

  /** Closes the wake-up pipe. Don't call it during a wait. */
  close(): void {
    if (this.#wake === undefined) return;
    close(this.#wake.reader);
    close(this.#wake.writer);
  }
}

function atMost(milliseconds: number): number {
  return Math.min(Math.ceil(milliseconds), 0x7fffffff);
}

const turns = new Uint8Array(0);

/**
 * Lets the event loop turn once. A signal that has arrived is handled in this
 * turn or in one of the next few, so a busy loop calls this every few
 * milliseconds.
 */
export async function yieldToEventLoop(): Promise<void> {
  // A timer needs no thread, but takes a millisecond.
  if (hasThread()) await pollInThread(turns, 0n, 0);
  else await timerTurn();
}

/**
 * Lets the event loop turn until all that it had to do, signals that have
 * arrived included, is done.
 */
export async function settleEventLoop(): Promise<void> {
  // While a timer runs the loop turns as often as it has work; a thread that is
  // started for that costs more than a millisecond.
  if (!isThreadIdle()) return await timerTurn();
  for (let i = 0; i < TURNS_FOR_SIGNALS; i++) await yieldToEventLoop();
}

function pollInThread(
  bytes: Uint8Array<ArrayBuffer>,
  count: bigint,
  milliseconds: number,
): Promise<number> {
  return inThread(() => lib.wait(bytes, count, milliseconds));
}

function timerTurn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}

/**
 * Asks whether one descriptor can be read, or written, without waiting.
 */
export class Readiness {
  readonly #words = new Int32Array(2);
  readonly #bytes = new Uint8Array(this.#words.buffer);

  /**
   * Prepares the question.
   *
   * @param events What to ask for: {@linkcode READABLE} or {@linkcode WRITABLE}
   */
  constructor(fd: number, events: number = READABLE) {
    this.#words[0] = fd;
    this.#words[1] = events;
  }

  /**
   * Asks.
   *
   * @param milliseconds How long this thread, and the event loop with it, may
   * wait until it is ready; -1 for as long as it takes
   * @returns Whether it is ready, or has failed or ended (which a read shows)
   */
  ready(milliseconds = 0): boolean {
    this.#words[1]! &= 0xffff;
    const n = lib.now(this.#bytes, 1n, milliseconds);
    if (n < 0 && !isToBeRepeated(lastErrno())) check(n);
    return n > 0;
  }
}

/**
 * Waiting for descriptors with poll(2): the only place where a program waits.
 *
 * @module
 */
import { check, lastErrno } from "./errno.ts";
import { errorNumber, SysError } from "./errors.ts";
import { close, pipe, read, setNonblocking, write } from "./descriptors.ts";
import { load } from "./libc.ts";
import { hasThread, inThread, loopEvents } from "./runtime.ts";

const lib = load({
  now: { name: "poll", parameters: ["buffer", "usize", "i32"], result: "i32" },
  wait: {
    name: "poll",
    parameters: ["buffer", "usize", "i32"],
    result: "i32",
    nonblocking: true,
  },
});

/** There is something to read, or the end of input. */
export const READABLE = 1;
/** Something can be written. */
export const WRITABLE = 4;
/** Reported without being asked for: an error waits at the descriptor. */
export const FAILED = 8;
/** Reported without being asked for: the other end is closed. */
export const HUNG_UP = 16;

const EINTR = errorNumber("EINTR");

/**
 * For how many milliseconds at a time this thread may wait, and the event loop
 * with it, where there is no way to see whether the loop has work to do.
 */
const STILL = 20;

/**
 * The same where there is a way: the descriptor that the loop itself waits for.
 * It doesn't show a signal that came just as the loop stopped turning, which
 * therefore waits for as long as this.
 */
const STILL_SEEING = 500;

/** After how many turns of the event loop a signal's handler has surely run. */
const TURNS = 5;

/**
 * For how many milliseconds at a time is waited where a wake-up can't end the
 * wait: there was no descriptor for its pipe, or no thread to wait in.
 */
const SLICE = 50;

/**
 * A set of descriptors to wait for, and a way to end the wait early.
 *
 * A signal or a child's end comes through the event loop, which turns while
 * {@linkcode Poller.wait} waits in a thread of its own; its handler calls
 * {@linkcode Poller.wake}. So a main loop has one line at which everything
 * that can happen arrives, and no thread is ever left waiting.
 *
 * To hand a wait to a thread and get the result back takes longer than most
 * waits of a busy program. So {@linkcode Poller.waitHere} begins to wait in this
 * thread.
 */
export class Poller {
  readonly #size: number;
  /** `struct pollfd`s: the caller's, and the wake-up pipe's. */
  #words: Int32Array<ArrayBuffer>;
  #bytes: Uint8Array<ArrayBuffer>;
  #wake: { reader: number; writer: number } | undefined;
  #waiting = false;
  #woken = false;
  #interrupted = false;
  /** How often in a row the loop has turned without having had work. */
  #quiet = 0;
  /** By when the event loop has to turn, on `performance.now()`'s clock. */
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
   * Says what is waited for at a place of the set. Only between waits.
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
   * What was found at a place by the last look or wait.
   *
   * @returns The events; 0 for nothing
   */
  found(place: number): number {
    return this.#words[2 * place + 1]! >>> 16;
  }

  /** Takes out what the last look found, in case the next one fails. */
  #forget(): void {
    for (let i = 1; i < this.#words.length; i += 2) this.#words[i]! &= 0xffff;
  }

  /** Polls in this thread. A signal that interrupts it counts as nothing found. */
  #poll(count: number, milliseconds: number): number {
    const n = lib.now(this.#bytes, BigInt(count), milliseconds);
    this.#interrupted = n < 0;
    if (n >= 0) return n;
    if (lastErrno() !== EINTR) check(n);
    this.#forget();
    return 0;
  }

  /**
   * Looks without letting the event loop turn.
   *
   * @param milliseconds How long this thread, and the event loop with it, may
   * stand still until something is found; -1 for as long as it takes
   * @returns Whether anything was found
   * @throws {SysError} When the kernel has no memory
   */
  look(milliseconds = 0): boolean {
    return this.#poll(this.#size, atMost(milliseconds)) > 0;
  }

  /**
   * Waits until something is found, {@linkcode Poller.wake} is called, or the
   * time is over. Signals and children are noticed meanwhile.
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
      // The error number stayed in the other thread. An interruption is no
      // event; anything else comes again, and is seen, in this thread.
      this.#forget();
      this.look();
    }
    if (this.#wake && this.found(this.#size)) {
      while (read(this.#wake.reader, this.#scratch) > 0);
      this.#words[2 * this.#size + 1]! &= 0xffff;
    }
  }

  /** Polls in a thread of its own, or, where there is none, for a short time. */
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
      const ends = pipe();
      setNonblocking(ends.reader, true);
      setNonblocking(ends.writer, true);
      this.set(this.#size, ends.reader, READABLE);
      return ends;
    } catch (error) {
      if (!(error instanceof SysError)) throw error;
      if (error.code !== "EMFILE" && error.code !== "ENFILE") throw error;
      // There may be one the next time.
      return undefined;
    }
  }

  /**
   * Waits like {@linkcode Poller.wait}, but at first in this thread, so that the
   * event loop doesn't turn meanwhile. For a busy program that is many times
   * cheaper. Use it where nothing but a descriptor, the time, or a signal can
   * end the wait.
   *
   * A signal doesn't reliably interrupt this thread, since the runtime takes it
   * in another one. It does make the descriptor readable that the event loop
   * waits for, unless it came just as the loop stopped turning. Therefore the
   * loop turns again soon, whether anything is found or not.
   *
   * @param milliseconds How long; -1 for as long as it takes
   * @throws {SysError} When the kernel has no memory
   */
  async waitHere(milliseconds = -1): Promise<void> {
    const start = performance.now();
    const events = loopEvents();
    // A loop that has never waited yet shows nothing.
    this.#turnBy ??= start + STILL;
    const still = this.#turnBy - start;
    if (still > 0 && !this.#woken) {
      const whole = milliseconds >= 0 && milliseconds <= still;
      const limit = atMost(whole ? milliseconds : still);
      // Its place is the one that a wake-up pipe has in other waits.
      this.set(this.#size, events, READABLE);
      const n = this.#poll(this.#size + 1, limit);
      const waiting = this.found(this.#size) !== 0;
      this.set(this.#size, this.#wake?.reader ?? -1, READABLE);
      if (!waiting) {
        if (n > 0) return;
        if (whole && !this.#interrupted) return;
      } else if (n > 1) milliseconds = 0;
      this.#quiet = 0;
    }
    this.#quiet++;
    const spent = performance.now() - start;
    await this.wait(
      milliseconds < 0 ? -1 : Math.max(milliseconds - spent, 0),
    );
    const next = events >= 0 && this.#quiet > TURNS ? STILL_SEEING : STILL;
    this.#turnBy = performance.now() + next;
  }

  /** Ends a wait that is going on, or the next one. */
  wake(): void {
    this.#woken = true;
    if (!this.#waiting || this.#wake === undefined) return;
    write(this.#wake.writer, this.#scratch.subarray(0, 1));
  }

  /** Closes the descriptors of the set's own. Not during a wait. */
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
 * Lets the event loop turn once, so that signals that have arrived are seen: in
 * this turn, or in one of the next few. A busy loop calls this every few
 * milliseconds.
 */
export async function yieldToEventLoop(): Promise<void> {
  // A timer needs no thread, but a millisecond.
  if (hasThread()) await pollInThread(turns, 0n, 0);
  else await timerTurn();
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
 * Whether a descriptor can be read without waiting, in one call.
 */
export class Readiness {
  readonly #words = new Int32Array(2);
  readonly #bytes = new Uint8Array(this.#words.buffer);

  /**
   * Makes the question.
   *
   * @param events What is asked: {@linkcode READABLE} or {@linkcode WRITABLE}
   */
  constructor(fd: number, events: number = READABLE) {
    this.#words[0] = fd;
    this.#words[1] = events;
  }

  /**
   * Asks.
   *
   * @param milliseconds How long this thread, and the event loop with it, may
   * stand still for the answer
   * @returns Whether it is ready, or has failed or ended (which a read shows)
   */
  ready(milliseconds = 0): boolean {
    this.#words[1]! &= 0xffff;
    const n = lib.now(this.#bytes, 1n, milliseconds);
    if (n < 0 && lastErrno() !== EINTR) throw new SysError(lastErrno());
    return n > 0;
  }
}

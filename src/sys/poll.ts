/**
 * Waiting: the one place where a program stands still.
 *
 * @module
 */
import { check, errorNumber, lastError, SysError } from "./errors.ts";
import { close, dontWait, pipe, read, write } from "./descriptors.ts";
import { load } from "./libc.ts";

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
 * A set of descriptors to wait for, and a way to end the wait early.
 *
 * A signal or a child's end comes through the event loop, which turns while
 * {@linkcode Poller.wait} waits in a thread of its own; its handler calls
 * {@linkcode Poller.wake}. So a main loop has one line at which everything
 * that can happen arrives, and no wait is ever left behind in a thread.
 */
export class Poller {
  /** `struct pollfd`s; the first is the wake-up pipe's. */
  #words: Int32Array<ArrayBuffer>;
  #bytes: Uint8Array<ArrayBuffer>;
  #wake: { reader: number; writer: number };
  #waiting = false;
  #woken = false;
  readonly #scratch = new Uint8Array(64);

  /**
   * Makes the set.
   *
   * @param size How many descriptors it can hold
   * @throws {SysError} When there are no descriptors left for its own pipe
   */
  constructor(size: number) {
    this.#words = new Int32Array(2 * (size + 1));
    this.#bytes = new Uint8Array(this.#words.buffer);
    this.#words.fill(-1);
    this.#wake = pipe();
    dontWait(this.#wake.reader);
    dontWait(this.#wake.writer);
    this.#words[0] = this.#wake.reader;
    this.#words[1] = READABLE;
    for (let i = 0; i < size; i++) this.set(i, -1, 0);
  }

  /**
   * Says what is waited for at a place of the set. Only between waits.
   *
   * @param place The place, from 0
   * @param fd The descriptor; -1 for none
   * @param events {@linkcode READABLE}, {@linkcode WRITABLE}, both, or 0
   */
  set(place: number, fd: number, events: number): void {
    this.#words[2 * place + 2] = fd;
    this.#words[2 * place + 3] = events;
  }

  /**
   * What was found at a place by the last look or wait.
   *
   * @param place The place
   * @returns The events; 0 for nothing
   */
  found(place: number): number {
    return this.#words[2 * place + 3]! >>> 16;
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
    const words = this.#words;
    words[1] = READABLE;
    const n = lib.now(this.#bytes, BigInt(words.length / 2), milliseconds);
    if (n < 0 && lastError() !== EINTR) check(n);
    // The wake-up pipe is no event of its own.
    return n > (words[1]! >>> 16 ? 1 : 0);
  }

  /**
   * Waits until something is found, {@linkcode Poller.wake} is called, or the
   * time is over. Signals and children are noticed meanwhile.
   *
   * @param milliseconds How long; -1 for as long as it takes
   * @throws {SysError} When the kernel has no memory
   */
  async wait(milliseconds = -1): Promise<void> {
    if (this.#woken) milliseconds = 0;
    this.#waiting = true;
    const limit = Math.min(Math.ceil(milliseconds), 0x7fffffff);
    const count = BigInt(this.#words.length / 2);
    const n = await lib.wait(this.#bytes, count, limit);
    this.#waiting = false;
    this.#woken = false;
    if (n < 0) {
      // The error number stayed in the other thread. An interruption is no
      // event; anything else comes again, and is seen, in this thread.
      for (let i = 3; i < this.#words.length; i += 2) {
        this.#words[i]! &= 0xffff;
      }
      this.look();
    }
    if (this.#words[1]! >>> 16) {
      while (read(this.#wake.reader, this.#scratch) > 0);
      this.#words[1] = READABLE;
    }
  }

  /** Ends a wait that is going on, or the next one. */
  wake(): void {
    this.#woken = true;
    if (this.#waiting) write(this.#wake.writer, this.#scratch.subarray(0, 1));
  }

  /** Closes the descriptors of the set's own. Not during a wait. */
  close(): void {
    close(this.#wake.reader);
    close(this.#wake.writer);
  }
}

const turns = new Uint8Array(0);

/**
 * Lets the event loop turn once, so that signals that have arrived are seen: in
 * this turn, or in one of the next few. A busy loop calls this every few
 * milliseconds.
 */
export async function turn(): Promise<void> {
  await lib.wait(turns, 0n, 0);
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
   * @param fd The descriptor
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
    if (n < 0 && lastError() !== EINTR) throw new SysError(lastError());
    return n > 0;
  }
}

/**
 * Waiting: the one place where a program stands still.
 *
 * @module
 */
import { check, errorNumber, lastError, SysError } from "./errors.ts";
import {
  close,
  dontWait,
  isKept,
  isOpen,
  pipe,
  read,
  write,
} from "./descriptors.ts";
import { list, open, status } from "./files.ts";
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

/** How long the event loop turns for a signal that is on its way, in ms. */
const LISTEN = 100;
/** How often the runtime's descriptors may bring none. */
const MOST_MISSES = 5;

/**
 * A set of descriptors to wait for, and a way to end the wait early.
 *
 * A signal or a child's end comes through the event loop, which turns while
 * {@linkcode Poller.wait} waits in a thread of its own; its handler calls
 * {@linkcode Poller.wake}. So a main loop has one line at which everything
 * that can happen arrives, and no wait is ever left behind in a thread.
 *
 * A thread's way there and back takes longer than most waits. Where the caller
 * knows that nothing is under way but what a descriptor or a signal would
 * tell, {@linkcode Poller.waitHere} waits in the one thread that there is.
 */
export class Poller {
  readonly #size: number;
  /** `struct pollfd`s: the caller's, the wake-up pipe's, the runtime's. */
  #words: Int32Array<ArrayBuffer>;
  #bytes: Uint8Array<ArrayBuffer>;
  #wake: { reader: number; writer: number } | undefined;
  #waiting = false;
  #woken = false;
  /** How many of the runtime's descriptors there are, once that is known. */
  #runtime: number | undefined;
  /** Whether there has been a wait in this thread. */
  #waited = false;
  #interrupted = false;
  /** Until when the event loop has to turn, on `performance.now()`'s clock. */
  #listenUntil = 0;
  /** How often in a row the runtime's descriptors brought no signal. */
  #misses = 0;
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
   * @param place The place
   * @returns The events; 0 for nothing
   */
  found(place: number): number {
    return this.#words[2 * place + 1]! >>> 16;
  }

  /** Takes out what the last look found, in case the next one fails. */
  #forget(): void {
    for (let i = 1; i < this.#words.length; i += 2) this.#words[i]! &= 0xffff;
  }

  /** Looks in this thread; an interruption by a signal finds nothing. */
  #poll(count: number, milliseconds: number): number {
    const n = lib.now(this.#bytes, BigInt(count), milliseconds);
    this.#interrupted = n < 0;
    if (n >= 0) return n;
    if (lastError() !== EINTR) check(n);
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
   * @throws {SysError} When there are no descriptors left for its own pipe, or
   * the kernel has no memory
   */
  async wait(milliseconds = -1): Promise<void> {
    await this.#waitThere(milliseconds);
    // A signal may have come from the runtime's socket, and not yet further.
    this.#listenUntil = performance.now() + LISTEN;
  }

  /** Waits in another thread. */
  async #waitThere(milliseconds: number): Promise<void> {
    if (this.#wake === undefined) {
      this.#wake = pipe();
      dontWait(this.#wake.reader);
      dontWait(this.#wake.writer);
      this.set(this.#size, this.#wake.reader, READABLE);
    }
    const limit = this.#woken ? 0 : atMost(milliseconds);
    this.#waiting = true;
    const n = await lib.wait(this.#bytes, BigInt(this.#size + 1), limit);
    this.#waiting = false;
    this.#woken = false;
    if (n < 0) {
      // The error number stayed in the other thread. An interruption is no
      // event; anything else comes again, and is seen, in this thread.
      this.#forget();
      this.look();
    }
    if (this.found(this.#size)) {
      while (read(this.#wake.reader, this.#scratch) > 0);
      this.#forgetWake();
    }
  }

  #forgetWake(): void {
    this.#words[2 * this.#size + 1]! &= 0xffff;
  }

  /**
   * Waits like {@linkcode Poller.wait}, but in this thread, so that the event
   * loop stands still as well: timers, children and promises wait too. Only
   * signals are noticed.
   *
   * This rests on one more thing than POSIX: the handler that the runtime has
   * for signals writes to a socket of its own, which is waited for as well. A
   * signal that comes before this thread sleeps is seen by that. Where no such
   * socket can be found it is an ordinary wait.
   *
   * @param milliseconds How long; -1 for as long as it takes
   * @throws {SysError} When the kernel has no memory
   */
  async waitHere(milliseconds = -1): Promise<void> {
    if (!this.#waited) {
      // A program that ends at once needn't know of the runtime's sockets.
      this.#waited = true;
      if (this.look()) return;
    }
    if (this.#runtime === undefined) this.#addRuntime();
    if (this.#runtime === 0 || this.#woken) {
      return await this.wait(milliseconds);
    }
    const left = this.#listenUntil - performance.now();
    if (left <= 0) {
      const count = this.#words.length / 2;
      const n = this.#poll(count, atMost(milliseconds));
      if (!this.#interrupted && !this.#runtimeFound(count)) {
        this.#misses = 0;
        return;
      }
      // Sockets that are ready all the time are none for signals.
      if (n > 0 && ++this.#misses > MOST_MISSES) this.#runtime = 0;
      this.#listenUntil = performance.now() + LISTEN;
      if (this.#foundAny()) return;
    }
    // From the handler to the listener it takes a few turns of the event loop.
    const limit = Math.max(this.#listenUntil - performance.now(), 0);
    await this.#waitThere(
      milliseconds < 0 ? limit : Math.min(limit, milliseconds),
    );
  }

  /** Whether the last look found one of the caller's. */
  #foundAny(): boolean {
    for (let i = 0; i < this.#size; i++) if (this.found(i)) return true;
    return false;
  }

  /** Whether the last look found one of the runtime's. */
  #runtimeFound(count: number): boolean {
    for (let i = this.#size + 1; i < count; i++) if (this.found(i)) return true;
    return false;
  }

  /** Adds the sockets that the runtime made for itself. */
  #addRuntime(): void {
    const sockets = runtimeSockets();
    this.#runtime = sockets.length;
    const words = new Int32Array(2 * (this.#size + 1 + sockets.length));
    words.set(this.#words);
    sockets.forEach((fd, i) => {
      words[2 * (this.#size + 1 + i)] = fd;
      words[2 * (this.#size + 1 + i) + 1] = READABLE;
    });
    this.#words = words;
    this.#bytes = new Uint8Array(words.buffer);
  }

  /** Ends a wait that is going on, or the next one. */
  wake(): void {
    this.#woken = true;
    this.#misses = 0;
    if (this.#waiting) write(this.#wake!.writer, this.#scratch.subarray(0, 1));
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

/**
 * The sockets of this process that other programs wouldn't inherit: whoever
 * started it had no part in them.
 */
function runtimeSockets(): number[] {
  const SOCKET = 0o140000;
  const TYPE = 0o170000;
  try {
    const folder = open("/proc/self/fd", "read");
    const fds = list(folder).map(Number).filter((fd) => fd > 2);
    close(folder);
    return fds.filter((fd) =>
      isOpen(fd) && isKept(fd) && (status("", fd)!.mode & TYPE) === SOCKET
    );
  } catch (error) {
    if (!(error instanceof SysError)) throw error;
    return [];
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

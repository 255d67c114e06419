/**
 * Watching thousands of descriptors at once.
 *
 * @module
 */
import { check, isToBeRepeated, lastErrno } from "./errno.ts";
import { load } from "./libc.ts";

const lib = load({
  epoll_create1: { parameters: ["i32"], result: "i32" },
  epoll_ctl: { parameters: ["i32", "i32", "i32", "buffer"], result: "i32" },
  epoll_wait: { parameters: ["i32", "buffer", "i32", "i32"], result: "i32" },
});

const EPOLL_CLOEXEC = 0o2000000;
const EPOLL_CTL_ADD = 1;
const EPOLL_CTL_DEL = 2;
const EPOLL_CTL_MOD = 3;

/** `struct epoll_event` is packed on x86_64 and on nothing else. */
const PACKED = Deno.build.arch === "x86_64";
/** Its size in 32-bit words: the events, and 64 bits that are the caller's. */
const SIZE = PACKED ? 3 : 4;
const DATA = PACKED ? 1 : 2;

/**
 * A set of descriptors. {@linkcode Epoll.poll} never waits; to wait, poll the
 * set's own descriptor, which is readable while one of the set has an event.
 *
 * The cost of a look grows with the number of events, not with the number of
 * descriptors in the set (epoll(7)).
 */
export class Epoll {
  /** The descriptor of the set itself. */
  readonly fd: number;
  readonly #found: Int32Array<ArrayBuffer>;
  readonly #foundBytes: Uint8Array<ArrayBuffer>;
  readonly #event = new Int32Array(SIZE);
  readonly #eventBytes = new Uint8Array(this.#event.buffer);

  /**
   * Makes an empty set.
   *
   * @param most How many events one look may find
   * @throws {SysError} `EMFILE`, `ENFILE`, `ENOMEM`
   */
  constructor(most = 256) {
    this.fd = check(lib.epoll_create1(EPOLL_CLOEXEC));
    this.#found = new Int32Array(SIZE * most);
    this.#foundBytes = new Uint8Array(this.#found.buffer);
  }

  /**
   * Adds a descriptor to the set. Closing it takes it out again.
   *
   * @param fd The descriptor of anything but a regular file
   * @param events As for `Poller`: `READABLE`, `WRITABLE`, both, or 0
   * @throws {SysError} When the kernel has no memory
   */
  add(fd: number, events: number): void {
    this.#control(EPOLL_CTL_ADD, fd, events);
  }

  /**
   * Changes the events that are watched for on a descriptor of the set.
   *
   * @param events As for {@linkcode Epoll.add}
   */
  change(fd: number, events: number): void {
    this.#control(EPOLL_CTL_MOD, fd, events);
  }

  /**
   * Takes a descriptor out of the set, and leaves it open.
   */
  remove(fd: number): void {
    this.#control(EPOLL_CTL_DEL, fd, 0);
  }

  #control(what: number, fd: number, events: number): void {
    this.#event[0] = events;
    this.#event[DATA] = fd;
    check(lib.epoll_ctl(this.fd, what, fd, this.#eventBytes));
  }

  /**
   * Looks without waiting.
   *
   * @returns How many descriptors have an event
   */
  poll(): number {
    const most = this.#found.length / SIZE;
    const n = lib.epoll_wait(this.fd, this.#foundBytes, most, 0);
    if (n < 0) return isToBeRepeated(lastErrno()) ? 0 : check(n);
    return n;
  }

  /**
   * One of the descriptors with an event, as the last look found them.
   *
   * @param i Which of them, from 0
   */
  fdAt(i: number): number {
    return this.#found[i * SIZE + DATA]!;
  }
}

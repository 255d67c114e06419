/**
 * Copying inputs to an output without ever waiting in a read or write.
 *
 * @module
 */
import type { Bytes } from "../bytes.ts";
import { EAGAIN, write } from "../sys/descriptors.ts";
import { SysError } from "../sys/errors.ts";
import { READABLE, Readiness, WRITABLE } from "../sys/poll.ts";
import type { Input } from "./input.ts";

/** The most bytes that one call reads. */
const CHUNK = 256 * 1024;

/** How many bytes to copy before the event loop gets a turn. */
const QUANTUM = 4 * CHUNK;

/** What a transfer has to wait for. */
export interface Awaited {
  /** The descriptor. */
  readonly fd: number;
  /** `READABLE` or `WRITABLE`. */
  readonly events: number;
}

/** A write to the output has failed for good; the message says why. */
export class OutputError extends Error {
  override name = "OutputError";
}

/** Copies inputs, one after the other, to one output. */
export class Transfer {
  readonly #inputs: Input[];
  readonly #output: number;
  readonly #step: number;
  readonly #writable: Readiness;
  readonly #buffer: Bytes = new Uint8Array(CHUNK);
  #moved = 0;
  #pending: Bytes = this.#buffer.subarray(0, 0);

  /**
   * Makes a transfer.
   *
   * @param inputs The inputs, in their order
   * @param output The descriptor to write to
   * @param step The most bytes that one call writes. For a pipe shared with
   * other programs, which mustn't be made nonblocking, this is `PIPE_BUF`: so
   * many bytes a writable pipe takes without waiting
   */
  constructor(inputs: readonly Input[], output: number, step: number = CHUNK) {
    this.#inputs = [...inputs];
    this.#output = output;
    this.#step = step;
    this.#writable = new Readiness(output, WRITABLE);
  }

  /** How many bytes have been written. */
  get moved(): number {
    return this.#moved;
  }

  /**
   * Copies what can be copied without waiting, up to a bound.
   *
   * @returns What to wait for before the next call; `undefined` when all has
   * been copied
   * @throws {OutputError} When a write has failed for good
   * @throws {InputError} When an input can't be read
   */
  move(): Awaited | undefined {
    const end = this.#moved + QUANTUM;
    while (this.#moved < end) {
      while (this.#pending.length === 0) {
        const input = this.#inputs[0];
        if (input === undefined) return undefined;
        const fd = input.waits;
        if (fd >= 0 && !new Readiness(fd).ready()) {
          return { fd, events: READABLE };
        }
        this.#pending = this.#buffer.subarray(0, input.read(this.#buffer));
        if (this.#pending.length === 0) this.#inputs.shift();
      }
      if (!this.#writable.ready()) break;
      const n = write(this.#output, this.#pending.subarray(0, this.#step));
      if (n === -EAGAIN) break;
      if (n < 0) {
        const cause = new SysError(-n);
        throw new OutputError(cause.message, { cause });
      }
      this.#moved += n;
      this.#pending = this.#pending.subarray(n);
    }
    return { fd: this.#output, events: WRITABLE };
  }
}

/**
 * Carrying inputs to an output without ever standing still.
 *
 * @module
 */
import type { Bytes } from "../bytes.ts";
import { EAGAIN, write } from "../sys/descriptors.ts";
import { SysError } from "../sys/errors.ts";
import { READABLE, Readiness, WRITABLE } from "../sys/poll.ts";
import type { Input } from "./input.ts";

/** The most that is read at once. */
const CHUNK = 256 * 1024;

/** How much is moved before somebody else has a turn. */
const QUANTUM = 4 * CHUNK;

/** What a transfer waits for. */
export interface Awaited {
  /** The descriptor. */
  readonly fd: number;
  /** What is to be possible with it: to be read, or to be written. */
  readonly events: number;
}

/** The output takes nothing any more; the message says why. */
export class OutputError extends Error {
  override name = "OutputError";
}

/** Several inputs, one after the other, on their way to one output. */
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
   * @param output The descriptor that they go to
   * @param step The most that is written at once: where the output is a pipe
   * that isn't ours to make non-blocking, what it is sure to take without
   * waiting when it is writable (`PIPE_BUF`)
   */
  constructor(inputs: readonly Input[], output: number, step: number = CHUNK) {
    this.#inputs = [...inputs];
    this.#output = output;
    this.#step = step;
    this.#writable = new Readiness(output, WRITABLE);
  }

  /** How many bytes have been moved. */
  get moved(): number {
    return this.#moved;
  }

  /**
   * Moves what can be moved at once.
   *
   * @returns What has to be waited for, or `undefined` when all has been moved
   * @throws {OutputError} When the output takes nothing any more
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
      if (n < 0) throw new OutputError(new SysError(-n).message);
      this.#moved += n;
      this.#pending = this.#pending.subarray(n);
    }
    return { fd: this.#output, events: WRITABLE };
  }
}

/**
 * The line engine: bytes in, and out of it for each action what it is given of
 * each line.
 *
 * All bytes live in one block of memory and lines are pairs of offsets in it;
 * nothing is allocated for a line. A script without `t`, `T`, `i`, patterns, alerts and
 * status files needs no look at lines: what is read is written. For all others
 * `selection.ts` has the kernel look at them; it is loaded only then.
 *
 * @module
 */
import { type Bytes, NEWLINE } from "../bytes.ts";
import type { StampKind } from "../stamps.ts";
import type { Action } from "./script.ts";

/** Where selected lines go. */
export interface Outputs {
  /** Appends to the log with a number, counted in the script's order. */
  append(
    log: number,
    bytes: Bytes,
    from: number,
    to: number,
  ): Promise<void> | undefined;
  /** Replaces the contents of the status file with a number. */
  status(file: number, bytes: Bytes): Promise<void> | undefined;
  /**
   * Takes alerts, whole lines, when they have been appended. They are not to
   * be waited for, and there is nothing in `bytes` afterwards.
   */
  alert(bytes: Bytes): void;
}

/**
 * How many bytes are read at once. More would be a little faster; but this is
 * what a KILL loses.
 */
export const INPUT = 256 * 1024;

/** The block of memory, and what happens to what is read into it. */
export interface Block {
  readonly memory: Bytes;
  /** Where input is put: there is room for {@linkcode INPUT} and a newline. */
  readonly input: number;
  /**
   * Carries out the actions for the bytes from `input` to `to`, where a newline
   * stands. `within`: whether the first one is inside a line.
   *
   * Returns `undefined` when that was done at once.
   */
  pass(to: number, within: boolean): Promise<void> | undefined;
}

/** Carries out a script's actions for each line. */
export class LineEngine {
  /** Whether lines are looked at, or all of them go to every log. */
  readonly selective: boolean;
  readonly #block: Block;
  readonly #space: Bytes;
  /** Whether the input so far ends with a newline, or there was none. */
  #atStart = true;
  /** How many bytes were put into the space so far. */
  taken = 0;

  private constructor(block: Block, selective: boolean) {
    this.selective = selective;
    this.#block = block;
    const { memory, input } = block;
    this.#space = memory.subarray(input, input + INPUT);
  }

  /**
   * Makes an engine for a script.
   *
   * @param timestamp The timestamp that lines begin with, if any
   * @param actions The actions
   * @param outputs Where selected lines go
   * @returns The engine
   * @throws {SyntaxError} When a pattern can't be understood
   */
  static async make(
    timestamp: StampKind | undefined,
    actions: readonly Action[],
    outputs: Outputs,
  ): Promise<LineEngine> {
    const logs = actions.filter((action) => action.kind === "log").length;
    const selective = logs < actions.length;
    if (!timestamp && !selective) {
      return new LineEngine(plainBlock(logs, outputs), false);
    }
    const { selectionBlock } = await import("./selection.ts");
    const block = selectionBlock(timestamp, actions, outputs);
    return new LineEngine(block, selective);
  }

  /** Where the next bytes are to be put, from its start; the same each time. */
  space(): Bytes {
    return this.#space;
  }

  /** Whether the input so far ends at the end of a line. */
  atLineStart(): boolean {
    return this.#atStart;
  }

  /**
   * Carries out the actions for bytes that were put into the space. When it is
   * done, everything that can be decided has been given to the outputs.
   *
   * @param n How many bytes
   * @returns `undefined` when it was done at once. Otherwise a promise that is
   * kept when it is done
   */
  push(n: number): Promise<void> | undefined {
    if (n === 0) return undefined;
    const { memory, input } = this.#block;
    const to = input + n;
    const within = !this.#atStart;
    this.taken += n;
    this.#atStart = memory[to - 1] === NEWLINE;
    // No search for a newline goes on after the input.
    memory[to] = NEWLINE;
    return this.#block.pass(to, within);
  }

  /** Gives a last line that has no newline one, and lets it through. */
  async end(): Promise<void> {
    if (this.#atStart) return;
    this.#space[0] = NEWLINE;
    await this.push(1);
  }
}

/** A block of nothing but input, which goes to all logs as it is. */
function plainBlock(logs: number, outputs: Outputs): Block {
  const memory = new Uint8Array(INPUT + 1);
  return {
    memory,
    input: 0,
    pass: (to) => appendToAll(logs, outputs, memory, 0, to),
  };
}

/**
 * Appends the same bytes to all logs; none waits for another.
 *
 * @param logs How many logs there are
 * @param outputs Where they are
 * @param bytes Where the bytes are
 * @param from The offset of the first
 * @param to The offset after the last
 * @returns `undefined` when it was done at once
 */
export function appendToAll(
  logs: number,
  outputs: Outputs,
  bytes: Bytes,
  from: number,
  to: number,
): Promise<void> | undefined {
  const waits: Promise<void>[] = [];
  for (let log = 0; log < logs; log++) {
    const wait = outputs.append(log, bytes, from, to);
    if (wait) waits.push(wait);
  }
  return allOf(waits);
}

/**
 * Waits for all of several things.
 *
 * @param waits Their promises
 * @returns `undefined` when there are none
 */
export function allOf(waits: Promise<void>[]): Promise<void> | undefined {
  if (waits.length < 2) return waits[0];
  return Promise.all(waits).then(() => {});
}

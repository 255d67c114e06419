/// <reference no-default-lib="true" />
/// <reference lib="deno.worker" />
/**
 * A service that logs, as a worker: nothing else in its thread holds up a
 * write, and a write that waits holds up nobody else.
 *
 * @module
 */
import { write } from "../../src/sys/descriptors.ts";

/** What the service is to log. */
export interface Order {
  /** The pipe's end, which waits. */
  fd: number;
  /** The number of the first line. */
  first: number;
  /** How many lines. */
  count: number;
  /** Bytes per second, one line to a write; as fast as it goes if unset. */
  rate?: number;
  /** Whether it only makes the lines, so that this takes none of their time. */
  prepare?: boolean;
  /** The longest that a write may take, in milliseconds: then it gives up. */
  limit?: number;
  /** Where it is noted when each line is written, in milliseconds. */
  times?: Float64Array;
}

/** What became of it. */
export interface Report {
  /** How many lines were written. */
  written: number;
  /** How long the longest write took, in milliseconds. */
  longest: number;
}

/** How many bytes a line has, its newline included. */
export const LINE_LENGTH = 100;

const TEXT = " something happened, and here is what there is to say about it; ";

/**
 * The lines of some numbers. Each begins with its number, so that the last one
 * to arrive tells how many have.
 *
 * @param first The first number
 * @param count How many lines
 * @returns Their bytes
 */
export function lines(first: number, count: number): Uint8Array<ArrayBuffer> {
  const text: string[] = [];
  for (let number = first; number < first + count; number++) {
    const line = String(number).padStart(10, "0") + TEXT;
    text.push(line.padEnd(LINE_LENGTH - 1, ".") + "\n");
  }
  return new TextEncoder().encode(text.join("")) as Uint8Array<ArrayBuffer>;
}

const never = new Int32Array(new SharedArrayBuffer(4));

/** Stops this thread; the event loop's timers are too coarse. */
function sleep(milliseconds: number): void {
  if (milliseconds > 0) Atomics.wait(never, 0, 0, milliseconds);
}

/** How many lines go into a write that nobody measures. */
const AT_ONCE = 500;

/** The lines that were made beforehand. */
let prepared = { first: 0, count: 0, bytes: new Uint8Array(0) };

function serve(order: Order): Report {
  const { fd, first, count, rate, limit = Infinity, times } = order;
  const made = prepared.first === first && prepared.count === count;
  const bytes = made ? prepared.bytes : lines(first, count);
  if (order.prepare) {
    prepared = { first, count, bytes };
    return { written: 0, longest: 0 };
  }
  const size = LINE_LENGTH * (rate === undefined ? AT_ONCE : 1);
  const start = performance.now();
  let longest = 0;
  for (let at = 0; at < bytes.length;) {
    if (rate !== undefined) sleep(start + at / rate * 1000 - performance.now());
    const begun = performance.now();
    if (times) times[at / LINE_LENGTH] = performance.timeOrigin + begun;
    const n = write(fd, bytes.subarray(at, at + size));
    const took = performance.now() - begun;
    if (took > longest) longest = took;
    // The reader was ended: that is how a write that waits is ended, too.
    if (n > 0) at += n;
    if (n <= 0 || took > limit) {
      return { written: Math.floor(at / LINE_LENGTH), longest };
    }
  }
  return { written: count, longest };
}

if (typeof WorkerGlobalScope !== "undefined") {
  self.onmessage = ({ data }: MessageEvent<Order>) => {
    self.postMessage(serve(data));
  };
}

/**
 * The lines of a stream that came in a span of time, by their timestamps.
 *
 * @module
 */
import type { Bytes } from "../bytes.ts";
import { isLater } from "../log/names.ts";
import type { Moment } from "../tai64n.ts";
import { StampedLines } from "./stamped_lines.ts";

/** A span of time, its ends included; open where there is none. */
export interface Span {
  readonly since: Moment | undefined;
  readonly until: Moment | undefined;
}

/**
 * Whether a moment is in a span.
 *
 * @param moment The moment
 * @param span The span
 */
export function isIn(moment: Moment, { since, until }: Span): boolean {
  return !(since && isLater(since, moment)) &&
    !(until && isLater(moment, until));
}

/**
 * A stream's lines that came in a span of time. A line without a timestamp
 * goes with the one before it; those before all timestamps are let through.
 */
export class SpanLines {
  readonly #span: Span;
  readonly #lines = new StampedLines();
  #selected = true;

  /**
   * Makes it.
   *
   * @param span The span
   */
  constructor(span: Span) {
    this.#span = span;
  }

  /**
   * Selects from the next bytes of the stream.
   *
   * @param bytes The bytes
   * @returns What was selected
   */
  turn(bytes: Bytes): Bytes {
    return this.#select(bytes, false);
  }

  #select(bytes: Bytes, ended: boolean): Bytes {
    let selected: Bytes = new Uint8Array(0);
    let length = 0;
    this.#lines.walk(bytes, (input, from, to, stamp) => {
      if (stamp) this.#selected = isIn(stamp.moment, this.#span);
      if (!this.#selected) return;
      selected = input;
      input.copyWithin(length, from, to);
      length += to - from;
    }, ended);
    return selected.subarray(0, length);
  }

  /** Goes on after a part of the stream that nobody has looked at. */
  skip(): void {
    this.#selected = true;
    this.#lines.skip();
  }

  /**
   * Ends a file; the next one may go on with its last line.
   *
   * @returns What was selected of its end
   */
  end(): Bytes {
    return this.#select(new Uint8Array(0), true);
  }
}

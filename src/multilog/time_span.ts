/**
 * The lines of a stream that came in a span of time, by their timestamps.
 *
 * @module
 */
import { type Bytes, NEWLINE } from "../bytes.ts";
import { isLater } from "../log/names.ts";
import {
  mayBecomeStamp,
  mayBeStamp,
  readStamp,
  STAMP_SIGHT,
} from "../stamps.ts";
import type { Moment } from "../tai64n.ts";

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
 * @returns Whether it is
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
  #selected = true;
  #atLineStart = true;
  /** The beginning of a line, too short to be decided on. */
  #held: Bytes = new Uint8Array(0);

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
    const input = new Uint8Array(this.#held.length + bytes.length);
    input.set(this.#held);
    input.set(bytes, this.#held.length);
    this.#held = new Uint8Array(0);
    let length = 0;
    for (let at = 0; at < input.length;) {
      if (this.#atLineStart && mayBeStamp(input[at])) {
        const head = input.subarray(at, at + STAMP_SIGHT);
        if (head.length < STAMP_SIGHT && mayBecomeStamp(head)) {
          this.#held = head.slice();
          break;
        }
        const stamp = readStamp(head);
        if (stamp) this.#selected = isIn(stamp.moment, this.#span);
      }
      const newline = input.indexOf(NEWLINE, at);
      const end = newline < 0 ? input.length : newline + 1;
      if (this.#selected) {
        input.copyWithin(length, at, end);
        length += end - at;
      }
      at = end;
      this.#atLineStart = newline >= 0;
    }
    return input.subarray(0, length);
  }

  /** Goes on after a part of the stream that nobody has looked at. */
  skip(): void {
    this.#selected = true;
    this.#atLineStart = true;
  }

  /**
   * Ends a file; the next one may go on with its last line.
   *
   * @returns What was selected of its end
   */
  end(): Bytes {
    const held = this.#held;
    this.#held = new Uint8Array(0);
    if (held.length === 0) return held;
    this.#atLineStart = false;
    const stamp = readStamp(held);
    if (stamp) this.#selected = isIn(stamp.moment, this.#span);
    return this.#selected ? held : new Uint8Array(0);
  }
}

/**
 * The lines of a stream, each with the timestamp that it begins with.
 *
 * @module
 */
import { type Bytes, NEWLINE } from "../bytes.ts";
import {
  mayBecomeStamp,
  mayBeStamp,
  readStamp,
  type Stamp,
  STAMP_SIGHT,
} from "../stamps.ts";

/**
 * Is told of a line, or of the next part of one.
 *
 * @param input Where its bytes are; those before its end may be changed
 * @param from The offset of the first
 * @param to The offset after the last
 * @param stamp The timestamp at `from`; `undefined` where there is none
 */
export type SeeLine = (
  input: Bytes,
  from: number,
  to: number,
  stamp: Stamp | undefined,
) => void;

/** A walk over a stream that comes in pieces, cut anywhere. */
export class StampedLines {
  #atLineStart = true;
  /** The beginning of what may become a timestamp. */
  #held: Bytes = new Uint8Array(0);

  /**
   * Walks over the next bytes of the stream. Those that may become a timestamp
   * are held back until it is known.
   *
   * @param bytes The bytes
   * @param see Told of each line
   * @param ended Whether nothing more comes, so that nothing is held back
   */
  walk(bytes: Bytes, see: SeeLine, ended = false): void {
    const input = new Uint8Array(this.#held.length + bytes.length);
    input.set(this.#held);
    input.set(bytes, this.#held.length);
    this.#held = new Uint8Array(0);
    for (let at = 0; at < input.length;) {
      let stamp: Stamp | undefined;
      if (this.#atLineStart && mayBeStamp(input[at])) {
        const head = input.subarray(at, at + STAMP_SIGHT);
        if (!ended && head.length < STAMP_SIGHT && mayBecomeStamp(head)) {
          this.#held = head.slice();
          return;
        }
        stamp = readStamp(head);
      }
      const newline = input.indexOf(NEWLINE, at);
      const end = newline < 0 ? input.length : newline + 1;
      see(input, at, end, stamp);
      at = end;
      this.#atLineStart = newline >= 0;
    }
  }

  /** Goes on at the beginning of a line: what comes between isn't walked over. */
  skip(): void {
    this.#atLineStart = true;
  }
}

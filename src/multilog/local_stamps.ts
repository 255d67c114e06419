/**
 * Timestamps shown as local time.
 *
 * @module
 */
import { type Bytes, encode, NEWLINE } from "../bytes.ts";
import {
  mayBecomeStamp,
  mayBeStamp,
  readStamp,
  type Stamp,
  STAMP_SIGHT,
} from "../stamps.ts";
import { localTime } from "../sys/local_time.ts";

/** Years that have four digits. */
const LAST_YEAR = 9999;

/** A stream's lines, each stamp at a line's beginning turned to local time. */
export class LocalStamps {
  #atLineStart = true;
  /** The beginning of what may become a stamp. */
  #held: Bytes = new Uint8Array(0);
  #second = NaN;
  #text = "";

  /**
   * Turns the next bytes of the stream.
   *
   * @param bytes They
   * @returns What is to be shown
   */
  turn(bytes: Bytes): Bytes {
    const input = new Uint8Array(this.#held.length + bytes.length);
    input.set(this.#held);
    input.set(bytes, this.#held.length);
    this.#held = new Uint8Array(0);
    // The shortest stamp of all, of 16 bytes, becomes one of 26.
    const out = new Uint8Array(2 * input.length);
    let length = 0;
    for (let at = 0; at < input.length;) {
      if (this.#atLineStart && mayBeStamp(input[at])) {
        const head = input.subarray(at, at + STAMP_SIGHT);
        if (head.length < STAMP_SIGHT && mayBecomeStamp(head)) {
          this.#held = head.slice();
          break;
        }
        const stamp = readStamp(head);
        const text = stamp && this.#local(stamp);
        if (text !== undefined) {
          for (let i = 0; i < text.length; i++) {
            out[length++] = text.charCodeAt(i);
          }
          at += stamp!.length;
        }
      }
      const newline = input.indexOf(NEWLINE, at);
      const end = newline < 0 ? input.length : newline + 1;
      out.set(input.subarray(at, end), length);
      length += end - at;
      at = end;
      this.#atLineStart = newline >= 0;
    }
    return out.subarray(0, length);
  }

  /**
   * Ends the stream.
   *
   * @returns What is to be shown of its end
   */
  end(): Bytes {
    const held = this.#held;
    this.#held = new Uint8Array(0);
    if (held.length === 0) return held;
    this.#atLineStart = false;
    const stamp = readStamp(held);
    const text = stamp && this.#local(stamp);
    return text === undefined ? held : encode(text);
  }

  /** A stamp's local time; none for one that no calendar has. */
  #local({ kind, moment }: Stamp): string | undefined {
    const { seconds, nanoseconds } = moment;
    if (seconds !== this.#second) {
      const time = localTime(seconds);
      if (time === undefined || time.year < 0 || time.year > LAST_YEAR) {
        return undefined;
      }
      const { year, month, day, hour, minute, second } = time;
      this.#second = seconds;
      this.#text = `${digits(year, 4)}-${digits(month)}-${digits(day)} ` +
        `${digits(hour)}:${digits(minute)}:${digits(second)}`;
    }
    // As many digits as it has itself.
    return `${this.#text}.${
      kind === "t" ? digits(nanoseconds, 9) : digits(nanoseconds / 1000, 6)
    }`;
  }
}

function digits(number: number, count = 2): string {
  return String(number).padStart(count, "0");
}

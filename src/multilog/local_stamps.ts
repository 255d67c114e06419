/**
 * TAI64N stamps shown as local time.
 *
 * @module
 */
import { type Bytes, latin1, NEWLINE } from "../bytes.ts";
import { localTime } from "../sys/local_time.ts";
import { LABEL_LENGTH, parseLabel } from "../tai64n.ts";

const AT = 0x40;
/** `2026-11-23 09:15:01.123456789`. */
const LOCAL_LENGTH = 29;
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
    const most = Math.ceil(input.length / LABEL_LENGTH) * LOCAL_LENGTH;
    const out = new Uint8Array(most);
    let length = 0;
    for (let at = 0; at < input.length;) {
      if (this.#atLineStart && input[at] === AT) {
        const stamp = input.subarray(at, at + LABEL_LENGTH);
        if (stamp.length < LABEL_LENGTH && !stamp.includes(NEWLINE)) {
          this.#held = stamp.slice();
          break;
        }
        const text = this.#local(latin1(stamp));
        if (text !== undefined) {
          for (let i = 0; i < text.length; i++) {
            out[length++] = text.charCodeAt(i);
          }
          at += LABEL_LENGTH;
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

  /** A stamp's local time; none for text that is no stamp. */
  #local(stamp: string): string | undefined {
    const moment = parseLabel(stamp);
    if (moment === undefined || moment.nanoseconds > 999999999) {
      return undefined;
    }
    if (moment.seconds !== this.#second) {
      const time = localTime(moment.seconds);
      if (time === undefined || time.year < 0 || time.year > LAST_YEAR) {
        return undefined;
      }
      const { year, month, day, hour, minute, second } = time;
      this.#second = moment.seconds;
      this.#text = `${digits(year, 4)}-${digits(month)}-${digits(day)} ` +
        `${digits(hour)}:${digits(minute)}:${digits(second)}`;
    }
    return `${this.#text}.${digits(moment.nanoseconds, 9)}`;
  }
}

function digits(number: number, count = 2): string {
  return String(number).padStart(count, "0");
}

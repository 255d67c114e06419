/**
 * Timestamps shown as local time.
 *
 * @module
 */
import type { Bytes } from "../bytes.ts";
import type { Stamp } from "../stamps.ts";
import { localTime } from "../sys/local_time.ts";
import { StampedLines } from "./stamped_lines.ts";

/** Years that have four digits. */
const LAST_YEAR = 9999;

/** A stream's lines, each stamp at a line's beginning turned to local time. */
export class LocalStamps {
  readonly #lines = new StampedLines();
  #second = NaN;
  #text = "";

  /**
   * Turns the next bytes of the stream.
   *
   * @param bytes The bytes
   * @returns What is to be shown
   */
  turn(bytes: Bytes): Bytes {
    return this.#show(bytes, false);
  }

  /**
   * Ends the stream.
   *
   * @returns What is to be shown of its end
   */
  end(): Bytes {
    return this.#show(new Uint8Array(0), true);
  }

  #show(bytes: Bytes, ended: boolean): Bytes {
    let out: Bytes | undefined;
    let length = 0;
    this.#lines.walk(bytes, (input, from, to, stamp) => {
      // The shortest stamp of all, of 16 bytes, becomes one of 26.
      out ??= new Uint8Array(2 * input.length);
      const text = stamp && this.#local(stamp);
      if (text !== undefined) {
        for (let i = 0; i < text.length; i++) {
          out[length++] = text.charCodeAt(i);
        }
      }
      const rest = text === undefined ? from : from + stamp!.length;
      out.set(input.subarray(rest, to), length);
      length += to - rest;
    }, ended);
    return out?.subarray(0, length) ?? new Uint8Array(0);
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

/**
 * Timestamps at the beginning of lines: TAI64N labels, which the action `t` puts
 * there, seconds since 1970 (`T`), and ISO 8601 in UTC (`i`).
 *
 * @module
 */
import { latin1 } from "./bytes.ts";
import { LABEL_LENGTH, type Moment, parseLabel } from "./tai64n.ts";

/** A kind of timestamp, by the letter of its action. */
export type StampKind = "t" | "T" | "i";

/** How many bytes a timestamp has at most, the space after it included. */
export const STAMP_MOST = 32;
/** How many of a line's first bytes {@linkcode readStamp} needs. */
export const STAMP_SIGHT = 28;

const SPACE = 0x20;
const ZERO = 0x30;
const NINE = 0x39;
const AT = 0x40;
const LETTER_Z = 0x5a;
/**
 * When the clock goes back by less than this, in seconds, timestamps repeat the
 * last one until the clock has caught up.
 */
const SMALL_STEP = 1;

/**
 * Writes timestamps of the readable kinds. Lines that are read together get the
 * same one.
 */
export class StampWriter {
  readonly #kind: "T" | "i";
  readonly #last: Moment = { seconds: NaN, nanoseconds: 0 };
  /** The timestamp up to its point: all but the fraction of a second. */
  #text = "";
  #length = 0;

  /** @param kind The kind of the timestamps */
  constructor(kind: "T" | "i") {
    this.#kind = kind;
  }

  /**
   * Writes the timestamp of a moment, and a space. When the moment is less than
   * a second before the last one, the last one's timestamp stays.
   *
   * @param out {@linkcode STAMP_MOST} bytes for it, the same in each call, since
   * what hasn't changed isn't written again
   * @param at The offset of its first byte
   * @param moment The moment
   * @returns How many bytes it has, the space included
   */
  put(out: Uint8Array, at: number, moment: Moment): number {
    const { seconds, nanoseconds } = moment;
    const last = this.#last;
    const ahead = last.seconds - seconds +
      (last.nanoseconds - nanoseconds) / 1e9;
    if (ahead >= 0 && ahead < SMALL_STEP) return this.#length;
    if (seconds !== last.seconds) this.#putSecond(out, at, seconds);
    let end = at + this.#text.length;
    let micro = Math.floor(nanoseconds / 1000);
    for (let i = end + 5; i >= end; i--) {
      out[i] = ZERO + micro % 10;
      micro = Math.floor(micro / 10);
    }
    end += 6;
    if (this.#kind === "i") out[end++] = LETTER_Z;
    out[end++] = SPACE;
    this.#length = end - at;
    last.seconds = seconds;
    last.nanoseconds = nanoseconds;
    return this.#length;
  }

  #putSecond(out: Uint8Array, at: number, seconds: number): void {
    this.#text = this.#kind === "T"
      ? `${seconds}.`
      : new Date(1000 * seconds).toISOString().slice(0, -4);
    for (let i = 0; i < this.#text.length; i++) {
      out[at + i] = this.#text.charCodeAt(i);
    }
  }
}

/** A timestamp that was found at a line's beginning. */
export interface Stamp {
  /** Its kind. */
  readonly kind: StampKind;
  /** The moment that it says. */
  readonly moment: Moment;
  /** How many bytes it has, without the space. */
  readonly length: number;
}

/**
 * At least nine digits of seconds, so 1973 or later: lines also begin with other,
 * smaller numbers.
 */
const SECONDS = /^(\d{9,11})\.(\d{6}) /;
const ISO = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\.(\d{6})Z /;

/**
 * Whether a line may have a timestamp, by its first byte.
 *
 * @param byte That byte; `undefined` for an empty line
 */
export function mayBeStamp(byte: number | undefined): boolean {
  return byte === AT || byte !== undefined && byte >= ZERO && byte <= NINE;
}

/**
 * Whether an unfinished line may still turn out to begin with a timestamp.
 *
 * @param head The bytes of it that are there, fewer than {@linkcode STAMP_SIGHT}
 */
export function mayBecomeStamp(head: Uint8Array): boolean {
  return /^(?:@[0-9a-f]{0,24}|[0-9][-0-9.:TZ]*)$/.test(latin1(head));
}

/**
 * Reads a line's timestamp.
 *
 * @param line The line's first {@linkcode STAMP_SIGHT} bytes, or all of it
 * @returns The timestamp; `undefined` when the line has none
 */
export function readStamp(line: Uint8Array): Stamp | undefined {
  if (line[0] === AT) {
    const moment = parseLabel(latin1(line.subarray(0, LABEL_LENGTH)));
    if (moment === undefined || moment.nanoseconds > 999999999) {
      return undefined;
    }
    return { kind: "t", moment, length: LABEL_LENGTH };
  }
  // Two bytes are enough to tell for nearly all lines that have no timestamp.
  const isDigit = (byte: number | undefined) =>
    byte !== undefined && byte >= ZERO && byte <= NINE;
  if (!isDigit(line[0]) || !isDigit(line[3])) return undefined;
  const text = latin1(line.subarray(0, STAMP_SIGHT));
  const iso = ISO.exec(text);
  if (iso !== null) {
    const seconds = Date.parse(`${iso[1]}Z`) / 1000;
    if (Number.isNaN(seconds)) return undefined;
    const moment = { seconds, nanoseconds: 1000 * Number(iso[2]) };
    return { kind: "i", moment, length: iso[0].length - 1 };
  }
  const since = SECONDS.exec(text);
  if (since === null) return undefined;
  return {
    kind: "T",
    moment: {
      seconds: Number(since[1]),
      nanoseconds: 1000 * Number(since[2]),
    },
    length: since[0].length - 1,
  };
}

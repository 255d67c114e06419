/**
 * Syslog priorities: the number in the `<13>` with which a message may begin
 * is its facility times 8 plus its priority (RFC 3164, section 4.1.1); the
 * names are those of `syslog.h`.
 *
 * @module
 */
import { type Bytes, encode } from "../bytes.ts";

const FACILITIES = [
  ..."kern user mail daemon auth syslog lpr news uucp cron authpriv ftp"
    .split(" "),
  ...Array(4).fill(undefined),
  ...Array.from({ length: 8 }, (_, i) => `local${i}`),
  "mark",
] as readonly (string | undefined)[];
const PRIORITIES = "emerg alert crit err warn notice info debug".split(" ");

/** What stands in a line's place of its `<n>`. */
export interface Priority {
  /** `facility.priority: `. */
  readonly text: Bytes;
  /**
   * How many bytes of the line it replaces. An unknown facility's number
   * is worth keeping, so nothing is replaced then.
   */
  readonly length: number;
}

/**
 * The words for a number, such as `user.notice` for 13. Like the original, it
 * says `unknown` for a facility that has no name, and takes 192 to 199 for
 * `mark`.
 *
 * @param number The number: the facility's times 8 plus the priority's
 * @returns `facility.priority`
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(priorityName(13), "user.notice");
 * assertEquals(priorityName(999), "unknown.debug");
 * ```
 */
export function priorityName(number: number): string {
  return `${FACILITIES[number >> 3] ?? "unknown"}.${PRIORITIES[number & 7]}`;
}

const NONE: Priority = { text: new Uint8Array(0), length: 0 };
/** By number and number of digits, made when first met. */
const known: (Priority | undefined)[] = [];

/**
 * The words for a line that begins with one to three digits between `<` and
 * `>`. Like the original, it leaves `<0>` alone (only a kernel may send that),
 * and puts `unknown.debug: ` before a `<999>`.
 *
 * @param number The number
 * @param digits How many digits it was written with
 * @returns The words
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * const { text, length } = priority(13, 2);
 * assertEquals(new TextDecoder().decode(text), "user.notice: ");
 * assertEquals(length, "<13>".length);
 * ```
 */
export function priority(number: number, digits: number): Priority {
  if (number === 0) return NONE;
  const key = number * 4 + digits;
  const met = known[key];
  if (met !== undefined) return met;
  const made = {
    text: encode(`${priorityName(number)}: `),
    length: FACILITIES[number >> 3] === undefined ? 0 : digits + 2,
  };
  known[key] = made;
  return made;
}

/** The words for a line that begins with no priority: none. */
export const noPriority: Priority = NONE;

/** How many bytes a table of priorities needs at the most. */
export const PRIORITIES_SIZE = 16 * 1024;
/** The numbers have three digits at the most. */
const NUMBERS = 1000;
/** A record's size. In it: where the words are, their length, its flag. */
const RECORD = 8;
const WORDS_LENGTH = 4;
const REPLACES = 5;

/**
 * Makes the kernel's table of what {@linkcode priority} says.
 *
 * @param memory The kernel's memory
 * @param at Where in it there are {@linkcode PRIORITIES_SIZE} bytes for it
 */
export function putPriorities(memory: Bytes, at: number): void {
  const records = new DataView(memory.buffer, at, NUMBERS * RECORD);
  let end = at + NUMBERS * RECORD;
  /** Many numbers have the same words: unknown ones. */
  const places = new Map<string, number>();
  for (let number = 1; number < NUMBERS; number++) {
    const { text, length } = priority(number, 0);
    const name = priorityName(number);
    const place = places.get(name) ?? end;
    if (place === end) {
      places.set(name, place);
      memory.set(text, place);
      end += text.length;
    }
    records.setInt32(number * RECORD, place, true);
    records.setUint8(number * RECORD + WORDS_LENGTH, text.length);
    records.setUint8(number * RECORD + REPLACES, length > 0 ? 1 : 0);
  }
}

/**
 * Syslog priorities. A message may begin with `<13>`, for example: the number
 * is its facility times 8 plus its priority (RFC 3164, section 4.1.1). The
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

/** The words for a line's `<n>`. */
export interface Priority {
  /** `facility.priority: `. */
  readonly text: Bytes;
  /**
   * How many bytes at the line's beginning the words replace; 0 for an unknown
   * facility, whose number is kept.
   */
  readonly length: number;
}

/**
 * The words for a number, such as `user.notice` for 13. As in the original, a
 * facility without a name is `unknown`, and 192 to 199 are `mark`.
 *
 * @param number The facility's number times 8 plus the priority's
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
/** Those made so far, by number and number of digits. */
const known: (Priority | undefined)[] = [];

/**
 * The words for a line that begins with one to three digits between `<` and
 * `>`. As in the original, a `<0>`, which only a kernel may send, gets no
 * words, and a `<999>` gets `unknown.debug: ` before it.
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

/** More bytes than the kernel's table of priorities has. */
export const PRIORITIES_SIZE = 16 * 1024;
/** Numbers have at most three digits. */
const NUMBERS = 1000;
/**
 * The size of a record, and the offsets in it: the words' place (0), their
 * length, and whether they replace the `<n>`.
 */
const RECORD = 8;
const WORDS_LENGTH = 4;
const REPLACES = 5;

/**
 * Puts into the kernel's memory a table of the words that {@linkcode priority}
 * has for each number.
 *
 * @param memory The kernel's memory
 * @param at The table's offset; {@linkcode PRIORITIES_SIZE} bytes are free
 * there
 */
export function putPriorities(memory: Bytes, at: number): void {
  const records = new DataView(memory.buffer, at, NUMBERS * RECORD);
  let end = at + NUMBERS * RECORD;
  /** Where words are already: all unknown facilities have the same. */
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

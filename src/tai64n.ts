/**
 * TAI64N labels: `@` and 24 hex digits, a format of D. J. Bernstein's
 * (cr.yp.to/libtai/tai64.html). The original programs write a second as 2^62 +
 * 10 + the seconds since 1970, without the leap seconds after 1972. So does
 * this, so that their labels and ours agree.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { parseLabel } from "@logferry/logferry/tai64n";
 *
 * const { seconds } = parseLabel("@400000003b9aca09000001f4 a line")!;
 * const time = new Date(1000 * seconds);
 * assertEquals(time.toISOString(), "2001-09-09T01:46:39.000Z");
 * ```
 *
 * @module
 */
import type { Moment } from "./sys/clock.ts";

export type { Moment };

/**
 * How many bytes a label has, its `@` included.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * const line = "@400000003b9aca09000001f4 a line";
 * assertEquals(line.slice(LABEL_LENGTH), " a line");
 * ```
 */
export const LABEL_LENGTH = 25;

const DIGITS = new TextEncoder().encode("0123456789abcdef");
const SECONDS_OFFSET = 10;

function putHex(out: Uint8Array, at: number, value: number): void {
  for (let i = at + 7; i >= at; i--) {
    out[i] = DIGITS[value & 15]!;
    value >>>= 4;
  }
}

/**
 * Writes the label of a moment.
 *
 * @param out The array to write it into
 * @param at The offset in it of the label's first byte; {@linkcode LABEL_LENGTH}
 * bytes are written
 * @param moment The moment
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * const label = new Uint8Array(LABEL_LENGTH);
 * putLabel(label, 0, { seconds: 999999999, nanoseconds: 500 });
 * const text = new TextDecoder().decode(label);
 * assertEquals(text, "@400000003b9aca09000001f4");
 * ```
 */
export function putLabel(out: Uint8Array, at: number, moment: Moment): void {
  const seconds = moment.seconds + SECONDS_OFFSET;
  out[at] = 0x40;
  putHex(out, at + 1, 0x40000000 + Math.floor(seconds / 0x100000000));
  putHex(out, at + 9, seconds >>> 0);
  putHex(out, at + 17, moment.nanoseconds);
}

/**
 * The label of a moment as text, for a file's name.
 *
 * @param moment The moment
 * @returns The label
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(
 *   label({ seconds: 0, nanoseconds: 0 }),
 *   "@400000000000000a00000000",
 * );
 * ```
 */
export function label(moment: Moment): string {
  const out = new Uint8Array(LABEL_LENGTH);
  putLabel(out, 0, moment);
  return String.fromCharCode(...out);
}

/**
 * Reads a label.
 *
 * @param text The label, and whatever comes after it
 * @returns Its moment; `undefined` when the text doesn't begin with a label
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(
 *   parseLabel("@400000003b9aca09000001f4.s"),
 *   { seconds: 999999999, nanoseconds: 500 },
 * );
 * assertEquals(parseLabel("current"), undefined);
 * ```
 */
export function parseLabel(text: string): Moment | undefined {
  const hex = /^@([0-9a-f]{8})([0-9a-f]{8})([0-9a-f]{8})/.exec(text);
  if (hex === null) return undefined;
  const [high, low, nanoseconds] = hex.slice(1).map((d) => parseInt(d, 16)) as [
    number,
    number,
    number,
  ];
  return {
    seconds: (high - 0x40000000) * 0x100000000 + low - SECONDS_OFFSET,
    nanoseconds,
  };
}

/**
 * The patterns that select and deselect lines.
 *
 * @module
 */
import { type Bytes, encode } from "../bytes.ts";

const STAR = 0x2a;

/**
 * How many bytes of a line a pattern sees, its timestamp included.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 *
 * const line = new TextEncoder().encode("x".repeat(5000));
 * const end = Math.min(line.length, PATTERN_SIGHT);
 * assert(matches(pattern("*"), line, 0, end));
 * ```
 */
export const PATTERN_SIGHT = 1000;

/**
 * A pattern, as bytes.
 *
 * @example
 * ```ts
 * const patterns: Pattern[] = ["fatal: *", "* fatal: *"].map(pattern);
 * ```
 */
export type Pattern = Bytes;

/**
 * Makes a pattern of its text.
 *
 * @param text Stars and non-stars, see {@linkcode matches}
 * @returns The pattern
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(new TextDecoder().decode(pattern("+* fatal: *")), "+* fatal: *");
 * ```
 */
export function pattern(text: string): Pattern {
  return encode(text);
}

/**
 * Whether a pattern matches bytes, by multilog's rule: a star followed by a
 * byte matches anything that doesn't hold this byte, so it ends at the first
 * one and nothing is ever tried twice; a star at the end matches anything; any
 * other byte matches itself.
 *
 * @param pattern The pattern
 * @param bytes Where the line is
 * @param from The offset of its first byte
 * @param to The offset behind its last byte
 * @returns Whether it matches all of it
 *
 * @example
 * ```ts
 * import { assert, assertFalse } from "@std/assert";
 *
 * const line = new TextEncoder().encode("named[135]: Cleaned cache of 3121 RRs");
 * assert(matches(pattern("named[*]: Cleaned cache *"), line, 0, line.length));
 * assertFalse(matches(pattern("*cache"), line, 0, line.length));
 * ```
 */
export function matches(
  pattern: Pattern,
  bytes: Uint8Array,
  from: number,
  to: number,
): boolean {
  const end = pattern.length;
  let at = from;
  for (let i = 0; i < end; i++) {
    let wanted = pattern[i]!;
    if (wanted !== STAR) {
      if (at === to || bytes[at] !== wanted) return false;
      at++;
      continue;
    }
    if (i + 1 === end) return true;
    // The byte behind the star is only looked for here. It is matched, as a
    // star of its own if it is one, in the next round.
    wanted = pattern[i + 1]!;
    while (at < to && bytes[at] !== wanted) at++;
    if (at === to) return false;
  }
  return at === to;
}

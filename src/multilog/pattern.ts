/**
 * The patterns that select and deselect lines.
 *
 * @module
 */

/**
 * How many bytes of a line a pattern sees, its timestamp included.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { matches } from "./matching.ts";
 *
 * const line = new TextEncoder().encode("x".repeat(5000));
 * const end = Math.min(line.length, PATTERN_SIGHT);
 * assert(matches(pattern("*"), line, 0, end));
 * ```
 */
export const PATTERN_SIGHT = 1000;

/**
 * What a pattern is written in. `"simple"`: stars and other bytes, multilog's
 * own. `"fnmatch"`: what fnmatch(3) takes, without flags, a byte for a
 * character; a NUL in a line ends it, as it does for the C library.
 * `"expression"`: an extended regular expression of POSIX, as `grep -E` takes
 * it, but of bytes, without references back; it may match anywhere in the
 * line.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { matches } from "./matching.ts";
 *
 * const line = new TextEncoder().encode("named[135]: Cleaned cache of 3121 RRs");
 * const texts: [PatternLanguage, string][] = [
 *   ["simple", "named[*]: Cleaned *"],
 *   ["fnmatch", "named?[0-9]*Cleaned*RRs"],
 *   ["expression", "^named.*(Cleaned|Flushed) cache"],
 * ];
 * for (const [language, text] of texts) {
 *   assert(matches(pattern(text, language), line), text);
 * }
 * ```
 */
export type PatternLanguage = "simple" | "fnmatch" | "expression";

/**
 * A pattern.
 *
 * @example
 * ```ts
 * const patterns: Pattern[] = ["fatal: *", "* fatal: *"].map((text) =>
 *   pattern(text)
 * );
 * ```
 */
export interface Pattern {
  /** What it is written in. */
  readonly language: PatternLanguage;
  /** What it says. */
  readonly text: string;
}

/**
 * Makes a pattern of its text.
 *
 * @param text What it says, see {@linkcode PatternLanguage}
 * @param language What it is written in
 * @returns The pattern
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(pattern("* fatal: *").language, "simple");
 * ```
 */
export function pattern(
  text: string,
  language: PatternLanguage = "simple",
): Pattern {
  return { language, text };
}

/**
 * The patterns with which multilog selects lines. They need no permission.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { matches, pattern } from "@logferry/logferry/pattern";
 *
 * const line = new TextEncoder().encode("named[135]: Cleaned cache of 3121 RRs");
 * assert(matches(pattern("named[*]: Cleaned *"), line));
 * ```
 *
 * @module
 */
export { matches } from "../src/multilog/matching.ts";
export {
  type Pattern,
  pattern,
  PATTERN_SIGHT,
  type PatternLanguage,
} from "../src/multilog/pattern.ts";

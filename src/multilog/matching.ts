/**
 * Whether patterns match, and what they are made into for that.
 *
 * @module
 */
import { type Bytes, encode } from "../bytes.ts";
import { addExpression } from "./expression.ts";
import { addFnmatch } from "./fnmatch.ts";
import type { Pattern } from "./pattern.ts";
import { allButByte, onlyByte, Places } from "./places.ts";

const STAR = 0x2a;

const compiled = new WeakMap<Pattern, Places>();

/**
 * Whether a pattern matches bytes.
 *
 * A simple one does by multilog's rule: a star followed by a byte matches
 * anything that doesn't hold this byte, so it ends at the first one and nothing
 * is ever tried twice; a star at the end matches anything; any other byte
 * matches itself. No pattern takes longer than its length times the line's.
 *
 * @param pattern The pattern
 * @param bytes Where the line is; all of them are it unless the next two say so
 * @param from The offset of its first byte
 * @param to The offset after its last byte
 * @returns Whether it matches all of it; an expression, any part of it
 * @throws {SyntaxError} When it is an expression that can't be understood
 *
 * @example
 * ```ts
 * import { assert, assertFalse } from "@std/assert";
 * import { pattern } from "./pattern.ts";
 *
 * const line = new TextEncoder().encode("named[135]: Cleaned cache of 3121 RRs");
 * assert(matches(pattern("named[*]: Cleaned cache *"), line));
 * assertFalse(matches(pattern("*cache"), line));
 * ```
 */
export function matches(
  pattern: Pattern,
  bytes: Uint8Array,
  from = 0,
  to: number = bytes.length,
): boolean {
  let places = compiled.get(pattern);
  if (places === undefined) {
    compiled.set(pattern, places = compile([pattern]));
  }
  let at: readonly number[] = places.tidy([...places.first]);
  for (let i = from; i < to; i++) at = places.step(at, bytes[i]!);
  return at.some((place) =>
    place === places.matched[0] || place === places.atEnd[0]
  );
}

/**
 * Makes patterns into places.
 *
 * @param patterns The patterns
 * @returns The places, of patterns with the same numbers
 * @throws {SyntaxError} When one is an expression that can't be understood
 */
export function compile(patterns: readonly Pattern[]): Places {
  const places = new Places();
  for (const { language, text } of patterns) {
    const bytes = encode(text);
    if (language === "simple") addSimple(places, bytes);
    else if (language === "fnmatch") addFnmatch(places, bytes);
    else {
      try {
        addExpression(places, bytes);
      } catch (error) {
        if (!(error instanceof SyntaxError)) throw error;
        throw new SyntaxError(`${text}: ${error.message}`);
      }
    }
  }
  return places;
}

function addSimple(places: Places, text: Bytes): void {
  places.begin();
  const matched = places.matched.at(-1)!;
  /** Where it may have got to when what follows in the pattern comes next. */
  let next = [places.atEnd.at(-1)!];
  /** Where a star that stands next gets to with a star in the line. */
  let atStar: readonly number[] = [];
  for (let i = text.length - 1; i >= 0; i--) {
    const byte = text[i]!;
    const follower = text[i + 1];
    if (byte !== STAR) {
      next = [places.add(onlyByte(byte), next)];
    } else if (follower === undefined) {
      next = [matched];
      atStar = next;
    } else {
      // The star's end is the first such byte. That byte is matched by what
      // follows, which has no other way to go on; where it is a star of the
      // pattern's, that one goes on with it.
      const end = follower === STAR
        ? places.add(onlyByte(STAR), atStar)
        : next[0]!;
      next = [end];
      next.push(places.add(allButByte(follower), next));
      if (follower !== STAR) atStar = next;
    }
  }
  places.first.push(...next);
}

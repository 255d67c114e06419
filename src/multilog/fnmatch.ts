/**
 * fnmatch(3)'s patterns, without flags, in the C locale.
 *
 * @module
 */
import type { Bytes } from "../bytes.ts";
import { readBrackets } from "./brackets.ts";
import {
  allButByte,
  type ByteSet,
  NO_BYTE,
  onlyByte,
  type Places,
} from "./places.ts";

const code = (character: string) => character.charCodeAt(0);
const STAR = code("*");

const QUESTION = code("?");
const OPEN = code("[");
const BACKSLASH = code("\\");
/** Where a line ends for the C library. */
const NUL = 0;
const ANY = allButByte(NUL);

/**
 * Adds a pattern to places.
 *
 * @param places The places
 * @param text The pattern
 */
export function addFnmatch(places: Places, text: Bytes): void {
  places.begin(onlyByte(NUL));
  let next = [places.atEnd.at(-1)!];
  const parts = partsOf(text);
  for (const part of parts.reverse()) {
    if (part !== "any") next = [places.add(part, next)];
    else if (next[0] === places.atEnd.at(-1)) next = [places.matched.at(-1)!];
    else {
      next = [...next];
      next.push(places.add(ANY, next));
    }
  }
  places.first.push(...next);
}

/** A star, or the bytes that one character of a pattern matches. */
type Part = "any" | ByteSet;

function partsOf(text: Bytes): Part[] {
  const parts: Part[] = [];
  for (let at = 0; at < text.length;) {
    const byte = text[at++]!;
    if (byte === STAR) {
      // More than one in a row say no more than one.
      if (parts.at(-1) !== "any") parts.push("any");
    } else if (byte === QUESTION) parts.push(ANY);
    else if (byte === BACKSLASH) {
      // At the end there is nothing that it could stand for.
      parts.push(at < text.length ? onlyByte(text[at++]!) : NO_BYTE);
    } else if (byte === OPEN) {
      const not = text[at] === code("!") || text[at] === code("^");
      const { set, after, fault } = readBrackets(
        text,
        at + (not ? 1 : 0),
        true,
      );
      if (fault === "unmatched [") {
        parts.push(onlyByte(OPEN));
        continue;
      }
      if (not && fault !== undefined) parts.push(NO_BYTE);
      else parts.push(not ? set.map((is, i) => i !== NUL && !is ? 1 : 0) : set);
      at = after;
    } else parts.push(onlyByte(byte));
  }
  return parts;
}

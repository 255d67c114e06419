/**
 * Bracket expressions, `[a-z[:digit:]]`, which fnmatch(3)'s patterns and
 * regular expressions have in common.
 *
 * @module
 */
import type { Bytes } from "../bytes.ts";
import { ANY_BYTE, type ByteSet, NO_BYTE } from "./places.ts";

const code = (character: string) => character.charCodeAt(0);
const OPEN = code("[");
const CLOSE = code("]");
const DASH = code("-");
const COLON = code(":");
const EQUALS = code("=");
const DOT = code(".");
const BACKSLASH = code("\\");
const LONGEST_NAME = 32;

/** The characters of the C locale's classes. */
const CLASSES: Record<string, RegExp> = {
  alnum: /[A-Za-z0-9]/,
  alpha: /[A-Za-z]/,
  blank: /[ \t]/,
  // deno-lint-ignore no-control-regex
  cntrl: /[\0-\x1f\x7f]/,
  digit: /[0-9]/,
  graph: /[!-~]/,
  lower: /[a-z]/,
  print: /[ -~]/,
  punct: /[!-/:-@[-`{-~]/,
  space: /[ \t-\r]/,
  upper: /[A-Z]/,
  xdigit: /[0-9A-Fa-f]/,
};

/** What is wrong with a bracket expression. */
export type Fault = "unmatched [" | "unknown class" | "wrong range";

/** A bracket expression that was read. */
export interface Brackets {
  /** The bytes that it names, up to a fault. */
  readonly set: ByteSet;
  /** Where what follows it begins. */
  readonly after: number;
  /** What is wrong with it. */
  readonly fault: Fault | undefined;
}

/**
 * The bytes of a class.
 *
 * @param name Its name
 * @returns The bytes; `undefined` where there is no such class
 */
export function classOf(name: string): ByteSet | undefined {
  const expression = Object.hasOwn(CLASSES, name) ? CLASSES[name] : undefined;
  return expression &&
    ANY_BYTE.map((_, byte) =>
      expression.test(String.fromCharCode(byte)) ? 1 : 0
    );
}

/**
 * Reads what follows a `[`, and a `!` or `^` after it.
 *
 * @param text The pattern
 * @param from Where that begins
 * @param escapes Whether a backslash takes the meaning from what follows it
 * @returns The bytes named; not yet all the others
 */
export function readBrackets(
  text: Bytes,
  from: number,
  escapes: boolean,
): Brackets {
  const set = new Uint8Array(256);
  let fault: Fault | undefined;
  let open = false;
  let at = from;
  /** Reads `[:name:]` or the like; what it names, when it is that. */
  const named = (mark: number): string | undefined => {
    if (text[at] !== OPEN || text[at + 1] !== mark) return undefined;
    for (let end = at + 2; end + 1 < text.length; end++) {
      if (text[end] !== mark || text[end + 1] !== CLOSE) continue;
      // `[[.].]]` names the `]`.
      if (end === at + 2) continue;
      const name = String.fromCharCode(...text.subarray(at + 2, end));
      if (mark === COLON && !/^[a-z]{1,32}$/.test(name)) return undefined;
      if (name.length > LONGEST_NAME) return undefined;
      at = end + 2;
      return name;
    }
    return undefined;
  };
  /** Reads one character, an end of a range perhaps. */
  const character = (): number | undefined => {
    const name = named(DOT);
    if (name !== undefined) {
      if (name.length === 1) return code(name);
      fault ??= "unknown class";
      return undefined;
    }
    if (text[at] === OPEN && text[at + 1] === DOT) {
      // What is named never ends, and so names nothing.
      at = text.length;
      open = true;
      return undefined;
    }
    if (escapes && text[at] === BACKSLASH) at++;
    return text[at++];
  };
  while (at < text.length) {
    if (text[at] === CLOSE && at > from) return { set, after: at + 1, fault };
    const name = named(COLON);
    if (name !== undefined) {
      const members = classOf(name);
      if (members === undefined) fault ??= "unknown class";
      else if (fault === undefined) members.forEach((is, i) => set[i]! |= is);
      continue;
    }
    const equal = named(EQUALS);
    if (equal !== undefined) {
      if (equal.length > 1) fault ??= "unknown class";
      else if (fault === undefined) set[code(equal)] = 1;
      continue;
    }
    const low = character();
    let high = low;
    if (
      text[at] === DASH && at + 1 < text.length && text[at + 1] !== CLOSE
    ) {
      at++;
      high = character();
    }
    if (at > text.length) break;
    if (low === undefined || high === undefined || fault !== undefined) {
      continue;
    }
    if (low > high && !escapes) fault = "wrong range";
    for (let byte = low; byte <= high; byte++) set[byte] = 1;
  }
  if (open) return { set: NO_BYTE, after: at, fault: "unknown class" };
  return { set, after: text.length, fault: "unmatched [" };
}

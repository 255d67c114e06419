/**
 * Showing lines on a terminal that other people wrote, without letting them
 * command it.
 *
 * @module
 */
import type { Bytes } from "./bytes.ts";

const TAB = 0x09;
const NEWLINE = 0x0a;
const SPACE = 0x20;
const DELETE = 0x7f;
const BACKSLASH = 0x5c;
const LETTER_X = 0x78;
const DIGITS = new TextEncoder().encode("0123456789abcdef");
/** The first byte of U+0080 to U+00BF in UTF-8. */
const FIRST = 0xc2;
/** The second byte of U+009F, the last control character among them. */
const LAST_CONTROL = 0x9f;

/**
 * A stream's bytes in a form that is safe to show on a terminal. Control
 * characters, which a terminal could take for commands, are written out, as
 * `\x1b`, except newline and tab. So are U+0080 to U+009F, which some terminals
 * obey.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * const bytes = new TextEncoder().encode("a\x1b[2Jb\n");
 * const shown = new TerminalText().turn(bytes);
 * assertEquals(new TextDecoder().decode(shown), "a\\x1b[2Jb\n");
 * ```
 */
export class TerminalText {
  /** The byte before the next one. */
  #before = 0;

  /** Takes the next bytes of the stream, and returns what is to be shown. */
  turn(bytes: Uint8Array): Bytes {
    const out = new Uint8Array(4 * bytes.length);
    let length = 0;
    for (const byte of bytes) {
      const control = byte < SPACE && byte !== TAB && byte !== NEWLINE ||
        byte === DELETE ||
        this.#before === FIRST && byte > DELETE && byte <= LAST_CONTROL;
      this.#before = byte;
      if (!control) {
        out[length++] = byte;
        continue;
      }
      out[length++] = BACKSLASH;
      out[length++] = LETTER_X;
      out[length++] = DIGITS[byte >> 4]!;
      out[length++] = DIGITS[byte & 15]!;
    }
    return out.subarray(0, length);
  }
}

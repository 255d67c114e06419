/**
 * What strangers wrote, shown on a terminal.
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
/** UTF-8's first byte of U+0080 to U+00BF, and the last one that is control. */
const FIRST = 0xc2;
const LAST_CONTROL = 0x9f;

/**
 * A stream's bytes as a terminal may have them: what it could take for a
 * command, control characters but newline and tab, is written out, as `\x1b`.
 * Those of U+0080 to U+009F are meant, too, which some terminals obey.
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

  /**
   * Turns the next bytes of the stream.
   *
   * @param bytes The bytes
   * @returns What is to be shown
   */
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

/**
 * Bytes, and text made of them.
 *
 * @module
 */

/**
 * Bytes that can be handed to the C library: their memory isn't shared between
 * threads.
 *
 * @example
 * ```ts
 * const bytes: Bytes = encode("a line\n");
 * ```
 */
export type Bytes = Uint8Array<ArrayBuffer>;

const encoder = new TextEncoder();

/** The bytes of a text in UTF-8. */
export function encode(text: string): Bytes {
  return encoder.encode(text) as Bytes;
}

/** How many bytes are made text of at once. */
const PIECE = 8192;

/**
 * Bytes as text, one character for each byte (Latin-1), so that names and
 * messages may hold any bytes, also those that aren't UTF-8.
 */
export function latin1(bytes: Uint8Array): string {
  let text = "";
  // Twelve times as fast as byte by byte; a call can't take all at once.
  for (let at = 0; at < bytes.length; at += PIECE) {
    text += String.fromCharCode.apply(
      null,
      bytes.subarray(at, at + PIECE) as Iterable<number> as number[],
    );
  }
  return text;
}

/**
 * The bytes of a text that {@linkcode latin1} made: one for each character.
 */
export function fromLatin1(text: string): Bytes {
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

/** The byte that ends a line. */
export const NEWLINE = 10;

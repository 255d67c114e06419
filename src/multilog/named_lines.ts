/**
 * Lines with a name before each of them, so that those of several logs can be
 * told apart.
 *
 * @module
 */
import { type Bytes, encode, NEWLINE } from "../bytes.ts";

/** What is held of a line that isn't whole yet, at the most. */
const MOST_HELD = 64 * 1024;

/** A stream's whole lines, each after a name. */
export class NamedLines {
  readonly #name: Bytes;
  #held: Bytes = new Uint8Array(0);

  /**
   * Makes it.
   *
   * @param name What is put before each line
   */
  constructor(name: string) {
    this.#name = encode(name);
  }

  /**
   * Turns the next bytes of the stream.
   *
   * @param bytes The bytes
   * @returns The lines that are whole; what is very long goes in pieces, each
   * a line
   */
  turn(bytes: Bytes): Bytes {
    const input = new Uint8Array(this.#held.length + bytes.length);
    input.set(this.#held);
    input.set(bytes, this.#held.length);
    let lines = 1;
    for (const byte of bytes) if (byte === NEWLINE) lines++;
    const out = new Uint8Array(
      input.length + lines * (this.#name.length + 1),
    );
    let length = 0;
    const put = (line: Bytes) => {
      out.set(this.#name, length);
      out.set(line, length + this.#name.length);
      length += this.#name.length + line.length;
    };
    let at = 0;
    let newline: number;
    while ((newline = input.indexOf(NEWLINE, at)) >= 0) {
      put(input.subarray(at, newline + 1));
      at = newline + 1;
    }
    this.#held = input.slice(at);
    if (this.#held.length > MOST_HELD) {
      put(this.#held);
      out[length++] = NEWLINE;
      this.#held = new Uint8Array(0);
    }
    return out.subarray(0, length);
  }
}

/**
 * Lines that tell by themselves whether they are whole: who wrote them, which
 * of his they are, a checksum, and bytes of all sorts.
 *
 *     a 00000042 9b2c11d0 …
 *
 * A line is a function of the seed, the client and the number, so that whoever
 * finds a piece of one can tell what it is a piece of.
 *
 * @module
 */
import type { Bytes } from "../../src/bytes.ts";

/** How many bytes stand before what a line says. */
export const HEAD = "a 00000042 9b2c11d0 ".length;
/** The largest number of a line. */
const MOST = 99999999;

const SPACE = 0x20;
const ZERO = 0x30;
const A = 0x61;
/** Clients are called a to z. */
const CLIENTS = 26;

const table = new Uint32Array(256).map((_, n) => {
  for (let k = 0; k < 8; k++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
  return n >>> 0;
});

/** CRC-32 of a line without its checksum. */
function checksum(line: Uint8Array, from: number, to: number): number {
  let crc = 0xffffffff;
  for (let i = from; i < to; i++) {
    // The number's eight digits and its space stand at 11 to 20.
    if (i === from + 11) i += 9;
    if (i >= to) break;
    crc = table[(crc ^ line[i]!) & 0xff]! ^ (crc >>> 8);
  }
  return (crc ^ 0xffffffff) >>> 0;
}

function mix(a: number, b: number): number {
  let h = Math.imul(a ^ (b >>> 15), 0x2c1b3c6d) ^ b;
  h = Math.imul(h ^ (h >>> 12), 0x297a2d39);
  return (h ^ (h >>> 15)) >>> 0;
}

/** Makes the lines of one run. */
export class LineMaker {
  readonly #seed: number;
  /** How many bytes the longest line has, its newline not counted. */
  readonly longest: number;
  readonly #buffer: Bytes;

  /**
   * Makes it.
   *
   * @param seed The run's seed
   * @param longest How many bytes the longest line has, without its newline
   */
  constructor(seed: number, longest: number) {
    this.#seed = seed;
    this.longest = longest;
    this.#buffer = new Uint8Array(longest + 1);
  }

  /**
   * Makes a line.
   *
   * @param client Whose it is, from 0
   * @param number Which it is, from 0
   * @returns Its bytes with the newline, until the next is made
   */
  line(client: number, number: number): Bytes {
    if (number > MOST) throw new RangeError(`no line ${number}`);
    let state = mix(mix(this.#seed, client + 1), number + 1) || 1;
    const next = () => {
      state ^= state << 13;
      state ^= state >>> 17;
      state ^= state << 5;
      return state >>> 0;
    };
    const room = this.longest - HEAD;
    const kind = next() & 31;
    // Most are short, as real ones are; some are as long as they may be.
    const most = kind > 8 ? Math.min(100, room) : kind > 1 ? room / 4 : room;
    const length = HEAD + 1 + next() % Math.max(1, Math.floor(most));
    const line = this.#buffer;
    line[0] = A + client;
    line[1] = SPACE;
    let rest = number;
    for (let i = 9; i >= 2; i--) {
      line[i] = ZERO + rest % 10;
      rest = Math.floor(rest / 10);
    }
    line[10] = SPACE;
    line[19] = SPACE;
    for (let i = HEAD; i < length; i += 4) {
      const bits = next();
      for (let k = 0; k < 4 && i + k < length; k++) {
        const byte = (bits >>> (8 * k)) & 0xff;
        line[i + k] = byte < SPACE ? byte + 0x40 : byte;
      }
    }
    let crc = checksum(line, 0, length);
    for (let i = 18; i >= 11; i--) {
      const digit = crc & 15;
      line[i] = digit < 10 ? ZERO + digit : A - 10 + digit;
      crc >>>= 4;
    }
    line[length] = 0x0a;
    return line.subarray(0, length + 1);
  }

  /**
   * Whether bytes are the beginning of a line.
   *
   * @param piece The bytes
   * @param client Whose line
   * @param number Which
   * @returns Whether they are
   */
  begins(piece: Uint8Array, client: number, number: number): boolean {
    const line = this.line(client, number);
    return piece.length < line.length && piece.every((b, i) => b === line[i]);
  }

  /**
   * Whether bytes are the end of a line.
   *
   * @param piece The bytes, without the newline
   * @param client Whose line
   * @param number Which
   * @returns Whether they are
   */
  ends(piece: Uint8Array, client: number, number: number): boolean {
    const line = this.line(client, number);
    const from = line.length - 1 - piece.length;
    return from >= 0 && piece.every((b, i) => b === line[from + i]);
  }
}

/**
 * The number in the head of a line.
 *
 * @param bytes Where it is
 * @param from The offset of its first byte
 * @returns The number, or -1 where there is none
 */
export function numberAt(bytes: Uint8Array, from: number): number {
  let number = 0;
  for (let i = from + 2; i < from + 10; i++) {
    const digit = bytes[i]! - ZERO;
    if (!(digit >= 0 && digit <= 9)) return -1;
    number = 10 * number + digit;
  }
  return number;
}

/**
 * Reads a line.
 *
 * @param bytes Where it is
 * @param from The offset of its first byte
 * @param to The offset after its last, the newline not counted
 * @returns Whose it is, from 0, or -1 when it isn't a whole line; its number is
 * what {@linkcode numberAt} says
 */
export function ownerAt(bytes: Uint8Array, from: number, to: number): number {
  if (to - from <= HEAD || bytes[from + 1] !== SPACE) return -1;
  if (bytes[from + 10] !== SPACE || bytes[from + 19] !== SPACE) return -1;
  if (numberAt(bytes, from) < 0) return -1;
  let crc = 0;
  for (let i = from + 11; i < from + 19; i++) {
    const byte = bytes[i]!;
    const digit = byte >= A ? byte - A + 10 : byte - ZERO;
    if (digit < 0 || digit > 15) return -1;
    crc = crc * 16 + digit;
  }
  const client = bytes[from]! - A;
  if (client < 0 || client >= CLIENTS) return -1;
  return crc === checksum(bytes, from, to) ? client : -1;
}

/**
 * What patterns are made into: places that a line may have got to in one.
 *
 * @module
 */
import { NEWLINE } from "../bytes.ts";

/** A set of bytes: 1 for each that is in it. */
export type ByteSet = Uint8Array;

/** The places of one or more patterns; a place is a number. */
export class Places {
  /** With which bytes it goes on from a place. */
  readonly bytes: ByteSet[] = [];
  /** Which places it then may have got to. */
  readonly after: (readonly number[])[] = [];
  /** Whose place it is: the pattern's number. */
  readonly owner: number[] = [];
  /** Where a line begins. */
  readonly first: number[] = [];
  /** The place of each pattern from which nothing that follows matters. */
  readonly matched: number[] = [];
  /** The place of each pattern which matches if the line ends there. */
  readonly atEnd: number[] = [];
  #marks: Uint32Array = new Uint32Array(0);
  #mark = 0;

  /** How many patterns there are. */
  get patterns(): number {
    return this.matched.length;
  }

  /**
   * Begins a pattern.
   *
   * @param ending Bytes that end a line for this pattern
   */
  begin(ending: ByteSet = NO_BYTE): void {
    const matched = this.bytes.length;
    this.matched.push(matched);
    this.atEnd.push(matched + 1);
    this.add(ANY_BYTE, [matched]);
    this.add(ending, [matched]);
  }

  /**
   * Adds a place of the pattern that was begun last.
   *
   * @param bytes With which it goes on
   * @param after To which places; they may be added later
   * @returns The place
   */
  add(bytes: ByteSet, after: readonly number[]): number {
    this.bytes.push(bytes);
    this.owner.push(this.matched.length - 1);
    return this.after.push(after) - 1;
  }

  /**
   * Where a line may have got to with one byte more.
   *
   * @param places Where it may have got to, in order
   * @param byte The byte
   * @returns The places, in order; of a pattern that surely matches only that
   */
  step(places: readonly number[], byte: number): number[] {
    const found: number[] = [];
    for (const place of places) {
      if (!this.bytes[place]![byte]) continue;
      for (const next of this.after[place]!) found.push(next);
    }
    return this.tidy(found);
  }

  /**
   * Puts places in order, each once, without those that make no difference.
   *
   * @param found The places
   * @returns The same array, changed
   */
  tidy(found: number[]): number[] {
    if (found.length < 2) return found;
    if (this.#marks.length < this.bytes.length) {
      this.#marks = new Uint32Array(this.bytes.length);
    }
    const marks = this.#marks;
    const mark = this.#mark += 2;
    for (const place of found) marks[place] = mark;
    let count = 0;
    for (const place of found) {
      if (marks[place] !== mark) continue;
      const matched = this.matched[this.owner[place]!]!;
      if (place !== matched && marks[matched]! >= mark) continue;
      // It is in.
      marks[place] = mark + 1;
      found[count++] = place;
    }
    found.length = count;
    return found.sort((a, b) => a - b);
  }
}

/** No byte. */
export const NO_BYTE: ByteSet = new Uint8Array(256);
/** Any byte. */
export const ANY_BYTE: ByteSet = new Uint8Array(256).fill(1);

const only: ByteSet[] = [];
const allBut: ByteSet[] = [];

/**
 * The set of one byte.
 *
 * @param byte The byte
 * @returns The set, the same each time
 */
export function onlyByte(byte: number): ByteSet {
  return only[byte] ??= ANY_BYTE.map((_, each) => each === byte ? 1 : 0);
}

/**
 * The set of all bytes but one.
 *
 * @param byte The byte
 * @returns The set, the same each time
 */
export function allButByte(byte: number): ByteSet {
  return allBut[byte] ??= ANY_BYTE.map((_, each) => each === byte ? 0 : 1);
}

/** Bytes between which no pattern makes a difference. */
export interface Classes {
  /** For each byte, the number of its class. */
  readonly of: Uint8Array;
  /** For each class, one of its bytes. */
  readonly bytes: readonly number[];
}

/**
 * Sorts bytes into classes; the newline, which no line holds, has its own.
 *
 * @param sets The sets that tell them apart
 * @returns The classes
 */
export function classify(sets: Iterable<ByteSet>): Classes {
  const of = new Uint8Array(256);
  for (const set of new Set([onlyByte(NEWLINE), ...sets])) {
    const numbers = new Map<number, number>();
    for (let byte = 0; byte < 256; byte++) {
      const key = 2 * of[byte]! + set[byte]!;
      if (!numbers.has(key)) numbers.set(key, numbers.size);
      of[byte] = numbers.get(key)!;
    }
  }
  const bytes: number[] = [];
  of.forEach((number, byte) => bytes[number] ??= byte);
  return { of, bytes };
}

/**
 * All patterns of a script at the same time: an automaton whose states are
 * made when a line first gets to them. The kernel walks it, a step for a byte,
 * however many patterns there are.
 *
 * @module
 */
import { type Bytes, NEWLINE } from "../bytes.ts";
import { type Classes, classify, type Places } from "./places.ts";

/** Room for states and outcomes, in bytes; then they are made anew. */
const ROOM = 4 * 1024 * 1024;
/** How many states there are at the most, since each has an object here. */
const MOST_STATES = 20_000;
/** How many bytes may lead out of a state for the kernel to look for them. */
const EXITS = 3;

// A state as the kernel has it: bytes that lead out, how many of them count (0
// where more bytes do), and for each class of bytes the next state, minus an
// outcome, or 0.
const SKIPS = 3;
const NEXT = 4;

/** An automaton in a memory. */
export class Automaton {
  /** The class that the end of a line is in. */
  readonly endClass: number;
  readonly #memory: Bytes;
  readonly #words: Int32Array;
  readonly #at: number;
  readonly #end: number;
  readonly #places: Places;
  readonly #outcomeOf: (matched: Uint8Array) => readonly number[];
  readonly #classes: Classes;
  readonly #states = new Map<string, number>();
  readonly #placesOf = new Map<number, readonly number[]>();
  readonly #outcomes = new Map<string, number>();
  #used = 0;
  /** Counts how often all states have been made anew. */
  #generation = 0;
  #start = 0;

  /**
   * Makes an automaton.
   *
   * @param memory The memory
   * @param classes Where the 256 bytes are that say what class a byte is in
   * @param at Where there is {@linkcode Automaton.room} for states and
   * outcomes, a multiple of 4
   * @param end Where that ends
   * @param places The patterns
   * @param outcomeOf What is to be done with a line, for the kernel, given for
   * each pattern whether it matches
   */
  constructor(
    memory: Bytes,
    classes: number,
    at: number,
    end: number,
    places: Places,
    outcomeOf: (matched: Uint8Array) => readonly number[],
  ) {
    this.#memory = memory;
    this.#words = new Int32Array(memory.buffer);
    this.#at = at;
    this.#end = end;
    this.#places = places;
    this.#outcomeOf = outcomeOf;
    this.#classes = classify(places.bytes);
    memory.set(this.#classes.of, classes);
    this.endClass = this.#classes.of[NEWLINE]!;
    this.#clear();
  }

  /**
   * How much room an automaton needs.
   *
   * @param words How many numbers an outcome may have
   * @returns Bytes
   */
  static room(words: number): number {
    return ROOM + 4 * (4 * words + 4 * 256);
  }

  /**
   * The address of the state that a line begins in; minus an outcome's. It
   * stays, since this state is always the first to be made.
   */
  get start(): number {
    return this.#start;
  }

  /**
   * Finds a state's next one. It may be that the state itself is gone then.
   *
   * @param state The state
   * @param byteClass What comes
   * @returns The next state's address; minus an outcome's
   */
  next(state: number, byteClass: number): number {
    const places = this.#placesOf.get(state)!;
    const generation = this.#generation;
    const next = byteClass === this.endClass
      ? this.#outcome(places)
      : this.#state(this.#places.step(places, this.#classes.bytes[byteClass]!));
    if (generation === this.#generation) {
      this.#words[(state + NEXT) / 4 + byteClass] = next;
    }
    return next;
  }

  #clear(): void {
    this.#generation++;
    this.#used = this.#at;
    this.#states.clear();
    this.#placesOf.clear();
    this.#outcomes.clear();
    const places = this.#places;
    this.#start = this.#state(places.tidy([...places.first]));
  }

  #reserve(bytes: number): number {
    if (
      this.#used + bytes > this.#end || this.#placesOf.size >= MOST_STATES
    ) {
      this.#clear();
    }
    const at = this.#used;
    this.#used += bytes;
    return at;
  }

  #state(places: readonly number[]): number {
    const { matched, owner } = this.#places;
    // Nothing that follows matters where all that is left has matched.
    if (places.every((place) => matched[owner[place]!] === place)) {
      return this.#outcome(places);
    }
    const key = places.join();
    let state = this.#states.get(key);
    if (state !== undefined) return state;
    const size = NEXT + 4 * this.#classes.bytes.length;
    state = this.#reserve(size);
    this.#memory.fill(0, state, state + size);
    this.#states.set(key, state);
    this.#placesOf.set(state, places);
    this.#findExits(state, places);
    return state;
  }

  /** Notes the bytes that lead out of a state, where they are few. */
  #findExits(state: number, places: readonly number[]): void {
    const { bytes, after } = this.#places;
    const exits: number[] = [];
    const key = places.join();
    for (const [number, byte] of this.#classes.bytes.entries()) {
      if (number === this.endClass) continue;
      // Most states have a place that is left by nearly every byte.
      const stays = places.some((place) =>
        bytes[place]![byte] && after[place]!.includes(place)
      );
      if (stays && this.#places.step(places, byte).join() === key) continue;
      for (let other = byte; other < 256; other++) {
        if (this.#classes.of[other] === number) exits.push(other);
      }
      if (exits.length > EXITS) return;
    }
    this.#memory[state + SKIPS] = exits.length > 1 ? EXITS : 1;
    while (exits.length < EXITS) exits.push(NEWLINE);
    this.#memory.set(exits, state);
  }

  #outcome(places: readonly number[]): number {
    const { matched, atEnd, owner, patterns } = this.#places;
    const flags = new Uint8Array(patterns);
    for (const place of places) {
      const pattern = owner[place]!;
      if (place === matched[pattern] || place === atEnd[pattern]) {
        flags[pattern] = 1;
      }
    }
    const words = this.#outcomeOf(flags);
    const key = words.join();
    let outcome = this.#outcomes.get(key);
    if (outcome === undefined) {
      outcome = this.#reserve(4 * words.length);
      this.#words.set(words, outcome / 4);
      this.#outcomes.set(key, outcome);
    }
    return -outcome;
  }
}

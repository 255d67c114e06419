/**
 * Streams of bytes become whole lines.
 *
 * @module
 */
import { type Bytes, NEWLINE } from "../bytes.ts";
import { noPriority, type Priority, priority } from "./priorities.ts";

/** The longest line that is kept in one piece, in bytes. */
export const LONGEST = 65536;
/** The longest prefix that a stream can have, in bytes. */
export const LONGEST_PREFIX = 32768;

/** The room that all unfinished lines together may take, in bytes. */
const MOST_HELD = 128 * 1024 * 1024;
const INPUT = 256 * 1024;
const OUTPUT = 1024 * 1024;
/** What one line may need beside itself: prefixes, priorities, newlines. */
const EXTRA = 2 * LONGEST_PREFIX + 64;

const LESS = 0x3c;
const GREATER = 0x3e;

/**
 * How lines come out.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * const options: FramerOptions = { form: "raw" };
 * const framer = new Framer(options);
 * const stream = new Stream(new Uint8Array(0));
 * const { read } = new TextEncoder().encodeInto("<13>up\n", framer.input);
 * framer.take(stream, 0, read);
 * assertEquals(new TextDecoder().decode(framer.output()), "<13>up\n");
 * ```
 */
export interface FramerOptions {
  /**
   * `"cooked"`: a leading `<n>` becomes `facility.priority: `. `"raw"`: it
   * stays. `"both"`: first the one line, raw, and then the other.
   */
  form?: "cooked" | "raw" | "both";
}

/**
 * What belongs to one stream between two reads.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * const framer = new Framer();
 * const stream = new Stream(new TextEncoder().encode("192.0.2.7: "));
 * const { read } = new TextEncoder().encodeInto("half a li", framer.input);
 * framer.take(stream, 0, read);
 * assertEquals([framer.size, stream.length], [0, 9]);
 * ```
 */
export class Stream {
  /** What each of its lines begins with. */
  readonly prefix: Bytes;
  /** The unfinished line; nothing where there is none. */
  held: Bytes | undefined = undefined;
  /** How many bytes of it there are. */
  length = 0;
  /** The priority of a line whose first pieces have gone out already. */
  continues: Priority | undefined = undefined;

  /**
   * Makes an empty stream.
   *
   * @param prefix What each of its lines is to begin with, at most
   * {@linkcode LONGEST_PREFIX} bytes; more is cut off
   */
  constructor(prefix: Uint8Array) {
    this.prefix = Uint8Array.from(prefix.subarray(0, LONGEST_PREFIX));
  }
}

/** Room for unfinished lines, by size, so that it is used again. */
const spare: Bytes[][] = [];
const SMALLEST = 9;
const KEPT = 64;

/** Powers of two, so that what one line gives back fits another. */
function sizeFor(length: number): number {
  return Math.max(1 << SMALLEST, 1 << (32 - Math.clz32(length - 1)));
}

function roomFor(length: number): Bytes {
  const size = sizeFor(length);
  return spare[31 - Math.clz32(size)]?.pop() ?? new Uint8Array(size);
}

function giveBack(room: Bytes): void {
  const power = 31 - Math.clz32(room.length);
  const list = spare[power] ??= [];
  if (list.length < KEPT) list.push(room);
}

/**
 * Splits any number of streams into lines, and puts the lines together in one
 * output.
 *
 * A line ends with a newline, a NUL, or its stream; empty ones are dropped.
 * It comes out as its stream's prefix, its `facility.priority: ` where it
 * begins with a known `<n>`, the line, and a newline. A line longer than
 * {@linkcode LONGEST} comes out in pieces of that length, each with the same
 * prefix and priority, wherever its bytes were split on their way. (Only when
 * unfinished lines take 128 MiB together are pieces shorter.)
 *
 * Input and output are parts of one memory, so that a line gets from the one
 * to the other without an object being made for it.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * const framer = new Framer();
 * const encoder = new TextEncoder();
 * const stream = new Stream(encoder.encode("10.0.0.1: "));
 * const { read } = encoder.encodeInto("<13>up\n<86>so", framer.input);
 * framer.take(stream, 0, read);
 * framer.end(stream);
 * assertEquals(
 *   new TextDecoder().decode(framer.output()),
 *   "10.0.0.1: user.notice: up\n10.0.0.1: authpriv.info: so\n",
 * );
 * ```
 */
export class Framer {
  /**
   * Where input is to be put, from its beginning, by nobody else until it has
   * been taken: streams whose reads wait at the same time need a framer each.
   */
  readonly input: Bytes;
  /** How much room unfinished lines take now, in bytes. */
  held = 0;

  readonly #memory: Bytes;
  /** Where output that hasn't been taken begins and ends. */
  #first: number;
  #end: number;
  readonly #start: number;
  readonly #cooked: boolean;
  readonly #raw: boolean;

  /**
   * Makes one.
   *
   * @param options How lines come out
   */
  constructor(options: FramerOptions = {}) {
    // Behind the input is one byte for the newline that stops every search.
    this.#start = INPUT + 1;
    this.#memory = new Uint8Array(this.#start + OUTPUT);
    this.input = this.#memory.subarray(0, INPUT);
    this.#first = this.#end = this.#start;
    this.#cooked = options.form !== "raw";
    this.#raw = options.form === "raw" || options.form === "both";
  }

  /**
   * Takes input.
   *
   * @param stream The stream that it belongs to
   * @param at Where it begins in {@linkcode Framer.input}
   * @param to Where it ends
   * @returns How far it was taken: less than `to` only when
   * {@linkcode Framer.output} is full and must be emptied before the rest is
   * taken in another call
   */
  take(stream: Stream, at: number, to: number): number {
    const memory = this.#memory;
    const chunk = memory.subarray(at, to);
    for (let i = chunk.indexOf(0); i >= 0; i = chunk.indexOf(0, i + 1)) {
      chunk[i] = NEWLINE;
    }
    memory[to] = NEWLINE;
    while (at < to) {
      const end = memory.indexOf(NEWLINE, at);
      let length = stream.length + end - at;
      if (length === 0) {
        stream.continues = undefined;
        at++;
        continue;
      }
      while (length > LONGEST) {
        if (!this.#hasRoom(LONGEST)) return at;
        const part = LONGEST - stream.length;
        this.#put(stream, at, part, true);
        at += part;
        length -= LONGEST;
      }
      if (end === to) {
        if (this.#mayHold(stream, length)) this.#hold(stream, at, to);
        else if (this.#hasRoom(length)) this.#put(stream, at, to - at, true);
        else return at;
        return to;
      }
      if (!this.#hasRoom(length)) return at;
      this.#put(stream, at, end - at, false);
      at = end + 1;
    }
    return to;
  }

  /**
   * Ends a stream: what it holds becomes a line.
   *
   * @param stream The stream; it can be used again
   * @returns Whether that was done; else the output is full and must be
   * emptied first
   */
  end(stream: Stream): boolean {
    if (stream.length > 0) {
      if (!this.#hasRoom(stream.length)) return false;
      this.#put(stream, 0, 0, false);
    }
    stream.continues = undefined;
    return true;
  }

  /**
   * The lines that are finished and not yet taken.
   *
   * @returns A view that holds until the next call of {@linkcode Framer.take}
   * or {@linkcode Framer.end}
   */
  output(): Bytes {
    return this.#memory.subarray(this.#first, this.#end);
  }

  /** How many bytes of finished lines there are. */
  get size(): number {
    return this.#end - this.#first;
  }

  /**
   * Says that output has been written.
   *
   * @param count How many bytes of it
   */
  taken(count: number): void {
    this.#first += count;
    if (this.#first === this.#end) this.#first = this.#end = this.#start;
  }

  #hasRoom(length: number): boolean {
    const need = (this.#raw && this.#cooked ? 2 : 1) * length + EXTRA;
    if (this.#memory.length - this.#end >= need) return true;
    // Output that was partly written leaves room in front.
    if (this.#memory.length - this.#start - this.size < need) return false;
    this.#memory.copyWithin(this.#start, this.#first, this.#end);
    this.#end -= this.#first - this.#start;
    this.#first = this.#start;
    return true;
  }

  /** Puts out what a stream holds and what follows, as a line or a piece. */
  #put(stream: Stream, at: number, length: number, more: boolean): void {
    let words = stream.continues;
    const whole = words === undefined;
    words ??= this.#cooked ? this.#priorityAt(stream, at, length) : noPriority;
    if (this.#raw) this.#line(stream, noPriority, 0, at, length);
    if (this.#cooked) {
      this.#line(stream, words, whole ? words.length : 0, at, length);
    }
    if (stream.held !== undefined) {
      giveBack(stream.held);
      this.held -= stream.held.length;
      stream.held = undefined;
      stream.length = 0;
    }
    stream.continues = more ? words : undefined;
  }

  #line(
    stream: Stream,
    words: Priority,
    skip: number,
    at: number,
    length: number,
  ): void {
    const memory = this.#memory;
    let out = this.#end;
    if (stream.prefix.length > 0) {
      memory.set(stream.prefix, out);
      out += stream.prefix.length;
    }
    if (words.text.length > 0) {
      memory.set(words.text, out);
      out += words.text.length;
    }
    if (stream.held !== undefined) {
      const held = Math.min(skip, stream.length);
      memory.set(stream.held.subarray(held, stream.length), out);
      out += stream.length - held;
      skip -= held;
    }
    memory.copyWithin(out, at + skip, at + length);
    out += length - skip;
    memory[out] = NEWLINE;
    this.#end = out + 1;
  }

  /** What `<n>` a line begins with, whether in what is held or behind it. */
  #priorityAt(stream: Stream, at: number, length: number): Priority {
    const memory = this.#memory;
    const { held } = stream;
    if ((held === undefined ? memory[at] : held[0]) !== LESS) {
      return noPriority;
    }
    let number = 0;
    const last = Math.min(stream.length + length, 5);
    for (let i = 1; i < last; i++) {
      const byte = i < stream.length
        ? held![i]!
        : memory[at + i - stream.length]!;
      if (byte === GREATER) {
        return i > 1 ? priority(number, i - 1) : noPriority;
      }
      if (byte < 0x30 || byte > 0x39) return noPriority;
      number = number * 10 + byte - 0x30;
    }
    return noPriority;
  }

  #mayHold(stream: Stream, length: number): boolean {
    const room = stream.held?.length ?? 0;
    return length <= room || this.held - room + sizeFor(length) <= MOST_HELD;
  }

  #hold(stream: Stream, at: number, to: number): void {
    const length = stream.length + to - at;
    let { held } = stream;
    if (held === undefined || held.length < length) {
      const larger = roomFor(length);
      if (held !== undefined) {
        larger.set(held.subarray(0, stream.length));
        giveBack(held);
      }
      this.held += larger.length - (held?.length ?? 0);
      stream.held = held = larger;
    }
    held.set(this.#memory.subarray(at, to), stream.length);
    stream.length = length;
  }
}

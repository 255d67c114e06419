/**
 * Bytes that come in pieces become whole lines.
 *
 * @module
 */
import { type Bytes, encode, NEWLINE } from "../bytes.ts";
import { type Kernel, makeKernel, MARGIN } from "../kernel/kernel.ts";
import { PRIORITIES_SIZE, putPriorities } from "./priorities.ts";

/** The longest line that is kept in one piece, in bytes. */
export const LONGEST = 65536;
/** The longest prefix that a line can have, in bytes. */
export const LONGEST_PREFIX = 32768;

/** The room that all unfinished lines together may take, in bytes. */
const MOST_HELD = 128 * 1024 * 1024;
const INPUT = 256 * 1024;
const OUTPUT = 1024 * 1024;
/** What a line may need beside itself and its prefix: words, a newline. */
const EXTRA = 64;

// Where everything is in the kernel's memory. Before the input is room for the
// beginning of an unfinished line, so that the kernel finds it whole.
const PREFIX_AT = PRIORITIES_SIZE;
const INPUT_AT = PREFIX_AT + LONGEST_PREFIX + MARGIN + LONGEST;
/** After the input is one byte for the newline that stops every search. */
const OUTPUT_AT = INPUT_AT + INPUT + 1 + MARGIN;
const OUTPUT_END = OUTPUT_AT + OUTPUT;

/** The kernel looks itself what priority a line begins with. */
const LOOK = -1;
const LESS = 0x3c;

/**
 * How lines come out.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * const options: FramerOptions = { form: "raw" };
 * const framer = new Framer(options);
 * const lines = new LineBuffer(new Uint8Array(0));
 * const { read } = new TextEncoder().encodeInto("<13>up\n", framer.input);
 * framer.take(lines, 0, read);
 * assertEquals(new TextDecoder().decode(framer.output()), "<13>up\n");
 * ```
 */
export interface FramerOptions {
  /**
   * `"cooked"`: a leading `<n>` becomes `facility.priority: `. `"raw"`: it
   * stays. `"both"`: first the one line, raw, and then the other.
   */
  form?: "cooked" | "raw" | "both";
  /**
   * Whether a connection whose first bytes are a length, a space and a `<` is
   * taken for octet-counted (RFC 6587): each message is its length, a space,
   * and so many bytes.
   */
  octetCounting?: boolean;
}

/** No message's length has more digits; a longer number is none. */
const MOST_DIGITS = 9;
const SPACE = 0x20;
const ZERO = 0x30;

/**
 * What belongs to one connection between two reads: its unfinished line.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * const framer = new Framer();
 * const lines = new LineBuffer(new TextEncoder().encode("192.0.2.7: "));
 * const { read } = new TextEncoder().encodeInto("half a li", framer.input);
 * framer.take(lines, 0, read);
 * assertEquals([framer.size, lines.length], [0, 9]);
 * ```
 */
export class LineBuffer {
  /** What each of its lines begins with. */
  readonly prefix: Bytes;
  /** The unfinished line; nothing where there is none. */
  held: Bytes | undefined = undefined;
  /** How many bytes of it there are. */
  length = 0;
  /**
   * The number of the priority of a line or message whose beginning has gone
   * out already; 0 for one that has none.
   */
  continues: number | undefined = undefined;
  /**
   * What comes next: lines to the end; either kind, since nothing was seen yet,
   * or no more than a length and a space; a message's length; its rest.
   */
  expects: "lines" | "anything" | "length" | "message" = "anything";
  /** A message's length as far as it is read, or how much of it is to come. */
  count = 0;
  /** Whether the space after the length was read. */
  counted = false;

  /**
   * Makes an empty one.
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
/** The powers of two that it comes in. */
const SMALLEST = 9;
const LARGEST = 16;
const KEPT = 64;

/** Powers of two, so that what one line gives back fits another. */
function sizeFor(length: number): number {
  return Math.max(1 << SMALLEST, 1 << (32 - Math.clz32(length - 1)));
}

function roomFor(length: number): Bytes {
  const size = sizeFor(length);
  return spare[31 - Math.clz32(size)]?.pop() ?? new Uint8Array(size);
}

function powerOf(room: Bytes): number {
  return 31 - Math.clz32(room.length);
}

function giveBack(room: Bytes): void {
  const power = powerOf(room);
  const list = spare[power] ??= [];
  if (list.length < KEPT) list.push(room);
}

/**
 * Splits the bytes of any number of connections into lines, and puts the lines
 * together in one output.
 *
 * A line ends with a newline, a NUL, or its connection; empty ones are
 * dropped. It comes out as its connection's prefix, its `facility.priority: `
 * where it begins with a known `<n>`, the line, and a newline. A line longer
 * than {@linkcode LONGEST} comes out in pieces of that length, each with the
 * same prefix and priority, wherever its bytes were split on their way; and so
 * do the lines of one octet-counted message. (When unfinished lines take 128
 * MiB together, the longest of them are cut.)
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
 * const lines = new LineBuffer(encoder.encode("10.0.0.1: "));
 * const { read } = encoder.encodeInto("<13>up\n<86>so", framer.input);
 * framer.take(lines, 0, read);
 * framer.end(lines);
 * assertEquals(
 *   new TextDecoder().decode(framer.output()),
 *   "10.0.0.1: user.notice: up\n10.0.0.1: authpriv.info: so\n",
 * );
 * ```
 */
export class Framer {
  /**
   * Where input is to be put, from its beginning, by nobody else until it has
   * been taken: connections whose reads wait at the same time need a framer
   * each.
   */
  readonly input: Bytes;
  /** How much room unfinished lines take now, in bytes. */
  held = 0;

  readonly #kernel: Kernel;
  readonly #memory: Bytes;
  /** Where output that hasn't been taken begins and ends. */
  #first = OUTPUT_AT;
  #end = OUTPUT_AT;
  /** How often each line comes out. */
  readonly #times: number;
  /** The prefix that the kernel has. */
  #prefix: Bytes | undefined;
  readonly #octetCounting: boolean;
  /**
   * Who holds room, by its size (which power of two), the longest first. They
   * are kept here for as long as they hold it, also if nobody else does any
   * more.
   */
  readonly #holders: Set<LineBuffer>[] = [];

  /**
   * Makes one.
   *
   * @param options How lines come out
   */
  constructor(options: FramerOptions = {}) {
    const { kernel, memory } = makeKernel(OUTPUT_END + MARGIN);
    this.#kernel = kernel;
    this.#memory = memory;
    this.input = memory.subarray(INPUT_AT, INPUT_AT + INPUT);
    putPriorities(memory, 0);
    const raw = options.form === "raw" || options.form === "both" ? 1 : 0;
    const cooked = options.form === "raw" ? 0 : 1;
    this.#times = raw + cooked;
    kernel.setFraming(0, PREFIX_AT, raw, cooked, LONGEST);
    this.#octetCounting = options.octetCounting ?? false;
  }

  /**
   * Takes input.
   *
   * @param lines The connection that it belongs to
   * @param at Where it begins in {@linkcode Framer.input}
   * @param to Where it ends
   * @returns How far it was taken: less than `to` only when
   * {@linkcode Framer.output} is full and must be emptied before the rest is
   * taken in another call
   */
  take(lines: LineBuffer, at: number, to: number): number {
    this.#usePrefix(lines);
    return this.#take(lines, INPUT_AT + at, INPUT_AT + to) - INPUT_AT;
  }

  #take(lines: LineBuffer, at: number, to: number): number {
    if (!this.#octetCounting) return this.#takeLines(lines, at, to, false);
    while (at < to) {
      if (lines.expects === "lines") {
        return this.#takeLines(lines, at, to, false);
      }
      if (lines.expects === "message") {
        const end = Math.min(to, at + lines.count);
        const whole = end - at === lines.count;
        // The newline that stops the search takes the next message's place.
        const next = this.#memory[end]!;
        const taken = this.#takeLines(lines, at, end, true, whole);
        this.#memory[end] = next;
        lines.count -= taken - at;
        if (taken < end) return taken;
        at = end;
        if (whole) {
          lines.expects = "length";
          lines.continues = undefined;
        }
      } else at = this.#takeLength(lines, at);
    }
    return to;
  }

  /** Takes one byte before a message, or finds out that there is none. */
  #takeLength(lines: LineBuffer, at: number): number {
    const byte = this.#memory[at]!;
    if (lines.counted) {
      // At first only what can't be anything else; then also what has no
      // priority.
      if (lines.expects === "length" || byte === LESS) {
        lines.counted = false;
        lines.expects = "message";
        return at;
      }
    } else if (byte === SPACE && lines.count > 0) {
      lines.counted = true;
      return at + 1;
    } else if (byte >= ZERO && byte <= ZERO + 9) {
      const count = 10 * lines.count + byte - ZERO;
      // A length doesn't begin with 0.
      if (count > 0 && count < 10 ** MOST_DIGITS) {
        lines.count = count;
        return at + 1;
      }
    } else if (lines.expects === "length" && lines.count === 0) {
      // Some put a newline after a message nevertheless.
      if (byte === NEWLINE || byte === 0) return at + 1;
    }
    this.#expectLines(lines);
    return at;
  }

  /** What looked like a length belongs to a line. */
  #expectLines(lines: LineBuffer): void {
    if (lines.count > 0) {
      const text = encode(`${lines.count}${lines.counted ? " " : ""}`);
      this.#hold(lines, text);
    }
    lines.expects = "lines";
    lines.count = 0;
    lines.counted = false;
  }

  /**
   * @param message Whether the lines are those of one message, which have its
   * priority
   * @param whole Whether the message ends where the input does
   */
  #takeLines(
    lines: LineBuffer,
    at: number,
    to: number,
    message: boolean,
    whole = false,
  ): number {
    const kernel = this.#kernel;
    this.#memory[to] = NEWLINE;
    while (at < to) {
      if (!message && lines.length === 0 && lines.continues === undefined) {
        const limit = OUTPUT_END - this.#mostFor(lines);
        at = kernel.frameLines(at, to, this.#end, limit);
        this.#end = kernel.framedTo.value;
        if (at >= to) break;
      }
      // What began earlier, isn't whole, or is too long.
      const end = kernel.findLineEnd(at);
      if (end === at && lines.length === 0) {
        if (!message) lines.continues = undefined;
        at++;
        continue;
      }
      let length = lines.length + end - at;
      while (length > LONGEST) {
        if (!this.#hasRoom(lines)) return at;
        const part = LONGEST - lines.length;
        this.#put(lines, at, part, true);
        at += part;
        length -= LONGEST;
      }
      if (end === to && !whole) {
        const room = this.#makeRoom(lines, length);
        if (room === "full") return at;
        if (room === "granted") {
          this.#hold(lines, this.#memory.subarray(at, to));
        } else if (this.#hasRoom(lines)) this.#put(lines, at, to - at, true);
        else return at;
        return to;
      }
      if (!this.#hasRoom(lines)) return at;
      this.#put(lines, at, end - at, message);
      at = Math.min(end + 1, to);
    }
    return to;
  }

  /**
   * Ends a connection: what it holds becomes a line.
   *
   * @param lines The connection's; it can be used for another
   * @returns Whether that was done; else the output is full and must be
   * emptied first
   */
  end(lines: LineBuffer): boolean {
    if (lines.expects === "anything" && lines.count > 0) {
      this.#expectLines(lines);
    }
    if (lines.length > 0) {
      if (!this.#hasRoom(lines)) return false;
      this.#put(lines, INPUT_AT, 0, false);
    }
    lines.continues = undefined;
    lines.expects = "anything";
    lines.count = 0;
    lines.counted = false;
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
    if (this.#first === this.#end) this.#first = this.#end = OUTPUT_AT;
  }

  /** How many bytes one line of a connection may need. */
  #mostFor(lines: LineBuffer): number {
    return this.#times * (lines.prefix.length + LONGEST + EXTRA);
  }

  /** Whether there is room for one more line. */
  #hasRoom(lines: LineBuffer): boolean {
    const need = this.#mostFor(lines);
    if (OUTPUT_END - this.#end >= need) return true;
    // Output that was partly written leaves room before it.
    if (OUTPUT - this.size < need) return false;
    this.#memory.copyWithin(OUTPUT_AT, this.#first, this.#end);
    this.#end -= this.#first - OUTPUT_AT;
    this.#first = OUTPUT_AT;
    return true;
  }

  /**
   * Puts out what is held and what follows, as a line or a piece. For that, what
   * is held is moved to before what follows: there, all has been taken.
   */
  #put(lines: LineBuffer, at: number, length: number, more: boolean): void {
    let from = at;
    if (lines.held !== undefined) {
      from -= lines.length;
      this.#memory.set(lines.held.subarray(0, lines.length), from);
      this.#release(lines, lines.held);
      lines.held = undefined;
      lines.length = 0;
    }
    this.#usePrefix(lines);
    const priority = lines.continues ?? LOOK;
    this.#end = this.#kernel.putLine(from, at + length, this.#end, priority);
    lines.continues = more ? this.#kernel.priority.value : undefined;
  }

  /** Gives the kernel a connection's prefix. */
  #usePrefix({ prefix }: LineBuffer): void {
    if (this.#prefix === prefix) return;
    this.#prefix = prefix;
    this.#memory.set(prefix, PREFIX_AT);
    this.#kernel.setPrefix(prefix.length);
  }

  /**
   * Sees to the room for an unfinished line. Where there is no more, those who
   * have the most of it are cut: not everybody's short lines.
   *
   * @returns `"granted"`; `"refused"` when nobody holds more than that; or
   * `"full"` when the output must be emptied first
   */
  #makeRoom(lines: LineBuffer, length: number): "granted" | "refused" | "full" {
    const own = lines.held?.length ?? 0;
    if (length <= own) return "granted";
    const size = sizeFor(length);
    while (this.held - own + size > MOST_HELD) {
      let longest: LineBuffer | undefined;
      for (let power = LARGEST; power >= SMALLEST && !longest; power--) {
        if (1 << power < size) break;
        for (const holder of this.#holders[power] ?? []) {
          if (holder === lines) continue;
          longest = holder;
          break;
        }
      }
      if (longest === undefined) return "refused";
      if (!this.#hasRoom(longest)) return "full";
      this.#put(longest, INPUT_AT, 0, true);
    }
    return "granted";
  }

  #hold(lines: LineBuffer, bytes: Uint8Array): void {
    const length = lines.length + bytes.length;
    let { held } = lines;
    if (held === undefined || held.length < length) {
      const larger = roomFor(length);
      if (held !== undefined) {
        larger.set(held.subarray(0, lines.length));
        this.#release(lines, held);
      }
      this.held += larger.length;
      (this.#holders[powerOf(larger)] ??= new Set()).add(lines);
      lines.held = held = larger;
    }
    held.set(bytes, lines.length);
    lines.length = length;
  }

  #release(lines: LineBuffer, room: Bytes): void {
    this.#holders[powerOf(room)]?.delete(lines);
    this.held -= room.length;
    giveBack(room);
  }
}

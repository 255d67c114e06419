/**
 * Makes whole lines of the pieces in which a connection's bytes arrive.
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

/** How many bytes all unfinished lines may take together. */
const MOST_HELD = 128 * 1024 * 1024;
const INPUT = 256 * 1024;
const OUTPUT = 1024 * 1024;
/** More bytes than `facility.priority: ` and a newline have. */
const EXTRA = 64;

// The layout of the kernel's memory. Before the input there is room for the
// beginning of an unfinished line, so that the kernel finds the line in one
// piece.
const PREFIX_AT = PRIORITIES_SIZE;
const INPUT_AT = PREFIX_AT + LONGEST_PREFIX + MARGIN + LONGEST;
/** After the input there is one byte for the newline that ends every search. */
const OUTPUT_AT = INPUT_AT + INPUT + 1 + MARGIN;
const OUTPUT_END = OUTPUT_AT + OUTPUT;

/** Has the kernel itself read the priority that a line begins with. */
const LOOK = -1;
const LESS = 0x3c;

/**
 * How lines arrive, and what they become.
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
   * stays. `"both"`: the line is written twice, first raw and then cooked.
   */
  form?: "cooked" | "raw" | "both";
  /**
   * Whether octet counting (RFC 6587) is recognized, by a connection's first
   * bytes: a length, a space and a `<`. Each message is then its length in
   * bytes, a space, and the message.
   */
  octetCounting?: boolean;
}

/** A number with more digits isn't taken for a message's length. */
const MOST_DIGITS = 9;
const SPACE = 0x20;
const ZERO = 0x30;

/**
 * What is kept of one connection between two reads: its unfinished line.
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
  /** The prefix of each of its lines. */
  readonly prefix: Bytes;
  /** The memory with the unfinished line; `undefined` when there is none. */
  held: Bytes | undefined = undefined;
  /** The length of the unfinished line in bytes. */
  length = 0;
  /**
   * The priority's number, when the beginning of the line or message has been
   * output already; 0 when it has no priority.
   */
  continues: number | undefined = undefined;
  /**
   * What the next bytes are: `"lines"`, to the end of the connection;
   * `"anything"`, since at most a length and a space have been read so far; a
   * message's `"length"`; or the rest of a `"message"`.
   */
  expects: "lines" | "anything" | "length" | "message" = "anything";
  /**
   * A message's length as far as its digits have been read; then how many bytes
   * of the message are still to come.
   */
  count = 0;
  /** Whether the space after the length has been read. */
  counted = false;

  /**
   * Makes one for a connection.
   *
   * @param prefix The prefix of each of its lines; all after
   * {@linkcode LONGEST_PREFIX} bytes is cut off
   */
  constructor(prefix: Uint8Array) {
    this.prefix = Uint8Array.from(prefix.subarray(0, LONGEST_PREFIX));
  }
}

/**
 * Memory for unfinished lines that is free for reuse, by `powerOf` its size.
 */
const spare: Bytes[][] = [];
/** The smallest and the largest size, as powers of two. */
const SMALLEST = 9;
const LARGEST = 16;
/** How many arrays of each size are kept for reuse. */
const KEPT = 64;

/** Sizes are powers of two, so that the memory of one line fits another. */
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
 * Splits the bytes of any number of connections into lines, and collects the
 * lines in one output.
 *
 * A line ends at a newline, a NUL, or the end of its connection; empty lines
 * are dropped. The output is the connection's prefix, `facility.priority: ` in
 * place of a leading `<n>` that is a known priority, the rest of the line, and
 * a newline. A line longer than {@linkcode LONGEST} becomes pieces of that
 * length, each with the prefix and the line's priority, in whatever pieces it
 * arrived. The lines of an octet-counted message all have the message's
 * priority. (When unfinished lines take 128 MiB together, the longest of them
 * are output in pieces earlier.)
 *
 * Input and output are parts of one block of memory, so that no object has to
 * be made for each line.
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
   * The memory to read input into, from its beginning. Nothing else may be read
   * into it before {@linkcode Framer.take}: connections whose reads wait at the
   * same time need a framer each.
   */
  readonly input: Bytes;
  /** How many bytes of memory the unfinished lines take now. */
  held = 0;

  readonly #kernel: Kernel;
  readonly #memory: Bytes;
  /** Where in the memory the output begins and ends that wasn't written yet. */
  #first = OUTPUT_AT;
  #end = OUTPUT_AT;
  /** How many times each line is output: 2 for `"both"`. */
  readonly #times: number;
  /** The prefix that is in the kernel's memory. */
  #prefix: Bytes | undefined;
  readonly #octetCounting: boolean;
  /**
   * The connections whose unfinished lines take memory, by `powerOf` its size;
   * those that have taken it first come first. This refers to them as long as
   * they hold the memory, even when nothing else does.
   */
  readonly #holders: Set<LineBuffer>[] = [];

  /**
   * Makes a framer.
   *
   * @param options How lines arrive, and what they become
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
   * @param lines The connection that the input came from
   * @param at Where in {@linkcode Framer.input} it begins
   * @param to Where it ends
   * @returns Where the input begins that wasn't taken: less than `to` only when
   * {@linkcode Framer.output} is full. It must then be written, and this called
   * again with the rest
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
        // The newline that ends the search overwrites the next message's first
        // byte.
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

  /** Takes one byte of a message's length, or finds that it is no length. */
  #takeLength(lines: LineBuffer, at: number): number {
    const byte = this.#memory[at]!;
    if (lines.counted) {
      // The first message must begin with `<`, or its length may be part of a
      // line. Later ones may be without a priority.
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
      // A length has no leading 0.
      if (count > 0 && count < 10 ** MOST_DIGITS) {
        lines.count = count;
        return at + 1;
      }
    } else if (lines.expects === "length" && lines.count === 0) {
      // Some senders put a newline after each message nevertheless.
      if (byte === NEWLINE || byte === 0) return at + 1;
    }
    this.#expectLines(lines);
    return at;
  }

  /** Makes the digits and the space, which were no length, part of a line. */
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
   * @param message Whether the lines are part of one message, and so have its
   * priority
   * @param whole Whether the message ends at `to`
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
      // The kernel stops at a line that began in an earlier input, isn't
      // complete, or is too long.
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
   * Ends a connection: its unfinished line is output as a line.
   *
   * @param lines The connection; afterwards the object may be used for another
   * @returns Whether that was done; `false` when {@linkcode Framer.output} is
   * full. It must then be written, and this called again
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
   * The lines that are finished and not yet written.
   *
   * @returns A view that is valid until the next call of
   * {@linkcode Framer.take} or {@linkcode Framer.end}
   */
  output(): Bytes {
    return this.#memory.subarray(this.#first, this.#end);
  }

  /** How many bytes {@linkcode Framer.output} has. */
  get size(): number {
    return this.#end - this.#first;
  }

  /**
   * Removes output that has been written.
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
    // Output of which a part was written leaves free memory before the rest.
    if (OUTPUT - this.size < need) return false;
    this.#memory.copyWithin(OUTPUT_AT, this.#first, this.#end);
    this.#end -= this.#first - OUTPUT_AT;
    this.#first = OUTPUT_AT;
    return true;
  }

  /**
   * Outputs the unfinished line, if there is one, together with `length` bytes
   * of input from `at`, as a line or a piece of one. The unfinished line is
   * copied to directly before `at`: the input there has been taken already.
   *
   * @param more Whether more of the same line or message follows
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

  /** Puts a connection's prefix into the kernel's memory. */
  #usePrefix({ prefix }: LineBuffer): void {
    if (this.#prefix === prefix) return;
    this.#prefix = prefix;
    this.#memory.set(prefix, PREFIX_AT);
    this.#kernel.setPrefix(prefix.length);
  }

  /**
   * Makes sure that there is memory for an unfinished line. When all is in use,
   * the longest unfinished lines of other connections are output as pieces:
   * short ones stay whole.
   *
   * @param length The length that the line gets
   * @returns `"granted"`; `"refused"` when no other connection has as long a
   * line; or `"full"` when the output must be written first
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

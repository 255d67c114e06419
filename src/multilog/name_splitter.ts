/**
 * Lines split by the name that each begins with. The kernel finds it in a table
 * of names, where it stands; nothing is made for a line.
 *
 * @module
 */
import { type Bytes, fromLatin1, latin1, NEWLINE } from "../bytes.ts";
import {
  DONE,
  type Kernel,
  makeKernel,
  MARGIN,
  UNKNOWN,
} from "../kernel/kernel.ts";

/** How many names there are at the most, besides that of all other lines. */
export const MOST_NAMES = 4096;
/** How many bytes a name has at the most. */
export const NAME_LENGTH = 128;
/** The bytes of a name. */
const ALLOWED = /[A-Za-z0-9._:-]/;

/** A line's beginning that may have to wait for its rest. */
const HOLD = 512;
/** How many places the table has; a power of two. */
const SLOTS = 16384;
/** There is room to note a run of lines for each so many bytes. */
const SHORT_RUN = 16;

// The kernel's records of a name and of a run, in 4-byte words.
const RECORD_SIZE = 160;
const HASH = 0;
const LENGTH = 1;
const FIRST = 2;
const LAST = 3;
const NEXT = 4;
const BYTES = 20;
const RUN_SIZE = 12;
const FROM = 0;
const TO = 1;

/** Splits lines by their names. */
export class NameSplitter {
  /** Where lines are. */
  readonly memory: Bytes;
  readonly #kernel: Kernel;
  readonly #words: Int32Array;
  readonly #skip: number;
  readonly #records: number;
  /** Where lines are put; what is held of one stands before it. */
  readonly #base: number;
  readonly #end: number;
  /** Where a name's lines are put together. */
  readonly #out: number;
  /** Where the next bytes are put. */
  #at: number;
  readonly #met: (name: string) => void;
  #names = 0;

  /**
   * Makes it, with the name of all lines that begin with none.
   *
   * @param other That name
   * @param skip How many bytes stand before a line's name
   * @param room How many bytes are split at once
   * @param met Called with each new name; they are counted from 0
   */
  constructor(
    other: string,
    skip: number,
    room: number,
    met: (name: string) => void,
  ) {
    this.#skip = skip;
    this.#met = met;
    let size = 64;
    const place = (bytes: number) => {
      const at = size;
      size += bytes + MARGIN + (-bytes & 15);
      return at;
    };
    const allowed = place(256);
    const table = place(4 * SLOTS);
    const runBytes = RUN_SIZE * (room / SHORT_RUN);
    const runs = place(runBytes);
    this.#records = place(RECORD_SIZE * (MOST_NAMES + 1));
    this.#at = this.#base = place(HOLD + room) + HOLD;
    this.#end = this.#base + room;
    this.#out = place(HOLD + room);
    const { kernel, memory } = makeKernel(size);
    this.#kernel = kernel;
    this.memory = memory;
    this.#words = new Int32Array(memory.buffer);
    for (let byte = 0; byte < 256; byte++) {
      const may = ALLOWED.test(String.fromCharCode(byte));
      memory[allowed + byte] = may ? 1 : 0;
    }
    // Nobody who chooses names shall be able to have them share a slot.
    const [seed] = crypto.getRandomValues(new Int32Array(1));
    kernel.setNames(
      allowed,
      this.#records,
      table,
      SLOTS,
      seed!,
      runs,
      runBytes,
    );
    kernel.line.value = this.#base;
    this.meet(other);
  }

  /** Whether the lines of new names are the other lines from now on. */
  get crowded(): boolean {
    return this.#kernel.crowded.value !== 0;
  }

  /** Whether there are lines that haven't been given to anyone. */
  get waiting(): boolean {
    return this.#kernel.named.value !== 0;
  }

  /** Whether there is no room for more lines. */
  get full(): boolean {
    return this.#at === this.#end;
  }

  /**
   * Makes a name known, unless it is, or is none. Only before lines are put.
   *
   * @param name The name, a character for each byte
   */
  meet(name: string): void {
    this.put(fromLatin1(`${name}: \n`), 0, name.length + 3);
    while (this.#kernel.splitLines(this.#at, 0) === UNKNOWN) this.#add();
    this.clear();
  }

  /** Gives the name that the kernel has found a record, if there is room. */
  #add(): void {
    const kernel = this.#kernel;
    if (this.#names > MOST_NAMES) {
      kernel.crowded.value = 1;
      return;
    }
    const from = kernel.nameAt.value;
    const length = kernel.nameLength.value;
    const record = this.#records + RECORD_SIZE * this.#names++;
    this.#words[record / 4 + HASH] = kernel.nameHash.value;
    this.#words[record / 4 + LENGTH] = length;
    this.memory.copyWithin(record + BYTES, from, from + length);
    kernel.addName(record);
    this.#met(latin1(this.memory.subarray(from, from + length)));
  }

  /**
   * Puts bytes after those that are there, as many as there is room for.
   *
   * @param bytes Where they are
   * @param from The offset of the first
   * @param to The offset after the last
   * @returns The offset after the last that was put
   */
  put(bytes: Bytes, from: number, to: number): number {
    const end = Math.min(to, from + this.#end - this.#at);
    this.memory.set(bytes.subarray(from, end), this.#at);
    this.#at += end - from;
    this.memory[this.#at] = NEWLINE;
    return end;
  }

  /**
   * Notes whose the lines are.
   *
   * @returns Whether all that can be decided on are noted; otherwise those that
   * are have to be given away before
   */
  split(): boolean {
    while (true) {
      const what = this.#kernel.splitLines(this.#at, this.#skip);
      if (what !== UNKNOWN) return what === DONE;
      this.#add();
    }
  }

  /**
   * Gives each name its lines, side by side. They stay until
   * {@linkcode NameSplitter.clear} or {@linkcode NameSplitter.split} is called.
   *
   * @param see Called with the name's number and the lines' offsets
   */
  give(see: (name: number, from: number, to: number) => void): void {
    const kernel = this.#kernel;
    const words = this.#words;
    let out = this.#out;
    for (let name = kernel.named.value; name; name = words[name / 4 + NEXT]!) {
      const run = words[name / 4 + FIRST]!;
      const number = (name - this.#records) / RECORD_SIZE;
      // Most often all of a name's lines follow one another.
      if (run === words[name / 4 + LAST]!) {
        see(number, words[run / 4 + FROM]!, words[run / 4 + TO]!);
        continue;
      }
      const from = out;
      out = kernel.putTogether(name, out);
      see(number, from, out);
    }
    kernel.startNames();
  }

  /** Makes room. What isn't decided on stays, and is gone on with. */
  clear(): void {
    const kernel = this.#kernel;
    kernel.startNames();
    const at = kernel.line.value;
    kernel.line.value = this.#base - (this.#at - at);
    this.memory.copyWithin(kernel.line.value, at, this.#at);
    this.#at = this.#base;
  }
}

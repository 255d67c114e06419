/**
 * Lines that are looked at: stamped, decided on, and handed to the logs where
 * they are selected. The kernel does it; here is what it needs to know, and
 * what is done with what it has put together.
 *
 * @module
 */
import { type Bytes, NEWLINE } from "../bytes.ts";
import {
  ALERT_LENGTH,
  ENDS,
  FULL,
  type Kernel,
  LABEL_STAMP,
  makeKernel,
  MARGIN,
  UNKNOWN,
} from "../kernel/kernel.ts";
import { STAMP_MOST, type StampKind, StampWriter } from "../stamps.ts";
import { type Moment, readClock } from "../sys/clock.ts";
import { Automaton } from "./automaton.ts";
import {
  allOf,
  appendToAll,
  type Block,
  INPUT,
  type Outputs,
} from "./engine.ts";
import { compile } from "./matching.ts";
import { type Pattern, PATTERN_SIGHT } from "./pattern.ts";
import type { Action } from "./script.ts";

/** How many bytes of a line may wait for its decision; a little over. */
const HOLD = 1024;
/** Room for stamped lines. What doesn't fit goes through in a second round. */
const STAMPED = 384 * 1024;
/**
 * Room to put a log's lines side by side when they weren't in the input. To copy
 * them takes less than to write them piece by piece.
 */
const GATHER = INPUT;
/** The same for all logs together, where there are many, but a page for each. */
const GATHER_ALL = 4 * 1024 * 1024;
const PAGE = 4096;
/** Room for alerts, unless one line makes more. */
const ALERTS = 16 * 1024;
/** How many bytes a status file has. */
const STATUS_LENGTH = PATTERN_SIGHT + 1;

// The kernel's records of a log and a status file, in 4-byte words.
const LOG_WORDS = 4;
const RUN_FROM = 0;
const RUN_TO = 1;
const GATHERED = 2;
const AREA = 3;
const FILE_WORDS = 2;
const SHOWN_FROM = 0;
const SHOWN_TO = 1;

/**
 * Makes a block for a script.
 *
 * @param timestamp The timestamp that lines begin with, if any
 * @param actions The actions
 * @param outputs Where selected lines go
 * @returns The block
 * @throws {SyntaxError} When a pattern can't be understood
 */
export function selectionBlock(
  timestamp: StampKind | undefined,
  actions: readonly Action[],
  outputs: Outputs,
): Block {
  return new Selection(timestamp, actions, outputs);
}

/** Says where things are in the memory, one after the other. */
class Layout {
  /** Not 0, which is no address for the kernel. */
  size = 64;

  add(bytes: number): number {
    const at = this.size;
    this.size += bytes + MARGIN + (-bytes & 15);
    return at;
  }
}

class Selection implements Block {
  readonly memory: Bytes;
  readonly input: number;
  readonly #outputs: Outputs;
  readonly #kernel: Kernel;
  readonly #words: Int32Array;
  readonly #timestamp: StampKind | undefined;
  /** Where the kernel finds the timestamp. */
  readonly #stampAt: number;
  /** What writes it, unless the kernel does. */
  readonly #writer: StampWriter | undefined;
  /** Where new lines begin; up to `HOLD` bytes before it are held ones. */
  readonly #base: number;
  /** How many bytes of an undecided line stand before the base. */
  #held = 0;
  readonly #logs: number;
  /** The records of logs and status files: indices of 4-byte words. */
  readonly #logRecords: number;
  readonly #fileRecords: number;
  readonly #gatherRoom: number;
  readonly #alerts: number;
  readonly #shown: Bytes[];
  /** What decides; `undefined` where every line goes to every log. */
  readonly #automaton: Automaton | undefined;
  readonly #now: Moment = { seconds: 0, nanoseconds: 0 };

  constructor(
    timestamp: StampKind | undefined,
    actions: readonly Action[],
    outputs: Outputs,
  ) {
    this.#outputs = outputs;
    this.#timestamp = timestamp;
    const count = (kind: string) =>
      actions.filter((action) => action.kind === kind).length;
    const logs = this.#logs = count("log");
    const files = count("status");
    const alerts = count("alert");
    const selective = actions.length > logs;
    this.#shown = Array.from(
      { length: files },
      () => new Uint8Array(STATUS_LENGTH),
    );
    const script = selective ? new Decisions(actions) : undefined;

    const layout = new Layout();
    const stamp = this.#stampAt = layout.add(STAMP_MOST);
    const classes = layout.add(256);
    const ends = layout.add(ENDS);
    this.#base = layout.add(HOLD) + HOLD;
    // Input is read to the base itself where nothing is stamped.
    layout.size = this.#base;
    const base = layout.add(timestamp ? STAMPED : INPUT);
    this.input = timestamp ? layout.add(INPUT) : base;
    this.#logRecords = layout.add(4 * LOG_WORDS * logs) / 4;
    this.#fileRecords = layout.add(4 * FILE_WORDS * files) / 4;
    const share = Math.floor(GATHER_ALL / logs / PAGE) * PAGE;
    this.#gatherRoom = Math.max(Math.min(share, GATHER), PAGE);
    const areas: number[] = [];
    for (let log = 0; log < logs && selective; log++) {
      areas.push(layout.add(this.#gatherRoom));
    }
    const alertRoom = Math.max(ALERTS, alerts * ALERT_LENGTH);
    this.#alerts = layout.add(alerts > 0 ? alertRoom : 0);
    const states = layout.size;
    if (selective) layout.add(Automaton.room(3 + files + logs));

    const { kernel, memory } = makeKernel(layout.size);
    this.#kernel = kernel;
    this.memory = memory;
    this.#words = new Int32Array(memory.buffer);
    memory[stamp] = 0x40;
    memory[stamp + LABEL_STAMP - 1] = 0x20;
    kernel.setStamp(stamp, LABEL_STAMP);
    if (timestamp === "T" || timestamp === "i") {
      this.#writer = new StampWriter(timestamp);
    }
    areas.forEach((area, log) =>
      this.#words[this.#logRecords + LOG_WORDS * log + AREA] = area
    );
    this.#automaton = script && new Automaton(
      memory,
      classes,
      states,
      layout.size - MARGIN,
      script.places,
      (matched) =>
        script.outcome(
          matched,
          (log) => 4 * (this.#logRecords + LOG_WORDS * log),
          (file) => 4 * (this.#fileRecords + FILE_WORDS * file),
        ),
    );
    if (this.#automaton === undefined) return;
    kernel.start.value = this.#automaton.start;
    kernel.setSelection(
      classes,
      this.#automaton.endClass,
      this.#gatherRoom,
      this.#alerts,
      alertRoom,
      ends,
    );
  }

  pass(to: number, within: boolean): Promise<void> | undefined {
    if (!this.#timestamp) return this.#select(to);
    // Once for all lines that came together: when they came is not known
    // better.
    const now = readClock(this.#now);
    const { memory } = this;
    if (this.#writer === undefined) {
      this.#kernel.setClock(now.seconds, now.nanoseconds);
    } else {
      const length = this.#writer.put(memory, this.#stampAt, now);
      this.#kernel.setStamp(this.#stampAt, length);
    }
    return this.#automaton === undefined
      ? this.#stamp(this.input, to, within)
      : this.#pickAll(to, within);
  }

  /** Lets selected lines, and pieces of them, through, stamped. */
  async #pickAll(to: number, within: boolean): Promise<void> {
    let at = this.input;
    if (within) {
      const end = Math.min(this.#kernel.findNewline(at) + 1, to);
      await this.#stamp(at, end, true);
      at = end;
    }
    const end = at + this.memory.subarray(at, to).lastIndexOf(NEWLINE) + 1;
    if (end > at) await this.#pick(at, end);
    await this.#stamp(Math.max(at, end), to, false);
  }

  /** Stamps lines, or pieces of them, and lets them through. */
  #stamp(at: number, to: number, within: boolean): Promise<void> | undefined {
    const base = this.#base;
    const { memory } = this;
    while (at < to) {
      at = this.#kernel
        .stampLines(at, to, base, base + STAMPED, within ? 1 : 0);
      within = memory[at - 1] !== NEWLINE;
      const end = this.#kernel.stampedTo.value;
      let wait;
      if (this.#automaton === undefined) {
        wait = appendToAll(this.#logs, this.#outputs, memory, base, end);
      } else {
        memory[end] = NEWLINE;
        wait = this.#select(end);
      }
      if (wait) return wait.then(() => this.#stamp(at, to, within));
    }
    return undefined;
  }

  /** Lets selected ones of whole lines through, stamped. None is held. */
  async #pick(from: number, to: number): Promise<void> {
    const kernel = this.#kernel;
    kernel.line.value = from;
    for (let what = FULL; what === FULL;) {
      kernel.pickTo.value = this.#base;
      const limit = this.#base + STAMPED;
      while ((what = kernel.pickLines(to, limit)) === UNKNOWN) {
        this.#findState();
      }
      const wait = this.#deliver();
      if (wait) await wait;
    }
  }

  /** Lets selected lines through; the held bytes stand before the base. */
  #select(to: number): Promise<void> | undefined {
    this.#kernel.line.value = this.#base - this.#held;
    return this.#selectOn(to);
  }

  #selectOn(to: number): Promise<void> | undefined {
    const kernel = this.#kernel;
    for (let what = FULL; what === FULL;) {
      while ((what = kernel.passLines(to)) === UNKNOWN) this.#findState();
      const wait = this.#deliver();
      if (!wait) continue;
      const next = what === FULL
        ? () => this.#selectOn(to)
        : () => this.#hold(to);
      return wait.then(next);
    }
    this.#hold(to);
    return undefined;
  }

  /** Keeps the line in hand, which ends at an offset so far. */
  #hold(to: number): void {
    const kernel = this.#kernel;
    // The next bytes come at the base again: the line in hand goes before it.
    const at = kernel.line.value;
    this.#held = to - at;
    if (at < to) this.memory.copyWithin(this.#base - this.#held, at, to);
  }

  #findState(): void {
    const { unknownState, unknownClass, known } = this.#kernel;
    known.value = this.#automaton!
      .next(unknownState.value, unknownClass.value);
  }

  /**
   * Gives the outputs what was decided on. A line is in its log before its
   * alert; else none waits for another.
   */
  #deliver(): Promise<void> | undefined {
    const waits: Promise<void>[] = [];
    for (let log = 0; log < this.#logs; log++) {
      const wait = this.#deliverTo(log);
      if (wait) waits.push(wait);
    }
    for (let file = 0; file < this.#shown.length; file++) {
      const bytes = this.#shown[file]!;
      const record = this.#fileRecords + FILE_WORDS * file;
      const from = this.#words[record + SHOWN_FROM]!;
      // Only the newest line of those that come together is written.
      if (from === 0) continue;
      const to = this.#words[record + SHOWN_TO]!;
      this.#words[record + SHOWN_FROM] = 0;
      bytes.set(this.memory.subarray(from, to));
      bytes.fill(NEWLINE, to - from);
      const wait = this.#outputs.status(file, bytes);
      if (wait) waits.push(wait);
    }
    const wait = allOf(waits);
    return wait
      ? wait.then(() => this.#deliverAlerts())
      : this.#deliverAlerts();
  }

  #deliverAlerts(): undefined {
    const { alerted } = this.#kernel;
    const n = alerted.value;
    if (n === 0) return;
    alerted.value = 0;
    this.#outputs.alert(this.memory.subarray(this.#alerts, this.#alerts + n));
  }

  #deliverTo(log: number): Promise<void> | undefined {
    const words = this.#words;
    const record = this.#logRecords + LOG_WORDS * log;
    const from = words[record + RUN_FROM]!;
    const to = words[record + RUN_TO]!;
    if (to === 0) return undefined;
    const area = words[record + AREA]!;
    const end = area + words[record + GATHERED]!;
    const run = to - from;
    words[record + GATHERED] = 0;
    words[record + RUN_FROM] = 0;
    words[record + RUN_TO] = 0;
    if (end === area) return this.#append(log, from, to);
    // The run goes with what is before it where there is room.
    if (end + run <= area + this.#gatherRoom) {
      this.memory.copyWithin(end, from, to);
      return this.#append(log, area, end + run);
    }
    const wait = this.#append(log, area, end);
    if (wait) return wait.then(() => this.#append(log, from, to));
    return this.#append(log, from, to);
  }

  #append(log: number, from: number, to: number): Promise<void> | undefined {
    return this.#outputs.append(log, this.memory, from, to);
  }
}

/** A script's actions, and its patterns, each once. */
class Decisions {
  readonly places;
  readonly #actions: readonly Action[];
  /** For each action the number of its pattern. */
  readonly #patterns: readonly number[];

  constructor(actions: readonly Action[]) {
    this.#actions = actions;
    const patterns: Pattern[] = [];
    const numbers = new Map<string, number>();
    this.#patterns = actions.map((action) => {
      if (!("pattern" in action)) return -1;
      const { language, text } = action.pattern;
      const key = `${language} ${text}`;
      let number = numbers.get(key);
      if (number === undefined) {
        numbers.set(key, number = patterns.push(action.pattern) - 1);
      }
      return number;
    });
    this.places = compile(patterns);
  }

  /**
   * Carries the actions out for lines that the same patterns match.
   *
   * @returns For the kernel, how many alerts, status files and logs there are,
   * and the files' and logs' records
   */
  outcome(
    matched: Uint8Array,
    recordOfLog: (log: number) => number,
    recordOfFile: (file: number) => number,
  ): number[] {
    let selected = true;
    let alerts = 0;
    let file = 0;
    let log = 0;
    const files: number[] = [];
    const logs: number[] = [];
    this.#actions.forEach((action, i) => {
      switch (action.kind) {
        case "select":
          if (matched[this.#patterns[i]!]) selected = true;
          break;
        case "deselect":
          if (matched[this.#patterns[i]!]) selected = false;
          break;
        case "alert":
          if (selected) alerts++;
          break;
        case "status":
          if (selected) files.push(recordOfFile(file));
          file++;
          break;
        case "log":
          if (selected) logs.push(recordOfLog(log));
          log++;
          break;
      }
    });
    return [alerts, files.length, logs.length, ...files, ...logs];
  }
}

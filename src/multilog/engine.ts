/**
 * The line engine: bytes in, and out of it for each action what it is given of
 * each line.
 *
 * All bytes live in one block of memory and lines are pairs of offsets in it;
 * nothing is allocated for a line. There is one way through with every step
 * that a script doesn't need left out: no stamping without `t`, and no look at
 * lines at all without patterns, alerts and status files.
 *
 * @module
 */
import { type Bytes, NEWLINE } from "../bytes.ts";
import { type Moment, readClock } from "../sys/clock.ts";
import { LABEL_LENGTH, putLabel } from "../tai64n.ts";
import { matches, type Pattern, PATTERN_SIGHT } from "./pattern.ts";
import type { Action } from "./script.ts";

/** Where selected lines go. */
export interface Outputs {
  /** Appends to the log with a number, counted in the script's order. */
  append(
    log: number,
    bytes: Bytes,
    from: number,
    to: number,
  ): Promise<void> | undefined;
  /** Writes alerts to standard error. */
  alert(bytes: Bytes): void;
  /** Replaces the contents of the status file with a number. */
  status(file: number, bytes: Bytes): Promise<void> | undefined;
}

/** How many bytes are read at once. */
const INPUT = 256 * 1024;
/** How many bytes of a line may wait for its decision; a little over. */
const HOLD = 1024;
/** Room for stamped lines. What doesn't fit goes through in a second round. */
const STAMPED = 384 * 1024;
/** Room to put a log's lines side by side when they weren't in the input. */
const GATHER = 64 * 1024;
/** Runs longer than this are written from where they are. */
const LONG_RUN = 8192;
/** How many separate runs of lines a log may have in one round. */
const RUNS = 4096;
/** How many bytes of a line an alert shows. */
const ALERT_SIGHT = 200;
/** How many bytes a status file has. */
const STATUS_LENGTH = PATTERN_SIGHT + 1;
/** A label and a space. */
const STAMP = LABEL_LENGTH + 1;
/** A clock that has gone back less than this many seconds stands still. */
const STILL = 1;

const SELECT = 0;
const DESELECT = 1;
const ALERT = 2;
const STATUS = 3;
const LOG = 4;
const KINDS = {
  select: SELECT,
  deselect: DESELECT,
  alert: ALERT,
  status: STATUS,
  log: LOG,
} as const;

const NO_PATTERN: Pattern = new Uint8Array(0);

/** Carries out a script's actions for each line. */
export class LineEngine {
  readonly #outputs: Outputs;
  /** Everything, see `#base` and `#input` for what is where. */
  readonly #memory: Bytes;
  /** Where new lines begin; up to `HOLD` bytes in front of it are held ones. */
  readonly #base = HOLD;
  /** Where input is read to: the base itself when nothing is stamped. */
  readonly #input: number;
  /** Where a log's lines are put together. */
  readonly #gather: number;
  /** Where the current stamp is, behind the room for that. */
  readonly #stamp: number;
  readonly #space: Bytes;
  readonly #timestamp: boolean;
  /** Whether lines are looked at, or all of them go everywhere. */
  readonly #selective: boolean;
  readonly #kinds: Uint8Array;
  readonly #patterns: Pattern[];
  /** For a log its number, for a status file its number. */
  readonly #numbers: Uint32Array;
  readonly #logs: number;
  /** For each log, whether the line in hand is selected there. */
  readonly #selected: Uint8Array;
  /** For each log, the runs of selected bytes: pairs of offsets. */
  readonly #runs: Uint32Array[];
  readonly #counts: Uint32Array;
  /** For each status file, where the newest selected line is. */
  readonly #statuses: Int32Array;
  readonly #statusBytes: Bytes = new Uint8Array(STATUS_LENGTH);
  readonly #alerts: Bytes = new Uint8Array(16 * 1024);
  #alerted = 0;
  /** Whether the input so far ends with a newline, or there was none. */
  #atStart = true;
  /** Whether a long line has been decided on and goes on. */
  #decided = false;
  /** How many bytes of an undecided line stand in front of the base. */
  #held = 0;
  /** Where the stamped lines end. */
  #stampedTo = 0;
  readonly #last: Moment = { seconds: 0, nanoseconds: 0 };
  readonly #now: Moment = { seconds: 0, nanoseconds: 0 };

  /**
   * Makes an engine for a script.
   *
   * @param timestamp Whether lines begin with a timestamp
   * @param actions The actions
   * @param outputs Where selected lines go
   */
  constructor(
    timestamp: boolean,
    actions: readonly Action[],
    outputs: Outputs,
  ) {
    this.#outputs = outputs;
    this.#timestamp = timestamp;
    this.#selective = actions.some((action) => action.kind !== "log");
    this.#kinds = Uint8Array.from(actions, (action) => KINDS[action.kind]);
    this.#patterns = actions.map((action) =>
      "pattern" in action ? action.pattern : NO_PATTERN
    );
    this.#numbers = new Uint32Array(actions.length);
    let logs = 0;
    let files = 0;
    actions.forEach((action, i) => {
      if (action.kind === "log") this.#numbers[i] = logs++;
      if (action.kind === "status") this.#numbers[i] = files++;
    });
    this.#logs = logs;
    this.#selected = new Uint8Array(logs);
    this.#runs = Array.from(
      { length: this.#selective ? logs : 0 },
      () => new Uint32Array(2 * RUNS),
    );
    this.#counts = new Uint32Array(logs);
    this.#statuses = new Int32Array(2 * files).fill(-1);
    this.#input = timestamp ? HOLD + STAMPED : HOLD;
    this.#gather = this.#input + INPUT + 1;
    this.#stamp = this.#gather + (this.#selective ? GATHER : 0);
    this.#memory = new Uint8Array(this.#stamp + STAMP);
    this.#memory[this.#stamp + LABEL_LENGTH] = 0x20;
    this.#space = this.#memory.subarray(this.#input, this.#input + INPUT);
  }

  /**
   * Where the next bytes are to be put, from its start.
   *
   * @returns The space; the same each time
   */
  space(): Bytes {
    return this.#space;
  }

  /**
   * Whether the input so far ends at the end of a line.
   *
   * @returns Whether it does
   */
  atLineStart(): boolean {
    return this.#atStart;
  }

  /**
   * Carries out the actions for bytes that were put into the space. When it is
   * done, everything that can be decided has been given to the outputs.
   *
   * @param n How many bytes
   */
  async push(n: number): Promise<void> {
    if (n === 0) return;
    const memory = this.#memory;
    let from = this.#input;
    const to = from + n;
    const inLine = !this.#atStart;
    this.#atStart = memory[to - 1] === NEWLINE;
    if (!this.#timestamp) {
      await this.#pass(this.#base, to);
      return;
    }
    this.#readClock();
    let within = inLine;
    while (from < to) {
      from = this.#stampLines(from, to, within);
      within = memory[from - 1] !== NEWLINE;
      await this.#pass(this.#base, this.#stampedTo);
    }
  }

  /** Gives a last line that has no newline one, and lets it through. */
  async end(): Promise<void> {
    if (this.#atStart) return;
    this.#space[0] = NEWLINE;
    await this.push(1);
  }

  /**
   * Reads the clock once for all lines that came together: when they came is
   * not known better. A nanosecond between two lines keeps stamps unique and
   * in order, as long as nobody sets the clock back.
   */
  #readClock(): void {
    const now = readClock(this.#now);
    const last = this.#last;
    const behind = last.seconds - now.seconds +
      (last.nanoseconds - now.nanoseconds) / 1e9;
    if (behind >= 0 && behind < STILL) return;
    last.seconds = now.seconds;
    last.nanoseconds = now.nanoseconds;
    putLabel(this.#memory, this.#stamp, last);
  }

  #tick(): void {
    const last = this.#last;
    last.nanoseconds++;
    if (last.nanoseconds === 1e9) {
      last.nanoseconds = 0;
      last.seconds++;
    } else if (last.nanoseconds & 15) {
      // Only the last digit differs, and not from 9 to 10 in decimal: in hex
      // it counts 0123456789abcdef.
      const digit = last.nanoseconds & 15;
      this.#memory[this.#stamp + LABEL_LENGTH - 1] = digit < 10
        ? 0x30 + digit
        : 0x57 + digit;
      return;
    }
    putLabel(this.#memory, this.#stamp, last);
  }

  /**
   * Copies lines behind the base, each with its stamp, until there is no more
   * room.
   *
   * @param from The offset of the first byte
   * @param to The offset behind the last byte
   * @param within Whether the first byte is inside a line
   * @returns The offset of the first byte that is left
   */
  #stampLines(from: number, to: number, within: boolean): number {
    const memory = this.#memory;
    const stamp = this.#stamp;
    const limit = this.#base + STAMPED;
    let out = this.#base;
    let at = from;
    while (at < to) {
      if (!within) {
        if (limit - out <= STAMP) break;
        memory.copyWithin(out, stamp, stamp + STAMP);
        out += STAMP;
        this.#tick();
      }
      let end = memory.indexOf(NEWLINE, at) + 1;
      if (end === 0 || end > to) end = to;
      if (end - at > limit - out) end = at + limit - out;
      memory.copyWithin(out, at, end);
      out += end - at;
      at = end;
      within = memory[at - 1] !== NEWLINE;
      if (out === limit) break;
    }
    this.#stampedTo = out;
    return at;
  }

  /** Lets bytes through: `from` is the base, held bytes are in front of it. */
  async #pass(from: number, to: number): Promise<void> {
    if (!this.#selective) {
      for (let log = 0; log < this.#logs; log++) {
        const wait = this.#outputs.append(log, this.#memory, from, to);
        if (wait) await wait;
      }
      return;
    }
    let at = from - this.#held;
    this.#held = 0;
    while (true) {
      at = this.#decideLines(at, to);
      await this.#deliver();
      if (at === to) return;
      if (this.#undecided(at, to)) break;
    }
    // The next bytes come at the base again: the line in hand goes in front.
    this.#memory.copyWithin(this.#base - (to - at), at, to);
    this.#held = to - at;
  }

  /** Whether too little of the line in hand is there to decide on it. */
  #undecided(at: number, to: number): boolean {
    if (this.#decided || to - at >= PATTERN_SIGHT) return false;
    const newline = this.#memory.indexOf(NEWLINE, at);
    return newline < 0 || newline >= to;
  }

  /**
   * Decides on lines until there are no more whole ones, or a list of runs is
   * full.
   *
   * @returns The offset of the first byte that is left
   */
  #decideLines(from: number, to: number): number {
    const memory = this.#memory;
    let at = from;
    // Each line adds one run to a log at the most.
    for (let room = RUNS; at < to && room > 0; room--) {
      let end = memory.indexOf(NEWLINE, at) + 1;
      const whole = end > 0 && end <= to;
      if (!whole) {
        if (!this.#decided && to - at < PATTERN_SIGHT) break;
        end = to;
      }
      if (!this.#decided) {
        this.#decide(at, Math.min(whole ? end - 1 : end, at + PATTERN_SIGHT));
      }
      this.#decided = !whole;
      for (let log = 0; log < this.#logs; log++) {
        if (this.#selected[log]) this.#addRun(log, at, end);
      }
      at = end;
    }
    return at;
  }

  #addRun(log: number, from: number, to: number): void {
    const runs = this.#runs[log]!;
    const count = this.#counts[log]!;
    if (count > 0 && runs[2 * count - 1] === from) {
      runs[2 * count - 1] = to;
      return;
    }
    runs[2 * count] = from;
    runs[2 * count + 1] = to;
    this.#counts[log] = count + 1;
  }

  /** Carries the actions out for a line, given its first bytes. */
  #decide(from: number, to: number): void {
    const memory = this.#memory;
    const kinds = this.#kinds;
    let selected = true;
    for (let i = 0; i < kinds.length; i++) {
      switch (kinds[i]) {
        case SELECT:
          if (!selected && matches(this.#patterns[i]!, memory, from, to)) {
            selected = true;
          }
          break;
        case DESELECT:
          if (selected && matches(this.#patterns[i]!, memory, from, to)) {
            selected = false;
          }
          break;
        case ALERT:
          if (selected) this.#addAlert(from, to);
          break;
        case STATUS:
          if (selected) {
            // Only the newest line of those that came together is written.
            this.#statuses[2 * this.#numbers[i]!] = from;
            this.#statuses[2 * this.#numbers[i]! + 1] = to;
          }
          break;
        default:
          this.#selected[this.#numbers[i]!] = selected ? 1 : 0;
      }
    }
  }

  #addAlert(from: number, to: number): void {
    const alerts = this.#alerts;
    if (alerts.length - this.#alerted < ALERT_SIGHT + 4) this.#deliverAlerts();
    const cut = to - from > ALERT_SIGHT;
    const end = cut ? from + ALERT_SIGHT : to;
    for (let i = from; i < end; i++) alerts[this.#alerted++] = this.#memory[i]!;
    if (cut) {
      for (let i = 0; i < 3; i++) alerts[this.#alerted++] = 0x2e;
    }
    alerts[this.#alerted++] = NEWLINE;
  }

  #deliverAlerts(): void {
    if (this.#alerted === 0) return;
    this.#outputs.alert(this.#alerts.subarray(0, this.#alerted));
    this.#alerted = 0;
  }

  /** Gives the outputs what was decided on. */
  async #deliver(): Promise<void> {
    this.#deliverAlerts();
    const statuses = this.#statuses;
    for (let file = 0; 2 * file < statuses.length; file++) {
      const from = statuses[2 * file]!;
      if (from < 0) continue;
      const bytes = this.#statusBytes.fill(NEWLINE);
      bytes.set(this.#memory.subarray(from, statuses[2 * file + 1]!));
      statuses[2 * file] = -1;
      const wait = this.#outputs.status(file, bytes);
      if (wait) await wait;
    }
    for (let log = 0; log < this.#logs; log++) {
      if (this.#counts[log]! > 0) await this.#deliverRuns(log);
    }
  }

  /** Appends a log's runs: long ones as they are, short ones put together. */
  async #deliverRuns(log: number): Promise<void> {
    const memory = this.#memory;
    const runs = this.#runs[log]!;
    const count = this.#counts[log]!;
    const gather = this.#gather;
    let gathered = gather;
    for (let i = 0; i < 2 * count; i += 2) {
      const from = runs[i]!;
      const to = runs[i + 1]!;
      const long = count === 1 || to - from > LONG_RUN;
      if (gathered > gather && (long || gathered + to - from > this.#stamp)) {
        const wait = this.#outputs.append(log, memory, gather, gathered);
        if (wait) await wait;
        gathered = gather;
      }
      if (long) {
        const wait = this.#outputs.append(log, memory, from, to);
        if (wait) await wait;
      } else {
        memory.copyWithin(gathered, from, to);
        gathered += to - from;
      }
    }
    this.#counts[log] = 0;
    if (gathered > gather) {
      const wait = this.#outputs.append(log, memory, gather, gathered);
      if (wait) await wait;
    }
  }
}

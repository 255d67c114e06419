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
import { type Bytes, latin1, NEWLINE } from "../bytes.ts";
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
/** A select or deselect whose pattern, a single star, matches any line. */
const SELECT_ALL = 5;
const DESELECT_ALL = 6;
const KINDS = {
  select: SELECT,
  deselect: DESELECT,
  alert: ALERT,
  status: STATUS,
  log: LOG,
} as const;

/** Nothing was handed over: there must be a delivery first. */
const WAIT = 0;
/** Handed over, and there must be a delivery before the next. */
const LAST = 1;
/** Handed over. */
const MORE = 2;

/** What an action is to the loop over all lines. */
function kindOf(action: Action): number {
  if ("pattern" in action && latin1(action.pattern) === "*") {
    return action.kind === "select" ? SELECT_ALL : DESELECT_ALL;
  }
  return KINDS[action.kind];
}

const NO_PATTERN: Pattern = new Uint8Array(0);

/** Carries out a script's actions for each line. */
export class LineEngine {
  /** Whether lines are looked at, or all of them go to every log. */
  readonly selective: boolean;
  readonly #outputs: Outputs;
  /** Everything, see `#base` and `#input` for what is where. */
  readonly #memory: Bytes;
  /** Where new lines begin; up to `HOLD` bytes in front of it are held ones. */
  readonly #base = HOLD;
  /** Where input is read to: the base itself when nothing is stamped. */
  readonly #input: number;
  /** Where the logs' lines are put together, `GATHER` bytes for each. */
  readonly #gather: number;
  /** Where the current stamp is. */
  readonly #stamp: number;
  readonly #space: Bytes;
  readonly #timestamp: boolean;
  readonly #kinds: Uint8Array;
  readonly #patterns: Pattern[];
  /** For a log its number, for a status file its number. */
  readonly #numbers: Uint32Array;
  readonly #logs: number;
  /** For each log, whether the line in hand is selected there. */
  readonly #selected: Uint8Array;
  /** For each log, how many bytes have been put together. */
  readonly #gathered: Uint32Array;
  /** For each log, the run of bytes behind those: where it is in the input. */
  readonly #runFrom: Uint32Array;
  readonly #runTo: Uint32Array;
  /** Where the newest selected line is put for each status file. */
  readonly #status: number;
  /** For each status file, whether there is one since the last delivery. */
  readonly #fresh: Uint8Array;
  readonly #alerts: Bytes = new Uint8Array(16 * 1024);
  #alerted = 0;
  /** Whether the input so far ends with a newline, or there was none. */
  #atStart = true;
  /** Whether the line in hand has been decided on, and goes on. */
  #decided = false;
  /** Whether the line in hand has its stamp in front of it. */
  #stamped = false;
  /** How many bytes of an undecided line stand in front of the base. */
  #held = 0;
  /** Where the stamped lines end that {@linkcode #stampLines} has made. */
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
    this.selective = actions.some((action) => action.kind !== "log");
    this.#kinds = Uint8Array.from(actions, kindOf);
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
    this.#gathered = new Uint32Array(logs);
    this.#runFrom = new Uint32Array(logs);
    this.#runTo = new Uint32Array(logs);
    this.#fresh = new Uint8Array(files);
    this.#input = timestamp && !this.selective ? HOLD + STAMPED : HOLD;
    this.#stamp = this.#input + INPUT + 1;
    this.#gather = this.#stamp + STAMP;
    this.#status = this.#gather + (this.selective ? logs * GATHER : 0);
    this.#memory = new Uint8Array(this.#status + files * STATUS_LENGTH);
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
    const from = this.#input;
    const to = from + n;
    const inLine = !this.#atStart;
    this.#atStart = memory[to - 1] === NEWLINE;
    // No search for a newline goes on behind the input.
    memory[to] = NEWLINE;
    if (this.#timestamp) this.#readClock();
    if (this.selective) await this.#passSelected(to);
    else if (this.#timestamp) await this.#passStamped(from, to, inLine);
    else await this.#passAll(from, to);
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

  /** Lets all bytes through to all logs; none waits for another. */
  async #passAll(from: number, to: number): Promise<void> {
    const waits: Promise<void>[] = [];
    for (let log = 0; log < this.#logs; log++) {
      const wait = this.#append(log, from, to);
      if (wait) waits.push(wait);
    }
    if (waits.length > 0) await Promise.all(waits);
  }

  /** Lets all lines through to all logs, each with its stamp. */
  async #passStamped(from: number, to: number, within: boolean): Promise<void> {
    while (from < to) {
      from = this.#stampLines(from, to, within);
      within = this.#memory[from - 1] !== NEWLINE;
      await this.#passAll(this.#base, this.#stampedTo);
    }
  }

  /** Lets selected lines through; the held bytes are in front of the base. */
  async #passSelected(to: number): Promise<void> {
    let at = this.#base - this.#held;
    this.#held = 0;
    while (at < to) {
      const next = this.#decideLines(at, to);
      const stuck = next === at;
      at = next;
      await this.#deliver();
      if (stuck && !this.#decided) break;
    }
    if (at === to) return;
    // The next bytes come at the base again: the line in hand goes in front.
    this.#memory.copyWithin(this.#base - (to - at), at, to);
    this.#held = to - at;
  }

  /**
   * Decides on lines and hands them to their logs, until there are no more
   * whole ones, or what has been handed over must be delivered first.
   *
   * @returns The offset of the first byte that is left
   */
  #decideLines(from: number, to: number): number {
    const memory = this.#memory;
    let at = from;
    while (at < to) {
      if (this.#timestamp && !this.#stamped && !this.#decided) {
        // In front of the line is the line before it, which has been copied.
        memory.copyWithin(at - STAMP, this.#stamp, this.#stamp + STAMP);
        at -= STAMP;
        this.#stamped = true;
        this.#tick();
      }
      let end = memory.indexOf(NEWLINE, at) + 1;
      const whole = end > 0 && end <= to;
      if (!whole) {
        if (!this.#decided && to - at < PATTERN_SIGHT) break;
        end = to;
      }
      if (!this.#decided) {
        this.#decide(at, Math.min(whole ? end - 1 : end, at + PATTERN_SIGHT));
        this.#decided = true;
      }
      const taken = this.#hand(at, end);
      if (taken === WAIT) break;
      this.#decided = !whole;
      this.#stamped = false;
      at = end;
      if (taken === LAST) break;
    }
    return at;
  }

  /**
   * Hands a piece of a line to the logs where it is selected.
   *
   * @returns Whether it was taken, and whether more can be before a delivery
   */
  #hand(from: number, to: number): typeof WAIT | typeof LAST | typeof MORE {
    const length = to - from;
    const runFrom = this.#runFrom;
    const runTo = this.#runTo;
    for (let log = 0; log < this.#logs; log++) {
      if (!this.#selected[log] || runTo[log] === from) continue;
      const run = runTo[log]! - runFrom[log]!;
      if (run > LONG_RUN || this.#gathered[log]! + run + length > GATHER) {
        if (run > 0 || this.#gathered[log]! > 0) return WAIT;
      }
    }
    for (let log = 0; log < this.#logs; log++) {
      if (!this.#selected[log]) continue;
      if (runTo[log] !== from) {
        this.#gatherRun(log);
        runFrom[log] = from;
      }
      runTo[log] = to;
      // The next line's stamp will stand where this line ends.
      if (this.#timestamp && length <= LONG_RUN) this.#gatherRun(log);
    }
    return this.#timestamp && length > LONG_RUN ? LAST : MORE;
  }

  /** Copies a log's run behind what has been put together for it. */
  #gatherRun(log: number): void {
    const from = this.#runFrom[log]!;
    const to = this.#runTo[log]!;
    if (from === to) return;
    const end = this.#gather + log * GATHER + this.#gathered[log]!;
    this.#memory.copyWithin(end, from, to);
    this.#gathered[log]! += to - from;
    this.#runFrom[log] = this.#runTo[log] = 0;
  }

  /** Carries the actions out for a line, given its first bytes. */
  #decide(from: number, to: number): void {
    const memory = this.#memory;
    const kinds = this.#kinds;
    const patterns = this.#patterns;
    let selected = true;
    for (let i = 0; i < kinds.length; i++) {
      switch (kinds[i]) {
        case SELECT_ALL:
          selected = true;
          break;
        case DESELECT_ALL:
          selected = false;
          break;
        case SELECT:
          if (!selected) selected = matches(patterns[i]!, memory, from, to);
          break;
        case DESELECT:
          if (selected) selected = !matches(patterns[i]!, memory, from, to);
          break;
        case ALERT:
          if (selected) this.#addAlert(from, to);
          break;
        case STATUS:
          if (selected) this.#keepStatus(this.#numbers[i]!, from, to);
          break;
        default:
          this.#selected[this.#numbers[i]!] = selected ? 1 : 0;
      }
    }
  }

  /** Only the newest line of those that come together is written. */
  #keepStatus(file: number, from: number, to: number): void {
    const start = this.#status + file * STATUS_LENGTH;
    this.#memory.copyWithin(start, from, to);
    this.#memory.fill(NEWLINE, start + to - from, start + STATUS_LENGTH);
    this.#fresh[file] = 1;
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

  /** Gives the outputs what was decided on; none waits for another. */
  async #deliver(): Promise<void> {
    this.#deliverAlerts();
    const waits: Promise<void>[] = [];
    for (let file = 0; file < this.#fresh.length; file++) {
      if (this.#fresh[file] === 0) continue;
      this.#fresh[file] = 0;
      const start = this.#status + file * STATUS_LENGTH;
      const bytes = this.#memory.subarray(start, start + STATUS_LENGTH);
      const wait = this.#outputs.status(file, bytes);
      if (wait) waits.push(wait);
    }
    for (let log = 0; log < this.#logs; log++) {
      // A short run goes with what is in front of it where there is room, a
      // long one by itself.
      const run = this.#runTo[log]! - this.#runFrom[log]!;
      const gathered = this.#gathered[log]!;
      if (gathered > 0 && run <= LONG_RUN && gathered + run <= GATHER) {
        this.#gatherRun(log);
      }
      const wait = this.#deliverTo(log);
      if (wait) waits.push(wait);
      this.#gathered[log] = this.#runFrom[log] = this.#runTo[log] = 0;
    }
    if (waits.length > 0) await Promise.all(waits);
  }

  #deliverTo(log: number): Promise<void> | undefined {
    const start = this.#gather + log * GATHER;
    const from = this.#runFrom[log]!;
    const to = this.#runTo[log]!;
    const wait = this.#append(log, start, start + this.#gathered[log]!);
    if (wait) return wait.then(() => this.#append(log, from, to));
    return this.#append(log, from, to);
  }

  #append(log: number, from: number, to: number): Promise<void> | undefined {
    if (from === to) return undefined;
    return this.#outputs.append(log, this.#memory, from, to);
  }
}

/**
 * `@dir`: a log for each host, in a folder of them.
 *
 * Lines are split by the name that they begin with in the kernel, so that each
 * log gets all of its lines of a block in one write, and no line takes longer
 * for there being many logs. Few logs are open at a time. One that has had no
 * line for a while is closed well. Where more get lines in turn than may be
 * open, the one whose last line is the oldest is parked: its descriptors are
 * closed and nothing is waited for, since a sync takes longer than a thousand
 * lines.
 *
 * The folder itself is locked, so that no two programs' logs are in one.
 *
 * @module
 */
import type { Bytes } from "../bytes.ts";
import { InTurn } from "../log/in_turn.ts";
import {
  type AnyLog,
  LogDirectory,
  openMade,
  type Siblings,
} from "../log/log_directory.ts";
import { isComplete, isOld, isUnprocessed } from "../log/names.ts";
import type { FindProcessor } from "../log/processor.ts";
import { type Retrier, StartError, startStep } from "../log/retrier.ts";
import type { LogSettings } from "../log/settings.ts";
import { MOST_NAMES, NAME_LENGTH, NameSplitter } from "./name_splitter.ts";
import { STAMP_MOST, type StampKind, StampWriter } from "../stamps.ts";
import { readClock } from "../sys/clock.ts";
import { close, flock, roomOnDisk } from "../sys/descriptors.ts";
import { SysError } from "../sys/errors.ts";
import { eachName, mkdir, openDirectory, stat } from "../sys/files.ts";
import { fsyncDirectoryAside } from "../sys/fsync_aside.ts";
import { descriptorLimit } from "../sys/limits.ts";
import { LABEL_LENGTH } from "../tai64n.ts";

/** The log for lines that begin with no name. */
const OTHER = "other";
/** How many logs are open at a time, two descriptors each. */
const MOST_OPEN = 500;
/** How many descriptors the runtime has, and the program before. */
const RESERVE = 30;
/** The part of the others that is left to what is done to logs for a moment. */
const SPARE = 0.15;
/** How many of those a log takes. */
const EACH = 4;
/** How many are parked at once, so that it needn't be done for each line. */
const PARKED_AT_ONCE = 50;
/** How many processors run at a time. */
const MOST_PROCESSORS = 8;
/** How many logs something is done to at a time at the most. */
const AT_ONCE = 32;
/** A log that has had no line for so long is closed, in milliseconds. */
const IDLE = 10_000;
/**
 * For how long a name whose log can't be opened isn't tried again, in
 * milliseconds.
 */
const REFUSED = 60_000;
/** How long the event loop stands still for logs of an earlier run. */
const SLICE = 5;

/** How many bytes of lines are split at once. */
const ROOM = 512 * 1024;
/** How many are, where they needn't be written before more are read. */
const LATE_ROOM = 4 * 1024 * 1024;
/** What a name has to answer for: its lines go to others then. */
const REFUSALS = new Set(
  ["EAGAIN", "ENOTDIR", "EACCES", "EPERM", "ELOOP", "EEXIST", "EISDIR"],
);

/** One name, and its log. */
interface Host {
  readonly path: string;
  /** The log, unless it is closed. */
  log: LogDirectory | undefined;
  /** When its last lines came, counted in deliveries and in milliseconds. */
  turn: number;
  last: number;
  /** When something is due in its log, on this process's own clock. */
  due: number;
  /** When one of its old files is too old, in seconds since 1970. */
  expiry: number;
  /** Until when it can't be opened. */
  refused: number;
  /** How many writes to it wait: for its disk, or for room in its queue. */
  writes: number;
  /** How many things are being done to it, for which it has to stay open. */
  uses: number;
  /** Its being closed. */
  closing: Promise<void> | undefined;
}

/** What logs for hosts have to know of lines, and of their surroundings. */
export interface HostLines {
  /** The timestamp that they begin with. */
  readonly timestamp: StampKind | undefined;
  /**
   * Whether they may wait until there is enough for large writes, or
   * {@linkcode HostLogs.flush} is called: a kill loses them with others that
   * were read.
   */
  readonly late: boolean;
  /** How many descriptors aren't for them. */
  readonly others: number;
}

type OpenArguments = [
  path: string,
  settings: Readonly<LogSettings>,
  retrier: Retrier,
  wake?: () => void,
  find?: FindProcessor,
];

/** A folder with a log for each host. */
export class HostLogs implements AnyLog, Siblings {
  /** The folder's name, as it was given. */
  readonly path: string;
  readonly #settings: Readonly<LogSettings>;
  readonly #retrier: Retrier;
  readonly #wake: () => void;
  readonly #find: FindProcessor | undefined;
  /** The open folder, which is locked. */
  #folder: number;
  /**
   * How many directories' names were noted, and how many are on the disk. What
   * a run that was killed has made may not be.
   */
  #made = 1;
  #synced = 0;
  #syncing: Promise<void> | undefined;

  readonly #lines: NameSplitter;
  readonly #late: boolean;

  /** All names; the first is that of the other lines. */
  readonly #hosts: Host[] = [];
  /** Whether it was told that there are too many. */
  #told = false;
  /** The logs that aren't closed, and of their hosts those that aren't parked. */
  readonly #live = new Map<LogDirectory, Host>();
  readonly #awake = new Set<Host>();
  /** Those that have had lines since the last sync. */
  readonly #unsynced = new Set<Host>();
  /** The syncs that are under way, each of logs that others have lines in. */
  readonly #syncs = new Set<Promise<boolean>>();
  /** Whether one was closed whose lines may not be on the disk. */
  #doubtful = false;
  #mostOpen: number;
  #deliveries = 0;
  /** When something is due in a log, and when idle ones are looked for. */
  #due = Infinity;
  /** When an old file is too old, in seconds since 1970. */
  #expiry = Infinity;
  #lookAt = Infinity;

  /** The logs whose turn it is to process, and those that wait for theirs. */
  readonly #processing = new Set<LogDirectory>();
  #turns = 0;
  readonly #waiting: (() => void)[] = [];
  readonly #mostTurns: number;
  /** How many logs something is done to at a time, and how many there are. */
  readonly #atOnce: number;
  #inside = 0;
  readonly #outside: (() => void)[] = [];
  /** What goes on besides. */
  readonly #background = new Set<Promise<void>>();
  /** What is done with lines, and what waits for its turn after it. */
  readonly #steps = new InTurn();
  #terminating = false;

  private constructor(lines: HostLines, ...args: OpenArguments) {
    const [path, settings, retrier, wake = () => {}, find] = args;
    this.path = path;
    this.#settings = settings;
    this.#retrier = retrier;
    this.#wake = wake;
    this.#find = find;
    this.#late = lines.late;
    const descriptors =
      Math.min(descriptorLimit() - lines.others, 8 * MOST_OPEN) - RESERVE;
    const open = Math.floor((1 - SPARE) * descriptors / 2);
    this.#mostOpen = Math.max(Math.min(open, MOST_OPEN), 2);
    const atOnce = Math.floor(SPARE * descriptors / EACH);
    this.#atOnce = Math.max(Math.min(atOnce, AT_ONCE), 1);
    this.#mostTurns = Math.min(MOST_PROCESSORS, this.#mostOpen - 1);

    this.#lines = new NameSplitter(
      OTHER,
      stampLength(lines.timestamp),
      lines.late ? LATE_ROOM : ROOM,
      (name) => this.#meet(name),
    );
    this.#folder = openFolder(path);
  }

  /**
   * Opens a folder, making it where there is none, takes its lock, and goes on
   * with what an earlier run left to be done in its logs.
   *
   * @param lines What their lines are like
   * @param args As for {@linkcode LogDirectory.open}
   * @returns The logs
   * @throws {StartError} When another process has them, or they can't be used
   */
  static open(lines: HostLines, ...args: OpenArguments): HostLogs {
    const logs = new HostLogs(lines, ...args);
    try {
      logs.#takeUp(startStep(
        () => logs.#findUnfinished(),
        `unable to read directory ${logs.path}`,
      ));
    } catch (error) {
      close(logs.#folder);
      throw error;
    }
    return logs;
  }

  // Names.

  #meet(name: string): void {
    this.#hosts.push({
      path: `${this.path}/${name}`,
      log: undefined,
      turn: 0,
      last: -Infinity,
      due: Infinity,
      expiry: Infinity,
      refused: 0,
      writes: 0,
      uses: 0,
      closing: undefined,
    });
  }

  /** Says, once, that there are too many names. */
  #tellCrowd(): void {
    if (this.#told || !this.#lines.crowded) return;
    this.#told = true;
    this.#retrier.warn(
      `more than ${MOST_NAMES} names in ${this.path}: the lines of others ` +
        `go to ${this.#hosts[0]!.path}`,
    );
  }

  // What an earlier run left.

  #findUnfinished(): Host[] {
    const names: string[] = [];
    eachName(this.#folder, (name) => {
      if (name[0] !== "." && name.length <= NAME_LENGTH) names.push(name);
    });
    for (const name of names.sort()) {
      const known = this.#hosts.length;
      if (known > MOST_NAMES) break;
      this.#lines.meet(name);
      const host = this.#hosts[known];
      if (host && !isDirectory(host.path)) host.refused = -1;
    }
    return this.#hosts.filter((host) =>
      host.refused === 0 && this.#isUnfinished(host.path)
    );
  }

  /** Whether there is something to do before a line comes. */
  #isUnfinished(path: string): boolean {
    try {
      const current = stat(`${path}/current`);
      if (current === undefined) return false;
      if (!isComplete(current.mode)) return true;
      if (this.#settings.age > 0 && current.size > 0) return true;
      const { processor, keepSeconds } = this.#settings;
      if (processor === "" && keepSeconds === undefined) return false;
      const directory = openDirectory(path);
      let found = false;
      try {
        eachName(directory, (name) => {
          found ||= keepSeconds !== undefined && isOld(name) ||
            processor !== "" && (isUnprocessed(name) ||
                ["previous", "processed", "newstate"].includes(name));
        });
      } finally {
        close(directory);
      }
      return found;
    } catch (error) {
      // Whatever is wrong is told when it is opened.
      if (error instanceof SysError) return error.code !== "ENOTDIR";
      throw error;
    }
  }

  #takeUp(hosts: readonly Host[]): void {
    if (hosts.length === 0) return;
    this.#inBackground(async () => {
      let until = 0;
      for (const host of hosts) {
        if (performance.now() >= until) {
          await new Promise((resolve) => setTimeout(resolve, 0));
          until = performance.now() + SLICE;
        }
        if (this.#terminating) return;
        const log = await this.#insist(host);
        if (log === undefined) continue;
        host.last = performance.now();
        this.#noteDue(host, log);
      }
    });
  }

  #inBackground(step: () => Promise<void>): Promise<void> {
    const work = step().finally(() => {
      this.#background.delete(work);
      this.#wake();
    });
    this.#background.add(work);
    return work;
  }

  // Lines.

  /** As {@linkcode LogDirectory.append}. */
  append(
    bytes: Uint8Array,
    from = 0,
    to: number = bytes.length,
  ): Promise<void> | undefined {
    const own = bytes as Bytes;
    if (this.#steps.busy) {
      return this.#steps.take(() => this.#take(own, from, to));
    }
    const wait = this.#take(own, from, to);
    return wait && this.#steps.take(() => wait);
  }

  #take(bytes: Bytes, from: number, to: number): Promise<void> | undefined {
    while (from < to) {
      from = this.#lines.put(bytes, from, to);
      const wait = this.#split();
      if (wait) return wait.then(() => this.#take(bytes, from, to));
    }
    return undefined;
  }

  #split(): Promise<void> | undefined {
    const lines = this.#lines;
    while (!lines.split()) {
      const wait = this.#deliver();
      if (wait) return wait.then(() => this.#split());
    }
    this.#tellCrowd();
    return this.#late && !lines.full ? undefined : this.#flush();
  }

  /** Whether there are lines that their logs haven't got. */
  get waiting(): boolean {
    return this.#lines.waiting;
  }

  /** Gives the logs all lines so far. */
  flush(): Promise<void> | undefined {
    if (this.#steps.busy) return this.#steps.take(() => this.#flush());
    const wait = this.#flush();
    return wait && this.#steps.take(() => wait);
  }

  #flush(): Promise<void> | undefined {
    const wait = this.#deliver();
    if (wait) return wait.then(() => this.#lines.clear());
    this.#lines.clear();
    return undefined;
  }

  /** Gives the logs their lines: first those that are open. */
  #deliver(): Promise<void> | undefined {
    const now = performance.now();
    const waits: Promise<void>[] = [];
    const closed: [Host, number, number][] = [];
    this.#deliveries++;
    this.#lines.give((name, from, to) => {
      const host = this.#hosts[name]!;
      host.last = now;
      host.turn = this.#deliveries;
      if (host.closing || host.log === undefined || host.log.parked) {
        closed.push([host, from, to]);
      } else this.#write(host, host.log, from, to, waits);
    });
    for (const [index, [host, from, to]] of closed.entries()) {
      if (!this.#makeRoom() && waits.length > 0) {
        // All that are open are being finished, or the like.
        return Promise.all(waits).then(() =>
          this.#deliverLater(closed.slice(index))
        );
      }
      const wait = this.#give(host, from, to);
      if (wait) waits.push(wait);
    }
    if (waits.length === 0) return undefined;
    return Promise.all(waits).then(() => {});
  }

  async #deliverLater(
    closed: readonly [Host, number, number][],
  ): Promise<void> {
    for (const [host, from, to] of closed) await this.#give(host, from, to);
  }

  #write(
    host: Host,
    log: LogDirectory,
    from: number,
    to: number,
    waits: Promise<void>[],
  ): void {
    const wait = log.append(this.#lines.memory, from, to);
    this.#unsynced.add(host);
    this.#noteDue(host, log);
    if (wait === undefined) return;
    host.writes++;
    waits.push(wait.finally(() => {
      host.writes--;
      host.due = Infinity;
      this.#noteDue(host, log);
    }));
  }

  /** Gives lines to a log that may have to be opened. */
  #give(host: Host, from: number, to: number): Promise<void> | undefined {
    if (host.closing) {
      return host.closing.then(() => this.#give(host, from, to));
    }
    let log: LogDirectory | undefined;
    try {
      log = this.#open(host);
    } catch (error) {
      if (!(error instanceof StartError)) throw error;
      return this.#retrier.pause(`${error.message}, pausing`)
        .then(() => this.#give(host, from, to));
    }
    if (log === undefined) return this.#give(this.#hosts[0]!, from, to);
    const waits: Promise<void>[] = [];
    this.#write(host, log, from, to, waits);
    return waits[0];
  }

  #noteDue(host: Host, log: LogDirectory): void {
    if (host.due !== Infinity) return;
    const until = log.untilDue();
    if (until < 0) return;
    host.due = performance.now() + until;
    this.#due = Math.min(this.#due, host.due);
  }

  // Opening and closing.

  /**
   * Has a host's log open.
   *
   * @returns The log; `undefined` where its lines go to the others'
   * @throws {StartError} When it can't be opened now
   */
  #open(host: Host): LogDirectory | undefined {
    if (host.log && !host.log.parked) return host.log;
    const other = this.#hosts[0]!;
    if (host !== other && performance.now() < host.refused) return undefined;
    this.#makeRoom();
    while (true) {
      try {
        if (host.log) host.log.resume();
        else {
          host.log = LogDirectory.open(
            host.path,
            this.#settings,
            this.#retrier,
            this.#wake,
            this.#find,
            this,
          );
          if (this.#terminating) host.log.terminate();
        }
        break;
      } catch (error) {
        if (!(error instanceof StartError)) throw error;
        const { code } = error;
        if (code === "EMFILE" || code === "ENFILE") {
          const most = Math.max(this.#awake.size - PARKED_AT_ONCE, 2);
          this.#mostOpen = Math.min(this.#mostOpen, most);
          if (this.#park(PARKED_AT_ONCE) > 0) continue;
        }
        if (host === other || !REFUSALS.has(code)) throw error;
        host.refused = performance.now() + REFUSED;
        this.#retrier.warn(`${error.message}; its lines go to ${other.path}`);
        return undefined;
      }
    }
    this.#noteExpiry(host, host.log);
    this.#live.set(host.log, host);
    this.#awake.add(host);
    this.#lookAt = Math.min(this.#lookAt, performance.now() + IDLE);
    return host.log;
  }

  /**
   * Opens a host's log, for as long as it takes; as `#open`.
   *
   * @param closing Whether it is opened to be closed: that is done, come what
   * may, and by nobody else
   */
  async #insist(
    host: Host,
    closing = false,
  ): Promise<LogDirectory | undefined> {
    while (true) {
      while (host.closing && !closing) await host.closing;
      try {
        return this.#open(host);
      } catch (error) {
        if (!(error instanceof StartError)) throw error;
        if (this.#terminating && !closing) return undefined;
        await this.#retrier.pause(`${error.message}, pausing`);
      }
    }
  }

  /** @returns Whether one more log may be open */
  #makeRoom(): boolean {
    const over = this.#awake.size - this.#mostOpen;
    if (over >= 0) this.#park(over + PARKED_AT_ONCE);
    return this.#awake.size < this.#mostOpen;
  }

  /** Parks logs whose last lines are the oldest; returns how many. */
  #park(count: number): number {
    const hosts = [...this.#awake].filter((host) =>
      host.closing === undefined && host.uses === 0 &&
      !this.#processing.has(host.log!)
    ).sort((a, b) => a.turn - b.turn);
    let parked = 0;
    for (const host of hosts) {
      if (parked === count) break;
      if (!host.log!.park()) continue;
      this.#awake.delete(host);
      parked++;
    }
    return parked;
  }

  /** Closes the logs that are idle. */
  #closeIdle(): void {
    const now = performance.now();
    this.#lookAt = this.#live.size > 0 ? now + IDLE / 2 : Infinity;
    for (const [log, host] of this.#live) {
      if (now - host.last < IDLE || host.closing) continue;
      if (log.processing()) continue;
      this.#inBackground(() => this.#close(host));
    }
  }

  /** Closes a host's log well. */
  #close(host: Host): Promise<void> {
    const log = host.log!;
    return host.closing ??= (async () => {
      try {
        // One that is processing is opened when it is its turn.
        if (!log.processing() && !await this.#insist(host, true)) return;
        await log.close();
        this.#noteExpiry(host, log);
        if (!log.parked && !log.isSynced()) this.#doubtful = true;
      } finally {
        host.log = undefined;
        host.closing = undefined;
        this.#live.delete(log);
        this.#awake.delete(host);
        this.#unsynced.delete(host);
      }
    })();
  }

  // What the logs share.

  /** See {@linkcode Siblings}. */
  mkdir(path: string): void {
    try {
      mkdir(path, 0o700);
    } catch (error) {
      if (!(error instanceof SysError) || error.code !== "ENOENT") throw error;
      this.#remake();
      mkdir(path, 0o700);
    }
  }

  /** See {@linkcode Siblings}. */
  noteName(): void {
    this.#made++;
  }

  /** Somebody has removed the folder. */
  #remake(): void {
    let folder: number;
    try {
      folder = openFolder(this.path);
    } catch (error) {
      if (error instanceof StartError && error.cause instanceof SysError) {
        throw error.cause;
      }
      throw error;
    }
    this.#retrier.warn(`${this.path} was removed, made again`);
    // Who syncs the former one has it open still.
    const former = this.#folder;
    if (this.#syncing) this.#syncing.finally(() => close(former));
    else close(former);
    this.#folder = folder;
  }

  /** See {@linkcode Siblings}. */
  async syncNames(): Promise<void> {
    const wanted = this.#made;
    while (this.#synced < wanted) {
      await (this.#syncing ??= this.#sync().finally(() => {
        this.#syncing = undefined;
      }));
    }
  }

  async #sync(): Promise<void> {
    const made = this.#made;
    await fsyncDirectoryAside(this.#folder);
    this.#synced = made;
  }

  /** See {@linkcode Siblings}. */
  enter(): Promise<void> | undefined {
    if (this.#inside < this.#atOnce) {
      this.#inside++;
      return undefined;
    }
    return new Promise((resolve) => this.#outside.push(resolve));
  }

  /** See {@linkcode Siblings}. */
  leave(): void {
    const next = this.#outside.shift();
    if (next) next();
    else this.#inside--;
  }

  /** See {@linkcode Siblings}. */
  async take(log: LogDirectory): Promise<boolean> {
    const host = this.#live.get(log)!;
    while (!this.#terminating) {
      if (this.#turns < this.#mostTurns) this.#turns++;
      else await new Promise<void>((resolve) => this.#waiting.push(resolve));
      if (this.#terminating) return false;
      this.#processing.add(log);
      try {
        if (log.parked) {
          this.#makeRoom();
          log.resume();
          this.#awake.add(host);
        }
        return true;
      } catch (error) {
        if (!(error instanceof StartError)) throw error;
        this.give(log);
        await this.#retrier.pause(
          `${error.message}, pausing: what waits there isn't processed`,
          REFUSED,
        );
      }
    }
    return false;
  }

  /** See {@linkcode Siblings}. */
  give(log: LogDirectory): void {
    this.#processing.delete(log);
    // Who has waited takes it over.
    const next = this.#waiting.shift();
    if (next) next();
    else this.#turns--;
  }

  // As with one log.

  /** As {@linkcode LogDirectory.room}: one that is full waits by itself. */
  room(): number {
    return Infinity;
  }

  /** As {@linkcode LogDirectory.roomInCurrent}: there are many. */
  roomInCurrent(): number {
    return Infinity;
  }

  /** As {@linkcode LogDirectory.roomOnDisk}. */
  roomOnDisk(): number {
    return roomOnDisk(this.#folder);
  }

  /** As {@linkcode LogDirectory.due}. */
  due(): boolean {
    return performance.now() >= Math.min(this.#due, this.#lookAt);
  }

  /** As {@linkcode LogDirectory.untilDue}. */
  untilDue(): number {
    const at = Math.min(this.#due, this.#lookAt);
    return at === Infinity ? -1 : Math.max(at - performance.now(), 0);
  }

  /** As {@linkcode LogDirectory.attend}. */
  async attend(): Promise<void> {
    if (!this.#isHeld()) await this.flush();
    const now = performance.now();
    if (now >= this.#lookAt) this.#closeIdle();
    if (now < this.#due) return;
    const due: Host[] = [];
    this.#due = Infinity;
    for (const host of this.#hosts) {
      if (host.due <= now) {
        // Unless it can be opened before.
        host.due = now + REFUSED;
        if (host.writes === 0) due.push(host);
      }
      this.#due = Math.min(this.#due, host.due);
    }
    await this.#each(due, async (host, log) => {
      await log.attend();
      host.due = Infinity;
      this.#noteDue(host, log);
    });
  }

  /** As {@linkcode LogDirectory.rotate}, of all logs that there are. */
  async rotate(): Promise<void> {
    if (!this.#isHeld()) await this.flush();
    const hosts = this.#hosts.filter(({ log, path }) =>
      log !== undefined || hasLines(path)
    );
    await this.#each(hosts, (_, log) => log.rotate());
  }

  /**
   * Whether lines wait for one of the logs. The others have theirs by then, and
   * what is to be done to them doesn't wait.
   */
  #isHeld(): boolean {
    return this.#hosts.some(({ writes }) => writes > 0);
  }

  /** As {@linkcode LogDirectory.isSynced}. */
  isSynced(): boolean {
    return this.#unsynced.size === 0 && this.#steps.busy === undefined &&
      this.#syncs.size === 0 && !this.waiting && !this.#doubtful;
  }

  /** As {@linkcode LogDirectory.sync}, of all logs that got lines. */
  async sync(): Promise<boolean> {
    await this.flush();
    const own = this.#syncLogs();
    this.#syncs.add(own);
    try {
      // What was written before is for earlier ones to bring to the disk.
      const done = await Promise.all(this.#syncs);
      return done.every((safe) => safe);
    } finally {
      this.#syncs.delete(own);
    }
  }

  async #syncLogs(): Promise<boolean> {
    const hosts = [...this.#unsynced];
    this.#unsynced.clear();
    let safe = !this.#doubtful;
    this.#doubtful = false;
    await this.#each(hosts, async (_, log) => {
      if (!await log.sync()) safe = false;
    });
    return safe;
  }

  /** As {@linkcode LogDirectory.expiry}. */
  expiry(): number | undefined {
    return this.#expiry === Infinity ? undefined : this.#expiry;
  }

  /** As {@linkcode LogDirectory.hasExpired}. */
  hasExpired(): boolean {
    return Date.now() >= 1000 * this.#expiry;
  }

  /** As {@linkcode LogDirectory.expire}. */
  async expire(): Promise<void> {
    const expired = this.#hosts.filter(({ expiry }) =>
      Date.now() >= 1000 * expiry
    );
    await this.#each(expired, async (host, log) => {
      await log.expire();
      host.expiry = Infinity;
      this.#noteExpiry(host, log);
    });
    this.#expiry = Infinity;
    for (const { expiry } of this.#hosts) {
      this.#expiry = Math.min(this.#expiry, expiry);
    }
  }

  /** Only looked at when it may matter: it tells of files that were finished. */
  #noteExpiry(host: Host, log: LogDirectory): void {
    if (this.#settings.keepSeconds === undefined) return;
    host.expiry = Math.min(host.expiry, log.expiry() ?? Infinity);
    this.#expiry = Math.min(this.#expiry, host.expiry);
  }

  /** Does something to logs, a few at a time. */
  async #each(
    hosts: readonly Host[],
    step: (host: Host, log: LogDirectory) => Promise<void>,
  ): Promise<void> {
    let next = 0;
    const work = async () => {
      while (next < hosts.length) {
        const host = hosts[next++]!;
        host.uses++;
        try {
          const log = await this.#insist(host);
          if (log) await step(host, log);
        } finally {
          host.uses--;
        }
      }
    };
    await Promise.all(Array.from({ length: this.#atOnce }, work));
  }

  /** As {@linkcode LogDirectory.processing}. */
  processing(): Promise<void> | undefined {
    for (const work of this.#background) return work;
    if (this.#settings.processor === "") return undefined;
    for (const log of this.#live.keys()) {
      const work = log.processing();
      if (work) return work;
    }
    return undefined;
  }

  /** As {@linkcode LogDirectory.terminate}. */
  terminate(): void {
    this.#terminating = true;
    for (const log of this.#live.keys()) log.terminate();
    for (const resolve of this.#waiting.splice(0)) resolve();
    this.#retrier.hurry();
  }

  /** As {@linkcode LogDirectory.close}. */
  async close(): Promise<void> {
    await this.flush();
    while (this.#background.size > 0) await Promise.all(this.#background);
    // First, and with all that have nothing to wait for, what is killed before
    // it is done is complete.
    const hosts = [...this.#live.values()];
    const working = hosts.filter(({ log }) => log!.processing());
    const others = hosts.filter(({ log }) => !log!.processing());
    let next = 0;
    const work = async () => {
      while (next < others.length) await this.#close(others[next++]!);
    };
    await Promise.all([
      ...Array.from({ length: this.#atOnce }, work),
      ...working.map((host) => this.#close(host)),
    ]);
    close(this.#folder);
  }
}

function stampLength(kind: StampKind | undefined): number {
  if (kind === undefined) return 0;
  if (kind === "t") return LABEL_LENGTH + 1;
  return new StampWriter(kind).put(new Uint8Array(STAMP_MOST), 0, readClock());
}

function openFolder(path: string): number {
  const folder = openMade(path);
  try {
    startStep(
      () => flock(folder),
      `unable to lock directory ${path}`,
      path,
    );
    return folder;
  } catch (error) {
    close(folder);
    throw error;
  }
}

function isDirectory(path: string): boolean {
  try {
    return stat(path)?.isDirectory === true;
  } catch (error) {
    if (error instanceof SysError) return false;
    throw error;
  }
}

function hasLines(path: string): boolean {
  try {
    return (stat(`${path}/current`)?.size ?? 0) > 0;
  } catch (error) {
    if (error instanceof SysError) return false;
    throw error;
  }
}

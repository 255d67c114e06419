/**
 * `@dir`: a log for each host, in a folder of them.
 *
 * Lines are split by the name that they begin with in the kernel, so that each
 * log gets all of its lines of a block in one write, and no line takes longer
 * for there being many logs. `host_pool.ts` sees to it that few are open at a
 * time, `host_folder.ts` that no two programs' logs are in one folder.
 *
 * @module
 */
import type { Bytes } from "../bytes.ts";
import { InTurn } from "../log/in_turn.ts";
import type { AnyLog, LogDirectory } from "../log/log_directory.ts";
import { type Retrier, StartError, startStep } from "../log/retrier.ts";
import type { LogSettings } from "../log/settings.ts";
import { STAMP_MOST, type StampKind, StampWriter } from "../stamps.ts";
import { readClock } from "../sys/clock.ts";
import { LABEL_LENGTH } from "../tai64n.ts";
import { HostFolder } from "./host_folder.ts";
import { hasLines, isDirectory, isUnfinished } from "./host_leftovers.ts";
import { type Host, HostPool, type OpenArguments } from "./host_pool.ts";
import { HostTimes } from "./host_times.ts";
import { MOST_NAMES, NAME_LENGTH, NameSplitter } from "./name_splitter.ts";

/** The log for lines that begin with no name. */
const OTHER = "other";
/** How long the event loop stands still for logs of an earlier run. */
const SLICE = 5;

/** How many bytes of lines are split at once. */
const ROOM = 512 * 1024;
/** How many are, where they needn't be written before more are read. */
const LATE_ROOM = 4 * 1024 * 1024;
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

/** A folder with a log for each host. */
export class HostLogs implements AnyLog {
  /** The folder's name, as it was given. */
  readonly path: string;
  readonly #settings: Readonly<LogSettings>;
  readonly #retrier: Retrier;
  readonly #lines: NameSplitter;
  readonly #late: boolean;
  readonly #folder: HostFolder;
  readonly #times: HostTimes;
  readonly #pool: HostPool;
  /** Whether it was told that there are too many names. */
  #told = false;
  #deliveries = 0;
  /** The syncs that are under way, each of logs that others have lines in. */
  readonly #syncs = new Set<Promise<boolean>>();
  /** What is done with lines, and what waits for its turn after it. */
  readonly #steps = new InTurn();

  private constructor(lines: HostLines, ...args: OpenArguments) {
    const [path, settings, retrier] = args;
    this.path = path;
    this.#settings = settings;
    this.#retrier = retrier;
    this.#late = lines.late;
    this.#folder = new HostFolder(path, (message) => retrier.warn(message));
    this.#times = new HostTimes(settings.keepSeconds !== undefined);
    this.#pool = new HostPool(
      this.#folder,
      this.#times,
      lines.others,
      ...args,
    );
    this.#lines = new NameSplitter(
      OTHER,
      stampLength(lines.timestamp),
      lines.late ? LATE_ROOM : ROOM,
      (name) => this.#pool.meet(name),
    );
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
      logs.#folder.close();
      throw error;
    }
    return logs;
  }

  // Names.

  /** Says, once, that there are too many names. */
  #tellCrowd(): void {
    if (this.#told || !this.#lines.crowded) return;
    this.#told = true;
    this.#retrier.warn(
      `more than ${MOST_NAMES} names in ${this.path}: the lines of others ` +
        `go to ${this.#pool.hosts[0]!.path}`,
    );
  }

  // What an earlier run left.

  #findUnfinished(): Host[] {
    const names: string[] = [];
    this.#folder.eachName((name) => {
      if (name[0] !== "." && name.length <= NAME_LENGTH) names.push(name);
    });
    for (const name of names.sort()) {
      const known = this.#pool.hosts.length;
      if (known > MOST_NAMES) break;
      this.#lines.meet(name);
      const host = this.#pool.hosts[known];
      if (host && !isDirectory(host.path)) host.refused = -1;
    }
    return this.#pool.hosts.filter((host) =>
      host.refused === 0 && isUnfinished(host.path, this.#settings)
    );
  }

  #takeUp(hosts: readonly Host[]): void {
    if (hosts.length === 0) return;
    this.#pool.inBackground(async () => {
      let until = 0;
      for (const host of hosts) {
        if (performance.now() >= until) {
          await new Promise((resolve) => setTimeout(resolve, 0));
          until = performance.now() + SLICE;
        }
        if (this.#pool.terminating) return;
        const log = await this.#pool.insist(host);
        if (log === undefined) continue;
        host.last = performance.now();
        this.#times.noteDue(host, log);
      }
    });
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
      const host = this.#pool.hosts[name]!;
      host.last = now;
      host.turn = this.#deliveries;
      if (host.closing || host.log === undefined || host.log.parked) {
        closed.push([host, from, to]);
      } else this.#write(host, host.log, from, to, waits);
    });
    for (const [index, [host, from, to]] of closed.entries()) {
      if (!this.#pool.makeRoom() && waits.length > 0) {
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
    this.#pool.unsynced.add(host);
    this.#times.noteDue(host, log);
    if (wait === undefined) return;
    host.writes++;
    waits.push(wait.finally(() => {
      host.writes--;
      host.due = Infinity;
      this.#times.noteDue(host, log);
    }));
  }

  /** Gives lines to a log that may have to be opened. */
  #give(host: Host, from: number, to: number): Promise<void> | undefined {
    if (host.closing) {
      return host.closing.then(() => this.#give(host, from, to));
    }
    let log: LogDirectory | undefined;
    try {
      log = this.#pool.open(host);
    } catch (error) {
      if (!(error instanceof StartError)) throw error;
      return this.#retrier.pause(`${error.message}, pausing`)
        .then(() => this.#give(host, from, to));
    }
    if (log === undefined) return this.#give(this.#pool.hosts[0]!, from, to);
    const waits: Promise<void>[] = [];
    this.#write(host, log, from, to, waits);
    return waits[0];
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
    return this.#folder.roomOnDisk();
  }

  /** As {@linkcode LogDirectory.due}. */
  due(): boolean {
    return performance.now() >= Math.min(this.#times.due, this.#pool.lookAt);
  }

  /** As {@linkcode LogDirectory.untilDue}. */
  untilDue(): number {
    const at = Math.min(this.#times.due, this.#pool.lookAt);
    return at === Infinity ? -1 : Math.max(at - performance.now(), 0);
  }

  /** As {@linkcode LogDirectory.attend}. */
  async attend(): Promise<void> {
    if (!this.#isHeld()) await this.flush();
    const now = performance.now();
    if (now >= this.#pool.lookAt) this.#pool.closeIdle();
    const due = this.#times.takeDue(this.#pool.hosts, now);
    await this.#pool.each(due, async (host, log) => {
      await log.attend();
      host.due = Infinity;
      this.#times.noteDue(host, log);
    });
  }

  /** As {@linkcode LogDirectory.rotate}, of all logs that there are. */
  async rotate(): Promise<void> {
    if (!this.#isHeld()) await this.flush();
    const hosts = this.#pool.hosts.filter(({ log, path }) =>
      log !== undefined || hasLines(path)
    );
    await this.#pool.each(hosts, (_, log) => log.rotate());
  }

  /**
   * Whether lines wait for one of the logs. The others have theirs by then, and
   * what is to be done to them doesn't wait.
   */
  #isHeld(): boolean {
    return this.#pool.hosts.some(({ writes }) => writes > 0);
  }

  /** As {@linkcode LogDirectory.isSynced}. */
  isSynced(): boolean {
    return this.#pool.unsynced.size === 0 && this.#steps.busy === undefined &&
      this.#syncs.size === 0 && !this.waiting && !this.#pool.doubtful;
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
    const hosts = [...this.#pool.unsynced];
    this.#pool.unsynced.clear();
    // Those that can't be opened stay.
    const left = new Set(hosts);
    await this.#pool.each(hosts, async (host, log) => {
      if (await log.sync()) left.delete(host);
    });
    // One may have been closed meanwhile.
    const safe = left.size === 0 && !this.#pool.doubtful;
    this.#pool.doubtful = false;
    return safe;
  }

  /** As {@linkcode LogDirectory.expiry}. */
  expiry(): number | undefined {
    return this.#times.expiry === Infinity ? undefined : this.#times.expiry;
  }

  /** As {@linkcode LogDirectory.hasExpired}. */
  hasExpired(): boolean {
    return Date.now() >= 1000 * this.#times.expiry;
  }

  /** As {@linkcode LogDirectory.expire}. */
  async expire(): Promise<void> {
    const expired = this.#pool.hosts.filter(({ expiry }) =>
      Date.now() >= 1000 * expiry
    );
    await this.#pool.each(expired, async (host, log) => {
      await log.expire();
      host.expiry = Infinity;
      this.#times.noteExpiry(host, log);
    });
    this.#times.refreshExpiry(this.#pool.hosts);
  }

  /** As {@linkcode LogDirectory.processing}. */
  processing(): Promise<void> | undefined {
    return this.#pool.processing();
  }

  /** As {@linkcode LogDirectory.terminate}. */
  terminate(): void {
    this.#pool.terminate();
  }

  /** As {@linkcode LogDirectory.close}. */
  async close(): Promise<void> {
    await this.flush();
    await this.#pool.close();
    this.#folder.close();
  }
}

function stampLength(kind: StampKind | undefined): number {
  if (kind === undefined) return 0;
  if (kind === "t") return LABEL_LENGTH + 1;
  return new StampWriter(kind).put(new Uint8Array(STAMP_MOST), 0, readClock());
}

/**
 * The hosts' logs, few of which are open at a time.
 *
 * A log that has had no line for a while is closed as at the end of input. When
 * more logs get lines in turn than may be open, the log whose last line is the
 * oldest is parked: its descriptors are closed without a sync, which would take
 * longer than a thousand lines do.
 *
 * @module
 */
import { LogDirectory, type Siblings } from "../log/log_directory.ts";
import { type FindProcessor, PROCESSOR_DESCRIPTORS } from "../log/processor.ts";
import { type Retrier, StartError } from "../log/retrier.ts";
import type { LogSettings } from "../log/settings.ts";
import { descriptorLimit } from "../sys/limits.ts";
import { Semaphore } from "../sys/semaphore.ts";
import type { HostFolder } from "./host_folder.ts";
import type { HostTimes } from "./host_times.ts";

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
/** How many processors run at a time, and the part of the descriptors for them. */
const MOST_PROCESSORS = 8;
const FOR_PROCESSORS = 0.3;
/** How many logs something is done to at a time at the most. */
const AT_ONCE = 32;
/** A log that has had no line for so long is closed, in milliseconds. */
const IDLE = 10_000;
/**
 * For how long a name whose log can't be opened isn't tried again, in
 * milliseconds.
 */
export const REFUSED = 60_000;
/** What a name has to answer for: its lines go to others then. */
const REFUSALS = new Set(
  ["EAGAIN", "ENOTDIR", "EACCES", "EPERM", "ELOOP", "EEXIST", "EISDIR"],
);

/** What the logs of hosts are opened with; see {@linkcode LogDirectory.open}. */
export type OpenArguments = [
  path: string,
  settings: Readonly<LogSettings>,
  retrier: Retrier,
  wake?: () => void,
  find?: FindProcessor,
];

/** One name, and its log. */
export interface Host {
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

/** Which hosts' logs are open, and what they share. */
export class HostPool implements Siblings {
  readonly #folder: HostFolder;
  readonly #times: HostTimes;
  readonly #settings: Readonly<LogSettings>;
  readonly #retrier: Retrier;
  readonly #wake: () => void;
  readonly #find: FindProcessor | undefined;
  /** All names; the first is that of the other lines. */
  readonly hosts: Host[] = [];
  /** The logs that aren't closed, and of their hosts those that aren't parked. */
  readonly #live = new Map<LogDirectory, Host>();
  readonly #awake = new Set<Host>();
  /** Those that have had lines since the last sync. */
  readonly unsynced = new Set<Host>();
  /** Whether one was closed whose lines may not be on the disk. */
  doubtful = false;
  #mostOpen: number;
  /** When idle logs are looked for, on this process's own clock. */
  lookAt = Infinity;
  /** The logs whose turn it is to process. */
  readonly #processing = new Set<LogDirectory>();
  readonly #turns: Semaphore;
  /** How many logs something is done to at a time at the most. */
  readonly #atOnce: number;
  readonly #inside: Semaphore;
  readonly #closers: Semaphore;
  /** Whether logs that are idle are being closed. */
  #closingIdle = false;
  /** What goes on besides. */
  readonly #background = new Set<Promise<void>>();
  #terminating = false;

  /**
   * Makes the pool.
   *
   * @param folder The folder of the logs
   * @param times Gets the time at which something is due in a log
   * @param others How many descriptors are needed for anything but the logs
   * @param args What each log is opened with
   */
  constructor(
    folder: HostFolder,
    times: HostTimes,
    others: number,
    ...args: OpenArguments
  ) {
    const [_, settings, retrier, wake = () => {}, find] = args;
    this.#folder = folder;
    this.#times = times;
    this.#settings = settings;
    this.#retrier = retrier;
    this.#wake = wake;
    this.#find = find;
    let descriptors = Math.min(descriptorLimit() - others, 8 * MOST_OPEN) -
      RESERVE;
    let processors = MOST_PROCESSORS;
    if (settings.processor !== "") {
      const some = FOR_PROCESSORS * descriptors / PROCESSOR_DESCRIPTORS;
      processors = Math.max(Math.min(Math.floor(some), processors), 1);
      descriptors -= processors * PROCESSOR_DESCRIPTORS;
    }
    const open = Math.floor((1 - SPARE) * descriptors / 2);
    this.#mostOpen = Math.max(Math.min(open, MOST_OPEN), 2);
    const atOnce = Math.floor(SPARE * descriptors / EACH);
    this.#atOnce = Math.max(Math.min(atOnce, AT_ONCE), 1);
    this.#inside = new Semaphore(this.#atOnce);
    this.#closers = new Semaphore(this.#atOnce);
    this.#turns = new Semaphore(Math.min(processors, this.#mostOpen - 1));
  }

  /** Adds a name. */
  meet(name: string): void {
    this.hosts.push({
      path: `${this.#folder.path}/${name}`,
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

  /** Whether the program is to end. */
  get terminating(): boolean {
    return this.#terminating;
  }

  /** Lets something go on besides. */
  inBackground(step: () => Promise<void>): Promise<void> {
    const work = step().finally(() => {
      this.#background.delete(work);
      this.#wake();
    });
    this.#background.add(work);
    return work;
  }

  /**
   * Has a host's log open.
   *
   * @returns The log; `undefined` where its lines go to the others'
   * @throws {StartError} When it can't be opened now
   */
  open(host: Host): LogDirectory | undefined {
    if (host.log && !host.log.parked) return host.log;
    const other = this.hosts[0]!;
    if (host !== other && performance.now() < host.refused) return undefined;
    try {
      this.#withRoom(() => {
        if (host.log) return host.log.resume();
        host.log = LogDirectory.open(
          host.path,
          this.#settings,
          this.#retrier,
          this.#wake,
          this.#find,
          this,
        );
        if (this.#terminating) host.log.terminate();
      });
    } catch (error) {
      if (!(error instanceof StartError)) throw error;
      if (host === other || !REFUSALS.has(error.code)) throw error;
      host.refused = performance.now() + REFUSED;
      this.#retrier.warn(`${error.message}; its lines go to ${other.path}`);
      return undefined;
    }
    const log = host.log!;
    this.#times.noteExpiry(host, log);
    this.#live.set(log, host);
    this.#awake.add(host);
    this.lookAt = Math.min(this.lookAt, performance.now() + IDLE);
    return log;
  }

  /**
   * Opens a host's log, for as long as it takes; as {@linkcode HostPool.open}.
   *
   * @param closing Whether the caller opens the log to close it: then this
   * doesn't wait until it is closed, and goes on trying when the program is to
   * end
   */
  async insist(
    host: Host,
    closing = false,
  ): Promise<LogDirectory | undefined> {
    while (true) {
      while (host.closing && !closing) await host.closing;
      try {
        return this.open(host);
      } catch (error) {
        if (!(error instanceof StartError)) throw error;
        if (this.#terminating && !closing) return undefined;
        await this.#retrier.pause(`${error.message}, pausing`);
      }
    }
  }

  /**
   * Opens or resumes a log. Where that takes more descriptors than there are,
   * others are parked, and fewer are open from then on.
   *
   * @throws {StartError} When it can't be done with all parked that can be
   */
  #withRoom(step: () => void): void {
    this.makeRoom();
    while (true) {
      try {
        return step();
      } catch (error) {
        if (!(error instanceof StartError)) throw error;
        if (error.code !== "EMFILE" && error.code !== "ENFILE") throw error;
        const most = Math.max(this.#awake.size - PARKED_AT_ONCE, 2);
        this.#mostOpen = Math.min(this.#mostOpen, most);
        if (this.#park(PARKED_AT_ONCE) === 0) throw error;
      }
    }
  }

  /**
   * Parks logs when too many are open.
   *
   * @returns Whether one more may be
   */
  makeRoom(): boolean {
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

  /** Closes the logs that are idle, those that are parked, too. */
  closeIdle(): void {
    const now = performance.now();
    this.lookAt = this.#live.size > 0 ? now + IDLE / 2 : Infinity;
    if (this.#closingIdle) return;
    const isIdle = ({ log, last, closing }: Host) =>
      log && !closing && !log.processing() && now - last >= IDLE;
    const idle = [...this.#live.values()].filter(isIdle);
    if (idle.length === 0) return;
    this.#closingIdle = true;
    this.inBackground(async () => {
      // One may have had lines until it is its turn.
      const isWanted = (host: Host) => !this.#terminating && isIdle(host);
      try {
        await Promise.all(
          idle.map((host) => this.#closeInTurn(host, isWanted)),
        );
      } finally {
        this.#closingIdle = false;
      }
    });
  }

  /** Closes a log, a few at a time: each has to be open for that. */
  async #closeInTurn(
    host: Host,
    isWanted: (host: Host) => unknown = () => true,
  ): Promise<void> {
    await this.#closers.wait();
    try {
      if (isWanted(host)) await this.#close(host);
    } finally {
      this.#closers.post();
    }
  }

  /** Closes a host's log well. */
  #close(host: Host): Promise<void> {
    const log = host.log!;
    return host.closing ??= (async () => {
      try {
        // One that is processing is opened when it is its turn.
        if (!log.processing() && !await this.insist(host, true)) return;
        await log.close();
        this.#times.noteExpiry(host, log);
      } finally {
        // Also one that stays parked, since another process has it.
        if (!log.isSynced()) this.doubtful = true;
        host.log = undefined;
        host.closing = undefined;
        this.#live.delete(log);
        this.#awake.delete(host);
        this.unsynced.delete(host);
      }
    })();
  }

  /** See {@linkcode Siblings.mkdir}. */
  mkdir(path: string): void {
    this.#folder.mkdir(path);
  }

  /** See {@linkcode Siblings.noteName}. */
  noteName(): void {
    this.#folder.noteName();
  }

  /** See {@linkcode Siblings.syncNames}. */
  syncNames(): Promise<void> {
    return this.#folder.syncNames();
  }

  /** See {@linkcode Siblings.enter}. */
  enter(): Promise<void> | undefined {
    return this.#inside.wait();
  }

  /** See {@linkcode Siblings.leave}. */
  leave(): void {
    this.#inside.post();
  }

  /** See {@linkcode Siblings.take}. */
  async take(log: LogDirectory): Promise<boolean> {
    const host = this.#live.get(log)!;
    while (!this.#terminating) {
      await this.#turns.wait();
      if (this.#terminating) return false;
      this.#processing.add(log);
      try {
        if (log.parked) {
          this.#withRoom(() => log.resume());
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

  /** See {@linkcode Siblings.give}. */
  give(log: LogDirectory): void {
    this.#processing.delete(log);
    this.#turns.post();
  }

  /** Does something to logs, a few at a time. */
  async each(
    hosts: readonly Host[],
    step: (host: Host, log: LogDirectory) => Promise<void>,
  ): Promise<void> {
    let next = 0;
    const work = async () => {
      while (next < hosts.length) {
        const host = hosts[next++]!;
        host.uses++;
        try {
          const log = await this.insist(host);
          if (log) await step(host, log);
        } finally {
          host.uses--;
        }
      }
    };
    await Promise.all(Array.from({ length: this.#atOnce }, work));
  }

  /** What goes on besides, or in a log; see {@linkcode LogDirectory.processing}. */
  processing(): Promise<void> | undefined {
    for (const work of this.#background) return work;
    if (this.#settings.processor === "") return undefined;
    for (const log of this.#live.keys()) {
      const work = log.processing();
      if (work) return work;
    }
    return undefined;
  }

  /** See {@linkcode LogDirectory.terminate}. */
  terminate(): void {
    this.#terminating = true;
    for (const log of this.#live.keys()) log.terminate();
    this.#turns.cancel();
    this.#retrier.hurry();
  }

  /** Closes all logs well, when all that goes on besides is done. */
  async close(): Promise<void> {
    while (this.#background.size > 0) await Promise.all(this.#background);
    // The logs without a processor at work come first: they have nothing to wait
    // for, and are complete if the program is killed while it waits for others.
    // Those can be parked until their files are processed, and not later on:
    // thousands may wait.
    await Promise.all([...this.#live.values()].map(async (host) => {
      for (let work; (work = host.log!.processing());) await work;
      await this.#closeInTurn(host);
    }));
  }
}

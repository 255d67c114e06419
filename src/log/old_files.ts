/**
 * A log's old files: how many there are, the name of the next one, and which
 * of them go.
 *
 * There may be many more than anyone wants to hold in memory, so only the
 * smallest names are known, and the number of all.
 *
 * @module
 */
import { readClock } from "../sys/clock.ts";
import { SysError } from "../sys/errors.ts";
import { eachName } from "../sys/files.ts";
import { label, type Moment } from "../tai64n.ts";
import type { Directory } from "./directory.ts";
import {
  isLater,
  isOld,
  isUnprocessed,
  nextTime,
  processedName,
  timeOf,
  UNPROCESSED,
} from "./names.ts";
import { CODE_DEFAULT, type LogSettings } from "./settings.ts";

/** How many names are known at the least, where there are so many. */
const MOST_NAMES = 4096;
/** A directory with more names is listed only when others have changed it. */
const MANY = 4096;
/** How many names that can't be removed are remembered. */
const MOST_STUCK = 1000;

/** The smallest of any number of names. */
export class Smallest {
  /** How many names there are. */
  count = 0;
  /** Those that are known; all that are missing are larger. */
  #names: string[] = [];
  #sorted = true;
  #limit: string | undefined;

  /** Adds one. */
  add(name: string): void {
    this.count++;
    if (this.#limit !== undefined && name > this.#limit) return;
    const last = this.#names.at(-1);
    if (last !== undefined && name < last) this.#sorted = false;
    this.#names.push(name);
    if (this.#names.length < 2 * MOST_NAMES) return;
    this.#sort();
    this.#names.length = MOST_NAMES;
    this.#limit = this.#names.at(-1);
  }

  /** Takes one out; one that isn't there is none. */
  remove(name: string): void {
    this.#sort();
    const at = this.#names.indexOf(name);
    if (at < 0) return;
    this.#names.splice(at, 1);
    this.count--;
  }

  /** The smallest that are known, in their order. */
  names(): readonly string[] {
    this.#sort();
    return this.#names;
  }

  /** Whether there are any, but none is known. */
  get exhausted(): boolean {
    return this.count > 0 && this.#names.length === 0;
  }

  /** Forgets all. */
  clear(): void {
    this.count = 0;
    this.#names = [];
    this.#sorted = true;
    this.#limit = undefined;
  }

  #sort(): void {
    if (!this.#sorted) this.#names.sort();
    this.#sorted = true;
  }
}

/** The old files of a directory. */
export class OldFiles {
  /** Those that wait for the processor. */
  readonly waiting = new Smallest();
  /** The others. */
  readonly #others = new Smallest();
  readonly #directory: Directory;
  /** How many there may be, with `current`. */
  readonly #most: number;
  /** What the names of finished ones end in. */
  readonly code: string;
  readonly #queued: boolean;
  readonly #warn: (message: string) => void;
  /** What can't be removed, or processed, and is no old file therefore. */
  readonly #stuck = new Set<string>();
  /** Those without a byte; unknown until somebody has to go. */
  #empty: Smallest | undefined;
  /** The largest name that was there at first; names of later ones are ours. */
  #before: string | undefined;
  /** Whether an earlier run has given names another end. */
  #otherCodes = false;
  /** The largest time in a name, once that is known. */
  #newest: Moment | undefined;
  /** Whether the directory has been listed, and so many names found. */
  #listed: number | undefined;
  /**
   * The last processed file, and when it took the place of a waiting one: that
   * has to be on the disk before it may go.
   */
  #last: { name: string; change: number } | undefined;

  /**
   * @param directory The directory
   * @param settings How many files there may be, with `current`, what their
   * names end in, and whether unprocessed ones wait for a processor
   * @param warn Where warnings go
   */
  constructor(
    directory: Directory,
    settings: Readonly<LogSettings>,
    warn: (message: string) => void,
  ) {
    this.#directory = directory;
    this.#most = settings.keep;
    this.code = settings.code ?? CODE_DEFAULT;
    this.#queued = settings.processor !== "";
    this.#warn = warn;
  }

  /** Whether so many files wait that there is no room for one more. */
  get full(): boolean {
    return this.waiting.count >= this.#most - 1;
  }

  /** How many more may wait. */
  get room(): number {
    return Math.max(this.#most - 1 - this.waiting.count, 0);
  }

  /**
   * Lists the directory, unless it is large, and nobody else has changed it.
   *
   * @throws {SysError} When it can't be read
   */
  refresh(): void {
    const many = this.#listed !== undefined && this.#listed > MANY;
    const known = many && !this.#directory.changedByOthers() &&
      !this.waiting.exhausted && !this.#others.exhausted;
    if (!known) this.#list();
  }

  #list(): void {
    let names = 0;
    let newest: Moment = this.#newest ?? { seconds: 0, nanoseconds: 0 };
    let last = "";
    this.waiting.clear();
    this.#others.clear();
    this.#empty = undefined;
    if (this.#listed !== undefined && this.#listed > MANY) {
      this.#directory.watch();
    }
    eachName(this.#directory.fd, (name) => {
      names++;
      if (!isOld(name)) return;
      const time = timeOf(name);
      if (time !== undefined && isLater(time, newest)) newest = time;
      if (name > last) last = name;
      if (!isUnprocessed(name) && !name.endsWith(`.${this.code}`)) {
        this.#otherCodes = true;
      }
      if (this.#stuck.has(name)) return;
      if (this.#queued && isUnprocessed(name)) this.waiting.add(name);
      else this.#others.add(name);
    });
    if (names > MANY && (this.#listed ?? 0) <= MANY) this.#directory.watch();
    this.#listed = names;
    this.#before ??= last;
    this.#newest = newest;
  }

  /**
   * The largest time in a name.
   *
   * @throws {SysError} When the directory can't be read
   */
  newest(): Moment {
    if (this.#newest === undefined) this.#list();
    return this.#newest!;
  }

  /**
   * The name for the next old file, which sorts after all that are there.
   *
   * @param code What it ends in; as those of files do that wait, or are
   * finished, unless given
   * @throws {SysError} When the directory can't be read
   */
  nextName(code: string = this.#queued ? UNPROCESSED : this.code): string {
    this.#newest = nextTime(readClock(), this.newest());
    return `${label(this.#newest)}.${code}`;
  }

  /** A file has got its old file's name. */
  add(name: string): void {
    if (this.#queued && isUnprocessed(name)) this.waiting.add(name);
    else this.#others.add(name);
  }

  /** The name that a waiting file is to have when it is processed. */
  processedName(name: string): string {
    return processedName(name, this.code);
  }

  /**
   * Whether a waiting file has been processed, by a run that was cut off
   * before it could remove it.
   *
   * @throws {SysError} When the directory can't be read
   */
  isProcessed(name: string): boolean {
    if (this.#directory.stat(this.processedName(name))) return true;
    if (!this.#otherCodes || name > (this.#before ?? "")) return false;
    // That run may have had another code.
    let found = false;
    const start = processedName(name, "");
    eachName(this.#directory.fd, (other) => {
      found ||= other.startsWith(start) && !isUnprocessed(other);
    });
    return found;
  }

  /** A waiting file has gone; another one may have taken its place. */
  processed(name: string, empty: boolean): void {
    const next = this.processedName(name);
    this.waiting.remove(name);
    this.#others.add(next);
    if (empty) this.#empty?.add(next);
    this.#last = { name: next, change: this.#directory.changes };
  }

  /** What has this name is no file that anything can be done with. */
  setAside(name: string, why: string): void {
    this.#warn(`unable to ${why}`);
    this.waiting.remove(name);
    this.#others.remove(name);
    this.#empty?.remove(name);
    if (this.#stuck.size < MOST_STUCK) this.#stuck.add(name);
  }

  /**
   * Removes the old files with the smallest names while there are too many;
   * those without a byte before any that has lines. A waiting file never goes.
   * Of very many that are too many some stay for the next time.
   *
   * @param patient Whether a processor is at work: then no file with lines,
   * which may be unsent ones, makes room for files that wait only until it is
   * done
   * @throws {SysError} When the directory can't be read, or written to disk
   */
  trim(patient = false): void {
    this.refresh();
    for (let n = 0; n < MOST_NAMES; n++) {
      if (this.waiting.count + this.#others.count < this.#most) return;
      const empty = this.#findEmpty();
      if (!empty && patient && this.#others.count < this.#most) return;
      const name = empty ?? this.#others.names()[0];
      if (name === undefined) return;
      // An outage might otherwise bring back the file that this one was.
      const { name: last, change } = this.#last ?? { name: "", change: 0 };
      if (name === last && !this.#directory.isSynced(change)) {
        this.#directory.sync();
      }
      try {
        this.#directory.unlink(name);
      } catch (error) {
        if (!(error instanceof SysError)) throw error;
        const { path } = this.#directory;
        this.setAside(name, `remove ${path}/${name}: ${error.message}`);
        continue;
      }
      this.#others.remove(name);
      this.#empty?.remove(name);
    }
  }

  #findEmpty(): string | undefined {
    if (this.#empty === undefined) {
      const empty = this.#empty = new Smallest();
      const see = (name: string) => {
        if (this.#directory.stat(name)?.size === 0) empty.add(name);
      };
      const known = this.#others.names();
      if (known.length === this.#others.count) known.forEach(see);
      else {
        eachName(this.#directory.fd, (name) => {
          if (!isOld(name) || this.#stuck.has(name)) return;
          if (!this.#queued || !isUnprocessed(name)) see(name);
        });
      }
    }
    return this.#empty.names()[0];
  }

  /**
   * How many bytes wait.
   *
   * @throws {SysError} When the directory can't be read
   */
  waitingBytes(): number {
    let bytes = 0;
    const see = (name: string) => {
      bytes += this.#directory.stat(name)?.size ?? 0;
    };
    const known = this.waiting.names();
    if (known.length === this.waiting.count) known.forEach(see);
    else {
      eachName(this.#directory.fd, (name) => {
        if (isUnprocessed(name) && !this.#stuck.has(name)) see(name);
      });
    }
    return bytes;
  }
}

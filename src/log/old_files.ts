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
  stem,
  timeOf,
  UNPROCESSED,
} from "./names.ts";
import { CODE_DEFAULT, type LogSettings } from "./settings.ts";

/** How many names are known at the least, where there are so many. */
const MOST_NAMES = 4096;
/** A directory with more names is listed only when others have changed it. */
const MANY = 4096;
/** What others change in a smaller one is noticed after so many milliseconds. */
const LIST_AGAIN = 1000;
/** How many names that can't be removed are remembered. */
const MOST_STUCK = 1000;
/** How often it is looked whether a file is too old, in seconds. */
const LOOK = 60;

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
  /** Those that are being brought to the disk. */
  readonly #unsynced = new Set<string>();
  /** The others. */
  readonly #others = new Smallest();
  /** The bytes of both, where they may have only so many. */
  #waitingBytes = 0;
  #otherBytes = 0;
  /** The sizes of some of them; a finished file keeps its size. */
  #sizes = new Map<string, number>();
  readonly #directory: Directory;
  /** How many there may be, with `current`. */
  readonly #most: number;
  /** How many bytes they may have; `undefined` for any number. */
  readonly #mostBytes: number | undefined;
  /** How old they may be, in seconds; `undefined` for any age. */
  readonly #mostSeconds: number | undefined;
  /** When it was last looked, without another reason, for one too old. */
  #lookedAt = -Infinity;
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
  /** When that was, on `performance.now()`'s clock. */
  #listedAt = -Infinity;
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
    this.#mostBytes = settings.keepBytes;
    this.#mostSeconds = settings.keepSeconds;
    this.code = settings.code ?? CODE_DEFAULT;
    this.#queued = settings.processor !== "";
    this.#warn = warn;
  }

  /** How many are being brought to the disk. */
  get unsynced(): number {
    return this.#unsynced.size;
  }

  /** Whether so many files wait that there is no room for one more. */
  get full(): boolean {
    return this.room === 0;
  }

  /** How many more may wait. */
  get room(): number {
    const count = this.waiting.count + this.#unsynced.size;
    return Math.max(this.#most - 1 - count, 0);
  }

  /**
   * Lists the directory, unless that was done a moment ago, or it is large, and
   * nobody else has changed it.
   *
   * @param now Whether it is listed in any case
   * @throws {SysError} When it can't be read
   */
  refresh(now = false): void {
    const many = this.#listed !== undefined && this.#listed > MANY;
    const known = many
      ? !this.#directory.changedByOthers()
      : performance.now() < this.#listedAt + LIST_AGAIN;
    if (now || !known || this.waiting.exhausted || this.#others.exhausted) {
      this.#list();
    }
  }

  #list(): void {
    let names = 0;
    let newest: Moment = this.#newest ?? { seconds: 0, nanoseconds: 0 };
    let last = "";
    const sizes = this.#sizes;
    this.#sizes = new Map();
    this.#waitingBytes = 0;
    this.#otherBytes = 0;
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
      if (this.#unsynced.has(name)) return;
      if (!isUnprocessed(name) && !name.endsWith(`.${this.code}`)) {
        this.#otherCodes = true;
      }
      if (this.#stuck.has(name)) return;
      this.#count(name, sizes.get(name));
    });
    if (names > MANY && (this.#listed ?? 0) <= MANY) this.#directory.watch();
    this.#listed = names;
    this.#before ??= last;
    this.#listedAt = performance.now();
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

  /**
   * A file has got an old file's name, and is being synced. Until that is done
   * nothing happens to it, and no other file goes for it.
   */
  begin(name: string): void {
    this.#unsynced.add(name);
  }

  /**
   * It is done.
   *
   * @param last The name that it has now; `undefined` where it was removed
   */
  finish(name: string, last: string | undefined): void {
    this.#unsynced.delete(name);
    if (last !== undefined) this.add(last);
  }

  /** A file has got its old file's name. */
  add(name: string): void {
    this.#count(name);
  }

  /** One more. */
  #count(name: string, known?: number): void {
    const waits = this.#queued && isUnprocessed(name);
    (waits ? this.waiting : this.#others).add(name);
    if (this.#mostBytes === undefined) return;
    const size = known ?? this.#directory.stat(name)?.size ?? 0;
    if (waits) this.#waitingBytes += size;
    else this.#otherBytes += size;
    if (this.#sizes.size < MOST_NAMES) this.#sizes.set(name, size);
  }

  /** One less. */
  #discount(name: string, size = this.#sizes.get(name) ?? 0): void {
    this.#sizes.delete(name);
    if (this.#queued && isUnprocessed(name)) {
      this.waiting.remove(name);
      this.#waitingBytes -= size;
    } else {
      this.#others.remove(name);
      this.#otherBytes -= size;
    }
    this.#empty?.remove(name);
  }

  /** A waiting file isn't there any more. */
  gone(name: string): void {
    this.#discount(name);
  }

  /** The name that a waiting file is to have when it is processed. */
  processedName(name: string): string {
    return processedName(name, this.code);
  }

  /**
   * What a waiting file has become, by a run that was cut off before it could
   * remove it.
   *
   * @returns The other one's name; `undefined` where there is none
   * @throws {SysError} When the directory can't be read
   */
  findProcessed(name: string): string | undefined {
    const next = this.processedName(name);
    if (this.#directory.stat(next)) return next;
    if (!this.#otherCodes || name > (this.#before ?? "")) return undefined;
    // That run may have had another code.
    let found: string | undefined;
    const start = stem(name);
    eachName(this.#directory.fd, (other) => {
      if (other.startsWith(start) && !isUnprocessed(other)) found ??= other;
    });
    return found;
  }

  /** A waiting file has gone; another one may have taken its place. */
  processed(name: string, empty: boolean): void {
    const next = this.processedName(name);
    this.#discount(name);
    this.#count(next, empty ? 0 : undefined);
    if (empty) this.#empty?.add(next);
    this.#last = { name: next, change: this.#directory.changes };
  }

  /** What has this name is no file that anything can be done with. */
  setAside(name: string, why: string): void {
    this.#warn(`unable to ${why}`);
    this.#discount(name);
    if (this.#stuck.size < MOST_STUCK) this.#stuck.add(name);
  }

  /**
   * When the next file is too old, unless others go before it.
   *
   * @returns Whole seconds since 1970, not within a minute of the last look;
   * `undefined` while none gets too old
   */
  expiry(): number | undefined {
    if (this.#mostSeconds === undefined) return undefined;
    if (this.#others.exhausted) return this.#lookedAt + LOOK;
    const name = this.#firstDated();
    if (name === undefined) return undefined;
    const due = finishedAt(name)! + this.#mostSeconds + 1;
    const { seconds } = readClock();
    // What was said of a clock that has been set back since is no minute ago.
    return this.#lookedAt > seconds
      ? due
      : Math.max(due, this.#lookedAt + LOOK);
  }

  /** The first name that says a time; others make such names, too. */
  #firstDated(): string | undefined {
    return this.#others.names().find((name) => finishedAt(name));
  }

  /** Whether a file is too old, and it is time to look for such ones. */
  hasExpired(): boolean {
    const expiry = this.expiry();
    return expiry !== undefined && expiry <= readClock().seconds;
  }

  /**
   * Removes those that are too old, and what else is to go.
   *
   * @throws {SysError} When the directory can't be read, or written to disk
   */
  expire(): void {
    this.#lookedAt = readClock().seconds;
    this.refresh(true);
    this.trim(this.waiting.count > 0);
  }

  /**
   * Removes old files: while there are too many, those with the smallest names,
   * but those without a byte before any that has lines; while they have too
   * many bytes, or are too old, those with the smallest names. A waiting file
   * never goes. Of very many some stay for the next time.
   *
   * @param patient Whether a processor is at work: then no file with lines,
   * which may be unsent ones, makes room for files that wait only until it is
   * done
   * @throws {SysError} When the directory can't be read, or written to disk
   */
  trim(patient = false): void {
    this.refresh();
    for (let n = 0; n < MOST_NAMES; n++) {
      const name = this.#nextToGo(patient);
      if (name === undefined) return;
      // An outage might otherwise bring back the file that this one was.
      const { name: last, change } = this.#last ?? { name: "", change: 0 };
      if (name === last && !this.#directory.isSynced(change)) {
        this.#directory.sync();
      }
      // Beyond those whose size is known there may be many.
      const size = this.#mostBytes === undefined
        ? 0
        : this.#sizes.get(name) ?? this.#directory.stat(name)?.size;
      try {
        this.#directory.unlink(name);
      } catch (error) {
        if (!(error instanceof SysError)) throw error;
        const { path } = this.#directory;
        this.setAside(name, `remove ${path}/${name}: ${error.message}`);
        continue;
      }
      this.#discount(name, size);
    }
  }

  /** The file that goes next; `undefined` when all may stay. */
  #nextToGo(patient: boolean): string | undefined {
    const others = this.#others.count;
    const oldest = this.#others.names()[0];
    const waits = this.waiting.names()[0];
    // That it has been processed is to be known as long as it is there.
    const twin = (name: string) => waits && stem(waits) === stem(name);
    if (!oldest || twin(oldest)) return undefined;
    if (this.waiting.count + others >= this.#most) {
      const empty = this.#findEmpty();
      if (empty) return empty;
      if (!patient || others >= this.#most) return oldest;
    }
    const bytes = this.#otherBytes + (patient ? 0 : this.#waitingBytes);
    if (bytes >= (this.#mostBytes ?? Infinity)) return oldest;
    const dated = this.#firstDated();
    if (dated === undefined || this.#mostSeconds === undefined) {
      return undefined;
    }
    const due = finishedAt(dated)! + this.#mostSeconds;
    return due < readClock().seconds && !twin(dated) ? dated : undefined;
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
          if (this.#unsynced.has(name)) return;
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

/** When a file was finished, in seconds since 1970. */
function finishedAt(name: string): number | undefined {
  const seconds = timeOf(name)?.seconds;
  return seconds !== undefined && seconds > 0 ? seconds : undefined;
}

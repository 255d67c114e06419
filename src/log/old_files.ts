/**
 * A log's old files: how many there are, the name of the next one, and which of
 * them are removed.
 *
 * There may be too many to hold their names in memory. So only the smallest
 * names are known, and the number of all.
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

/** How many names are known; between two sortings, up to twice as many. */
const MOST_NAMES = 4096;
/**
 * A directory with more names than this is large: it is listed again only when
 * another process has changed it.
 */
const MANY = 4096;
/** A smaller directory is listed again after this many milliseconds. */
const LIST_AGAIN = 1000;
/** How many names that can't be removed or processed are remembered. */
const MOST_STUCK = 1000;
/** How often files are checked for one that is too old, in seconds. */
const CHECK_AGE = 60;

/** The smallest names of any number of them. */
export class Smallest {
  /** How many names there are. */
  count = 0;
  /** The names that are known; all others are larger. */
  #names: string[] = [];
  #sorted = true;
  #limit: string | undefined;

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

  /** Removes a name, if it is known. */
  remove(name: string): void {
    this.#sort();
    const at = this.#names.indexOf(name);
    if (at < 0) return;
    this.#names.splice(at, 1);
    this.count--;
  }

  /** The known names, sorted. */
  names(): readonly string[] {
    this.#sort();
    return this.#names;
  }

  /** Whether there are names, but none is known any more. */
  get exhausted(): boolean {
    return this.count > 0 && this.#names.length === 0;
  }

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
  /** The files that wait for the processor. */
  readonly waiting = new Smallest();
  /** The files that are being synced. */
  readonly #unsynced = new Set<string>();
  /** All other files. */
  readonly #others = new Smallest();
  /** The bytes of the waiting files; counted only when there is a limit. */
  #waitingBytes = 0;
  /** The bytes of the others; counted only when there is a limit. */
  #otherBytes = 0;
  /** The sizes of some files; a finished file keeps its size. */
  #sizes = new Map<string, number>();
  readonly #directory: Directory;
  /** How many files there may be, with `current`. */
  readonly #most: number;
  /** How many bytes old files may have; `undefined` for any number. */
  readonly #mostBytes: number | undefined;
  /** How old old files may be, in seconds; `undefined` for any age. */
  readonly #mostSeconds: number | undefined;
  /** When files were last checked for one that is too old, by the clock. */
  #ageCheckedAt = -Infinity;
  /** What finished files' names end in. */
  readonly code: string;
  readonly #queued: boolean;
  #incomplete = false;
  readonly #warn: (message: string) => void;
  /** Names that can't be removed or processed, so they don't count. */
  readonly #stuck = new Set<string>();
  /** The empty ones among the others; unknown until a file has to be removed. */
  #empty: Smallest | undefined;
  /** The largest name at the first listing; larger ones come from this run. */
  #before: string | undefined;
  /** Whether an earlier run has used another code. */
  #otherCodes = false;
  /** The largest time in a name, once that is known. */
  #newest: Moment | undefined;
  /** How many names the last listing found; `undefined` before the first. */
  #listed: number | undefined;
  /** When the directory was last listed, on `performance.now()`'s clock. */
  #listedAt = -Infinity;
  /**
   * The last processed file, and the change of names by which it took the place
   * of a waiting one. The change has to be on the disk before this file may be
   * removed.
   */
  #last: { name: string; change: number } | undefined;

  /**
   * @param directory The directory
   * @param settings The log's settings
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

  /** Whether the last listing has failed, so that files may be missing. */
  get incomplete(): boolean {
    return this.#incomplete;
  }

  /** How many files are being synced. */
  get unsynced(): number {
    return this.#unsynced.size;
  }

  /** Whether there is no room for another waiting file. */
  get full(): boolean {
    return this.room === 0;
  }

  /** For how many more waiting files there is room. */
  get room(): number {
    const count = this.waiting.count + this.#unsynced.size;
    return Math.max(this.#most - 1 - count, 0);
  }

  /**
   * Lists the directory, unless that was done a moment ago. A large directory is
   * listed again only when another process has changed it.
   *
   * @param now Whether it is listed in any case
   * @throws {SysError} When it can't be read
   */
  refresh(now = false): void {
    const many = this.#listed !== undefined && this.#listed > MANY;
    const known = many
      ? !this.#directory.changedByOthers()
      : performance.now() < this.#listedAt + LIST_AGAIN;
    if (
      now || !known || this.#incomplete || this.waiting.exhausted ||
      this.#others.exhausted
    ) {
      this.#list();
    }
  }

  #list(): void {
    this.#incomplete = true;
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
    this.#incomplete = false;
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
   * The name for the next old file, which sorts after all names in the directory.
   *
   * @param code What the name ends in; unless given, `u` with a processor, and
   * the log's code without
   * @throws {SysError} When the directory can't be read
   */
  nextName(code: string = this.#queued ? UNPROCESSED : this.code): string {
    this.#newest = nextTime(readClock(), this.newest());
    return `${label(this.#newest)}.${code}`;
  }

  /**
   * Adds a file that is getting an old file's name, and is to be synced. Until
   * {@linkcode OldFiles.finish} it isn't removed, and no other file is removed to
   * make room for it.
   */
  begin(name: string): void {
    this.#unsynced.add(name);
  }

  /**
   * Counts a file from now on that {@linkcode OldFiles.begin} was called for.
   *
   * @param name The name that it had then
   * @param last The name that it has now; `undefined` when it isn't there
   */
  finish(name: string, last: string | undefined): void {
    this.#unsynced.delete(name);
    if (last !== undefined) this.add(last);
  }

  /** Adds a file that has got an old file's name. */
  add(name: string): void {
    this.#count(name);
  }

  #count(name: string, known?: number): void {
    const waits = this.#queued && isUnprocessed(name);
    (waits ? this.waiting : this.#others).add(name);
    if (this.#mostBytes === undefined) return;
    const size = known ?? this.#directory.stat(name)?.size ?? 0;
    if (waits) this.#waitingBytes += size;
    else this.#otherBytes += size;
    if (this.#sizes.size < MOST_NAMES) this.#sizes.set(name, size);
  }

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

  /** Forgets a waiting file that isn't there any more. */
  gone(name: string): void {
    this.#discount(name);
  }

  /** The name of what a waiting file becomes when it is processed. */
  processedName(name: string): string {
    return processedName(name, this.code);
  }

  /**
   * Finds what a waiting file was processed to by an earlier run, which was cut
   * off before it could remove the waiting file.
   *
   * @returns The processed file's name; `undefined` when there is none
   * @throws {SysError} When the directory can't be read
   */
  findProcessed(name: string): string | undefined {
    const next = this.processedName(name);
    if (this.#directory.stat(next)) return next;
    if (!this.#otherCodes || name > (this.#before ?? "")) return undefined;
    // The earlier run may have used another code.
    let found: string | undefined;
    const start = stem(name);
    eachName(this.#directory.fd, (other) => {
      if (other.startsWith(start) && !isUnprocessed(other)) found ??= other;
    });
    return found;
  }

  /**
   * Counts a waiting file as processed.
   *
   * @param name The waiting file's name
   * @param empty Whether the processed file is empty
   */
  processed(name: string, empty: boolean): void {
    const next = this.processedName(name);
    this.#discount(name);
    this.#count(next, empty ? 0 : undefined);
    if (empty) this.#empty?.add(next);
    this.#last = { name: next, change: this.#directory.changes };
  }

  /**
   * Warns of a name that can't be removed or processed, and ignores it from now
   * on.
   *
   * @param why The warning, without `unable to`
   */
  setAside(name: string, why: string): void {
    this.#warn(`unable to ${why}`);
    this.#discount(name);
    if (this.#stuck.size < MOST_STUCK) this.#stuck.add(name);
  }

  /**
   * When the next file is too old, and files are to be checked for that.
   *
   * @returns Whole seconds since 1970, at least a minute after the last check;
   * `undefined` while no file gets too old
   */
  expiry(): number | undefined {
    if (this.#mostSeconds === undefined) return undefined;
    if (this.#others.exhausted) return this.#ageCheckedAt + CHECK_AGE;
    const name = this.#firstDated();
    if (name === undefined) return undefined;
    const due = finishedAt(name)! + this.#mostSeconds + 1;
    const { seconds } = readClock();
    // A check in the future was made before the clock was set back.
    return this.#ageCheckedAt > seconds
      ? due
      : Math.max(due, this.#ageCheckedAt + CHECK_AGE);
  }

  /** The first name that has a time: other programs make names that have none. */
  #firstDated(): string | undefined {
    return this.#others.names().find((name) => finishedAt(name));
  }

  /** Whether a file is too old, and the last check is a minute ago. */
  hasExpired(): boolean {
    const expiry = this.expiry();
    return expiry !== undefined && expiry <= readClock().seconds;
  }

  /**
   * Removes the files that are too old, and those that are too many.
   *
   * @throws {SysError} When the directory can't be read, or written to disk
   */
  expire(): void {
    this.#ageCheckedAt = readClock().seconds;
    this.refresh(true);
    this.trim(this.waiting.count > 0);
  }

  /**
   * Removes old files, those with the smallest names first, while there are too
   * many, while they have too many bytes, or while they are too old. When there
   * are too many, empty files are removed before any that has lines. A waiting
   * file is never removed. One call removes only some of very many.
   *
   * @param patient Whether a processor is running. Then the waiting files will
   * soon be fewer, and no file with lines, which may have been kept unsent, is
   * removed to make room for them
   * @throws {SysError} When the directory can't be read, or written to disk
   */
  trim(patient = false): void {
    this.refresh();
    for (let n = 0; n < MOST_NAMES; n++) {
      const name = this.#nextToGo(patient);
      if (name === undefined) return;
      // Without this, a power cut might bring back the waiting file that this
      // one has taken the place of, and it would be processed again.
      const { name: last, change } = this.#last ?? { name: "", change: 0 };
      if (name === last && !this.#directory.isSynced(change)) {
        this.#directory.sync();
      }
      // Not all sizes are remembered.
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

  /** The file to be removed next; `undefined` when all may stay. */
  #nextToGo(patient: boolean): string | undefined {
    const others = this.#others.count;
    const oldest = this.#others.names()[0];
    const waits = this.waiting.names()[0];
    // As long as a waiting file is there, what it was processed to stays, too:
    // it is the mark that it is done.
    const twin = (name: string) => waits && stem(waits) === stem(name);
    if (!oldest || twin(oldest)) return undefined;
    if (this.waiting.count + others >= this.#most) {
      const empty = this.#emptyOnes().find((name) => !twin(name));
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

  /** The old files without a byte, those with the smallest names. */
  #emptyOnes(): readonly string[] {
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
    return this.#empty.names();
  }

  /**
   * How many bytes the waiting files have.
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

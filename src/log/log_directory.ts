/**
 * An automatically rotated log: a directory with `current`, the old files, and
 * what a processor needs.
 *
 * Each file goes through the same steps, in this order; a program that is
 * killed after any of them leaves what the next start can tell apart:
 *
 * 1. `current` is renamed to `@TIME.u`. (Found now, there is no `current`.)
 * 2. a new `current` is made, and lines go on into it. Only where it was said
 *    of lines that they are on the disk does this wait for the fifth step, so
 *    that an outage can't bring back a `current` that hides them; and among
 *    many logs, whose disk has enough to do.
 * 3. beside the next lines the directory is synced, and then the file: so that
 *    lines that are on the disk have a name there. No more than a few files are
 *    here at a time.
 * 4. the file gets mode 0744: it is complete.
 * 5. without a processor it is renamed to `@TIME.s`, or the script's code. Old
 *    files go while there are too many.
 *
 * The directory is synced before `current` is, where `current`'s own name isn't
 * on the disk yet. At the end, when all files are complete, `current` is synced
 * and gets mode 0744. (Found now, it is continued.)
 *
 * With a processor the file waits after the fourth step. One at a time, the
 * smallest name first, while lines go on into `current`:
 *
 * 6. `newstate` and `processed` of an earlier run go, and new ones are made,
 *    `processed` first. The processor reads the waiting file and `state`, and
 *    writes these. (Found now, they go, and the file is processed again.)
 * 7. When it has exited 0, `processed` is synced; `newstate` gets mode 0744 and
 *    is synced, and so is the directory.
 * 8. `processed` is renamed to `@TIME.s`, the directory is synced, and the file
 *    gets mode 0744. (Found from now on, a waiting file that has another of its
 *    time beside it is done, and goes; `newstate` of mode 0744 without
 *    `processed` becomes `state`.)
 * 9. `newstate` is renamed to `state`.
 * 10. the waiting file is removed.
 * 11. the directory is synced; old files go while there are too many.
 *
 * Where there is neither a state nor a new one, nothing is done for them in 7,
 * and the sync of 11 is left to the next one of the directory. Where `processed`
 * is empty, too, as a sender leaves it, there is nothing to lose, and the sync
 * of 8 comes after 10, while the next file is processed, and before that one's
 * 8: a power cut may have the last two files sent again.
 *
 * The original, and older versions of this, leave other things: `previous` is
 * a file whose processor was at work, and `processed` of mode 0744 is complete.
 * They become `@TIME.u`, which waits, or `@TIME.s`.
 *
 * @module
 */
import { type Bytes, NEWLINE } from "../bytes.ts";
import {
  close,
  fchmod,
  flock,
  fsync,
  fsyncDirectory,
  read,
  roomOnDisk,
  write,
} from "../sys/descriptors.ts";
import { errorNumber, SysError } from "../sys/errors.ts";
import { mkdir, open, openDirectory, stat } from "../sys/files.ts";
import { fsyncAside } from "../sys/fsync_aside.ts";
import { cut, isBigEnough, SLACK } from "./cut.ts";
import { Directory } from "./directory.ts";
import { InTurn } from "./in_turn.ts";
import {
  isComplete,
  MODE_COMPLETE,
  MODE_RUNNING,
  UNPROCESSED,
} from "./names.ts";
import { OldFiles } from "./old_files.ts";
import type { FindProcessor } from "./processor.ts";
import { Queue, type Turns } from "./queue.ts";
import { type Current, recover } from "./recovery.ts";
import { hasMadeRoom, type Retrier, StartError, startStep } from "./retrier.ts";
import { checkSettings, type LogSettings } from "./settings.ts";

/** How often it is looked whether the directory is still there, in ms. */
const LOOK = 1000;
/** For how long a disk that has made trouble is expected to go on, in ms. */
const TROUBLE = 10_000;
/** How many finished files are brought to the disk at a time. */
const MOST_FINISHING = 4;
/** How many bytes are read at once of a `current` that is written anew. */
const CHUNK = 64 * 1024;

/** Where lines go. */
export type AnyLog = Pick<
  LogDirectory,
  | "append"
  | "attend"
  | "close"
  | "due"
  | "expire"
  | "expiry"
  | "hasExpired"
  | "isSynced"
  | "path"
  | "processing"
  | "room"
  | "roomInCurrent"
  | "roomOnDisk"
  | "rotate"
  | "sync"
  | "terminate"
  | "untilDue"
>;

/** What the logs in one folder have in common, where there are many of them. */
export interface Siblings {
  /**
   * Makes a log's directory.
   *
   * @throws {SysError} When it can't be made
   */
  mkdir(path: string): void;
  /** Notes that a directory's name may not be on the disk. */
  noteName(): void;
  /**
   * Waits until the names of directories that were noted are on the disk.
   *
   * @throws {SysError} When the disk fails
   */
  syncNames(): Promise<void>;
  /** Waits until a log may have the descriptors that a change of names takes. */
  enter(): Promise<void> | undefined;
  /** Says that it has closed them. */
  leave(): void;
  /** Waits for a log's turn to process; see {@linkcode Turns.take}. */
  take(log: LogDirectory): Promise<boolean>;
  /** Gives the turn back. */
  give(log: LogDirectory): void;
}

/**
 * A log directory that this process writes to.
 *
 * One of many in a folder has few descriptors: the directory is open only while
 * something is done to its names; and it can be parked, which closes the others
 * as well. A kill then finds what it would have found otherwise.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { Retrier } from "./retrier.ts";
 *
 * const dir = Deno.makeTempDirSync();
 * const settings = { size: 4096, keep: 5, processor: "", age: 0 };
 * const retrier = new Retrier(console.error);
 * const log = LogDirectory.open(`${dir}/log`, settings, retrier);
 * await log.append(new TextEncoder().encode("one line\n"));
 * await log.close();
 * assertEquals(Deno.readTextFileSync(`${dir}/log/current`), "one line\n");
 * Deno.removeSync(dir, { recursive: true });
 * ```
 */
export class LogDirectory {
  /** The directory's name, as it was given. */
  readonly path: string;
  readonly #settings: Readonly<LogSettings>;
  readonly #retrier: Retrier;
  readonly #wake: () => void;
  readonly #directory: Directory;
  readonly #siblings: Siblings | undefined;
  #lock: number;
  /** Which file `current` is, while the log is parked. */
  #parked: string | undefined;
  /** Whether it is its turn to process. */
  #turn = false;
  readonly #old: OldFiles;
  /** What waits for the processor; none without one. */
  readonly #queue: Queue | undefined;
  #current = -1;
  /** How many bytes `current` has. */
  #length = 0;
  /** Whether it ends inside a line. */
  #partial = false;
  /** Whether it has got any of its bytes from this run. */
  #grown = false;
  /** How many of its bytes are on the disk. */
  #synced = 0;
  /** Whether a sync has failed since lines were last known to be safe. */
  #doubtful = false;
  /** Whether it is getting another name. */
  #renaming = false;
  /** Which change of the directory's names it came with. */
  #made = 0;
  /** Whether it is to be finished as soon as it may be. */
  #wanted = false;
  /** When its oldest line came, on this process's own clock. */
  #oldest = 0;
  /** When it is looked next whether the directory is there. */
  #lookAt = 0;
  /** What is being done to `current`, and what waits for its turn after it. */
  readonly #steps = new InTurn(() => this.#rest());
  /** The syncs that somebody waits for. */
  readonly #syncing = new Set<Promise<boolean>>();
  /** Finished files that are being brought to the disk. */
  readonly #finishing = new Set<Promise<void>>();
  /** Until when it is expected that `current` can't be written. */
  #troubleUntil = 0;
  /** The failure that stopped {@linkcode LogDirectory.append}. */
  #failure: SysError | undefined;
  #terminating = false;
  /** Whether the program ends while `current` can't be finished: it grows. */
  #stuck = false;
  #closing: Promise<void> | undefined;

  private constructor(
    path: string,
    settings: Readonly<LogSettings>,
    retrier: Retrier,
    wake: () => void,
    find: FindProcessor | undefined,
    siblings: Siblings | undefined,
    { fd, lock }: Locked,
  ) {
    this.#siblings = siblings;
    this.path = path;
    this.#settings = settings;
    this.#retrier = retrier;
    this.#wake = wake;
    this.#directory = new Directory(path, fd);
    this.#lock = lock;
    const queued = settings.processor !== "";
    this.#old = new OldFiles(
      this.#directory,
      settings,
      (message) => retrier.warn(message),
    );
    this.#queue = queued
      ? new Queue(
        this.#directory,
        this.#old,
        settings,
        retrier,
        wake,
        find,
        siblings && this.#turns(siblings),
      )
      : undefined;
  }

  #turns(siblings: Siblings): Turns {
    return {
      take: async () => this.#turn = await siblings.take(this),
      give: () => {
        this.#turn = false;
        this.#rest();
        siblings.give(this);
      },
    };
  }

  /**
   * Opens a log directory, making it where there is none, takes its lock,
   * tidies up after a run that was cut off, and goes on with what waits for
   * the processor.
   *
   * @param path The directory's name
   * @param settings Its size, number of files, age and processor
   * @param retrier Where warnings go from now on
   * @param wake Called when a file is finished, or has left the queue: the log
   * may be due now
   * @param find What carries out a processor; `sh -c` unless given
   * @param siblings What it shares with the other logs of its folder, where
   * there are many
   * @returns The open log
   * @throws {StartError} When another process is writing to it, or it can't be
   * used
   * @throws {RangeError} When the size or the number of files is none that a
   * script could give
   */
  static open(
    path: string,
    settings: Readonly<LogSettings>,
    retrier: Retrier,
    wake: () => void = () => {},
    find?: FindProcessor,
    siblings?: Siblings,
  ): LogDirectory {
    checkSettings(settings);
    const log = new LogDirectory(
      path,
      settings,
      retrier,
      wake,
      find,
      siblings,
      openLocked(path, siblings),
    );
    try {
      log.#start();
    } catch (error) {
      log.#release();
      throw error;
    }
    log.#rest();
    // Not before everything else that is opened with it.
    queueMicrotask(() => log.#queue?.start());
    return log;
  }

  #start(): void {
    this.#take(
      recover(this.#directory, this.#old, this.#siblings !== undefined),
    );
    if (this.#queue || this.#settings.keepSeconds !== undefined) {
      startStep(() => this.#old.refresh(), `unable to read ${this.path}`);
    }
  }

  /** Has no more descriptors than it needs for lines. */
  #rest(): void {
    const busy = this.#steps.busy || this.#turn || this.#syncing.size > 0;
    if (this.#siblings && !busy) {
      this.#directory.rest();
    }
  }

  /** Whether the log is parked. */
  get parked(): boolean {
    return this.#parked !== undefined;
  }

  /**
   * Closes everything, the lock too, until {@linkcode LogDirectory.resume}:
   * nothing else may be called meanwhile.
   *
   * @returns Whether it could be done: nothing is going on
   */
  park(): boolean {
    if (this.#steps.busy || this.#turn || this.parked || this.#closing) {
      return false;
    }
    // A sync is of what is open now.
    if (this.#syncing.size > 0) return false;
    const current = stat("", this.#current);
    // Somebody has removed it: nothing else has its lines any more.
    if (current === undefined || current.nlink === 0) return false;
    this.#queue?.tidy();
    this.#parked = current.identity;
    this.#directory.rest();
    close(this.#current);
    close(this.#lock);
    this.#current = this.#lock = -1;
    return true;
  }

  /**
   * Opens a parked log again. Where another process has written to it since, it
   * is as after a start.
   *
   * @throws {StartError} When another process is writing to it, or it can't be
   * used; then it stays parked
   */
  resume(): void {
    if (this.#parked === undefined || this.#resumeAsLeft()) return;
    const { path } = this;
    const { fd, lock } = openLocked(path, this.#siblings);
    const same = this.#directory.resume(fd);
    try {
      const current = startStep(
        () => this.#directory.stat("current"),
        `unable to stat ${path}/current`,
      );
      if (
        same && current?.identity === this.#parked &&
        current.size === this.#length && !isComplete(current.mode)
      ) {
        this.#current = startStep(
          () => open("current", "reopen", 0, fd),
          `unable to append to ${path}/current`,
        );
      } else this.#start();
      this.#lock = lock;
    } catch (error) {
      close(lock);
      this.#directory.rest();
      throw error;
    }
    this.#parked = undefined;
    this.#rest();
  }

  /** Resumes where nothing has changed, which takes the fewest calls. */
  #resumeAsLeft(): boolean {
    const { path } = this;
    let lock = -1;
    let current = -1;
    try {
      lock = open(`${path}/lock`, "reopen");
      flock(lock);
      current = open(`${path}/current`, "reopen");
      const found = stat("", current);
      if (
        found?.identity === this.#parked && found?.size === this.#length &&
        !isComplete(found.mode)
      ) {
        this.#lock = lock;
        this.#current = current;
        this.#parked = undefined;
        return true;
      }
    } catch (error) {
      // Whatever is wrong, the other way tells.
      if (!(error instanceof SysError)) throw error;
    }
    if (lock >= 0) close(lock);
    if (current >= 0) close(current);
    return false;
  }

  #take({ fd, length, partial, age }: Current): void {
    this.#current = fd;
    this.#length = length;
    this.#partial = partial;
    this.#grown = false;
    this.#synced = length;
    this.#renaming = false;
    this.#made = this.#directory.changes;
    this.#wanted = false;
    this.#oldest = performance.now() - age;
  }

  /**
   * Appends bytes, finishing files on the way.
   *
   * @param bytes Where they are, in memory that isn't shared between threads;
   * not to be changed before this is done
   * @param from The offset of the first
   * @param to The offset after the last
   * @returns A promise when it couldn't be done at once: a file is being
   * finished, or the disk made trouble. What is appended, or asked for, before
   * it is done comes after it
   * @throws {Error} When the log is closed
   */
  append(
    bytes: Uint8Array,
    from = 0,
    to: number = bytes.length,
  ): Promise<void> | undefined {
    this.#assertOpen();
    const own = bytes as Bytes;
    if (this.#steps.busy) {
      return this.#steps.take(() =>
        this.#writeRest(own, this.#write(own, from, to), to)
      );
    }
    const at = this.#write(own, from, to);
    const done = at === to && !this.#isLost();
    return done
      ? undefined
      : this.#steps.take(() => this.#writeRest(own, at, to));
  }

  /** Whether nothing more goes into `current`. */
  #isBig(): boolean {
    return isBigEnough(this.#length, this.#partial, this.#settings.size);
  }

  /** Whether `current` can be finished without waiting for a processor. */
  #hasRoom(): boolean {
    return this.#queue === undefined || this.#queue.room > 0;
  }

  /** Whether `current` is to be finished now. */
  #isDue(): boolean {
    if (this.#stuck) return false;
    return this.#isBig() ||
      this.#wanted && this.#length > 0 && !this.#partial && this.#hasRoom();
  }

  /**
   * Writes as far as it goes without waiting: until a file is to be finished,
   * or trouble comes.
   */
  #write(bytes: Bytes, at: number, to: number): number {
    const { size } = this.#settings;
    while (at < to && !this.#isDue()) {
      const least = this.#wanted && this.#hasRoom() ? 0 : size - SLACK;
      const end = this.#stuck
        ? to
        : cut(bytes, at, to, this.#length, size, least);
      const n = write(this.#current, bytes.subarray(at, end));
      if (n <= 0) {
        // No disk takes nothing without saying why; but nothing is nothing.
        this.#failure = new SysError(n === 0 ? errorNumber("EIO") : -n);
        break;
      }
      if (this.#length === 0) this.#oldest = performance.now();
      this.#length += n;
      at += n;
      this.#grown = true;
      this.#partial = bytes[at - 1] !== NEWLINE;
    }
    return at;
  }

  async #writeRest(bytes: Bytes, at: number, to: number): Promise<void> {
    if (this.#isLost()) await this.#remake();
    while (at < to) {
      if (this.#failure && this.#finishing.size > 0) {
        // With what is being finished an older file goes, which makes room.
        await this.#finished();
        this.#failure = undefined;
      } else if (this.#failure && await hasMadeRoom(this.#failure)) {
        this.#failure = undefined;
      } else if (this.#failure) {
        await this.#retrier.pause(
          `unable to write to ${this.path}/current, pausing: ` +
            this.#failure.message,
        );
        this.#failure = undefined;
        this.#troubleUntil = performance.now() + TROUBLE;
      } else if (this.#isDue()) await this.#rotate();
      at = this.#write(bytes, at, to);
    }
  }

  /**
   * How much there is room for that won't have to wait for a processor.
   *
   * @returns Bytes: 0 while a full `current` waits until another file may wait;
   * `Infinity` without a processor
   */
  room(): number {
    const { size } = this.#settings;
    const files = this.#queue?.room ?? Infinity;
    if (files === Infinity) return Infinity;
    if (files === 0 && this.#isBig()) return 0;
    // The line that it ends in may end with the next byte.
    const room = this.#wanted && files > 0
      ? 1
      : Math.max(size - SLACK - this.#length, 1);
    return room + files * (size - SLACK);
  }

  /**
   * How much can be appended before `current` is finished, which takes steps
   * that may fail.
   *
   * @returns Bytes: 0 also where a write has failed just now
   */
  roomInCurrent(): number {
    if (this.#wanted) return 0;
    if (this.#troubleUntil > 0) {
      if (performance.now() < this.#troubleUntil) return 0;
      this.#troubleUntil = 0;
    }
    return Math.max(this.#settings.size - SLACK - this.#length, 0);
  }

  /**
   * How much its disk has room for.
   *
   * @returns Bytes; `Infinity` where that isn't known
   */
  roomOnDisk(): number {
    return roomOnDisk(this.#current);
  }

  /**
   * Whether `current` is big enough, or old enough, and can be finished
   * without waiting for a processor.
   *
   * @returns Whether {@linkcode LogDirectory.rotate} is to be called
   */
  due(): boolean {
    // One that the last run left big enough stays until a line comes.
    const due = (this.#grown || this.#wanted) && this.#isDue();
    return this.#hasRoom() && (due || this.untilDue() === 0);
  }

  /**
   * How long until `current` is old enough.
   *
   * @returns Milliseconds; -1 while nothing but a line, or a processor's end,
   * can make a difference
   */
  untilDue(): number {
    const { age } = this.#settings;
    if (age === 0 || this.#length === 0 || !this.#hasRoom()) return -1;
    if (this.#wanted) return -1;
    return Math.max(this.#oldest + 1000 * age - performance.now(), 0);
  }

  /**
   * When the next old file is too old.
   *
   * @returns Whole seconds since 1970; `undefined` while none gets too old
   */
  expiry(): number | undefined {
    return this.#old.expiry();
  }

  /**
   * Whether an old file is too old.
   *
   * @returns Whether {@linkcode LogDirectory.expire} is to be called; not again
   * for a minute after that
   */
  hasExpired(): boolean {
    return this.#old.hasExpired();
  }

  /**
   * Removes the old files that are too old.
   *
   * @throws {Error} When the log is closed
   */
  async expire(): Promise<void> {
    this.#assertOpen();
    await this.#steps.take(() =>
      this.#insist(
        () => this.#old.expire(),
        `unable to remove from ${this.path}`,
      )
    );
  }

  /**
   * Finishes `current` now, unless it is empty: it becomes an old file, or
   * waits for the processor. A line that isn't all there yet is not cut: then
   * it happens at that line's end; and where no more files may wait, as soon
   * as one more may.
   *
   * @throws {Error} When the log is closed
   */
  async rotate(): Promise<void> {
    this.#assertOpen();
    await this.#steps.take(async () => {
      if (this.#length === 0) return;
      this.#wanted = true;
      if (this.#hasRoom() && this.#isDue()) await this.#rotate();
    });
  }

  /**
   * Whether all lines so far are on the disk.
   *
   * @returns Whether {@linkcode LogDirectory.sync} has nothing to do
   */
  isSynced(): boolean {
    return this.#steps.busy === undefined && this.#finishing.size === 0 &&
      !this.#doubtful && this.#synced === this.#length;
  }

  /**
   * Waits until all lines so far are on the disk; more may be appended
   * meanwhile.
   *
   * @returns Whether they surely are. When the disk fails, a warning says so,
   * and `false` is for all that was appended since the last success: the kernel
   * may have forgotten what it couldn't write, and the next sync's success then
   * says nothing of it
   * @throws {Error} When the log is closed
   */
  async sync(): Promise<boolean> {
    this.#assertOpen();
    const syncing = this.#syncAll();
    this.#syncing.add(syncing);
    try {
      return await syncing;
    } finally {
      this.#syncing.delete(syncing);
      this.#rest();
    }
  }

  async #syncAll(): Promise<boolean> {
    // What is still to be appended or finished comes before.
    await this.#steps.busy;
    const finishing = Promise.all(this.#finishing);
    const synced = await this.#syncAside();
    await finishing;
    const safe = synced && !this.#doubtful;
    this.#doubtful = false;
    return safe;
  }

  async #syncAside(): Promise<boolean> {
    const length = this.#length;
    const made = this.#made;
    if (this.#synced === length) return true;
    const current = this.#current;
    const stays = () => this.#made === made && !this.#renaming;
    // The name comes once for each file, and first.
    if (!this.#directory.isSynced(made)) {
      await this.#withDescriptors(async () => {
        if (stays()) await this.#syncNames(made);
      }, () => this.#rest());
    }
    if (stays()) {
      const done = await fsyncAside(current);
      if (stays()) {
        if (done) this.#synced = Math.max(this.#synced, length);
        else this.#tellWhy(current);
        return done;
      }
      if (!done) this.#doubtful = true;
    }
    // It was finished meanwhile.
    await Promise.all(this.#finishing);
    return true;
  }

  /** What another thread couldn't sync fails for the same reason in this one. */
  #tellWhy(fd: number): void {
    let reason = "";
    try {
      fsync(fd);
    } catch (error) {
      if (!(error instanceof SysError)) throw error;
      reason = `: ${error.message}`;
    }
    this.#retrier.warn(`unable to write ${this.path}/current to disk${reason}`);
  }

  /** Afterwards its descriptors may be anybody's. */
  #assertOpen(): void {
    if (this.#closing) throw new Error(`${this.path} is closed`);
  }

  #insist<T>(step: () => T | Promise<T>, failure: string): Promise<T> {
    return this.#retrier.retry(step, failure);
  }

  /** Takes a step that brings something to the disk until it succeeds. */
  #insistOnSync(
    step: () => unknown,
    failure: string,
  ): Promise<void> {
    return this.#insist(async () => {
      try {
        await step();
      } catch (error) {
        this.#doubtful = true;
        throw error;
      }
    }, failure);
  }

  /** Syncs a file while everything else goes on. */
  async #syncFile(fd: number, name: string): Promise<void> {
    if (await fsyncAside(fd)) return;
    await this.#syncAgain(() => fsync(fd), `${this.path}/${name}`);
  }

  /**
   * Syncs the directory, unless a change of its names is on the disk; first its
   * own name, where it is one of many. One that was moved is others' by now.
   */
  async #syncNames(change: number): Promise<void> {
    const { path } = this;
    if (this.#siblings && !this.#directory.isSynced(change)) {
      await this.#insistOnSync(
        () => this.#siblings!.syncNames(),
        `unable to write ${path} to disk`,
      );
    }
    const directory = this.#directory;
    const sync = () => {
      if (!directory.isElsewhere()) return directory.syncAside();
      directory.disown();
      return true;
    };
    while (!directory.isSynced(change)) {
      if (await this.#insist(sync, `unable to open directory ${path}`)) {
        continue;
      }
      await this.#syncAgain(
        () => directory.isElsewhere() || directory.sync(),
        path,
      );
    }
  }

  /**
   * Syncs what couldn't be synced aside. The system may tell of a failure only
   * once, and why is not known here.
   */
  async #syncAgain(sync: () => boolean | void, what: string): Promise<void> {
    let untold = true;
    await this.#insistOnSync(() => {
      // What can't be asked for hasn't failed.
      if (sync() === false || !untold) return;
      untold = false;
      throw new SysError(errorNumber("EIO"));
    }, `unable to write ${what} to disk`);
  }

  /** Waits until all finished files are complete. */
  async #finished(): Promise<void> {
    while (this.#finishing.size > 0) await Promise.all(this.#finishing);
  }

  /** Syncs `current` and says so by its mode. */
  async #complete(): Promise<void> {
    // What the last run left complete, and nothing has come to, is on the disk.
    if (this.#synced < this.#length) {
      await this.#syncNames(this.#made);
      if (this.#siblings) await this.#syncFile(this.#current, "current");
      else {
        await this.#insistOnSync(
          () => fsync(this.#current),
          `unable to write ${this.path}/current to disk`,
        );
      }
      this.#synced = this.#length;
    }
    await this.#insist(
      () => fchmod(this.#current, MODE_COMPLETE),
      `unable to set mode of ${this.path}/current`,
    );
  }

  async #rotate(): Promise<void> {
    await this.#queue?.makeRoom();
    const there = await this.#withDescriptors(
      () => this.#finishCurrent(),
      () => {
        if (!this.#turn) this.#directory.rest();
      },
    );
    if (!there) await this.#remake();
  }

  /**
   * Takes a step that changes names, or syncs them: one of many logs has the
   * descriptors for that only meanwhile, and then gives them back.
   */
  async #withDescriptors<T>(
    step: () => Promise<T>,
    giveBack: () => void,
  ): Promise<T> {
    if (this.#siblings === undefined) return await step();
    await this.#siblings.enter();
    try {
      return await step();
    } finally {
      giveBack();
      this.#siblings.leave();
    }
  }

  /**
   * The table's steps 1 and 2; the others go on beside the next lines. One of
   * many logs waits for them: the disk has enough to do, and there are few
   * descriptors.
   *
   * @returns Whether the directory is there still
   */
  async #finishCurrent(): Promise<boolean> {
    const { path } = this;
    while (this.#finishing.size >= MOST_FINISHING) {
      await Promise.race(this.#finishing);
    }
    if (await this.#isElsewhere()) {
      // Where it is now, it is the last of its lines.
      await this.#complete();
      return false;
    }
    const name = await this.#insist(
      () => this.#old.nextName(UNPROCESSED),
      `unable to read ${path}`,
    );
    const before = Promise.all(this.#finishing);
    const finishing = Promise.withResolvers<void>();
    this.#finishing.add(finishing.promise);
    this.#renaming = true;
    this.#old.begin(name);
    const renamed = await this.#rename(name);
    const file = this.#current;
    /** Who needs it still: what brings it to the disk, and this. */
    let users = renamed ? 2 : 1;
    const release = () => {
      if (--users === 0) close(file);
    };
    const end = () => {
      this.#finishing.delete(finishing.promise);
      finishing.resolve();
    };
    let finished: Promise<void> | undefined;
    if (renamed) {
      finished = this.#finish(file, name, before, release).then(end);
    } else {
      this.#old.finish(name, undefined);
      end();
      if (renamed === undefined) {
        this.#renaming = false;
        return true;
      }
      if (this.#isLost(true)) return false;
    }
    // Somebody was told that lines are on the disk.
    if (this.#siblings || this.#synced > 0) await finished;
    const fd = await this.#create();
    if (fd === undefined) {
      await finished;
      return false;
    }
    this.#take({ fd, length: 0, partial: false, age: 0 });
    release();
    return true;
  }

  /** The table's steps 3 to 5. */
  async #finish(
    fd: number,
    name: string,
    before: Promise<unknown>,
    release: () => void,
  ): Promise<void> {
    const { path } = this;
    const change = this.#directory.changes;
    const unsynced = this.#synced < this.#length;
    await this.#syncNames(change);
    if (unsynced) await this.#syncFile(fd, name);
    // Files are complete, and wait, in their order.
    await before;
    await this.#insist(
      () => fchmod(fd, MODE_COMPLETE),
      `unable to set mode of ${path}/${name}`,
    );
    // Before anything that may need a descriptor.
    release();
    await this.#insist(() => {
      const last = this.#queue ? name : this.#old.processedName(name);
      const there = last === name || this.#directory.rename(name, last);
      this.#old.finish(name, there ? last : undefined);
    }, `unable to rename ${path}/${name}`);
    // It takes a processor longer to start than old files to go.
    this.#queue?.add();
    await this.#insist(
      () => this.#old.trim(this.#queue?.working),
      `unable to remove from ${path}`,
    );
    // One more file may get too old; a queue has told of it already.
    if (this.#queue === undefined) this.#wake();
  }

  /** @returns `undefined` where the program is to end, and it can't be done */
  async #rename(name: string): Promise<boolean | undefined> {
    while (true) {
      try {
        return this.#directory.rename("current", name);
      } catch (error) {
        if (!(error instanceof SysError)) throw error;
        if (this.#terminating) {
          this.#stuck = true;
          fchmod(this.#current, MODE_RUNNING);
          return undefined;
        }
        await this.#retrier.pause(
          `unable to rename ${this.path}/current, pausing: ${error.message}`,
        );
      }
    }
  }

  /** @returns `undefined` where the directory isn't there any more */
  async #create(): Promise<number | undefined> {
    const { path } = this;
    const fd = await this.#insist(
      () => {
        try {
          return this.#directory.open("current", "append", 0o600);
        } catch (error) {
          if (!(error instanceof SysError) || error.code !== "ENOENT") {
            throw error;
          }
          return undefined;
        }
      },
      `unable to create ${path}/current`,
    );
    if (fd === undefined) return undefined;
    await this.#insist(
      () => fchmod(fd, MODE_RUNNING),
      `unable to set mode of ${path}/current`,
    );
    return fd;
  }

  /** Whether the directory has another name, or none, by now. */
  #isElsewhere(): Promise<boolean> {
    return this.#insist(
      () => this.#directory.isElsewhere(),
      `unable to open directory ${this.path}`,
    );
  }

  /** Whether the directory was removed; it isn't looked often. */
  #isLost(now = false): boolean {
    const time = performance.now();
    if (!now && time < this.#lookAt) return false;
    if (stat("", this.#current)?.nlink === 0 && this.#directory.isGone()) {
      return true;
    }
    this.#lookAt = time + LOOK;
    return false;
  }

  /**
   * Somebody has removed the directory: it is made again, and gets what
   * `current` had.
   *
   * @throws {StartError} When it can't be made, and the program is to end
   */
  async #remake(): Promise<void> {
    const { path } = this;
    await this.#finished();
    const lost = this.#current;
    // What was moved has its lines still.
    const moved = (stat("", lost)?.nlink ?? 0) > 0;
    const { fd, lock } = await this.#insistOnStart(() =>
      openLocked(path, this.#siblings)
    );
    this.#retrier.warn(
      `${path} was ${moved ? "moved" : "removed"}, made again`,
    );
    this.#directory.replace(fd);
    close(this.#lock);
    this.#lock = lock;
    const current = await this.#insistOnStart(() =>
      recover(this.#directory, this.#old)
    );
    this.#take(current);
    await this.#insist(() => this.#old.refresh(true), `unable to read ${path}`);
    if (moved) {
      close(lost);
      this.#queue?.start();
      return;
    }
    const reader = await this.#insist(
      () => open(`/proc/self/fd/${lost}`, "read"),
      `unable to read the former ${path}/current`,
    );
    close(lost);
    try {
      const bytes = new Uint8Array(CHUNK);
      let n: number;
      while ((n = read(reader, bytes)) > 0) {
        await this.#writeRest(bytes, this.#write(bytes, 0, n), n);
      }
      if (n < 0) {
        const { message } = new SysError(-n);
        this.#retrier.warn(
          `unable to read the former ${path}/current: ${message}`,
        );
      }
    } finally {
      close(reader);
    }
    this.#queue?.start();
  }

  async #insistOnStart<T>(step: () => T): Promise<T> {
    while (true) {
      try {
        return step();
      } catch (error) {
        if (!(error instanceof StartError) || this.#terminating) throw error;
        await this.#retrier.pause(`${error.message}, pausing`);
      }
    }
  }

  /**
   * What goes on beside the lines: in the queue, or until files are complete.
   * Its end comes through the event loop.
   *
   * @returns A promise of its end; `undefined` when there is nothing
   */
  processing(): Promise<void> | undefined {
    return this.#queue?.work ?? this.#finishing.values().next().value;
  }

  /** Does what is {@linkcode LogDirectory.due}. */
  async attend(): Promise<void> {
    if (this.due()) await this.rotate();
  }

  /**
   * The program is to end: a processor that runs is ended within 5 seconds,
   * and what waits stays for the next run. {@linkcode LogDirectory.close} is
   * to be called next.
   */
  terminate(): void {
    this.#terminating = true;
    this.#retrier.hurry();
    this.#queue?.stop();
  }

  /**
   * Ends the log well: waits until all that waits is processed, syncs
   * `current` and marks it complete, so that the next run continues it.
   */
  close(): Promise<void> {
    return this.#closing ??= this.#steps.take(() => this.#close());
  }

  async #close(): Promise<void> {
    if (this.#length > 0 && !this.#terminating) {
      const due = this.#grown && this.#isBig();
      if (due || this.#wanted && !this.#partial) {
        await this.#rotate();
      }
    }
    await this.#finished();
    this.#queue?.start();
    while (this.#queue?.work) await this.#queue.work;
    while (this.#syncing.size > 0) await Promise.allSettled(this.#syncing);
    // Whoever has it meanwhile has seen to what was left.
    if (this.parked) return;
    if (this.#isLost(true)) await this.#remake();
    await this.#complete();
    this.#release();
  }

  #release(): void {
    this.#queue?.close();
    if (this.#current >= 0) close(this.#current);
    this.#current = -1;
    this.#directory.close();
    if (this.#lock >= 0) close(this.#lock);
    this.#lock = -1;
  }
}

/** A directory that nobody else writes to. */
interface Locked {
  readonly fd: number;
  readonly lock: number;
}

/**
 * Opens a directory, making it where there is none.
 *
 * @param path Its name
 * @param siblings What sees to its name; it is synced here otherwise
 * @returns The open directory
 * @throws {StartError} When it can't be
 */
export function openMade(path: string, siblings?: Siblings): number {
  let missing = false;
  try {
    // An exception takes longer than a look.
    missing = stat(path) === undefined;
    if (missing && siblings === undefined) mkdir(path, 0o700);
  } catch (error) {
    // Whatever is wrong, opening tells.
    if (!(error instanceof SysError)) throw error;
    missing = false;
  }
  if (missing && siblings !== undefined) {
    startStep(() => siblings.mkdir(path), `unable to make directory ${path}`);
  }
  const fd = startStep(
    () => openDirectory(path),
    `unable to open directory ${path}`,
    path,
  );
  try {
    // Who made it may have been killed before its name was on the disk.
    if (isNew(fd)) {
      if (siblings) siblings.noteName();
      else startStep(() => syncParent(fd), `unable to write ${path} to disk`);
    }
    return fd;
  } catch (error) {
    close(fd);
    throw error;
  }
}

/** Opens a directory, making it where there is none, and takes its lock. */
function openLocked(path: string, siblings?: Siblings): Locked {
  const fd = openMade(path, siblings);
  let lock = -1;
  try {
    startStep(
      () => {
        lock = open("lock", "append", 0o600, fd);
        flock(lock);
      },
      `unable to lock directory ${path}`,
      path,
    );
  } catch (error) {
    if (lock >= 0) close(lock);
    close(fd);
    throw error;
  }
  return { fd, lock };
}

/** Whether nobody has had a log in a directory yet, as far as can be seen. */
function isNew(fd: number): boolean {
  try {
    return stat("lock", fd) === undefined;
  } catch (error) {
    if (!(error instanceof SysError)) throw error;
    return true;
  }
}

/** Brings a new directory's own name to the disk. */
function syncParent(fd: number): void {
  let parent: number;
  try {
    parent = open("..", "read", 0, fd);
  } catch (error) {
    // Who may make a directory here need not be allowed to list its names.
    if (error instanceof SysError && error.code === "EACCES") return;
    throw error;
  }
  try {
    fsyncDirectory(parent);
  } finally {
    close(parent);
  }
}

/**
 * An automatically rotated log: a directory with `current`, the old files, and
 * the files of a processor.
 *
 * Each file goes through the same steps, in this order. A program that is killed
 * after any of them leaves files that tell the next start how far it got; what
 * that start finds is in parentheses:
 *
 * 1. `current` is renamed to `@TIME.u`. (There is no `current`.)
 * 2. a new `current` is made, and lines go on into it. This waits for step 5
 *    only when a caller was told that lines of the file are on the disk, since
 *    after a power cut the old `current` must not come back and hide them; and
 *    in a log that is one of many, since then the disk has enough to do.
 * 3. while the next lines are written, the directory is synced, once for all
 *    files that wait for that, and then the file, so that lines on the disk
 *    always have a name there. No more than a few files are at this step at a
 *    time.
 * 4. the file gets mode 0744: it is complete.
 * 5. without a processor it is renamed to `@TIME.s`, or the script's code. Old
 *    files are removed while there are too many.
 *
 * Before `current` is synced, the directory is, unless `current`'s own name is on
 * the disk already. When the log is closed and all files are complete, `current`
 * is synced and gets mode 0744. (It is continued.)
 *
 * With a processor the file waits after step 4. While lines go on into
 * `current`, one file at a time is processed, the smallest name first:
 *
 * 6. `newstate` and `processed` of an earlier run are removed, and new ones are
 *    made, `processed` first. The processor reads the waiting file and `state`,
 *    and writes `processed` and `newstate`. (Both are removed, and the file is
 *    processed again.)
 * 7. When it has exited 0, `processed` is synced; `newstate` gets mode 0744 and
 *    is synced, and so is the directory.
 * 8. `processed` is renamed to `@TIME.s`, the directory is synced, and the file
 *    gets mode 0744. (From now on: a waiting file is done, and is removed, when
 *    there is another old file of the same time; and `newstate` of mode 0744
 *    without `processed` becomes `state`.)
 * 9. `newstate` is renamed to `state`.
 * 10. the waiting file is removed.
 * 11. the directory is synced; old files are removed while there are too many.
 *
 * When `state` and `newstate` are both empty, step 7 does nothing for them, and
 * the directory isn't synced in step 11: its next sync does that. When
 * `processed` is empty, too, as a sender leaves it, no line can be lost: then the
 * sync of step 8 is done after step 10, while the next file is processed, and
 * before that file's step 8. So after a power cut the last two files may be sent
 * again.
 *
 * The original, and older versions of this program, leave other files:
 * `previous`, which a processor was reading, becomes `@TIME.u` and waits;
 * `processed` of mode 0744, which is complete, becomes `@TIME.s`.
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
import { fsyncAside, fsyncCopyAside, syncAgain } from "../sys/fsync_aside.ts";
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

/** How often the log checks that its directory is still there, in ms. */
const CHECK_DIRECTORY = 1000;
/** For how long after a failed write another failure is expected, in ms. */
const TROUBLE = 10_000;
/** How many finished files may be unsynced; each keeps its descriptor. */
const MOST_FINISHING = 8;
/** How many, where they are larger than {@linkcode LARGE}. */
const MOST_FINISHING_LARGE = 4;
/** The size of a large file, in bytes. */
const LARGE = 1024 * 1024;
/** How many bytes are read at once of a `current` that is copied. */
const CHUNK = 64 * 1024;

/** Where lines go: a log directory, or all logs of hosts, which act as one. */
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

/** What many logs in one folder share, so that few descriptors are open. */
export interface Siblings {
  /**
   * Makes a log's directory.
   *
   * @throws {SysError} When it can't be made
   */
  mkdir(path: string): void;
  /** Notes that the name of a log's directory may not be on the disk. */
  noteName(): void;
  /**
   * Waits until all directory names noted so far are on the disk.
   *
   * @throws {SysError} When the disk fails
   */
  syncNames(): Promise<void>;
  /**
   * Waits until there are descriptors for a log that is to change names in its
   * directory.
   */
  enter(): Promise<void> | undefined;
  /** Says that the log has closed them. */
  leave(): void;
  /** Waits for a log's turn to process; see {@linkcode Turns.take}. */
  take(log: LogDirectory): Promise<boolean>;
  /** Gives the turn back. */
  give(log: LogDirectory): void;
}

/**
 * A log directory that this process writes to.
 *
 * A log that is one of many in a folder has few descriptors: its directory is
 * open only while names in it are changed; and the log can be parked, which
 * closes `current` and the lock, too. To the next start it makes no difference
 * whether a log was parked when the program was killed.
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
  /** Device and inode of `current`, while the log is parked. */
  #parked: string | undefined;
  /** Whether it is this log's turn to process. */
  #turn = false;
  readonly #old: OldFiles;
  /** The files that wait for the processor; `undefined` without a processor. */
  readonly #queue: Queue | undefined;
  #current = -1;
  /** How many bytes `current` has. */
  #length = 0;
  /** Whether `current` ends inside a line. */
  #partial = false;
  /** Whether this run has written any of `current`'s bytes. */
  #grown = false;
  /** How many of `current`'s bytes are on the disk. */
  #synced = 0;
  /** Whether a sync has failed since lines were last known to be safe. */
  #doubtful = false;
  /** Whether `current` is being renamed. */
  #renaming = false;
  /** The number of the change of names by which `current` was made. */
  #made = 0;
  /** Whether `current` is to be finished as soon as possible, after ALRM. */
  #wanted = false;
  /** When `current`'s oldest line came, on this process's own clock. */
  #oldest = 0;
  /** When the log checks next that its directory is still there. */
  #checkAt = 0;
  /** What is being done to `current`, and the steps that wait for that. */
  readonly #steps = new InTurn(() => this.#rest());
  /** The syncs that callers wait for. */
  readonly #syncing = new Set<Promise<boolean>>();
  /** How many finished files may be unsynced, unless they are large. */
  #mostFinishing = MOST_FINISHING;
  /** The finished files that are being synced. */
  readonly #finishing = new Set<Promise<void>>();
  /** The end of the last of them, and so of all. */
  #lastFinishing: Promise<void> | undefined;
  /** The sync of the directory after one that has failed. */
  #syncingAgain: Promise<void> | undefined;
  /** Until when writing to `current` is expected to fail. */
  #troubleUntil = 0;
  /** The failure that stopped {@linkcode LogDirectory.append}. */
  #failure: SysError | undefined;
  #terminating = false;
  /**
   * Whether the program is to end while `current` can't be renamed. Then lines go
   * on into it, even beyond its size.
   */
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
   * Opens a log directory: makes it when there is none, takes its lock, tidies
   * up after a run that was cut off, and has the waiting files processed.
   *
   * @param path The directory's name
   * @param settings Its size, number of files, age and processor
   * @param retrier Where warnings go from now on
   * @param wake Called when a file was finished, or has left the queue, since
   * {@linkcode LogDirectory.due} may have changed then
   * @param find Finds what runs the processor; `sh -c` unless given
   * @param siblings What it shares with the other logs of its folder, where
   * there are many
   * @returns The open log
   * @throws {StartError} When another process is writing to it, or it can't be
   * used
   * @throws {RangeError} When a script couldn't give these settings
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
    // Only after all logs that are opened together with this one.
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

  /**
   * Lets more finished files than the usual 8 be unsynced at a time, unless they
   * are large. Small ones are finished faster then.
   *
   * @param more How many more; each takes a descriptor
   */
  finishMore(more: number): void {
    this.#mostFinishing = MOST_FINISHING + more;
  }

  /** Closes the directory of one of many logs while only lines are written. */
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
   * Closes all descriptors, also the lock's, until {@linkcode
   * LogDirectory.resume}. Nothing else may be called meanwhile.
   *
   * @returns Whether that could be done: not while something is going on
   */
  park(): boolean {
    if (this.#steps.busy || this.#turn || this.parked || this.#closing) {
      return false;
    }
    // A sync needs the descriptors that are open now.
    if (this.#syncing.size > 0) return false;
    const current = stat("", this.#current);
    // Somebody has removed `current`, and only this descriptor keeps its lines.
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
   * Opens a parked log again. When another process has written to it since, this
   * does what a start does.
   *
   * @throws {StartError} When another process is writing to the log, or it can't
   * be used; then it stays parked
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
      } else {
        // The lines are in a file that isn't this log's any more.
        if (this.#synced < this.#length) this.#doubtful = true;
        this.#start();
      }
      this.#lock = lock;
    } catch (error) {
      close(lock);
      if (this.#current >= 0) close(this.#current);
      this.#current = -1;
      this.#directory.rest();
      throw error;
    }
    this.#parked = undefined;
    this.#rest();
  }

  /** Resumes a log that nobody has changed, with the fewest system calls. */
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
      // The slow way, which is taken next, reports what is wrong.
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
   * Appends bytes, and finishes files where they become big enough.
   *
   * @param bytes The array that the bytes are in. Its memory isn't shared between
   * threads, and mustn't be changed before this is done
   * @param from The offset of the first byte
   * @param to The offset after the last byte
   * @returns `undefined` when it was done at once. Otherwise, since a file is
   * being finished or the disk fails, a promise that is kept when it is done;
   * later calls are carried out after this one
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

  /** Whether `current` is big enough. */
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
   * Writes as much as it can without waiting: until a file is to be finished, or
   * a write fails.
   *
   * @returns The offset after the last byte that was written
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
        // No disk should write 0 bytes without an error. If one does, that is
        // taken for an error, since trying again at once might go on for ever.
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
        // When those files are finished, older ones are removed, and that makes
        // room on the disk.
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
   * How many bytes can be appended without waiting for the processor.
   *
   * @returns 0 while `current` is big enough, and there is no room for another
   * waiting file; `Infinity` without a processor
   */
  room(): number {
    const { size } = this.#settings;
    const files = this.#queue?.room ?? Infinity;
    if (files === Infinity) return Infinity;
    if (files === 0 && this.#isBig()) return 0;
    // After ALRM `current` is finished at the end of its line, which may be the
    // next byte.
    const room = this.#wanted && files > 0
      ? 1
      : Math.max(size - SLACK - this.#length, 1);
    return room + files * (size - SLACK);
  }

  /**
   * How many bytes can be appended before `current` has to be finished, which
   * takes steps that may fail; 0 also when a write has failed just now.
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
   * How many bytes there is room for on the log's disk; `Infinity` when that
   * isn't known.
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
    // When the last run left `current` big enough, it stays until a line comes.
    const due = (this.#grown || this.#wanted) && this.#isDue();
    return this.#hasRoom() && (due || this.untilDue() === 0);
  }

  /**
   * How long until `current` is old enough.
   *
   * @returns Milliseconds; -1 while time alone doesn't make `current` due: only
   * the next line does, or the end of a processor
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
   * @returns Whether {@linkcode LogDirectory.expire} is to be called. For a
   * minute after that call this is `false`
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
   * Finishes `current` now, unless it is empty: it becomes an old file, or waits
   * for the processor. If `current` ends inside a line, it is finished at the end
   * of that line; and if there is no room for another waiting file, as soon as
   * there is.
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
   * @returns Whether they are surely there. When the disk fails, there is a
   * warning, and all lines since the last success are in doubt: the kernel may
   * have dropped what it couldn't write, and even if the next sync succeeds, that
   * says nothing about them
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
    // First, whatever was asked for before is to be appended or finished.
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
    // Once for each file, and before its bytes, its name is synced.
    if (!this.#directory.isSynced(made)) {
      await this.#withDescriptors(async () => {
        if (stays()) await this.#syncNames(made);
      }, () => this.#rest());
    }
    if (stays()) {
      const done = await fsyncCopyAside(current);
      if (stays()) {
        if (done) this.#synced = Math.max(this.#synced, length);
        else this.#warnOfFailedSync(current);
        return done;
      }
      if (!done) this.#doubtful = true;
    }
    // The file was finished meanwhile: it is synced as one of these.
    await Promise.all(this.#finishing);
    return true;
  }

  /**
   * Warns that a sync has failed. The thread that made it doesn't say why, so
   * this syncs once more here, which fails for the same reason.
   */
  #warnOfFailedSync(fd: number): void {
    let reason = "";
    try {
      fsync(fd);
    } catch (error) {
      if (!(error instanceof SysError)) throw error;
      reason = `: ${error.message}`;
    }
    this.#retrier.warn(`unable to write ${this.path}/current to disk${reason}`);
  }

  /** A closed log's descriptors may belong to other files by now. */
  #assertOpen(): void {
    if (this.#closing) throw new Error(`${this.path} is closed`);
  }

  #insist<T>(step: () => T | Promise<T>, failure: string): Promise<T> {
    return this.#retrier.retry(step, failure);
  }

  /** Takes a step that syncs something again and again until it succeeds. */
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

  /** Syncs a file in a thread, while everything else goes on. */
  async #syncFile(fd: number, name: string): Promise<void> {
    if (await fsyncAside(fd)) return;
    await this.#syncAgain(() => fsync(fd), `${this.path}/${name}`);
  }

  /**
   * Syncs the directory, unless the change with this number is on the disk
   * already. The directory of one of many logs has its own name synced first. A
   * directory that was moved isn't this log's any more, so it isn't synced.
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
      // Once for all files that wait for it.
      await (this.#syncingAgain ??= this.#syncAgain(
        () => directory.isElsewhere() || directory.sync(),
        path,
      ).finally(() => this.#syncingAgain = undefined));
    }
  }

  /** Syncs again what couldn't be synced in a thread; see {@linkcode syncAgain}. */
  async #syncAgain(sync: () => boolean | void, what: string): Promise<void> {
    await this.#insistOnSync(
      syncAgain(sync),
      `unable to write ${what} to disk`,
    );
  }

  /** Waits until all finished files are complete. */
  async #finished(): Promise<void> {
    while (this.#finishing.size > 0) await Promise.all(this.#finishing);
  }

  /** Syncs `current`, and gives it the mode that says so. */
  async #complete(): Promise<void> {
    // A `current` that the last run left complete, and that no line has come to
    // since, is on the disk already.
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
   * Takes a step that changes names, or syncs them. One of many logs waits until
   * it may have descriptors for that, and gives them back after it.
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
   * Takes the steps 1 and 2 at the top of this file; steps 3 to 5 go on while the
   * next lines are written. One of many logs waits for these, too: the disk has
   * enough to do, and there are few descriptors.
   *
   * @returns Whether the directory is still there
   */
  async #finishCurrent(): Promise<boolean> {
    const { path } = this;
    const large = this.#settings.size > LARGE;
    const most = large ? MOST_FINISHING_LARGE : this.#mostFinishing;
    // They end in the order in which they began.
    while (this.#finishing.size >= most) await oldest(this.#finishing);
    if (this.#siblings && await this.#isElsewhere()) {
      // The directory was moved: there this `current` is the last file.
      await this.#complete();
      return false;
    }
    const name = await this.#insist(
      () => this.#old.nextName(UNPROCESSED),
      `unable to read ${path}`,
    );
    const before = this.#lastFinishing;
    const finishing = Promise.withResolvers<void>();
    this.#finishing.add(finishing.promise);
    this.#renaming = true;
    this.#old.begin(name);
    const renamed = await this.#rename(name);
    const file = this.#current;
    /** How many still need the descriptor: the syncing, and this function. */
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
      this.#lastFinishing = finishing.promise;
    } else {
      this.#old.finish(name, undefined);
      end();
      if (renamed === undefined) {
        this.#renaming = false;
        return true;
      }
      if (this.#isLost(true)) return false;
    }
    // A caller was told that some of these lines are on the disk; see step 2.
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

  /** Takes the steps 3 to 5 at the top of this file. */
  async #finish(
    fd: number,
    name: string,
    before: Promise<void> | undefined,
    release: () => void,
  ): Promise<void> {
    const { path } = this;
    const change = this.#directory.changes;
    const unsynced = this.#synced < this.#length;
    await this.#syncNames(change);
    if (unsynced) await this.#syncFile(fd, name);
    // Files become complete, and wait, in the order in which they were written.
    await before;
    await this.#insist(
      () => fchmod(fd, MODE_COMPLETE),
      `unable to set mode of ${path}/${name}`,
    );
    // The steps after this one may need a descriptor.
    release();
    await this.#insist(() => {
      const last = this.#queue ? name : this.#old.processedName(name);
      const there = last === name || this.#directory.rename(name, last);
      this.#old.finish(name, there ? last : undefined);
    }, `unable to rename ${path}/${name}`);
    // The processor first: while it starts, old files are removed.
    this.#queue?.add();
    await this.#insist(
      () => this.#old.trim(this.#queue?.working),
      `unable to remove from ${path}`,
    );
    // The timer is set anew, since one more file may get too old. A queue has
    // called this already.
    if (this.#queue === undefined) this.#wake();
  }

  /**
   * Renames `current`.
   *
   * @returns Whether it was there; `undefined` when it can't be renamed, and the
   * program is to end
   */
  async #rename(name: string): Promise<boolean | undefined> {
    while (true) {
      try {
        return this.#directory.rename("current", name);
      } catch (error) {
        if (!(error instanceof SysError)) throw error;
        if (this.#terminating) {
          this.#stuck = true;
          try {
            fchmod(this.#current, MODE_RUNNING);
          } catch (error) {
            // Lines go into it all the same.
            if (!(error instanceof SysError)) throw error;
          }
          return undefined;
        }
        await this.#retrier.pause(
          `unable to rename ${this.path}/current, pausing: ${error.message}`,
        );
      }
    }
  }

  /**
   * Makes a new `current`.
   *
   * @returns Its descriptor; `undefined` when the directory is gone
   */
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

  /** Whether the directory was moved or removed. */
  #isElsewhere(): Promise<boolean> {
    return this.#insist(
      () => this.#directory.isElsewhere(),
      `unable to open directory ${this.path}`,
    );
  }

  /**
   * Whether the directory was removed. Since every write asks this, it is checked
   * only now and then.
   *
   * @param now Whether it is checked in any case
   */
  #isLost(now = false): boolean {
    const time = performance.now();
    if (!now && time < this.#checkAt) return false;
    try {
      if (stat("", this.#current)?.nlink === 0 && this.#directory.isGone()) {
        return true;
      }
    } catch (error) {
      // Where that can't be seen, what comes next fails, too, and is retried.
      if (!(error instanceof SysError)) throw error;
    }
    this.#checkAt = time + CHECK_DIRECTORY;
    return false;
  }

  /**
   * Makes the directory again, which somebody has removed or moved. After a
   * removal the new `current` gets the lines of the former one.
   *
   * @throws {StartError} When it can't be made, and the program is to end
   */
  async #remake(): Promise<void> {
    const { path } = this;
    await this.#finished();
    const lost = this.#current;
    // A `current` that was moved still has a name, and its lines.
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
   * What goes on while lines are written: processing, or else syncing a finished
   * file. It ends only when the event loop turns.
   *
   * @returns A promise that is kept at its end; `undefined` when nothing goes on
   */
  processing(): Promise<void> | undefined {
    return this.#queue?.work ?? oldest(this.#finishing);
  }

  /** Finishes `current` when that is {@linkcode LogDirectory.due}. */
  async attend(): Promise<void> {
    if (this.due()) await this.rotate();
  }

  /**
   * Prepares for the end of the program: a running processor is ended within 5
   * seconds, and waiting files stay for the next run. The caller calls
   * {@linkcode LogDirectory.close} next.
   */
  terminate(): void {
    this.#terminating = true;
    this.#retrier.hurry();
    this.#queue?.stop();
  }

  /**
   * Ends the log well: waits until all waiting files are processed, syncs
   * `current`, and marks it complete, so that the next run continues it.
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
    // It stays parked when another process has it: that process has tidied up.
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

function oldest(all: ReadonlySet<Promise<void>>): Promise<void> | undefined {
  return all.values().next().value;
}

/** A directory that this process has locked, and the lock's descriptor. */
interface Locked {
  readonly fd: number;
  readonly lock: number;
}

/**
 * Opens a directory, and makes it when there is none.
 *
 * @param path The directory's name
 * @param siblings What syncs the name of a new directory later; without it, the
 * name is synced here
 * @returns The directory's descriptor
 * @throws {StartError} When the directory can't be made, opened or synced
 */
export function openMade(path: string, siblings?: Siblings): number {
  let missing = false;
  let unmade: SysError | undefined;
  try {
    // Looking first is faster than an exception when it exists.
    missing = stat(path) === undefined;
    if (missing && siblings === undefined) mkdir(path, 0o700);
  } catch (error) {
    // Opening it, which comes next, reports what is wrong.
    if (!(error instanceof SysError)) throw error;
    missing = false;
    // But it would know nothing of a disk that takes no new directory.
    if (["EROFS", "ENOSPC", "EDQUOT"].includes(error.code)) unmade = error;
  }
  if (missing && siblings !== undefined) {
    startStep(() => siblings.mkdir(path), `unable to make directory ${path}`);
  }
  const fd = startStep(
    () => {
      if (unmade) throw unmade;
      return openDirectory(path);
    },
    `unable to open directory ${path}`,
    path,
  );
  try {
    // The process that made it may have been killed before it synced the name.
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

/** Opens a directory, makes it when there is none, and takes its lock. */
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

/** Whether no log was ever opened in a directory, as far as can be seen. */
function isNew(fd: number): boolean {
  try {
    return stat("lock", fd) === undefined;
  } catch (error) {
    if (!(error instanceof SysError)) throw error;
    return true;
  }
}

/** Syncs a new directory's own name, which is in its parent. */
function syncParent(fd: number): void {
  let parent: number;
  try {
    parent = open("..", "read", 0, fd);
  } catch (error) {
    // This process may make directories there, but not read the parent.
    if (error instanceof SysError && error.code === "EACCES") return;
    throw error;
  }
  try {
    fsyncDirectory(parent);
  } finally {
    close(parent);
  }
}

/**
 * An automatically rotated log: a directory with `current`, the old files, and
 * what a processor needs.
 *
 * Each file goes through the same steps, in this order; a program that is
 * killed behind any of them leaves what {@linkcode LogDirectory.open} can tell
 * apart. Without a processor:
 *
 * 1. `current` is synced: its bytes are on the disk.
 * 2. `current` gets mode 0744: it is complete. (Found now, it is continued.)
 * 3. `current` is renamed to `@….s`. (Found now, there is no `current`.)
 * 4. the directory is synced, so that the rename is on the disk too.
 * 5. old files go while there are too many, and a new `current` is made.
 *
 * With a processor, 3 to 5 are:
 *
 * 3. `current` is renamed to `previous`; the directory is synced; a new
 *    `current` is made, and `previous` gets mode 0744.
 * 4. the processor reads `previous` and writes `processed`. (Found now,
 *    `processed` goes and `previous` becomes `@….u`.) Lines go on into the new
 *    `current` meanwhile.
 * 5. `processed` is synced and gets mode 0744. (Found from now on, it becomes
 *    `@….s`, and `previous` goes.) `newstate` is synced.
 * 6. `previous` is removed.
 * 7. `newstate` is renamed to `state`.
 * 8. `processed` is renamed to `@….s`; the directory is synced; old files go
 *    while there are too many.
 *
 * `current` never gets mode 0744 while `previous` is there, so the mode alone
 * says whether the last run ended well.
 *
 * @module
 */
import { type Bytes, fromLatin1, latin1, NEWLINE } from "../bytes.ts";
import {
  close,
  fchmod,
  flock,
  fsync,
  fsyncDirectory,
  read,
  write,
} from "../sys/descriptors.ts";
import { readClock } from "../sys/clock.ts";
import { errorNumber, SysError } from "../sys/errors.ts";
import {
  chmod,
  type FileInfo,
  mkdir,
  type Name,
  open,
  openDirectory,
  readdir,
  rename,
  stat,
  unlink,
} from "../sys/files.ts";
import { label, LABEL_LENGTH, type Moment, parseLabel } from "../tai64n.ts";
import { checkSettings, type LogSettings } from "./settings.ts";
import { type Retrier, startStep } from "./retrier.ts";

/** A file that ends in a newline may be this much smaller than its size. */
const SLACK = 2000;
/** `current` while lines are written to it. */
const MODE_RUNNING = 0o644;
/** A file that is complete and on the disk. */
const MODE_COMPLETE = 0o744;
const COMPLETE_BIT = 0o100;
/** Names of old files begin with `@` and have at least this many bytes. */
const OLD_NAME_LENGTH = LABEL_LENGTH;
/** Times in names that are taken seriously, in seconds since 1970. */
const LAST_SECOND = 2 ** 40;

/**
 * Whether a name is an old file's.
 *
 * @param name The name
 * @returns Whether it is
 */
export function isOld(name: string): boolean {
  return name.length >= OLD_NAME_LENGTH && name[0] === "@";
}

/**
 * A log directory that this process writes to.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { Trouble } from "./trouble.ts";
 *
 * const dir = Deno.makeTempDirSync();
 * const settings = { size: 4096, keep: 5, processor: "", age: 0 };
 * const trouble = new Trouble(console.error);
 * const log = LogDirectory.open(`${dir}/log`, settings, trouble);
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
  readonly #trouble: Retrier;
  readonly #wake: () => void;
  readonly #fd: number;
  readonly #lock: number;
  #current = -1;
  /** How many bytes `current` has. */
  #bytes = 0;
  /** Whether `current` has got any of its bytes from this run. */
  #written = false;
  /** Whether the size says that `current` is big enough. */
  #full = false;
  /** Whether `current` ends inside a line. */
  #partial = false;
  /** Whether `current` is to be finished with the line that it ends in. */
  #wanted = false;
  /** When the oldest line of `current` came, on this process's own clock. */
  #oldest = 0;
  /** What is being done to `current`, and what waits for its turn behind it. */
  #busy: Promise<void> | undefined;
  /** The processor that runs, with all that follows it. */
  #processing: Promise<void> | undefined;
  /** The largest time in an old file's name, once that is known. */
  #newest: Moment | undefined;
  /** The failure that stopped {@linkcode LogDirectory.append}. */
  #failure: SysError | undefined;
  #closing: Promise<void> | undefined;

  private constructor(
    path: string,
    settings: Readonly<LogSettings>,
    trouble: Retrier,
    wake: () => void,
    fd: number,
    lockFd: number,
  ) {
    this.path = path;
    this.#settings = settings;
    this.#trouble = trouble;
    this.#wake = wake;
    this.#fd = fd;
    this.#lock = lockFd;
  }

  /**
   * Opens a log directory, making it where there is none, takes its lock, and
   * tidies up after a run that was cut off.
   *
   * @param path The directory's name
   * @param settings Its size, number of files, age and processor
   * @param trouble Where warnings go from now on
   * @param wake Called at the end of a processor: the log may be due now
   * @returns The open log
   * @throws {StartError} When another process is writing to it, or it can't be
   * used
   * @throws {RangeError} When the size or the number of files is none that a
   * script could give
   */
  static open(
    path: string,
    settings: Readonly<LogSettings>,
    trouble: Retrier,
    wake: () => void = () => {},
  ): LogDirectory {
    checkSettings(settings);
    try {
      // An exception takes longer than a look.
      if (stat(path) === undefined) mkdir(path, 0o700);
    } catch (error) {
      // Whatever is wrong, opening tells.
      if (!(error instanceof SysError)) throw error;
    }
    const fd = startStep(
      () => openDirectory(path),
      `unable to open directory ${path}`,
    );
    let lockFd = -1;
    try {
      startStep(() => {
        lockFd = open("lock", "append", 0o600, fd);
        flock(lockFd);
      }, `unable to lock directory ${path}`);
    } catch (error) {
      if (lockFd >= 0) close(lockFd);
      close(fd);
      throw error;
    }
    const log = new LogDirectory(path, settings, trouble, wake, fd, lockFd);
    try {
      log.#start();
    } catch (error) {
      log.#release();
      throw error;
    }
    return log;
  }

  /** Finds what the last run left; see the table at the top. */
  #start(): void {
    const { path } = this;
    const fd = this.#fd;
    const look = (name: string) =>
      startStep(() => stat(name, fd), `unable to stat ${path}/${name}`);
    const current = look("current");
    if (current && current.mode & COMPLETE_BIT) {
      this.#current = startStep(
        () => open("current", "append", 0o600, fd),
        `unable to append to ${path}/current`,
      );
      startStep(
        () => fchmod(this.#current, MODE_RUNNING),
        `unable to set mode of ${path}/current`,
      );
      this.#bytes = current.size;
      if (this.#settings.age > 0) {
        const age = Date.now() - 1000 * this.#oldestFound(current);
        this.#oldest = performance.now() - Math.max(age, 0);
      }
      return;
    }
    this.#discard("state");
    this.#discard("newstate");
    const processed = look("processed");
    if (processed && processed.mode & COMPLETE_BIT) {
      this.#discard("previous");
      this.#keepCutOff("processed", "s");
    } else {
      this.#discard("processed");
      this.#keepCutOff("previous", "u");
    }
    this.#keepCutOff("current", "u");
    close(startStep(
      () => open("state", "truncate", 0o644, fd),
      `unable to write to ${path}/state`,
    ));
    this.#current = startStep(
      () => open("current", "append", 0o600, fd),
      `unable to write to ${path}/current`,
    );
    startStep(
      () => fchmod(this.#current, MODE_RUNNING),
      `unable to set mode of ${path}/current`,
    );
    startStep(() => fsyncDirectory(fd), `unable to write ${path} to disk`);
  }

  /** Removes a file of the last run that may or may not be there. */
  #discard(name: string): void {
    startStep(
      () => removeIfThere(name, this.#fd),
      `unable to remove ${this.path}/${name}`,
    );
  }

  /**
   * Gives a file of the last run its old file's name, if it is there, and lets
   * the oldest ones go.
   */
  #keepCutOff(name: string, code: "s" | "u"): void {
    const { path } = this;
    const fd = this.#fd;
    const found = startStep(
      () => stat(name, fd),
      `unable to stat ${path}/${name}`,
    );
    if (!found) return;
    // The original links and then unlinks. Cut off in between, the file has
    // its new name already.
    if (found.nlink > 1 && this.#hasOldName(found.identity)) {
      this.#discard(name);
    } else {
      const newest = this.#newest ??= newestOf(this.#listed());
      startStep(
        () => renameIfFile(name, this.#nextName(code, newest), fd),
        `unable to rename ${path}/${name}`,
      );
    }
    const names = this.#listed();
    startStep(() => this.#trim(names), `unable to remove from ${path}`);
  }

  #hasOldName(identity: string): boolean {
    return this.#listed().some((name) =>
      isOld(name) && stat(name, this.#fd)?.identity === identity
    );
  }

  #listed(): string[] {
    return startStep(() => readdir(this.#fd), `unable to read ${this.path}`);
  }

  /**
   * When the first line of a `current` that is continued came, in seconds
   * since 1970: its label says when it has one. Else it was not before the
   * file was made, so the file is finished too early rather than too late.
   * Where no file system says that, it was when the file before was finished.
   */
  #oldestFound(current: FileInfo): number {
    const fd = startStep(
      () => open("current", "read", 0, this.#fd),
      `unable to read ${this.path}/current`,
    );
    const bytes = new Uint8Array(LABEL_LENGTH);
    const n = read(fd, bytes);
    close(fd);
    const stamp = parseLabel(latin1(bytes.subarray(0, Math.max(n, 0))));
    if (stamp !== undefined) return stamp.seconds;
    if (current.birthtime !== undefined) return current.birthtime;
    this.#newest ??= newestOf(this.#listed());
    return this.#newest.seconds || current.mtime;
  }

  /**
   * The name for the next old file. It sorts behind all that are there, also
   * when the clock stands still or has been set back.
   */
  #nextName(code: "s" | "u", newest: Moment): string {
    let moment = readClock();
    if (!isLater(moment, newest)) {
      const { seconds, nanoseconds } = newest;
      moment = nanoseconds >= 999999999
        ? { seconds: seconds + 1, nanoseconds: 0 }
        : { seconds, nanoseconds: nanoseconds + 1 };
    }
    this.#newest = moment;
    return `${label(moment)}.${code}`;
  }

  /** Removes the old files with the smallest names while there are too many. */
  #trim(names: readonly string[]): void {
    const { keep } = this.#settings;
    const old = names.filter(isOld).sort();
    for (const name of old.slice(0, Math.max(old.length - keep + 1, 0))) {
      removeIfThere(fromLatin1(name), this.#fd);
    }
  }

  /**
   * Appends bytes, finishing files on the way.
   *
   * @param bytes Where they are, in memory that isn't shared between threads;
   * not to be changed before this is done
   * @param from The offset of the first
   * @param to The offset behind the last
   * @returns A promise when it couldn't be done at once: a file is being
   * finished, or the disk made trouble. What is appended, or asked for, before
   * it is done comes behind it
   * @throws {Error} When the log is closed
   */
  append(
    bytes: Uint8Array,
    from = 0,
    to: number = bytes.length,
  ): Promise<void> | undefined {
    this.#assertOpen();
    const own = bytes as Bytes;
    if (this.#busy) {
      return this.#inTurn(() =>
        this.#takeRest(own, this.#take(own, from, to), to)
      );
    }
    const at = this.#take(own, from, to);
    return at === to
      ? undefined
      : this.#inTurn(() => this.#takeRest(own, at, to));
  }

  /** Does one thing to `current` behind the other. */
  async #inTurn(step: () => Promise<void>): Promise<void> {
    const before = this.#busy;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#busy = promise;
    try {
      await before;
      await step();
    } finally {
      if (this.#busy === promise) this.#busy = undefined;
      resolve();
    }
  }

  /**
   * Writes as far as it goes without waiting: until a file is finished, or
   * trouble comes. Where a file is cut depends on the bytes alone, not on how
   * many come at once.
   */
  #take(bytes: Bytes, at: number, to: number): number {
    const { size } = this.#settings;
    while (at < to && !this.#full) {
      const room = size - this.#bytes;
      if (room <= 0) {
        this.#full = true;
        break;
      }
      let end = Math.min(to, at + room);
      const least = this.#wanted ? 0 : room - SLACK;
      if (end - at >= least) {
        const newline = bytes.indexOf(NEWLINE, at + Math.max(least - 1, 0));
        if (newline >= 0 && newline < end) end = newline + 1;
      }
      const n = write(this.#current, bytes.subarray(at, end));
      if (n < 0) {
        this.#failure = new SysError(-n);
        break;
      }
      if (this.#bytes === 0 && n > 0) this.#oldest = performance.now();
      this.#bytes += n;
      at += n;
      this.#written = true;
      this.#partial = bytes[at - 1] !== NEWLINE;
      this.#full = this.#bytes >= size || !this.#partial &&
          (this.#wanted || this.#bytes >= size - SLACK);
    }
    return at;
  }

  async #takeRest(bytes: Bytes, at: number, to: number): Promise<void> {
    while (at < to) {
      if (this.#failure) {
        await this.#trouble.pause(
          `unable to write to ${this.path}/current, pausing: ` +
            this.#failure.message,
        );
        this.#failure = undefined;
      } else await this.#rotate();
      at = this.#take(bytes, at, to);
    }
  }

  /**
   * How much there is room for that won't have to wait for a processor.
   *
   * @returns Bytes: 0 while a full `current` waits for the processor of the file
   * before; `Infinity` without a processor
   */
  room(): number {
    const { size, processor } = this.#settings;
    if (processor === "") return Infinity;
    if (this.#processing && this.#full) return 0;
    // The line that it ends in may end with the next byte.
    const room = this.#wanted ? 1 : Math.max(size - SLACK - this.#bytes, 1);
    // One more file, where the processor is free for this one.
    return this.#processing ? room : room + size - SLACK;
  }

  /**
   * Whether `current` is big enough, or old enough, and can be finished
   * without waiting for a processor.
   *
   * @returns Whether {@linkcode LogDirectory.rotate} is to be called
   */
  due(): boolean {
    return this.#processing === undefined &&
      (this.#full || this.untilDue() === 0);
  }

  /**
   * How long until `current` is old enough.
   *
   * @returns Milliseconds; -1 while nothing but a line, or a processor's end,
   * can make a difference
   */
  untilDue(): number {
    const { age } = this.#settings;
    if (age === 0 || this.#bytes === 0 || this.#processing) return -1;
    if (this.#wanted) return -1;
    return Math.max(this.#oldest + 1000 * age - performance.now(), 0);
  }

  /**
   * Finishes `current` now, unless it is empty: it becomes an old file, or
   * goes to the processor. A line that isn't all there yet is not cut: then it
   * happens at that line's end. Waits for a processor that is still running, but
   * not for the one that it starts.
   *
   * @throws {Error} When the log is closed
   */
  async rotate(): Promise<void> {
    this.#assertOpen();
    await this.#inTurn(() => this.#rotate());
  }

  /** Afterwards its descriptors may be anybody's. */
  #assertOpen(): void {
    if (this.#closing) throw new Error(`${this.path} is closed`);
  }

  async #rotate(): Promise<void> {
    const { path } = this;
    const fd = this.#fd;
    if (this.#bytes === 0) return;
    if (this.#partial && !this.#full) {
      this.#wanted = true;
      return;
    }
    await this.#processing;
    await this.#complete();
    close(this.#current);
    this.#current = -1;
    if (this.#settings.processor === "") {
      await this.#becomeOld("current");
      await this.#create();
      return;
    }
    await this.#insist(
      () => renameIfFile("current", "previous", fd),
      `unable to rename current to previous in directory ${path}`,
    );
    await this.#syncDirectory();
    await this.#create();
    await this.#insist(
      () => setModeIfThere("previous", MODE_COMPLETE, fd),
      `unable to set mode of ${path}/previous`,
    );
    this.#processing = this.#process().finally(() => {
      this.#processing = undefined;
      this.#wake();
    });
  }

  #insist<T>(step: () => T, failure: string): Promise<T> {
    return this.#trouble.retry(step, failure);
  }

  async #syncDirectory(): Promise<void> {
    await this.#insist(
      () => fsyncDirectory(this.#fd),
      `unable to write ${this.path} to disk`,
    );
  }

  /** Syncs `current` and says so by its mode. */
  async #complete(): Promise<void> {
    // What the last run left complete, and nothing has come to, is on the disk.
    if (this.#written) {
      await this.#insist(
        () => fsync(this.#current),
        `unable to write ${this.path}/current to disk`,
      );
    }
    await this.#insist(
      () => fchmod(this.#current, MODE_COMPLETE),
      `unable to set mode of ${this.path}/current`,
    );
  }

  async #create(): Promise<void> {
    const { path } = this;
    this.#current = await this.#insist(
      () => open("current", "append", 0o600, this.#fd),
      `unable to create ${path}/current`,
    );
    await this.#insist(
      () => fchmod(this.#current, MODE_RUNNING),
      `unable to set mode of ${path}/current`,
    );
    this.#bytes = 0;
    this.#full = false;
    this.#partial = false;
    this.#wanted = false;
    this.#written = false;
  }

  /** Gives a complete file its last name, and lets the oldest ones go. */
  async #becomeOld(name: "current" | "processed"): Promise<void> {
    const { path } = this;
    const fd = this.#fd;
    const newest = this.#newest ??= newestOf(
      await this.#insist(() => readdir(fd), `unable to read ${path}`),
    );
    await this.#insist(
      () => renameIfFile(name, this.#nextName("s", newest), fd),
      `unable to rename ${path}/${name}`,
    );
    await this.#syncDirectory();
    const names = await this.#insist(
      () => readdir(fd),
      `unable to read ${path}`,
    );
    await this.#insist(
      () => this.#trim(names),
      `unable to remove from ${path}`,
    );
  }

  /** Runs the processor on `previous` until it succeeds; see the table. */
  async #process(): Promise<void> {
    const { path } = this;
    const fd = this.#fd;
    // Loaded when it is needed: most logs have no processor, and a program
    // that starts in milliseconds notices three files.
    const { runProcessor } = await import("./run_processor.ts");
    const { processor } = this.#settings;
    if (!await runProcessor(processor, fd, path, this.#trouble)) {
      for (const name of ["processed", "newstate"]) {
        await this.#insist(
          () => removeIfThere(name, fd),
          `unable to remove ${path}/${name}`,
        );
      }
      return;
    }
    await this.#insist(() => {
      const processed = open("processed", "append", 0o600, fd);
      try {
        fsync(processed);
        fchmod(processed, MODE_COMPLETE);
        // The mode says more than the bytes do: it has to be there after an
        // outage, before `previous` goes.
        fsync(processed);
      } finally {
        close(processed);
      }
    }, `unable to write ${path}/processed to disk`);
    await this.#insist(() => {
      const newstate = open("newstate", "append", 0o600, fd);
      try {
        fsync(newstate);
      } finally {
        close(newstate);
      }
    }, `unable to write ${path}/newstate to disk`);
    await this.#insist(
      () => removeIfThere("previous", fd),
      `unable to remove ${path}/previous`,
    );
    await this.#insist(
      () => renameIfFile("newstate", "state", fd),
      `unable to rename newstate to state in directory ${path}`,
    );
    await this.#becomeOld("processed");
  }

  /**
   * The end of the processor that is running.
   *
   * @returns A promise of it; `undefined` when none is running
   */
  processing(): Promise<void> | undefined {
    return this.#processing;
  }

  /**
   * Ends the log well: waits for the processor, syncs `current` and marks it
   * complete, so that the next run continues it.
   */
  close(): Promise<void> {
    return this.#closing ??= this.#inTurn(() => this.#close());
  }

  async #close(): Promise<void> {
    if (this.#full) await this.#rotate();
    await this.#processing;
    await this.#complete();
    this.#release();
  }

  #release(): void {
    if (this.#current >= 0) close(this.#current);
    this.#current = -1;
    close(this.#fd);
    close(this.#lock);
  }
}

/** Removes a file; somebody else may have done it. */
function removeIfThere(name: Name, directory: number): void {
  try {
    unlink(name, directory);
  } catch (error) {
    if (!(error instanceof SysError) || error.code !== "ENOENT") throw error;
  }
}

/**
 * Renames a file of ours. Where somebody has removed it, its lines went with
 * it and waiting brings none back; where a directory stands in its place,
 * renaming that would only hide the trouble.
 */
function renameIfFile(from: Name, to: Name, directory: number): void {
  const found = stat(from, directory);
  if (found === undefined) return;
  if (found.isDirectory) {
    throw new SysError(errorNumber("EISDIR"));
  }
  rename(from, to, directory);
}

/** Sets a file's mode; somebody may have removed it. */
function setModeIfThere(name: Name, mode: number, directory: number): void {
  try {
    chmod(name, mode, directory);
  } catch (error) {
    if (!(error instanceof SysError) || error.code !== "ENOENT") throw error;
  }
}

/** The largest time in the names of old files. */
function newestOf(names: readonly string[]): Moment {
  let newest: Moment = { seconds: 0, nanoseconds: 0 };
  for (const name of names.filter(isOld)) {
    const moment = parseLabel(name);
    // A name made up by hand may say a time for which there is no next label.
    if (moment === undefined || moment.seconds >= LAST_SECOND) continue;
    if (isLater(moment, newest)) newest = moment;
  }
  return newest;
}

function isLater(a: Moment, b: Moment): boolean {
  return a.seconds > b.seconds ||
    a.seconds === b.seconds && a.nanoseconds > b.nanoseconds;
}

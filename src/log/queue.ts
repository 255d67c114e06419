/**
 * The files that wait for a log's processor, and the one that it is reading.
 *
 * @module
 */
import type { Bytes } from "../bytes.ts";
import { handleUncaught, inOneLine } from "../program.ts";
import { close, fchmod, fsync, ftruncate, Opened } from "../sys/descriptors.ts";
import { SysError } from "../sys/errors.ts";
import { syncAgain } from "../sys/fsync_aside.ts";
import { readAll } from "../sys/read_all.ts";
import { describeSignal } from "../sys/signals.ts";
import { writeAll } from "../sys/write_all.ts";
import type { Directory } from "./directory.ts";
import { FailureFile } from "./failure.ts";
import { MODE_COMPLETE, MODE_RUNNING } from "./names.ts";
import type { OldFiles } from "./old_files.ts";
import type {
  ExitStatus,
  FindProcessor,
  Processor,
  ProcessorJob,
  RunningProcessor,
} from "./processor.ts";
import { PAUSE, type Retrier } from "./retrier.ts";
import type { LogSettings } from "./settings.ts";

/** The longest pause after failures, in milliseconds. */
const LONGEST_PAUSE = 60_000;
/** How long a processor may go on when the log is to end, in milliseconds. */
const TIME_TO_FINISH = 3000;
/** How long after that, and TERM, it is sent KILL, in milliseconds. */
const TIME_TO_DIE = 1000;
/** How long it is waited for after KILL, in milliseconds. */
const TIME_TO_REAP = 400;
/**
 * For how many milliseconds the log waits for the processor of a file, when the
 * processor has succeeded on the file before it, although there is no room for
 * another waiting file and the oldest one may be removed or kept. A burst of
 * lines isn't an outage.
 */
const PATIENCE = 1000;
/**
 * The name under which a new `state` is written, before it replaces the one that
 * a processor may have open.
 */
const KEPT_STATE = "keptstate";

/** Why a run of a processor isn't a success. */
interface Failure {
  /** The warning. */
  readonly message: string;
  /** Why it failed, in words, for `multilog --status`. */
  readonly cause: string;
}

/** Thrown where a step would have to wait, while the log is to end. */
class Stopped extends Error {}

/** One of a job's files isn't there for it; the message says why not. */
class JobFileError extends Error {
  readonly deed: string;
  readonly file: string;

  constructor(deed: string, file: string, { message }: SysError) {
    super(message);
    this.deed = deed;
    this.file = file;
  }
}

/** Takes a step with a file. */
function withFile<T>(deed: string, file: string, take: () => T): T {
  try {
    return take();
  } catch (error) {
    if (!(error instanceof SysError)) throw error;
    throw new JobFileError(deed, file, error);
  }
}

/** How the processors of many logs take turns. */
export interface Turns {
  /**
   * Waits for this log's turn. Until the log gives it back, its descriptors stay
   * open; without a turn the log may be parked, and be another process's.
   *
   * @returns Whether it is this log's turn; otherwise the program is to end
   */
  take(): Promise<boolean>;
  /** Gives the turn back. */
  give(): void;
}

/**
 * A log's queue. It takes the steps 6 to 11 at the top of `log_directory.ts` with
 * each file.
 */
export class Queue {
  readonly #directory: Directory;
  readonly #old: OldFiles;
  readonly #settings: Readonly<LogSettings>;
  readonly #retrier: Retrier;
  readonly #wake: () => void;
  readonly #turns: Turns | undefined;
  #processor: Processor | undefined;
  /** Ends when no file waits any more, or the queue is stopped. */
  #work: Promise<void> | undefined;
  /** The file that is being processed. */
  #name: string | undefined;
  #running: RunningProcessor | undefined;
  /** Ends the wait for a processor that even KILL hasn't ended. */
  #abandon = () => {};
  /** Ends the wait for a processor that runs inside, and has thrown an error. */
  #fault = (_error: unknown) => {};
  readonly #stopHandlingUncaught: () => void;
  readonly #failureFile: FailureFile;
  /** Whether the last run may have left `processed` and `newstate`. */
  #leftFiles = false;
  #stopping = false;
  #pausing = false;
  /** Whether the last file was processed, and not kept unsent. */
  #succeeding = true;
  /** When the processor began its file, on this process's own clock. */
  #began = 0;
  /** Wakes the log when {@linkcode PATIENCE} is over. */
  #timer: number | undefined;
  /** Whether other logs' processors have to end before this one's may start. */
  #waitsForTurn = false;
  /** Whether the processor has succeeded, and steps 7 to 11 are being taken. */
  #completing = false;
  /** A sync of the names that goes on while the next file is processed. */
  #syncing: Promise<void> | undefined;
  /**
   * Resolved when a file has come to the queue, is about to be processed, or has
   * left the queue.
   */
  #change = Promise.withResolvers<void>();
  /** Ends when the file that is being kept without a try has been kept. */
  #keeping: Promise<void> | undefined;
  /**
   * The notices of files that were kept while a processor ran. They are appended
   * to the `newstate` that it leaves.
   */
  #keptNotices: Bytes = new Uint8Array(0);

  constructor(
    directory: Directory,
    old: OldFiles,
    settings: Readonly<LogSettings>,
    retrier: Retrier,
    wake: () => void,
    find: FindProcessor | undefined,
    turns: Turns | undefined,
  ) {
    this.#turns = turns;
    this.#directory = directory;
    this.#old = old;
    this.#settings = settings;
    this.#retrier = retrier;
    this.#wake = wake;
    this.#failureFile = new FailureFile(directory);
    this.#processor = find?.(settings.processor);
    this.#stopHandlingUncaught = find === undefined
      ? () => {}
      : handleUncaught((error) => this.#handleUncaught(error));
  }

  /**
   * Takes an error that nothing has caught for the failure of the processor that
   * runs inside. It can come from nowhere else, since this program itself awaits
   * all that it does.
   */
  #handleUncaught(error: unknown): boolean {
    if (this.#running === undefined) return false;
    this.#kill("SIGKILL");
    this.#fault(error);
    return true;
  }

  /** Ends the queue's use, after its work has ended. */
  close(): void {
    this.#stopHandlingUncaught();
  }

  /** How many files can be finished without waiting for a processor. */
  get room(): number {
    if (this.#stopping) return Infinity;
    return this.#old.room || (this.#canMakeRoom ? Infinity : 0);
  }

  /** Whether the oldest file is removed or kept to make room for another one. */
  get #canMakeRoom(): boolean {
    const may = this.#settings.discard === true ||
      this.#processor?.keepsUnsent === true;
    return may && !this.#isPatient();
  }

  /** Whether the processor is likely to make room soon; see PATIENCE. */
  #isPatient(): boolean {
    if (!this.#succeeding || !this.working) return false;
    const left = this.#began + PATIENCE - performance.now();
    if (left <= 0) return false;
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#changed();
    }, left + 1);
    return true;
  }

  /** A promise of the end of all work; `undefined` when no file waits. */
  get work(): Promise<void> | undefined {
    return this.#work;
  }

  /** Whether files are being processed, rather than waiting for a pause to end. */
  get working(): boolean {
    return this.#work !== undefined && !this.#pausing;
  }

  /** Has a file processed that has just become complete. */
  add(): void {
    this.#changed();
    this.start();
  }

  /** Has the waiting files processed. */
  start(): void {
    if (this.#work || this.#stopping) return;
    if (this.#old.waiting.count === 0 && !this.#old.incomplete) return;
    this.#began = performance.now();
    this.#work = this.#processAll().finally(() => {
      this.#work = undefined;
      this.#changed();
      // Files may have come in the meantime.
      this.start();
    });
  }

  /**
   * Starts no more processors, and ends a running one after a few seconds. Its
   * file, and all waiting ones, stay for the next run.
   */
  stop(): void {
    if (this.#stopping) return;
    this.#stopping = true;
    if (this.#timer !== undefined) clearTimeout(this.#timer);
    this.#retrier.hurry();
    this.#changed();
    if (this.#work === undefined) return;
    const dead = TIME_TO_FINISH + TIME_TO_DIE;
    const timers = [
      setTimeout(() => this.#kill("SIGTERM"), TIME_TO_FINISH),
      setTimeout(() => this.#kill("SIGKILL"), dead),
      setTimeout(() => this.#abandon(), dead + TIME_TO_REAP),
    ];
    this.#work.finally(() => timers.forEach(clearTimeout));
  }

  #kill(signal: "SIGTERM" | "SIGKILL"): void {
    try {
      this.#running?.kill(signal);
    } catch {
      // A fault of a processor that runs inside doesn't end the log.
    }
  }

  #changed(): void {
    this.#change.resolve();
    this.#change = Promise.withResolvers();
    this.#wake();
  }

  /** Waits until there is room for another waiting file, or makes room. */
  async makeRoom(): Promise<void> {
    while (this.#old.full && !this.#stopping) {
      const count = this.#old.waiting.count + this.#old.unsynced;
      const names = this.#old.waiting.names();
      this.start();
      // The file that is being processed goes last: rather than that one, a file
      // that is still being synced, as soon as it waits.
      const oldest = names.find((name) => name !== this.#name) ??
        (this.#old.unsynced > 0 ? undefined : names[0]);
      // The next file to be processed may not have been chosen yet.
      const choosing = this.working && this.#name === undefined &&
        !this.#waitsForTurn;
      if (
        oldest === undefined || !this.#canMakeRoom || this.#completing ||
        choosing
      ) {
        await this.#change.promise;
      } else if (this.#settings.discard) {
        await this.#discard(oldest);
      } else {
        this.#keeping = this.#keep(oldest, `${count} files wait`)
          // When the log is to end, the file goes on waiting.
          .catch(unlessStopped);
        await this.#keeping;
        this.#keeping = undefined;
      }
    }
  }

  async #discard(name: string): Promise<void> {
    const { path } = this.#directory;
    let size: number;
    try {
      size = this.#directory.stat(name)?.size ?? 0;
    } catch (error) {
      if (!(error instanceof SysError)) throw error;
      return await this.#retrier.pause(
        `unable to stat ${path}/${name}, pausing: ${error.message}`,
      );
    }
    // The warning comes first: a kill between the two may leave a file that was
    // said to be removed, but never removes one without a word.
    this.#retrier.warn(
      `too many files wait in ${path}, removed unsent: ${name}, ${size} bytes`,
    );
    try {
      this.#directory.unlink(name);
      this.#old.gone(name);
    } catch (error) {
      if (!(error instanceof SysError)) throw error;
      this.#old.setAside(name, `remove ${path}/${name}: ${error.message}`);
    }
  }

  async #processAll(): Promise<void> {
    let failures = 0;
    try {
      while (!this.#stopping) {
        if (!await this.#takeTurn()) break;
        let failure: Failure | undefined;
        try {
          const name = await this.#following();
          if (name === undefined) {
            this.#failureFile.clear();
            break;
          }
          failure = await this.#try(name);
        } finally {
          this.#name = undefined;
          this.#turns?.give();
        }
        if (failure === undefined) failures = 0;
        else await this.#pause(failure, failures++);
      }
    } catch (error) {
      if (!(error instanceof Stopped)) throw error;
    }
    this.tidy();
    await this.#keeping;
    await this.#syncing;
  }

  /** Waits for this log's turn; `false` when the program is to end instead. */
  async #takeTurn(): Promise<boolean> {
    if (this.#turns === undefined) return true;
    this.#waitsForTurn = true;
    try {
      return await this.#turns.take();
    } finally {
      this.#waitsForTurn = false;
    }
  }

  /**
   * Tries to have a file processed.
   *
   * @returns `undefined` after success
   */
  async #try(name: string): Promise<Failure | undefined> {
    let failure: Failure | undefined;
    try {
      this.#name = name;
      this.#changed();
      this.#leftFiles = true;
      failure = await this.#process(name);
    } catch (error) {
      if (error instanceof Stopped) throw error;
      // Not even a bug of this program ends the log.
      failure = this.#failed(error);
    }
    this.#name = undefined;
    this.#began = performance.now();
    if (failure === undefined) {
      this.#leftFiles = false;
      this.#changed();
      return undefined;
    }
    this.#succeeding = false;
    if (this.#stopping) return failure;
    const { message, cause } = failure;
    this.#failureFile.write(cause);
    const count = this.#old.waiting.count;
    let waiting = `${count} ${count === 1 ? "file" : "files"}`;
    try {
      waiting += `, ${this.#old.waitingBytes()} bytes`;
    } catch (error) {
      if (!(error instanceof SysError)) throw error;
    }
    this.#pausing = true;
    await this.#trim();
    return { message: `${message}; waiting: ${waiting}`, cause };
  }

  /**
   * The next file to be processed. It isn't processed while another one is being
   * kept: its processor would read the `state` without that one's notice, and
   * leave a `newstate` without it.
   */
  async #following(): Promise<string | undefined> {
    let name: string | undefined;
    do {
      await this.#keeping;
      name = await this.#next();
    } while (this.#keeping !== undefined);
    return name;
  }

  /** Removes the files that a processor without success has left. */
  tidy(): void {
    if (!this.#leftFiles) return;
    this.#leftFiles = false;
    const { path } = this.#directory;
    for (const name of ["newstate", "processed"]) {
      try {
        this.#directory.unlink(name);
      } catch (error) {
        if (!(error instanceof SysError)) throw error;
        this.#retrier.warn(
          `unable to remove ${path}/${name}: ${error.message}`,
        );
      }
    }
  }

  async #pause({ message }: Failure, failures: number): Promise<void> {
    if (this.#stopping) return;
    await this.#retrier.pause(
      message,
      Math.min(PAUSE * 2 ** failures, LONGEST_PAUSE),
    );
    this.#pausing = false;
  }

  /**
   * Takes a step again and again until it succeeds.
   *
   * @throws {Stopped} When the log is to end before that
   */
  async #insist<T>(step: () => T, failure: string): Promise<T> {
    while (true) {
      try {
        return step();
      } catch (error) {
        if (!(error instanceof SysError)) throw error;
        if (this.#stopping) throw new Stopped();
        await this.#retrier.pause(`${failure}, pausing: ${error.message}`);
        if (this.#stopping) throw new Stopped();
      }
    }
  }

  /** The waiting file with the smallest name that is still to be processed. */
  async #next(): Promise<string | undefined> {
    const { path } = this.#directory;
    const { waiting } = this.#old;
    while (true) {
      if (waiting.exhausted || this.#old.incomplete) {
        await this.#insist(
          () => this.#old.refresh(),
          `unable to read ${path}`,
        );
      }
      const name = waiting.names()[0];
      if (name === undefined) return undefined;
      const found = await this.#insist(
        () => this.#directory.stat(name),
        `unable to stat ${path}/${name}`,
      );
      if (found === undefined) this.#old.gone(name);
      else if (!found.isFile) {
        this.#old.setAside(name, `process ${path}/${name}: not a file`);
      } else {
        const processed = await this.#insist(
          () => this.#old.findProcessed(name),
          `unable to stat ${path}/${name}`,
        );
        if (processed === undefined) return name;
        // An earlier run was cut off after the file had been processed, and
        // before it was removed.
        await this.#setComplete(processed);
        await this.#insist(
          () => this.#directory.unlink(name),
          `unable to remove ${path}/${name}`,
        );
        this.#old.gone(name);
      }
      this.#changed();
    }
  }

  /**
   * Runs the processor on a file.
   *
   * @returns `undefined` after success
   */
  async #process(name: string): Promise<Failure | undefined> {
    const { path } = this.#directory;
    // Loaded only when it is needed: most logs have no processor, and loading
    // three more files shows in a start that takes milliseconds.
    const processor = this.#processor ??= (await import("./processor.ts"))
      .shell();
    // The notice of a file that is being kept has to be in `state` first.
    await this.#keeping;
    try {
      this.#running = this.#run(processor, name);
    } catch (error) {
      if (error instanceof JobFileError) {
        return {
          message: `unable to ${error.deed} ${path}/${error.file}, pausing: ` +
            error.message,
          cause: `unable to ${error.deed} ${error.file}: ${error.message}`,
        };
      }
      if (!(error instanceof SysError)) return this.#failed(error);
      const message =
        `unable to run processor in ${path}, pausing: ${error.message}`;
      return { message, cause: `unable to run processor: ${error.message}` };
    }
    let failure = await this.#failureOf(this.#running);
    this.#running = undefined;
    // From now on no other file is kept until this one is completed.
    this.#completing = failure === undefined;
    await this.#keeping;
    if (failure === undefined) {
      failure = await this.#complete(name)
        .finally(() => this.#completing = false);
      if (failure === undefined) this.#failureFile.clear();
    }
    this.#keptNotices = new Uint8Array(0);
    return failure;
  }

  /** The failure for an error that nobody expected, a bug for example. */
  #failed(error: unknown): Failure {
    const cause = inOneLine(error);
    return { message: `${this.#words("failed")}: ${cause}`, cause };
  }

  #words(what: string): string {
    return `processor ${what} in ${this.#directory.path}, pausing`;
  }

  /** Waits for a processor's end; `undefined` when it has succeeded. */
  async #failureOf(running: RunningProcessor): Promise<Failure | undefined> {
    const { promise, resolve } = Promise.withResolvers<Failure | undefined>();
    this.#abandon = () =>
      resolve({ message: this.#words("failed"), cause: "not ended by KILL" });
    this.#fault = (error) => resolve(this.#failed(error));
    running.ended.then(
      (status) => resolve(this.#ending(status, running.cause)),
      (error) => {
        if (!(error instanceof SysError)) return resolve(this.#failed(error));
        // A program that uses the library may have waited for all its children.
        const { path } = this.#directory;
        const message =
          `wait failed for processor in ${path}, pausing: ${error.message}`;
        resolve({ message, cause: `wait failed: ${error.message}` });
      },
    );
    return await promise;
  }

  #ending(
    { code, signal }: ExitStatus,
    cause: string | undefined,
  ): Failure | undefined {
    if (code === 0) return undefined;
    if (signal === undefined) {
      const message = this.#words("failed");
      return { message, cause: cause ?? `exit code ${code}` };
    }
    const message = this.#words("crashed");
    return { message, cause: cause ?? `killed by ${describeSignal(signal)}` };
  }

  #run(processor: Processor, name: string): RunningProcessor {
    const directory = this.#directory;
    using opened = new Opened();
    // New files for each run: processes that an earlier run left behind may
    // still write to the old ones. `newstate` is removed first, so that it is
    // never there without `processed`.
    withFile("remove", "newstate", () => directory.unlink("newstate"));
    const create = (file: string) =>
      opened.use(withFile("make", file, () => directory.create(file)));
    const job: ProcessorJob = {
      command: this.#settings.processor,
      directory: directory.fd,
      path: directory.path,
      name,
      fds: {
        log: opened.use(
          withFile("open", name, () => directory.open(name, "read")),
        ),
        processed: create("processed"),
        state: opened.use(withFile("open", "state", () => this.#openState())),
        newstate: create("newstate"),
      },
    };
    return processor.start(job);
  }

  /** Opens `state`, and makes an empty one when somebody has removed it. */
  #openState(): number {
    const directory = this.#directory;
    try {
      return directory.open("state", "read");
    } catch (error) {
      if (!(error instanceof SysError) || error.code !== "ENOENT") throw error;
    }
    close(directory.open("state", "append"));
    return directory.open("state", "read");
  }

  /**
   * Takes the steps 7 to 11: the processor has exited 0.
   *
   * @returns Why the processor has to be run again; `undefined` after success
   */
  async #complete(name: string): Promise<Failure | undefined> {
    const directory = this.#directory;
    const { path } = directory;
    const next = this.#old.processedName(name);
    let empty: boolean;
    try {
      empty = this.#syncFile("processed", false);
    } catch (error) {
      if (!(error instanceof SysError)) throw error;
      // The kernel has dropped what it couldn't write, and would say so only
      // once. The waiting file is still there to be processed again.
      const cause = `unable to write processed to disk: ${error.message}`;
      const message =
        `unable to write ${path}/processed to disk, pausing: ${error.message}`;
      return { message, cause };
    }
    // Most processors use no state, so the syncs for it can be spared. Where its
    // sync fails the file isn't processed again: it may have been sent.
    const stateful = await this.#insist(() => {
      this.#appendKeptNotices();
      const before = directory.stat("state")?.size ?? 0;
      return !this.#syncFile("newstate", before > 0) || before > 0;
    }, `unable to write ${path}/newstate to disk`);
    // The previous file's change of names is synced before this file's begins:
    // see the end of the list of steps.
    await this.#syncing;
    if (stateful) await this.#syncNames();
    await this.#insist(
      () => directory.rename("processed", next),
      `unable to rename ${path}/processed`,
    );
    // Now the next start would make `newstate` `state`: it must stay.
    this.#leftFiles = false;
    // Lines always have a name on the disk. An empty file has no lines, so
    // nothing needs to be waited for.
    if (stateful || !empty) await this.#syncNames();
    // Not earlier: `processed` of this mode would be taken for what an older
    // version has left.
    await this.#setComplete(next);
    await this.#insist(
      () => directory.rename("newstate", "state"),
      `unable to rename newstate to state in directory ${path}`,
    );
    if (stateful) {
      await this.#insist(
        () => directory.chmod("state", MODE_RUNNING),
        `unable to set mode of ${path}/state`,
      );
    }
    await this.#insist(
      () => directory.unlink(name),
      `unable to remove ${path}/${name}`,
    );
    // `tryto -p` leaves in `processed` what it couldn't send.
    this.#succeeding = empty || this.#processor?.keepsUnsent !== true;
    this.#old.processed(name, empty);
    // After a power cut the removed file may be back. The next start then sees
    // by the other name that it is done. For `state` there is no such mark.
    if (stateful) await this.#syncNames();
    else if (empty) {
      this.#syncing = this.#syncNames().catch(unlessStopped);
      // One of many logs gives its turn back only when nothing of it goes on.
      if (this.#turns) await this.#syncing;
    }
    await this.#trim();
    return undefined;
  }

  /** Waits until all changes of names so far are on the disk. */
  async #syncNames(): Promise<void> {
    const directory = this.#directory;
    const { changes } = directory;
    while (!directory.isSynced(changes)) {
      if (await directory.syncAside()) continue;
      await this.#insist(
        syncAgain(() => directory.sync()),
        `unable to write ${directory.path} to disk`,
      );
    }
  }

  /** Removes old files while there are too many. */
  async #trim(): Promise<void> {
    await this.#insist(
      () => this.#old.trim(!this.#pausing && this.#old.waiting.count > 0),
      `unable to remove from ${this.#directory.path}`,
    );
  }

  /**
   * Syncs a file that the processor wrote, unless it is empty. `newstate` also
   * gets the mode of a complete file, since the next start makes it `state` when
   * it finds that mode and no `processed`.
   *
   * @param also Whether an empty file is synced, too
   * @returns Whether the file is empty
   */
  #syncFile(name: "processed" | "newstate", also: boolean): boolean {
    const empty = this.#directory.stat(name)?.size === 0;
    if (empty && !also) return true;
    // The processor may have removed it, or made another one.
    const fd = this.#directory.open(name, "append");
    try {
      if (name === "newstate") fchmod(fd, MODE_COMPLETE);
      fsync(fd);
      return empty;
    } finally {
      close(fd);
    }
  }

  /** Appends the notices of files that were kept meanwhile to `newstate`. */
  #appendKeptNotices(): void {
    if (this.#keptNotices.length === 0) return;
    const fd = this.#directory.open("newstate", "append");
    const size = this.#directory.stat("newstate")?.size ?? 0;
    try {
      writeOrThrow(fd, this.#keptNotices);
      this.#keptNotices = new Uint8Array(0);
    } catch (error) {
      // The next attempt writes all of them again.
      ftruncate(fd, size);
      throw error;
    } finally {
      close(fd);
    }
  }

  #setComplete(name: string): Promise<void> {
    return this.#insist(
      () => this.#directory.chmod(name, MODE_COMPLETE),
      `unable to set mode of ${this.#directory.path}/${name}`,
    );
  }

  /** Makes a waiting file an old one without a try, and writes its notice. */
  async #keep(name: string, reason: string): Promise<void> {
    const directory = this.#directory;
    const { path } = directory;
    // A running processor has `state` open, and its `newstate` will replace it:
    // the notice is also kept apart, to be appended to that.
    const apart = this.#name !== undefined;
    let notices = await this.#insist(
      () => this.#readState(),
      `unable to read ${path}/state`,
    );
    try {
      const said = await this.#noticeOf(name, reason, apart);
      if (apart) {
        notices = joined(
          notices.subarray(0, notices.length - this.#keptNotices.length),
          said,
        );
        this.#keptNotices = said;
      } else notices = said;
    } catch (error) {
      // Better to keep the file without a notice than to stop the log.
      const why = error instanceof SysError ? `: ${error.message}` : "";
      this.#retrier.warn(`unable to tell that ${path}/${name} is kept${why}`);
    }
    await this.#insist(
      () => this.#replaceState(notices),
      `unable to write ${path}/state to disk`,
    );
    const next = this.#old.processedName(name);
    await this.#insist(
      () => directory.rename(name, next),
      `unable to rename ${path}/${name}`,
    );
    this.#old.processed(name, false);
  }

  /**
   * Has the processor write the notice of a file that is kept, after all notices
   * so far.
   *
   * @param apart Whether those are only the notices of files that were kept while
   * the processor ran, instead of those in `state`
   */
  async #noticeOf(
    name: string,
    reason: string,
    apart: boolean,
  ): Promise<Bytes> {
    const directory = this.#directory;
    using opened = new Opened();
    const before = apart ? this.#keptNotices : this.#readState();
    writeOrThrow(opened.use(directory.create(KEPT_STATE)), before);
    const state = opened.use(directory.open(KEPT_STATE, "read"));
    const newstate = opened.use(directory.create(KEPT_STATE));
    const reader = opened.use(directory.open(KEPT_STATE, "read"));
    const processed = opened.use(directory.create(KEPT_STATE));
    directory.unlink(KEPT_STATE);
    await this.#processor!.keep?.({
      command: this.#settings.processor,
      directory: directory.fd,
      path: directory.path,
      name,
      fds: {
        log: opened.use(directory.open(name, "read")),
        processed,
        state,
        newstate,
      },
    }, reason);
    return readAll(reader);
  }

  #readState(): Bytes {
    const fd = this.#openState();
    try {
      return readAll(fd);
    } finally {
      close(fd);
    }
  }

  #replaceState(bytes: Bytes): void {
    const fd = this.#directory.create(KEPT_STATE);
    try {
      writeOrThrow(fd, bytes);
      fsync(fd);
    } finally {
      close(fd);
    }
    this.#directory.rename(KEPT_STATE, "state");
    this.#directory.sync();
  }
}

/** Ignores that a step was given up because the log is to end. */
function unlessStopped(error: unknown): void {
  if (!(error instanceof Stopped)) throw error;
}

function writeOrThrow(fd: number, bytes: Bytes): void {
  const failure = writeAll(fd, bytes);
  if (failure) throw failure;
}

function joined(...parts: readonly Bytes[]): Bytes {
  const all = new Uint8Array(
    parts.reduce((sum, { length }) => sum + length, 0),
  );
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

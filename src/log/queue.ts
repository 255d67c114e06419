/**
 * The files that wait for a log's processor, and the one that it is at.
 *
 * @module
 */
import type { Bytes } from "../bytes.ts";
import { inOneLine, takeUncaught } from "../program.ts";
import {
  close,
  fchmod,
  fsync,
  ftruncate,
  Opened,
  read,
} from "../sys/descriptors.ts";
import { SysError } from "../sys/errors.ts";
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
/** How long a processor may go on once the log is to end, in milliseconds. */
const TIME_TO_FINISH = 3000;
/** How long it has after TERM, in milliseconds. */
const TIME_TO_DIE = 1000;
/** How long one that was sent KILL is waited for, in milliseconds. */
const BURIAL = 400;
/**
 * How long a processor that has succeeded with the file before may be at one
 * while the log waits for it although the oldest file could go: a burst isn't
 * an outage. In milliseconds.
 */
const PATIENCE = 1000;
/** The state that takes the place of `state` while a processor has it open. */
const KEPT = "keptstate";

/** Why a run of a processor isn't a success. */
interface Failure {
  /** What is told. */
  readonly message: string;
  /** Why, in words, for who looks at the log. */
  readonly cause: string;
}

/** The log is to end, and nothing is waited for any more. */
class Stopped extends Error {}

/** Where processors take turns. */
export interface Turns {
  /**
   * Waits for a turn. Until it is given back nothing is closed that the log's
   * files need; without one they may be somebody else's.
   *
   * @returns Whether there is one; otherwise the program is to end
   */
  take(): Promise<boolean>;
  /** Gives the turn back. */
  give(): void;
}

/** A log's queue. What happens to a file in it is the table's 6 to 11. */
export class Queue {
  readonly #directory: Directory;
  readonly #old: OldFiles;
  readonly #settings: Readonly<LogSettings>;
  readonly #retrier: Retrier;
  readonly #wake: () => void;
  readonly #turns: Turns | undefined;
  #processor: Processor | undefined;
  /** All that goes on until nothing waits, or the queue is stopped. */
  #work: Promise<void> | undefined;
  /** The file that the processor is at. */
  #name: string | undefined;
  #running: RunningProcessor | undefined;
  /** Ends the wait for the processor, whatever it does. */
  #abandon = () => {};
  /** Ends it, too: what runs inside has a fault. */
  #fault = (_error: unknown) => {};
  readonly #letUncaughtBe: () => void;
  readonly #failureFile: FailureFile;
  /** Whether the last run has left anything. */
  #left = false;
  #stopping = false;
  #pausing = false;
  /** Whether the last file was processed, and not kept unsent. */
  #succeeding = true;
  /** When the processor began with its file, on this process's own clock. */
  #began = 0;
  /** Wakes the log when patience is over. */
  #timer: number | undefined;
  /** Whether other logs' processors have to end before this one's may start. */
  #waitsForTurn = false;
  /** Whether a file that was processed is being put into its place. */
  #completing = false;
  /** A sync of the names that goes on while the next file is processed. */
  #syncing: Promise<void> | undefined;
  /** Resolved when a file has come, was taken in hand, or has left. */
  #change = Promise.withResolvers<void>();
  /** A file that is being kept unsent, and what was said of others. */
  #keeping: Promise<void> | undefined;
  #kept: Bytes = new Uint8Array(0);

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
    this.#letUncaughtBe = find === undefined
      ? () => {}
      : takeUncaught((error) => this.#takeUncaught(error));
  }

  /**
   * What nobody has caught comes from what runs inside: all that is done here
   * is waited for. It is that processor's failure, and nothing else's.
   */
  #takeUncaught(error: unknown): boolean {
    if (this.#running === undefined) return false;
    this.#kill("SIGKILL");
    this.#fault(error);
    return true;
  }

  /** Nothing is done any more. */
  close(): void {
    this.#letUncaughtBe();
  }

  /** How many files can be finished without waiting for a processor. */
  get room(): number {
    if (this.#stopping) return Infinity;
    return this.#old.room || (this.#letsGo ? Infinity : 0);
  }

  /** Whether the oldest file goes when all wait. */
  get #letsGo(): boolean {
    const may = this.#settings.discard === true ||
      this.#processor?.keepsUnsent === true;
    return may && !this.#isPatient();
  }

  /** Whether there will be room before long, as things go. */
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

  /** What is going on; `undefined` when nothing waits. */
  get work(): Promise<void> | undefined {
    return this.#work;
  }

  /** Whether the processor is at work, so that less may wait before long. */
  get working(): boolean {
    return this.#work !== undefined && !this.#pausing;
  }

  /** A file waits that wasn't complete before. */
  add(): void {
    this.#changed();
    this.start();
  }

  /** Goes on with what waits. */
  start(): void {
    if (this.#work || this.#stopping || this.#old.waiting.count === 0) return;
    this.#began = performance.now();
    this.#work = this.#processAll().finally(() => {
      this.#work = undefined;
      this.#changed();
      // What has come in the meantime.
      this.start();
    });
  }

  /**
   * Nothing new is begun; a processor that runs has a few seconds. Its file,
   * and all that wait, stay for the next run.
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
      setTimeout(() => this.#abandon(), dead + BURIAL),
    ];
    this.#work.finally(() => timers.forEach(clearTimeout));
  }

  #kill(signal: "SIGTERM" | "SIGKILL"): void {
    try {
      this.#running?.kill(signal);
    } catch {
      // A fault of a processor inside is nothing that the log ends of.
    }
  }

  #changed(): void {
    this.#change.resolve();
    this.#change = Promise.withResolvers();
    this.#wake();
  }

  /** Waits until one more file may wait, or makes room for it. */
  async makeRoom(): Promise<void> {
    while (this.#old.full && !this.#stopping) {
      const count = this.#old.waiting.count + this.#old.unsynced;
      const names = this.#old.waiting.names();
      this.start();
      // Rather than the one in hand, one that is about to wait.
      const oldest = names.find((name) => name !== this.#name) ??
        (this.#old.unsynced > 0 ? undefined : names[0]);
      // Which one is in hand may not be settled yet.
      const taking = this.working && this.#name === undefined &&
        !this.#waitsForTurn;
      if (
        oldest === undefined || !this.#letsGo || this.#completing || taking
      ) {
        await this.#change.promise;
      } else if (this.#settings.discard) {
        this.#discard(oldest);
      } else {
        this.#keeping = this.#keep(oldest, `${count} files wait`)
          // The file goes on waiting.
          .catch(unlessStopped);
        await this.#keeping;
        this.#keeping = undefined;
      }
    }
  }

  #discard(name: string): void {
    const { path } = this.#directory;
    const size = this.#directory.stat(name)?.size ?? 0;
    // Told first: killed in between, it is told and there, and not the reverse.
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

  /** Waits for this log's turn; `false` where there is to be none. */
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
   * Has a file processed.
   *
   * @returns What there is to say when that doesn't succeed
   */
  async #try(name: string): Promise<Failure | undefined> {
    let failure: Failure | undefined;
    try {
      this.#name = name;
      this.#changed();
      this.#left = true;
      failure = await this.#process(name);
    } catch (error) {
      if (error instanceof Stopped) throw error;
      // A fault of the program's own ends nothing either.
      failure = this.#failed(error);
    }
    this.#name = undefined;
    this.#began = performance.now();
    if (failure === undefined) {
      this.#left = false;
      this.#changed();
      return undefined;
    }
    this.#succeeding = false;
    if (this.#stopping) return failure;
    const { message, cause } = failure;
    this.#failureFile.say(cause);
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
   * The next file. No run begins while one is being kept: it would have read
   * the state without the notice, and would leave one without it.
   */
  async #following(): Promise<string | undefined> {
    let name: string | undefined;
    do {
      await this.#keeping;
      name = await this.#next();
    } while (this.#keeping !== undefined);
    return name;
  }

  /** What a processor that didn't succeed has left is nobody's. */
  tidy(): void {
    if (!this.#left) return;
    this.#left = false;
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

  /** Takes a step until it succeeds, or the log is to end. */
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
      if (waiting.exhausted) {
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
        // An earlier run was cut off when it had been processed.
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
   * @returns What is wrong, when it doesn't succeed
   */
  async #process(name: string): Promise<Failure | undefined> {
    const { path } = this.#directory;
    // Loaded when it is needed: most logs have no processor, and a program
    // that starts in milliseconds notices three files.
    const processor = this.#processor ??= (await import("./processor.ts"))
      .shell();
    // What was kept without it has come to `state`.
    await this.#keeping;
    try {
      this.#running = this.#run(processor, name);
    } catch (error) {
      if (!(error instanceof SysError)) return this.#failed(error);
      const message =
        `unable to run processor in ${path}, pausing: ${error.message}`;
      return { message, cause: `unable to run processor: ${error.message}` };
    }
    const failure = await this.#failureOf(this.#running);
    this.#running = undefined;
    // From now on no file is begun to be kept beside it.
    this.#completing = failure === undefined;
    await this.#keeping;
    if (failure === undefined) {
      await this.#complete(name).finally(() => this.#completing = false);
      this.#failureFile.clear();
    }
    this.#kept = new Uint8Array(0);
    return failure;
  }

  /** Something has thrown what is no expected failure. */
  #failed(error: unknown): Failure {
    const cause = inOneLine(error);
    return { message: `${this.#words("failed")}: ${cause}`, cause };
  }

  #words(what: string): string {
    return `processor ${what} in ${this.#directory.path}, pausing`;
  }

  /** What is wrong with how a processor ends, when it does. */
  async #failureOf(running: RunningProcessor): Promise<Failure | undefined> {
    const { promise, resolve } = Promise.withResolvers<Failure | undefined>();
    this.#abandon = () =>
      resolve({ message: this.#words("failed"), cause: "not ended by KILL" });
    this.#fault = (error) => resolve(this.#failed(error));
    running.ended.then(
      (status) => resolve(this.#ending(status, running.cause)),
      (error) => {
        if (!(error instanceof SysError)) return resolve(this.#failed(error));
        // Somebody else has waited for it: a host program of the library's.
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
    // New files for each run: what an earlier one left behind may still
    // write to its own. `newstate` goes first, so that it is never there
    // alone.
    directory.unlink("newstate");
    const job: ProcessorJob = {
      command: this.#settings.processor,
      directory: directory.fd,
      path: directory.path,
      name,
      fds: {
        log: opened.use(directory.open(name, "read")),
        processed: opened.use(directory.create("processed")),
        state: opened.use(this.#openState()),
        newstate: opened.use(directory.create("newstate")),
      },
    };
    return processor.start(job);
  }

  /** A `state` that somebody removed is an empty one. */
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

  /** The processor has exited 0; see the table. */
  async #complete(name: string): Promise<void> {
    const directory = this.#directory;
    const { path } = directory;
    const next = this.#old.processedName(name);
    const empty = await this.#insist(
      () => this.#syncFile("processed", false),
      `unable to write ${path}/processed to disk`,
    );
    // Most processors have no state, and no need for what it costs.
    const stateful = await this.#insist(() => {
      this.#appendKept();
      const before = directory.stat("state")?.size ?? 0;
      return !this.#syncFile("newstate", before > 0) || before > 0;
    }, `unable to write ${path}/newstate to disk`);
    // Of one file at a time the disk may not know yet that it is done.
    await this.#syncing;
    if (stateful) await this.#syncNames();
    await this.#insist(
      () => directory.rename("processed", next),
      `unable to rename ${path}/processed`,
    );
    // Lines are never without a name on the disk; without lines there is
    // nothing to wait for.
    if (stateful || !empty) await this.#syncNames();
    // Not before: `processed` of that mode would be taken for another file.
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
    // What a processor that keeps the unsent leaves wasn't sent.
    this.#succeeding = empty || this.#processor?.keepsUnsent !== true;
    this.#old.processed(name, empty);
    // Where it isn't on the disk yet that the file is gone, the next start
    // sees by the other name that it is done. The state has no such mark.
    if (stateful) await this.#syncNames();
    else if (empty) {
      this.#syncing = this.#syncNames().catch(unlessStopped);
      // Other logs take their turn when nothing of this one goes on.
      if (this.#turns) await this.#syncing;
    }
    await this.#trim();
  }

  /** Waits until the names, as they are, are on the disk. */
  async #syncNames(): Promise<void> {
    const directory = this.#directory;
    const { changes } = directory;
    while (!directory.isSynced(changes)) {
      if (await directory.syncAside()) continue;
      await this.#insist(
        () => directory.sync(),
        `unable to write ${directory.path} to disk`,
      );
    }
  }

  /** Removes old files that are too many. */
  async #trim(): Promise<void> {
    await this.#insist(
      () => this.#old.trim(!this.#pausing && this.#old.waiting.count > 0),
      `unable to remove from ${this.#directory.path}`,
    );
  }

  /**
   * Brings what a processor wrote to the disk, if it is anything. A `newstate`
   * that is gets the mode of what is complete: where it is found without
   * `processed`, it is to become `state`.
   *
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

  /** What was said meanwhile of files that were kept comes after the rest. */
  #appendKept(): void {
    if (this.#kept.length === 0) return;
    const fd = this.#directory.open("newstate", "append");
    const size = this.#directory.stat("newstate")?.size ?? 0;
    try {
      writeOrThrow(fd, this.#kept);
      this.#kept = new Uint8Array(0);
    } catch (error) {
      // It is tried again, with all of it.
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

  /** Makes a waiting file an old one, untried, and has its notice written. */
  async #keep(name: string, reason: string): Promise<void> {
    const directory = this.#directory;
    const { path } = directory;
    // Who is at work has `state` open, and puts another one in its place.
    const apart = this.#name !== undefined;
    let notices = await this.#insist(
      () => this.#readState(),
      `unable to read ${path}/state`,
    );
    try {
      const said = await this.#noticeOf(name, reason, apart);
      if (apart) {
        notices = joined(
          notices.subarray(0, notices.length - this.#kept.length),
          said,
        );
        this.#kept = said;
      } else notices = said;
    } catch (error) {
      // Untold is better than not written.
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

  /** Has the processor say of a file that it is kept. */
  async #noticeOf(
    name: string,
    reason: string,
    apart: boolean,
  ): Promise<Bytes> {
    const directory = this.#directory;
    using opened = new Opened();
    const before = apart ? this.#kept : this.#readState();
    writeOrThrow(opened.use(directory.create(KEPT)), before);
    const state = opened.use(directory.open(KEPT, "read"));
    const newstate = opened.use(directory.create(KEPT));
    const reader = opened.use(directory.open(KEPT, "read"));
    const processed = opened.use(directory.create(KEPT));
    directory.unlink(KEPT);
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
    const fd = this.#directory.create(KEPT);
    try {
      writeOrThrow(fd, bytes);
      fsync(fd);
    } finally {
      close(fd);
    }
    this.#directory.rename(KEPT, "state");
    this.#directory.sync();
  }
}

/** That the log is to end is no failure. */
function unlessStopped(error: unknown): void {
  if (!(error instanceof Stopped)) throw error;
}

function writeOrThrow(fd: number, bytes: Bytes): void {
  const failure = writeAll(fd, bytes);
  if (failure) throw failure;
}

function readAll(fd: number): Bytes {
  const chunks: Bytes[] = [];
  while (true) {
    const chunk = new Uint8Array(64 * 1024);
    const n = read(fd, chunk);
    if (n < 0) throw new SysError(-n);
    if (n === 0) return joined(...chunks);
    chunks.push(chunk.subarray(0, n));
  }
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

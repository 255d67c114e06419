/**
 * The tries: feeding and watching one prog, within one time limit.
 *
 * @module
 */
import { PatientDiagnostics } from "../diagnostics.ts";
import { TROUBLE } from "../program.ts";
import { close, isSeekable, PIPE_BUF } from "../sys/descriptors.ts";
import { SysError } from "../sys/errors.ts";
import { stat } from "../sys/files.ts";
import { Poller } from "../sys/poll.ts";
import type { ExitStatus } from "../sys/process.ts";
import { describeSignal } from "../sys/signals.ts";
import { type Input, openInput } from "./input.ts";
import type { TrytoOptions } from "./arguments.ts";
import { keptMessage, leaveNotices, NOTICES_MAX } from "./notices.ts";
import { type Prog, spawnProg } from "./prog.ts";
import { type Awaited, OutputError, Transfer } from "./transfer.ts";

/** The exit code when the time limit is reached. */
const OUT_OF_TIME = 100;
/** Seconds between two tries, as in the original. */
const PAUSE = 1;
/** Seconds until the next attempt to start a process, as in the original. */
const FORK_PAUSE = 5;
/** Seconds for which a program that was sent KILL is waited for. */
const BURIAL = 1;
/** Milliseconds between two looks at a process group. */
const GROUP_LOOK = 50;
/** No timer waits longer. */
const LONGEST_TIMER = 0x7fffffff;

/** What tryto has to do with: a program's descriptors, or a processor's. */
export interface Surroundings {
  /** The log, which a program has at 0. */
  readonly log: number;
  /** Where the log is kept, which a program has at 1. */
  readonly output: number;
  /** Where messages go without `-p`, which a program has at 2. */
  readonly errors: number;
  /** What was told nobody yet, which a program has at 4. */
  readonly state: number;
  /** Where messages go with `-p`, which a program has at 5. */
  readonly newstate: number;
  /** The open directory that it runs in; the working directory unless given. */
  readonly directory?: number;
  /** Which of prog's descriptors, but the first, is which of these. */
  readonly fds: ReadonlyMap<number, number>;
  /** Descriptors that prog doesn't get. */
  readonly without: readonly number[];
  /**
   * Starts a prog that needs no process.
   *
   * @param prog Its name and arguments
   * @param inputs What it reads, one after the other
   * @returns It, or `undefined` when it is to be a process
   */
  startInside?(
    prog: readonly string[],
    inputs: readonly Input[],
  ): Promise<Prog | undefined>;
  /** Called before the processes of a group are ended. */
  beforeGroupEnds?(): void;
  /** Told, in words, why nothing more is tried. */
  onFailure?(reason: string): void;
}

/** The signals that tryto has got. */
export class Signals {
  readonly #names: string[] = [];
  #killed = false;
  /** Called when there is a new one. */
  onArrival: () => void = () => {};

  /** Those that ask it to end, in their order. */
  get names(): readonly string[] {
    return this.#names;
  }

  /** Whether it has to end without another word, as KILL ends a process. */
  get killed(): boolean {
    return this.#killed;
  }

  /** Asks it to end: prog is ended first, and the log kept. */
  add(name: string): void {
    this.#names.push(name);
    this.onArrival();
  }

  /** Ends it: nothing is kept, and nothing told. */
  kill(): void {
    this.#killed = true;
    this.onArrival();
  }
}

/** What ends the tries of a tryto that was killed. */
export class Killed extends Error {
  override name = "Killed";
}

/** How long something may take, until somebody rings. */
class Bell {
  #rung = false;
  #answer: (() => void) | undefined;

  ring(): void {
    this.#rung = true;
    this.#answer?.();
  }

  /** Waits, in the event loop and in no thread. */
  async wait(milliseconds: number): Promise<void> {
    if (!this.#rung) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#answer = resolve;
      const timer = setTimeout(resolve, Math.min(milliseconds, LONGEST_TIMER));
      await promise;
      clearTimeout(timer);
      this.#answer = undefined;
    }
    this.#rung = false;
  }
}

/** Why tryto gives up. */
interface Failure {
  /** The exit code, where the log isn't kept. */
  readonly code: number;
  /** The last message. */
  readonly words: string;
  /** What a notice says of it. */
  readonly reason: string;
}

/** A run of prog. */
class Run {
  readonly prog: Prog;
  /** How it ended, once it has. */
  ending: ExitStatus | undefined;
  /** Why what it reads can't be read. */
  inputError: Error | undefined;
  /** Why it can't be known how it ended. */
  error: unknown;
  #input: number | undefined;

  constructor(prog: Prog, wake: () => void) {
    this.prog = prog;
    this.#input = prog.input;
    prog.ended.then(
      (ending) => this.ending = ending,
      (error) => {
        // Somebody else has waited for it.
        this.error = error;
        this.ending = { code: TROUBLE };
      },
    ).then(wake);
    prog.inputFailed?.then((error) => {
      this.inputError = error;
      wake();
    });
  }

  /** The pipe that it is fed by, while it is. */
  get input(): number | undefined {
    return this.#input;
  }

  /** Ends its input. */
  closeInput(): void {
    if (this.#input !== undefined) close(this.#input);
    this.#input = undefined;
  }

  get runs(): boolean {
    return this.ending === undefined;
  }

  get alive(): boolean {
    return this.runs || this.prog.groupExists();
  }
}

/** All tries. */
export class Attempts implements Disposable {
  readonly #options: TrytoOptions;
  readonly #around: Surroundings;
  readonly #signals: Signals;
  readonly #diagnostics: PatientDiagnostics;
  readonly #poller = new Poller(1);
  readonly #bell = new Bell();
  readonly #log: Input;
  /** What was told nobody yet; without `-p` it is nobody's business. */
  readonly #state: Input | undefined;
  /** What each run of prog is fed. */
  readonly #inputs: readonly Input[];
  /** When the time limit is reached; everything here is in milliseconds. */
  readonly #deadline: number;

  /**
   * Gets ready for them.
   *
   * @param options What is to be done
   * @param around The descriptors
   * @param signals Which signals arrive
   */
  constructor(options: TrytoOptions, around: Surroundings, signals: Signals) {
    const { processor, limit } = options;
    this.#options = options;
    this.#around = around;
    this.#signals = signals;
    this.#diagnostics = new PatientDiagnostics(
      "tryto",
      processor ? around.newstate : around.errors,
    );
    const warn = (...parts: readonly unknown[]) =>
      void this.#diagnostics.warn(...parts);
    this.#log = openInput(around.log, 0, warn);
    this.#state = processor ? openInput(around.state, 4, warn) : undefined;
    this.#inputs = this.#state ? [this.#state, this.#log] : [this.#log];
    this.#deadline = performance.now() + limit * 1000;
    signals.onArrival = () => this.#wake();
  }

  /** Closes what it has opened. */
  [Symbol.dispose](): void {
    this.#poller.close();
    for (const input of this.#inputs) input[Symbol.dispose]();
  }

  /**
   * Tries.
   *
   * @returns tryto's exit code
   * @throws {Killed} When it was killed
   * @throws {Error} tryto's own trouble: the message follows `fatal: `
   */
  async run(): Promise<number> {
    const failure = await this.#tryAll();
    if (failure === undefined) {
      if (this.#options.processor) this.#boundNotices();
      return 0;
    }
    const { code, words, reason } = failure;
    this.#around.onFailure?.(reason);
    const stopped = this.#signals.names.length > 0;
    if (!this.#options.processor) {
      await this.#diagnostics.say("fatal: ", words);
      return code;
    }
    const kept = await this.#keepLog();
    if (stopped) {
      await this.#diagnostics.say("fatal: ", words);
      return code;
    }
    const { log, directory, newstate } = this.#around;
    const notice = kept === 0
      ? ""
      : `tryto: warning: ${keptMessage(kept, log, directory, reason)}\n`;
    const message = `${notice}tryto: fatal: ${words}\n`;
    // What nobody would be told of is tried again by multilog.
    return leaveNotices(newstate, this.#state, message) ? 0 : TROUBLE;
  }

  /**
   * Keeps the log without having tried.
   *
   * @param reason Why
   * @throws {Error} When it can't be kept, or nobody would be told
   */
  async keepUntried(reason: string): Promise<void> {
    const kept = await this.#keepLog();
    const { log, directory, newstate } = this.#around;
    const message = keptMessage(kept, log, directory, reason);
    const notice = `tryto: warning: ${message}\n`;
    if (!leaveNotices(newstate, this.#state, notice)) {
      throw new Error("unable to write notices");
    }
  }

  async #tryAll(): Promise<Failure | undefined> {
    for (let tries = 1;; tries++) {
      const ending = await this.#tryOnce();
      if (ending === undefined) return this.#reasonToStop();
      if (ending.code === 0) return undefined;
      const how = ending.signal === undefined
        ? `exit code ${ending.code}`
        : describeSignal(ending.signal);
      if (ending.signal !== undefined) {
        await this.#diagnostics.warn(`child killed by ${how}.`);
      } else if (this.#options.verbose) {
        await this.#diagnostics.warn(`child crashed. (${how})`);
      }
      if (tries >= this.#options.tries) {
        const code = ending.code ?? 128 + ending.signal;
        return {
          code,
          words: "child crashed, giving up.",
          reason: `child crashed, ${how}`,
        };
      }
      await this.#pause(PAUSE);
      const reason = this.#reasonToStop();
      if (reason !== undefined) return reason;
      for (const input of this.#inputs) input.rewind();
    }
  }

  #reasonToStop(): Failure | undefined {
    if (this.#signals.killed) throw new Killed();
    const [signal] = this.#signals.names;
    if (signal !== undefined) {
      const reason = `stopped by ${signal}`;
      return { code: TROUBLE, words: `${reason}, giving up.`, reason };
    }
    if (performance.now() < this.#deadline) return undefined;
    const reason = "child timed out";
    return { code: OUT_OF_TIME, words: `${reason}, giving up.`, reason };
  }

  /**
   * Runs prog once. Nothing but its own end is waited for: it may read all,
   * some, or none of its input, and its children may hold the pipe open.
   *
   * @returns How it ended, or `undefined` when it was ended
   */
  async #tryOnce(): Promise<ExitStatus | undefined> {
    const prog = await this.#start();
    if (prog === undefined || "code" in prog) return prog;
    const run = new Run(prog, () => this.#wake());
    try {
      const feed = run.input === undefined
        ? undefined
        : new Transfer(this.#inputs, run.input);
      while (run.runs && this.#reasonToStop() === undefined) {
        if (run.inputError !== undefined) throw run.inputError;
        const awaited = feed && run.input !== undefined
          ? feedOn(feed)
          : undefined;
        if (awaited === undefined) run.closeInput();
        await this.#wait(this.#deadline, awaited);
      }
      if (run.error !== undefined) {
        await this.#diagnostics.warn("unable to wait for child: ", run.error);
      }
      return run.ending;
    } finally {
      // Its input may be cut off: TERM comes before the end of it, so that
      // prog doesn't take it for all of the log.
      if (run.runs) await this.#end(run);
      run.closeInput();
    }
  }

  /**
   * Starts prog; one that can't be started has ended, with code 111.
   *
   * @returns `undefined` when no process could be had until it was too late
   */
  async #start(): Promise<Prog | { readonly code: number } | undefined> {
    const { prog, group } = this.#options;
    const { fds, without, directory } = this.#around;
    while (true) {
      try {
        return await this.#around.startInside?.(prog, this.#inputs) ??
          spawnProg({ prog, group, fds, without, directory });
      } catch (error) {
        if (!(error instanceof SysError)) throw error;
        if (error.code !== "EAGAIN" && error.code !== "ENOMEM") {
          await this.#diagnostics.say(
            `fatal: unable to start child "${prog[0]}": `,
            error,
          );
          return { code: TROUBLE };
        }
        await this.#diagnostics.warn(
          `unable to fork for "${prog[0]}" pausing: `,
          error,
        );
        await this.#pause(FORK_PAUSE);
        if (this.#reasonToStop() !== undefined) return undefined;
      }
    }
  }

  /** Ends prog: TERM, and where that doesn't help, KILL. */
  async #end(run: Run): Promise<void> {
    const { prog, group, grace } = this.#options;
    const kill = () => run.prog.kill("SIGKILL");
    if (this.#signals.killed) return kill();
    if (group) this.#around.beforeGroupEnds?.();
    const [signal] = this.#signals.names;
    let what = "has no input";
    if (signal !== undefined) what = `interrupted by ${signal}`;
    else if (performance.now() >= this.#deadline) what = "timed out";
    await this.#diagnostics.warn(
      `child "${prog[0]}" ${what}. sending TERM...`,
    );
    run.prog.kill("SIGTERM");
    run.closeInput();
    await this.#waitWhile(run, () => run.alive, grace);
    if (this.#signals.killed) return kill();
    if (!run.alive) {
      await this.#diagnostics.warn("child terminated.");
      return;
    }
    await this.#diagnostics.warn(
      `child "${prog[0]}" not terminated. sending KILL...`,
    );
    kill();
    // Only a disk or a network file system that hangs can keep it now, and
    // nobody else is to wait for that.
    await this.#waitWhile(run, () => run.runs, BURIAL);
  }

  /**
   * Copies everything that was on 0 to 1, whatever prog has read of it.
   *
   * @returns How many bytes
   */
  async #keepLog(): Promise<number> {
    const { output } = this.#around;
    this.#log.rewind();
    const step = isSeekable(output) ? undefined : PIPE_BUF;
    const copy = new Transfer([this.#log], output, step);
    try {
      let awaited: Awaited | undefined;
      while ((awaited = copy.move()) !== undefined) {
        // The first signal ended prog, or prog had failed before it; only who
        // insists may lose the log.
        const insisting = this.#signals.names[1];
        if (insisting !== undefined) {
          throw new Error(`stopped by ${insisting}, log not kept`);
        }
        if (this.#signals.killed) throw new Killed();
        await this.#wait(Infinity, awaited);
      }
      return copy.moved;
    } catch (error) {
      if (!(error instanceof OutputError)) throw error;
      throw new Error(`unable to write to standard output: ${error.message}`);
    }
  }

  /** What is told with the next log though this one was sent is bounded, too. */
  #boundNotices(): void {
    const { newstate } = this.#around;
    if ((stat("", newstate)?.size ?? 0) <= NOTICES_MAX) return;
    leaveNotices(newstate, undefined, "");
  }

  /** Sleeps, but no longer than there is a reason to. */
  async #pause(seconds: number): Promise<void> {
    const end = performance.now() + seconds * 1000;
    const until = Math.min(end, this.#deadline);
    const { names } = this.#signals;
    while (
      performance.now() < until && names.length === 0 && !this.#signals.killed
    ) {
      await this.#wait(until);
    }
  }

  async #waitWhile(
    run: Run,
    alive: () => boolean,
    seconds: number,
  ): Promise<void> {
    const until = performance.now() + seconds * 1000;
    while (performance.now() < until && alive() && !this.#signals.killed) {
      // The end of prog is an event; that of the rest of its group isn't.
      const look = performance.now() + GROUP_LOOK;
      await this.#wait(run.runs ? until : Math.min(until, look));
    }
  }

  #wake(): void {
    this.#bell.ring();
    this.#poller.wake();
  }

  /** The one place at which tryto waits, whatever for. */
  async #wait(until: number, awaited?: Awaited): Promise<void> {
    const milliseconds = Math.max(0, until - performance.now());
    if (awaited === undefined) await this.#bell.wait(milliseconds);
    else {
      this.#poller.set(0, awaited.fd, awaited.events);
      await this.#poller.wait(milliseconds);
    }
  }
}

/** Feeds prog; one that has closed its input has all that it wants. */
function feedOn(feed: Transfer): Awaited | undefined {
  try {
    return feed.move();
  } catch (error) {
    if (error instanceof OutputError) return undefined;
    throw error;
  }
}

/**
 * The tries: running prog again and again until it succeeds, the tries are used
 * up, or the time limit is reached.
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
import { keptMessage, leaveNotices, NOTICES_MAX } from "./notices.ts";
import { type Prog, spawnProg } from "./prog.ts";
import { type Awaited, OutputError, Transfer } from "./transfer.ts";

/** The exit code when the time limit is reached. */
const OUT_OF_TIME = 100;
/** Seconds between two tries, as in the original. */
const PAUSE = 1;
/** Seconds until fork(2) is tried again, as in the original. */
const FORK_PAUSE = 5;
/** Seconds to wait for the end of a program that was sent KILL. */
const KILL_WAIT = 1;
/** Milliseconds between two looks at a process group. */
const GROUP_LOOK = 50;
/** The longest time, in milliseconds, that `setTimeout` takes. */
const LONGEST_TIMER = 0x7fffffff;

/** tryto's options, and the program that it runs. */
export interface TrytoOptions {
  /** The program that it runs, and its arguments. */
  readonly prog: readonly [string, ...string[]];
  /** Seconds for all tries together. */
  readonly limit: number;
  /** Seconds between TERM and KILL. */
  readonly grace: number;
  /** How many times prog is run at the most. */
  readonly tries: number;
  /** Whether it is a log's processor, with descriptors 4 and 5. */
  readonly processor: boolean;
  /** Whether prog leads a new session, and signals go to its process group. */
  readonly group: boolean;
  /** Whether a message is written for each failure. */
  readonly verbose: boolean;
}

/**
 * What differs between tryto as a program of its own and tryto inside multilog:
 * its descriptors, and how it starts prog.
 */
export interface Surroundings {
  /** The log; 0 in a program of its own. */
  readonly log: number;
  /** Where a log that is kept goes; 1 in a program of its own. */
  readonly output: number;
  /** Where messages go without `-p`; 2 in a program of its own. */
  readonly errors: number;
  /** The notices that haven't been sent yet; 4 in a program of its own. */
  readonly state: number;
  /** Where messages and notices go with `-p`; 5 in a program of its own. */
  readonly newstate: number;
  /** The open directory of the log; by default the working directory. */
  readonly directory?: number;
  /** Prog's descriptors other than 0, each with the one of ours it copies. */
  readonly fds: ReadonlyMap<number, number>;
  /** Descriptors that are closed in prog. */
  readonly without: readonly number[];
  /**
   * Runs prog without a process, inside multilog.
   *
   * @param prog Its name and arguments
   * @param inputs What it reads, one after the other
   * @returns The run, or `undefined` when this prog needs a process
   */
  startInside?(
    prog: readonly string[],
    inputs: readonly Input[],
  ): Promise<Prog | undefined>;
  /** Called before the processes of a group are ended. */
  beforeGroupEnds?(): void;
  /** Called when tryto gives up, with the reason in words. */
  onFailure?(reason: string): void;
}

/** The signals that tryto has received. */
export class Signals {
  readonly #names: string[] = [];
  #killed = false;
  /** Called when a signal arrives. */
  onArrival: () => void = () => {};

  /** The names of those that ask tryto to end, in the order they arrived. */
  get names(): readonly string[] {
    return this.#names;
  }

  /** Whether tryto has to end at once, without a message, as after KILL. */
  get killed(): boolean {
    return this.#killed;
  }

  /** Asks tryto to end: it first ends prog and, with `-p`, keeps the log. */
  add(name: string): void {
    this.#names.push(name);
    this.onArrival();
  }

  /** Ends tryto at once: no log is kept, and no message written. */
  kill(): void {
    this.#killed = true;
    this.onArrival();
  }
}

/** Thrown through the tries when {@linkcode Signals.kill} was called. */
export class Killed extends Error {
  override name = "Killed";
}

/** A sleep that can be ended early. It needs no thread, only the event loop. */
class Sleep {
  #woken = false;
  #end: (() => void) | undefined;

  /** Ends the sleep that is going on or, when there is none, the next one. */
  wake(): void {
    this.#woken = true;
    this.#end?.();
  }

  async wait(milliseconds: number): Promise<void> {
    if (!this.#woken) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#end = resolve;
      const timer = setTimeout(resolve, Math.min(milliseconds, LONGEST_TIMER));
      await promise;
      clearTimeout(timer);
      this.#end = undefined;
    }
    this.#woken = false;
  }
}

/** Why tryto gives up. */
interface Failure {
  /** tryto's exit code, unless the log is kept. */
  readonly code: number;
  /** The last message, after `fatal: `. */
  readonly words: string;
  /** The reason that a notice gives. */
  readonly reason: string;
}

/** A run of prog, and what is known of it so far. */
class Run {
  readonly prog: Prog;
  /** How it ended; `undefined` while it runs. */
  ending: ExitStatus | undefined;
  /** Why the log, which it reads itself, can't be read. */
  inputError: Error | undefined;
  /** Why the exit status couldn't be had. */
  error: unknown;
  #input: number | undefined;

  constructor(prog: Prog, wake: () => void) {
    this.prog = prog;
    this.#input = prog.input;
    prog.ended.then(
      (ending) => this.ending = ending,
      (error) => {
        // Something else in this process has waited for it.
        this.error = error;
        this.ending = { code: TROUBLE };
      },
    ).then(wake);
    prog.inputFailed?.then((error) => {
      this.inputError = error;
      wake();
    });
  }

  /** The pipe to its input, until that is closed. */
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

/** All tries for one log. */
export class Tries implements Disposable {
  readonly #options: TrytoOptions;
  readonly #around: Surroundings;
  readonly #signals: Signals;
  readonly #diagnostics: PatientDiagnostics;
  readonly #poller = new Poller(1);
  readonly #sleep = new Sleep();
  readonly #log: Input;
  /** The notices that haven't been sent yet; only with `-p`. */
  readonly #state: Input | undefined;
  /** What each run of prog reads, one after the other. */
  readonly #inputs: readonly Input[];
  /** When the time limit is reached, on the clock of `performance.now()`. */
  readonly #deadline: number;

  /**
   * Opens the inputs, and starts the time limit.
   *
   * @param options The options, and the program
   * @param around The descriptors
   * @param signals Gets the signals that arrive
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

  /** Closes every descriptor that was opened here. */
  [Symbol.dispose](): void {
    this.#poller.close();
    for (const input of this.#inputs) input[Symbol.dispose]();
  }

  /**
   * Runs prog until it succeeds or tryto gives up, and then keeps the log if
   * `-p` asks for that.
   *
   * @returns tryto's exit code
   * @throws {Killed} After {@linkcode Signals.kill}
   * @throws {Error} On trouble of tryto's own; the message is for after `fatal:
   * `
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
    // After a failure multilog runs the processor again, so that no log is kept
    // without a notice.
    return leaveNotices(newstate, this.#state, message) ? 0 : TROUBLE;
  }

  /**
   * Keeps the log without running prog.
   *
   * @param reason Why prog isn't run, for the notice
   * @throws {Error} When the log can't be kept, or the notice can't be written
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
   * Runs prog once, and waits for nothing but the end of its process: prog may
   * read all, some, or none of its input, and its children may hold the pipe
   * open.
   *
   * @returns How it ended by itself, or `undefined` when tryto has ended it
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
      // TERM is sent before the pipe is closed, so that prog can't take the
      // part of the log that it has read for all of it.
      if (run.runs) await this.#end(run);
      run.closeInput();
    }
  }

  /**
   * Starts prog. If there is no such program, that is like a prog that has
   * exited with 111.
   *
   * @returns The run; its exit code when it couldn't be started; `undefined`
   * when fork(2) failed until tryto had to give up
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

  /** Ends prog: sends TERM and, if it still runs after `-k` seconds, KILL. */
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
    // Only a disk or a network file system that hangs can keep it from ending
    // now, and multilog mustn't wait for that.
    await this.#waitWhile(run, () => run.runs, KILL_WAIT);
  }

  /**
   * Copies all of the log to the output, however much of it prog has read.
   *
   * @returns How many bytes it has
   */
  async #keepLog(): Promise<number> {
    const { output } = this.#around;
    this.#log.rewind();
    const step = isSeekable(output) ? undefined : PIPE_BUF;
    const copy = new Transfer([this.#log], output, step);
    try {
      let awaited: Awaited | undefined;
      while ((awaited = copy.move()) !== undefined) {
        // The first signal has only ended prog, or come after prog's failure.
        // Only a second one may stop the log from being kept.
        const second = this.#signals.names[1];
        if (second !== undefined) {
          throw new Error(`stopped by ${second}, log not kept`);
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

  /** Bounds what prog has written to `newstate` though it has succeeded. */
  #boundNotices(): void {
    const { newstate } = this.#around;
    if ((stat("", newstate)?.size ?? 0) <= NOTICES_MAX) return;
    leaveNotices(newstate, undefined, "");
  }

  /**
   * Sleeps until the time is over, the deadline is reached or a signal comes.
   */
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
      // The end of prog wakes this up; the ends of other processes of its group
      // don't, so they are looked for.
      const look = performance.now() + GROUP_LOOK;
      await this.#wait(run.runs ? until : Math.min(until, look));
    }
  }

  #wake(): void {
    this.#sleep.wake();
    this.#poller.wake();
  }

  /** The one place at which tryto waits, for whatever reason. */
  async #wait(until: number, awaited?: Awaited): Promise<void> {
    const milliseconds = Math.max(0, until - performance.now());
    if (awaited === undefined) await this.#sleep.wait(milliseconds);
    else {
      this.#poller.set(0, awaited.fd, awaited.events);
      await this.#poller.wait(milliseconds);
    }
  }
}

/**
 * Writes more of the log to prog. Prog may close its input before the end.
 *
 * @throws {Error} When the kernel has no memory for the pipe: then prog must not
 * take what it has read for all of the log
 */
function feedOn(feed: Transfer): Awaited | undefined {
  try {
    return feed.move();
  } catch (error) {
    if (!(error instanceof OutputError)) throw error;
    const { cause, message } = error;
    if (cause instanceof SysError && cause.code === "EPIPE") return undefined;
    throw new Error(`unable to write to child: ${message}`);
  }
}

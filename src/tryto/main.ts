/**
 * tryto: runs a program with a time limit and a number of tries, and keeps the
 * log when it fails.
 *
 * @module
 */
import { encode } from "../bytes.ts";
import { Diagnostics } from "../diagnostics.ts";
import { UsageError } from "../getopt.ts";
import {
  close,
  dup2,
  isInherited,
  isSeekable,
  pipe,
  PIPE_BUF,
  setCloseOnExec,
  setNonblocking,
  setPipeSize,
} from "../sys/descriptors.ts";
import { environ } from "../sys/environment.ts";
import { errorNumber, SysError } from "../sys/errors.ts";
import { mayHaveBeenClosed } from "../sys/files.ts";
import { Poller } from "../sys/poll.ts";
import {
  type ExitStatus,
  groupExists,
  kill,
  setChildSubreaper,
  spawn,
  waitFor,
} from "../sys/process.ts";
import {
  onTermination,
  settleSignals,
  signalName,
  signals,
} from "../sys/signals.ts";
import { writeAll } from "../sys/write_all.ts";
import { VERSION } from "../version.ts";
import { type Input, openInput } from "./input.ts";
import { HELP, parseTask, type Task, USAGE } from "./arguments.ts";
import { type Awaited, OutputError, Transfer } from "./transfer.ts";

/** A second: whoever doesn't read messages must not stop the time limit. */
const diagnostics = new Diagnostics("tryto", 1000);

/** The exit code when the time limit is reached. */
const OUT_OF_TIME = 100;
/** The exit code for tryto's own trouble. */
const TROUBLE = 111;
/** Seconds between two tries, as in the original. */
const PAUSE = 1;
/** Seconds until the next attempt to start a process, as in the original. */
const FORK_PAUSE = 5;
/** Seconds for which a program that was sent KILL is waited for. */
const BURIAL = 1;

/** How large the pipe to prog is made. */
const PIPE_SIZE = 1024 * 1024;

const EBADF = errorNumber("EBADF");

/**
 * Runs tryto.
 *
 * @param args Its arguments
 * @returns Its exit code
 */
export async function tryto(args: readonly string[]): Promise<number> {
  if (args[0] === "--help" || args[0] === "--version") {
    const text = args[0] === "--help" ? HELP : `tryto ${VERSION}\n`;
    return diagnostics.answer(text);
  }
  try {
    const task = parseTask(args);
    if (task.processor) takeDescriptors();
    if (task.processor && mayHaveBeenClosed(1)) {
      throw new Error("standard output is closed");
    }
    return await new Attempts(task).run();
  } catch (error) {
    if (error instanceof UsageError) {
      if (error.message !== "") diagnostics.say(error.message);
      writeAll(2, encode(USAGE));
      return 1;
    }
    diagnostics.say("fatal: ", error);
    return TROUBLE;
  }
}

/** Makes 5 standard error; prog gets neither 4 nor 5. */
function takeDescriptors(): void {
  for (const fd of [4, 5]) {
    if (!isInherited(fd)) {
      throw new Error(
        `unable to use descriptor ${fd}: ${new SysError(EBADF).message}`,
      );
    }
    setCloseOnExec(fd);
  }
  dup2(5, 2);
}

/** A run of prog. */
interface Child {
  readonly pid: number;
  /** How it ended, once it has. */
  ending: ExitStatus | undefined;
}

/** Why tryto gives up. */
interface Failure {
  /** The exit code, where the log isn't kept. */
  readonly code: number;
  /** The last message. */
  readonly words: string;
}

/** All tries of one task. */
class Attempts {
  readonly #task: Task;
  readonly #poller = new Poller(1);
  readonly #log: Input;
  /** What each run of prog is fed. */
  readonly #inputs: readonly Input[];
  /** When the time limit is reached; everything here is in milliseconds. */
  readonly #deadline: number;
  /** The signals that tryto itself has got. */
  readonly #signals: string[] = [];

  constructor(task: Task) {
    const warn = (...parts: readonly unknown[]) => diagnostics.warn(...parts);
    this.#task = task;
    this.#log = openInput(0, warn);
    this.#inputs = task.processor
      ? [openInput(4, warn), this.#log]
      : [this.#log];
    this.#deadline = performance.now() + task.limit * 1000;
  }

  async run(): Promise<number> {
    onTermination((name) => {
      this.#signals.push(name);
      this.#poller.wake();
    });
    settleSignals();
    const failure = await this.#tryAll();
    if (failure === undefined) return 0;
    const stopped = this.#signals.length > 0;
    if (this.#task.processor) await this.#keepLog();
    const told = diagnostics.say("fatal: ", failure.words);
    if (!this.#task.processor || stopped) return failure.code;
    // What nobody would be told of is tried again by multilog.
    return told ? 0 : TROUBLE;
  }

  async #tryAll(): Promise<Failure | undefined> {
    for (let tries = 1;; tries++) {
      const ending = await this.#tryOnce();
      if (ending === undefined) return this.#reasonToStop();
      if (ending.code === 0) return undefined;
      if (ending.signal !== undefined) {
        diagnostics.warn(`child killed by ${describeSignal(ending.signal)}.`);
      } else if (this.#task.verbose) {
        diagnostics.warn("child crashed.");
      }
      if (tries >= this.#task.tries) {
        const code = ending.code ?? 128 + ending.signal;
        return { code, words: "child crashed, giving up." };
      }
      await this.#pause(PAUSE);
      const reason = this.#reasonToStop();
      if (reason !== undefined) return reason;
      for (const input of this.#inputs) input.rewind();
    }
  }

  #reasonToStop(): Failure | undefined {
    const [signal] = this.#signals;
    if (signal !== undefined) {
      return { code: TROUBLE, words: `stopped by ${signal}, giving up.` };
    }
    if (performance.now() < this.#deadline) return undefined;
    return { code: OUT_OF_TIME, words: "child timed out, giving up." };
  }

  /**
   * Runs prog once. Nothing but its own end is waited for: it may read all,
   * some, or none of its input, and its children may hold the pipe open.
   *
   * @returns How it ended, or `undefined` when it was ended
   */
  async #tryOnce(): Promise<ExitStatus | undefined> {
    const { reader, writer } = createPipe();
    let open = true;
    const hangUp = () => {
      if (open) close(writer);
      open = false;
    };
    const child = await this.#start(reader).finally(() => close(reader));
    if (child === undefined) {
      hangUp();
      return undefined;
    }
    const feed = new Transfer(this.#inputs, writer);
    try {
      while (
        child.ending === undefined && this.#reasonToStop() === undefined
      ) {
        const awaited = open ? feedOn(feed) : undefined;
        if (awaited === undefined) hangUp();
        await this.#wait(this.#deadline, awaited);
      }
      return child.ending;
    } finally {
      // Its input may be cut off: TERM comes before the end of it, so that
      // prog doesn't take it for all of the log.
      if (child.ending === undefined) await this.#end(child, hangUp);
      hangUp();
    }
  }

  /**
   * Starts prog; one that can't be started has ended, with code 111.
   *
   * @returns `undefined` when no process could be had until it was too late
   */
  async #start(stdin: number): Promise<Child | undefined> {
    const { prog, group } = this.#task;
    while (true) {
      try {
        const pid = spawn({
          args: prog,
          env: environ(),
          fds: new Map([[0, stdin]]),
          session: group,
        });
        const child: Child = { pid, ending: undefined };
        waitFor(pid).then((ending) => {
          child.ending = ending;
          this.#poller.wake();
        });
        return child;
      } catch (error) {
        if (!(error instanceof SysError)) throw error;
        if (error.code !== "EAGAIN" && error.code !== "ENOMEM") {
          diagnostics.say("fatal: unable to start child: ", error);
          return { pid: 0, ending: { code: TROUBLE } };
        }
        diagnostics.warn(`unable to fork for "${prog[0]}" pausing: `, error);
        await this.#pause(FORK_PAUSE);
        if (this.#reasonToStop() !== undefined) return undefined;
      }
    }
  }

  /** Ends prog: TERM, and where that doesn't help, KILL. */
  async #end(child: Child, hangUp: () => void): Promise<void> {
    const { prog, group, grace } = this.#task;
    const target = group ? -child.pid : child.pid;
    const runs = () => child.ending === undefined;
    const alive = () => runs() || (group && groupExists(child.pid));
    if (group) setChildSubreaper();
    const [signal] = this.#signals;
    let what = "has no input";
    if (signal !== undefined) what = `interrupted by ${signal}`;
    else if (performance.now() >= this.#deadline) what = "timed out";
    diagnostics.warn(`child "${prog[0]}" ${what}. sending TERM...`);
    kill(target, signals.SIGTERM);
    hangUp();
    await this.#waitWhile(alive, child, grace);
    if (!alive()) {
      diagnostics.warn("child terminated.");
      return;
    }
    diagnostics.warn(`child "${prog[0]}" not terminated. sending KILL...`);
    kill(target, signals.SIGKILL);
    // Only a disk or a network file system that hangs can keep it now, and
    // nobody else is to wait for that.
    await this.#waitWhile(runs, child, BURIAL);
  }

  /** Copies everything that was on 0 to 1, whatever prog has read of it. */
  async #keepLog(): Promise<void> {
    this.#log.rewind();
    const copy = new Transfer(
      [this.#log],
      1,
      isSeekable(1) ? undefined : PIPE_BUF,
    );
    try {
      let awaited: Awaited | undefined;
      while ((awaited = copy.move()) !== undefined) {
        // The first signal ended prog, or prog had failed before it; only who
        // insists may lose the log.
        if (this.#signals.length > 1) {
          throw new Error(`stopped by ${this.#signals[1]}, log not kept`);
        }
        await this.#wait(Infinity, awaited);
      }
    } catch (error) {
      if (!(error instanceof OutputError)) throw error;
      throw new Error(`unable to write to standard output: ${error.message}`);
    }
  }

  /** Sleeps, but no longer than there is a reason to. */
  async #pause(seconds: number): Promise<void> {
    const end = performance.now() + seconds * 1000;
    const until = Math.min(end, this.#deadline);
    while (performance.now() < until && this.#signals.length === 0) {
      await this.#wait(until);
    }
  }

  async #waitWhile(
    alive: () => boolean,
    child: Child,
    seconds: number,
  ): Promise<void> {
    const until = performance.now() + seconds * 1000;
    while (performance.now() < until && alive()) {
      // The end of prog is an event; that of the rest of its group isn't.
      const ours = child.ending === undefined;
      await this.#wait(ours ? until : Math.min(until, performance.now() + 50));
    }
  }

  /** The one place at which tryto waits, whatever for. */
  async #wait(until: number, awaited?: Awaited): Promise<void> {
    this.#poller.set(0, awaited?.fd ?? -1, awaited?.events ?? 0);
    await this.#poller.wait(Math.max(0, until - performance.now()));
  }
}

function createPipe(): { reader: number; writer: number } {
  try {
    const ends = pipe();
    setNonblocking(ends.writer, true);
    setPipeSize(ends.writer, PIPE_SIZE);
    return ends;
  } catch (error) {
    if (!(error instanceof SysError)) throw error;
    throw new Error(`unable to create pipe for child: ${error.message}`);
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

function describeSignal(signal: number): string {
  const name = signalName(signal);
  return `signal ${signal}${name === undefined ? "" : ` (${name.slice(3)})`}`;
}

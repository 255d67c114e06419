/**
 * A log server's lines straight into the logs of a script, in the server's own
 * process: what `socklog-tcp … multilog script…` asks for.
 *
 * A log that waits, for its disk or its processor, holds back whoever writes;
 * everything else that may happen to the others, age and signals and the ends
 * of processors, arrives through the event loop meanwhile.
 *
 * @module
 */
import type { Bytes } from "./bytes.ts";
import { DueTimer } from "./log/due.ts";
import { Retrier } from "./log/retrier.ts";
import type { AnyLog } from "./log/log_directory.ts";
import { parseScript, type Script } from "./multilog/script.ts";
import {
  descriptorsFor,
  ScriptRunner,
  usefulDescriptors,
} from "./multilog/script_runner.ts";
import { LogferryError } from "./logferry_error.ts";
import {
  type Output,
  type ScriptReader,
  wholeLines,
} from "./socklog/output.ts";
import { umask } from "./sys/files.ts";
import { Poller, WRITABLE } from "./sys/poll.ts";
import { listen, onTermination } from "./sys/signals.ts";

const STANDARD_ERROR = 2;
/** How long lines that were read may still wait after TERM, in milliseconds. */
const TIME_TO_WRITE = 3000;
/** When the logs have to be closed, after TERM; a processor has 4400 ms. */
const TIME_TO_END = 4700;

/** The logs of a script, as a server's output. */
class ScriptOutput implements Output {
  /** Nobody hangs up. */
  readonly fd = -1;
  readonly turns = true;
  readonly #runner: ScriptRunner;
  readonly #retrier: Retrier;
  /** The write that is waited for. */
  #writing: PromiseWithResolvers<number> | undefined;
  /** What ended the logs. */
  #failure: unknown;
  /** The logs that are being finished since they are due. */
  readonly #finishing = new Set<AnyLog>();
  readonly #timer: DueTimer;
  #alerting = false;
  /** When the end was asked for. */
  #stoppedAt: number | undefined;

  constructor(runner: ScriptRunner, retrier: Retrier) {
    this.#runner = runner;
    this.#retrier = retrier;
    this.#timer = new DueTimer(runner.logs, () => this.look());
    this.look();
  }

  write(lines: Bytes): Promise<number> {
    const { engine } = this.#runner;
    const space = engine.space();
    const taken = wholeLines(lines, space.length);
    const n = taken.length;
    space.set(taken);
    const writing = this.#writing = Promise.withResolvers<number>();
    if (this.#failure !== undefined) writing.reject(this.#failure);
    else if (this.#stoppedAt !== undefined) this.#giveUpLate();
    engine.push(n).then(() => {
      this.#writing = undefined;
      this.look();
      writing.resolve(n);
    }, writing.reject);
    return writing.promise;
  }

  sync(): boolean | Promise<boolean> {
    return this.#runner.isSynced() || this.#runner.sync();
  }

  /**
   * Sees to what time, a processor's end, or what was written has made due, and
   * to alerts.
   */
  look(): void {
    const { logs, alerts } = this.#runner;
    for (const log of logs) {
      if (log.hasExpired()) this.#aside(log.expire());
      if (!log.due() || this.#finishing.has(log)) continue;
      this.#finishing.add(log);
      this.#aside(
        log.attend().then(() => {
          this.#finishing.delete(log);
          this.look();
        }),
      );
    }
    this.#timer.set();
    if (alerts.waiting && !this.#alerting) this.#aside(this.#flushAlerts());
  }

  /** Whoever reads alerts may take their time. */
  async #flushAlerts(): Promise<void> {
    this.#alerting = true;
    const poller = new Poller(1);
    while (this.#runner.alerts.waiting) {
      poller.set(0, STANDARD_ERROR, WRITABLE);
      await poller.wait();
      this.#runner.alerts.flush();
    }
    poller.close();
    this.#alerting = false;
  }

  /** Lets something go on, whose failure is the next write's. */
  #aside(work: Promise<unknown>): void {
    work.catch((error) => {
      this.#failure ??= error;
      this.#writing?.reject(this.#failure);
    });
  }

  /** ALRM: every log is finished. */
  rotate(): void {
    this.#retrier.hurry();
    for (const log of this.#runner.logs) this.#aside(log.rotate());
  }

  stop(): void {
    if (this.#stoppedAt !== undefined) return;
    this.#stoppedAt = performance.now();
    this.#runner.terminate();
    this.#giveUpLate();
  }

  /** What is unwritten in some seconds isn't acknowledged: it comes again. */
  #giveUpLate(): void {
    const writing = this.#writing;
    const until = this.#stoppedAt! + TIME_TO_WRITE - performance.now();
    const timer = setTimeout(
      () =>
        writing?.reject(
          new LogferryError("unable to write what was read in time"),
        ),
      Math.max(until, 0),
    );
    writing?.promise.catch(() => {}).finally(() => clearTimeout(timer));
  }

  gone(): LogferryError {
    return new LogferryError("unable to write to the logs");
  }

  async close(): Promise<void> {
    // Whoever has lost patience waits for the logs nevertheless.
    onTermination(() => {});
    this.stop();
    this.#timer.stop();
    const late = Promise.withResolvers<void>();
    const timer = setTimeout(
      () => late.reject(new LogferryError("unable to end all logs in time")),
      Math.max(this.#stoppedAt! + TIME_TO_END - performance.now(), 0),
    );
    try {
      await Promise.race([this.#runner.close(), late.promise]);
    } finally {
      clearTimeout(timer);
    }
  }
}

/**
 * Reads a script. Once it is open, ALRM finishes its logs.
 *
 * @param args The script
 * @param messages Where to tell what is wrong with it, and later with a log
 * @param program The name that other messages begin with
 */
export const readScript: ScriptReader = (args, messages, program) => {
  const warn = (message: string) => {
    messages.warn(message);
    messages.flush();
  };
  const script = parseScript(args);
  script.warnings.forEach(warn);
  return Promise.resolve({
    descriptors: descriptorsFor(script),
    usefulDescriptors: usefulDescriptors(script),
    open: (others) => openScript(script, args, warn, program, others),
  });
};

async function openScript(
  script: Script,
  args: readonly string[],
  warn: (message: string) => void,
  program: string,
  others: number,
): Promise<Output> {
  umask(0o022);
  let output: ScriptOutput | undefined = undefined;
  listen("SIGALRM", () => output?.rotate());
  // What may run inside is loaded where there is a processor at all.
  const inside = args.some((arg) => arg.startsWith("!"))
    ? await import("./inside.ts")
    : undefined;
  const retrier = new Retrier(warn);
  const runner = await ScriptRunner.open(
    script,
    retrier,
    () => output?.look(),
    inside?.findProcessor,
    program,
    false,
    others,
  );
  output = new ScriptOutput(runner, retrier);
  return output;
}

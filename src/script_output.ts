/**
 * Writing a log server's lines straight to the logs of a script, in the server's
 * own process, as `socklog-tcp … multilog script…` asks for.
 *
 * While a log waits for its disk or its processor, the server's next write
 * waits, too. Meanwhile the event loop turns, so the other logs are finished by
 * age, and signals and the ends of processors are handled.
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
/**
 * How long lines that were read may still wait after TERM, for their logs or to
 * be synced, in milliseconds.
 */
const TIME_TO_WRITE = 3000;
/**
 * How long after TERM all logs have to be closed, in milliseconds. A processor
 * is waited for until 4400 ms after TERM.
 */
const TIME_TO_END = 4700;

/** The logs of a script as the output of a log server. */
class ScriptOutput implements Output {
  /** No descriptor: no reader of this output can go away. */
  readonly fd = -1;
  readonly turns = true;
  readonly #runner: ScriptRunner;
  readonly #retrier: Retrier;
  /** The write that the server waits for. */
  #writing: PromiseWithResolvers<number> | undefined;
  /** The sync that it waits for. */
  #syncing: PromiseWithResolvers<boolean> | undefined;
  /** The error with which all further writes fail. */
  #failure: unknown;
  /** The logs that are due, and whose `current` is being finished. */
  readonly #finishing = new Set<AnyLog>();
  readonly #timer: DueTimer;
  #alerting = false;
  /** When TERM came, on this process's own clock. */
  #stoppedAt: number | undefined;

  constructor(runner: ScriptRunner, retrier: Retrier) {
    this.#runner = runner;
    this.#retrier = retrier;
    this.#timer = new DueTimer(runner.logs, () => this.attend());
    this.attend();
  }

  write(lines: Bytes): Promise<number> {
    const { engine } = this.#runner;
    const space = engine.space();
    const taken = wholeLines(lines, space.length);
    const n = taken.length;
    space.set(taken);
    const writing = this.#writing = Promise.withResolvers<number>();
    if (this.#failure !== undefined) writing.reject(this.#failure);
    else if (this.#stoppedAt !== undefined) this.#giveUpLate(writing);
    Promise.try(() => engine.push(n)).then(() => {
      this.#writing = undefined;
      this.attend();
      writing.resolve(n);
    }, writing.reject);
    return writing.promise;
  }

  sync(): boolean | Promise<boolean> {
    if (this.#runner.isSynced()) return true;
    const syncing = this.#syncing = Promise.withResolvers<boolean>();
    if (this.#stoppedAt !== undefined) this.#giveUpLate(syncing);
    this.#runner.sync().then(syncing.resolve, syncing.reject);
    return syncing.promise;
  }

  /**
   * Finishes each log that is due, by its age, by the end of a processor or by
   * what was written to it; removes old files that are too old; and has waiting
   * alerts written.
   */
  attend(): void {
    const { logs, alerts } = this.#runner;
    for (const log of logs) {
      if (log.hasExpired()) this.#inBackground(log.expire());
      if (!log.due() || this.#finishing.has(log)) continue;
      this.#finishing.add(log);
      this.#inBackground(
        log.attend().then(() => {
          this.#finishing.delete(log);
          this.attend();
        }),
      );
    }
    this.#timer.set();
    if (alerts.waiting && !this.#alerting) {
      this.#inBackground(this.#flushAlerts());
    }
  }

  /** Writes the waiting alerts, however long their reader takes. */
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

  /** Lets work go on unawaited. If it fails, the next write fails with that. */
  #inBackground(work: Promise<unknown>): void {
    work.catch((error) => {
      this.#failure ??= error;
      this.#writing?.reject(this.#failure);
    });
  }

  /** ALRM: finishes every log's `current`. */
  rotate(): void {
    this.#retrier.hurry();
    for (const log of this.#runner.logs) this.#inBackground(log.rotate());
  }

  stop(): void {
    if (this.#stoppedAt !== undefined) return;
    this.#stoppedAt = performance.now();
    this.#runner.terminate();
    this.#giveUpLate(this.#writing);
    this.#giveUpLate(this.#syncing);
  }

  /**
   * Fails a write or a sync unless it is done within {@linkcode TIME_TO_WRITE}
   * after TERM. Its lines aren't acknowledged then, so their senders send them
   * again.
   */
  #giveUpLate<T>(work: PromiseWithResolvers<T> | undefined): void {
    const until = this.#stoppedAt! + TIME_TO_WRITE - performance.now();
    const timer = setTimeout(
      () =>
        work?.reject(
          new LogferryError("unable to write what was read in time"),
        ),
      Math.max(until, 0),
    );
    work?.promise.catch(() => {}).finally(() => clearTimeout(timer));
  }

  gone(): LogferryError {
    return new LogferryError("unable to write to the logs");
  }

  async close(): Promise<void> {
    // A second TERM must not end the process before the logs are closed.
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
 * Reads a script. Once its logs are open, ALRM finishes them.
 *
 * @param args The script
 * @param messages Where warnings go: of the script, and later of its logs
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
  // Only a script with a processor can have one that runs inside: for other
  // scripts those modules aren't loaded.
  const inside = args.some((arg) => arg.startsWith("!"))
    ? await import("./inside.ts")
    : undefined;
  const retrier = new Retrier(warn);
  const runner = await ScriptRunner.open(
    script,
    retrier,
    () => output?.attend(),
    inside?.findProcessor,
    program,
    false,
    others,
  );
  output = new ScriptOutput(runner, retrier);
  return output;
}

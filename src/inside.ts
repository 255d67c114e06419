/**
 * Running a log's processor inside multilog's process, when it is one of our own
 * programs: `tryto …`, `socklog-tcp send …`, or `tryto … socklog-tcp send …`.
 * Then no shell, process or runtime has to be started for each file.
 *
 * The same functions do the work that do it in the programs, but on the job's
 * descriptors instead of the process's own. So only the time it takes is
 * different.
 *
 * @module
 */
import { fromLatin1, latin1 } from "./bytes.ts";
import { PatientDiagnostics } from "./diagnostics.ts";
import { UsageError } from "./getopt.ts";
import {
  type ExitStatus,
  type FindProcessor,
  type Processor,
  type ProcessorJob,
  type RunningProcessor,
  shell,
} from "./log/processor.ts";
import { inOneLine, TROUBLE } from "./program.ts";
import { parseArguments as parseSocklogTcp } from "./socklog/arguments.ts";
import {
  send,
  type SendOptions,
  type Source,
  sourceOf,
} from "./socklog/sender.ts";
import { close, dup, Opened, read } from "./sys/descriptors.ts";
import { getenv } from "./sys/environment.ts";
import { SysError } from "./sys/errors.ts";
import { type FileInfo, type Name, open, stat } from "./sys/files.ts";
import { signals } from "./sys/signals.ts";
import { parseArguments as parseTryto } from "./tryto/arguments.ts";
import { type Input, InputError } from "./tryto/input.ts";
import { keepUntried, tryOut } from "./tryto/main.ts";
import type { EndingSignal, Prog } from "./tryto/prog.ts";
import {
  Killed,
  Signals,
  type Surroundings,
  type TrytoOptions,
} from "./tryto/tries.ts";

/** Where messages go that `tryto -p` doesn't send with the next log. */
const STANDARD_ERROR = 2;

/** A command of characters that have no special meaning for a shell. */
const PLAIN = /^[A-Za-z0-9_@%+:,.\/ \t-][A-Za-z0-9_@%+:,.\/ \t=-]*$/;

/**
 * Splits a command into words, as a shell would.
 *
 * @returns The words; `undefined` when a shell would do more than split it
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(plainWords("tryto -pv  cat"), ["tryto", "-pv", "cat"]);
 * assertEquals(plainWords("tryto cat >file"), undefined);
 * ```
 */
export function plainWords(command: string): string[] | undefined {
  if (!PLAIN.test(command)) return undefined;
  const words = command.split(/[ \t]+/).filter((word) => word !== "");
  // `NAME=value tryto …` sets a variable.
  return words.length === 0 || words[0]!.includes("=") ? undefined : words;
}

/**
 * Finds what runs a log's processor: this process where it can, otherwise a
 * shell.
 */
export const findProcessor: FindProcessor = (command) => {
  const words = plainWords(command);
  const outside = shell();
  const inside = words && processorInside(words);
  if (words === undefined || inside === undefined) return outside;
  const [program] = words as [string, ...string[]];
  let here = leadsHere(program);
  return {
    get keepsUnsent() {
      return inside.keepsUnsent && here;
    },
    start(job) {
      // When the program's file has been replaced, by an upgrade for example,
      // the next log file is processed by the new program.
      here = leadsHere(program);
      return (here ? inside : outside).start(job);
    },
    ...(inside.keep && { keep: inside.keep }),
  };
};

/**
 * The processor that runs a program of ours inside this process.
 *
 * @param words The program's name, and its arguments
 * @returns The processor; `undefined` when it has to be a process of its own
 */
export function processorInside(
  words: readonly string[],
): Processor | undefined {
  const tryto = trytoOptionsOf(words);
  if (tryto !== undefined) {
    return {
      keepsUnsent: tryto.processor,
      start: (job) => startTryto(tryto, job),
      ...(tryto.processor && {
        keep: (job: ProcessorJob, reason: string) =>
          keepUntried(tryto, surroundings(tryto, job, job.directory), reason),
      }),
    };
  }
  const options = sendOptionsOf(words);
  if (options === undefined) return undefined;
  return {
    keepsUnsent: false,
    start: (job) => startSend(options, job),
  };
}

function baseName(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

/**
 * The options of a command `tryto …`; `undefined` for other commands, and when
 * the options are wrong or ask for help.
 */
function trytoOptionsOf(words: readonly string[]): TrytoOptions | undefined {
  const [name = "", ...args] = words;
  return baseName(name) === "tryto"
    ? unlessUsageError(() => parseTryto(args))
    : undefined;
}

/** The same of a command `socklog-tcp send …`. */
function sendOptionsOf(words: readonly string[]): SendOptions | undefined {
  const [name = "", ...args] = words;
  if (baseName(name) !== "socklog-tcp") return undefined;
  const options = unlessUsageError(() => parseSocklogTcp(args, "socklog-tcp"));
  if (options?.mode !== "send") return undefined;
  // The working directory of a process of its own would be the log's directory.
  // Here it is multilog's, so these names must not depend on it.
  const files = Object.values(options.tls ?? {});
  return files.every((file) => file?.startsWith("/") ?? true)
    ? options
    : undefined;
}

function unlessUsageError<T>(parse: () => T): T | undefined {
  try {
    return parse();
  } catch (error) {
    if (error instanceof UsageError) return undefined;
    throw error;
  }
}

/**
 * A job with duplicates of its descriptors, for as long as they are needed: the
 * log closes its own as soon as the processor has been started.
 */
class HeldJob {
  readonly job: ProcessorJob;
  readonly #opened = new Opened();

  constructor(job: ProcessorJob) {
    try {
      const { log, processed, state, newstate } = job.fds;
      this.job = {
        ...job,
        directory: this.#dup(job.directory),
        fds: {
          log: this.#dup(log),
          processed: this.#dup(processed),
          state: this.#dup(state),
          newstate: this.#dup(newstate),
        },
      };
    } catch (error) {
      this.close();
      throw error;
    }
  }

  #dup(fd: number): number {
    return this.#opened.use(dup(fd));
  }

  close(): void {
    this.#opened[Symbol.dispose]();
  }
}

/** What tryto finds around it, with a job's descriptors in it. */
function surroundings(
  options: TrytoOptions,
  { fds }: ProcessorJob,
  directory: number,
): Surroundings {
  const { log, processed: output, state, newstate } = fds;
  const errors = options.processor ? newstate : STANDARD_ERROR;
  const others: [number, number][] = options.processor
    ? []
    : [[4, state], [5, newstate]];
  return {
    log,
    output,
    errors: STANDARD_ERROR,
    state,
    newstate,
    directory,
    fds: new Map([[1, output], [2, errors], ...others]),
    without: options.processor ? [4, 5] : [],
    startInside: (prog, inputs) => sendInside(prog, inputs, errors),
  };
}

function startTryto(
  options: TrytoOptions,
  given: ProcessorJob,
): RunningProcessor {
  const held = new HeldJob(given);
  const { job } = held;
  const received = new Signals();
  let cause: string | undefined;
  const work = async (): Promise<ExitStatus> => {
    try {
      const around = surroundings(options, job, job.directory);
      const { startInside } = around;
      let prog: Prog | undefined;
      around.startInside = async (words, inputs) =>
        prog = await startInside!(words, inputs);
      // Prog's own reason says more than tryto's, "crashed" for example.
      around.onFailure = (reason) => cause = prog?.cause ?? reason;
      return { code: await tryOut(options, around, received) };
    } catch (error) {
      if (error instanceof Killed) return { signal: signals.SIGKILL };
      throw error;
    } finally {
      held.close();
    }
  };
  return {
    ended: work(),
    get cause() {
      return cause;
    },
    kill(signal) {
      if (signal === "SIGKILL") received.kill();
      else received.add(signal);
    },
  };
}

function startSend(
  options: SendOptions,
  given: ProcessorJob,
): RunningProcessor {
  const held = new HeldJob(given);
  const source = sourceOf(held.job.fds.log);
  const prog = sending(options, source, STANDARD_ERROR);
  return {
    ended: prog.ended.finally(() => held.close()),
    get cause() {
      return prog.cause;
    },
    kill: (signal) => prog.kill(signal),
  };
}

/**
 * Starts tryto's prog inside, when it is the sender, and the same program as this
 * process runs.
 */
function sendInside(
  words: readonly string[],
  inputs: readonly Input[],
  errors: number,
): Promise<Prog | undefined> {
  const options = sendOptionsOf(words);
  const prog = options !== undefined && leadsHere(words[0]!)
    ? sending(options, concatenated(inputs), errors)
    : undefined;
  return Promise.resolve(prog);
}

/** All inputs, one after the other, as one source. */
function concatenated(inputs: readonly Input[]): Source {
  let at = 0;
  return {
    get waits() {
      return inputs[at]?.waits ?? -1;
    },
    read(buffer) {
      for (; at < inputs.length; at++) {
        const input = inputs[at]!;
        const n = input.read(buffer);
        if (n > 0) return n;
        // The next one may have to be waited for.
        if ((inputs[at + 1]?.waits ?? -1) >= 0) {
          at++;
          return -1;
        }
      }
      return 0;
    },
  };
}

/** Starts the sender. A signal ends it as it would end a process. */
function sending(
  options: SendOptions,
  source: Source,
  errors: number,
): Prog {
  const controller = new AbortController();
  const killed = Promise.withResolvers<ExitStatus>();
  const inputFailed = Promise.withResolvers<Error>();
  let cause: string | undefined;
  const onFailure = (why: string) => cause = why;
  const work = async (): Promise<ExitStatus> => {
    try {
      const { signal } = controller;
      return {
        code: await send(options, { source, errors, signal, onFailure }),
      };
    } catch (error) {
      if (controller.signal.aborted) return await killed.promise;
      if (error instanceof InputError) {
        // A process wouldn't notice this, but wait for more input until tryto
        // ends it.
        inputFailed.resolve(error);
        return await killed.promise;
      }
      cause = inOneLine(error);
      await new PatientDiagnostics("socklog-tcp", errors)
        .say("fatal: ", inOneLine(error));
      return { code: TROUBLE };
    }
  };
  return {
    ended: work(),
    get cause() {
      return cause;
    },
    inputFailed: inputFailed.promise,
    kill(signal: EndingSignal) {
      killed.resolve({ signal: signals[signal] });
      controller.abort();
    },
    groupExists: () => false,
  };
}

/**
 * Whether a command's first word leads a shell to the program that this process
 * runs: to the same file, or to one with the same bytes. `false` for a word
 * whose meaning depends on the working directory.
 */
function leadsHere(word: string): boolean {
  const path = getenv("PATH");
  if (path === undefined && !word.includes("/")) return false;
  const candidates = word.includes("/")
    ? [word]
    : latin1(path!).split(":").map((folder) => `${folder}/${word}`);
  for (const candidate of candidates) {
    if (!candidate.startsWith("/")) return false;
    const name = fromLatin1(candidate);
    const info = infoOf(name);
    if (info?.isFile && (info.mode & 0o111) !== 0) {
      return isThisProgram(name, info);
    }
  }
  return false;
}

function infoOf(name: Name): FileInfo | undefined {
  try {
    return stat(name);
  } catch (error) {
    if (error instanceof SysError) return undefined;
    throw error;
  }
}

const SELF = "/proc/self/exe";
/**
 * The file that this process runs. It stays the same when another file gets its
 * name.
 */
let ownFile: FileInfo | undefined;
/** How many bytes are compared before the event loop turns. */
const SLICE = 1024 * 1024;

/** Whether other files have this program's bytes, where that is known. */
const compared = new Map<string, boolean>();

/**
 * Whether a file is this program. Comparing bytes takes long, so it goes on in
 * the background; until it is done the answer is no.
 */
function isThisProgram(name: Name, info: FileInfo): boolean {
  const self = ownFile ??= infoOf(SELF);
  if (self === undefined) return false;
  if (self.identity === info.identity) return true;
  if (self.size !== info.size) return false;
  const key = [info.identity, info.mtime, info.ctime].join(" ");
  const known = compared.get(key);
  if (known === undefined) {
    compared.set(key, false);
    compare(name).then(
      (same) => compared.set(key, same),
      // A program that can't be read can't be run either.
      () => {},
    );
  }
  return known ?? false;
}

async function compare(name: Name): Promise<boolean> {
  const ours = open(SELF, "read");
  try {
    const theirs = open(name, "read");
    try {
      const a = new Uint8Array(SLICE);
      const b = new Uint8Array(SLICE);
      while (true) {
        const length = read(ours, a);
        if (length !== read(theirs, b) || length < 0) return false;
        if (length === 0) return true;
        if (!areSame(a, b, length)) return false;
        await new Promise((resolve) => setTimeout(resolve, 0));
      }
    } finally {
      close(theirs);
    }
  } finally {
    close(ours);
  }
}

function areSame(a: Uint8Array, b: Uint8Array, length: number): boolean {
  const words = length >> 2;
  const x = new Uint32Array(a.buffer, 0, words);
  const y = new Uint32Array(b.buffer, 0, words);
  for (let i = 0; i < words; i++) if (x[i] !== y[i]) return false;
  for (let i = 4 * words; i < length; i++) if (a[i] !== b[i]) return false;
  return true;
}

/**
 * Running what is ours inside multilog's process: `tryto …`, `socklog-tcp send
 * …`, or the one around the other, as a log's processor, with no shell, no
 * process, and no runtime to start.
 *
 * Each program's own function does the work, with a job's descriptors in place
 * of a program's; so there is no difference but the time it takes.
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
import {
  parseArguments as parseTryto,
  type TrytoOptions,
} from "./tryto/arguments.ts";
import { type Input, InputError } from "./tryto/input.ts";
import { keepUntried, tryOut } from "./tryto/main.ts";
import type { EndingSignal, Prog } from "./tryto/prog.ts";
import { Killed, Signals, type Surroundings } from "./tryto/tries.ts";

/** Where messages go that aren't told with the next log. */
const STANDARD_ERROR = 2;

/** Characters that no shell takes for anything but themselves. */
const PLAIN = /^[A-Za-z0-9_@%+:,.\/ \t-][A-Za-z0-9_@%+:,.\/ \t=-]*$/;

/**
 * The words of a command that a shell would do nothing to but split.
 *
 * @param command The command
 * @returns Its words, or `undefined` where it needs a shell
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
 * Finds what carries out a log's processor: this process where it can, a shell
 * otherwise.
 *
 * @param command The processor
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
      // Whoever replaces the program means it: the next file is for the new one.
      here = leadsHere(program);
      return (here ? inside : outside).start(job);
    },
    ...(inside.keep && { keep: inside.keep }),
  };
};

/**
 * What carries out a program of ours as a processor.
 *
 * @param words Its name, and arguments
 * @returns It, or `undefined` where it isn't one of those that can be
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

/** What `tryto …` is to do; nothing where that is wrong, or asks for help. */
function trytoOptionsOf(words: readonly string[]): TrytoOptions | undefined {
  const [name = "", ...args] = words;
  return baseName(name) === "tryto"
    ? unlessWrong(() => parseTryto(args))
    : undefined;
}

/** What `socklog-tcp send …` is to do. */
function sendOptionsOf(words: readonly string[]): SendOptions | undefined {
  const [name = "", ...args] = words;
  if (baseName(name) !== "socklog-tcp") return undefined;
  const options = unlessWrong(() => parseSocklogTcp(args, "socklog-tcp"));
  if (options?.mode !== "send") return undefined;
  // A process of its own would look for these in the log's directory.
  const files = Object.values(options.tls ?? {});
  return files.every((file) => file?.startsWith("/") ?? true)
    ? options
    : undefined;
}

function unlessWrong<T>(parse: () => T): T | undefined {
  try {
    return parse();
  } catch (error) {
    if (error instanceof UsageError) return undefined;
    throw error;
  }
}

/** A job's descriptors as long as they are needed: the log closes its own. */
class Held {
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

/** A job's descriptors as tryto has them. */
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
  const held = new Held(given);
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
      // What prog knows says more than that it crashed.
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
  const held = new Held(given);
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

/** Starts tryto's prog, where it is the sender and nothing but this program. */
function sendInside(
  words: readonly string[],
  inputs: readonly Input[],
  errors: number,
): Promise<Prog | undefined> {
  const options = sendOptionsOf(words);
  const prog = options !== undefined && leadsHere(words[0]!)
    ? sending(options, oneAfterTheOther(inputs), errors)
    : undefined;
  return Promise.resolve(prog);
}

function oneAfterTheOther(inputs: readonly Input[]): Source {
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

/** A sender at work, which signals end as they end a process. */
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
        // To a process its input would only have no end; tryto ends it.
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
 * Whether a word leads, as for a shell, to the program that this process runs:
 * to the same file, or to one with the same bytes. What depends on a working
 * directory doesn't.
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
    if (info?.isFile && (info.mode & 0o111) !== 0) return isThis(name, info);
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
/** The file that this process runs. It stays the same, whatever its name leads to. */
let own: FileInfo | undefined;
/** How much of two files is compared before somebody else has a turn. */
const SLICE = 1024 * 1024;

/** What is known of other files: whether their bytes are this program's. */
const compared = new Map<string, boolean>();

/** Files that are large are compared aside; until it is known they differ. */
function isThis(name: Name, info: FileInfo): boolean {
  const self = own ??= infoOf(SELF);
  if (self === undefined) return false;
  if (self.identity === info.identity) return true;
  if (self.size !== info.size) return false;
  const key = [info.identity, info.mtime, info.ctime].join(" ");
  const known = compared.get(key);
  if (known === undefined) {
    compared.set(key, false);
    compare(name).then(
      (same) => compared.set(key, same),
      // It can't be read: then nobody can run it either.
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

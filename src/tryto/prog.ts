/**
 * Prog, the program that tryto runs: a process to which tryto writes the log,
 * or, inside multilog, a function of ours that reads the log itself.
 *
 * @module
 */
import {
  close,
  pipe,
  setNonblocking,
  setPipeSize,
} from "../sys/descriptors.ts";
import { environ } from "../sys/environment.ts";
import { SysError } from "../sys/errors.ts";
import {
  type ExitStatus,
  groupExists,
  kill,
  spawn,
  waitFor,
} from "../sys/process.ts";
import { signals } from "../sys/signals.ts";

/** The signals that end prog. */
export type EndingSignal = "SIGTERM" | "SIGKILL";

/** One run of prog. */
export interface Prog {
  /** How it ended. */
  readonly ended: Promise<ExitStatus>;
  /**
   * Why it has failed, in words; unset until then, and when that isn't known.
   */
  readonly cause?: string | undefined;
  /**
   * Resolves when it reads the log itself and can't, with the reason. It then
   * goes on until it is ended.
   */
  readonly inputFailed?: Promise<Error>;
  /** The pipe to its input; `undefined` when it reads the log itself. */
  readonly input?: number;
  /** Ends it. */
  kill(signal: EndingSignal): void;
  /** Whether it led a process group of which a process still runs. */
  groupExists(): boolean;
}

/** How to start prog. */
export interface SpawnOptions {
  /** Its name and arguments. */
  readonly prog: readonly string[];
  /** Whether it leads a new session, and so a new process group. */
  readonly group: boolean;
  /** Its descriptors other than 0, each with the one of ours that it copies. */
  readonly fds: ReadonlyMap<number, number>;
  /** Descriptors that are closed in it. */
  readonly without: readonly number[];
  /** The open directory to start it in; by default the working directory. */
  readonly directory: number | undefined;
}

/** The size to ask for of the pipe to prog, in bytes. */
const PIPE_SIZE = 1024 * 1024;

/**
 * Starts prog as a process.
 *
 * @returns The run; the caller closes its input
 * @throws {SysError} When it can't be started
 * @throws {Error} When the pipe to it can't be made
 */
export function spawnProg(options: SpawnOptions): Prog {
  const { prog, group, fds, without, directory } = options;
  const { reader, writer } = createPipe();
  let pid: number;
  try {
    pid = spawn({
      args: prog,
      env: environ(),
      fds: new Map([[0, reader], ...fds]),
      without,
      session: group,
      ...(directory !== undefined && { directory }),
    });
  } catch (error) {
    close(writer);
    throw error;
  } finally {
    close(reader);
  }
  const target = group ? -pid : pid;
  return {
    ended: waitFor(pid),
    input: writer,
    kill: (signal) => void kill(target, signals[signal]),
    groupExists: () => group && groupExists(pid),
  };
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

/**
 * Prog: a process that tryto feeds, or something of ours that reads the log
 * itself and is none.
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

/** Prog, at work. */
export interface Prog {
  /** How it ended. */
  readonly ended: Promise<ExitStatus>;
  /** Why it failed, in words, once it has; unset where nobody knows. */
  readonly cause?: string | undefined;
  /** Why what it reads itself can't be read; it waits to be ended then. */
  readonly inputFailed?: Promise<Error>;
  /** The pipe that it is fed by; `undefined` when it reads the log itself. */
  readonly input?: number;
  /** Ends it. */
  kill(signal: EndingSignal): void;
  /** Whether any of its process group is left after it, where it leads one. */
  groupExists(): boolean;
}

/** How to start prog. */
export interface SpawnOptions {
  /** Its name and arguments. */
  readonly prog: readonly string[];
  /** Whether it leads a session, and so a process group, of its own. */
  readonly group: boolean;
  /** Which of its descriptors, but the first, is which of ours. */
  readonly fds: ReadonlyMap<number, number>;
  /** Descriptors that it doesn't get. */
  readonly without: readonly number[];
  /** The open directory that it runs in; the working directory unless given. */
  readonly directory: number | undefined;
}

/** How large the pipe to prog is made. */
const PIPE_SIZE = 1024 * 1024;

/**
 * Starts a process.
 *
 * @param options Which, and how
 * @returns It; whoever calls closes its input
 * @throws {SysError} When it can't be started
 * @throws {Error} When there is no pipe for it
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

/**
 * Running a log's processor on a finished file: by `sh -c`, or by what the
 * program that opens the log gives it for that.
 *
 * @module
 */
import { environ } from "../sys/environment.ts";
import { type ExitStatus, kill, spawn, waitFor } from "../sys/process.ts";
import { signals } from "../sys/signals.ts";

export type { ExitStatus };

/** How many descriptors a processor needs, inside or not. */
export const PROCESSOR_DESCRIPTORS = 10;

/** One file that a processor is to be run on. */
export interface ProcessorJob {
  /** The processor, as the script gives it. */
  readonly command: string;
  /** The open log directory. */
  readonly directory: number;
  /** The directory's name, for messages. */
  readonly path: string;
  /** The name of the waiting file. */
  readonly name: string;
  /**
   * Open files: the waiting file, `processed`, `state` and `newstate`, which a
   * processor has as its descriptors 0, 1, 4 and 5. They belong to the log, which
   * closes them as soon as {@linkcode Processor.start} has returned: a processor
   * inside this process duplicates them first.
   */
  readonly fds: {
    readonly log: number;
    readonly processed: number;
    readonly state: number;
    readonly newstate: number;
  };
}

/** A processor that is running. */
export interface RunningProcessor {
  /** How it ended. A rejection counts as the processor's failure. */
  readonly ended: Promise<ExitStatus>;
  /**
   * Why it failed, in words, once it has failed; `undefined` when only its exit
   * status is known.
   */
  readonly cause?: string | undefined;
  /** Sends it a signal. It may have ended already. */
  kill(signal: "SIGTERM" | "SIGKILL"): void;
}

/**
 * Starts a processor.
 *
 * @throws {SysError} When it can't be started
 */
export type StartProcessor = (job: ProcessorJob) => RunningProcessor;

/** A log's processor. */
export interface Processor {
  /**
   * Whether it keeps a file that it can't send as an old file (`tryto -p`). Then
   * the log doesn't stop when there is no room for another waiting file: the
   * oldest one is kept, without a try.
   */
  readonly keepsUnsent: boolean;
  /** Starts it on a file. */
  readonly start: StartProcessor;
  /**
   * Writes to `newstate` what `state` holds, and after it the notice that a file
   * is kept without a try. The log itself renames the file, and ignores what is
   * written to `processed`.
   *
   * @param reason Why the file is kept, in words for the notice
   */
  keep?(job: ProcessorJob, reason: string): Promise<void>;
}

/** Finds what runs a processor's command. */
export type FindProcessor = (command: string) => Processor;

/** The processor that runs `sh -c command`. */
export function shell(): Processor {
  return {
    keepsUnsent: false,
    start({ command, directory, fds: { log, processed, state, newstate } }) {
      const pid = spawn({
        file: "/bin/sh",
        args: ["sh", "-c", command],
        env: environ(),
        directory,
        fds: new Map([[0, log], [1, processed], [4, state], [5, newstate]]),
      });
      return {
        ended: waitFor(pid),
        kill: (signal) => void kill(pid, signals[signal]),
      };
    },
  };
}

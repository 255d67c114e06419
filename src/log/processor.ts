/**
 * What runs a log's processor on a finished file: `sh -c`, or whatever the
 * program that writes the log hands in.
 *
 * @module
 */
import { environ } from "../sys/environment.ts";
import { type ExitStatus, kill, spawn, waitFor } from "../sys/process.ts";
import { signals } from "../sys/signals.ts";

export type { ExitStatus };

/** One file for a processor. */
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
   * program has at 0, 1, 4 and 5. They belong to the log, which closes them as
   * soon as the processor has been started: what needs them longer has
   * descriptors of its own.
   */
  readonly fds: {
    readonly log: number;
    readonly processed: number;
    readonly state: number;
    readonly newstate: number;
  };
}

/** A processor at work. */
export interface RunningProcessor {
  /** How it ended. Where it rejects, that is the processor's failure. */
  readonly ended: Promise<ExitStatus>;
  /**
   * Why it failed, in words, once it has; unset where nothing is known but
   * how it ended.
   */
  readonly cause?: string | undefined;
  /** Asks it to end, or ends it. It may have ended before. */
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
   * Whether it keeps, as an old file, what it can't send (`tryto -p`). Then
   * nothing stands still when all files wait: the oldest is kept untried.
   */
  readonly keepsUnsent: boolean;
  /** Starts it on a file. */
  readonly start: StartProcessor;
  /**
   * Makes a file an old one without having tried it, and puts what there is to
   * say of that after what `state` holds, into `newstate`. The file itself
   * stays: nobody looks at what comes to `processed`.
   *
   * @param reason Why, in words for a message
   */
  keep?(job: ProcessorJob, reason: string): Promise<void>;
}

/** Finds what carries out a processor's command. */
export type FindProcessor = (command: string) => Processor;

/**
 * The processor that is `sh -c command`.
 */
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

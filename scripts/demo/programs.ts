/**
 * A supervisor for as long as the demonstration lasts: it runs the run scripts
 * in their folders, joins them with pipes, and ends everything.
 *
 * @module
 */
import { close, pipe } from "../../src/sys/descriptors.ts";
import { type ExitStatus, kill, waitFor } from "../../src/sys/process.ts";
import { signals } from "../../src/sys/signals.ts";
import { startService } from "../../tests/programs.ts";

/** A run script that runs. */
export interface Program {
  /** Its process. */
  pid: number;
  /** Its end. */
  ended: Promise<ExitStatus>;
}

/** All programs of the demonstration. */
export class Supervisor {
  readonly #path: string;
  readonly #programs: Program[] = [];
  #closed = false;

  /**
   * Makes it.
   *
   * @param executables The folder that the run scripts find our programs in
   */
  constructor(executables: string) {
    this.#path = `${executables}:${Deno.env.get("PATH") ?? "/usr/bin:/bin"}`;
  }

  /**
   * Runs `folder/run`, its output going to `folder/log/run`.
   *
   * @param folder The folder
   * @returns The program and its logger
   */
  startPair(folder: string): { program: Program; logger: Program } {
    const { reader, writer } = pipe();
    try {
      return {
        logger: this.start(`${folder}/log`, [[0, reader]]),
        program: this.start(folder, [[1, writer]]),
      };
    } finally {
      // From now on the pipe is only theirs: the end of the one is the end of
      // the other's input.
      close(reader);
      close(writer);
    }
  }

  /**
   * Runs `folder/run` in a session of its own, so that whatever it starts can
   * be ended with it.
   *
   * @param folder The folder
   * @param fds Which of its descriptors is which of ours; the others are
   * nothing, and a file `messages`
   * @returns The program
   */
  start(folder: string, fds: [theirs: number, ours: number][]): Program {
    if (this.#closed) throw new Error("the demonstration is over");
    const env = { ...Deno.env.toObject(), PATH: this.#path };
    const pid = startService(["sh", "./run"], folder, env, fds);
    const program = { pid, ended: waitFor(pid) };
    this.#programs.push(program);
    return program;
  }

  /** Ends whatever still runs, at once, and waits for it. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const { pid } of this.#programs) kill(-pid, signals.SIGKILL);
    await Promise.all(this.#programs.map(({ ended }) => ended));
  }
}

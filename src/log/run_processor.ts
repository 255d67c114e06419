/**
 * Running a log directory's processor.
 *
 * @module
 */
import { close } from "../sys/descriptors.ts";
import { SysError } from "../sys/errors.ts";
import { open, stat } from "../sys/files.ts";
import {
  type FindProcessor,
  type Processor,
  type RunningProcessor,
  shell,
} from "./processor.ts";
import type { Retrier } from "./retrier.ts";

let find: FindProcessor = () => shell();
const found = new Map<string, Processor>();

/**
 * Says what carries out this program's processors.
 *
 * @param processors What finds it for each
 */
export function useProcessors(processors: FindProcessor): void {
  find = processors;
}

/**
 * Runs `sh -c command` in a log directory, again and again until it exits 0:
 * 0 is `previous`, 1 is `processed`, 4 is `state`, 5 is `newstate`. Each run
 * starts with an empty `processed` and `newstate`.
 *
 * @param command The processor
 * @param directory The open log directory
 * @param path Its name, for messages
 * @param trouble Where failures are told, and how long until the next run
 * @returns Whether it exited 0; `false` when somebody has removed `previous`, so
 * that there is nothing to be processed
 */
export async function runProcessor(
  command: string,
  directory: number,
  path: string,
  trouble: Retrier,
): Promise<boolean> {
  while (true) {
    const running = await trouble.retry(
      () => stat("previous", directory) && start(command, directory, path),
      `unable to run processor in ${path}`,
    );
    if (running === undefined) return false;
    const failure = await failureOf(running, path);
    if (failure === undefined) return true;
    await trouble.pause(failure);
  }
}

async function failureOf(
  running: RunningProcessor,
  path: string,
): Promise<string | undefined> {
  try {
    const { signal, code } = await running.ended;
    if (code === 0) return undefined;
    const what = signal === undefined ? "failed" : "crashed";
    return `processor ${what} in ${path}, pausing`;
  } catch (error) {
    // Somebody else has waited for it: a host program of the library's.
    if (!(error instanceof SysError)) throw error;
    return `wait failed for processor in ${path}, pausing: ${error.message}`;
  }
}

function start(
  command: string,
  directory: number,
  path: string,
): RunningProcessor {
  const opened: number[] = [];
  const get = (name: string, mode: "read" | "truncate" | "append") => {
    const fd = open(name, mode, 0o644, directory);
    opened.push(fd);
    return fd;
  };
  // A `state` that somebody removed is an empty one.
  const getState = () => {
    get("state", "append");
    return get("state", "read");
  };
  try {
    const [log, processed, state, newstate] = [
      get("previous", "read"),
      get("processed", "truncate"),
      getState(),
      get("newstate", "truncate"),
    ];
    const fds = { log, processed, state, newstate };
    const processor = found.get(command) ?? find(command);
    found.set(command, processor);
    return processor.start({ command, directory, path, name: "previous", fds });
  } finally {
    for (const fd of opened) close(fd);
  }
}

/**
 * Finding out who writes to a log directory, from outside and without touching
 * it: taking the lock, even for a moment, could keep a writer that is just
 * starting from it.
 *
 * @module
 */
import { fromLatin1, latin1 } from "../bytes.ts";
import { close, read, seek } from "../sys/descriptors.ts";
import { type Name, open, stat } from "../sys/files.ts";
import { lockOwner, readAll, unlessRefused } from "../log/lock_owner.ts";
import type { LogSettings } from "../log/settings.ts";
import { parseScript } from "./script.ts";

/** A process that writes to a log directory. */
export interface Writer {
  /** Its process id. */
  readonly pid: number;
  /** What its script says of the directory, where that can be seen. */
  readonly settings: Readonly<LogSettings> | undefined;
}

/**
 * Looks for the process that holds a directory's lock.
 *
 * @param directory The open directory
 * @returns The process; `undefined` when there is none; `null` where this
 * can't be found out
 */
export function findWriter(directory: number): Writer | undefined | null {
  let pid = lockOwner(directory);
  if (pid === undefined) pid = folderOwner(directory);
  if (pid === undefined || pid === null) return pid;
  return { pid, settings: settingsOf(pid, directory) };
}

/**
 * Finds the process that has a log for each host in the folder of one: it has
 * that one's lock only while lines come, and the folder's as long as it runs.
 */
function folderOwner(directory: number): number | undefined | null {
  const pid = unlessRefused(() => lockOwner(directory, ".."));
  if (pid === undefined || pid === null) return pid;
  // Others may lock a folder for reasons of their own.
  return wordsOf(pid).some((word) => word.startsWith("@")) ? pid : undefined;
}

/** A process's command line. */
function wordsOf(pid: number): string[] {
  return (readAll(`/proc/${pid}/cmdline`) ?? "").split("\0").slice(0, -1);
}

/** What a running multilog's arguments say of a directory. */
function settingsOf(
  pid: number,
  directory: number,
): Readonly<LogSettings> | undefined {
  const [program = "", ...words] = wordsOf(pid);
  if (program.slice(program.lastIndexOf("/") + 1) !== "multilog") {
    return undefined;
  }
  const logs = parseScript(words).actions.filter((action) =>
    action.kind === "log"
  );
  const log = stat("", directory)?.identity;
  const folder = unlessRefused(() => stat("..", directory)?.identity);
  const found = logs.find(({ path, hosts }) => {
    // As that process sees it; its root may be another one, too.
    const from = path.startsWith("/") ? "root" : "cwd/";
    const name = fromLatin1(`/proc/${pid}/${from}${path}`);
    const there = unlessRefused(() => stat(name)?.identity);
    return there !== undefined && there === (hosts ? folder : log);
  });
  // The original's working directory is its last log, whatever it was before.
  const only = logs.length === 1 ? logs[0] : undefined;
  return (found ?? only)?.settings;
}

/**
 * Reads the end of a file.
 *
 * @param name Its name
 * @param directory An open directory that the name is relative to
 * @param most How many bytes
 * @returns Its last bytes as text, a character for each; `undefined` where it
 * can't be read
 */
export function readEnd(
  name: Name,
  directory: number,
  most: number,
): string | undefined {
  return unlessRefused(() => {
    const fd = open(name, "read", 0, directory);
    try {
      seek(fd, Math.max((stat("", fd)?.size ?? 0) - most, 0));
      const buffer = new Uint8Array(most);
      let length = 0;
      let n = 0;
      while (
        length < most && (n = read(fd, buffer.subarray(length))) > 0
      ) length += n;
      return n < 0 ? undefined : latin1(buffer.subarray(0, length));
    } finally {
      close(fd);
    }
  });
}

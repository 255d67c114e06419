/**
 * Finding out who writes to a log directory, from outside and without touching
 * it: taking the lock, even for a moment, could keep a writer that is just
 * starting from it.
 *
 * @module
 */
import { fromLatin1, latin1 } from "../bytes.ts";
import { close, read, seek } from "../sys/descriptors.ts";
import { SysError } from "../sys/errors.ts";
import { type Name, open, readdir, stat } from "../sys/files.ts";
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
  const locks = readAll("/proc/locks");
  if (locks === undefined) return null;
  const lock = stat("lock", directory);
  const pid = lock && holder(locks, lock.identity);
  if (pid === undefined || pid === null) return pid;
  return { pid, settings: settingsOf(pid, directory) };
}

/**
 * Finds the process that holds a lock. Each line of the table is
 * `1: FLOCK  ADVISORY  WRITE 4711 fe:00:16040696 0 EOF`, the file as the
 * device's two numbers in hex and the inode's.
 *
 * @returns The process; `null` when it may be one whose files are hidden
 */
function holder(locks: string, identity: string): number | undefined | null {
  const inode = identity.slice(identity.lastIndexOf(":") + 1);
  const lines = locks.matchAll(
    /^\d+: FLOCK +\w+ +WRITE +(\d+) +([0-9a-f]+):([0-9a-f]+):(\d+) /gm,
  );
  let found: undefined | null;
  for (const [, pid, major, minor, number] of lines) {
    if (number !== inode) continue;
    const device = `${parseInt(major!, 16)}:${parseInt(minor!, 16)}`;
    // Some file systems show a file on another device than their locks.
    if (`${device}:${inode}` === identity) return Number(pid);
    const holds = holdsOpen(pid!, identity);
    if (holds) return Number(pid);
    if (holds === undefined) found = null;
  }
  return found;
}

/** Whether a process has a file open; `undefined` where that is hidden. */
function holdsOpen(pid: string, identity: string): boolean | undefined {
  return unlessRefused(() => {
    const folder = open(`/proc/${pid}/fd`, "read");
    try {
      return readdir(folder).some((fd) =>
        /^\d+$/.test(fd) && stat(fd, folder)?.identity === identity
      );
    } finally {
      close(folder);
    }
  });
}

/** What a running multilog's arguments say of a directory. */
function settingsOf(
  pid: number,
  directory: number,
): Readonly<LogSettings> | undefined {
  const [program = "", ...words] = (readAll(`/proc/${pid}/cmdline`) ?? "")
    .split("\0").slice(0, -1);
  if (program.slice(program.lastIndexOf("/") + 1) !== "multilog") {
    return undefined;
  }
  const logs = parseScript(words).actions.filter((action) =>
    action.kind === "log"
  );
  const identity = stat("", directory)?.identity;
  const found = logs.find(({ path }) => {
    // As that process sees it; its root may be another one, too.
    const from = path.startsWith("/") ? "root" : "cwd/";
    const name = fromLatin1(`/proc/${pid}/${from}${path}`);
    return unlessRefused(() => stat(name)?.identity) === identity;
  });
  // The original's working directory is its last log, whatever it was before.
  const only = logs.length === 1 ? logs[0] : undefined;
  return (found ?? only)?.settings;
}

/**
 * Reads all of a file.
 *
 * @param name Its name
 * @param directory An open directory that the name is relative to
 * @returns Its bytes as text, a character for each; `undefined` where it can't
 * be read
 */
export function readAll(name: Name, directory?: number): string | undefined {
  return unlessRefused(() => {
    const fd = open(name, "read", 0, directory);
    const buffer = new Uint8Array(64 * 1024);
    let text = "";
    let n;
    while ((n = read(fd, buffer)) > 0) text += latin1(buffer.subarray(0, n));
    close(fd);
    return n < 0 ? undefined : text;
  });
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

/** What others may keep to themselves, or take away meanwhile. */
function unlessRefused<T>(look: () => T): T | undefined {
  try {
    return look();
  } catch (error) {
    if (error instanceof SysError) return undefined;
    throw error;
  }
}

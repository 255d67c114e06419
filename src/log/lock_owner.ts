/**
 * Finding out which process holds a log directory's lock, without trying to
 * take it.
 *
 * @module
 */
import { latin1 } from "../bytes.ts";
import { close, read } from "../sys/descriptors.ts";
import { SysError } from "../sys/errors.ts";
import { type Name, open, readdir, stat } from "../sys/files.ts";

/**
 * Looks for the process that holds a directory's lock.
 *
 * @param directory The open directory
 * @param file The name of the locked file in it
 * @returns The id of that process; `undefined` when there is none; `null` when
 * that can't be found out
 */
export function lockOwner(
  directory: number,
  file = "lock",
): number | undefined | null {
  const locks = readAll("/proc/locks");
  if (locks === undefined) return null;
  const lock = stat(file, directory);
  return lock && holder(locks, lock.identity);
}

/**
 * Finds the process that holds a lock. A line of `/proc/locks` looks like
 * `1: FLOCK  ADVISORY  WRITE 4711 fe:00:16040696 0 EOF`; the file is named by
 * its device's two numbers in hex and its inode.
 *
 * @returns The process's id; `null` when it may be a process whose open files
 * this one may not see
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
    // On some file systems stat(2) gives a file another device than this table.
    if (`${device}:${inode}` === identity) return Number(pid);
    const holds = holdsOpen(pid!, identity);
    if (holds) return Number(pid);
    if (holds === undefined) found = null;
  }
  return found;
}

/** Whether a process has a file open; `undefined` when that may not be seen. */
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

/**
 * Reads all of a file.
 *
 * @param name The file's name
 * @param directory An open directory that the name is relative to
 * @returns The file's bytes as text, one character for each; `undefined` when it
 * can't be read
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
 * Looks at something that this process may not be allowed to see, or that may
 * disappear meanwhile.
 *
 * @returns What `look` returns; `undefined` when a system call in it failed
 */
export function unlessRefused<T>(look: () => T): T | undefined {
  try {
    return look();
  } catch (error) {
    if (error instanceof SysError) return undefined;
    throw error;
  }
}

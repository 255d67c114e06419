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
 * @param file The name in it of what is locked
 * @returns Its process id; `undefined` when there is none; `null` where this
 * can't be found out
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
 * Looks at what others may keep to themselves, or take away meanwhile.
 *
 * @param look The look
 * @returns What it returns; `undefined` where it may not look
 */
export function unlessRefused<T>(look: () => T): T | undefined {
  try {
    return look();
  } catch (error) {
    if (error instanceof SysError) return undefined;
    throw error;
  }
}

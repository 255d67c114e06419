/**
 * Removing large files in other threads, so that the program doesn't wait.
 *
 * @module
 */
import { close } from "./descriptors.ts";
import { SysError } from "./errors.ts";
import { lstat, type Name, open, unlink } from "./files.ts";
import { load } from "./libc.ts";
import { hasThread, inThread } from "./runtime.ts";

const lib = load({
  close: { parameters: ["i32"], result: "i32", nonblocking: true },
});

/**
 * The size of a large file in bytes. On a file system that tells its disk of
 * freed blocks at once (mounted with `discard`), to free a file of the default
 * size takes longer than to hand it to a thread; elsewhere about as long.
 */
const LARGE = 64 * 1024;
/** How many files may be freed at the same time; each takes a thread. */
const MOST = 2;
let most = MOST;
const freeing = new Set<Promise<unknown>>();

/**
 * Removes a file. When this returns its name is gone; the blocks of a large
 * file are freed in another thread, when there is one, since that takes
 * milliseconds.
 *
 * @param directory An open directory that the name is relative to
 * @returns Whether it was there
 * @throws {SysError} When it can't be removed
 */
export function unlinkAside(name: Name, directory: number): boolean {
  // The name itself goes, also of a symbolic link that leads nowhere.
  const info = lstat(name, directory);
  if (info === undefined) return false;
  const large = info.isFile && info.size >= LARGE && freeing.size < most;
  const held = large ? hold(name, directory) : undefined;
  try {
    unlink(name, directory);
    return true;
  } catch (error) {
    // Somebody else was faster.
    if (error instanceof SysError && error.code === "ENOENT") return false;
    throw error;
  } finally {
    if (held !== undefined) free(held);
  }
}

/**
 * Lets more files than the usual 2 be freed at the same time.
 *
 * @param more How many more; each takes a thread and a descriptor
 */
export function freeMore(more: number): void {
  most = MOST + more;
}

/** Opens a file, if it can be opened: its blocks aren't freed while it is. */
function hold(name: Name, directory: number): number | undefined {
  try {
    return open(name, "read", 0, directory);
  } catch (error) {
    if (error instanceof SysError) return undefined;
    throw error;
  }
}

function free(fd: number): void {
  if (!hasThread()) return close(fd);
  const closed = inThread(() => lib.close(fd));
  freeing.add(closed);
  closed.finally(() => freeing.delete(closed));
}

/**
 * Waits until the files that were removed are freed.
 *
 * @returns Whether any file was still being freed; if so, a disk that was full
 * may have room now
 */
export async function roomToCome(): Promise<boolean> {
  if (freeing.size === 0) return false;
  await Promise.all(freeing);
  return true;
}

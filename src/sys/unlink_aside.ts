/**
 * Removing large files without standing still.
 *
 * @module
 */
import { close } from "./descriptors.ts";
import { SysError } from "./errors.ts";
import { type Name, open, stat, unlink } from "./files.ts";
import { load } from "./libc.ts";
import { hasThread, inThread } from "./runtime.ts";

const lib = load({
  close: { parameters: ["i32"], result: "i32", nonblocking: true },
});

/** Smaller ones are freed sooner than a thread begins to. In bytes. */
const LARGE = 512 * 1024;
/** How many are being freed at the same time at the most; each has a thread. */
const MOST = 2;
const freeing = new Set<Promise<unknown>>();

/**
 * Removes a file. Its name is gone afterwards. To free the bytes of a large one
 * takes the disk milliseconds, which pass in a thread where there is one.
 *
 * @param directory An open directory that the name is relative to
 * @throws {SysError} `ENOENT` when it isn't there; others
 */
export function unlinkAside(name: Name, directory: number): void {
  const held = freeing.size < MOST ? hold(name, directory) : undefined;
  try {
    unlink(name, directory);
  } finally {
    if (held !== undefined) free(held);
  }
}

/** Opens a large file: as long as it is open, its bytes stay. */
function hold(name: Name, directory: number): number | undefined {
  try {
    const info = stat(name, directory);
    if (!info?.isFile || info.size < LARGE) return undefined;
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
 * Waits for the room of files that have been removed.
 *
 * @returns Whether any were still being freed: a disk that was full may have
 * room now
 */
export async function roomToCome(): Promise<boolean> {
  if (freeing.size === 0) return false;
  await Promise.all(freeing);
  return true;
}

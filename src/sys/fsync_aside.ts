/**
 * Waiting for the disk without standing still.
 *
 * @module
 */
import { close, dup, fsyncDirectory } from "./descriptors.ts";
import { SysError } from "./errors.ts";
import { load } from "./libc.ts";
import { hasThread, inThread } from "./runtime.ts";
import { Semaphore } from "./semaphore.ts";

const lib = load({
  here: { name: "fsync", parameters: ["i32"], result: "i32" },
  aside: {
    name: "fsync",
    parameters: ["i32"],
    result: "i32",
    nonblocking: true,
  },
});

/** How many go on at the same time at the most; each has a thread. */
const MOST = 16;
const threads = new Semaphore(MOST);

async function syncAside(fd: number): Promise<boolean> {
  await threads.wait();
  try {
    const n = hasThread() ? await inThread(() => lib.aside(fd)) : lib.here(fd);
    return n === 0;
  } finally {
    threads.post();
  }
}

/**
 * Writes a file's data and mode to the disk, in a thread of its own where there
 * is one: this one goes on meanwhile.
 *
 * @param fd The descriptor, which may be closed before it is done
 * @returns Whether it is done: the error's number stays in the other thread
 */
export async function fsyncAside(fd: number): Promise<boolean> {
  let own: number;
  try {
    own = dup(fd);
  } catch (error) {
    if (error instanceof SysError) return lib.here(fd) === 0;
    throw error;
  }
  try {
    return await syncAside(own);
  } finally {
    close(own);
  }
}

/**
 * Waits until the names in a directory are on the disk, where its file system
 * can be asked for that.
 *
 * @param fd The open directory, which stays open until this is done
 * @throws {SysError} When the disk fails
 */
export async function fsyncDirectoryAside(fd: number): Promise<void> {
  // Some can't be asked, which is all that the error's number says then.
  if (!await syncAside(fd)) fsyncDirectory(fd);
}

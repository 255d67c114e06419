/**
 * Syncing files in other threads, so that the program doesn't wait for the
 * disk.
 *
 * @module
 */
import { close, dup, fsyncDirectory } from "./descriptors.ts";
import { errorNumber, SysError } from "./errors.ts";
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

/** How many syncs may run at the same time; each takes a thread. */
const MOST = 16;
const threads = new Semaphore(MOST);

/**
 * Writes a file's data and mode to the disk, in another thread when one can be
 * had, so that this thread goes on meanwhile.
 *
 * @param fd The descriptor, which must stay open until this is done
 * @returns Whether it succeeded; on a failure the error number isn't known, as
 * it stays in the other thread
 */
export async function fsyncAside(fd: number): Promise<boolean> {
  await threads.wait();
  try {
    const n = hasThread() ? await inThread(() => lib.aside(fd)) : lib.here(fd);
    return n === 0;
  } finally {
    threads.post();
  }
}

/**
 * Does what {@linkcode fsyncAside} does with a descriptor of its own, so that
 * the caller may close its one at once.
 */
export async function fsyncCopyAside(fd: number): Promise<boolean> {
  let own: number;
  try {
    own = dup(fd);
  } catch (error) {
    if (error instanceof SysError) return lib.here(fd) === 0;
    throw error;
  }
  try {
    return await fsyncAside(own);
  } finally {
    close(own);
  }
}

/**
 * Waits until the names in a directory are on the disk, unless its file system
 * can't sync a directory.
 *
 * @param fd The open directory, which must stay open until this is done
 * @throws {SysError} When the disk fails
 */
export async function fsyncDirectoryAside(fd: number): Promise<void> {
  // Once more in this thread, where the error number tells a file system that
  // can't do it from a failure of the disk.
  if (!await fsyncAside(fd)) syncAgain(() => fsyncDirectory(fd))();
}

/**
 * Makes a step that syncs again, in this thread, what couldn't be synced in
 * another one. The kernel may report a failure only once, and that thread got
 * the report: so even when the sync succeeds, the step fails the first time.
 *
 * @param sync The sync; it returns `false` when the file system can't do it, so
 * that none has failed
 * @returns The step, which throws a {@linkcode SysError} when it fails
 */
export function syncAgain(sync: () => boolean | void): () => void {
  let told = false;
  return () => {
    if (sync() === false || told) return;
    told = true;
    throw new SysError(errorNumber("EIO"));
  };
}

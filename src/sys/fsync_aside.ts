/**
 * Waiting for the disk without standing still.
 *
 * @module
 */
import { close, dup } from "./descriptors.ts";
import { SysError } from "./errors.ts";
import { load } from "./libc.ts";
import { hasThread, inThread } from "./runtime.ts";

const lib = load({
  here: { name: "fsync", parameters: ["i32"], result: "i32" },
  aside: {
    name: "fsync",
    parameters: ["i32"],
    result: "i32",
    nonblocking: true,
  },
});

/** How many files are synced at a time, each in a thread. */
const MOST = 4;
let syncs = 0;
/** Who waits for a turn. */
const waiting: (() => void)[] = [];

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
  if (syncs < MOST) syncs++;
  else await new Promise<void>((resolve) => waiting.push(resolve));
  try {
    const n = hasThread()
      ? await inThread(() => lib.aside(own))
      : lib.here(own);
    return n === 0;
  } finally {
    close(own);
    // The next one's turn is this one's.
    const next = waiting.shift();
    if (next) next();
    else syncs--;
  }
}

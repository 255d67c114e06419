/**
 * What the runtime does beside this thread: its event loop, and its threads.
 *
 * @module
 */
import { close, isInherited, pipe } from "./descriptors.ts";
import { lastErrno } from "./errno.ts";
import { errorNumber, SysError } from "./errors.ts";
import { load } from "./libc.ts";

const lib = load({
  epoll_ctl: { parameters: ["i32", "i32", "i32", "buffer"], result: "i32" },
  posix_spawn: {
    parameters: ["buffer", "buffer", "buffer", "buffer", "buffer", "buffer"],
    result: "i32",
  },
  waitpid: { parameters: ["i32", "buffer", "i32"], result: "i32" },
});

const EPOLL_CTL_DEL = 2;
const ENOENT = errorNumber("ENOENT");
/** The runtime opens it among its first descriptors. */
const FIRST_DESCRIPTORS = 64;

/** The runtime keeps a thread for 10 seconds after its last call. */
const THREAD_STAYS = 5000;
/** How many calls are in threads of their own now. */
let calls = 0;
/** Until when there surely are one, two, … threads, on `performance.now()`. */
const threadsUntil: number[] = [];

let events: number | undefined;

/**
 * The descriptor in which the event loop finds what it has to do: a signal, a
 * call that came back. Readable when the loop should turn, to which a thread
 * that stands still would otherwise be deaf. Not everything shows: what the
 * loop took as it turned for the last time, and hasn't acted on, doesn't.
 *
 * @returns The descriptor, for nothing but to be waited for; -1 where the
 * runtime has none that can be found
 */
export function loopEvents(): number {
  return events ??= findEpoll();
}

/**
 * Looks for an epoll instance that nobody has handed down. Only one of those
 * answers, to the wish to forget a descriptor that it never knew, that it
 * doesn't know it.
 */
function findEpoll(): number {
  let ends;
  try {
    ends = pipe();
  } catch (error) {
    if (error instanceof SysError) return -1;
    throw error;
  }
  let found = -1;
  for (let fd = 3; fd < FIRST_DESCRIPTORS && found < 0; fd++) {
    if (lib.epoll_ctl(fd, EPOLL_CTL_DEL, ends.reader, null) === 0) continue;
    if (lastErrno() === ENOENT && !isInherited(fd)) found = fd;
  }
  close(ends.reader);
  close(ends.writer);
  return found;
}

/**
 * Whether a call can be made in a thread of its own now. Where there is none,
 * and the system starts none, the runtime would end this program instead of
 * saying so.
 *
 * @returns Whether the system would start one
 */
export function canStartThread(): boolean {
  // A process counts as much as a thread does, and one that has no program
  // fails only after everything at which a thread could fail.
  const nothing = new Uint8Array(8);
  const pid = new Int32Array(2);
  const errno = lib.posix_spawn(
    new Uint8Array(pid.buffer),
    nothing,
    null,
    null,
    nothing,
    nothing,
  );
  if (errno !== 0) return errno === ENOENT;
  // An emulator (qemu-user) can't tell that there is no program.
  lib.waitpid(pid[0]!, null, 0);
  return true;
}

/** Whether there is a thread for one more call, or one could be started. */
export function hasThread(): boolean {
  return performance.now() < (threadsUntil[calls] ?? -1) || canStartThread();
}

/**
 * Makes a call in a thread of its own.
 *
 * @param call Starts it; to be given only where {@linkcode hasThread} says so
 * @returns What it returns
 */
export async function inThread<T>(call: () => Promise<T>): Promise<T> {
  calls++;
  try {
    return await call();
  } finally {
    threadsUntil[--calls] = performance.now() + THREAD_STAYS;
  }
}

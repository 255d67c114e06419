/**
 * The runtime's event loop and threads, as far as they can be seen from here.
 *
 * @module
 */
import { close, isInherited, pipe } from "./descriptors.ts";
import { lastErrno } from "./errno.ts";
import { errorNumber, SysError } from "./errors.ts";
import { load } from "./libc.ts";

const lib = load({
  malloc_trim: { parameters: ["usize"], result: "i32" },
  epoll_ctl: { parameters: ["i32", "i32", "i32", "buffer"], result: "i32" },
  posix_spawn: {
    parameters: ["buffer", "buffer", "buffer", "buffer", "buffer", "buffer"],
    result: "i32",
  },
  waitpid: { parameters: ["i32", "buffer", "i32"], result: "i32" },
});

const EPOLL_CTL_DEL = 2;
const ENOENT = errorNumber("ENOENT");
/**
 * The event loop's descriptor is smaller than this, since it is opened early.
 */
const FIRST_DESCRIPTORS = 64;

/** The runtime keeps an idle thread for 10 seconds; half of it is safe. */
const THREAD_STAYS = 5000;
/** How many calls are running in other threads now. */
let calls = 0;
/**
 * Until when at least one, two, … threads surely exist, on the clock of
 * `performance.now()`.
 */
const threadsUntil: number[] = [];

let events: number | undefined;

/**
 * Gives memory back to the system that the runtime has used and freed: most of
 * a megabyte after a start (malloc_trim(3)).
 */
export function giveMemoryBack(): void {
  lib.malloc_trim(0n);
}

/**
 * The epoll descriptor at which the event loop waits for work: a signal, or the
 * return of a call in another thread. It becomes readable when there is some,
 * so this thread can wait for it, while the event loop stands still, and let
 * the loop turn in time. It doesn't show an event that the loop has already
 * taken from it but not yet acted on.
 *
 * @returns The descriptor, which may only be polled; -1 when it can't be found
 */
export function loopEvents(): number {
  return events ??= findEpoll();
}

/**
 * Looks for an epoll descriptor that wasn't inherited. Asked to remove a
 * descriptor that was never added to it, only an epoll descriptor answers
 * `ENOENT`.
 */
function findEpoll(): number {
  let ends;
  try {
    ends = pipe();
  } catch (error) {
    if (error instanceof SysError) return -1;
    throw error;
  }
  const { reader } = ends;
  const answers = (fd: number) =>
    lib.epoll_ctl(fd, EPOLL_CTL_DEL, reader, null) < 0 &&
    lastErrno() === ENOENT;
  let found = -1;
  for (let fd = 3; fd < FIRST_DESCRIPTORS && found < 0; fd++) {
    // Asked twice, since the number may be another's: see isToBeRepeated().
    if (answers(fd) && answers(fd) && !isInherited(fd)) found = fd;
  }
  close(ends.reader);
  close(ends.writer);
  return found;
}

/**
 * Whether the system would start a thread now. When the runtime needs one and
 * the system refuses it (`RLIMIT_NPROC`), the runtime ends the program without
 * reporting an error that could be caught; so ask before.
 */
export function canStartThread(): boolean {
  // The system's limits count processes and threads alike. So this starts a
  // process whose program doesn't exist: it gets as far as ENOENT only when a
  // thread could be started, too.
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
  // Under qemu-user it succeeds: the child fails instead.
  lib.waitpid(pid[0]!, null, 0);
  return true;
}

/** Whether there is an idle thread for one more call already. */
export function isThreadIdle(): boolean {
  return performance.now() < (threadsUntil[calls] ?? -1);
}

/** Whether there is an idle thread for one more call, or one can be started. */
export function hasThread(): boolean {
  return isThreadIdle() || canStartThread();
}

/**
 * Counts a call that runs in another thread, for {@linkcode hasThread}.
 *
 * @param call Starts the call; {@linkcode hasThread} must have returned `true`
 * @returns What the call returns
 */
export async function inThread<T>(call: () => Promise<T>): Promise<T> {
  calls++;
  try {
    return await call();
  } finally {
    threadsUntil[--calls] = performance.now() + THREAD_STAYS;
  }
}

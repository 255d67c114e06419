/**
 * Starting, watching and ending other programs.
 *
 * `Deno.Command` gives a child only the descriptors 0, 1 and 2, and the child
 * would ignore SIGPIPE as the runtime does. So this calls the C library's
 * `posix_spawn`.
 *
 * @module
 */
import { close, dup } from "./descriptors.ts";
import { lastErrno } from "./errno.ts";
import { SysError } from "./errors.ts";
import { cString, load } from "./libc.ts";
import { isIgnored, listen, signals, unblockSignals } from "./signals.ts";

const lib = load({
  posix_spawnp: {
    parameters: ["buffer", "buffer", "buffer", "buffer", "buffer", "buffer"],
    result: "i32",
  },
  posix_spawn_file_actions_init: { parameters: ["buffer"], result: "i32" },
  posix_spawn_file_actions_destroy: { parameters: ["buffer"], result: "i32" },
  posix_spawn_file_actions_adddup2: {
    parameters: ["buffer", "i32", "i32"],
    result: "i32",
  },
  posix_spawn_file_actions_addclose: {
    parameters: ["buffer", "i32"],
    result: "i32",
  },
  posix_spawn_file_actions_addfchdir_np: {
    parameters: ["buffer", "i32"],
    result: "i32",
  },
  posix_spawnattr_init: { parameters: ["buffer"], result: "i32" },
  posix_spawnattr_destroy: { parameters: ["buffer"], result: "i32" },
  posix_spawnattr_setflags: { parameters: ["buffer", "i16"], result: "i32" },
  posix_spawnattr_setsigdefault: {
    parameters: ["buffer", "buffer"],
    result: "i32",
  },
  posix_spawnattr_setsigmask: {
    parameters: ["buffer", "buffer"],
    result: "i32",
  },
  sigaddset: { parameters: ["buffer", "i32"], result: "i32" },
  sigemptyset: { parameters: ["buffer"], result: "i32" },
  waitpid: { parameters: ["i32", "buffer", "i32"], result: "i32" },
  prctl: {
    parameters: ["i32", "usize", "usize", "usize", "usize"],
    result: "i32",
  },
  kill: { parameters: ["i32", "i32"], result: "i32" },
  execvpe: { parameters: ["buffer", "buffer", "buffer"], result: "i32" },
  signal: { parameters: ["i32", "usize"], result: "pointer" },
});

const POSIX_SPAWN_SETSIGDEF = 0x04;
const POSIX_SPAWN_SETSIGMASK = 0x08;
const POSIX_SPAWN_SETSID = 0x80;
const SIG_DFL = 0n;
const WNOHANG = 1;

const { SIGCHLD, SIGPIPE } = signals;

/** A program to start. */
export interface Program {
  /**
   * Its name, searched for in `$PATH` when it has no slash, and its arguments.
   */
  args: readonly (string | Uint8Array)[];
  /** The file to run, where it isn't the one that `args[0]` names. */
  file?: string;
  /** Its environment, each entry `NAME=value`. */
  env: readonly (string | Uint8Array)[];
  /** Its descriptors, each with the one of ours that it is to be a copy of. */
  fds?: ReadonlyMap<number, number>;
  /** Descriptors that are closed in it. */
  without?: readonly number[];
  /** An open directory to start it in. */
  directory?: number;
  /** Whether it leads a new session, and so a new process group. */
  session?: boolean;
}

/**
 * Makes C's NULL-terminated array of pointers to strings. The strings follow in
 * the same buffer, so that this one buffer is all that must stay in memory
 * during the call.
 */
function pointers(
  list: readonly (string | Uint8Array)[],
): Uint8Array<ArrayBuffer> {
  const strings = list.map(cString);
  let offset = 8 * (strings.length + 1);
  const size = strings.reduce((sum, s) => sum + s.length, offset);
  const block = new Uint8Array(size);
  const array = new BigUint64Array(block.buffer, 0, strings.length + 1);
  const base = Deno.UnsafePointer.value(Deno.UnsafePointer.of(block));
  strings.forEach((bytes, i) => {
    block.set(bytes, offset);
    array[i] = base + BigInt(offset);
    offset += bytes.length;
  });
  return block;
}

/**
 * Undoes what the program that started this one may have done to SIGCHLD: while
 * it is ignored or blocked, nobody learns how a child has ended.
 */
function receiveSigchld(): void {
  unblockSignals();
  if (isIgnored(SIGCHLD)) lib.signal(SIGCHLD, SIG_DFL);
}

/** The functions of posix_spawn(3) return the error number: 0 for success. */
function checkSpawn(errno: number): void {
  if (errno !== 0) throw new SysError(errno);
}

/**
 * Starts a program. No signal is blocked in it, and it ignores only those
 * signals that this program was started with as ignored.
 *
 * @returns Its process id
 * @throws {SysError} When it can't be found or started
 */
export function spawn(program: Program): number {
  // glibc's structures have 80, 336 and 128 bytes.
  const actions = new Uint8Array(512);
  const attributes = new Uint8Array(512);
  const set = new Uint8Array(128);
  receiveSigchld();
  lib.posix_spawn_file_actions_init(actions);
  lib.posix_spawnattr_init(attributes);
  // Each descriptor is first copied to a number above all targets: otherwise
  // one dup2 could overwrite the source of a later one. The dup2 to the target
  // also clears close-on-exec.
  const moved: number[] = [];
  const free = Math.max(2, ...program.fds?.keys() ?? []) + 1;
  try {
    // First, since a target may have the directory's number.
    if (program.directory !== undefined) {
      checkSpawn(
        lib.posix_spawn_file_actions_addfchdir_np(actions, program.directory),
      );
    }
    for (const [theirs, ours] of program.fds ?? []) {
      const source = dup(ours, free);
      moved.push(source);
      checkSpawn(lib.posix_spawn_file_actions_adddup2(actions, source, theirs));
    }
    for (const fd of program.without ?? []) {
      checkSpawn(lib.posix_spawn_file_actions_addclose(actions, fd));
    }
    let flags = POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK;
    if (program.session) flags |= POSIX_SPAWN_SETSID;
    lib.posix_spawnattr_setflags(attributes, flags);
    // exec(2) itself resets a signal that has a handler here, and leaves one
    // that was ignored at our start (by nohup, for instance). Only SIGPIPE,
    // which the runtime ignores, has to be reset.
    lib.sigemptyset(set);
    lib.sigaddset(set, SIGPIPE);
    lib.posix_spawnattr_setsigdefault(attributes, set);
    lib.sigemptyset(set);
    lib.posix_spawnattr_setsigmask(attributes, set);
    const pid = new Int32Array(1);
    checkSpawn(lib.posix_spawnp(
      new Uint8Array(pid.buffer),
      cString(program.file ?? program.args[0] ?? ""),
      actions,
      attributes,
      pointers(program.args),
      pointers(program.env),
    ));
    return pid[0]!;
  } finally {
    for (const fd of moved) close(fd);
    lib.posix_spawn_file_actions_destroy(actions);
    lib.posix_spawnattr_destroy(attributes);
  }
}

/** How a program ended: with an exit code, or by a signal. */
export type ExitStatus =
  | { readonly code: number; readonly signal?: undefined }
  | { readonly code?: undefined; readonly signal: number };

const status = new Int32Array(1);
const statusBytes = new Uint8Array(status.buffer);

/**
 * Collects a child that has ended, without waiting; puts its status in
 * `status`.
 *
 * @returns Its process id; 0 when no child has ended, -1 when there is none
 */
function waitpid(pid: number): number {
  return lib.waitpid(pid, statusBytes, WNOHANG);
}

/** A call of {@linkcode waitFor} that hasn't returned yet. */
interface Awaited {
  readonly pid: number;
  readonly resolve: (ending: ExitStatus) => void;
  readonly reject: (error: SysError) => void;
}

const awaited = new Set<Awaited>();
let alive: ReturnType<typeof setInterval> | undefined;

/** Settles the calls whose programs have ended. */
function collect(): void {
  for (const child of awaited) {
    const found = waitpid(child.pid);
    if (found === 0) continue;
    awaited.delete(child);
    const signal = status[0]! & 0x7f;
    if (found < 0) child.reject(new SysError(lastErrno()));
    else if (signal !== 0) child.resolve({ signal });
    else child.resolve({ code: (status[0]! >> 8) & 0xff });
  }
  if (awaited.size > 0) return;
  Deno.removeSignalListener("SIGCHLD", collect);
  clearInterval(alive);
}

/**
 * Waits for a program that {@linkcode spawn} started, by SIGCHLD and not in a
 * thread: the runtime has 32 threads, and with one for each of many programs
 * none would be left for the poll of the main loop.
 *
 * @returns How it ended
 * @throws {SysError} `ECHILD` when it isn't a child of this process, or was
 * waited for before
 */
export function waitFor(pid: number): Promise<ExitStatus> {
  if (awaited.size === 0) {
    listen("SIGCHLD", collect);
    // A listener alone doesn't keep this program running, but a timer does.
    alive = setInterval(collect, 60_000);
  }
  return new Promise((resolve, reject) => {
    awaited.add({ pid, resolve, reject });
    // The program may have ended before there was a listener.
    collect();
  });
}

/**
 * Collects any one child that has ended, without waiting. This is for a program
 * that has many children, listens for SIGCHLD, and never calls
 * {@linkcode waitFor}.
 *
 * @returns Its process id, and its status as wait(2) has it (768 for exit code
 * 3), or `undefined` when no child has ended
 */
export function waitForAny(): { pid: number; status: number } | undefined {
  const pid = waitpid(-1);
  return pid > 0 ? { pid, status: status[0]! } : undefined;
}

/**
 * Sends a signal.
 *
 * @param pid The process; minus its number for a process group
 * @param signal The signal's number; 0 only asks whether the process exists
 * @returns Whether the signal could be sent
 */
export function kill(pid: number, signal: number): boolean {
  return lib.kill(pid, signal) === 0;
}

/**
 * Makes this process the parent of those of its descendants whose own parents
 * end from now on (otherwise init would be), so that {@linkcode groupExists}
 * can wait for them.
 */
export function setChildSubreaper(): void {
  const PR_SET_CHILD_SUBREAPER = 36;
  lib.prctl(PR_SET_CHILD_SUBREAPER, 1n, 0n, 0n, 0n);
}

/**
 * Whether a process of a group still runs. The caller must have waited for the
 * group's leader. This waits for other children of ours in the group that have
 * ended, since for the kernel a process exists until it has been waited for.
 */
export function groupExists(group: number): boolean {
  while (waitpid(-group) > 0);
  return kill(-group, 0);
}

/**
 * Replaces this program by another, with the same process id and descriptors.
 *
 * @param args Its name, searched for in `$PATH`, and its arguments
 * @param env Its environment, each entry `NAME=value`
 * @throws {SysError} When it can't be found or started; otherwise this never
 * returns
 */
export function exec(
  args: readonly (string | Uint8Array)[],
  env: readonly (string | Uint8Array)[],
): never {
  // execve(2) resets signals with a handler, but an ignored one stays ignored,
  // and the runtime ignores SIGPIPE.
  lib.signal(SIGPIPE, SIG_DFL);
  lib.execvpe(cString(args[0] ?? ""), pointers(args), pointers(env));
  throw new SysError(lastErrno());
}

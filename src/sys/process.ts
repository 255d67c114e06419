/**
 * Starting, watching and ending other programs.
 *
 * `Deno.Command` can give a child descriptors 0, 1 and 2 only, and the child
 * would inherit the ignored SIGPIPE of the runtime; so the C library's
 * `posix_spawn` does it here.
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
  /** Its name, looked up in `$PATH` when it has no slash, and its arguments. */
  args: readonly (string | Uint8Array)[];
  /** The file to run, where it isn't the one that `args[0]` names. */
  file?: string;
  /** Its environment, each entry `NAME=value`. */
  env: readonly (string | Uint8Array)[];
  /** Which of its descriptors is which of ours. Others are as they are. */
  fds?: ReadonlyMap<number, number>;
  /** Descriptors that it doesn't get. */
  without?: readonly number[];
  /** An open directory to start it in. */
  directory?: number;
  /** Whether it leads a session, and so a process group, of its own. */
  session?: boolean;
}

/**
 * Lays strings out as C's NULL-terminated array of pointers, the strings
 * themselves after it in the same buffer: what is passed to the call is all
 * that must outlive it.
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
 * Whoever started this program may have let it ignore SIGCHLD, or have blocked
 * it; how a child ended is then never told.
 */
function hearOfChildren(): void {
  unblockSignals();
  if (isIgnored(SIGCHLD)) lib.signal(SIGCHLD, SIG_DFL);
}

/** What these functions return is the error itself, and `errno` isn't set. */
function must(error: number): void {
  if (error !== 0) throw new SysError(error);
}

/**
 * Starts a program. None of its signals is blocked, and none ignored but those
 * that were when this one started.
 *
 * @returns Its process id
 * @throws {SysError} When it can't be found or started
 */
export function spawn(program: Program): number {
  // glibc's structures have 80, 336 and 128 bytes.
  const actions = new Uint8Array(512);
  const attributes = new Uint8Array(512);
  const set = new Uint8Array(128);
  hearOfChildren();
  lib.posix_spawn_file_actions_init(actions);
  lib.posix_spawnattr_init(attributes);
  // Descriptors first go where no target is, so that no placing overwrites
  // the source of a later one; dup2 to the target also clears close-on-exec.
  const moved: number[] = [];
  const free = Math.max(2, ...program.fds?.keys() ?? []) + 1;
  try {
    // Before a target takes the directory's number.
    if (program.directory !== undefined) {
      must(
        lib.posix_spawn_file_actions_addfchdir_np(actions, program.directory),
      );
    }
    for (const [theirs, ours] of program.fds ?? []) {
      const source = dup(ours, free);
      moved.push(source);
      must(lib.posix_spawn_file_actions_adddup2(actions, source, theirs));
    }
    for (const fd of program.without ?? []) {
      must(lib.posix_spawn_file_actions_addclose(actions, fd));
    }
    let flags = POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK;
    if (program.session) flags |= POSIX_SPAWN_SETSID;
    lib.posix_spawnattr_setflags(attributes, flags);
    // What is handled here is at its default there by itself. What was ignored
    // at our start, by nohup say, stays so; only SIGPIPE the runtime ignores.
    lib.sigemptyset(set);
    lib.sigaddset(set, SIGPIPE);
    lib.posix_spawnattr_setsigdefault(attributes, set);
    lib.sigemptyset(set);
    lib.posix_spawnattr_setsigmask(attributes, set);
    const pid = new Int32Array(1);
    must(lib.posix_spawnp(
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
 * Waits for a child that has ended, without waiting for one to end; what it
 * ended with is in `status`.
 *
 * @returns Its process id, 0 when none has ended, -1 when there is none
 */
function waitpid(pid: number): number {
  return lib.waitpid(pid, statusBytes, WNOHANG);
}

/** A program that is waited for. */
interface Awaited {
  readonly pid: number;
  readonly resolve: (ending: ExitStatus) => void;
  readonly reject: (error: SysError) => void;
}

const awaited = new Set<Awaited>();
let alive: ReturnType<typeof setInterval> | undefined;

/** Looks which programs have ended. */
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
 * Waits for a program that {@linkcode spawn} started. Any number of them can be
 * waited for: the runtime has 32 threads for calls that wait, and one for each
 * program would leave none for the poll of the main loop.
 *
 * @returns How it ended
 * @throws {SysError} `ECHILD` when it isn't ours, or was waited for before
 */
export function waitFor(pid: number): Promise<ExitStatus> {
  if (awaited.size === 0) {
    listen("SIGCHLD", collect);
    // A listener alone doesn't keep this program running; a timer does.
    alive = setInterval(collect, 60_000);
  }
  return new Promise((resolve, reject) => {
    awaited.add({ pid, resolve, reject });
    // It may have ended before anyone listened.
    collect();
  });
}

/**
 * Takes the ending of any one program that {@linkcode spawn} started and
 * {@linkcode waitFor} isn't called for. This is for a program that has many,
 * and listens to SIGCHLD.
 *
 * @returns Its process id, and its status as the kernel has it (768 for the
 * exit code 3), or `undefined` where none has ended
 */
export function waitForAny(): { pid: number; status: number } | undefined {
  const pid = waitpid(-1);
  return pid > 0 ? { pid, status: status[0]! } : undefined;
}

/**
 * Sends a signal.
 *
 * @param pid The process; minus its number for a process group
 * @param signal The signal's number; 0 only asks whether it is there
 */
export function kill(pid: number, signal: number): boolean {
  return lib.kill(pid, signal) === 0;
}

/**
 * Takes the place of init for the descendants whose parents end from now on,
 * so that {@linkcode groupExists} knows them.
 */
export function setChildSubreaper(): void {
  const PR_SET_CHILD_SUBREAPER = 36;
  lib.prctl(PR_SET_CHILD_SUBREAPER, 1n, 0n, 0n, 0n);
}

/**
 * Whether anything of a process group still runs. Its leader must have been
 * waited for; other members that have ended, and are ours, are waited for here,
 * since to the kernel a process is there until somebody has.
 */
export function groupExists(group: number): boolean {
  while (waitpid(-group) > 0);
  return kill(-group, 0);
}

/**
 * Makes this process become another program, with the same descriptors.
 *
 * @param args Its name, looked up in `$PATH`, and its arguments
 * @param env Its environment, each entry `NAME=value`
 * @throws {SysError} When it can't; otherwise this never returns
 */
export function exec(
  args: readonly (string | Uint8Array)[],
  env: readonly (string | Uint8Array)[],
): never {
  // Handlers go by themselves with the old program; what it ignored stays
  // ignored, and that is SIGPIPE.
  lib.signal(SIGPIPE, SIG_DFL);
  lib.execvpe(cString(args[0] ?? ""), pointers(args), pointers(env));
  throw new SysError(lastErrno());
}

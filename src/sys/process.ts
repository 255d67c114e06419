/**
 * Starting, watching and ending other programs.
 *
 * `Deno.Command` can give a child descriptors 0, 1 and 2 only, and the child
 * would inherit the ignored SIGPIPE of the runtime; so the C library's
 * `posix_spawn` does it here.
 *
 * @module
 */
import { close, duplicate } from "./descriptors.ts";
import { lastError, SysError } from "./errors.ts";
import { cString, darwin, load } from "./libc.ts";

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
  sigfillset: { parameters: ["buffer"], result: "i32" },
  sigemptyset: { parameters: ["buffer"], result: "i32" },
  waitpid: {
    parameters: ["i32", "buffer", "i32"],
    result: "i32",
    nonblocking: true,
  },
  kill: { parameters: ["i32", "i32"], result: "i32" },
  execvpe: { parameters: ["buffer", "buffer", "buffer"], result: "i32" },
  signal: { parameters: ["i32", "usize"], result: "pointer" },
});

const SETSIGDEF = 0x04;
const SETSIGMASK = 0x08;
const SETSID = darwin ? 0x400 : 0x80;

/** The numbers of the signals that the programs send. */
export const signals = {
  SIGKILL: 9,
  SIGALRM: 14,
  SIGTERM: 15,
  SIGCONT: darwin ? 19 : 18,
} as const;

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
 * themselves behind it in the same buffer: what is passed to the call is all
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
 * Starts a program. Its signals are at their defaults, none blocked.
 *
 * @param program The program
 * @returns Its process id
 * @throws {SysError} When it can't be found or started
 */
export function spawn(program: Program): number {
  // glibc's structures have 80, 336 and 128 bytes; macOS has pointers there.
  const actions = new Uint8Array(512);
  const attributes = new Uint8Array(512);
  const set = new Uint8Array(128);
  lib.posix_spawn_file_actions_init(actions);
  lib.posix_spawnattr_init(attributes);
  // Descriptors first go where no target is, so that no placing overwrites
  // the source of a later one; dup2 to the target also clears close-on-exec.
  const moved: number[] = [];
  try {
    for (const [theirs, ours] of program.fds ?? []) {
      const source = duplicate(ours, 64);
      moved.push(source);
      lib.posix_spawn_file_actions_adddup2(actions, source, theirs);
    }
    for (const fd of program.without ?? []) {
      lib.posix_spawn_file_actions_addclose(actions, fd);
    }
    if (program.directory !== undefined) {
      lib.posix_spawn_file_actions_addfchdir_np(actions, program.directory);
    }
    let flags = SETSIGDEF | SETSIGMASK;
    if (program.session) flags |= SETSID;
    lib.posix_spawnattr_setflags(attributes, flags);
    lib.sigfillset(set);
    lib.posix_spawnattr_setsigdefault(attributes, set);
    lib.sigemptyset(set);
    lib.posix_spawnattr_setsigmask(attributes, set);
    const pid = new Int32Array(1);
    const errno = lib.posix_spawnp(
      new Uint8Array(pid.buffer),
      cString(program.file ?? program.args[0] ?? ""),
      actions,
      attributes,
      pointers(program.args),
      pointers(program.env),
    );
    if (errno !== 0) throw new SysError(errno);
    return pid[0]!;
  } finally {
    for (const fd of moved) close(fd);
    lib.posix_spawn_file_actions_destroy(actions);
    lib.posix_spawnattr_destroy(attributes);
  }
}

/** How a program ended: with an exit code, or by a signal. */
export type Ending =
  | { readonly code: number; readonly signal?: undefined }
  | { readonly code?: undefined; readonly signal: number };

/**
 * Waits for a program that {@linkcode spawn} started.
 *
 * @param pid Its process id
 * @returns How it ended
 */
export async function ended(pid: number): Promise<Ending> {
  const status = new Int32Array(1);
  const bytes = new Uint8Array(status.buffer);
  // The call waits in a thread of its own. Nobody else waits for this pid, so
  // the only failure is an interruption.
  while (await lib.waitpid(pid, bytes, 0) !== pid);
  const word = status[0]!;
  const signal = word & 0x7f;
  return signal === 0 ? { code: (word >> 8) & 0xff } : { signal };
}

/**
 * Sends a signal.
 *
 * @param pid The process; minus its number for a process group
 * @param signal The signal's number; 0 only asks whether it is there
 * @returns Whether there was a process to send it to
 */
export function kill(pid: number, signal: number): boolean {
  return lib.kill(pid, signal) === 0;
}

/**
 * Makes this process become another program, with the same descriptors.
 *
 * @param args Its name, looked up in `$PATH`, and its arguments
 * @param env Its environment, each entry `NAME=value`
 * @throws {SysError} When it can't; otherwise this never returns
 */
export function become(
  args: readonly (string | Uint8Array)[],
  env: readonly (string | Uint8Array)[],
): never {
  // Handlers go by themselves with the old program; what it ignored stays
  // ignored, and that is SIGPIPE.
  const SIGPIPE = 13;
  const DEFAULT = 0n;
  lib.signal(SIGPIPE, DEFAULT);
  lib.execvpe(cString(args[0] ?? ""), pointers(args), pointers(env));
  throw new SysError(lastError());
}

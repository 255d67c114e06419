/**
 * The failure of a system call, in the words that the original programs use.
 *
 * @module
 */
import { darwin, load } from "./libc.ts";

/**
 * What is known of each error number: its name and the originals' words for
 * it (as seen from the programs themselves, one error injected after another).
 * Names for numbers that are not here come out as `E123`.
 */
const LINUX: Record<number, readonly [string, string]> = {
  1: ["EPERM", "permission denied"],
  2: ["ENOENT", "file does not exist"],
  3: ["ESRCH", "no such process"],
  4: ["EINTR", "interrupted system call"],
  5: ["EIO", "input/output error"],
  6: ["ENXIO", "device not configured"],
  7: ["E2BIG", "argument list too long"],
  8: ["ENOEXEC", "exec format error"],
  9: ["EBADF", "file descriptor not open"],
  10: ["ECHILD", "no child processes"],
  11: ["EAGAIN", "temporarily unavailable"],
  12: ["ENOMEM", "out of memory"],
  13: ["EACCES", "access denied"],
  14: ["EFAULT", "bad address"],
  15: ["ENOTBLK", "not a block device"],
  16: ["EBUSY", "device busy"],
  17: ["EEXIST", "file already exists"],
  18: ["EXDEV", "cross-device link"],
  19: ["ENODEV", "device does not support operation"],
  20: ["ENOTDIR", "not a directory"],
  21: ["EISDIR", "is a directory"],
  22: ["EINVAL", "invalid argument"],
  23: ["ENFILE", "system cannot open more files"],
  24: ["EMFILE", "process cannot open more files"],
  25: ["ENOTTY", "not a tty"],
  26: ["ETXTBSY", "text busy"],
  27: ["EFBIG", "file too big"],
  28: ["ENOSPC", "no space left on device"],
  29: ["ESPIPE", "unseekable descriptor"],
  30: ["EROFS", "read-only file system"],
  31: ["EMLINK", "too many links"],
  32: ["EPIPE", "broken pipe"],
  33: ["EDOM", "input out of range"],
  34: ["ERANGE", "output out of range"],
  35: ["EDEADLK", "operation would cause deadlock"],
  36: ["ENAMETOOLONG", "file name too long"],
  37: ["ENOLCK", "no locks available"],
  38: ["ENOSYS", "system call not available"],
  39: ["ENOTEMPTY", "directory not empty"],
  40: ["ELOOP", "symbolic link loop"],
  42: ["ENOMSG", "no message of desired type"],
  43: ["EIDRM", "identifier removed"],
  60: ["ENOSTR", "not a stream device"],
  62: ["ETIME", "timer expired"],
  63: ["ENOSR", "out of stream resources"],
  64: ["ENONET", "machine not on network"],
  66: ["EREMOTE", "too many levels of remote in path"],
  67: ["ENOLINK", "link severed"],
  68: ["EADV", "advertise error"],
  69: ["ESRMNT", "srmount error"],
  70: ["ECOMM", "communication error"],
  71: ["EPROTO", "protocol error"],
  72: ["EMULTIHOP", "multihop attempted"],
  74: ["EBADMSG", "bad message type"],
  78: ["EREMCHG", "remote address changed"],
  87: ["EUSERS", "too many users"],
  88: ["ENOTSOCK", "not a socket"],
  89: ["EDESTADDRREQ", "destination address required"],
  90: ["EMSGSIZE", "message too long"],
  91: ["EPROTOTYPE", "incorrect protocol type"],
  92: ["ENOPROTOOPT", "protocol not available"],
  93: ["EPROTONOSUPPORT", "protocol not supported"],
  94: ["ESOCKTNOSUPPORT", "socket type not supported"],
  95: ["EOPNOTSUPP", "operation not supported"],
  96: ["EPFNOSUPPORT", "protocol family not supported"],
  97: ["EAFNOSUPPORT", "address family not supported"],
  98: ["EADDRINUSE", "address already used"],
  99: ["EADDRNOTAVAIL", "address not available"],
  100: ["ENETDOWN", "network down"],
  101: ["ENETUNREACH", "network unreachable"],
  102: ["ENETRESET", "network reset"],
  103: ["ECONNABORTED", "connection aborted"],
  104: ["ECONNRESET", "connection reset"],
  105: ["ENOBUFS", "out of buffer space"],
  106: ["EISCONN", "already connected"],
  107: ["ENOTCONN", "not connected"],
  108: ["ESHUTDOWN", "socket shut down"],
  109: ["ETOOMANYREFS", "too many references"],
  110: ["ETIMEDOUT", "timed out"],
  111: ["ECONNREFUSED", "connection refused"],
  112: ["EHOSTDOWN", "host down"],
  113: ["EHOSTUNREACH", "host unreachable"],
  114: ["EALREADY", "operation already in progress"],
  115: ["EINPROGRESS", "operation in progress"],
  116: ["ESTALE", "stale NFS file handle"],
  122: ["EDQUOT", "disk quota exceeded"],
};

/** macOS: the numbers that differ from Linux. The words are the same. */
const DARWIN: Record<number, string> = {
  11: "EDEADLK",
  35: "EAGAIN",
  36: "EINPROGRESS",
  37: "EALREADY",
  38: "ENOTSOCK",
  39: "EDESTADDRREQ",
  40: "EMSGSIZE",
  41: "EPROTOTYPE",
  42: "ENOPROTOOPT",
  43: "EPROTONOSUPPORT",
  44: "ESOCKTNOSUPPORT",
  45: "EOPNOTSUPP",
  46: "EPFNOSUPPORT",
  47: "EAFNOSUPPORT",
  48: "EADDRINUSE",
  49: "EADDRNOTAVAIL",
  50: "ENETDOWN",
  51: "ENETUNREACH",
  52: "ENETRESET",
  53: "ECONNABORTED",
  54: "ECONNRESET",
  55: "ENOBUFS",
  56: "EISCONN",
  57: "ENOTCONN",
  58: "ESHUTDOWN",
  59: "ETOOMANYREFS",
  60: "ETIMEDOUT",
  61: "ECONNREFUSED",
  62: "ELOOP",
  63: "ENAMETOOLONG",
  64: "EHOSTDOWN",
  65: "EHOSTUNREACH",
  66: "ENOTEMPTY",
  68: "EUSERS",
  69: "EDQUOT",
  70: "ESTALE",
  77: "ENOLCK",
  78: "ENOSYS",
  100: "EPROTO",
};

const numbers = new Map<string, number>();
const words = new Map<string, string>();
for (const [number, [name, text]] of Object.entries(LINUX)) {
  words.set(name, text);
  if (!darwin || (Number(number) <= 34 && Number(number) !== 11)) {
    numbers.set(name, Number(number));
  }
}
if (darwin) {
  for (const [number, name] of Object.entries(DARWIN)) {
    numbers.set(name, Number(number));
  }
}

/**
 * The number of an error on this system.
 *
 * @param name The error's name, such as `"EAGAIN"`
 * @returns Its number, or 0 where the name is unknown
 */
export function errorNumber(name: string): number {
  return numbers.get(name) ?? 0;
}

function nameOf(errno: number): string {
  // The first 34 are the same everywhere, but for EAGAIN.
  const shared = !darwin || errno <= 34 ? LINUX[errno]?.[0] : undefined;
  return (darwin ? DARWIN[errno] : undefined) ?? shared ?? `E${errno}`;
}

/**
 * A system call failed. The message is the originals' text for the error, such
 * as `no space left on device`, ready to stand behind `unable to …: `.
 */
export class SysError extends Error {
  /** The class's name. */
  override name = "SysError";
  /** The error's number on this system. */
  readonly errno: number;
  /** The error's name, such as `"ENOSPC"`. */
  readonly code: string;

  /**
   * Makes the error for a number.
   *
   * @param errno The error's number, as `errno` had it
   */
  constructor(errno: number) {
    const code = nameOf(errno);
    super(words.get(code) ?? "unknown error");
    this.errno = errno;
    this.code = code;
  }
}

const locate = darwin
  ? load({ errno: { name: "__error", parameters: [], result: "pointer" } })
  : load({
    errno: { name: "__errno_location", parameters: [], result: "pointer" },
  });
/** The program's one JavaScript thread has one errno, so it is located once. */
const view = new Deno.UnsafePointerView(locate.errno()!);

/**
 * The error number of the synchronous call that has just failed. It holds
 * only until the next call into the C library.
 *
 * @returns `errno`
 */
export function lastErrno(): number {
  return view.getInt32(0);
}

/**
 * Turns a failed call into an exception.
 *
 * @param result What the call returned
 * @returns The same, when it is not negative
 * @throws {SysError} When it is negative
 */
export function check(result: number): number {
  if (result < 0) throw new SysError(lastErrno());
  return result;
}

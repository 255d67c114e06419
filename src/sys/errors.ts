/**
 * The failure of a system call, in the words that the original programs use.
 * Nothing here calls the C library, so that importing it needs no permission.
 *
 * @module
 */
/**
 * The name of each error number, and the words that the originals print for it
 * (observed by injecting one error after another into them). A number that is
 * missing here gets a name such as `E123`.
 */
const ERRORS: Record<number, readonly [string, string]> = {
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

/**
 * The number of an error on this system.
 *
 * @param name The error's name, such as `"EAGAIN"`
 * @returns Its number, or 0 where the name is unknown
 */
export function errorNumber(name: string): number {
  // Few are asked for, so a table of them all would cost a start more.
  for (const number in ERRORS) {
    if (ERRORS[number]![0] === name) return Number(number);
  }
  return 0;
}

/**
 * A system call failed. The message is the originals' text for the error, such
 * as `no space left on device`, ready to follow `unable to …: `.
 */
export class SysError extends Error {
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
    const [code, words] = ERRORS[errno] ?? [`E${errno}`, "unknown error"];
    super(words);
    this.errno = errno;
    this.code = code;
  }
}

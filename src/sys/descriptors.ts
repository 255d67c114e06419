/**
 * File descriptors: reading, writing, and the other calls on open files.
 *
 * On the hot paths a failure is expected (a pipe that is full or empty) and an
 * exception would cost more than the call, so `read` and `write` return minus
 * the error number; everything else throws a {@linkcode SysError}.
 *
 * @module
 */
import { check, isToBeRepeated, lastErrno } from "./errno.ts";
import { errorNumber } from "./errors.ts";
import { load } from "./libc.ts";

const lib = load({
  read: { parameters: ["i32", "buffer", "usize"], result: "i32" },
  write: { parameters: ["i32", "buffer", "usize"], result: "i32" },
  close: { parameters: ["i32"], result: "i32" },
  dup2: { parameters: ["i32", "i32"], result: "i32" },
  fsync: { parameters: ["i32"], result: "i32" },
  fchmod: { parameters: ["i32", "u32"], result: "i32" },
  flock: { parameters: ["i32", "i32"], result: "i32" },
  ftruncate: { parameters: ["i32", "i64"], result: "i32" },
  lseek: { parameters: ["i32", "i64", "i32"], result: "i64" },
  pipe2: { parameters: ["buffer", "i32"], result: "i32" },
  fcntl: { parameters: ["i32", "i32", "i32"], result: "i32" },
  fstatvfs: { parameters: ["i32", "buffer"], result: "i32" },
  isatty: { parameters: ["i32"], result: "i32" },
  ioctl: { parameters: ["i32", "usize", "buffer"], result: "i32" },
});

const EINVAL = errorNumber("EINVAL");
const EIO = errorNumber("EIO");
/** The error number of a read or write that would have to wait. */
export const EAGAIN: number = errorNumber("EAGAIN");

const F_GETFD = 1;
const F_SETFD = 2;
const F_GETFL = 3;
const F_SETFL = 4;
const FD_CLOEXEC = 1;
const F_DUPFD_CLOEXEC = 1030;
const F_SETPIPE_SZ = 1031;
const F_GETPIPE_SZ = 1032;
const PAGE = 4096;
/** How many bytes a writable pipe takes at once, without waiting (pipe(7)). */
export const PIPE_BUF = 4096;
const FIONREAD = 0x541bn;
/** For open(2): reads, writes and the opening itself never wait. */
export const O_NONBLOCK = 0o4000;
/** For open(2): other programs don't inherit the descriptor. */
export const O_CLOEXEC = 0o2000000;
const O_ACCMODE = 3;
const O_RDWR = 2;
const SEEK_SET = 0;
const SEEK_CUR = 1;
const SEEK_HOLE = 4;
const LOCK_EX = 2;
const LOCK_NB = 4;

/**
 * Reads what has arrived.
 *
 * @param buffer Where the bytes go; at most its length is read
 * @param most How many bytes are read at most
 * @returns How many bytes were read, 0 at the end of input, minus the error
 * number on a failure; never `EINTR`: an interrupted call is repeated
 */
export function read(
  fd: number,
  buffer: Uint8Array<ArrayBuffer>,
  most = Infinity,
): number {
  const length = BigInt(Math.min(most, buffer.length));
  while (true) {
    const n = lib.read(fd, buffer, length);
    if (n >= 0) return n;
    const errno = lastErrno();
    if (!isToBeRepeated(errno)) return -errno;
  }
}

/**
 * Writes as much as the descriptor takes in one call.
 *
 * @param buffer The bytes
 * @returns How many bytes were written, at least one unless there are none to
 * write, or minus the error number on a failure; never `EINTR`: an interrupted
 * call is repeated
 */
export function write(fd: number, buffer: Uint8Array<ArrayBuffer>): number {
  const length = BigInt(buffer.length);
  while (true) {
    const n = lib.write(fd, buffer, length);
    if (n > 0) return n;
    // If a device or file system takes nothing and gives no reason, every
    // caller would try again for ever.
    if (n === 0) return buffer.length === 0 ? 0 : -EIO;
    const errno = lastErrno();
    if (!isToBeRepeated(errno)) return -errno;
  }
}

/**
 * Closes a descriptor.
 */
export function close(fd: number): void {
  // Linux closes the descriptor even when it returns an error, EINTR included:
  // there is nothing that a caller could do about it.
  lib.close(fd);
}

/** Descriptors that are closed together. */
export class Opened implements Disposable {
  readonly #fds: number[] = [];

  /**
   * Adds a descriptor.
   *
   * @returns The same descriptor
   */
  use(fd: number): number {
    this.#fds.push(fd);
    return fd;
  }

  /** Closes all of them, once. */
  [Symbol.dispose](): void {
    for (const fd of this.#fds.splice(0)) close(fd);
  }
}

/**
 * Makes a second descriptor for the same open file.
 *
 * @param least The smallest number that the new descriptor may have
 * @returns The new descriptor, not inherited by other programs
 * @throws {SysError} `EMFILE` when there is none left
 */
export function dup(fd: number, least = 3): number {
  return check(lib.fcntl(fd, F_DUPFD_CLOEXEC, least));
}

/**
 * Gives an open file a descriptor of a certain number as well; what had that
 * number is closed.
 *
 * @param at The number
 * @throws {SysError} `EBADF`
 */
export function dup2(fd: number, at: number): void {
  check(lib.dup2(fd, at));
}

/**
 * Writes a file's data and mode to the disk. Waits for the disk.
 *
 * @throws {SysError} When the disk fails
 */
export function fsync(fd: number): void {
  check(lib.fsync(fd));
}

/**
 * Waits until the names in a directory are on the disk. Some file systems, of
 * shared folders for example, can't sync a directory.
 *
 * @param fd The open directory
 * @returns Whether its file system can do this
 * @throws {SysError} `EIO`, `ENOSPC`
 */
export function fsyncDirectory(fd: number): boolean {
  const n = lib.fsync(fd);
  if (n < 0 && lastErrno() === EINVAL) return false;
  check(n);
  return true;
}

/**
 * Sets a file's mode.
 *
 * @param mode The permission bits
 * @throws {SysError} When it isn't allowed
 */
export function fchmod(fd: number, mode: number): void {
  check(lib.fchmod(fd, mode));
}

/**
 * Takes the exclusive lock of a file without waiting (`flock`, as the
 * originals do).
 *
 * @throws {SysError} `EAGAIN` when another process has it
 */
export function flock(fd: number): void {
  check(lib.flock(fd, LOCK_EX | LOCK_NB));
}

/**
 * Sets a file's length.
 *
 * @param length The new length, in bytes
 * @throws {SysError} When it isn't a file, or isn't open for writing
 */
export function ftruncate(fd: number, length: number): void {
  check(lib.ftruncate(fd, BigInt(length)));
}

/**
 * Moves the offset of an open file.
 *
 * @param offset Bytes from the start, or from the present offset
 * @param from `"start"`, or `"here"`
 * @returns The new offset
 * @throws {SysError} `ESPIPE` for a pipe or a socket
 */
export function seek(
  fd: number,
  offset: number,
  from: "start" | "here" = "start",
): number {
  const whence = from === "start" ? SEEK_SET : SEEK_CUR;
  return check(Number(lib.lseek(fd, BigInt(offset), whence)));
}

/**
 * Waits until a write to the file that is under way in another process has
 * ended. Linux's file systems lock a file to look for a hole in it, and a write
 * holds the same lock; a read would wait for it on some of them only. This
 * moves the offset of the open file.
 */
export function waitForWrite(fd: number): void {
  lib.lseek(fd, 0n, SEEK_HOLE);
}

/**
 * Whether an open file has an offset that can be moved. A write to such a file
 * never waits for a reader.
 */
export function isSeekable(fd: number): boolean {
  return lib.lseek(fd, 0n, SEEK_CUR) >= 0;
}

/**
 * Makes a pipe whose ends other programs don't inherit.
 *
 * @param waits Whether reads and writes wait; otherwise they return at once
 * @returns The end to read from and the end to write to
 * @throws {SysError} When there are no descriptors left
 */
export function pipe(waits = true): { reader: number; writer: number } {
  const ends = new Int32Array(2);
  const flags = waits ? O_CLOEXEC : O_CLOEXEC | O_NONBLOCK;
  check(lib.pipe2(new Uint8Array(ends.buffer), flags));
  const [reader, writer] = ends as unknown as [number, number];
  return { reader, writer };
}

/**
 * Keeps a descriptor from being inherited by other programs.
 *
 * @throws {SysError} When it is no descriptor
 */
export function setCloseOnExec(fd: number): void {
  check(lib.fcntl(fd, F_SETFD, FD_CLOEXEC));
}

/**
 * Whether a number is an open descriptor.
 */
export function isOpen(fd: number): boolean {
  return lib.fcntl(fd, F_GETFD, 0) >= 0;
}

/**
 * Whether a number is a descriptor that this program was started with. One of
 * the runtime's own may have the number instead, but those are set
 * close-on-exec.
 */
export function isInherited(fd: number): boolean {
  return lib.fcntl(fd, F_GETFD, 0) === 0;
}

/**
 * Whether a file is open for both reading and writing.
 *
 * @throws {SysError} `EBADF`
 */
export function isReadWrite(fd: number): boolean {
  return (check(lib.fcntl(fd, F_GETFL, 0)) & O_ACCMODE) === O_RDWR;
}

/**
 * Sets whether reads and writes of an open file return at once (`O_NONBLOCK`)
 * or wait. This belongs to the open file, not to the descriptor: it changes for
 * every process that shares the file. So use it on pipes and sockets that only
 * this program has.
 *
 * @param on Whether they return at once
 * @throws {SysError} `EBADF`
 */
export function setNonblocking(fd: number, on: boolean): void {
  const flags = check(lib.fcntl(fd, F_GETFL, 0));
  check(lib.fcntl(
    fd,
    F_SETFL,
    on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK,
  ));
}

/**
 * Asks for a larger buffer in a pipe, so that a busy pipe is read with fewer
 * calls. When the kernel refuses, or `fd` isn't a pipe, nothing changes.
 *
 * @param size The size of the buffer in bytes
 */
export function setPipeSize(fd: number, size: number): void {
  lib.fcntl(fd, F_SETPIPE_SZ, size);
}

/**
 * How many bytes a nonblocking pipe takes in one write in full or not at all.
 * With writes of at most this size, a program that is killed never leaves half
 * of one in the pipe.
 *
 * @param fd The end to write to; nobody else must write much to it
 * @returns The pipe's size when it is empty, at least `PIPE_BUF` otherwise
 */
export function roomInPipe(fd: number): number {
  const unread = new Int32Array(1);
  lib.ioctl(fd, FIONREAD, new Uint8Array(unread.buffer));
  const size = lib.fcntl(fd, F_GETPIPE_SZ, 0);
  if (unread[0] === 0) return Math.max(size, PIPE_BUF);
  // Linux keeps a pipe's bytes in pages, and begins a new page only for a write
  // that doesn't fit into the last one: so two neighbouring pages hold more
  // than one page of bytes together. Besides, the first page may have been read
  // in part, and the last one may be nearly empty.
  const used = 2 * Math.ceil(unread[0]! / PAGE) + 3;
  return Math.max(size - used * PAGE, PIPE_BUF);
}

/**
 * Whether a descriptor is a terminal.
 */
export function isTerminal(fd: number): boolean {
  return lib.isatty(fd) === 1;
}

/** Room for `struct statvfs`, and the indexes of three of its 8-byte fields. */
const statvfs = new BigUint64Array(16);
const STATVFS = new Uint8Array(statvfs.buffer);
const FRSIZE = 1;
const BLOCKS = 2;
const BAVAIL = 4;

/**
 * How much room is left on the disk that an open file is on, without what the
 * file system reserves for root.
 *
 * @returns Bytes; `Infinity` when the file system doesn't say
 */
export function roomOnDisk(fd: number): number {
  if (lib.fstatvfs(fd, STATVFS) < 0 || statvfs[BLOCKS] === 0n) return Infinity;
  return Number(statvfs[FRSIZE]! * statvfs[BAVAIL]!);
}

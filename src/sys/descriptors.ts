/**
 * File descriptors: reading, writing, and what is asked of an open file.
 *
 * On the hot paths a failure is expected (a pipe that is full or empty) and an
 * exception would cost more than the call, so `read` and `write` return minus
 * the error number; everything else throws a {@linkcode SysError}.
 *
 * @module
 */
import { check, lastErrno } from "./errno.ts";
import { errorNumber } from "./errors.ts";
import { load } from "./libc.ts";

const lib = load({
  read: { parameters: ["i32", "buffer", "usize"], result: "i32" },
  write: { parameters: ["i32", "buffer", "usize"], result: "i32" },
  close: { parameters: ["i32"], result: "i32" },
  dup2: { parameters: ["i32", "i32"], result: "i32" },
  fsync: { parameters: ["i32"], result: "i32" },
  sync_file_range: { parameters: ["i32", "i64", "i64", "u32"], result: "i32" },
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

const EINTR = errorNumber("EINTR");
const EINVAL = errorNumber("EINVAL");
const EIO = errorNumber("EIO");
/** The number of "it would block", which every loop has to know. */
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
/** What a pipe that is writable takes whole without waiting (pipe(7)). */
export const PIPE_BUF = 4096;
const FIONREAD = 0x541bn;
const O_NONBLOCK = 0o4000;
const O_CLOEXEC = 0o2000000;
const O_ACCMODE = 3;
const O_RDWR = 2;
const SYNC_FILE_RANGE_WRITE = 2;
const SEEK_SET = 0;
const SEEK_CUR = 1;
const SEEK_HOLE = 4;
const LOCK_EX = 2;
const LOCK_NB = 4;

/**
 * Reads what is there.
 *
 * @param buffer Where the bytes go; at most its length is read
 * @returns How many bytes were read, 0 at the end of input, minus the error
 * number on a failure; never interrupted by a signal
 */
export function read(fd: number, buffer: Uint8Array<ArrayBuffer>): number {
  const length = BigInt(buffer.length);
  while (true) {
    const n = lib.read(fd, buffer, length);
    if (n >= 0) return n;
    const errno = lastErrno();
    if (errno !== EINTR) return -errno;
  }
}

/**
 * Writes as much as goes at once.
 *
 * @param buffer The bytes
 * @returns How many bytes were written, at least one unless there are none to
 * write, or minus the error number on a failure; never interrupted by a signal
 */
export function write(fd: number, buffer: Uint8Array<ArrayBuffer>): number {
  const length = BigInt(buffer.length);
  while (true) {
    const n = lib.write(fd, buffer, length);
    if (n > 0) return n;
    // A device or file system that takes nothing and gives no reason would
    // have every caller try for ever.
    if (n === 0) return buffer.length === 0 ? 0 : -EIO;
    const errno = lastErrno();
    if (errno !== EINTR) return -errno;
  }
}

/**
 * Closes a descriptor.
 */
export function close(fd: number): void {
  // After any outcome, EINTR included, Linux has closed it: there is nothing
  // that a caller could do about an error.
  lib.close(fd);
}

/** Descriptors that are closed together. */
export class Opened implements Disposable {
  readonly #fds: number[] = [];

  /**
   * Puts one in.
   *
   * @param fd The descriptor
   * @returns The same
   */
  use(fd: number): number {
    this.#fds.push(fd);
    return fd;
  }

  /** Closes them; none is in any more. */
  [Symbol.dispose](): void {
    for (const fd of this.#fds.splice(0)) close(fd);
  }
}

/**
 * Makes a second descriptor for the same open file.
 *
 * @param least The smallest number wanted for the new one
 * @returns The new descriptor, not inherited by other programs
 * @throws {SysError} When there is none left
 */
export function dup(fd: number, least = 3): number {
  return check(lib.fcntl(fd, F_DUPFD_CLOEXEC, least));
}

/**
 * Places an open file at a number, closing what was there.
 *
 * @param at The number
 * @throws {SysError} When either is no descriptor
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
 * Has the kernel begin to write a part of a file to the disk, so that there is
 * less to wait for in the {@linkcode fsync} to come. Where it can't, nothing
 * happens.
 *
 * @param from The offset of the part's first byte
 * @param to The offset after its last
 */
export function beginSync(fd: number, from: number, to: number): void {
  const length = BigInt(to - from);
  lib.sync_file_range(fd, BigInt(from), length, SYNC_FILE_RANGE_WRITE);
}

/**
 * Waits until the names in a directory are on the disk, where its file system
 * can be asked for that; some, of shared folders for example, can't.
 *
 * @param fd The open directory
 * @returns Whether it can be asked
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
 * Cuts a file.
 *
 * @param fd The descriptor
 * @param length The length that it gets, in bytes
 * @throws {SysError} When it isn't a file, or isn't open for writing
 */
export function ftruncate(fd: number, length: number): void {
  check(lib.ftruncate(fd, BigInt(length)));
}

/**
 * Moves the offset of an open file.
 *
 * @param offset Bytes from the start, or from where it stands
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
 * Waits until the write to a file that goes on has ended, on file systems that
 * take a file's lock to look for a hole in it, as those of Linux do; reads don't
 * wait for it everywhere. It moves the offset of the open file.
 *
 * @param fd The descriptor
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
 * @returns The end to read from and the end to write to
 * @throws {SysError} When there are no descriptors left
 */
export function pipe(): { reader: number; writer: number } {
  const ends = new Int32Array(2);
  check(lib.pipe2(new Uint8Array(ends.buffer), O_CLOEXEC));
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
 * Whether a number is a descriptor that this program was started with. Where
 * it wasn't, something of the runtime's own may be there; but other programs
 * don't inherit that.
 */
export function isInherited(fd: number): boolean {
  return lib.fcntl(fd, F_GETFD, 0) === 0;
}

/**
 * Whether an open file can be both read and written.
 *
 * @throws {SysError} When it is no descriptor
 */
export function isReadWrite(fd: number): boolean {
  return (check(lib.fcntl(fd, F_GETFL, 0)) & O_ACCMODE) === O_RDWR;
}

/**
 * Says whether reads and writes of an open file return at once (`O_NONBLOCK`)
 * or wait. This belongs to the open file, not to the descriptor: every process
 * that shares it sees the change, so it is for pipes and sockets of our own.
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
 * Asks for a larger buffer inside a pipe, so that a busy one is read with
 * fewer calls. Where it isn't granted, or `fd` isn't a pipe, nothing changes.
 *
 * @param size Bytes
 */
export function setPipeSize(fd: number, size: number): void {
  lib.fcntl(fd, F_SETPIPE_SZ, size);
}

/**
 * How much a pipe is sure to take whole: a write of so many bytes, to a pipe
 * that doesn't wait, is done in full or not at all, so that also a program that
 * is killed leaves no part of it.
 *
 * @param fd The end to write to, of which nobody else writes much
 * @returns All of its size when it is empty, at least `PIPE_BUF` otherwise
 */
export function roomInPipe(fd: number): number {
  const unread = new Int32Array(1);
  lib.ioctl(fd, FIONREAD, new Uint8Array(unread.buffer));
  const size = lib.fcntl(fd, F_GETPIPE_SZ, 0);
  if (unread[0] === 0) return Math.max(size, PIPE_BUF);
  // Linux keeps a pipe in pages, and begins a new one only for what doesn't
  // fit into the last: two neighbours hold more than one page's worth. The
  // first may have been read in part, and the last has just begun.
  const used = 2 * Math.ceil(unread[0]! / PAGE) + 3;
  return Math.max(size - used * PAGE, PIPE_BUF);
}

/**
 * Whether a descriptor is a terminal: whether a person is watching.
 */
export function isTerminal(fd: number): boolean {
  return lib.isatty(fd) === 1;
}

/** Room for `struct statvfs`, and which of its 8-byte fields are looked at. */
const statvfs = new BigUint64Array(16);
const STATVFS = new Uint8Array(statvfs.buffer);
const FRSIZE = 1;
const BLOCKS = 2;
const BAVAIL = 4;

/**
 * How much room there is on the disk that an open file is on, for users that
 * have no reserve.
 *
 * @returns Bytes; `Infinity` where that isn't known
 */
export function roomOnDisk(fd: number): number {
  if (lib.fstatvfs(fd, STATVFS) < 0 || statvfs[BLOCKS] === 0n) return Infinity;
  return Number(statvfs[FRSIZE]! * statvfs[BAVAIL]!);
}

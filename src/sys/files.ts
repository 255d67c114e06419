/**
 * Files by name, relative to an open directory.
 *
 * A program that holds a directory open still works on that directory after
 * somebody has renamed it, and never has to change its working directory.
 *
 * @module
 */
import { type Bytes, latin1 } from "../bytes.ts";
import { check, lastErrno } from "./errno.ts";
import { errorNumber, SysError } from "./errors.ts";
import {
  close,
  isOpen,
  isReadWrite,
  O_CLOEXEC,
  O_NONBLOCK,
} from "./descriptors.ts";
import { AT_FDCWD, cString, load, StringRoom } from "./libc.ts";

const lib = load({
  openat: { parameters: ["i32", "buffer", "i32", "u32"], result: "i32" },
  faccessat: { parameters: ["i32", "buffer", "i32", "i32"], result: "i32" },
  mkdirat: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  renameat: {
    parameters: ["i32", "buffer", "i32", "buffer"],
    result: "i32",
  },
  unlinkat: { parameters: ["i32", "buffer", "i32"], result: "i32" },
  fchmodat: { parameters: ["i32", "buffer", "u32", "i32"], result: "i32" },
  readlinkat: {
    parameters: ["i32", "buffer", "buffer", "usize"],
    result: "i32",
  },
  mkostemp: { parameters: ["buffer", "i32"], result: "i32" },
  umask: { parameters: ["u32"], result: "u32" },
  /**
   * The structure that `stat` fills in differs between processors; that of
   * `statx` is the same on all.
   */
  statx: {
    parameters: ["i32", "buffer", "i32", "u32", "buffer"],
    result: "i32",
  },
  /**
   * For getdents64(2), the system call below readdir(3). readdir returns NULL
   * both at the end and on a failure, and only `errno` tells them apart, which
   * the runtime may change between two calls. glibc has a function for
   * getdents64 only since 2.30.
   */
  syscall: { parameters: ["i32", "i32", "buffer", "u32"], result: "i32" },
});

/** The size of the buffer for a directory's entries, in bytes. */
const ENTRIES = 32 * 1024;
const GETDENTS64 = Deno.build.arch === "aarch64" ? 61 : 217;

const O_RDONLY = 0;
const O_WRONLY = 1;
const O_CREAT = 0o100;
const O_TRUNC = 0o1000;
const O_APPEND = 0o2000;

const AT_EACCESS = 0x200;
const AT_EMPTY_PATH = 0x1000;
const AT_SYMLINK_NOFOLLOW = 0x100;
const ENOENT = errorNumber("ENOENT");
const STATX_BTIME = 0x800;
/** The basic fields, and the time when the file was made. */
const STATX_ALL = 0x7ff | STATX_BTIME;
const S_IFMT = 0o170000;
const S_IFSOCK = 0o140000;
const S_IFLNK = 0o120000;
const S_IFREG = 0o100000;
const S_IFDIR = 0o040000;
const S_IFIFO = 0o010000;

/** How to open a file. */
export type OpenMode =
  /** For reading, from its start. */
  | "read"
  /** For writing at its end; it is made if it doesn't exist. */
  | "append"
  /** For writing at its end; it must exist. */
  | "reopen"
  /** For writing; it is made if it doesn't exist, and emptied if it does. */
  | "truncate"
  /** For writing over its beginning; it is made if it doesn't exist. */
  | "overwrite";

const FLAGS: Record<OpenMode, number> = {
  read: O_RDONLY,
  append: O_WRONLY | O_CREAT | O_APPEND,
  reopen: O_WRONLY | O_APPEND,
  truncate: O_WRONLY | O_CREAT | O_TRUNC,
  overwrite: O_WRONLY | O_CREAT,
};

/** A file's name, or its bytes. */
export type Name = string | Uint8Array;

const names = new StringRoom();
const newNames = new StringRoom();

/**
 * Opens a file, or a directory for reading. The descriptor isn't inherited by
 * other programs. Opening never waits, not even for the other end of a fifo.
 *
 * @param mode How to open it
 * @param permissions The permission bits for a new file, before the umask
 * @param directory An open directory that the name is relative to; by default
 * the working directory
 * @throws {SysError} When it can't be opened
 */
export function open(
  name: Name,
  mode: OpenMode,
  permissions = 0o644,
  directory: number = AT_FDCWD,
): number {
  const flags = FLAGS[mode] | O_NONBLOCK | O_CLOEXEC;
  return check(lib.openat(directory, names.put(name), flags, permissions));
}

/**
 * Makes a file without a name, open for reading and writing: nobody else can
 * open it, and it is removed when it is closed.
 *
 * @param folder A directory on the disk that the file is to be on
 * @returns The descriptor, not inherited by other programs
 * @throws {SysError} When it can't be made
 */
export function tmpfile(folder: Name): number {
  const path = cString(folder);
  const pattern = cString("/logferry.XXXXXX");
  const name = new Uint8Array(path.length - 1 + pattern.length);
  name.set(path);
  name.set(pattern, path.length - 1);
  const fd = check(lib.mkostemp(name, O_CLOEXEC));
  unlink(name.subarray(0, -1));
  return fd;
}

/**
 * Makes a directory.
 *
 * @param permissions Its permission bits, before the umask
 * @param directory An open directory that the name is relative to
 * @throws {SysError} `EEXIST` when the name is taken; others
 */
export function mkdir(
  name: Name,
  permissions = 0o700,
  directory: number = AT_FDCWD,
): void {
  check(lib.mkdirat(directory, names.put(name), permissions));
}

/**
 * Renames a file inside a directory, in one step; a file that has the new name
 * already is removed by it.
 *
 * @param from The old name
 * @param to The new name
 * @param directory The open directory of both
 * @throws {SysError} When it can't be renamed
 */
export function rename(
  from: Name,
  to: Name,
  directory: number = AT_FDCWD,
): void {
  check(
    lib.renameat(directory, names.put(from), directory, newNames.put(to)),
  );
}

/**
 * Removes a file.
 *
 * @param directory An open directory that the name is relative to
 * @throws {SysError} `ENOENT` when it isn't there; others
 */
export function unlink(name: Name, directory: number = AT_FDCWD): void {
  check(lib.unlinkat(directory, names.put(name), 0));
}

/**
 * Sets the mode of a file by its name.
 *
 * @param mode The permission bits
 * @param directory An open directory that the name is relative to
 * @throws {SysError} When it isn't there or isn't ours
 */
export function chmod(
  name: Name,
  mode: number,
  directory: number = AT_FDCWD,
): void {
  check(lib.fchmodat(directory, names.put(name), mode, 0));
}

/** A file's type, mode, size and times, as stat(2) has them. */
export interface FileInfo {
  /** Whether it is a regular file. */
  isFile: boolean;
  /** Whether it is a directory. */
  isDirectory: boolean;
  /** Whether it is a symbolic link, which only {@linkcode lstat} reports. */
  isSymlink: boolean;
  /** Whether it is a pipe, with a name or without one. */
  isFifo: boolean;
  /** Whether it is a socket. */
  isSocket: boolean;
  /** The type and the permission bits. */
  mode: number;
  /** The size in bytes. */
  size: number;
  /** How many names (hard links) it has. */
  nlink: number;
  /** When its contents last changed, in seconds since 1970. */
  mtime: number;
  /** When anything of it last changed, name and mode too; as `mtime`. */
  ctime: number;
  /** When it was made, as `mtime`; `undefined` if the file system can't say. */
  birthtime: number | undefined;
  /** Its device's and its inode's number: two names of one file share them. */
  identity: string;
}

/**
 * Asks for a file's type, mode, size and times.
 *
 * @param name Its name; empty for the open file `directory` itself
 * @param directory An open directory that the name is relative to
 * @returns The answer, or `undefined` when there is no such file
 * @throws {SysError} On any other failure
 */
export function stat(
  name: Name,
  directory: number = AT_FDCWD,
): FileInfo | undefined {
  return statx(name, directory, name.length === 0 ? AT_EMPTY_PATH : 0);
}

/**
 * As {@linkcode stat}, but a symbolic link isn't followed.
 *
 * @param name Its name
 * @param directory An open directory that the name is relative to
 * @returns The answer, or `undefined` when there is no such file
 * @throws {SysError} On any other failure
 */
export function lstat(
  name: Name,
  directory: number = AT_FDCWD,
): FileInfo | undefined {
  return statx(name, directory, AT_SYMLINK_NOFOLLOW);
}

/** `struct statx` of the call that goes on. */
const found = new Uint8Array(256);
const view = new DataView(found.buffer);

/** A number of 8 bytes. A BigInt would take a good part of the call's time. */
function long(at: number): number {
  return view.getInt32(at + 4, true) * 2 ** 32 + view.getUint32(at, true);
}

function time(at: number): number {
  return long(at) + view.getUint32(at + 8, true) / 1e9;
}

/** An inode's number. Some file systems make use of all 64 bits of it. */
function inode(at: number): number | bigint {
  const number = long(at);
  const exact = number >= 0 && number <= Number.MAX_SAFE_INTEGER;
  return exact ? number : view.getBigUint64(at, true);
}

function statx(
  name: Name,
  directory: number,
  flags: number,
): FileInfo | undefined {
  if (lib.statx(directory, names.put(name), flags, STATX_ALL, found) < 0) {
    // Often, and what an error is made of takes longer than the call.
    if (lastErrno() === ENOENT) return undefined;
    throw new SysError(lastErrno());
  }
  const mode = view.getUint16(28, true);
  const type = mode & S_IFMT;
  return {
    isFile: type === S_IFREG,
    isDirectory: type === S_IFDIR,
    isSymlink: type === S_IFLNK,
    isFifo: type === S_IFIFO,
    isSocket: type === S_IFSOCK,
    nlink: view.getUint32(16, true),
    mode,
    size: long(40),
    mtime: time(112),
    ctime: time(96),
    birthtime: view.getUint32(0, true) & STATX_BTIME ? time(80) : undefined,
    identity: `${view.getUint32(136, true)}:${view.getUint32(140, true)}:${
      inode(32)
    }`,
  };
}

/**
 * Where a symbolic link leads. The links in `/proc/self/fd` lead to the names
 * of open files.
 *
 * @param name The link's name
 * @returns The path's bytes
 * @throws {SysError} `ENOENT`; `EINVAL` when it is no link
 */
export function readlink(name: Name): Bytes {
  const path = new Uint8Array(4096);
  const length = BigInt(path.length);
  const n = check(lib.readlinkat(AT_FDCWD, names.put(name), path, length));
  return path.slice(0, n);
}

/** access(2)'s R_OK, W_OK, and (for a directory) X_OK. */
const ACCESS = { read: 4, write: 2, enter: 1 };

/**
 * Whether this process may read, write or (a directory) enter a file.
 *
 * @returns Whether it may; `false` when there is no such file
 */
export function access(name: Name, what: keyof typeof ACCESS): boolean {
  return lib.faccessat(AT_FDCWD, names.put(name), ACCESS[what], AT_EACCESS) ===
    0;
}

/**
 * Lists a directory.
 *
 * @returns The names in it, in no particular order, a character for each byte
 * (Latin-1), `.` and `..` among them
 * @throws {SysError} When it can't be read
 */
export function readdir(directory: number): string[] {
  const names: string[] = [];
  eachName(directory, (name) => names.push(name));
  return names;
}

/**
 * Lists a directory without having all names in memory.
 *
 * @param directory The open directory
 * @param see Called with each name, as {@linkcode readdir} returns them
 * @throws {SysError} When it can't be read
 */
export function eachName(
  directory: number,
  see: (name: string) => void,
): void {
  // An open file of our own, since the place at which the next read goes on
  // belongs to the open file.
  const fd = open(".", "read", 0, directory);
  try {
    const buffer = new Uint8Array(ENTRIES);
    const view = new DataView(buffer.buffer);
    let length;
    while ((length = readEntries(fd, buffer)) > 0) {
      for (let at = 0; at < length; at += view.getUint16(at + 16, true)) {
        const start = at + 19;
        see(latin1(buffer.subarray(start, buffer.indexOf(0, start))));
      }
    }
  } finally {
    close(fd);
  }
}

/** Reads as many entries as there is room for; returns 0 at the end. */
function readEntries(fd: number, buffer: Bytes): number {
  const length = lib.syscall(GETDENTS64, fd, buffer, buffer.length);
  if (length >= 0) return length;
  const error = new SysError(lastErrno());
  // Linux says this of a directory that was removed, which has no entries.
  if (error.code === "ENOENT") return 0;
  throw error;
}

/**
 * Sets the permission bits that new files don't get (umask(2)).
 *
 * @returns The former mask
 */
export function umask(mask: number): number {
  return lib.umask(mask);
}

/**
 * Opens a directory. An empty name is an error, and doesn't stand for `/`.
 *
 * @param path Its name
 * @returns The descriptor, not inherited by other programs
 * @throws {SysError} `ENOENT`, `ENOTDIR`, `EACCES`
 */
export function openDirectory(path: string): number {
  return open(path && `${path}/`, "read");
}

/**
 * Whether a standard descriptor may have been closed when this program was
 * started. In that case the runtime opens `/dev/null` for reading and writing
 * in its place before anything here runs. But daemon(3), Python and Node give
 * their children the same on purpose, and nothing tells the two cases apart:
 * flags, offset, inode and close-on-exec are equal. So callers take such a
 * standard input for what it is, an empty file, and refuse only such an output,
 * since what is written to it would be lost.
 */
export function mayHaveBeenClosed(fd: number): boolean {
  if (!isOpen(fd)) return true;
  if (!isReadWrite(fd)) return false;
  return stat("", fd)?.identity === stat("/dev/null")?.identity;
}

/**
 * An open log directory: all changes of the names in it are made here.
 *
 * @module
 */
import { fromLatin1 } from "../bytes.ts";
import { close, fsyncDirectory } from "../sys/descriptors.ts";
import { errorNumber, SysError } from "../sys/errors.ts";
import {
  chmod,
  type FileInfo,
  open,
  openDirectory,
  type OpenMode,
  rename,
  stat,
} from "../sys/files.ts";
import { fsyncAside } from "../sys/fsync_aside.ts";
import { unlinkAside } from "../sys/unlink_aside.ts";

/**
 * An open directory. It knows which of the changes that it has made to names are
 * on the disk, and whether another process has made any. A name is text with one
 * character for each byte.
 */
export class Directory {
  /** The directory's name, as it was given. */
  readonly path: string;
  /** The descriptor; -1 while the directory rests. */
  #fd: number;
  /** Device and inode of the directory, known once it has rested. */
  #identity: string | undefined;
  /** How many changes were made, and how many of them are on the disk. */
  #changes = 0;
  #synced = 0;
  /** The directory's mtime after our last change; only while it is watched. */
  #mtime: number | undefined;
  /** Whether another process may have changed names since it was watched. */
  #foreign = false;
  /** The sync that goes on in a thread. */
  #syncing: Promise<boolean> | undefined;

  constructor(path: string, fd: number) {
    this.path = path;
    this.#fd = fd;
  }

  /**
   * The directory's descriptor. A resting directory is opened again.
   *
   * @throws {SysError} `ENOENT` when its name doesn't lead to it any more
   */
  get fd(): number {
    if (this.#fd < 0) {
      const fd = openDirectory(this.path);
      if (stat("", fd)?.identity !== this.#identity) {
        close(fd);
        throw new SysError(errorNumber("ENOENT"));
      }
      this.#fd = fd;
    }
    return this.#fd;
  }

  /** Closes the descriptor until it is needed: the directory rests. */
  rest(): void {
    if (this.#fd < 0) return;
    this.#identity ??= stat("", this.#fd)?.identity;
    close(this.#fd);
    this.#fd = -1;
  }

  /**
   * Whether its name has come to lead to another directory, or to none, while it
   * rested.
   *
   * @throws {SysError} When that can't be found out
   */
  isElsewhere(): boolean {
    try {
      return this.fd < 0;
    } catch (error) {
      if (!(error instanceof SysError) || error.code !== "ENOENT") throw error;
      return true;
    }
  }

  /**
   * Takes all changes for synced: the directory was moved, and isn't this log's
   * to sync any more.
   */
  disown(): void {
    this.#synced = this.#changes;
  }

  /**
   * Goes on after its name was opened again.
   *
   * @param fd The descriptor of what the name leads to now
   * @returns Whether that is still the same directory
   */
  resume(fd: number): boolean {
    if (stat("", fd)?.identity !== this.#identity) {
      this.replace(fd);
      return false;
    }
    if (this.#fd >= 0) close(this.#fd);
    this.#fd = fd;
    return true;
  }

  /** The number of the last change; see {@linkcode Directory.isSynced}. */
  get changes(): number {
    return this.#changes;
  }

  /**
   * Goes on with another directory, which has taken the place of this one after
   * it was removed or moved.
   *
   * @param fd The other directory's descriptor
   */
  replace(fd: number): void {
    if (this.#fd >= 0) close(this.#fd);
    this.#fd = fd;
    this.#identity = undefined;
    this.#synced = this.#changes;
    this.#mtime = undefined;
    this.#foreign = true;
  }

  /** Whether it was removed: then no file can be made in it any more. */
  isGone(): boolean {
    try {
      close(open("lock", "append", 0o600, this.fd));
      return false;
    } catch (error) {
      if (error instanceof SysError) return error.code === "ENOENT";
      throw error;
    }
  }

  stat(name: string): FileInfo | undefined {
    return stat(fromLatin1(name), this.fd);
  }

  /** Opens a file, and makes it where the mode says so. */
  open(name: string, mode: OpenMode, permissions = 0o644): number {
    if (mode === "read") return open(fromLatin1(name), mode, 0, this.fd);
    return this.#change(() =>
      open(fromLatin1(name), mode, permissions, this.fd)
    );
  }

  /** Sets the mode of a file, unless somebody has removed it. */
  chmod(name: string, mode: number): void {
    try {
      chmod(fromLatin1(name), mode, this.fd);
    } catch (error) {
      if (!(error instanceof SysError) || error.code !== "ENOENT") throw error;
    }
  }

  /**
   * Makes a new file in place of one of the same name. A process that has the
   * former file open keeps that, and doesn't see the new one.
   */
  create(name: string): number {
    this.unlink(name);
    return this.open(name, "truncate");
  }

  /** Removes a file, unless somebody else already has. */
  unlink(name: string): void {
    this.#change(() => unlinkAside(fromLatin1(name), this.fd));
  }

  /**
   * Renames a file of this log. If somebody has removed it, its lines are gone,
   * and trying again would bring none back, so that is no error. If somebody has
   * put a directory in its place, that is an error, since renaming the directory
   * would only hide the trouble.
   *
   * @returns Whether the file was there
   * @throws {SysError} `EISDIR` for a directory
   */
  rename(from: string, to: string): boolean {
    const found = this.stat(from);
    if (found === undefined) return false;
    if (found.isDirectory) throw new SysError(errorNumber("EISDIR"));
    this.#change(() => rename(fromLatin1(from), fromLatin1(to), this.fd));
    return true;
  }

  #change<T>(step: () => T): T {
    if (this.#mtime === undefined) {
      this.#changes++;
      return step();
    }
    this.#noteForeignChange();
    this.#changes++;
    try {
      return step();
    } finally {
      this.#mtime = stat("", this.fd)?.mtime;
    }
  }

  #noteForeignChange(): void {
    if (stat("", this.fd)?.mtime !== this.#mtime) this.#foreign = true;
  }

  /** From now on, changes of names by other processes are noticed. */
  watch(): void {
    this.#mtime = stat("", this.fd)?.mtime;
    this.#foreign = false;
  }

  /** Whether others may have changed names since {@linkcode Directory.watch}. */
  changedByOthers(): boolean {
    if (this.#mtime === undefined) return true;
    this.#noteForeignChange();
    return this.#foreign;
  }

  /** Whether the change with this number, and each before it, is on the disk. */
  isSynced(change: number = this.#changes): boolean {
    return change <= this.#synced;
  }

  /**
   * Waits until all changes of names so far are on the disk.
   *
   * @returns Whether the file system can sync directories at all
   */
  sync(): boolean {
    const { changes } = this;
    const asked = fsyncDirectory(this.fd);
    this.#synced = changes;
    return asked;
  }

  /**
   * Syncs the names in a thread, while everything else goes on. Callers that ask
   * while such a sync goes on share it, so names that were changed after it began
   * may not be on the disk when it ends; {@linkcode Directory.isSynced} knows. The
   * directory mustn't rest until then.
   *
   * @returns Whether the sync succeeded
   */
  syncAside(): Promise<boolean> {
    return this.#syncing ??= this.#syncInThread();
  }

  async #syncInThread(): Promise<boolean> {
    const { changes } = this;
    try {
      const done = await fsyncAside(this.fd);
      if (done && this.#synced < changes) this.#synced = changes;
      return done;
    } finally {
      this.#syncing = undefined;
    }
  }

  close(): void {
    if (this.#fd >= 0) close(this.#fd);
    this.#fd = -1;
  }
}

/**
 * An open log directory, in which names are changed.
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
 * A directory's names. It knows which of its own changes are on the disk, and
 * whether somebody else has made any. Names have a character for each byte.
 */
export class Directory {
  /** The directory's name, as it was given. */
  readonly path: string;
  /** The descriptor; -1 while it rests. */
  #fd: number;
  /** Which directory it is, once it has rested. */
  #identity: string | undefined;
  /** How many changes were made, and how many of them are on the disk. */
  #changes = 0;
  #synced = 0;
  /** The time of the last change, where that is looked at. */
  #changed: number | undefined;
  #foreign = false;
  /** A sync that goes on in a thread. */
  #syncing: Promise<boolean> | undefined;

  constructor(path: string, fd: number) {
    this.path = path;
    this.#fd = fd;
  }

  /**
   * The open directory, opened again where it rests.
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

  /** Gives the descriptor back until it is needed. */
  rest(): void {
    if (this.#fd < 0) return;
    this.#identity ??= stat("", this.#fd)?.identity;
    close(this.#fd);
    this.#fd = -1;
  }

  /**
   * Whether its name leads to another directory, or to none, since it rested.
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

  /** What its names are isn't waited for any more: others have it now. */
  disown(): void {
    this.#synced = this.#changes;
  }

  /**
   * Goes on with a directory that was opened again under its name.
   *
   * @returns Whether it is the same one
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

  /** The number of the last change; it is on the disk after a sync. */
  get changes(): number {
    return this.#changes;
  }

  /** Another directory has taken the place of this one, which was removed. */
  replace(fd: number): void {
    if (this.#fd >= 0) close(this.#fd);
    this.#fd = fd;
    this.#identity = undefined;
    this.#synced = this.#changes;
    this.#changed = undefined;
    this.#foreign = true;
  }

  /** Whether it was removed: then nothing can be made in it any more. */
  isGone(): boolean {
    try {
      close(open("lock", "append", 0o600, this.fd));
      return false;
    } catch (error) {
      if (error instanceof SysError) return error.code === "ENOENT";
      throw error;
    }
  }

  /** Looks at a file. */
  stat(name: string): FileInfo | undefined {
    return stat(fromLatin1(name), this.fd);
  }

  /** Opens a file, or makes it. */
  open(name: string, mode: OpenMode, permissions = 0o644): number {
    if (mode === "read") return open(fromLatin1(name), mode, 0, this.fd);
    return this.#change(() =>
      open(fromLatin1(name), mode, permissions, this.fd)
    );
  }

  /** Sets the mode of a file; somebody may have removed it. */
  chmod(name: string, mode: number): void {
    try {
      chmod(fromLatin1(name), mode, this.fd);
    } catch (error) {
      if (!(error instanceof SysError) || error.code !== "ENOENT") throw error;
    }
  }

  /** Makes a file anew: whoever has the former one open has another one. */
  create(name: string): number {
    this.unlink(name);
    return this.open(name, "truncate");
  }

  /** Removes a file; somebody else may have done it. */
  unlink(name: string): void {
    this.#change(() => unlinkAside(fromLatin1(name), this.fd));
  }

  /**
   * Renames a file of ours. Where somebody has removed it, its lines went with
   * it and waiting brings none back; where a directory stands in its place,
   * renaming that would only hide the trouble.
   *
   * @returns Whether it was there
   */
  rename(from: string, to: string): boolean {
    const found = this.stat(from);
    if (found === undefined) return false;
    if (found.isDirectory) throw new SysError(errorNumber("EISDIR"));
    this.#change(() => rename(fromLatin1(from), fromLatin1(to), this.fd));
    return true;
  }

  #change<T>(step: () => T): T {
    if (this.#changed === undefined) {
      this.#changes++;
      return step();
    }
    this.#look();
    this.#changes++;
    try {
      return step();
    } finally {
      this.#changed = stat("", this.fd)?.mtime;
    }
  }

  #look(): void {
    if (stat("", this.fd)?.mtime !== this.#changed) this.#foreign = true;
  }

  /** From now on changes that others make are noticed. */
  watch(): void {
    this.#changed = stat("", this.fd)?.mtime;
    this.#foreign = false;
  }

  /** Whether others may have changed names since it was watched. */
  changedByOthers(): boolean {
    if (this.#changed === undefined) return true;
    this.#look();
    return this.#foreign;
  }

  /** Whether a change, and so each before it, is on the disk. */
  isSynced(change: number = this.#changes): boolean {
    return change <= this.#synced;
  }

  /**
   * Waits until the names, as they are, are on the disk.
   *
   * @returns Whether the file system can be asked for that
   */
  sync(): boolean {
    const { changes } = this;
    const asked = fsyncDirectory(this.fd);
    this.#synced = changes;
    return asked;
  }

  /**
   * Does it while everything else goes on; once for all that ask meanwhile. The
   * directory mustn't rest until it is done.
   *
   * @returns Whether it could be done: names that were changed after it began
   * may not be on the disk
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

  /** Closes it. */
  close(): void {
    if (this.#fd >= 0) close(this.#fd);
    this.#fd = -1;
  }
}

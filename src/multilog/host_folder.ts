/**
 * The folder that hosts' logs are in: its lock, and the names of their
 * directories.
 *
 * @module
 */
import { openMade } from "../log/log_directory.ts";
import { StartError, startStep } from "../log/retrier.ts";
import { close, flock, roomOnDisk } from "../sys/descriptors.ts";
import { SysError } from "../sys/errors.ts";
import { eachName, mkdir } from "../sys/files.ts";
import { fsyncDirectoryAside } from "../sys/fsync_aside.ts";

/** A folder that no other program has logs of hosts in. */
export class HostFolder {
  /** Its name, as it was given. */
  readonly path: string;
  readonly #warn: (message: string) => void;
  /** The open folder, which is locked. */
  #fd: number;
  /**
   * How many directories' names were noted, and how many are on the disk. What
   * a run that was killed has made may not be.
   */
  #made = 1;
  #synced = 0;
  #syncing: Promise<void> | undefined;

  /**
   * Opens it, making it where there is none, and takes its lock.
   *
   * @param path Its name
   * @param warn Told when somebody has removed it
   * @throws {StartError} When another process has it, or it can't be used
   */
  constructor(path: string, warn: (message: string) => void) {
    this.path = path;
    this.#warn = warn;
    this.#fd = openFolder(path);
  }

  /**
   * Calls back with each name in it, a character for each byte.
   *
   * @throws {SysError} When it can't be read
   */
  eachName(see: (name: string) => void): void {
    eachName(this.#fd, see);
  }

  /**
   * Makes a log's directory in it.
   *
   * @throws {SysError} When it can't be made
   */
  mkdir(path: string): void {
    try {
      mkdir(path, 0o700);
    } catch (error) {
      if (!(error instanceof SysError) || error.code !== "ENOENT") throw error;
      this.#remake();
      mkdir(path, 0o700);
    }
  }

  /** Notes that a directory's name may not be on the disk. */
  noteName(): void {
    this.#made++;
  }

  /** Somebody has removed the folder. */
  #remake(): void {
    let fd: number;
    try {
      fd = openFolder(this.path);
    } catch (error) {
      if (error instanceof StartError && error.cause instanceof SysError) {
        throw error.cause;
      }
      throw error;
    }
    this.#warn(`${this.path} was removed, made again`);
    // Who syncs the former one has it open still.
    const former = this.#fd;
    const release = () => close(former);
    if (this.#syncing) this.#syncing.then(release, release);
    else release();
    this.#fd = fd;
  }

  /**
   * Waits until the names that were noted are on the disk.
   *
   * @throws {SysError} When the disk fails
   */
  async syncNames(): Promise<void> {
    const wanted = this.#made;
    while (this.#synced < wanted) {
      await (this.#syncing ??= this.#sync().finally(() => {
        this.#syncing = undefined;
      }));
    }
  }

  async #sync(): Promise<void> {
    const made = this.#made;
    await fsyncDirectoryAside(this.#fd);
    this.#synced = made;
  }

  /** How much room there is on its disk, as `roomOnDisk` tells it. */
  roomOnDisk(): number {
    return roomOnDisk(this.#fd);
  }

  /** Closes it. */
  close(): void {
    close(this.#fd);
  }
}

function openFolder(path: string): number {
  const folder = openMade(path);
  try {
    startStep(
      () => flock(folder),
      `unable to lock directory ${path}`,
      path,
    );
    return folder;
  } catch (error) {
    close(folder);
    throw error;
  }
}

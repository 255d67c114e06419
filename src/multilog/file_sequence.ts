/**
 * The files of a log that somebody else writes, one behind the other, as they
 * were `current`.
 *
 * @module
 */
import { type Bytes, fromLatin1, NEWLINE } from "../bytes.ts";
import { close, read, seek } from "../sys/descriptors.ts";
import { open, readdir, stat } from "../sys/files.ts";
import { SysError } from "../sys/errors.ts";
import type { Change } from "../sys/changes.ts";
import { isOld } from "../log/names.ts";

/** How far back the first lines are looked for, in bytes. */
const TAIL_SIGHT = 64 * 1024;
/**
 * Names that only a directory with a processor has. The original's files all
 * are `previous` for a moment.
 */
const PROCESSORS = ["processed", "newstate"];

/** How many files wait to be read at the most, held open. */
const MOST_FILES = 400;
/** How many bytes of removed files they may keep on the disk. */
const MOST_REMOVED = 64 * 1024 * 1024;

interface OpenFile {
  readonly fd: number;
  readonly identity: string;
}

/**
 * The files that are still to be read, all of them open, so that none of them
 * goes before it was read: a finished file gets another name, or is removed as
 * soon as its processor has succeeded, and stays readable for who has it open.
 * But no more than a bound: a reader that stands still must not fill the disk.
 */
export class FileSequence {
  readonly #directory: number;
  /** From the one that is read to the newest `current`. */
  readonly #files: OpenFile[] = [];
  /** The newest old file when the last `current` was opened. */
  #newestOld = "";
  /** Whether old files may be what a processor wrote, not what it read. */
  #processed = false;
  /** How many files were finished, less those that were opened. */
  #behind = 0;
  /** Whether the last look found a `current`. */
  attached = false;

  /**
   * Starts with `current`, if there is one.
   *
   * @param directory The open directory
   * @param lines How many of its last lines are to be read; all that there is,
   * the old files included, unless given
   */
  constructor(directory: number, lines?: number) {
    this.#directory = directory;
    if (lines === undefined) return;
    this.#newestOld = this.#old().at(-1) ?? "";
    const current = this.#open("current");
    if (current === undefined) return;
    this.#files.push(current);
    toLastLines(current.fd, lines);
  }

  /**
   * Opens the files that have become `current` since the last look.
   *
   * @param changes What has happened in the directory, as far as is known
   * @returns How many files were finished, and removed before they could be
   * opened, or can't be waited for any longer
   */
  look(changes?: readonly Change[]): number {
    if (changes?.every(({ what }) => what === "written")) return 0;
    for (const { name, what } of changes ?? []) {
      if (PROCESSORS.includes(name)) this.#processed = true;
      if (name === "current" && what === "gone") this.#behind++;
      // Whatever it was that nobody knows, it isn't worth a wrong warning.
      if (what === "unknown") this.#behind = -Infinity;
    }
    const last = this.#files.at(-1);
    const newest = this.#newest();
    // It is being renamed just now; its successor will be a change.
    this.attached = newest !== undefined;
    if (newest === undefined) return 0;
    const { previous, current } = newest;
    if (last?.identity === current.identity) {
      close(current.fd);
      if (previous !== undefined) close(previous.fd);
    } else {
      const between = this.#between(last, previous, current, !changes);
      this.#files.push(...between, current);
      // As many were finished as have a successor.
      this.#behind -= between.length + (last === undefined ? 0 : 1);
    }
    const missed = Math.max(this.#behind, 0);
    // More than were finished, so far as is known, will be known soon.
    if (missed > 0 || this.#behind === -Infinity) this.#behind = 0;
    return missed + this.#letGo();
  }

  /** Lets the oldest that nobody has begun to read go where there are too many. */
  #letGo(): number {
    let removed = 0;
    let files = 0;
    const kept = this.#files.slice(0, 1);
    for (const file of this.#files.slice(1).reverse()) {
      const { size, nlink } = stat("", file.fd)!;
      if (nlink === 0) removed += size;
      if (++files > MOST_FILES || removed > MOST_REMOVED) close(file.fd);
      else kept.splice(1, 0, file);
    }
    const gone = this.#files.length - kept.length;
    this.#files.splice(0, Infinity, ...kept);
    return gone;
  }

  /** Opens `current` and the file that was it before, if that is there. */
  #newest(): { previous: OpenFile | undefined; current: OpenFile } | undefined {
    while (true) {
      const current = this.#open("current");
      if (current === undefined) return undefined;
      const previous = this.#open("previous");
      // Renamed meanwhile, it may be older than `previous`, or be it.
      if (this.#identity("current") === current.identity) {
        return { previous, current };
      }
      close(current.fd);
      if (previous !== undefined) close(previous.fd);
    }
  }

  /** Opens those that came and went between two files. */
  #between(
    last: OpenFile | undefined,
    previous: OpenFile | undefined,
    current: OpenFile,
    blind: boolean,
  ): OpenFile[] {
    if (previous !== undefined && previous.identity === last?.identity) {
      close(previous.fd);
      return [];
    }
    // What is `previous` may have got its last name by now.
    const old = this.#old();
    this.#processed ||= PROCESSORS.some((name) =>
      stat(name, this.#directory) !== undefined
    );
    const files: OpenFile[] = [];
    if (!this.#processed) {
      const found = old.findIndex((name) =>
        last !== undefined && this.#identity(name) === last.identity
      );
      // Else it was removed as the oldest one, so all that is newer than the
      // newest of that time came later; or by its processor, of which nothing
      // is left where no change was told, and what it wrote is no log's line.
      const next = found >= 0
        ? found + 1
        : blind && last !== undefined
        ? -1
        : old.findIndex((name) => name > this.#newestOld);
      for (const name of next < 0 ? [] : old.slice(next)) {
        const file = this.#open(name);
        if (file === undefined) continue;
        if (
          file.identity === previous?.identity ||
          file.identity === current.identity
        ) {
          close(file.fd);
          break;
        }
        files.push(file);
      }
    }
    if (previous !== undefined) files.push(previous);
    this.#newestOld = old.at(-1) ?? "";
    return files;
  }

  #old(): string[] {
    return readdir(this.#directory).filter(isOld).sort();
  }

  #identity(name: string): string | undefined {
    return stat(fromLatin1(name), this.#directory)?.identity;
  }

  #open(name: string): OpenFile | undefined {
    try {
      const fd = open(fromLatin1(name), "read", 0, this.#directory);
      return { fd, identity: stat("", fd)!.identity };
    } catch (error) {
      if (error instanceof SysError && error.code === "ENOENT") {
        return undefined;
      }
      throw error;
    }
  }

  /**
   * Reads on.
   *
   * @param buffer Where the bytes go
   * @returns How many there are; 0 when there are no more for now
   * @throws {SysError} When the disk fails
   */
  read(buffer: Bytes): number {
    while (true) {
      const [file] = this.#files;
      if (file === undefined) return 0;
      const n = read(file.fd, buffer);
      if (n < 0) throw new SysError(-n);
      if (n > 0) return n;
      // Somebody emptied it: what it has now came behind that.
      if (stat("", file.fd)!.size < seek(file.fd, 0, "here")) {
        seek(file.fd, 0);
        continue;
      }
      // Before its successor was made, the last byte had been written to it.
      if (this.#files.length === 1) return 0;
      close(file.fd);
      this.#files.shift();
    }
  }

  /** Closes all files. */
  close(): void {
    for (const { fd } of this.#files) close(fd);
  }
}

/** Moves to the beginning of the last lines of a file. */
function toLastLines(fd: number, lines: number): void {
  const size = stat("", fd)!.size;
  const start = Math.max(size - TAIL_SIGHT, 0);
  const bytes = new Uint8Array(size - start);
  seek(fd, start);
  let end = Math.max(read(fd, bytes), 0);
  let from = end;
  // The newline that ends the last line doesn't begin another one.
  for (let count = 0; count < lines && from > 0; count++) {
    end = from;
    from = end < 2 ? 0 : bytes.lastIndexOf(NEWLINE, end - 2) + 1;
  }
  seek(fd, start + from);
}

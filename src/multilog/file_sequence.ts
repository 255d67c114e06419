/**
 * The files of a log that somebody else writes, one after the other, as they
 * were `current`.
 *
 * @module
 */
import { type Bytes, fromLatin1 } from "../bytes.ts";
import { seek } from "../sys/descriptors.ts";
import { SysError } from "../sys/errors.ts";
import { readdir, stat } from "../sys/files.ts";
import type { Change } from "../sys/changes.ts";
import { isOld, isUnprocessed, stem } from "../log/names.ts";
import { LogFile } from "./log_file.ts";
import { look, openOld } from "./past_files.ts";

/**
 * Names that only a directory with a processor has. The original's files all
 * are `previous` for a moment.
 */
const PROCESSORS = ["processed", "newstate"];

/** How many files wait to be read at the most, held open. */
const MOST_FILES = 400;
/** How many bytes of removed files they may keep on the disk. */
const MOST_REMOVED = 64 * 1024 * 1024;

/**
 * The files that are still to be read, all of them open, so that none of them
 * goes before it was read: a finished file gets another name, or is removed as
 * soon as its processor has succeeded, and stays readable for who has it open.
 * But no more than a bound: a reader that stands still must not fill the disk.
 */
export class FileSequence {
  readonly #directory: number;
  readonly #trouble: (name: string, what: string) => void;
  /** From the one that is read to the newest `current`. */
  readonly #files: LogFile[] = [];
  /** The names of older ones that are read before all these, in their order. */
  #past: string[] = [];
  /** The one of them that is read. */
  #reading: { name: string; file: LogFile } | undefined;
  /** The newest old file when the last `current` was opened. */
  #newestOld = "";
  /** Whether old files may be what a processor wrote, not what it read. */
  #processed = false;
  /** How many files were finished, less those that were opened. */
  #unopened = 0;
  /** Whether the last look found a `current`. */
  attached = false;

  /**
   * Starts with the last lines that there are.
   *
   * @param directory The open directory
   * @param lines How many; unless given, all that has come since the directory
   * was made
   * @param trouble Told of a file that can't be read, or not to its end
   */
  constructor(
    directory: number,
    lines?: number,
    trouble: (name: string, what: string) => void = () => {},
  ) {
    this.#directory = directory;
    this.#trouble = trouble;
    if (lines === undefined) return;
    const { names, last } = look(directory);
    this.#newestOld = names.at(-1) ?? "";
    for (const { file } of last.reverse()) {
      if (file.failure === undefined && (lines > 0 || file === last[0]!.file)) {
        lines = file.toLastLines(lines);
        this.#files.unshift(file);
      } else file.close();
    }
    if (lines > 0) this.#goBack(lines, names);
  }

  /** Finds as many lines before `current`, or all. */
  #goBack(lines: number, names: string[]): void {
    if (lines === Infinity) {
      this.#past = names;
      return;
    }
    for (let i = names.length - 1; i >= 0 && lines > 0; i--) {
      const name = names[i]!;
      const file = this.#openOld(name);
      if (file === undefined) continue;
      if (file.failure !== undefined) {
        this.#trouble(name, file.failure);
        file.close();
        continue;
      }
      lines = file.toLastLines(lines);
      this.#past = names.slice(i + 1);
      this.#reading?.file.close();
      this.#reading = { name, file };
    }
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
      if (name === "current" && what === "gone") this.#unopened++;
      // Whatever it was that nobody knows, it isn't worth a wrong warning.
      if (what === "unknown") this.#unopened = -Infinity;
    }
    const last = this.#files.at(-1);
    const newest = this.#newest();
    // It is being renamed just now; its successor will be a change.
    this.attached = newest !== undefined;
    if (newest === undefined) return 0;
    const { previous, current } = newest;
    if (last?.identity === current.identity) {
      current.close();
      previous?.close();
    } else {
      const between = this.#between(last, previous, current, !changes);
      this.#files.push(...between, current);
      // As many were finished as have a successor.
      this.#unopened -= between.length + (last === undefined ? 0 : 1);
    }
    const missed = Math.max(this.#unopened, 0);
    // More than were finished, so far as is known, will be known soon.
    if (missed > 0 || this.#unopened === -Infinity) this.#unopened = 0;
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
      if (++files > MOST_FILES || removed > MOST_REMOVED) file.close();
      else kept.splice(1, 0, file);
    }
    const gone = this.#files.length - kept.length;
    this.#files.splice(0, Infinity, ...kept);
    return gone;
  }

  /** Opens `current` and the file that was it before, if that is there. */
  #newest(): { previous: LogFile | undefined; current: LogFile } | undefined {
    while (true) {
      const current = this.#open("current");
      if (current === undefined) return undefined;
      const previous = this.#open("previous");
      // Renamed meanwhile, it may be older than `previous`, or be it.
      if (this.#identity("current") === current.identity) {
        return { previous, current };
      }
      current.close();
      previous?.close();
    }
  }

  /** Opens those that came and went between two files. */
  #between(
    last: LogFile | undefined,
    previous: LogFile | undefined,
    current: LogFile,
    blind: boolean,
  ): LogFile[] {
    if (previous !== undefined && previous.identity === last?.identity) {
      previous.close();
      return [];
    }
    // What is `previous` may have got its last name by now.
    const old = this.#old();
    this.#processed ||= PROCESSORS.some((name) =>
      stat(name, this.#directory) !== undefined
    );
    const files: LogFile[] = [];
    // What a processor wrote is no log's line. Listed as it was renamed, a file
    // may have both names.
    const unread = old.filter((name, i) =>
      this.#processed
        ? isUnprocessed(name)
        : i === 0 || stem(name) !== stem(old[i - 1]!)
    );
    const found = last === undefined
      ? -1
      : unread.findIndex((name) => this.#identity(name) === last.identity);
    // Else it was removed as the oldest one, or by its processor, or is being
    // renamed, so all that is newer than the newest of that time came later;
    // where no change was told, it may be from before.
    const next = found >= 0
      ? found + 1
      : blind && last !== undefined
      ? -1
      : unread.findIndex((name) => stem(name) > stem(this.#newestOld));
    let newest = old.at(-1) ?? "";
    let before = found >= 0 ? unread[found]! : this.#newestOld;
    for (const name of next < 0 ? [] : unread.slice(next)) {
      // It may have been synced, and renamed, since it was listed.
      const file = this.#processed ? this.#open(name) : this.#openOld(name);
      if (file === undefined) continue;
      if (file.identity === last?.identity) {
        file.close();
        before = name;
        continue;
      }
      if (
        file.identity === previous?.identity ||
        file.identity === current.identity
      ) {
        file.close();
        newest = before;
        break;
      }
      before = name;
      files.push(file);
    }
    if (previous !== undefined) files.push(previous);
    this.#newestOld = newest;
    return files;
  }

  #old(): string[] {
    return readdir(this.#directory).filter(isOld).sort();
  }

  #identity(name: string): string | undefined {
    return stat(fromLatin1(name), this.#directory)?.identity;
  }

  #open(name: string): LogFile | undefined {
    return LogFile.open(name, this.#directory);
  }

  /** Opens an old file; one that can't be opened keeps nobody from the others. */
  #openOld(name: string, gone?: string): LogFile | undefined {
    let trouble = gone;
    try {
      const file = openOld(name, this.#directory);
      if (file !== undefined) return file;
    } catch (error) {
      if (!(error instanceof SysError)) throw error;
      trouble = error.message;
    }
    if (trouble !== undefined) this.#trouble(name, trouble);
    return undefined;
  }

  /** Reads what there was before the files that are followed. */
  #readPast(buffer: Bytes): number {
    while (true) {
      if (this.#reading === undefined) {
        const name = this.#past.shift();
        if (name === undefined) return 0;
        const file = this.#openOld(name, "removed before it was read");
        if (file === undefined) continue;
        this.#reading = { name, file };
      }
      const { name, file } = this.#reading;
      const n = file.read(buffer);
      if (n > 0) return n;
      if (file.failure !== undefined) this.#trouble(name, file.failure);
      file.close();
      this.#reading = undefined;
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
    const n = this.#readPast(buffer);
    if (n > 0) return n;
    while (true) {
      const [file] = this.#files;
      if (file === undefined) return 0;
      const n = file.read(buffer);
      if (n > 0) return n;
      // Somebody emptied it: what it has now came after that.
      if (
        file.packing === undefined && file.failure === undefined &&
        stat("", file.fd)!.size < seek(file.fd, 0, "here")
      ) {
        seek(file.fd, 0);
        continue;
      }
      // Before its successor was made, the last byte had been written to it.
      if (this.#files.length === 1) return 0;
      if (file.failure !== undefined) {
        this.#trouble("an old file", file.failure);
      }
      file.close();
      this.#files.shift();
    }
  }

  /** Closes all files. */
  close(): void {
    for (const file of this.#files) file.close();
    this.#reading?.file.close();
  }
}

/**
 * What a start does with the files that an earlier run left. The list at the top
 * of `log_directory.ts` says what may be found.
 *
 * @module
 */
import { close, fchmod, read, seek } from "../sys/descriptors.ts";
import { eachName, type FileInfo } from "../sys/files.ts";
import { NEWLINE } from "../bytes.ts";
import { readStamp, STAMP_SIGHT } from "../stamps.ts";
import type { Directory } from "./directory.ts";
import { isComplete, MODE_RUNNING, UNPROCESSED } from "./names.ts";
import type { OldFiles } from "./old_files.ts";
import { startStep } from "./retrier.ts";

/** A `current` that was opened for writing. */
export interface Current {
  /** The file, open for appending. */
  readonly fd: number;
  /** How many bytes it has. */
  readonly length: number;
  /** Whether it ends inside a line. */
  readonly partial: boolean;
  /** How many milliseconds ago its oldest line was read. */
  readonly age: number;
}

/**
 * Deals with the files of an earlier run, and opens `current`.
 *
 * @param directory The log's directory, which is locked
 * @param old Its old files
 * @param later Whether the name of a new `current` is synced only with its first
 * lines, which is less work where many logs are opened
 * @returns The open `current`
 * @throws {StartError} When something can't be done
 */
export function recover(
  directory: Directory,
  old: OldFiles,
  later = false,
): Current {
  const { path } = directory;
  const look = (name: string) =>
    startStep(() => directory.stat(name), `unable to stat ${path}/${name}`);
  const before = directory.changes;
  const discard = (name: string) => {
    if (look(name) === undefined) return;
    startStep(
      () => directory.unlink(name),
      `unable to remove ${path}/${name}`,
    );
  };
  const current = look("current");
  const processed = look("processed");
  const newstate = look("newstate");
  if (newstate && !processed && isComplete(newstate.mode)) {
    startStep(
      () => directory.rename("newstate", "state"),
      `unable to rename newstate to state in directory ${path}`,
    );
  } else if (newstate) {
    discard("newstate");
    // Synced now, so that not even a power cut can bring back a `newstate`
    // without `processed`: that would become `state`.
    startStep(() => directory.sync(), `unable to write ${path} to disk`);
  }
  discard("keptstate");
  // By this mode the original says that `previous` has been processed.
  if (processed && isComplete(processed.mode)) {
    discard("previous");
    keepCutOff(directory, old, "processed", old.code);
  } else if (processed) discard("processed");
  keepCutOff(directory, old, "previous", UNPROCESSED);
  if (current && isComplete(current.mode)) {
    return continueCurrent(directory, current, old);
  }
  keepCutOff(directory, old, "current", UNPROCESSED);
  const sync = () =>
    startStep(() => directory.sync(), `unable to write ${path} to disk`);
  // The name `current` was another file's until now.
  if (later && directory.changes > before) sync();
  // `state` stays: it is complete, since it gets its name only then, and the
  // next run of the processor is to read it.
  close(startStep(
    () => directory.open("state", "append"),
    `unable to write to ${path}/state`,
  ));
  const fd = startStep(
    () => directory.open("current", "append", 0o600),
    `unable to write to ${path}/current`,
  );
  try {
    setRunning(fd, path);
    if (!later) sync();
  } catch (error) {
    close(fd);
    throw error;
  }
  return { fd, length: 0, partial: false, age: 0 };
}

function setRunning(fd: number, path: string): void {
  startStep(
    () => fchmod(fd, MODE_RUNNING),
    `unable to set mode of ${path}/current`,
  );
}

/** Opens a `current` that the last run left complete, to continue it. */
function continueCurrent(
  directory: Directory,
  found: FileInfo,
  old: OldFiles,
): Current {
  const { path } = directory;
  const fd = startStep(
    () => directory.open("current", "append", 0o600),
    `unable to append to ${path}/current`,
  );
  try {
    return { fd, length: found.size, ...lookInto(directory, fd, found, old) };
  } catch (error) {
    close(fd);
    throw error;
  }
}

/** What has to be known of a `current` that is continued. */
function lookInto(
  directory: Directory,
  fd: number,
  found: FileInfo,
  old: OldFiles,
): Pick<Current, "partial" | "age"> {
  const { path } = directory;
  setRunning(fd, path);
  const reader = startStep(
    () => directory.open("current", "read"),
    `unable to read ${path}/current`,
  );
  const bytes = new Uint8Array(STAMP_SIGHT);
  const last = new Uint8Array(1);
  const n = Math.max(read(reader, bytes), 0);
  if (found.size > 0) seek(reader, found.size - 1);
  const partial = read(reader, last) === 1 && last[0] !== NEWLINE;
  close(reader);
  // The first line's timestamp says when that line came. Without one, the time
  // at which the file was made is taken: the line came later, so the file is
  // finished too early rather than too late. On file systems that don't know
  // that time, the time at which the previous file was finished is taken.
  const seconds = readStamp(bytes.subarray(0, n))?.moment.seconds ??
    found.birthtime ??
    (startStep(() => old.newest(), `unable to read ${path}`).seconds ||
      found.mtime);
  const age = Math.max(Date.now() - 1000 * seconds, 0);
  return { partial, age };
}

/**
 * Gives a file that the last run left, if there is one of that name, the name of
 * an old file, and removes the oldest files that are too many.
 */
function keepCutOff(
  directory: Directory,
  old: OldFiles,
  name: string,
  code: string,
): void {
  const { path } = directory;
  const found = startStep(
    () => directory.stat(name),
    `unable to stat ${path}/${name}`,
  );
  if (!found) return;
  // The original renames by link(2) and unlink(2). When it was killed between
  // them, the file has its new name already.
  const linked = found.nlink > 1 && startStep(
    () => hasOldName(directory, found.identity),
    `unable to read ${path}`,
  );
  startStep(() => {
    if (linked) directory.unlink(name);
    else {
      const next = old.nextName(code);
      if (directory.rename(name, next)) old.add(next);
    }
  }, `unable to rename ${path}/${name}`);
  startStep(
    () => old.trim(old.waiting.count > 0),
    `unable to remove from ${path}`,
  );
}

function hasOldName(directory: Directory, identity: string): boolean {
  let found = false;
  eachName(directory.fd, (name) => {
    if (name[0] !== "@") return;
    found ||= directory.stat(name)?.identity === identity;
  });
  return found;
}

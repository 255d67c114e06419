/**
 * What a start makes of what an earlier run left; see the table in
 * `log_directory.ts`.
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

/** A `current` that is written to. */
export interface Current {
  /** The file, open for appending. */
  readonly fd: number;
  /** How many bytes it has. */
  readonly length: number;
  /** Whether it ends inside a line. */
  readonly partial: boolean;
  /** How many milliseconds ago its oldest line came. */
  readonly age: number;
}

/**
 * Deals with the files of an earlier run, and opens `current`.
 *
 * @param directory The directory, which is locked
 * @param old Its old files
 * @param later Whether the name of a new `current` is synced with its lines:
 * where many logs are opened that takes less
 * @returns `current`
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
    // Not without `processed`, not even after an outage.
    startStep(() => directory.sync(), `unable to write ${path} to disk`);
  }
  discard("keptstate");
  // The original says by this mode that `previous` has been processed.
  if (processed && isComplete(processed.mode)) {
    discard("previous");
    keepCutOff(directory, old, "processed", old.code);
  } else if (processed) discard("processed");
  keepCutOff(directory, old, "previous", UNPROCESSED);
  if (current && isComplete(current.mode)) {
    return goOn(directory, current, old);
  }
  keepCutOff(directory, old, "current", UNPROCESSED);
  const sync = () =>
    startStep(() => directory.sync(), `unable to write ${path} to disk`);
  // The name `current` has been another file's.
  if (later && directory.changes > before) sync();
  // A `state` is always a complete one; what it says, others wait to hear.
  close(startStep(
    () => directory.open("state", "append"),
    `unable to write to ${path}/state`,
  ));
  const fd = startStep(
    () => directory.open("current", "append", 0o600),
    `unable to write to ${path}/current`,
  );
  setRunning(fd, path);
  if (!later) sync();
  return { fd, length: 0, partial: false, age: 0 };
}

function setRunning(fd: number, path: string): void {
  startStep(
    () => fchmod(fd, MODE_RUNNING),
    `unable to set mode of ${path}/current`,
  );
}

/** Opens a `current` that the last run left complete. */
function goOn(directory: Directory, found: FileInfo, old: OldFiles): Current {
  const { path } = directory;
  const fd = startStep(
    () => directory.open("current", "append", 0o600),
    `unable to append to ${path}/current`,
  );
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
  // The first line's timestamp says when it came. Without one it was not
  // before the file was made, so the file is finished too early rather than
  // too late. Where no file system says that, it was when the file before was
  // finished.
  const seconds = readStamp(bytes.subarray(0, n))?.moment.seconds ??
    found.birthtime ??
    (startStep(() => old.newest(), `unable to read ${path}`).seconds ||
      found.mtime);
  const age = Math.max(Date.now() - 1000 * seconds, 0);
  return { fd, length: found.size, partial, age };
}

/**
 * Gives a file of the last run its old file's name, if it is there, and lets
 * the oldest ones go.
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
  // The original links and then unlinks. Cut off in between, the file has its
  // new name already.
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
  startStep(() => old.trim(), `unable to remove from ${path}`);
}

function hasOldName(directory: Directory, identity: string): boolean {
  let found = false;
  eachName(directory.fd, (name) => {
    if (name[0] !== "@") return;
    found ||= directory.stat(name)?.identity === identity;
  });
  return found;
}

/**
 * A log's old files, for those who read it while others write.
 *
 * @module
 */
import { readdir } from "../sys/files.ts";
import { isOld, isUnprocessed, stem } from "../log/names.ts";
import { LogFile } from "./log_file.ts";

/**
 * Lists a log's old files.
 *
 * @param directory The open directory
 * @returns Their names, in the order in which the lines came; of a file that
 * has been processed, but is still there itself, the other one alone
 * @throws {SysError} When it can't be read
 */
export function oldNames(directory: number): string[] {
  const names = readdir(directory).filter(isOld).sort();
  const done = new Set(
    names.filter((name) => !isUnprocessed(name)).map(stem),
  );
  return names.filter((name) => !isUnprocessed(name) || !done.has(stem(name)));
}

/**
 * Opens one of them; where it has been processed meanwhile, what it has become.
 *
 * @param name Its name
 * @param directory The open directory
 * @returns The file; `undefined` where it has gone
 * @throws {SysError} When it can't be opened
 */
export function openOld(name: string, directory: number): LogFile | undefined {
  const file = LogFile.open(name, directory);
  if (file !== undefined || !isUnprocessed(name)) return file;
  const next = readdir(directory).find((other) =>
    isOld(other) && stem(other) === stem(name)
  );
  return next === undefined ? undefined : LogFile.open(next, directory);
}

/** How often a log that is finishing files is looked at anew. */
const TRIES = 20;

/** A log as it was in one moment. */
export interface Snapshot {
  /** The names of the old files, in the order in which the lines came. */
  readonly names: string[];
  /** `previous`, of the original's, and `current`, where they are. */
  readonly last: { readonly name: string; readonly file: LogFile }[];
}

/**
 * Looks at a log. What is finished while one looks could be `current`, an old
 * file, and what a processor has made of it, all with the same lines; so it is
 * looked again until nothing was.
 *
 * @param directory The open directory
 * @returns What was there
 * @throws {SysError} When it can't be read
 */
export function look(directory: number): Snapshot {
  for (let tries = 1;; tries++) {
    const newest = oldNames(directory).at(-1) ?? "";
    const last: { name: string; file: LogFile }[] = [];
    for (const name of ["current", "previous"]) {
      const file = LogFile.open(name, directory);
      if (file !== undefined) last.unshift({ name, file });
    }
    const names = oldNames(directory);
    const [one, other] = last;
    const still = stem(names.at(-1) ?? "") === stem(newest) &&
      (other === undefined || one!.file.identity !== other.file.identity);
    if (still || tries === TRIES) return { names, last };
    for (const { file } of last) file.close();
  }
}

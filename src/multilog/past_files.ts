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

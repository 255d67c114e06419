/**
 * What an earlier run, or others, have left in the folder of hosts' logs.
 *
 * @module
 */
import { isComplete, isOld, isUnprocessed } from "../log/names.ts";
import type { LogSettings } from "../log/settings.ts";
import { close } from "../sys/descriptors.ts";
import { SysError } from "../sys/errors.ts";
import { eachName, openDirectory, stat } from "../sys/files.ts";

/**
 * Whether there is something to do in a host's log before a line comes.
 *
 * @param path The log
 * @param settings Its settings
 */
export function isUnfinished(
  path: string,
  settings: Readonly<LogSettings>,
): boolean {
  try {
    const current = stat(`${path}/current`);
    if (current === undefined) return false;
    if (!isComplete(current.mode)) return true;
    if (settings.age > 0 && current.size > 0) return true;
    const { processor, keepSeconds } = settings;
    if (processor === "" && keepSeconds === undefined) return false;
    const directory = openDirectory(path);
    let found = false;
    try {
      eachName(directory, (name) => {
        found ||= keepSeconds !== undefined && isOld(name) ||
          processor !== "" && (isUnprocessed(name) ||
              ["previous", "processed", "newstate"].includes(name));
      });
    } finally {
      close(directory);
    }
    return found;
  } catch (error) {
    // Whatever is wrong is told when it is opened.
    if (error instanceof SysError) return error.code !== "ENOTDIR";
    throw error;
  }
}

/** Whether a name is a directory's, as far as can be seen. */
export function isDirectory(path: string): boolean {
  try {
    return stat(path)?.isDirectory === true;
  } catch (error) {
    if (error instanceof SysError) return false;
    throw error;
  }
}

/** Whether a log's `current` has lines, as far as can be seen. */
export function hasLines(path: string): boolean {
  try {
    return (stat(`${path}/current`)?.size ?? 0) > 0;
  } catch (error) {
    if (error instanceof SysError) return false;
    throw error;
  }
}

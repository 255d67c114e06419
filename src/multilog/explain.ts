/**
 * Why a log can't be opened, in words that say what to do about it.
 *
 * @module
 */
import { lockOwner, readAll, unlessRefused } from "../log/lock_owner.ts";
import { close } from "../sys/descriptors.ts";
import { SysError } from "../sys/errors.ts";
import { access, openDirectory, stat } from "../sys/files.ts";
import { getuid } from "../sys/users.ts";

/**
 * Explains it.
 *
 * @param path The log's directory
 * @param cause What the system said
 * @returns The reason; `undefined` where there is nothing to add
 */
export function explain(path: string, cause: unknown): string | undefined {
  if (!(cause instanceof SysError)) return undefined;
  if (cause.code === "EAGAIN") return writerOf(path);
  if (cause.code !== "EACCES" && cause.code !== "ENOENT") return undefined;
  return unlessRefused(() => denial(path));
}

/** Which process has the lock. */
function writerOf(path: string): string | undefined {
  return unlessRefused(() => {
    const directory = openDirectory(path);
    try {
      // A folder of logs is locked itself.
      const pid = lockOwner(directory) ?? lockOwner(directory, ".");
      if (pid === Deno.pid) return "the script names it twice";
      // 0 is one of another machine, or container.
      if (!pid) return "a process that can't be seen here writes to it";
      const name = readAll(`/proc/${pid}/comm`)?.trimEnd();
      return `process ${pid}${name ? ` (${name})` : ""} writes to it`;
    } finally {
      close(directory);
    }
  });
}

/** What this user may not do. */
function denial(path: string): string | undefined {
  const user = `user ${getuid()} may not`;
  let parent = path.startsWith("/") ? "/" : ".";
  const parts = path.split("/").filter((part) => part !== "");
  for (const [i, part] of parts.entries()) {
    if (!access(parent, "enter")) return `${user} enter ${parent}`;
    const next = parent === "."
      ? part === "." ? "." : `./${part}`
      : `${parent === "/" ? "" : parent}/${part}`;
    if (next !== parent && stat(next) === undefined) {
      // Only the last one would have been made.
      return i < parts.length - 1 || access(parent, "write")
        ? undefined
        : `${user} make a directory in ${parent}`;
    }
    parent = next;
  }
  if (!access(parent, "enter")) return `${user} enter ${parent}`;
  if (!access(parent, "read")) return `${user} read ${parent}`;
  if (!access(parent, "write")) return `${user} write to ${parent}`;
  const lock = `${parent}/lock`;
  return stat(lock) !== undefined && !access(lock, "write")
    ? `${user} write to ${lock}`
    : undefined;
}

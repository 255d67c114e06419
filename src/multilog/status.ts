/**
 * `multilog --status`: what a person wants to know of log directories. It opens
 * them for reading and takes no lock, so no writer notices.
 *
 * @module
 */
import { fromLatin1 } from "../bytes.ts";
import type { Diagnostics } from "../diagnostics.ts";
import { readClock } from "../sys/clock.ts";
import { close, isTerminal } from "../sys/descriptors.ts";
import { type FileInfo, openDirectory, readdir, stat } from "../sys/files.ts";
import { parseLabel } from "../tai64n.ts";
import { isOld, isUnprocessed } from "../log/names.ts";
import { StartError, startStep } from "../log/retrier.ts";
import { findWriter, readAll } from "./find_writer.ts";

const COMPLETE_BIT = 0o100;
/** A terminal's width. */
const COLUMNS = 80;
/** Characters of a notice that are worth showing. */
const NOTICE_SIGHT = 200;
/**
 * A processor whose files are emptied so many seconds after `previous` came
 * has been started again: multilog pauses 5 seconds when one fails.
 */
const RESTARTED = 4;

/** What is known of a log directory; ages are in seconds. */
export interface LogStatus {
  /** The directory's name, as it was given. */
  directory: string;
  /** The size of `current`, in bytes. */
  current: number;
  /** The size at which it is finished; `null` where nobody can be asked. */
  limit: number | null;
  /** How many old files there are. */
  oldFiles: number;
  /** Their bytes. */
  oldBytes: number;
  /** The age of the newest line; `null` where there has been none. */
  newest: number | null;
  /** Whether somebody writes to it; `null` where that can't be found out. */
  running: boolean | null;
  /** The writer's process id. */
  writer: number | null;
  /** Whether the last writer was cut off. */
  cutOff: boolean;
  /** For how long a finished file has been with, or waits for, a processor. */
  processing: number | null;
  /** For how long the processor has failed, as far back as can be seen. */
  failing: number | null;
  /** The last line that the processor has left in its state. */
  notice: string | null;
}

/**
 * Looks at a log directory.
 *
 * @param path Its name
 * @param now Seconds since 1970
 * @returns What is known of it
 * @throws {StartError} When it can't be read
 */
export function lookAt(path: string, now: number): LogStatus {
  const directory = startStep(
    () => openDirectory(path),
    `unable to open directory ${path}`,
  );
  try {
    return startStep(
      () => lookInto(directory, path, now),
      `unable to read directory ${path}`,
    );
  } finally {
    close(directory);
  }
}

function lookInto(fd: number, path: string, now: number): LogStatus {
  const current = stat("current", fd);
  const old = oldFiles(fd);
  const previous = stat("previous", fd) ?? processed(fd, old);
  const writer = findWriter(fd);
  const age = (seconds: number) => Math.max(now - seconds, 0);
  const newest = newestLine(current, previous, old);
  const trouble = processorTrouble(fd, previous, old);
  return {
    directory: path,
    current: current?.size ?? 0,
    limit: writer?.settings?.size ?? null,
    oldFiles: old.length,
    oldBytes: old.reduce((sum, { size }) => sum + size, 0),
    newest: newest === undefined ? null : age(newest),
    running: writer === null ? null : writer !== undefined,
    writer: writer?.pid ?? null,
    cutOff: writer === undefined && current !== undefined &&
      (current.mode & COMPLETE_BIT) === 0,
    processing: previous === undefined ? null : age(previous.ctime),
    failing: trouble.since === undefined ? null : age(trouble.since),
    notice: trouble.notice ?? null,
  };
}

interface OldFile {
  readonly name: string;
  readonly size: number;
  readonly modified: number;
}

/** The file that a processor is at, if it is at any: the oldest that waits. */
function processed(
  directory: number,
  old: readonly OldFile[],
): FileInfo | undefined {
  const name = old.find(({ name }) => isUnprocessed(name))?.name;
  if (name === undefined || !stat("newstate", directory)) return undefined;
  return stat(fromLatin1(name), directory);
}

/** The old files, the oldest first. */
function oldFiles(directory: number): OldFile[] {
  const files: OldFile[] = [];
  for (const name of readdir(directory).filter(isOld).sort()) {
    const found = stat(fromLatin1(name), directory);
    if (found === undefined) continue; // it went meanwhile
    files.push({ name, size: found.size, modified: found.mtime });
  }
  return files;
}

/** When the newest line came, as well as files tell. */
function newestLine(
  current: FileInfo | undefined,
  previous: FileInfo | undefined,
  old: readonly OldFile[],
): number | undefined {
  if (current && current.size > 0) return current.mtime;
  if (previous) return previous.mtime;
  const last = old.at(-1);
  if (last === undefined) return undefined;
  // A processor wrote it later than the lines came, but the name was given
  // later still.
  return Math.min(parseLabel(last.name)?.seconds ?? Infinity, last.modified);
}

/**
 * What the files say of a processor that fails.
 *
 * One that multilog has to run again finds `previous` as old as the first run.
 * Under `tryto -p` each run ends well: what failed is told in the last line of
 * `state`, and its old file isn't empty, because the log was kept.
 */
function processorTrouble(
  directory: number,
  previous: FileInfo | undefined,
  old: readonly OldFile[],
): { since: number | undefined; notice: string | undefined } {
  const newstate = previous && stat("newstate", directory);
  const now = newstate ? linesOf("newstate", directory) : [];
  const before = linesOf("state", directory);
  let since: number | undefined;
  if (before.at(-1)?.startsWith("tryto: fatal: ")) {
    const sent = old.findLastIndex(({ name, size }) =>
      name.endsWith(".s") && size === 0
    );
    const kept = old.slice(sent + 1).find(({ name }) => name.endsWith(".s"));
    since = kept && parseLabel(kept.name)?.seconds;
  }
  if (previous && newstate) {
    // Each run empties both; what it writes makes one of them newer.
    const processed = stat("processed", directory);
    const started = Math.min(
      newstate.mtime,
      processed?.mtime ?? Infinity,
    );
    const again = started - previous.ctime > RESTARTED;
    const failed = now.some((line) => /^tryto: (warning|fatal): /.test(line));
    if (failed || again) since ??= previous.ctime;
  }
  // Nothing that a terminal could take for a command.
  const notice = [...before, ...now].at(-1)?.slice(0, NOTICE_SIGHT)
    .replace(/[^ -~]/g, "?");
  return { since, notice };
}

function linesOf(name: string, directory: number): string[] {
  const lines = (readAll(name, directory) ?? "").split("\n");
  return lines.filter((line) => line !== "");
}

/**
 * Runs `multilog --status`.
 *
 * @param args What stands behind `--status`
 * @param diagnostics Where trouble is told
 * @returns The exit code
 */
export function showStatus(
  args: readonly string[],
  diagnostics: Diagnostics,
): number {
  const paths = args.filter((arg) => arg !== "--json");
  const wrong = paths.find((arg) => arg.startsWith("-"));
  if (wrong !== undefined || paths.length === 0) {
    diagnostics.say("usage: multilog --status dir ... [--json]");
    return 100;
  }
  const { seconds, nanoseconds } = readClock();
  const now = seconds + nanoseconds / 1e9;
  const found: LogStatus[] = [];
  for (const path of paths) {
    try {
      found.push(lookAt(path, now));
    } catch (error) {
      if (!(error instanceof StartError)) throw error;
      diagnostics.warn(error);
    }
  }
  const text = paths.length < args.length
    ? found.map((log) => `${JSON.stringify(log)}\n`).join("")
    : table(found, isTerminal(1) ? COLUMNS : Infinity);
  const code = diagnostics.answer(text);
  return found.length === paths.length ? code : 111;
}

/**
 * Shows directories as a table. The numbers are as wide as they must be; what
 * is too long for the lines, a directory's name or a notice, is cut.
 *
 * @param logs The directories
 * @param columns How long a line may be
 * @returns The table; empty for no directories
 */
export function table(logs: readonly LogStatus[], columns: number): string {
  if (logs.length === 0) return "";
  const rows = [
    ["CURRENT", "OF", "OLD", "BYTES", "NEWEST", "WRITER", "PROCESSOR"],
    ...logs.map((log) => [
      `${log.current}`,
      log.limit === null ? "?" : `${log.limit}`,
      `${log.oldFiles}`,
      `${log.oldBytes}`,
      log.newest === null ? "-" : duration(log.newest),
      writerWord(log),
      processorWord(log),
    ]),
  ];
  const widths = rows[0]!.map((_, column) =>
    Math.max(...rows.map((row) => row[column]!.length))
  );
  const names = ["DIRECTORY", ...logs.map((log) => log.directory)];
  let text = "";
  rows.forEach((row, index) => {
    const cells = row.map((cell, column) => cell.padStart(widths[column]!));
    const line = `${cells.join("  ")}  `;
    text += `${line}${cutFront(names[index]!, columns - line.length)}\n`;
    const notice = logs[index - 1]?.notice;
    if (notice) text += `${`    ${notice}`.slice(0, columns)}\n`;
  });
  return text;
}

function writerWord({ running, writer, cutOff }: LogStatus): string {
  if (running === null) return "?";
  return running ? `${writer}` : cutOff ? "cut off" : "-";
}

function processorWord({ running, processing, failing }: LogStatus): string {
  if (failing !== null) return `failing ${duration(failing)}`;
  if (processing === null) return "-";
  return `${running === false ? "due" : "running"} ${duration(processing)}`;
}

function cutFront(text: string, room: number): string {
  return text.length <= room ? text : `...${text.slice(3 - Math.max(room, 4))}`;
}

/**
 * A length of time in one number.
 *
 * @param seconds It
 * @returns Such as `12s`, `3m`, `20h`, `4d`
 */
export function duration(seconds: number): string {
  if (seconds < 120) return `${Math.floor(seconds)}s`;
  if (seconds < 2 * 3600) return `${Math.floor(seconds / 60)}m`;
  if (seconds < 2 * 86400) return `${Math.floor(seconds / 3600)}h`;
  return `${Math.floor(seconds / 86400)}d`;
}

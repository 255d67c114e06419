/**
 * `multilog --status`: what a person wants to know of log directories. It opens
 * them for reading and takes no lock, so no writer notices.
 *
 * @module
 */
import { encode, fromLatin1 } from "../bytes.ts";
import type { Diagnostics } from "../diagnostics.ts";
import { readClock } from "../sys/clock.ts";
import { close, isTerminal } from "../sys/descriptors.ts";
import { SysError } from "../sys/errors.ts";
import { eachName, type FileInfo, openDirectory, stat } from "../sys/files.ts";
import { parseLabel } from "../tai64n.ts";
import { FAILURE, parseFailure } from "../log/failure.ts";
import { isOld, isUnprocessed } from "../log/names.ts";
import { StartError, startStep } from "../log/retrier.ts";
import { TerminalText } from "../terminal.ts";
import { duration } from "./duration.ts";
import { findWriter, readEnd } from "./find_writer.ts";
import { metrics } from "./metrics.ts";
import { nextRemovals, type Removal, removalText } from "./removals.ts";

const COMPLETE_BIT = 0o100;
/** The exit code when `--older` has found a log. */
const SILENT = 1;
/** A terminal's width. */
const COLUMNS = 80;
/** Characters of a notice that are worth showing. */
const NOTICE_SIGHT = 200;
/** How many bytes of a processor's state are looked at. */
const NOTICES_END = 64 * 1024;
/**
 * A processor that begins so many seconds after its file's turn came has been
 * started again: multilog pauses 5 seconds when one fails.
 */
const RESTARTED = 4;
/** The last line of `state` after a file was kept, tried or untried. */
const KEPT =
  /^tryto: (?:fatal: (.*)|warning: kept \d+ bytes of .*, not sent since \S+: (.*))$/;

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
  /** How many finished files are with a processor, or wait for it. */
  waitingFiles: number;
  /** Their bytes. */
  waitingBytes: number;
  /** For how long the first of them has waited; `null` where there is none. */
  processing: number | null;
  /** For how long the processor has failed, as far back as can be seen. */
  failing: number | null;
  /** Why it failed last, in words; `null` where that isn't known. */
  cause: string | null;
  /** How many files `tryto -p` has kept since it has sent one. */
  keptFiles: number;
  /** Their bytes. */
  keptBytes: number;
  /** The last line that the processor has left in its state. */
  notice: string | null;
  /**
   * What is removed next, by each of the writer's limits; none where they
   * can't be seen.
   */
  next: Removal[];
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
  // Every multilog makes both.
  if (current === undefined && stat("lock", fd) === undefined) {
    throw new StartError(`${path} is no log directory`);
  }
  const previous = stat("previous", fd);
  const files = sum(fd);
  const writer = findWriter(fd);
  const age = (seconds: number) => Math.max(now - seconds, 0);
  const newest = newestLine(current, previous, files.newest);
  const trouble = processorTrouble(fd, previous, files);
  const waits = waitingSince(previous, files);
  return {
    directory: path,
    current: current?.size ?? 0,
    limit: writer?.settings?.size ?? null,
    oldFiles: files.count,
    oldBytes: files.bytes,
    newest: newest === undefined ? null : age(newest),
    running: writer === null ? null : writer !== undefined,
    writer: writer?.pid ?? null,
    cutOff: writer === undefined && current !== undefined &&
      (current.mode & COMPLETE_BIT) === 0,
    waitingFiles: files.waiting + (previous ? 1 : 0),
    waitingBytes: files.waitingBytes + (previous?.size ?? 0),
    processing: waits === undefined ? null : age(waits),
    failing: trouble.since === undefined ? null : age(trouble.since),
    cause: trouble.cause === undefined ? null : printable(trouble.cause),
    keptFiles: trouble.kept,
    keptBytes: trouble.keptBytes,
    notice: trouble.notice === undefined ? null : printable(trouble.notice),
    next: nextRemovals(writer?.settings, {
      ...files,
      empty: files.oldestEmpty?.name,
      oldest: files.oldest?.name,
    }, now),
  };
}

interface OldFile {
  readonly name: string;
  readonly info: FileInfo;
}

/** What there is to know of all old files; there may be very many. */
interface Sum {
  /** Those that have been processed, or need not be. */
  count: number;
  bytes: number;
  /** The one with the largest name, and the largest that is empty. */
  newest: OldFile | undefined;
  newestEmpty: OldFile | undefined;
  /** Those with the smallest names. */
  oldest: OldFile | undefined;
  oldestEmpty: OldFile | undefined;
  /** Those that wait for a processor. */
  waiting: number;
  waitingBytes: number;
  /** The one with the smallest name. */
  firstWaiting: OldFile | undefined;
}

function sum(directory: number): Sum {
  const sum: Sum = {
    count: 0,
    bytes: 0,
    newest: undefined,
    newestEmpty: undefined,
    oldest: undefined,
    oldestEmpty: undefined,
    waiting: 0,
    waitingBytes: 0,
    firstWaiting: undefined,
  };
  eachOld(directory, (file) => {
    const { name, info } = file;
    const { newest, newestEmpty, oldest, oldestEmpty, firstWaiting } = sum;
    if (isUnprocessed(name)) {
      sum.waiting++;
      sum.waitingBytes += info.size;
      if (!firstWaiting || name < firstWaiting.name) sum.firstWaiting = file;
      return;
    }
    sum.count++;
    sum.bytes += info.size;
    if (!newest || name > newest.name) sum.newest = file;
    if (!oldest || name < oldest.name) sum.oldest = file;
    if (info.size > 0) return;
    if (!oldestEmpty || name < oldestEmpty.name) sum.oldestEmpty = file;
    if (!newestEmpty || name > newestEmpty.name) sum.newestEmpty = file;
  });
  return sum;
}

function eachOld(directory: number, see: (file: OldFile) => void): void {
  eachName(directory, (name) => {
    if (!isOld(name)) return;
    let info: FileInfo | undefined;
    try {
      info = stat(fromLatin1(name), directory);
    } catch (error) {
      // A link that leads nowhere, put there by somebody, hides no other file.
      if (!(error instanceof SysError)) throw error;
    }
    // It may have gone in the meantime.
    if (info !== undefined) see({ name, info });
  });
}

/** When the newest line came, as well as files tell. */
function newestLine(
  current: FileInfo | undefined,
  previous: FileInfo | undefined,
  newest: OldFile | undefined,
): number | undefined {
  if (current && current.size > 0) return current.mtime;
  if (previous) return previous.mtime;
  if (newest === undefined) return undefined;
  // A processor wrote it later than the lines came, but the name was given
  // later still.
  const named = parseLabel(newest.name)?.seconds ?? Infinity;
  return Math.min(named, newest.info.mtime);
}

/** Since when the file waits whose turn it is. */
function waitingSince(
  previous: FileInfo | undefined,
  { firstWaiting }: Sum,
): number | undefined {
  return previous?.ctime ?? firstWaiting?.info.ctime;
}

interface Trouble {
  since: number | undefined;
  cause: string | undefined;
  notice: string | undefined;
  kept: number;
  keptBytes: number;
}

/** What a terminal could take for no command, and not too much of it. */
function printable(text: string): string {
  return text.slice(0, NOTICE_SIGHT).replace(/[^ -~]/g, "?");
}

/**
 * What the files say of a processor that fails.
 *
 * Ours says so itself, in the file `failure`. Of the original only this is
 * known: each run begins with new `processed` and `newstate`, and one that
 * multilog has to start again begins long after the file's turn came: when it
 * got its name, or when the file before it was done. Under `tryto -p` each run
 * ends well: what failed is told in the last lines of `state`, and its old file
 * isn't empty, because the log was kept.
 */
function processorTrouble(
  directory: number,
  previous: FileInfo | undefined,
  files: Sum,
): Trouble {
  const trouble: Trouble = {
    since: undefined,
    cause: undefined,
    notice: undefined,
    kept: 0,
    keptBytes: 0,
  };
  const waits = waitingSince(previous, files);
  const newstate = waits === undefined
    ? undefined
    : stat("newstate", directory);
  const now = newstate ? lastLines("newstate", directory) : [];
  const before = lastLines("state", directory);
  if (KEPT.test(before.at(-1) ?? "")) {
    let first: string | undefined;
    eachOld(directory, ({ name, info }) => {
      if (isUnprocessed(name) || info.size === 0) return;
      if (files.newestEmpty && name < files.newestEmpty.name) return;
      trouble.kept++;
      trouble.keptBytes += info.size;
      if (first === undefined || name < first) first = name;
    });
    trouble.since = first === undefined
      ? undefined
      : parseLabel(first)?.seconds;
    if (trouble.kept > 0) trouble.cause = causeIn(before);
  }
  const failure = waits === undefined || previous !== undefined
    ? undefined
    : parseFailure(readEnd(FAILURE, directory, NOTICES_END) ?? "");
  if (failure !== undefined) {
    const { seconds, nanoseconds } = failure.since;
    const since = seconds + nanoseconds / 1e9;
    trouble.since = Math.min(trouble.since ?? Infinity, since);
    trouble.cause = failure.cause;
  }
  if (waits !== undefined && newstate) {
    const processed = stat("processed", directory);
    const started = Math.min(newstate.mtime, processed?.mtime ?? Infinity);
    const turn = Math.max(waits, files.newest?.info.ctime ?? 0);
    const failed = now.some((line) => /^tryto: (warning|fatal): /.test(line));
    if (failed || started - turn > RESTARTED) trouble.since ??= waits;
  }
  trouble.notice = [...before, ...now].at(-1);
  return trouble;
}

/** Why `tryto -p` kept a log last: prog's own words, where there are any. */
function causeIn(notices: readonly string[]): string | undefined {
  const last = notices.at(-1) ?? "";
  // What stands before that was told of an earlier file.
  const before = notices.slice(0, -1).findLastIndex((line) =>
    line.startsWith("tryto: fatal: ")
  );
  const words = notices.findLastIndex((line) => !line.startsWith("tryto: "));
  if (words > before && last.startsWith("tryto: fatal: ")) {
    return notices[words]!.replace(/^[\w-]+: (fatal: )?/, "");
  }
  const [, fatal, reason] = KEPT.exec(last) ?? [];
  return reason ?? fatal;
}

/** The last lines of a file, which may be as large as a program likes. */
function lastLines(name: string, directory: number): string[] {
  const text = readEnd(name, directory, NOTICES_END) ?? "";
  return text.split("\n").filter((line) => line !== "");
}

/** What is asked of `--status`. */
interface Wish {
  readonly paths: readonly string[];
  readonly format: "table" | "--json" | "--metrics";
  /** Logs with a newer line, in seconds, are left out. */
  readonly older: number | undefined;
}

/** @returns What is asked, or what is wrong with that */
function parseWish(args: readonly string[]): Wish | string {
  const paths: string[] = [];
  let format: Wish["format"] = "table";
  let older: number | undefined;
  for (let i = 0; i < args.length; i++) {
    const arg = args[i]!;
    if (arg === "--json" || arg === "--metrics") {
      if (format !== "table" && format !== arg) {
        return "fatal: --json and --metrics exclude each other";
      }
      format = arg;
    } else if (arg === "--older") {
      const seconds = args[++i] ?? "";
      if (!/^\d+$/.test(seconds)) {
        return `fatal: --older needs a number of seconds: ${seconds}`;
      }
      older = Number(seconds);
    } else if (arg.startsWith("-")) {
      return `fatal: unknown option ${arg}, see --help`;
    } else paths.push(arg);
  }
  if (paths.length > 0) return { paths, format, older };
  return "usage: multilog --status dir ... [--older sec] [--json | --metrics]";
}

/**
 * Whether a log's newest line is older than some seconds, or there is none.
 */
function isSilent({ newest }: LogStatus, seconds: number): boolean {
  return newest === null || newest > seconds;
}

/**
 * Runs `multilog --status`.
 *
 * @param args What comes after `--status`
 * @param diagnostics Where trouble is told
 * @returns The exit code
 */
export function showStatus(
  args: readonly string[],
  diagnostics: Diagnostics,
): number {
  const wish = parseWish(args);
  if (typeof wish === "string") {
    diagnostics.say(wish);
    return 100;
  }
  const { paths, format, older } = wish;
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
  const shown = older === undefined
    ? found
    : found.filter((log) => isSilent(log, older));
  const terminal = isTerminal(1);
  let text = "";
  if (format === "table") text = table(shown, terminal ? COLUMNS : Infinity);
  else if (format === "--metrics") text = metrics(shown, now);
  else text = shown.map((log) => `${JSON.stringify(log)}\n`).join("");
  if (terminal) {
    text = new TextDecoder().decode(new TerminalText().turn(encode(text)));
  }
  const code = diagnostics.print(text);
  if (found.length < paths.length) return 111;
  return code === 0 && older !== undefined && shown.length > 0 ? SILENT : code;
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
    "CURRENT OF OLD BYTES NEWEST WRITER PROCESSOR".split(" "),
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
    const log = logs[index - 1];
    for (const detail of log === undefined ? [] : details(log)) {
      text += `${`    ${detail}`.slice(0, columns)}\n`;
    }
  });
  return text;
}

/** What isn't there most of the time, and has a line of its own. */
function details(log: LogStatus): string[] {
  const lines: string[] = [];
  if (log.waitingFiles > 0) {
    lines.push(
      `${log.waitingFiles} waiting for the processor, ${log.waitingBytes} bytes`,
    );
  }
  if (log.keptFiles > 0) {
    lines.push(`${log.keptFiles} kept unsent, ${log.keptBytes} bytes`);
  }
  if (log.cause !== null) lines.push(`last failure: ${log.cause}`);
  if (log.notice) lines.push(log.notice);
  for (const removal of log.next) lines.push(removalText(removal));
  return lines;
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

/**
 * `multilog --cat`: prints what is in logs, from the oldest file to `current`.
 *
 * @module
 */
import { type Bytes, NEWLINE } from "../bytes.ts";
import type { Diagnostics } from "../diagnostics.ts";
import { UsageError } from "../getopt.ts";
import { isLater, MODE_COMPLETE, timeOf } from "../log/names.ts";
import { close, isTerminal } from "../sys/descriptors.ts";
import { SysError } from "../sys/errors.ts";
import { openDirectory, stat } from "../sys/files.ts";
import { writeAll } from "../sys/write_all.ts";
import { TerminalText } from "../terminal.ts";
import type { Moment } from "../tai64n.ts";
import { LocalStamps } from "./local_stamps.ts";
import type { LogFile } from "./log_file.ts";
import { parseTime } from "./parse_time.ts";
import { look, openOld, type Snapshot } from "./past_files.ts";
import { isIn, type Span, SpanLines } from "./time_span.ts";
import { readWords } from "./words.ts";

const OUTPUT = 1;
const CHUNK = 64 * 1024;
const USAGE = "usage: multilog --cat dir ... [--since time] [--until time] " +
  "[--local]";

/** Nobody reads any more, or it can't be written. */
class OutputError extends Error {
  readonly code: string;

  constructor(error: SysError) {
    super(error.message);
    this.code = error.code;
  }
}

/** What turns bytes on their way out. */
interface Turner {
  turn(bytes: Bytes): Bytes;
  end?(): Bytes;
}

/**
 * Runs `multilog --cat`.
 *
 * @param args What comes after `--cat`
 * @param diagnostics Where trouble is told
 * @returns The exit code
 */
export function cat(
  args: readonly string[],
  diagnostics: Diagnostics,
): number {
  let paths: readonly string[];
  let span: Span;
  let local: boolean;
  try {
    const words = readWords(args, ["--local"], ["--since", "--until"]);
    paths = words.paths;
    local = words.flags.has("--local");
    const time = (name: string): Moment | undefined => {
      const text = words.values.get(name);
      if (text === undefined) return undefined;
      const moment = parseTime(text);
      if (moment !== undefined) return moment;
      throw new UsageError(
        `${name} ${text}: no time, such as "2026-11-27 02:36" or @4000...`,
      );
    };
    span = { since: time("--since"), until: time("--until") };
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    diagnostics.say(args.length === 0 ? USAGE : `fatal: ${error.message}`);
    return 100;
  }
  const turners: Turner[] = [];
  if (local) turners.push(new LocalStamps());
  if (isTerminal(OUTPUT)) turners.push(new TerminalText());
  let code = 0;
  try {
    for (const path of paths) {
      const reader = new LogReader(path, span, turners, (message) => {
        code = 111;
        diagnostics.warn(message);
      });
      reader.print();
    }
    turners.forEach((turner, i) => {
      if (turner.end) writeTurned(turner.end(), turners.slice(i + 1));
    });
  } catch (error) {
    if (!(error instanceof OutputError)) throw error;
    // Whoever has seen enough, head(1) say, closes the pipe.
    if (error.code === "EPIPE") return code;
    diagnostics.say("fatal: unable to write: ", error);
    return 111;
  }
  return code;
}

/** Prints one log. */
class LogReader {
  readonly #path: string;
  readonly #span: Span;
  readonly #turners: readonly Turner[];
  readonly #warn: (message: string) => void;
  readonly #buffer = new Uint8Array(CHUNK);
  /** What selects lines; `undefined` where all are asked for. */
  readonly #lines: SpanLines | undefined;

  constructor(
    path: string,
    span: Span,
    turners: readonly Turner[],
    warn: (message: string) => void,
  ) {
    this.#path = path;
    this.#span = span;
    this.#turners = turners;
    this.#warn = warn;
    const all = span.since === undefined && span.until === undefined;
    this.#lines = all ? undefined : new SpanLines(span);
  }

  /** Takes a step that the disk, or an owner, may refuse. */
  #attempt<T>(what: string, step: () => T): T | undefined {
    try {
      return step();
    } catch (error) {
      if (!(error instanceof SysError)) throw error;
      this.#warn(`unable to read ${what}: ${error.message}`);
      return undefined;
    }
  }

  print(): void {
    const directory = this.#attempt(
      this.#path,
      () => openDirectory(this.#path),
    );
    if (directory === undefined) return;
    try {
      this.#printAll(directory);
    } finally {
      close(directory);
    }
  }

  #printAll(directory: number): void {
    const found = this.#attempt(this.#path, () => look(directory));
    if (found === undefined) return;
    const { names, last } = found;
    if (
      last.length === 0 && names.length === 0 &&
      stat("lock", directory) === undefined
    ) {
      this.#warn(`${this.#path} is no log directory`);
    }
    let before: Moment | undefined;
    for (const name of names) {
      const time = timeOf(name);
      if (time === undefined || time.seconds < 0) {
        this.#warn(`${this.#path}/${name}: no log's file, not read`);
        continue;
      }
      const from = before;
      before = time;
      // Its lines came after the file before was finished.
      if (!this.#overlaps(from, time)) {
        this.#lines?.skip();
        continue;
      }
      const whole = from !== undefined && isIn(from, this.#span) &&
        isIn(time, this.#span);
      this.#printFile(name, whole, () => openOld(name, directory), last);
    }
    if (this.#overlaps(before, undefined)) {
      for (const { name, file } of last) {
        this.#printFile(name, false, () => file, []);
      }
    } else for (const { file } of last) file.close();
  }

  /** Whether lines may be asked for that came between two moments. */
  #overlaps(from: Moment | undefined, to: Moment | undefined): boolean {
    const { since, until } = this.#span;
    return !(since && to && isLater(since, to)) &&
      !(until && from && isLater(from, until));
  }

  #printFile(
    name: string,
    whole: boolean,
    open: () => LogFile | undefined,
    last: Snapshot["last"],
  ): void {
    const path = `${this.#path}/${name}`;
    let file: LogFile | undefined;
    const found = this.#attempt(path, () => {
      file = open();
      return true;
    });
    if (found === undefined) return;
    if (file === undefined) {
      this.#warn(`unable to read ${path}: removed before it was read`);
      return;
    }
    const opened = file;
    // Opened twice: it is `current`, which has been finished meanwhile.
    const at = last.findIndex(({ file }) => file.identity === opened.identity);
    for (const { file } of at < 0 ? [] : last.splice(at, 1)) file.close();
    if (whole) this.#lines?.skip();
    const lines = whole ? undefined : this.#lines;
    const { end, ok } = this.#copy(path, file, lines);
    // A line that is cut on purpose goes on in the next file.
    const cutOff = !ok || name.endsWith(".u") &&
        (stat("", file.fd)!.mode & 0o777) !== MODE_COMPLETE;
    if (cutOff && end !== undefined && end !== NEWLINE) {
      this.#put(Uint8Array.of(NEWLINE));
      this.#lines?.skip();
    }
    file.close();
  }

  /** Copies a file; its last byte that was printed, and whether it is whole. */
  #copy(
    path: string,
    file: LogFile,
    lines: SpanLines | undefined,
  ): { end: number | undefined; ok: boolean } {
    let end: number | undefined;
    const put = (bytes: Bytes) => {
      end = bytes.at(-1) ?? end;
      this.#put(bytes);
    };
    const n = this.#attempt(path, () => {
      let n: number;
      while ((n = file.read(this.#buffer)) > 0) {
        const bytes = this.#buffer.subarray(0, n);
        put(lines ? lines.turn(bytes) : bytes);
      }
      if (lines) put(lines.end());
      return n;
    });
    if (file.failure !== undefined) {
      this.#warn(`unable to read ${path}: ${file.failure}`);
    }
    return { end, ok: n !== undefined && file.failure === undefined };
  }

  #put(bytes: Bytes): void {
    writeTurned(bytes, this.#turners);
  }
}

/** Writes bytes as they are to be shown. */
function writeTurned(bytes: Bytes, turners: readonly Turner[]): void {
  let out = bytes;
  for (const turner of turners) out = turner.turn(out);
  if (out.length === 0) return;
  const error = writeAll(OUTPUT, out);
  if (error) throw new OutputError(error);
}

/**
 * `multilog --follow`: prints what comes to logs, across rotations.
 *
 * @module
 */
import { type Bytes, encode } from "../bytes.ts";
import type { Diagnostics } from "../diagnostics.ts";
import { UsageError } from "../getopt.ts";
import { Changes } from "../sys/changes.ts";
import {
  close,
  isSeekable,
  isTerminal,
  PIPE_BUF,
  write,
} from "../sys/descriptors.ts";
import { SysError } from "../sys/errors.ts";
import { openDirectory, stat } from "../sys/files.ts";
import { Poller, READABLE, WRITABLE } from "../sys/poll.ts";
import { onTermination } from "../sys/signals.ts";
import { FileSequence } from "./file_sequence.ts";
import { LocalStamps } from "./local_stamps.ts";
import { NamedLines } from "./named_lines.ts";
import { TerminalText } from "../terminal.ts";
import { readWords } from "./words.ts";

const OUTPUT = 1;
/** How many lines are printed that were there before, unless asked for. */
const LINES = 10;
/** How much is read at once. */
const CHUNK = 64 * 1024;
/** Milliseconds between two looks where the kernel doesn't tell of changes. */
const LOOK = 250;
const USAGE = "usage: multilog --follow dir ... [-n lines] [--local]";

/** A log directory, as it is found under its name. */
class Opened {
  readonly #path: string;
  readonly #directory: number;
  readonly changes: Changes | undefined;
  readonly sequence: FileSequence;
  /** Whether the directory has got another name. */
  #moved = false;

  /**
   * Opens it.
   *
   * @param path Its name
   * @param diagnostics Where trouble is told
   * @param lines How many lines that are there are printed; all by itself
   * @throws {SysError} When it can't be read
   */
  constructor(path: string, diagnostics: Diagnostics, lines?: number) {
    this.#path = path;
    this.#directory = openDirectory(path);
    // Before the first look, so that nothing happens between the two.
    this.changes = watch(path, diagnostics);
    this.sequence = new FileSequence(
      this.#directory,
      lines,
      (name, what) =>
        diagnostics.warn(`unable to read ${path}/${name}: ${what}`),
    );
    // What happened until now is for nobody to count.
    this.changes?.take();
    this.sequence.look([{ name: "", what: "unknown" }]);
  }

  /** Whether to look at times: the kernel doesn't tell of all that matters. */
  get uncertain(): boolean {
    return this.changes === undefined || this.#moved || !this.sequence.attached;
  }

  /** Looks for new files, as {@linkcode FileSequence.look} does. */
  look(): number {
    const changes = this.changes?.take();
    this.#moved ||= changes?.some(({ what }) => what === "moved") ?? false;
    return this.sequence.look(changes);
  }

  /** Whether its name leads to another directory by now. */
  isReplaced(): boolean {
    if (!this.uncertain) return false;
    try {
      const there = stat(this.#path);
      return there !== undefined &&
        there.identity !== stat("", this.#directory)!.identity;
    } catch (error) {
      if (error instanceof SysError) return false;
      throw error;
    }
  }

  close(): void {
    this.sequence.close();
    this.changes?.[Symbol.dispose]();
    close(this.#directory);
  }
}

/** A log that is followed, and how its lines are shown. */
class Followed {
  readonly path: string;
  readonly #diagnostics: Diagnostics;
  readonly #turners: { turn(bytes: Bytes): Bytes }[] = [];
  #opened: Opened;

  /**
   * Opens it.
   *
   * @param path Its name
   * @param diagnostics Where trouble is told
   * @param lines How many lines that are there are printed
   * @param local Whether timestamps are shown as local time
   * @param named Whether each line is shown with the log's name
   * @throws {SysError} When it can't be read
   */
  constructor(
    path: string,
    diagnostics: Diagnostics,
    lines: number,
    local: boolean,
    named: boolean,
  ) {
    this.path = path;
    this.#diagnostics = diagnostics;
    this.#opened = new Opened(path, diagnostics, lines);
    if (local) this.#turners.push(new LocalStamps());
    if (named) this.#turners.push(new NamedLines(`${path}: `));
    if (isTerminal(OUTPUT)) this.#turners.push(new TerminalText());
  }

  /** What tells of changes; -1 where nothing does. */
  get fd(): number {
    return this.#opened.changes?.fd ?? -1;
  }

  /** Whether to look at times. */
  get uncertain(): boolean {
    return this.#opened.uncertain;
  }

  /**
   * Reads on.
   *
   * @param buffer Where what is read goes
   * @returns What is to be shown; `undefined` when there is nothing for now
   * @throws {SysError} When it can't be read
   */
  read(buffer: Bytes): Bytes | undefined {
    while (true) {
      const n = this.#opened.sequence.read(buffer);
      if (n > 0) {
        let bytes = buffer.subarray(0, n);
        for (const turner of this.#turners) bytes = turner.turn(bytes);
        return bytes;
      }
      // After the last line of the one comes the first of the other.
      if (!this.#opened.isReplaced()) return undefined;
      const next = new Opened(this.path, this.#diagnostics);
      this.#opened.close();
      this.#opened = next;
    }
  }

  /**
   * Looks for new files, and tells of those that went too fast.
   *
   * @throws {SysError} When it can't be read
   */
  look(): void {
    const missed = this.#opened.look();
    if (missed === 0) return;
    this.#diagnostics.warn(
      `${this.path}: ${missed} finished before they were read, and gone: ` +
        "lines are missing here",
    );
  }
}

/** Reads `-n`'s value. */
function linesOf(text: string | undefined): number {
  if (text === undefined) return LINES;
  if (text === "all") return Infinity;
  if (/^\d+$/.test(text)) return Number(text);
  throw new UsageError(`-n ${text}: neither a number of lines nor all`);
}

/**
 * Runs `multilog --follow` until a signal, or until nobody reads its output.
 *
 * @param args What comes after `--follow`
 * @param diagnostics Where trouble is told
 * @returns The exit code
 */
export async function follow(
  args: readonly string[],
  diagnostics: Diagnostics,
): Promise<number> {
  let paths: readonly string[];
  let lines: number;
  let local: boolean;
  try {
    const words = readWords(args, ["--local"], ["-n"]);
    paths = words.paths;
    local = words.flags.has("--local");
    lines = linesOf(words.values.get("-n"));
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    diagnostics.say(args.length === 0 ? USAGE : `fatal: ${error.message}`);
    return 100;
  }
  let ended = false;
  const poller = new Poller(paths.length + 1);
  onTermination(() => {
    ended = true;
    poller.wake();
  });
  const logs: Followed[] = [];
  let reading = "";
  try {
    for (const path of paths) {
      reading = path;
      const named = paths.length > 1;
      try {
        logs.push(new Followed(path, diagnostics, lines, local, named));
      } catch (error) {
        // One of many that can't be read keeps nobody from the others.
        if (!named || !(error instanceof SysError)) throw error;
        diagnostics.warn(`unable to read ${path}: `, error);
      }
    }
    if (logs.length === 0) return 111;
    const buffer = new Uint8Array(CHUNK);
    const most = isSeekable(OUTPUT) ? CHUNK : PIPE_BUF;
    let output = buffer.subarray(0, 0);
    /** The log that is read next: each in its turn. */
    let turn = 0;
    while (!ended) {
      for (let i = 0; i < logs.length && output.length === 0; i++) {
        const log = logs[turn]!;
        reading = log.path;
        const bytes = log.read(buffer);
        if (bytes !== undefined) output = bytes;
        // What has only begun a line isn't shown yet.
        if (bytes?.length === 0) i = -1;
        turn = (turn + 1) % logs.length;
      }
      logs.forEach((log, i) => poller.set(i + 1, log.fd, READABLE));
      // Without anything to write, what can still be found is its end.
      poller.set(0, OUTPUT, output.length > 0 ? WRITABLE : 0);
      const uncertain = logs.some((log) => log.uncertain);
      await poller.waitHere(uncertain ? LOOK : -1);
      if (poller.found(0) > 0) {
        if (output.length === 0) return 0;
        const n = write(OUTPUT, output.subarray(0, most));
        if (n < 0) return outputFailed(new SysError(-n), diagnostics);
        output = output.subarray(n);
      }
      logs.forEach((log, i) => {
        reading = log.path;
        if (log.uncertain || poller.found(i + 1) !== 0) log.look();
      });
    }
    return 0;
  } catch (error) {
    if (!(error instanceof SysError)) throw error;
    diagnostics.say(`fatal: unable to read ${reading}: `, error);
    return 111;
  }
}

function watch(path: string, diagnostics: Diagnostics): Changes | undefined {
  try {
    return new Changes(encode(path));
  } catch (error) {
    if (!(error instanceof SysError)) throw error;
    // A user may watch only so much; looking often is nearly as good.
    diagnostics.warn(`unable to watch ${path}: `, error);
    return undefined;
  }
}

/** Nobody reading any more is how most of them end. */
function outputFailed(error: SysError, diagnostics: Diagnostics): number {
  if (error.code === "EPIPE") return 0;
  diagnostics.say("fatal: unable to write: ", error);
  return 111;
}

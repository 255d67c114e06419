/**
 * `multilog --follow`: prints what comes to a log, across rotations.
 *
 * @module
 */
import { encode } from "../bytes.ts";
import type { Diagnostics } from "../diagnostics.ts";
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
import { TerminalText } from "../terminal.ts";

const OUTPUT = 1;
/** How many lines are printed that were there before. */
const LINES = 10;
/** How much is read at once. */
const CHUNK = 64 * 1024;
/** Milliseconds between two looks where the kernel doesn't tell of changes. */
const LOOK = 250;

/** A log directory, as it is found under its name. */
class Followed {
  readonly #path: string;
  readonly #directory: number;
  readonly changes: Changes | undefined;
  readonly chain: FileSequence;
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
    this.chain = new FileSequence(this.#directory, lines);
    // What happened until now is for nobody to count.
    this.changes?.take();
    this.chain.look([{ name: "", what: "unknown" }]);
  }

  /** Whether to look at times: the kernel doesn't tell of all that matters. */
  get uncertain(): boolean {
    return this.changes === undefined || this.#moved || !this.chain.attached;
  }

  /** Looks for new files, as {@linkcode FileSequence.look} does. */
  look(): number {
    const changes = this.changes?.take();
    this.#moved ||= changes?.some(({ what }) => what === "moved") ?? false;
    return this.chain.look(changes);
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
    this.chain.close();
    this.changes?.[Symbol.dispose]();
    close(this.#directory);
  }
}

/**
 * Runs `multilog --follow` until a signal, or until nobody reads its output.
 *
 * @param args What stands behind `--follow`
 * @param diagnostics Where trouble is told
 * @returns The exit code
 */
export async function follow(
  args: readonly string[],
  diagnostics: Diagnostics,
): Promise<number> {
  const paths = args.filter((arg) => arg !== "--local");
  const [path] = paths;
  if (path === undefined || paths.length > 1 || path.startsWith("-")) {
    diagnostics.say("usage: multilog --follow dir [--local]");
    return 100;
  }
  const poller = new Poller(2);
  let ended = false;
  onTermination(() => {
    ended = true;
    poller.wake();
  });
  try {
    let log = new Followed(path, diagnostics, LINES);
    const stamps = paths.length < args.length ? new LocalStamps() : undefined;
    const terminal = isTerminal(OUTPUT) ? new TerminalText() : undefined;
    const buffer = new Uint8Array(CHUNK);
    const most = isSeekable(OUTPUT) ? CHUNK : PIPE_BUF;
    let output = buffer.subarray(0, 0);
    while (!ended) {
      if (output.length === 0) {
        const bytes = buffer.subarray(0, log.chain.read(buffer));
        output = stamps ? stamps.turn(bytes) : bytes;
        if (terminal) output = terminal.turn(output);
        // Behind the last line of the one comes the first of the other.
        if (bytes.length === 0 && log.isReplaced()) {
          const next = new Followed(path, diagnostics);
          log.close();
          log = next;
          continue;
        }
      }
      poller.set(0, log.changes?.fd ?? -1, READABLE);
      // Without anything to write, what can still be found is its end.
      poller.set(1, OUTPUT, output.length > 0 ? WRITABLE : 0);
      await poller.waitHere(log.uncertain ? LOOK : -1);
      if (poller.found(1) > 0) {
        if (output.length === 0) return 0;
        const n = write(OUTPUT, output.subarray(0, most));
        if (n < 0) return outputFailed(new SysError(-n), diagnostics);
        output = output.subarray(n);
      }
      if (!log.uncertain && poller.found(0) === 0) continue;
      const missed = log.look();
      if (missed > 0) {
        diagnostics.warn(
          `${path}: ${missed} finished before they were read, and gone: ` +
            "lines are missing here",
        );
      }
    }
    return 0;
  } catch (error) {
    if (!(error instanceof SysError)) throw error;
    diagnostics.say(`fatal: unable to read ${path}: `, error);
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

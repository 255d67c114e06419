/**
 * What the tests of multilog share: one that is running, and looking at the
 * directories that it leaves.
 *
 * @module
 */
import { assert } from "@std/assert";
import {
  bytes,
  isBusy,
  latin1,
  ours,
  Running as Program,
  until,
  wakeUps,
} from "../tools.ts";

export { canMount, Disk } from "../disk.ts";
export { isBusy, wakeUps };

/** The program that ours is held to. */
export const ORIGINAL = "multilog";

/** How to start a multilog. */
export interface StartOptions {
  /** Its working directory. */
  cwd: string;
  /** The program; ours unless given. */
  program?: string;
  /** Words before the program, to start it through another one. */
  under?: readonly string[];
  /** A fifo for its standard input, relative to `cwd`; a pipe unless given. */
  fifo?: string;
}

/** A multilog that is running; it is killed when its scope ends. */
export class Running extends Program {
  constructor(script: readonly string[], options: StartOptions) {
    const { cwd, program = ours.multilog, under = [], fifo } = options;
    super([...under, program, ...script], {
      cwd,
      stdin: fifo === undefined ? "piped" : "null",
      stdout: "null",
      ...(fifo === undefined ? {} : { redirections: `<${fifo}` }),
    });
  }
}

/**
 * Starts a multilog, and waits until it is ready to read.
 *
 * @param script Its script; the last word is a directory
 * @param options How
 * @returns The running program
 */
export async function start(
  script: readonly string[],
  options: StartOptions,
): Promise<Running> {
  const running = new Running(script, options);
  const current = `${options.cwd}/${script.at(-1)!}/current`;
  try {
    await until(`${current} is open; it said ${running.said}`, () => {
      return mode(current) === "644";
    });
  } catch (error) {
    await running[Symbol.asyncDispose]();
    throw error;
  }
  return running;
}

/** One file of a log directory. */
export interface Entry {
  /** Its permission bits, in octal. */
  mode: string;
  /** Its bytes, a character for each. */
  text: string;
}

/**
 * Looks at all files of a directory.
 *
 * @param path The directory
 * @returns Its files, in the order of their names
 */
export function look(path: string): Record<string, Entry> {
  const list = () => [...Deno.readDirSync(path)].map(({ name }) => name).sort();
  while (true) {
    const names = list();
    const entries: Record<string, Entry> = {};
    for (const name of names) {
      entries[name] = {
        mode: mode(`${path}/${name}`),
        text: text(`${path}/${name}`),
      };
    }
    // A file that got another name meanwhile is missing, or there twice.
    if (list().join() === names.join()) return entries;
  }
}

/**
 * A file's permission bits.
 *
 * @param path The file
 * @returns They, in octal; empty where there is none
 */
export function mode(path: string): string {
  try {
    return (Deno.statSync(path).mode! & 0o7777).toString(8);
  } catch {
    return "";
  }
}

/**
 * The names of a log's old files, the oldest first.
 *
 * @param path The directory
 * @returns The names
 */
export function oldFiles(path: string): string[] {
  return [...Deno.readDirSync(path)].map(({ name }) => name)
    .filter((name) => name.startsWith("@")).sort();
}

/**
 * The names of the files that wait for a log's processor, the oldest first.
 *
 * @param path The directory
 * @returns The names
 */
export function waiting(path: string): string[] {
  return oldFiles(path).filter((name) => name.endsWith(".u"));
}

/**
 * The names of the files that a log's processor is done with, the oldest first.
 *
 * @param path The directory
 * @returns The names
 */
export function finished(path: string): string[] {
  return oldFiles(path).filter((name) => name.endsWith(".s"));
}

/**
 * Everything that a log holds, in order.
 *
 * @param path The directory
 * @returns The old files, `previous` and `current`, one after the other
 */
export function whole(path: string): string {
  const entries = look(path);
  return [...Object.keys(entries).filter((name) => name.startsWith("@"))]
    .concat("previous", "current")
    .map((name) => entries[name]?.text ?? "").join("");
}

/**
 * A file's contents.
 *
 * @param path The file
 * @returns Its bytes, a character for each; empty where there is none
 */
export function text(path: string): string {
  try {
    return latin1(Deno.readFileSync(path));
  } catch {
    return "";
  }
}

/**
 * Numbered lines.
 *
 * @param from The first number
 * @param to The number after the last
 * @returns The lines
 */
export function numbered(from: number, to: number): string {
  let text = "";
  for (let i = from; i < to; i++) text += `${i}\n`;
  return text;
}

/**
 * Checks that a text is numbered lines, none of them lost or doubled.
 *
 * @param text The text
 * @param from The first number
 * @returns The number after the last
 */
export function inOrder(text: string, from = 0): number {
  assert(text === "" || text.endsWith("\n"), "the last line is cut");
  let next = from;
  for (const line of text.split("\n").slice(0, -1)) {
    assert(line === `${next}`, `${line} where ${next} should be`);
    next++;
  }
  return next;
}

/**
 * Makes a fifo and holds it open, so that what nobody has read stays in it.
 *
 * @param path Where
 * @returns The open fifo
 */
export async function makeFifo(path: string): Promise<Deno.FsFile> {
  await new Deno.Command("mkfifo", { args: [path] }).output();
  return Deno.openSync(path, { read: true, write: true });
}

/**
 * Empties a fifo that nobody reads any more.
 *
 * @param fifo The fifo
 * @returns What was left in it
 */
export function drain(fifo: Deno.FsFile): string {
  const end = "\0end of what was left\0";
  fifo.writeSync(bytes(end));
  let left = "";
  const buffer = new Uint8Array(65536);
  while (!left.endsWith(end)) {
    left += latin1(buffer.subarray(0, fifo.readSync(buffer)!));
  }
  return left.slice(0, -end.length);
}

/**
 * A processor's words for waiting until the test makes a file. It ends with the
 * test's folder.
 *
 * @param name The file, relative to the folder that the log directory is in
 * @returns The words
 */
export function waitFor(name: string): string {
  return `until test -e ../${name}; do test -e lock || exit 1; ` +
    "sleep 0.01; done";
}

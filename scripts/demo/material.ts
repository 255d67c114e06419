/**
 * What the demonstration's service writes: real log lines.
 *
 * @module
 */
import { expandGlob } from "@std/fs";
import { TextLineStream } from "@std/streams/text-line-stream";
import { encode, latin1, NEWLINE } from "../../src/bytes.ts";

/** Logs to begin with; after them come all others that can be read. */
const LOGS = [
  "/var/log/syslog",
  "/var/log/messages",
  "/var/log/dpkg.log",
  "/var/log/*.log",
];
/** Only the end of a log is read. */
const TAIL = 64 * 1024;
/** Longer lines could be cut where a file of the client is full. */
const LONGEST = 1000;

/** Lines, and where they are from. */
export interface Material {
  /** The lines, a character for each byte, without their newlines. */
  lines: string[];
  /** Where they are from. */
  from: string;
}

/**
 * Collects lines: the newest ones of this machine's own logs; where there are
 * not enough, the history of this repository.
 *
 * @param bytes How many bytes they are to have together
 * @param file A file to take them from instead
 * @returns The lines
 * @throws {Error} When it has none
 */
export async function material(
  bytes: number,
  file?: string,
): Promise<Material> {
  const chosen: string[][] = [];
  const from: string[] = [];
  let size = 0;
  const add = (name: string, lines: string[]) => {
    const usable = lines.filter(isUsable);
    if (usable.length === 0) return;
    const newest = lastOf(usable, bytes - size);
    size += sizeOf(newest);
    chosen.push(newest);
    from.push(name);
  };
  if (file !== undefined) add(file, await tail(file));
  else {
    for await (const log of logs()) {
      if (size < bytes) add(log, await tail(log).catch(() => []));
    }
    if (size < bytes) add("this repository's history", await history());
    if (size === 0) add("this program", await tail(import.meta.filename!));
  }
  const lines = chosen.flat();
  if (lines.length === 0) throw new Error("none that can be sent");
  // A machine or a repository that is very young has to say it again.
  for (let i = 0; size < bytes; i++) {
    size += lines[i]!.length + 1;
    lines.push(lines[i]!);
  }
  return { lines, from: from.join(", ") };
}

/**
 * What the server would rightly not give back as it was: it leaves out empty
 * lines, ends lines at a NUL, and puts a name in place of `<13>`.
 */
function isUsable(line: string): boolean {
  return line !== "" && line.length <= LONGEST && line[0] !== "<" &&
    !line.includes("\0");
}

function sizeOf(lines: readonly string[]): number {
  return lines.reduce((sum, line) => sum + line.length + 1, 0);
}

function lastOf(lines: readonly string[], bytes: number): string[] {
  let first = lines.length;
  for (let size = 0; first > 0 && size < bytes; first--) {
    size += lines[first - 1]!.length + 1;
  }
  return lines.slice(first);
}

async function* logs(): AsyncGenerator<string> {
  const seen = new Set<string>();
  for (const glob of LOGS) {
    for await (const { path, isFile } of expandGlob(glob)) {
      if (isFile && !seen.has(path)) yield path;
      seen.add(path);
    }
  }
}

/** The lines at the end of a file, but not one that is only partly there. */
async function tail(path: string): Promise<string[]> {
  using file = await Deno.open(path);
  const { size } = await file.stat();
  const skipped = Math.max(0, size - TAIL);
  await file.seek(skipped, Deno.SeekMode.Start);
  const bytes = new Uint8Array(await new Response(file.readable).arrayBuffer());
  const first = skipped > 0 ? bytes.indexOf(NEWLINE) + 1 : 0;
  const last = bytes.lastIndexOf(NEWLINE);
  return latin1(bytes.subarray(first, Math.max(first, last))).split("\n");
}

async function history(): Promise<string[]> {
  try {
    const git = new Deno.Command("git", {
      args: ["log", "--no-color", "--date=iso", "--stat"],
      cwd: import.meta.dirname!,
      stdout: "piped",
      stderr: "null",
    }).spawn();
    const lines = await Array.fromAsync(
      git.stdout
        .pipeThrough(new TextDecoderStream())
        .pipeThrough(new TextLineStream()),
    );
    await git.status;
    return lines.map((line) => latin1(encode(line)));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}

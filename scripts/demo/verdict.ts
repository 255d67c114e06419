/**
 * Where every line has got to. Lines are compared as bytes: they are text with
 * a character for each byte.
 *
 * @module
 */

/** What is found at the end. */
export interface Findings {
  /** What the service wrote. */
  input: readonly string[];
  /** What the server has in its log for this client, names before them. */
  host: readonly string[];
  /** What the server has in its log for everything. */
  all: readonly string[];
  /** What the client still has in its files, from the oldest to the newest. */
  kept: readonly string[];
  /** How many files had to wait. */
  waited: number;
  /** How many transmissions were cut: each may leave lines that come again. */
  cut: number;
  /** What the server puts before this client's lines. */
  prefix: string;
}

/** What it comes to. */
export interface Verdict {
  /** How many of the service's lines are on the server, each counted once. */
  arrived: number;
  /** How many lines are there again. */
  repeated: number;
  /** How many lines are still in the client's files. */
  kept: number;
  /** How many files had to wait. */
  waited: number;
  /** How many of the service's lines are nowhere. */
  lost: number;
  /** What is wrong; nothing when all is well. */
  faults: string[];
}

/**
 * Judges what was found. All is well when files had to wait, the client has no
 * line left, and the server's lines are the service's: all, in their order, no
 * byte different, none twice but what a cut transmission had brought before.
 *
 * @param findings What was found
 * @returns The verdict
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * const { lost, faults } = judge({
 *   input: ["one", "two"],
 *   host: ["h: one", "h: two"],
 *   all: ["server: up", "h: one", "h: two"],
 *   kept: [],
 *   waited: 1,
 *   cut: 0,
 *   prefix: "h: ",
 * });
 * assertEquals(lost, 0);
 * assertEquals(faults, []);
 * ```
 */
export function judge(findings: Findings): Verdict {
  const { input, host, all, kept, waited, cut, prefix } = findings;
  const faults: string[] = [];
  const strangers = host.filter((line) => !line.startsWith(prefix));
  if (strangers.length > 0) {
    faults.push(`${count(strangers)} on the server without its name`);
  }
  const ours = all.filter((line) => line.startsWith(prefix));
  if (ours.length !== host.length || ours.some((line, i) => line !== host[i])) {
    faults.push("the server's two logs differ");
  }
  if (waited === 0) faults.push("no file had to wait");
  if (kept.length > 0) faults.push(`${count(kept)} not sent`);

  const received = host.filter((line) => line.startsWith(prefix))
    .map((line) => line.slice(prefix.length));
  const places = [...received, ...kept];
  const lost = missing(input, places);
  const extra = missing(places, input);
  if (lost.length > 0) faults.push(`${count(lost)} lost`);
  const { connections } = connectionsOf(all, prefix);
  if (!isWhole(input, [...connections, kept], cut)) {
    if (extra.length > 0) {
      faults.push(`${count(extra)} doubled, changed, or of unknown origin`);
    }
    if (lost.length + extra.length === 0) {
      faults.push("lines have changed their order");
    }
  }
  return {
    arrived: input.length - lost.length - kept.length,
    repeated: extra.length,
    kept: kept.length,
    waited,
    lost: lost.length,
    faults,
  };
}

function count(lines: readonly string[]): string {
  return lines.length === 1 ? "1 line" : `${lines.length} lines`;
}

/**
 * The lines that came with each connection.
 *
 * @param all The server's log of everything
 * @param prefix What the server puts before the client's lines
 * @returns The connections' lines, without the prefix, and how many of the
 * connections have ended
 */
export function connectionsOf(
  all: readonly string[],
  prefix: string,
): { connections: string[][]; ended: number } {
  const connections: string[][] = [];
  let lines: string[] = [];
  for (const line of all) {
    if (line.startsWith(prefix)) lines.push(line.slice(prefix.length));
    if (!/^socklog-tcp: end \d+ status/.test(line)) continue;
    connections.push(lines);
    lines = [];
  }
  const ended = connections.length;
  if (lines.length > 0) connections.push(lines);
  return { connections, ended };
}

/** Those of `wanted` that are not in `places`, or not often enough. */
function missing(
  wanted: readonly string[],
  places: readonly string[],
): string[] {
  const left = new Map<string, number>();
  for (const line of places) left.set(line, (left.get(line) ?? 0) + 1);
  return wanted.filter((line) => {
    const n = left.get(line) ?? 0;
    left.set(line, n - 1);
    return n <= 0;
  });
}

/**
 * Whether the parts, one after another, are the whole, when up to `cut` of them
 * come again in the next one. Real logs say the same line twice, so whether a
 * part comes again may show only later: all that is possible is followed.
 */
function isWhole(
  whole: readonly string[],
  parts: readonly (readonly string[])[],
  cut: number,
): boolean {
  /** How many lines may be there so far, and how many parts come again then. */
  let there = new Map([[0, 0]]);
  for (const part of parts) {
    const next = new Map<number, number>();
    const add = (lines: number, again: number) => {
      next.set(lines, Math.min(again, next.get(lines) ?? Infinity));
    };
    for (const [lines, again] of there) {
      if (part.some((line, i) => line !== whole[lines + i])) continue;
      add(lines + part.length, again);
      if (again < cut) add(lines, again + 1);
    }
    there = next;
  }
  return there.has(whole.length);
}

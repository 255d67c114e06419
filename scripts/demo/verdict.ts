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
  /** What the server has in its log for this client, names in front. */
  host: readonly string[];
  /** What the server has in its log for everything. */
  all: readonly string[];
  /** What the client has in its files, from the oldest to the newest. */
  kept: readonly string[];
  /** What the server had to be told about the time when it was down. */
  notices: readonly string[];
  /** What the server puts in front of this client's lines. */
  prefix: string;
}

/** What it comes to. */
export interface Verdict {
  /** How many of the service's lines are on the server. */
  arrived: number;
  /** How many lines are in the client's files. */
  kept: number;
  /** How many lines of notice have arrived. */
  notices: number;
  /** How many of the service's lines are nowhere. */
  lost: number;
  /** What is wrong; nothing when all is well. */
  faults: string[];
}

/**
 * Judges what was found. All is well when the server's lines, without the
 * notices, and the client's are the service's lines: each in one place, once,
 * in their order, no byte different; and the notices are on the server, once,
 * in one piece.
 *
 * @param findings What was found
 * @returns The verdict
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * const { lost, faults } = judge({
 *   input: ["one", "two", "three"],
 *   host: ["h: one", "h: refused", "h: three"],
 *   all: ["server: up", "h: one", "h: refused", "h: three"],
 *   kept: ["two"],
 *   notices: ["refused"],
 *   prefix: "h: ",
 * });
 * assertEquals(lost, 0);
 * assertEquals(faults, []);
 * ```
 */
export function judge(findings: Findings): Verdict {
  const { input, host, all, kept, notices, prefix } = findings;
  const faults: string[] = [];
  const strangers = host.filter((line) => !line.startsWith(prefix));
  if (strangers.length > 0) {
    faults.push(`${count(strangers)} on the server without its name`);
  }
  const ours = all.filter((line) => line.startsWith(prefix));
  if (ours.length !== host.length || ours.some((line, i) => line !== host[i])) {
    faults.push("the server's two logs differ");
  }

  let received = host.filter((line) => line.startsWith(prefix))
    .map((line) => line.slice(prefix.length));
  let delivered = 0;
  if (notices.length === 0) faults.push("the client noticed no failure");
  else {
    const at = findBlock(received, notices);
    if (at < 0) faults.push("the notices have not arrived");
    else {
      delivered = notices.length;
      received = [
        ...received.slice(0, at),
        ...received.slice(at + notices.length),
      ];
    }
  }

  const places = [...received, ...kept];
  const lost = missing(input, places);
  const extra = missing(places, input);
  if (lost.length > 0) faults.push(`${count(lost)} lost`);
  if (extra.length > 0) {
    faults.push(`${count(extra)} doubled, changed, or of unknown origin`);
  }
  if (lost.length + extra.length === 0 && !isMerge(input, received, kept)) {
    faults.push("lines have changed their order");
  }
  return {
    arrived: received.length,
    kept: kept.length,
    notices: delivered,
    lost: lost.length,
    faults,
  };
}

function count(lines: readonly string[]): string {
  return lines.length === 1 ? "1 line" : `${lines.length} lines`;
}

/**
 * Finds lines that follow one another.
 *
 * @param lines Where to look
 * @param block What to look for
 * @returns The index of the first, or -1
 */
export function findBlock(
  lines: readonly string[],
  block: readonly string[],
): number {
  for (let at = 0; at + block.length <= lines.length; at++) {
    if (block.every((line, i) => lines[at + i] === line)) return at;
  }
  return -1;
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
 * Whether `whole` is `a` and `b` put into one another, the order of each kept.
 * Real logs say the same line twice, so which of the two a line belongs to may
 * show only later: all that is possible is followed.
 */
function isMerge(
  whole: readonly string[],
  a: readonly string[],
  b: readonly string[],
): boolean {
  if (whole.length !== a.length + b.length) return false;
  /** How many lines of `a` may have been used so far. */
  let used = new Set([0]);
  whole.forEach((line, i) => {
    const next = new Set<number>();
    for (const n of used) {
      if (a[n] === line) next.add(n + 1);
      if (b[i - n] === line) next.add(n);
    }
    used = next;
  });
  return used.has(a.length);
}

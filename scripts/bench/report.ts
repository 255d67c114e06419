/**
 * What the benchmarks share: figures and tables.
 *
 * @module
 */

/** What the command line says of a benchmark. */
export interface BenchOptions {
  /** How often each measurement is taken. */
  rounds: number;
  /** How large the input is, in megabytes, where that can be chosen. */
  megabytes: number;
  /** Only the measurements whose title has this in it. */
  only: string;
}

/**
 * The middle of some numbers.
 *
 * @param numbers The numbers
 * @returns Their median; NaN of none
 */
export function median(numbers: readonly number[]): number {
  const sorted = [...numbers].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2
    ? sorted[middle]!
    : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/**
 * The number that a share of some numbers doesn't exceed.
 *
 * @param numbers The numbers
 * @param share The share, 0 to 1
 * @returns The number; NaN of none
 */
export function quantile(numbers: readonly number[], share: number): number {
  const sorted = [...numbers].sort((a, b) => a - b);
  const at = Math.min(Math.floor(sorted.length * share), sorted.length - 1);
  return sorted[at] ?? NaN;
}

/**
 * The median of the ratios of two measurements that were taken in turn.
 *
 * @param theirs One of each round
 * @param ours The other of each round
 * @returns How many times as large theirs are
 */
export function ratio(
  theirs: readonly number[],
  ours: readonly number[],
): number {
  return median(theirs.map((value, i) => value / ours[i]!));
}

/**
 * Lays rows out in columns: the first to the left, the others to the right.
 *
 * @param rows The rows
 * @returns The lines
 */
export function table(rows: readonly (readonly string[])[]): string {
  const widths: number[] = [];
  for (const row of rows) {
    row.forEach((cell, i) => {
      widths[i] = Math.max(widths[i] ?? 0, cell.length);
    });
  }
  return rows.map((row) =>
    row.map((cell, i) =>
      i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!)
    ).join("  ").trimEnd()
  ).join("\n");
}

/**
 * A bar.
 *
 * @param value How long it is to be
 * @param largest The value of the longest bar
 * @param width The longest bar's width, in characters
 * @returns The bar
 */
export function bar(value: number, largest: number, width = 24): string {
  const eighths = Math.max(Math.round(8 * width * value / largest), 1);
  const part = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"][eighths % 8]!;
  return "█".repeat(eighths >> 3) + part;
}

/** What a program that was watched took. */
export interface Cost {
  /** Time from its start to its end, in seconds. */
  seconds: number;
  /** Processor time, in seconds. */
  cpu: number;
  /** The largest memory that it had, in MiB. */
  peak: number;
}

const RUSAGE_CHILDREN = -1;

const { getrusage } = Deno.dlopen("libc.so.6", {
  getrusage: { parameters: ["i32", "buffer"], result: "i32" },
}).symbols;

/** The processor time of all programs that have ended so far, in seconds. */
function childrenCpu(): number {
  const words = new BigInt64Array(18);
  getrusage(RUSAGE_CHILDREN, new Uint8Array(words.buffer));
  const [user, userMicro, system, systemMicro] = Array.from(words, Number);
  return user! + system! + (userMicro! + systemMicro!) / 1e6;
}

/** The largest memory that a process has had so far, in MiB. */
function peakOf(pid: number): number {
  try {
    const status = Deno.readTextFileSync(`/proc/${pid}/status`);
    return Number(/VmHWM:\s*(\d+)/.exec(status)?.[1] ?? 0) / 1024;
  } catch {
    return 0; // it has ended
  }
}

/**
 * Runs a program to its end with a file as its input, and watches it.
 *
 * @param command Its path and arguments
 * @param input The file's path
 * @param watched Whether its memory is looked at: that takes a little time
 * @returns What it took
 * @throws {Error} When it fails
 */
export async function cost(
  command: readonly string[],
  input = "/dev/null",
  watched = false,
): Promise<Cost> {
  const start = performance.now();
  const cpu = childrenCpu();
  // `exec`, so that the shell that opens the file becomes the program.
  const child = new Deno.Command("/bin/sh", {
    args: ["-c", 'exec "$@" <"$0"', input, ...command],
    stdin: "null",
    stdout: "null",
    stderr: "inherit",
  }).spawn();
  let peak = 0;
  const timer = watched
    ? setInterval(() => peak = Math.max(peak, peakOf(child.pid)), 5)
    : undefined;
  const { code } = await child.status;
  const seconds = (performance.now() - start) / 1000;
  clearInterval(timer);
  if (code !== 0) throw new Error(`${command.join(" ")}: exit ${code}`);
  return { seconds, cpu: childrenCpu() - cpu, peak };
}

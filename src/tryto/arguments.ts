/**
 * tryto's command line.
 *
 * @module
 */
import { getopt, UsageError } from "../getopt.ts";
import { VERSION } from "../version.ts";

/** What tryto is asked to do. */
export interface Task {
  /** The program that it runs, and its arguments. */
  readonly prog: readonly [string, ...string[]];
  /** Seconds for all tries together. */
  readonly limit: number;
  /** Seconds between TERM and KILL. */
  readonly grace: number;
  /** How often prog is run at the most. */
  readonly tries: number;
  /** Whether it is a log's processor, with descriptors 4 and 5. */
  readonly processor: boolean;
  /** Whether prog gets a session of its own, and signals go to its group. */
  readonly group: boolean;
  /** Whether each failure is told. */
  readonly verbose: boolean;
}

/** Shown for a command line that makes no sense. */
export const USAGE =
  "usage: tryto [-vp] [-t seconds] [-k kseconds] [-n tries] prog\n\n";

/** Shown for `--help`. */
export const HELP = `\
usage: tryto [-pPv] [-t seconds] [-k kseconds] [-n tries] prog [argument ...]

Runs prog with standard input as its input. When prog fails, sleeps a second
and runs it again with all of the input.

  -t seconds   time limit for all tries together (180); then prog gets TERM
  -k kseconds  and this much later KILL (5)
  -n tries     how often prog is run at the most (5)
  -P           run prog in a session of its own, and signal its process group
  -v           tell of each failure
  -p           be a log's processor, for multilog or svlogd:
               prog's input is all of descriptor 4, then all of 0;
               messages and prog's standard error go to descriptor 5;
               when prog fails for good, all of 0 goes to standard output

exit code: 0 when prog exits 0, and with -p also when the log is kept; 100 for
the time limit; prog's last exit code when the tries are used up (128 and the
signal's number if a signal ended it); 111 for trouble; 1 for wrong usage

example: multilog t '!tryto -v socklog-tcp send loghost 10116' ./main
`;

/** A number as the original reads it: leading digits; none are 0. */
function leadingNumber(text: string): number {
  return Number(/^[0-9]*/.exec(text)![0]);
}

/**
 * Reads the command line.
 *
 * @param args The arguments
 * @returns The task
 * @throws {UsageError} When it makes no sense
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * const task = parseTask(["-pt20", "-n", "2", "cat", "-v"]);
 * assertEquals(task.prog, ["cat", "-v"]);
 * assertEquals([task.limit, task.grace, task.tries], [20, 5, 2]);
 * assertEquals([task.processor, task.verbose], [true, false]);
 * ```
 */
export function parseTask(args: readonly string[]): Task {
  const { options, rest } = getopt(args, "pPvVt:k:n:");
  const given = new Map(options.map(({ letter, value }) => [letter, value]));
  const number = (letter: string) => leadingNumber(given.get(letter) ?? "");
  const [prog, ...more] = rest;
  if (given.has("V")) throw new UsageError(`version ${VERSION}`);
  if (prog === undefined) throw new UsageError("");
  return {
    prog: [prog, ...more],
    // As in the original, 0 and nonsense are the default, and one try is made
    // whatever is said.
    limit: number("t") || 180,
    grace: number("k") || 5,
    tries: given.has("n") ? number("n") : 5,
    processor: given.has("p"),
    group: given.has("P"),
    verbose: given.has("v"),
  };
}

/**
 * tryto's command line.
 *
 * @module
 */
import { getopt, parseNumber, UsageError } from "../getopt.ts";
import { VERSION } from "../version.ts";
import type { TrytoOptions } from "./tries.ts";

/** Printed when the command line is wrong. */
export const USAGE =
  "usage: tryto [-pPv] [-t seconds] [-k kseconds] [-n tries] prog; see --help\n\n";

/** Printed for `--help`. */
export const HELP = `\
usage: tryto [-pPv] [-t seconds] [-k kseconds] [-n tries] prog [argument ...]

Runs prog with standard input as its input. When prog fails, sleeps a second
and runs it again with all of the input.

  -t seconds   time limit for all tries together (180); then prog gets TERM,
  -k kseconds  and this many seconds later KILL (5)
  -n tries     run prog this many times at the most (5)
  -P           run prog in a new session, and signal its process group
  -v           write a message for each failure
  -p           be a log's processor, for multilog or svlogd:
               prog's input is all of descriptor 4, then all of 0;
               messages and prog's standard error go to descriptor 5;
               when prog fails for good, all of 0 goes to standard output

exit code: 0 when prog exits 0, and with -p also when the log is kept; 100 for
the time limit; prog's last exit code when the tries are used up (128 and the
signal's number if a signal ended it); 111 for trouble; 1 for wrong usage

example: multilog t '!tryto -v socklog-tcp send loghost 10116' ./main
`;

/**
 * Reads the command line.
 *
 * @param args The arguments
 * @returns The options, and the program
 * @throws {UsageError} When it is wrong
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * const options = parseArguments(["-pt20", "-n", "2", "cat", "-v"]);
 * assertEquals(options.prog, ["cat", "-v"]);
 * assertEquals([options.limit, options.grace, options.tries], [20, 5, 2]);
 * assertEquals([options.processor, options.verbose], [true, false]);
 * ```
 */
export function parseArguments(args: readonly string[]): TrytoOptions {
  const { options, rest } = getopt(args, "pPvVt:k:n:");
  const given = new Map(options.map(({ letter, value }) => [letter, value]));
  // The original takes text that is no number for its leading digits, or for
  // the default.
  const number = (letter: string, otherwise: number) => {
    const value = given.get(letter);
    return value === undefined ? otherwise : parseNumber(letter, value);
  };
  const [prog, ...more] = rest;
  if (given.has("V")) throw new UsageError(`version ${VERSION}`);
  if (prog === undefined) throw new UsageError("");
  return {
    prog: [prog, ...more],
    // As in the original, 0 seconds stands for the default, and 0 tries for 1.
    limit: number("t", 0) || 180,
    grace: number("k", 0) || 5,
    tries: number("n", 5),
    processor: given.has("p"),
    group: given.has("P"),
    verbose: given.has("v"),
  };
}

/**
 * Reading options as the originals do, by getopt(3)'s rules, which today's
 * argument parsers don't follow: `-pv`, `-t180`, `-t 180` and `-vn2` are all
 * right, and `--`, or the first argument that isn't an option, ends the options.
 *
 * @module
 */

/** An option that was given, and its value where it takes one. */
export interface Option {
  /** The letter. */
  letter: string;
  /** The value; empty for an option that takes none. */
  value: string;
}

/** The command line is wrong: an unknown option, or a value that can't be one. */
export class UsageError extends Error {
  override name = "UsageError";
}

/**
 * The number that a text begins with. Like the originals, this ignores whatever
 * comes after the digits.
 *
 * @returns The number; `undefined` when the text begins with no digit
 */
export function leadingNumber(text: string): number | undefined {
  const digits = /^\d+/.exec(text);
  return digits === null ? undefined : Number(digits[0]);
}

/**
 * Reads the value of an option that takes a number.
 *
 * @param letter The option's letter, for the message
 * @param least The smallest number that the value may be
 * @param most The largest number that the value may be
 * @throws {UsageError} When the value isn't such a number
 */
export function parseNumber(
  letter: string,
  value: string,
  least = 0,
  most = 999_999_999,
): number {
  const n = /^\d{1,10}$/.test(value) ? Number(value) : -1;
  if (n >= least && n <= most) return n;
  const kind = least > 0 ? "a positive number" : "a number";
  throw new UsageError(`-${letter} wants ${kind}, not ${value || "nothing"}`);
}

/**
 * Splits arguments into options and the rest.
 *
 * @param letters The letters of the options, each that takes a value followed
 * by a colon, as for getopt(3)
 * @returns The options in their order, and the arguments after them
 * @throws {UsageError} For an unknown letter or a missing value
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * const { options, rest } = getopt(["-vn2", "prog", "-x"], "vn:");
 * assertEquals(options, [
 *   { letter: "v", value: "" },
 *   { letter: "n", value: "2" },
 * ]);
 * assertEquals(rest, ["prog", "-x"]);
 * ```
 */
export function getopt(
  args: readonly string[],
  letters: string,
): { options: Option[]; rest: string[] } {
  const options: Option[] = [];
  let i = 0;
  for (; i < args.length; i++) {
    const arg = args[i]!;
    if (arg === "--") {
      i++;
      break;
    }
    if (arg[0] !== "-" || arg === "-") break;
    for (let k = 1; k < arg.length; k++) {
      const letter = arg[k]!;
      const known = letter === ":" ? -1 : letters.indexOf(letter);
      if (known < 0) throw new UsageError(`illegal option -- ${letter}`);
      if (letters[known + 1] !== ":") {
        options.push({ letter, value: "" });
        continue;
      }
      let value = arg.slice(k + 1);
      if (value === "") {
        i++;
        if (i >= args.length) {
          throw new UsageError(`option requires an argument -- ${letter}`);
        }
        value = args[i]!;
      }
      options.push({ letter, value });
      break;
    }
  }
  return { options, rest: args.slice(i) };
}

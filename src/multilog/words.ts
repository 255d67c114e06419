/**
 * The words after `--cat` and `--follow`: directories, and options between
 * them.
 *
 * @module
 */
import { UsageError } from "../getopt.ts";

/** What was given. */
export interface Words {
  /** The options without a value. */
  readonly flags: ReadonlySet<string>;
  /** The others, with their values. */
  readonly values: ReadonlyMap<string, string>;
  /** The directories. */
  readonly paths: readonly string[];
}

/**
 * Tells options from directories. A value is the next word, or comes after
 * `=`, or after a letter at once. After `--` everything is a directory.
 *
 * @param args The words
 * @param flags The options without a value
 * @param values The options with one
 * @returns What was given
 * @throws {UsageError} For an unknown option, one without its value, or no
 * directory
 */
export function readWords(
  args: readonly string[],
  flags: readonly string[],
  values: readonly string[],
): Words {
  const found = {
    flags: new Set<string>(),
    values: new Map<string, string>(),
    paths: [] as string[],
  };
  for (let i = 0; i < args.length; i++) {
    const arg = args[i]!;
    if (arg === "--") {
      found.paths.push(...args.slice(i + 1));
      break;
    }
    if (!arg.startsWith("-")) {
      found.paths.push(arg);
      continue;
    }
    if (flags.includes(arg)) {
      found.flags.add(arg);
      continue;
    }
    const name = values.find((name) =>
      arg === name || arg.startsWith(name.startsWith("--") ? `${name}=` : name)
    );
    if (name === undefined) {
      throw new UsageError(`unknown option ${arg}, see --help`);
    }
    const joined = arg.slice(name.length).replace(/^=/, "");
    const value = arg === name ? args[++i] : joined;
    if (value === undefined) throw new UsageError(`${name} needs a value`);
    found.values.set(name, value);
  }
  if (found.paths.length === 0) throw new UsageError("no directory is given");
  return found;
}

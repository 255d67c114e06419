/**
 * What is tested: the files of tests, each a job for a process of its own, and
 * the examples in the sources, which are one more.
 *
 * @module
 */
import { walk } from "@std/fs/walk";
import { exists } from "./packages.ts";

/** What one `deno test` runs. */
export interface Job {
  /** What it is called. */
  name: string;
  /** The files, and flags for them. */
  args: string[];
}

const WALK = { exts: [".ts"], includeDirs: false };

/** Those that take longest, the longest first: whoever is left waits for them. */
const LONGEST = [
  "tests/arm64_test.ts",
  "tests/faults/round_test.ts",
  "tests/socklog/rules_test.ts",
  "tests/multilog/kill_test.ts",
  "tests/faults/power_cut_test.ts",
  "tests/package_test.ts",
  "tests/socklog/script_test.ts",
  "tests/socklog/sender_test.ts",
  "tests/multilog/hosts_test.ts",
  "tests/recipes/rabbitmq_test.ts",
  "tests/peers/multilog_test.ts",
  "tests/peers/tryto_test.ts",
  "tests/multilog/signals_test.ts",
  "tests/multilog/replaced_test.ts",
  "tests/distributions_test.ts",
  "tests/limits_test.ts",
  "tests/tryto/tryto_test.ts",
  "tests/tryto/processor_test.ts",
  "tests/faults/broken_code_test.ts",
  "tests/socklog/server_test.ts",
  "tests/faults/found_test.ts",
  "tests/multilog/restart_test.ts",
  "tests/multilog/processor_test.ts",
  "tests/multilog/selection_test.ts",
];

function rank({ name }: Job): number {
  const place = LONGEST.indexOf(name);
  return place < 0 ? LONGEST.length : place;
}

/**
 * Sorts the command line's words: paths, which are the caller's, flags, which
 * are `deno test`'s, and words that tests have in their names.
 *
 * @param words The words
 * @returns The paths, and the flags
 */
export async function sortWords(
  words: readonly string[],
): Promise<{ paths: string[]; flags: string[] }> {
  const flags: string[] = [];
  const paths: string[] = [];
  for (const word of words) {
    const path = word.startsWith("/")
      ? word
      : `${Deno.env.get("INIT_CWD") ?? Deno.cwd()}/${word}`;
    if (word.startsWith("-")) flags.push(word);
    else if (flags.at(-1) === "--filter") flags.push(word);
    else if (await exists(path)) paths.push(path);
    else if (await exists(word)) paths.push(word);
    else flags.push("--filter", word);
  }
  return { paths, flags };
}

async function* filesIn(path: string): AsyncGenerator<string> {
  if ((await Deno.stat(path)).isFile) yield path;
  else for await (const { path: file } of walk(path, WALK)) yield file;
}

/**
 * What is to be done for paths.
 *
 * @param paths Files and folders; everything, where there are none
 * @returns The jobs, in the order to begin them
 */
export async function jobsFor(paths: readonly string[]): Promise<Job[]> {
  const top = `${Deno.cwd()}/`;
  const files = new Set<string>();
  for (
    const path of paths.length > 0 ? paths : ["mod.ts", "lib", "src", "tests"]
  ) {
    for await (const file of filesIn(path)) {
      const whole = await Deno.realPath(file);
      files.add(whole.startsWith(top) ? whole.slice(top.length) : whole);
    }
  }
  const jobs: Job[] = [];
  const sources: string[] = [];
  for (const file of [...files].sort()) {
    if (file.endsWith("_test.ts")) jobs.push({ name: file, args: [file] });
    else if (/^ \* ```ts$/m.test(await Deno.readTextFile(file))) {
      sources.push(file);
    }
  }
  if (sources.length > 0) {
    jobs.push({ name: "examples in the sources", args: ["--doc", ...sources] });
  }
  return jobs.sort((a, b) => rank(a) - rank(b));
}

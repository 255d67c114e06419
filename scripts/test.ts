// Compiles what is stale, sees to the programs that the tests compare ours with,
// runs the tests, several files at a time, and says at the end how many passed.
//
//   deno task test [--all] [path or name …] [flags of `deno test`]
//
// `--all` runs the few that take long, too. `DENO_JOBS` says how many at a time.

import { cleaningUp } from "./clean_up.ts";
import { type Job, jobsFor, sortWords } from "./test/jobs.ts";
import { exists, installMissing } from "./test/packages.ts";
import { say, show } from "./test/progress.ts";
import { readReport, type Result } from "./test/report.ts";

/** After which time a job that hasn't ended never will, in milliseconds. */
const PATIENCE = 15 * 60_000;

/** What is in the names of tests that are run by `--all` only. */
const SLOW = /\(needs .*--all/;

/**
 * How many at a time: tests wait more than they work. More than four would
 * leave too little for those that look at the time.
 */
function workers(): number {
  return Number(Deno.env.get("DENO_JOBS")) ||
    Math.min(navigator.hardwareConcurrency + 2, 4);
}

const running = new Set<Deno.ChildProcess>();

function start(
  args: string[],
  options: Deno.CommandOptions,
): Deno.ChildProcess {
  const child = new Deno.Command(Deno.execPath(), {
    args,
    stdin: "null",
    ...options,
  }).spawn();
  running.add(child);
  child.status.then(() => running.delete(child));
  return child;
}

/** Ends what runs, and waits for that. */
async function endRunning(): Promise<void> {
  for (const child of running) child.kill("SIGTERM");
  for (const child of [...running]) await child.status;
}

/** Runs a part of Deno, its output ours, and tells whether it went well. */
async function deno(args: string[]): Promise<boolean> {
  return (await start(args, {}).status).success;
}

/**
 * Does a job, in a folder for temporary files that is its own: what is there in
 * the end has been left behind.
 *
 * @returns What became of it, and all that it printed
 */
async function perform(
  { name, args }: Job,
  flags: readonly string[],
  folder: string,
): Promise<Result & { output: string }> {
  const temporary = `${folder}/tmp`;
  const report = `${folder}/report.xml`;
  await Deno.mkdir(temporary, { recursive: true });
  // Tests become other users.
  for (const path of [folder, temporary]) await Deno.chmod(path, 0o755);
  const child = start(
    ["test", "-A", "--no-check", `--junit-path=${report}`, ...flags, ...args],
    { env: { TMPDIR: temporary }, stdout: "piped", stderr: "piped" },
  );
  const late = setTimeout(() => child.kill("SIGKILL"), PATIENCE);
  const { success, stdout, stderr } = await child.output();
  clearTimeout(late);
  const result = readReport(
    await exists(report) ? await Deno.readTextFile(report) : "",
  );
  // A module that throws, or a crash, is in no report.
  if (!success && result.failed.length === 0) result.failed.push(name);
  for await (const left of Deno.readDir(temporary)) {
    result.failed.push(`${name} left ${left.name} in $TMPDIR`);
  }
  const decoder = new TextDecoder();
  return { ...result, output: decoder.decode(stdout) + decoder.decode(stderr) };
}

/** Does all jobs, a few at a time, and tells of each. */
async function performAll(
  jobs: readonly Job[],
  flags: readonly string[],
  folder: string,
): Promise<Result> {
  const all: Result = { passed: 0, failed: [], skipped: [] };
  const queue = [...jobs];
  const current = new Set<string>();
  let done = 0;
  const progress = () =>
    show(
      `${done} of ${jobs.length}: ${all.passed} passed, ` +
        `${all.failed.length} failed; ${[...current].join(" ")}`,
    );
  const worker = async () => {
    for (let job = queue.shift(); job; job = queue.shift()) {
      const begin = performance.now();
      current.add(job.name);
      progress();
      const own = `${folder}/${jobs.indexOf(job)}`;
      const { passed, failed, skipped, output } = await perform(
        job,
        flags,
        own,
      );
      current.delete(job.name);
      done++;
      all.passed += passed;
      all.failed.push(...failed);
      all.skipped.push(...skipped);
      const seconds = Math.round((performance.now() - begin) / 1000);
      if (failed.length > 0) say(`\n${output.trimEnd()}\n`);
      if (passed + failed.length > 0) {
        say(
          `${failed.length > 0 ? "FAILED" : "ok"}  ${job.name}: ` +
            `${passed} passed (${seconds} s)`,
        );
      }
      progress();
    }
    progress();
  };
  await Promise.all(Array.from({ length: workers() }, worker));
  show("");
  return all;
}

async function main(args: string[]): Promise<Result> {
  const wantsAll = args.includes("--all");
  const { paths, flags } = await sortWords(
    args.filter((arg) => arg !== "--all"),
  );
  const jobs = await jobsFor(paths);
  const failure = { passed: 0, failed: ["before any test"], skipped: [] };
  const files = jobs.flatMap(({ args }) =>
    args.filter((arg) => arg !== "--doc")
  );
  if (
    !await deno(["run", "-A", "scripts/compile.ts"]) ||
    !await deno(["check", "-q", ...files])
  ) return failure;
  await installMissing(wantsAll);
  if (wantsAll) Deno.env.set("LOGFERRY_ALL", "1");
  const folder = await Deno.makeTempDir({ prefix: "logferry-test-" });
  await Deno.chmod(folder, 0o755);
  await using _folder = cleaningUp(async () => {
    await endRunning();
    await Deno.remove(folder, { recursive: true });
  });
  const result = await performAll(jobs, flags, folder);
  // The report does not tell a test that was filtered out from a skipped one.
  if (flags.some((flag) => flag.startsWith("--filter"))) result.skipped = [];
  if (result.passed + result.failed.length === 0) {
    result.failed.push("no test was run");
  }
  return result;
}

if (import.meta.main) {
  Deno.chdir(new URL("..", import.meta.url));
  const { passed, failed, skipped } = await main(Deno.args);
  const slow = skipped.filter((name) => SLOW.test(name));
  for (const name of skipped) {
    if (!slow.includes(name)) console.log(`skipped: ${name}`);
  }
  if (slow.length > 0) {
    console.log(`skipped: ${slow.length} that take long, which --all runs`);
  }
  for (const name of failed) console.log(`failed: ${name}`);
  console.log(
    `${passed} passed, ${failed.length} failed` +
      (skipped.length > 0 ? `, ${skipped.length} skipped` : ""),
  );
  if (failed.length > 0) Deno.exit(1);
}

// Breaks things while logs are on their way, and counts the lines.
//
//   deno task faults [--minutes 5] [--seed N] [--only NAME] [--list]
//   deno task faults --crossings      with the originals in one place each
//   deno task faults --soak [--lines 10000000]
import { parseArgs } from "@std/cli/parse-args";
import type { Count } from "./checker.ts";
import { FAULTS } from "./faults.ts";
import {
  cross,
  type Crossing,
  CROSSINGS,
  crossingsHere,
  type Promised,
  PROMISES,
} from "./crossings.ts";
import {
  alone,
  mixed,
  type Plan,
  play,
  possible,
  removeStale,
  type Round,
} from "./rounds.ts";
import { closeAll } from "./world.ts";
import { installed, seeded } from "../tools.ts";
import { FUZZERS } from "./fuzz.ts";
import { soak } from "./soak.ts";
import { compileChanged, SETTABLE_CLOCK } from "./variants.ts";
import { compileAll, CompileError } from "../../scripts/compile.ts";
import {
  bold,
  columns,
  dim,
  green,
  red,
  say,
} from "../../scripts/demo/screen.ts";

const USAGE =
  "usage: deno task faults [--minutes N] [--seed N] [--only NAME] [--list]\n" +
  "       deno task faults --crossings [--seed N]\n" +
  "       deno task faults --soak [--lines N] [--seed N]";

/** Rounds at a time: most of each is waiting. */
const AT_ONCE = 3;
/** How long one fault lasts when it is alone, in milliseconds. */
const ALONE = 2500;
/** How long faults are mixed, in milliseconds. */
const MIXED = 12000;
/** How long each parser is fed, in milliseconds. */
const FUZZ = 2000;
/** How long the end of a round may take, in milliseconds. */
const END = 8000;

/** What a count's rows are called, and what they mean. */
const ROWS: [key: keyof Count, name: string, meaning: string][] = [
  ["fed", "lines written", "by the clients' services"],
  ["server", "lines on the server", ""],
  ["client", "lines kept on the client", "sent in vain, cut off, or current"],
  ["both", "lines in both places", "cut when the server had them already"],
  ["copies", "further copies on the server", "sent once more, for the same"],
  ["parts", "parts of lines on the server", "where a transmission was cut"],
  ["late", "transmissions out of turn", "on their way when given up"],
  ["split", "lines in two files", "at the end of a killed multilog"],
  ["notices", "notices on the server", "lines about what couldn't be sent"],
  ["inHand", "lines in a killed multilog's hands", "read, and not yet written"],
  ["unacknowledged", "lines lost without -a", "with a killed server"],
  ["lost", "lines lost", ""],
];

function table(count: Count): string[] {
  return columns(
    ROWS.map(([key, name, meaning]) => [name, count[key], meaning]),
  );
}

function show({ name, seed, done, count, violations, seconds }: Round): void {
  const verdict = violations.length > 0 ? red("BROKEN") : green("ok");
  say(
    `  ${verdict}  ${name.padEnd(24)} ` +
      `${count.fed} lines: ${count.server} sent, ${count.client} kept, ` +
      `${count.lost} lost ${dim(`(${seconds.toFixed(0)} s)`)}`,
  );
  if (violations.length === 0 && !name.startsWith("mixed")) return;
  for (const what of done) say(dim(`        ${what}`));
  for (const violation of violations) say(red(`        ${violation}`));
  if (violations.length > 0) say(`        seed of this round: ${seed}`);
}

function sum(rounds: readonly Round[]): Count {
  const total = Object.fromEntries(ROWS.map(([key]) => [key, 0]));
  for (const { count } of rounds) {
    for (const [key] of ROWS) total[key]! += count[key];
  }
  return total as unknown as Count;
}

/** One promise after the other, with the originals in one place each. */
async function crossings(seed: number): Promise<number> {
  const can = await possible();
  const here = crossingsHere();
  const missing = CROSSINGS.filter((crossing) => !here.includes(crossing));
  say(bold("The same faults with one of the originals in one place"));
  say();
  for (const { name } of missing) say(`  skipped: ${name} (not installed)`);
  const promises = PROMISES.filter(({ name, options }) => {
    if (can.disks || !options.disks) return true;
    say(`  skipped: ${name} (no mounts)`);
    return false;
  });
  const results = new Map<string, string>();
  const jobs = promises.flatMap((promised) =>
    here.map((crossing) => ({ promised, crossing }))
  );
  let next = 0;
  let told = 0;
  let broken = 0;
  const key = (promised: Promised, { name }: Crossing) =>
    `${promised.name}/${name}`;
  const tell = () => {
    for (; told < promises.length; told++) {
      const promised = promises[told]!;
      if (here.some((one) => !results.has(key(promised, one)))) return;
      say(`  ${promised.name}`);
      for (const crossing of here) {
        const result = results.get(key(promised, crossing))!;
        const word = result === "" ? green("kept") : red(`broken: ${result}`);
        say(`      ${crossing.name.padEnd(24)} ${word}`);
      }
    }
  };
  const worker = async () => {
    while (next < jobs.length) {
      const { promised, crossing } = jobs[next++]!;
      const result = await cross(crossing, promised, seed + next);
      results.set(key(promised, crossing), result ?? "");
      if (result !== undefined && crossing === CROSSINGS[0]) broken++;
      tell();
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  say();
  if (broken === 0) say(green("Ours keep all of them."));
  else say(red(`Ours broke ${broken}.`));
  return broken === 0 ? 0 : 1;
}

/** Our programs, with a clock that can be set. */
async function settableClock(): Promise<Disposable & { path: string }> {
  const at = Deno.makeTempDirSync({ prefix: `logferry-faults-${Deno.pid}-` });
  folders.push(at);
  return {
    path: await compileChanged(at, SETTABLE_CLOCK),
    [Symbol.dispose]: removeFolders,
  };
}

/** What goes at the end, whatever end it is. */
const folders: string[] = [];

function removeFolders(): void {
  for (const folder of folders.splice(0)) {
    Deno.removeSync(folder, { recursive: true });
  }
}

/** Any bytes to every parser, for a few seconds each; how many broke. */
async function fuzz(seed: number): Promise<number> {
  let broken = 0;
  for (const { name, needs, once } of FUZZERS) {
    if (needs.some((need) => installed(need) === undefined)) continue;
    const random = seeded(seed);
    const at = Deno.makeTempDirSync({ prefix: `logferry-faults-${Deno.pid}-` });
    folders.push(at);
    const end = performance.now() + FUZZ;
    let cases = 0;
    try {
      do {
        await once(random, { path: at, [Symbol.dispose]() {} });
        cases++;
      } while (performance.now() < end);
      say(`  ${green("ok")}  any bytes as ${name}: ${cases} cases`);
    } catch (error) {
      broken++;
      say(`  ${red("BROKEN")}  any bytes as ${name}, case ${cases + 1}`);
      say(red(`        ${error instanceof Error ? error.message : error}`));
    }
  }
  return broken;
}

/** Many lines, and nothing that grows. */
async function soaking(lines: number, seed: number): Promise<number> {
  if (!(lines > 0)) {
    say(USAGE);
    return 1;
  }
  say(bold(`${lines} lines, with a restart now and then`));
  say();
  const found = await soak(lines, seed, (text) => say(`  ${text}`));
  const { count, violations, growth, restarts, seconds } = found;
  say();
  for (const line of table(count)) say(line);
  say();
  const rows = growth.map(({ name, memory, descriptors }) => [
    name,
    `${memory[0].toFixed(1)} MB, later ${memory[1].toFixed(1)} MB`,
    `${descriptors[0]} descriptors, later ${descriptors[1]}`,
  ]);
  for (const line of columns(rows)) say(line);
  say();
  say(`  ${restarts} restarts, ${seconds.toFixed(0)} seconds`);
  for (const violation of violations) say(red(`  ${violation}`));
  if (violations.length === 0) {
    say(green("  Every line is where it should be."));
  }
  return violations.length === 0 ? 0 : 1;
}

async function faults(args: string[]): Promise<number> {
  const flags = parseArgs(args, {
    string: ["minutes", "seed", "only", "lines"],
    boolean: ["list", "help", "crossings", "soak"],
    default: { minutes: "5", lines: "10000000" },
    unknown: (flag) => {
      say(`faults: ${flag}: unknown\n${USAGE}`);
      Deno.exit(1);
    },
  });
  if (flags.help) {
    say(USAGE);
    return 0;
  }
  if (flags.list) {
    for (const { name } of FAULTS) say(name);
    say("mixed");
    return 0;
  }
  const minutes = Number(flags.minutes);
  const seed = Number(flags.seed ?? Math.floor(Math.random() * 1e6));
  if (!(minutes > 0) || !Number.isInteger(seed)) {
    say(USAGE);
    return 1;
  }
  await compileAll();
  removeStale();
  if (flags.crossings) return await crossings(seed);
  if (flags.soak) return await soaking(Number(flags.lines), seed);
  using clock = minutes >= 2 ? await settableClock() : undefined;
  const can = await possible(clock?.path);
  const end = performance.now() + 60000 * minutes;
  const { only } = flags;
  if (only !== undefined && only !== "mixed") {
    const chosen = can.faults.filter(({ name }) => name === only);
    if (chosen.length === 0) {
      const lack = can.skipped.find(({ name }) => name === only);
      say(`faults: ${only}: ${lack ? lack.why : "there is none, see --list"}`);
      return 1;
    }
    can.faults = chosen;
  }

  say(bold("Breaking things, and counting lines"));
  say();
  say(`  for ${minutes} minutes; the same again: --seed ${seed}`);
  for (const { name, why } of can.skipped) say(`  skipped: ${name} (${why})`);
  say();

  const fuzzed = minutes >= 2 && only === undefined ? await fuzz(seed) : 0;
  /** First each fault by itself, then whatever comes. */
  const plans = function* (): Generator<Plan> {
    let number = seed;
    if (only !== "mixed") {
      // From another one each time, so that short runs get round too.
      const first = seed % can.faults.length;
      for (let i = 0; i < can.faults.length; i++) {
        const fault = can.faults[(first + i) % can.faults.length]!;
        yield alone(fault, number++, can, ALONE);
      }
    }
    while (true) {
      yield only === undefined || only === "mixed"
        ? mixed(number++, can, MIXED)
        : alone(can.faults[0]!, number++, can, ALONE);
    }
  }();
  const rounds: Round[] = [];
  const worker = async () => {
    while (performance.now() + ALONE + END < end || rounds.length === 0) {
      const plan = plans.next().value as Plan;
      if (
        plan.entries.length > 1 && rounds.length > 0 &&
        performance.now() + MIXED + END > end
      ) return;
      const round = await play(plan);
      rounds.push(round);
      show(round);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));

  const bad = rounds.filter(({ violations }) => violations.length > 0);
  say();
  say(bold(`${rounds.length} rounds`));
  say();
  const [...lines] = table(sum(rounds));
  const last = lines.pop()!;
  for (const line of lines) say(line);
  say(bold(bad.length > 0 ? red(last) : green(last)));
  say();
  if (bad.length > 0) say(red(`${bad.length} rounds broke a promise.`));
  else say(green("Every line is where it should be."));
  if (fuzzed > 0) say(red(`${fuzzed} parsers broke a promise.`));
  return bad.length === 0 && fuzzed === 0 ? 0 : 1;
}

if (import.meta.main) {
  let ending: Promise<void> | undefined;
  const interrupted = () => {
    ending ??= (async () => {
      await closeAll();
      removeFolders();
      Deno.exit(130);
    })();
  };
  Deno.addSignalListener("SIGINT", interrupted);
  Deno.addSignalListener("SIGTERM", interrupted);
  Deno.addSignalListener("SIGHUP", interrupted);
  for (const event of ["error", "unhandledrejection"]) {
    globalThis.addEventListener(event, async (event) => {
      event.preventDefault();
      // What goes wrong in a world that is being closed is no news.
      await ending;
      console.error(
        event instanceof ErrorEvent
          ? event.error
          : (event as PromiseRejectionEvent).reason,
      );
      await closeAll();
      removeFolders();
      Deno.exit(1);
    });
  }
  try {
    Deno.exit(await faults(Deno.args));
  } catch (error) {
    await ending;
    await closeAll();
    if (!(error instanceof CompileError)) throw error;
    console.error(`faults: ${error.message}`);
    Deno.exit(1);
  }
}

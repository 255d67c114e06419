/**
 * What it takes to start each program, and memory while it waits: beside an
 * empty program, and beside an executable that is that program alone.
 *
 * @module
 */
import { inCheckout, ours, sleep } from "../../tests/tools.ts";
import { bundle, copyProgram } from "../bundle.ts";
import { cacheCode } from "../code_cache.ts";
import {
  compileModule,
  compileSource,
  inTurn,
  milliseconds,
  times,
} from "./programs.ts";
import { type BenchOptions, median, table } from "./report.ts";

/**
 * A program's name, and arguments, for a folder that it may write to, with
 * which it ends at once.
 */
const PROGRAMS = [
  ["multilog", (dir: string) => [`${dir}/log`]],
  ["tryto", () => ["true"]],
  ["socklog-tcp", () => ["--version"]],
] as const;

/** The least, in milliseconds, with its unit: nothing else ran beside it. */
function least(taken: readonly number[]): string {
  return `${Math.min(...taken).toFixed(1)} ms`;
}

/** Makes an executable that is one program alone, as ours is made. */
async function compileAlone(name: string, folder: string): Promise<string> {
  const sources = `${folder}/${name}`;
  await copyProgram(name, sources);
  await Deno.writeTextFile(
    `${sources}/alone.ts`,
    `const { start } = await import("./cmd/${name}.ts");\n` +
      `await start(Deno.args, "${name}");\n`,
  );
  const modules = await bundle(`${sources}/alone.ts`, sources);
  await cacheCode({
    programs: [name],
    bundled: modules,
    main: "alone.js",
    work: sources,
    recorder: `${sources}/recorder`,
    async compile(module, executable) {
      await compileModule(executable, `${modules}/${module}`);
    },
  });
  return await compileModule(`${sources}/${name}`, `${modules}/alone.js`);
}

/** How many copies are made of each program. */
const COPIES = 10;

/**
 * Measures programs in turn, in fresh copies each few rounds: where the system
 * happens to keep a file in memory can cost a start several milliseconds, again
 * and again.
 *
 * @param folder Where the copies go
 * @param rounds How often, in all
 * @returns How many milliseconds of processor time each took, in each round
 */
async function inCopies(
  folder: string,
  commands: Parameters<typeof inTurn>[1],
  rounds: number,
): Promise<Record<string, number[]>> {
  const found: Record<string, number[]> = {};
  for (let copy = 0; copy < COPIES; copy++) {
    const place = await Deno.makeTempDir({ dir: folder });
    const copies: typeof commands = {};
    for (const [name, { command, input }] of Object.entries(commands)) {
      const [path, ...args] = command as [string, ...string[]];
      // The name is what it is started under.
      const into = await Deno.makeTempDir({ dir: place });
      const own = `${into}/${path.split("/").at(-1)!}`;
      await Deno.copyFile(path, own);
      copies[name] = { command: [own, ...args], input };
    }
    const taken = await inTurn(Math.ceil(rounds / COPIES), copies, "cpu");
    for (const [name, list] of Object.entries(taken)) {
      (found[name] ??= []).push(...list);
    }
    await Deno.remove(place, { recursive: true });
  }
  return found;
}

/** The memory that a program has while it waits for input, in MiB. */
async function idle(path: string, folder: string): Promise<number> {
  const child = new Deno.Command(path, {
    args: ["./log"],
    cwd: folder,
    stdin: "piped",
    stderr: "null",
  }).spawn();
  await sleep(500);
  const status = await Deno.readTextFile(`/proc/${child.pid}/status`);
  await child.stdin.close();
  await child.status;
  return Number(/VmRSS:\s*(\d+)/.exec(status)![1]) / 1024;
}

/**
 * Measures the starts.
 *
 * @param options How often
 */
export async function bench(options: BenchOptions): Promise<void> {
  const rounds = Math.max(4 * options.rounds, 20);
  Deno.chdir(inCheckout("."));
  const folder = await Deno.realPath(
    await Deno.makeTempDir({ prefix: "logferry-" }),
  );
  try {
    const empty = await compileSource(folder, "empty", "");
    const commands: Parameters<typeof inTurn>[1] = {
      "an empty program": { command: [empty], input: "/dev/null" },
    };
    const alone: Record<string, string> = {};
    for (const [name, argsIn] of PROGRAMS) {
      alone[name] = await compileAlone(name, folder);
      const one = ours[name === "socklog-tcp" ? "socklogTcp" : name];
      const input = "/dev/null";
      const args = argsIn(folder);
      commands[`${name} alone`] = { command: [alone[name], ...args], input };
      commands[name] = { command: [one, ...args], input };
    }
    const found = await inCopies(folder, commands, rounds);
    const base = found["an empty program"]!;
    const rows = [
      ["start", "least", "median", "of an empty one's", "of it alone"],
    ];
    for (const [name, taken] of Object.entries(found)) {
      const separate = found[`${name} alone`];
      rows.push([
        name,
        least(taken),
        milliseconds(taken),
        times(taken, base),
        separate === undefined ? "" : times(taken, separate),
      ]);
    }
    console.log("\nstart: processor time to start, and to end at once");
    console.log(table(rows));

    const waiting = await compileSource(
      folder,
      "waiting",
      "await new Promise((resolve) => setTimeout(resolve, 1000));",
    );
    const memory: Record<string, number[]> = {
      empty: [],
      alone: [],
      multilog: [],
    };
    for (let round = 0; round < 5; round++) {
      memory.empty!.push(await idle(waiting, folder));
      memory.alone!.push(await idle(alone.multilog!, folder));
      memory.multilog!.push(await idle(ours.multilog, folder));
    }
    console.log("\nstart: a multilog that waits for input");
    console.log(table([
      ["an empty program", `${median(memory.empty!).toFixed(1)} MiB`],
      ["alone", `${median(memory.alone!).toFixed(1)} MiB`],
      ["multilog", `${median(memory.multilog!).toFixed(1)} MiB`],
    ]));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

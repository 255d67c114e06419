/**
 * What it takes to start each program, and memory while it waits: beside an
 * empty program, and beside an executable that is that program alone.
 *
 * @module
 */
import { copy } from "@std/fs";
import { inCheckout, ours, sleep } from "../../tests/tools.ts";
import { compileSource, inTurn, milliseconds, times } from "./programs.ts";
import { type BenchOptions, median, table } from "./report.ts";

/**
 * A program's name, its module and export, and arguments, for a folder that it
 * may write to, with which it ends at once.
 */
const PROGRAMS = [
  ["multilog", "multilog/main.ts", "multilog", (dir: string) => [`${dir}/log`]],
  ["tryto", "tryto/main.ts", "tryto", () => ["true"]],
  ["socklog-tcp", "socklog/main.ts", "socklogTcp", () => ["--version"]],
] as const;

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
  const folder = await Deno.makeTempDir({ prefix: "logferry-" });
  try {
    const empty = await compileSource(folder, "empty", "");
    const commands: Parameters<typeof inTurn>[1] = {
      "an empty program": { command: [empty], input: "/dev/null" },
    };
    const alone: Record<string, string> = {};
    await copy(inCheckout("src"), `${folder}/src`);
    for (const [name, module, main, argsIn] of PROGRAMS) {
      const source = [
        `import { run } from "./src/program.ts";`,
        `import { ${main} } from "./src/${module}";`,
        `await run(${main}, Deno.args, "${name}");`,
      ].join("\n");
      alone[name] = await compileSource(folder, name, source);
      const one = ours[name === "socklog-tcp" ? "socklogTcp" : name];
      const input = "/dev/null";
      const args = argsIn(folder);
      commands[`${name} alone`] = { command: [alone[name], ...args], input };
      commands[name] = { command: [one, ...args], input };
    }
    const found = await inTurn(rounds, commands);
    const base = found["an empty program"]!;
    const rows = [["start", "time", "of an empty one's", "of it alone"]];
    for (const [name, taken] of Object.entries(found)) {
      const separate = found[`${name} alone`];
      rows.push([
        name,
        milliseconds(taken),
        times(taken, base),
        separate === undefined ? "" : times(taken, separate),
      ]);
    }
    console.log("\nstart: to start, and to end at once");
    console.log(table(rows));

    const memory: Record<string, number[]> = { alone: [], multilog: [] };
    for (let round = 0; round < 5; round++) {
      memory.alone!.push(await idle(alone.multilog!, folder));
      memory.multilog!.push(await idle(ours.multilog, folder));
    }
    console.log("\nstart: a multilog that waits for input");
    console.log(table([
      ["alone", `${median(memory.alone!).toFixed(1)} MiB`],
      ["multilog", `${median(memory.multilog!).toFixed(1)} MiB`],
    ]));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/**
 * multilog beside its rivals: throughput, the delay of single lines, what a
 * start takes, and memory.
 *
 * @module
 */
import { installed, ours } from "../../tests/tools.ts";
import {
  bar,
  type BenchOptions,
  cost,
  median,
  quantile,
  ratio,
  table,
} from "./report.ts";

/** A program that is measured, and how it is told what to do. */
interface Rival {
  name: string;
  path: string;
  /** Its command for logs in `dir`; `undefined` where it can't do that. */
  command(task: Task, dir: string): string[] | undefined;
}

/** What is to be done with the lines. */
interface Task {
  stamp: boolean;
  /** For each log the pattern that selects its lines; empty for all. */
  logs: string[];
  size: number;
}

const SIZE = 16777215;
const KEEP = 10;

function multilogCommand(path: string) {
  return (task: Task, dir: string): string[] => [
    path,
    ...(task.stamp ? ["t"] : []),
    ...task.logs.flatMap((pattern, i) => [
      ...(pattern ? ["-*", `+*${pattern}*`] : ["+*"]),
      `s${task.size}`,
      `n${KEEP}`,
      `${dir}/log${i}`,
    ]).slice(task.logs.join("") ? 0 : 1),
  ];
}

const ALL: Rival[] = [
  {
    name: "ours",
    path: ours.multilog,
    command: multilogCommand(ours.multilog),
  },
  {
    name: "multilog",
    path: installed("multilog") ?? "",
    command: multilogCommand(installed("multilog") ?? ""),
  },
  {
    name: "s6-log",
    path: installed("s6-log") ?? "",
    command: (task, dir) => [
      installed("s6-log")!,
      "-b",
      ...task.logs.flatMap((pattern, i) => [
        ...(pattern ? ["-", `+${pattern}`] : ["+"]),
        ...(task.stamp ? ["t"] : []),
        `s${task.size}`,
        `n${KEEP}`,
        `${dir}/log${i}`,
      ]),
    ],
  },
  {
    name: "svlogd",
    path: installed("svlogd") ?? "",
    command: (task, dir) => {
      task.logs.forEach((pattern, i) => {
        Deno.mkdirSync(`${dir}/log${i}`, { recursive: true });
        Deno.writeTextFileSync(
          `${dir}/log${i}/config`,
          `s${task.size}\nn${KEEP}\n` +
            (pattern ? `-*\n+*${pattern}*\n` : ""),
        );
      });
      return [
        installed("svlogd")!,
        ...(task.stamp ? ["-t"] : []),
        ...task.logs.map((_, i) => `${dir}/log${i}`),
      ];
    },
  },
];
const RIVALS = ALL.filter((rival) => rival.path !== "");

/** Text like that of real logs: lines of many lengths, some with a word. */
function writeInput(path: string, megabytes: number, length = 0): void {
  using file = Deno.openSync(path, { write: true, create: true });
  const words = ["error", "fatal: ", "GET /index.html", "200", "named[135]:"]
    .concat(["connection from", "user", "accepted", "timeout", "status ok"]);
  let seed = 1;
  const random = () =>
    (seed = seed * 1103515245 + 12345 & 0x7fffffff) / 2 ** 31;
  let block = "";
  while (block.length < 1e6) {
    const target = length ? length - 1 : 20 + Math.floor(random() * 160);
    let line = "";
    while (line.length < target) {
      line += words[Math.floor(random() ** 2 * words.length)]! + " ";
    }
    block += line.slice(0, target) + "\n";
  }
  const bytes = new TextEncoder().encode(block);
  for (let i = 0; i < megabytes; i++) file.writeSync(bytes);
}

function emptied(dir: string): string {
  Deno.removeSync(dir, { recursive: true });
  Deno.mkdirSync(dir);
  return dir;
}

/** Sees to it that one program doesn't wait for another's bytes. */
async function settle(): Promise<void> {
  await new Deno.Command("sync").output();
}

interface Scenario {
  title: string;
  input: "mixed" | "short" | "long";
  pipe?: boolean;
  task: Task;
}

const one = { stamp: false, logs: [""], size: SIZE };
const SCENARIOS: Scenario[] = [
  { title: "pass-through", input: "mixed", task: one },
  { title: "pass-through, from a pipe", input: "mixed", pipe: true, task: one },
  {
    title: "pass-through, files of 99999 bytes",
    input: "mixed",
    task: { ...one, size: 99999 },
  },
  { title: "t", input: "mixed", task: { ...one, stamp: true } },
  {
    title: "t, one word selected",
    input: "mixed",
    task: { ...one, stamp: true, logs: ["timeout"] },
  },
  {
    title: "three logs, three selections",
    input: "mixed",
    task: { ...one, logs: ["fatal", "timeout", "accepted"] },
  },
  { title: "20-byte lines", input: "short", task: one },
  { title: "20-byte lines, t", input: "short", task: { ...one, stamp: true } },
  { title: "10,000-byte lines", input: "long", task: one },
  {
    title: "10,000-byte lines, t",
    input: "long",
    task: { ...one, stamp: true },
  },
];

async function throughput(dir: string, options: BenchOptions): Promise<void> {
  const { rounds, megabytes } = options;
  const inputs = {
    mixed: `${dir}/mixed`,
    short: `${dir}/short`,
    long: `${dir}/long`,
  };
  writeInput(inputs.mixed, megabytes);
  writeInput(inputs.short, megabytes, 20);
  writeInput(inputs.long, megabytes, 10000);
  const logs = `${dir}/logs`;
  Deno.mkdirSync(logs);
  for (const { title, input, pipe, task } of SCENARIOS) {
    if (!title.includes(options.only)) continue;
    const times = new Map<string, number[]>();
    const peaks = new Map<string, number>();
    for (let round = 0; round < rounds; round++) {
      for (const rival of RIVALS) {
        const command = rival.command(task, emptied(logs));
        if (command === undefined) continue;
        await settle();
        const { seconds, peak } = await cost(
          pipe
            ? ["/bin/sh", "-c", 'cat | exec "$@"', "sh", ...command]
            : command,
          inputs[input],
          !pipe && round === 0,
        );
        if (round === 0) peaks.set(rival.name, peak);
        times.set(rival.name, [...times.get(rival.name) ?? [], seconds]);
      }
      const name = "dd, one fsync";
      await settle();
      const { seconds } = await cost(
        [
          "dd",
          `of=${emptied(logs)}/all`,
          "bs=256k",
          "conv=fsync",
          "status=none",
        ],
        inputs[input],
      );
      times.set(name, [...times.get(name) ?? [], seconds]);
    }
    const mine = times.get("ours")!;
    const largest = Math.max(...[...times.values()].map(median));
    console.log(`\n${title}: ${megabytes} MB, median of ${rounds}`);
    console.log(table([
      ["", "seconds", "MB/s", "peak MiB", "time to ours", ""],
      ...[...times].map(([name, list]) => [
        name,
        median(list).toFixed(2),
        (megabytes / median(list)).toFixed(0),
        peaks.get(name)?.toFixed(0) || "",
        name === "ours" ? "1" : `${ratio(list, mine).toFixed(2)}`,
        bar(median(list), largest).padEnd(24),
      ]),
    ]));
  }
}

/** Processor time of all threads of a process so far, in milliseconds. */
function processorTime(pid: number): number {
  let sum = 0;
  for (const { name } of Deno.readDirSync(`/proc/${pid}/task`)) {
    const line = Deno.readTextFileSync(`/proc/${pid}/task/${name}/schedstat`);
    sum += Number(line.split(" ")[0]) / 1e6;
  }
  return sum;
}

async function oneByOne(dir: string): Promise<void> {
  const LINES = 1000;
  const rows = [["", "median ms", "99 % ms", "CPU ms per 1000 lines"]];
  for (const rival of RIVALS) {
    const logs = emptied(`${dir}/logs`);
    const command = rival.command({ ...one, stamp: true }, logs)!;
    const child = new Deno.Command(command[0]!, {
      args: command.slice(1),
      stdin: "piped",
    }).spawn();
    const writer = child.stdin.getWriter();
    const line = new TextEncoder().encode(
      `${"one line at a time ".repeat(4)}\n`,
    );
    const current = `${logs}/log0/current`;
    await writer.write(line);
    while (!(size(current) > 0)) await pause(1);
    const delays: number[] = [];
    const before = processorTime(child.pid);
    for (let i = 0; i < LINES; i++) {
      const had = size(current);
      const start = performance.now();
      await writer.write(line);
      while (size(current) === had);
      delays.push(performance.now() - start);
      await pause(1);
    }
    const used = processorTime(child.pid) - before;
    await writer.close();
    await child.status;
    rows.push([
      rival.name,
      median(delays).toFixed(3),
      quantile(delays, 0.99).toFixed(3),
      (used * 1000 / LINES).toFixed(0),
    ]);
  }
  console.log(
    `\nlines that come one by one: from write to file, ${LINES} lines`,
  );
  console.log(table(rows));
}

function size(path: string): number {
  try {
    return Deno.statSync(path).size;
  } catch {
    return 0;
  }
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

async function start(dir: string, options: BenchOptions): Promise<void> {
  const source = `${dir}/empty.ts`;
  const empty = `${dir}/empty`;
  Deno.writeTextFileSync(source, "");
  const { success } = await new Deno.Command(Deno.execPath(), {
    args: ["compile", "--quiet", "--no-check", "--output", empty, source],
  }).output();
  if (!success) throw new Error("can't compile the empty program");
  const programs: [string, string[]][] = [["empty program", [empty]]];
  const logs = emptied(`${dir}/logs`);
  for (const rival of RIVALS) {
    programs.push([rival.name, rival.command(one, logs)!]);
  }
  const times = new Map<string, number[]>(programs.map(([name]) => [name, []]));
  const peaks = new Map<string, number[]>(programs.map(([name]) => [name, []]));
  for (let round = 0; round < 4 * options.rounds; round++) {
    for (const [name, command] of programs) {
      times.get(name)!.push(1000 * (await cost(command)).seconds);
      peaks.get(name)!.push((await cost(command, "/dev/null", true)).peak);
    }
  }
  console.log("\nstart and end with no input");
  console.log(table([
    ["", "ms", "to the empty program", "peak MiB"],
    ...programs.map(([name]) => [
      name,
      median(times.get(name)!).toFixed(1),
      ratio(times.get(name)!, times.get("empty program")!).toFixed(2),
      Math.max(...peaks.get(name)!).toFixed(0),
    ]),
  ]));
}

/**
 * Measures multilog and its rivals and prints what came out.
 *
 * @param options How often, and with how much
 */
export async function bench(options: BenchOptions): Promise<void> {
  const dir = Deno.makeTempDirSync({ prefix: "logferry-bench-" });
  try {
    await throughput(dir, options);
    if ("one by one".includes(options.only)) await oneByOne(dir);
    if ("start".includes(options.only)) await start(dir, options);
  } finally {
    Deno.removeSync(dir, { recursive: true });
  }
}

/**
 * multilog beside its rivals: throughput, the delay of single lines, what a
 * start takes, and memory.
 *
 * @module
 */
import { encode } from "../../src/bytes.ts";
import { Changes } from "../../src/sys/changes.ts";
import { close, pipe, write } from "../../src/sys/descriptors.ts";
import { environ } from "../../src/sys/environment.ts";
import { Readiness } from "../../src/sys/poll.ts";
import { spawn, waitFor } from "../../src/sys/process.ts";
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
  /**
   * For each log what selects its lines: nothing for all, a word in them, or
   * with a `^` before it what they begin with.
   */
  logs: string[];
  size: number;
  /** What each finished file goes through; nothing unless given. */
  processor?: string;
  /** Whether ours has no script for each log, but one action, `@dir`. */
  hosts?: boolean;
}

const SIZE = 16777215;
const KEEP = 10;

/** A selection as multilog's pattern, which is svlogd's, too. */
function simple(selection: string): string {
  return selection.startsWith("^")
    ? `${selection.slice(1)}*`
    : `*${selection}*`;
}

function multilogCommand(path: string) {
  return (task: Task, dir: string): string[] => [
    path,
    ...(task.stamp ? ["t"] : []),
    ...task.logs.flatMap((pattern, i) => [
      ...(pattern ? ["-*", `+${simple(pattern)}`] : ["+*"]),
      `s${task.size}`,
      `n${KEEP}`,
      ...(task.processor ? [`!${task.processor}`] : []),
      `${dir}/log${i}`,
    ]).slice(task.logs.join("") ? 0 : 1),
  ];
}

const ALL: Rival[] = [
  {
    name: "ours",
    path: ours.multilog,
    command: (task, dir) =>
      task.hosts
        ? [ours.multilog, `s${task.size}`, `n${KEEP}`, `@${dir}/hosts`]
        : multilogCommand(ours.multilog)(task, dir),
  },
  {
    name: "multilog",
    path: installed("multilog") ?? "",
    command: multilogCommand(installed("multilog") ?? ""),
  },
  {
    name: "s6-log",
    path: installed("s6-log") ?? "",
    // Its processors need a shell of their own, which is another package. It
    // asks all regular expressions about each line: 500 take it minutes.
    command: (task, dir) =>
      task.processor || task.logs.length > 100 ? undefined : [
        installed("s6-log")!,
        "-b",
        ...task.logs.flatMap((pattern, i) => [
          // Its patterns are extended regular expressions.
          ...(pattern ? ["-", `+${pattern.replaceAll(".", "\\.")}`] : ["+"]),
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
            (task.processor ? `!${task.processor}\n` : "") +
            (pattern ? `-*\n+${simple(pattern)}\n` : ""),
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
function writeInput(
  path: string,
  megabytes: number,
  input: typeof INPUTS[number],
): void {
  using file = Deno.openSync(path, { write: true, create: true });
  const length =
    { mixed: 0, hosts: 0, short: 20, long: 10000, empty: 1 }[input];
  const words = ["error", "fatal: ", "GET /index.html", "200", "named[135]:"]
    .concat(["connection from", "user", "accepted", "timeout", "status ok"]);
  let seed = 1;
  const random = () =>
    (seed = seed * 1103515245 + 12345 & 0x7fffffff) / 2 ** 31;
  let block = "";
  while (block.length < 1e6) {
    const target = length ? length - 1 : 20 + Math.floor(random() * 160);
    let line = input === "hosts"
      ? `${HOSTS[Math.floor(random() * HOSTS.length)]}: `
      : "";
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

const INPUTS = ["mixed", "short", "long", "empty", "hosts"] as const;

interface Scenario {
  title: string;
  input: typeof INPUTS[number];
  pipe?: boolean;
  /** How much of the input is enough, where it takes long; all unless given. */
  part?: number;
  task: Task;
}

const HOSTS = Array.from(
  { length: 500 },
  (_, i) => `10.1.${Math.floor(i / 256)}.${i % 256}`,
);

const one = { stamp: false, logs: [""], size: SIZE };
const SCENARIOS: Scenario[] = [
  { title: "pass-through", input: "mixed", task: one },
  { title: "pass-through, from a pipe", input: "mixed", pipe: true, task: one },
  {
    title: "pass-through, files of 99999 bytes",
    input: "mixed",
    task: { ...one, size: 99999 },
  },
  {
    title: "files of 99999 bytes, through cat",
    input: "mixed",
    part: 0.1,
    task: { ...one, size: 99999, processor: "cat" },
  },
  { title: "t", input: "mixed", task: { ...one, stamp: true } },
  {
    title: "three logs, three selections",
    input: "mixed",
    task: { ...one, logs: ["fatal", "timeout", "accepted"] },
  },
  {
    title: "t, one word selected",
    input: "mixed",
    task: { ...one, stamp: true, logs: ["error"] },
  },
  {
    title: "lines that begin with a word selected",
    input: "mixed",
    task: { ...one, logs: ["^error"] },
  },
  {
    title: "500 hosts, a log for each",
    input: "hosts",
    task: { ...one, logs: HOSTS.map((host) => `^${host}: `) },
  },
  {
    title: "500 hosts, ours with @dir",
    input: "hosts",
    task: { ...one, logs: HOSTS.map((host) => `^${host}: `), hosts: true },
  },
  { title: "20-byte lines", input: "short", task: one },
  { title: "20-byte lines, t", input: "short", task: { ...one, stamp: true } },
  {
    title: "empty lines, t",
    input: "empty",
    // A stamp makes 27 bytes of each.
    part: 0.1,
    task: { ...one, stamp: true },
  },
  { title: "10,000-byte lines", input: "long", task: one },
  {
    title: "10,000-byte lines, t",
    input: "long",
    task: { ...one, stamp: true },
  },
];

async function throughput(dir: string, options: BenchOptions): Promise<void> {
  const { rounds, megabytes } = options;
  const logs = `${dir}/logs`;
  Deno.mkdirSync(logs);
  for (const { title, input, pipe, part = 1, task } of SCENARIOS) {
    if (!title.includes(options.only)) continue;
    const source = `${dir}/input`;
    const size = Math.ceil(part * megabytes);
    writeInput(source, size, input);
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
          source,
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
        source,
      );
      times.set(name, [...times.get(name) ?? [], seconds]);
    }
    const mine = times.get("ours")!;
    const largest = Math.max(...[...times.values()].map(median));
    Deno.removeSync(source);
    console.log(`\n${title}: ${size} MB, median of ${rounds}`);
    console.log(table([
      ["", "seconds", "MB/s", "peak MiB", "time to ours", ""],
      ...[...times].map(([name, list]) => [
        name,
        median(list).toFixed(2),
        (size / median(list)).toFixed(0),
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

/** Lines that come one by one, and how long each takes to its file. */
interface Delays {
  /** Milliseconds. */
  median: number;
  /** The 99th percentile, in milliseconds. */
  most: number;
  /** Milliseconds of processor time for a thousand lines. */
  used: number;
}

const LINES = 3000;

/**
 * Whoever looks at the file must not spin: on a machine with few processors it
 * would take the one that the program is to be woken on.
 */
async function delaysOf(command: string[], log: string): Promise<Delays> {
  const { reader, writer } = pipe();
  const pid = spawn({
    args: command,
    env: environ(),
    fds: new Map([[0, reader]]),
  });
  close(reader);
  const ending = waitFor(pid);
  const line = encode(`${"one line at a time ".repeat(4)}\n`);
  const current = `${log}/current`;
  write(writer, line);
  while (!(size(current) > 0)) await pause(1);
  const delays: number[] = [];
  let used;
  {
    using changes = new Changes(log);
    const changed = new Readiness(changes.fd);
    const before = processorTime(pid);
    for (let i = 0; i < LINES; i++) {
      const had = size(current);
      const start = performance.now();
      write(writer, line);
      while (size(current) === had) {
        changed.ready(-1);
        changes.take();
      }
      delays.push(performance.now() - start);
      await pause(1);
    }
    used = processorTime(pid) - before;
  }
  close(writer);
  await ending;
  return {
    median: median(delays),
    most: quantile(delays, 0.99),
    used: used * 1000 / LINES,
  };
}

async function oneByOne(dir: string, options: BenchOptions): Promise<void> {
  const found = new Map<string, Delays[]>(RIVALS.map(({ name }) => [name, []]));
  for (let round = 0; round < options.rounds; round++) {
    for (const { name, command } of RIVALS) {
      const logs = emptied(`${dir}/logs`);
      const words = command({ ...one, stamp: true }, logs)!;
      found.get(name)!.push(await delaysOf(words, `${logs}/log0`));
    }
  }
  console.log(
    "\nlines that come one by one: from write to file, medians of " +
      `${options.rounds} rounds of ${LINES} lines`,
  );
  console.log(table([
    ["", "median ms", "99 % ms", "CPU ms per 1000 lines"],
    ...[...found].map(([name, all]) => [
      name,
      median(all.map((one) => one.median)).toFixed(3),
      median(all.map((one) => one.most)).toFixed(3),
      median(all.map((one) => one.used)).toFixed(0),
    ]),
  ]));
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
    if ("one by one".includes(options.only)) await oneByOne(dir, options);
    if ("start".includes(options.only)) await start(dir, options);
  } finally {
    Deno.removeSync(dir, { recursive: true });
  }
}

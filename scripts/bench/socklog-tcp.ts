/**
 * socklog-tcp beside `tcpserver … socklog ucspi`, `tcpclient` and `nc`.
 *
 * @module
 */
import { NEWLINE } from "../../src/bytes.ts";
import { linesIn, type Load, text } from "./load.ts";
import { type BenchOptions, cost, median, ratio, table } from "./report.ts";

const OURS = new URL("../../dist/socklog-tcp", import.meta.url).pathname;
const LOAD = new URL("load.ts", import.meta.url).pathname;

interface Server {
  name: string;
  command: string[];
}

const OPTIONS = ["-RHl0", "-1", "-b", "1024", "-c", "6000", "127.0.0.1", "0"];
const SERVERS: Server[] = [
  { name: "socklog-tcp", command: [OURS, ...OPTIONS, "TCPREMOTEIP"] },
  {
    name: "tcpserver socklog",
    command: ["tcpserver", ...OPTIONS, "socklog", "ucspi", "TCPREMOTEIP"],
  },
];

interface Case extends Omit<Load, "port"> {
  title: string;
  /** What is to be reached. */
  target: string;
  unit: "connections/s" | "MB/s";
  /** How often, where that takes long. */
  rounds?: number;
}

const CASES: Case[] = [
  {
    title: "4 KB each, 20 at once",
    target: "4x",
    unit: "connections/s",
    transmissions: 2000,
    atOnce: 20,
    bytes: 4096,
    idle: 0,
  },
  {
    title: "8 MB each, 4 at once",
    target: "4x",
    unit: "MB/s",
    transmissions: 4,
    atOnce: 4,
    bytes: 8 * 1024 * 1024,
    idle: 0,
  },
  {
    title: "40 KB each, 400 at once",
    target: "3x",
    unit: "MB/s",
    transmissions: 800,
    atOnce: 400,
    bytes: 40 * 1024,
    idle: 0,
  },
  {
    title: "4 KB each, 50 at once, beside 5,000 idle",
    target: "",
    unit: "connections/s",
    transmissions: 2000,
    atOnce: 50,
    bytes: 4096,
    idle: 5000,
    rounds: 1,
  },
];

/** Servers whose lines go into a log. */
const LOGGING: (Server & { acknowledges?: boolean; factor?: string })[] = [
  {
    name: "socklog-tcp multilog",
    command: [OURS, ...OPTIONS, "TCPREMOTEIP", "multilog"],
    factor: "5x",
  },
  {
    name: "socklog-tcp -a multilog",
    command: [OURS, "-a", ...OPTIONS, "TCPREMOTEIP", "multilog"],
    acknowledges: true,
    factor: "1x",
  },
  {
    name: "tcpserver socklog | multilog",
    command: ["tcpserver", ...OPTIONS, "socklog", "ucspi", "TCPREMOTEIP"],
  },
];
/** From how many hosts lines come that go to a log for each. */
const HOSTS = Array.from({ length: 20 }, (_, i) => `127.0.0.${2 + i}`);

/** Where lines go. */
interface Destination {
  title: string;
  /** Our script; no line has to go. */
  ours: string[];
  /** The original's. */
  theirs: string[];
  /** From how many hosts lines come, each with a log; none are told apart. */
  hosts: number;
}

const ALL = ["s999999", "n1000", "./all"];
const DESTINATIONS: Destination[] = [
  {
    title: "into a log",
    ours: ALL,
    theirs: ALL,
    hosts: 0,
  },
  {
    title: `into a log, and one for each of ${HOSTS.length} hosts`,
    ours: [...ALL, "@./hosts"],
    theirs: ALL.concat(
      ...HOSTS.map((host) => ["-*", `+${host}: *`, `./hosts/${host}`]),
    ),
    hosts: HOSTS.length,
  },
];

/** What one server did with one load. */
interface Result {
  seconds: number;
  /** The memory of all its processes, in MiB. */
  memory: number;
  /** How many lines weren't in the log of their host: the original mixes some. */
  astray?: number;
}

/** How many loads a server gets before the one that counts. */
const WARM_UP = 1;

async function* linesOf(
  stream: ReadableStream<Uint8Array>,
): AsyncGenerator<string> {
  let rest = "";
  for await (const chunk of stream.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + chunk).split("\n");
    rest = lines.pop()!;
    yield* lines;
  }
}

/** The memory that is only theirs of a process and its children, in MiB. */
async function memoryOf(parent: number): Promise<number> {
  let sum = 0;
  for await (const { name } of Deno.readDir("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const status = await Deno.readTextFile(`/proc/${name}/status`);
      const own = Number(name) === parent;
      if (!own && !status.includes(`PPid:\t${parent}\n`)) continue;
      const rollup = await Deno.readTextFile(`/proc/${name}/smaps_rollup`);
      sum += Number(/^Pss:\s+(\d+)/m.exec(rollup)![1]) / 1024;
    } catch {
      // It has ended.
    }
  }
  return sum;
}

/** Puts a load on a server that runs. */
async function put(
  { transmissions, atOnce, bytes, idle }: Case,
  port: number,
  pid: number,
  acknowledged: boolean,
  hosts = 0,
): Promise<Result> {
  const load: Load = {
    port,
    hosts,
    transmissions,
    atOnce,
    bytes,
    idle,
    acknowledged,
  };
  const sender = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", LOAD, JSON.stringify(load)],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const said = linesOf(sender.stdout);
  const orders = sender.stdin.getWriter();
  await said.next();
  let seconds = NaN;
  for (let i = 0; i <= WARM_UP; i++) {
    await orders.write(new TextEncoder().encode("go"));
    seconds = Number((await said.next()).value) / 1000;
  }
  const memory = await memoryOf(pid);
  await orders.close();
  await sender.status;
  return { seconds, memory };
}

/** How many of a load's transmissions each log has to have. */
function shares(transmissions: number, hosts: number): Map<string, number> {
  const logs = new Map([["all", transmissions]]);
  for (let i = 0; i < transmissions && hosts > 0; i++) {
    const log = `hosts/${HOSTS[i % hosts]}`;
    logs.set(log, (logs.get(log) ?? 0) + 1);
  }
  return logs;
}

/** How many lines are in a log's files. */
async function countLines(log: string): Promise<number> {
  let count = 0;
  for await (const { name } of Deno.readDir(log)) {
    if (name !== "current" && name[0] !== "@") continue;
    const bytes = await Deno.readFile(`${log}/${name}`);
    for (const byte of bytes) if (byte === NEWLINE) count++;
  }
  return count;
}

/** Runs a server with logs and a load, and counts the lines in the files. */
async function measureLogging(
  { name, command, acknowledges = false }: typeof LOGGING[number],
  { ours, theirs, hosts }: Destination,
  what: Case,
): Promise<Result> {
  const folder = await Deno.makeTempDir();
  try {
    await Deno.mkdir(`${folder}/hosts`);
    // The process's number comes first, then the port.
    const line = command.includes("multilog")
      ? 'echo $$; exec "$@"'
      : 'exec 3>&1; { sh -c "echo \\$PPID" >&3; exec "$@" 2>&1 >&3 3>&-; } | ' +
        `exec multilog ${theirs.map((word) => `'${word}'`).join(" ")}`;
    const child = new Deno.Command("sh", {
      args: ["-c", line, "sh", ...command].concat(
        command.includes("multilog") ? ours : [],
      ),
      cwd: folder,
      stdin: "null",
      stdout: "piped",
    }).spawn();
    const out = linesOf(child.stdout);
    const pid = Number((await out.next()).value);
    const port = Number((await out.next()).value);
    const result = await put(what, port, pid, acknowledges, hosts);
    Deno.kill(pid, "SIGTERM");
    await child.status;
    await out.return(undefined);
    result.astray = 0;
    for (const [log, share] of shares(what.transmissions, hosts)) {
      const counted = await countLines(`${folder}/${log}`);
      const expected = (WARM_UP + 1) * share * linesIn(what.bytes);
      if (log !== "all" && !command.includes("multilog")) {
        result.astray += Math.abs(expected - counted);
      } else if (counted !== expected) {
        throw new Error(
          `${name}: ${counted} lines in ${log} instead of ${expected}`,
        );
      }
    }
    return result;
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function benchLogging(
  options: BenchOptions,
  destination: Destination,
): Promise<void> {
  for (const what of CASES) {
    const title = `${destination.title}: ${what.title}`;
    if (what.idle > 0 || !title.includes(options.only)) continue;
    const results = LOGGING.map((): Result[] => []);
    for (let round = 0; round < options.rounds; round++) {
      for (const [i, server] of LOGGING.entries()) {
        results[i]!.push(await measureLogging(server, destination, what));
      }
    }
    const seconds = results.map((list) => list.map((one) => one.seconds));
    const amount = amountOf(what);
    console.log(`\n${title}, medians of ${options.rounds}`);
    console.log(table([
      ["", what.unit, "MiB", "times", "to reach", "lines astray"],
      ...LOGGING.map(({ name, factor = "" }, i) => [
        name,
        (amount / median(seconds[i]!)).toFixed(0),
        median(results[i]!.map((one) => one.memory)).toFixed(0),
        ratio(seconds.at(-1)!, seconds[i]!).toFixed(1),
        factor,
        `${median(results[i]!.map(({ astray = 0 }) => astray))}`,
      ]),
    ]));
  }
}

/** How much a case sends, in its unit. */
function amountOf({ unit, transmissions, bytes }: Case): number {
  return unit === "MB/s"
    ? transmissions * text(bytes).length / 1e6
    : transmissions;
}

/** Runs a server and a load, and counts the lines at the end of the pipe. */
async function measure(server: Server, what: Case): Promise<Result> {
  // The port comes first, then the data: on 1 from ours, on 2 from the other.
  const child = new Deno.Command("sh", {
    args: [
      "-c",
      '{ echo $$ >&2; exec "$@" 2>&3; } 3>&1 | { read -r port; echo $port; wc -l; }'
        .replace("echo $$ >&2;", 'sh -c "echo \\$PPID" >&2;'),
      "sh",
      ...server.command,
    ],
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const out = linesOf(child.stdout);
  const err = linesOf(child.stderr);
  const pid = Number((await err.next()).value);
  const port = Number((await out.next()).value);
  const { transmissions, bytes, idle } = what;
  const { seconds, memory } = await put(what, port, pid, false);
  if (idle > 0) await new Promise((resolve) => setTimeout(resolve, 3000));
  Deno.kill(pid, "SIGTERM");
  const counted = Number((await out.next()).value);
  await child.status;
  await child.stderr.cancel().catch(() => {});
  const expected = (WARM_UP + 1) * transmissions * linesIn(bytes);
  // The idle ones' unfinished lines come out too, mixed by the original.
  if (counted < expected || counted > expected + idle) {
    throw new Error(`${server.name}: ${counted} lines instead of ${expected}`);
  }
  return { seconds, memory };
}

async function benchServers(options: BenchOptions): Promise<void> {
  for (const what of CASES) {
    if (!what.title.includes(options.only)) continue;
    const results = SERVERS.map((): Result[] => []);
    const rounds = what.rounds ?? options.rounds;
    for (let round = 0; round < rounds; round++) {
      for (const [i, server] of SERVERS.entries()) {
        results[i]!.push(await measure(server, what));
      }
    }
    const seconds = results.map((list) => list.map((one) => one.seconds));
    const amount = amountOf(what);
    const factor = ratio(seconds[1]!, seconds[0]!);
    console.log(
      `\n${what.title}: ${factor.toFixed(1)}x` +
        (what.target && ` (to reach: ${what.target})`) +
        `, medians of ${rounds}`,
    );
    console.log(table([
      ["", what.unit, "MiB"],
      ...SERVERS.map(({ name }, i) => [
        name,
        (amount / median(seconds[i]!)).toFixed(0),
        median(results[i]!.map((one) => one.memory)).toFixed(0),
      ]),
    ]));
  }
}

/** A server that reads everything and keeps nothing. */
async function sink(listener: Deno.TcpListener): Promise<void> {
  const buffer = new Uint8Array(1024 * 1024);
  for await (const connection of listener) {
    while (await connection.read(buffer) !== null);
    connection.close();
  }
}

async function benchSenders(options: BenchOptions): Promise<void> {
  if (!"senders".includes(options.only)) return;
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr as Deno.NetAddr;
  const serving = sink(listener);
  const to = ["127.0.0.1", `${port}`];
  const senders = [
    ["socklog-tcp send", OURS, "send", ...to],
    ["tcpclient cat", "tcpclient", "-RHl0", ...to, "sh", "-c", "cat >&7"],
    ["nc -N", "nc", "-N", ...to],
  ];
  const file = await Deno.makeTempFile();
  const rows = [["", "4 KB, ms", "16 MB, ms", "16 MB without the start, MB/s"]];
  try {
    const times = senders.map(() => [[] as number[], [] as number[]]);
    for (let round = 0; round < options.rounds; round++) {
      for (const [k, size] of [4096, 16 * 1024 * 1024].entries()) {
        await Deno.writeFile(file, text(size));
        for (const [i, [, ...command]] of senders.entries()) {
          times[i]![k]!.push((await cost(command, file)).seconds);
        }
      }
    }
    for (const [i, [name]] of senders.entries()) {
      const [small, large] = times[i]!.map(median) as [number, number];
      rows.push([
        name!,
        (small * 1000).toFixed(1),
        (large * 1000).toFixed(1),
        (16.8 / Math.max(large - small, 1e-3)).toFixed(0),
      ]);
    }
  } finally {
    await Deno.remove(file);
  }
  console.log(`\nsenders, medians of ${options.rounds}`);
  console.log(table(rows));
  listener.close();
  await serving;
}

/**
 * Measures the server and the sender.
 *
 * @param options How
 */
export async function bench(options: BenchOptions): Promise<void> {
  await benchServers(options);
  for (const destination of DESTINATIONS) {
    await benchLogging(options, destination);
  }
  await benchSenders(options);
}

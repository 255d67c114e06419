/**
 * The whole way of a line: a service, multilog with a processor, a log server.
 * It is the client and the server of socklog's page on network logging, ours
 * and the originals', everything on this machine.
 *
 * With lines of 100 bytes, the files that the original multilog finishes are
 * up to a fifth larger at s4096 (it writes 512 bytes at a time), and the same
 * to 0.3 % at the other sizes; where it looks for input it cuts where ours
 * does.
 *
 * @module
 */
import { Changes } from "../../src/sys/changes.ts";
import { close, pipe } from "../../src/sys/descriptors.ts";
import { open, stat } from "../../src/sys/files.ts";
import { Readiness } from "../../src/sys/poll.ts";
import { groupExists, kill, spawn, waitFor } from "../../src/sys/process.ts";
import { signals } from "../../src/sys/signals.ts";
import {
  bind,
  connect,
  getsockname,
  listen,
  loopbackAddress,
  socket,
} from "../../src/sys/sockets.ts";
import { childrenOf, inCheckout, installed } from "../../tests/tools.ts";
import { cleaningUp } from "../clean_up.ts";
import { type BenchOptions, median, quantile, ratio, table } from "./report.ts";
import { LINE_LENGTH, type Order, type Report } from "./service.ts";

/** One way of sending logs, from the client's multilog to the server's file. */
export interface Way {
  name: string;
  /** Where its programs are looked up before `$PATH`. */
  path: string;
  /** The server's words; it prints its port first. */
  server(port?: number): string[];
  /** The file in `dir` that the lines end in; `"out"` is its output. */
  file: string;
  /** What is around the processor's transmission, and its options. */
  tryto: string;
  /** The processor's transmission to a port. */
  sender(port: number): string;
}

function listenAt(port = 0): string[] {
  return ["-1", "-vHR", "-l0", "127.0.0.1", `${port}`];
}
const DIST = inCheckout("dist");

const ORIGINAL: Way = {
  name: "originals",
  path: "",
  server: (
    port,
  ) => ["tcpserver", ...listenAt(port), "socklog", "ucspi", "TCPREMOTEIP"],
  file: "out",
  tryto: "tryto -pv",
  // Without its options it asks a name server, and may wait 3 seconds for it.
  sender: (port) => `tcpclient -vHRl0 127.0.0.1 ${port} sh -c "cat >&7"`,
};
const OURS: Way = {
  name: "ours",
  path: DIST,
  server: (port) => ["socklog-tcp", ...listenAt(port), "TCPREMOTEIP"],
  file: "out",
  tryto: "tryto -pv",
  sender: (port) => `socklog-tcp send 127.0.0.1 ${port}`,
};
/** What fails waits for its turn, and what arrived is acknowledged. */
const QUEUE: Way = {
  name: "ours, -a, no -p",
  path: DIST,
  server: (port) => ["socklog-tcp", "-a", ...listenAt(port), "TCPREMOTEIP"],
  file: "out",
  tryto: "tryto -v",
  sender: (port) => `socklog-tcp send -a 127.0.0.1 ${port}`,
};
export const WAYS: readonly Way[] = [ORIGINAL, OURS, QUEUE];

/**
 * The ways whose programs are here.
 *
 * @returns Them, and what of the originals is missing
 */
export function waysHere(): { ways: readonly Way[]; missing: string[] } {
  const missing = ["multilog", "tryto", "tcpserver", "tcpclient", "socklog"]
    .filter((name) => installed(name) === undefined);
  return { ways: missing.length ? WAYS.slice(1) : WAYS, missing };
}

/** Sizes of files, and how many times as fast as the originals to be. */
const SIZES = [
  { size: 4096, speed: 1.5 },
  { size: 99999, speed: 2.5 },
  { size: 999999, speed: 5 },
];
/**
 * How many are finished in a round: many, so that it doesn't count that the
 * first one has to be written before it can be sent.
 */
const FILES = 40;
const CPU = 0.5;

/** How many of its lines the original server may cut. */
const CUT = 1e-4;

/** What is to be gone at the end. */
export const running: Set<Program> = new Set();
/** Whether a signal has come: then nothing more is started. */
let ending = false;

/** How long a group that was ended is waited for, in milliseconds. */
const BURIAL = 2000;

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

/** Says what goes on, where somebody may be watching. */
function say(text: string): void {
  console.error(`flow: ${text}`);
}

/** As services have it: a long `$PATH` takes C's `execvp` a while. */
const PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

function environment(path: string): string[] {
  const env = Deno.env.toObject();
  env.PATH = path === "" ? PATH : `${path}:${PATH}`;
  return Object.entries(env).map(([name, value]) => `${name}=${value}`);
}

/** A program, leading a process group, with all that it says in a file. */
export class Program {
  readonly pid: number;
  readonly #name: string;
  readonly #out: string;
  /** How it has ended, if it has. */
  #ending: string | undefined;
  readonly #ended: Promise<void>;

  constructor(words: string[], path: string, stdin: number, out: string) {
    if (ending) throw new Error("ended by a signal");
    const file = open(out, "append");
    const env = environment(path);
    this.#name = words[0]!;
    this.#out = out;
    this.pid = spawn({
      args: words,
      // `$PATH` is looked through for ours, not for this program's.
      file: path ? `${path}/${words[0]}` : installed(words[0]!)!,
      env,
      fds: new Map([[0, stdin], [1, file], [2, file]]),
      session: true,
    });
    close(file);
    running.add(this);
    this.#ended = waitFor(this.pid).then((status) => {
      this.#ending = "code" in status
        ? `exit ${status.code}`
        : `signal ${status.signal}`;
    });
  }

  /** Throws, with its last words, if it has ended. */
  mustRun(): void {
    if (this.#ending !== undefined) throw this.trouble(this.#ending);
  }

  trouble(what: string): Error {
    const said = tail(this.#out, 500).trimEnd().split("\n").slice(-3).join(
      "\n",
    );
    const words = said && `; it said:\n${said}`;
    return new Error(`${this.#name}: ${what}${words}`);
  }

  /**
   * Its processor time and that of the children that it has waited for, in
   * milliseconds: its own to the microsecond, theirs in clock ticks of 10 ms.
   */
  cpu(): number {
    let sum = 0;
    for (const { name } of Deno.readDirSync(`/proc/${this.pid}/task`)) {
      const path = `/proc/${this.pid}/task/${name}/schedstat`;
      sum += Number(Deno.readTextFileSync(path).split(" ")[0]) / 1e6;
    }
    const stat = Deno.readTextFileSync(`/proc/${this.pid}/stat`);
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return sum + 10 * (Number(fields[13]) + Number(fields[14]));
  }

  /** Ends it and all that it has started. */
  async end(signal: number = signals.SIGKILL): Promise<void> {
    kill(-this.pid, signal);
    await this.#ended;
    // What was left to somebody else may never be waited for by that.
    const until = performance.now() + BURIAL;
    while (groupExists(this.pid) && performance.now() < until) await pause(2);
    running.delete(this);
  }
}

/** The end of a file that may not be there. */
function tail(path: string, bytes = 4096): string {
  try {
    using file = Deno.openSync(path);
    const { size } = file.statSync();
    file.seekSync(Math.max(size - bytes, 0), Deno.SeekMode.Start);
    const buffer = new Uint8Array(bytes);
    return new TextDecoder().decode(
      buffer.subarray(0, file.readSync(buffer) ?? 0),
    );
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return "";
    throw error;
  }
}

function exists(path: string): boolean {
  return stat(path) !== undefined;
}

/** The number of the last line of a file that has come whole; 0 for none. */
function lastLine(path: string): number {
  const found = [...tail(path).matchAll(/(?:^|: )(\d{10}) [^\n]*\n/gm)];
  return Number(found.at(-1)?.[1] ?? 0);
}

/** How a client's multilog is set up. */
interface Settings {
  size: number;
  keep?: number;
  /** More of tryto's options. */
  options?: string;
  /** Whether files are sent at all. */
  sends?: boolean;
  /** Another server's port, for one that hangs. */
  port?: number;
}

/** How long a line may take to the server: far more than it ever should. */
const PATIENCE = 30_000;

/** A client and its server, from their start to their end. */
class Flow {
  readonly way: Way;
  readonly #dir: string;
  readonly #server: Program | undefined;
  readonly #client: Program;
  readonly #service = new Worker(new URL("service.ts", import.meta.url), {
    type: "module",
  });
  /** The pipe's end that the service writes to. */
  readonly #writer: number;
  /** How many lines were given to the service. */
  #lines = 0;

  private constructor(
    way: Way,
    dir: string,
    server: Program | undefined,
    client: Program,
    writer: number,
  ) {
    this.way = way;
    this.#dir = dir;
    this.#server = server;
    this.#client = client;
    this.#writer = writer;
  }

  static async start(
    base: string,
    way: Way,
    { size, keep = 20, options = "", sends = true, port }: Settings,
  ): Promise<Flow> {
    if (ending) throw new Error("ended by a signal");
    const dir = Deno.makeTempDirSync({ dir: base });
    const nothing = open("/dev/null", "read");
    let server: Program | undefined;
    try {
      if (port === undefined) {
        const out = `${dir}/out`;
        server = new Program(way.server(), way.path, nothing, out);
        while (!/^\d+\n/.test(tail(out))) {
          server.mustRun();
          await pause(2);
        }
        port = parseInt(Deno.readTextFileSync(out));
      }
      const { reader, writer } = pipe();
      const words = `!${way.tryto} ${options} ${way.sender(port)}`;
      const client = new Program(
        ["multilog", `s${size}`, `n${keep}`]
          .concat(sends ? words : [], `${dir}/main`),
        way.path,
        reader,
        `${dir}/client`,
      );
      close(reader);
      return new Flow(way, dir, server, client, writer);
    } catch (error) {
      await server?.end();
      throw error;
    } finally {
      close(nothing);
    }
  }

  /** The file that the lines end in. */
  get file(): string {
    return `${this.#dir}/${this.way.file}`;
  }

  /** How many lines have arrived, from the first on. */
  get arrived(): number {
    return lastLine(this.file);
  }

  /** Lets the service log so many bytes; its lines are whole. */
  log(bytes: number, order: Partial<Order> = {}): Promise<Report> {
    const count = Math.max(Math.ceil(bytes / LINE_LENGTH), 1);
    const first = this.#lines + 1;
    if (!order.prepare) this.#lines += count;
    return new Promise((resolve, reject) => {
      this.#service.onmessage = ({ data }) => resolve(data);
      this.#service.onerror = ({ message }) => reject(new Error(message));
      this.#service.postMessage({ fd: this.#writer, first, count, ...order });
    });
  }

  /** When each of so many lines came to `current` after it was written, ms. */
  async delays(count: number, rate: number): Promise<number[]> {
    const times = new Float64Array(
      new SharedArrayBuffer(count * Float64Array.BYTES_PER_ELEMENT),
    );
    const main = `${this.#dir}/main`;
    await this.#until("no current", () => exists(`${main}/current`));
    const before = this.#lines;
    const logged = this.log(count * LINE_LENGTH, { rate, times });
    using changes = new Changes(main);
    const changed = new Readiness(changes.fd);
    const delays: number[] = [];
    await this.#until("lines are missing in the client's current", () => {
      const end = performance.now() + 50;
      while (delays.length < count && performance.now() < end) {
        changed.ready(20);
        changes.take();
        const last = lastLine(`${main}/current`);
        const now = performance.timeOrigin + performance.now();
        // Those before the last one came before it.
        while (delays.length < last - before) {
          delays.push(now - times[delays.length]!);
        }
        // Where the last one filled its file, nothing comes to the next.
        if (last === 0 && before + count === this.#newest(main)) break;
      }
      return delays.length === count || this.#newest(main) === this.#lines;
    });
    await logged;
    return delays;
  }

  /** The number of the last line that is in any file. */
  #newest(main: string): number {
    const names = [...Deno.readDirSync(main)].map(({ name }) => name)
      .filter((name) => name.startsWith("@")).sort();
    return Math.max(
      lastLine(`${main}/current`),
      lastLine(`${main}/${names.at(-1) ?? "current"}`),
    );
  }

  alarm(): void {
    kill(this.#client.pid, signals.SIGALRM);
  }

  /** Waits until the last line is in the client's `current`. */
  async inCurrent(): Promise<void> {
    await this.#until(
      "no line in the client's current",
      () => lastLine(`${this.#dir}/main/current`) === this.#lines,
    );
  }

  /**
   * Waits until the last line is in the server's file; ALRM helps when it is
   * in a file that isn't big enough. Again and again: the original doesn't
   * notice one that comes just before it waits for input.
   */
  async allArrived(): Promise<void> {
    let helped = -Infinity;
    await this.#until("lines are missing on the server", () => {
      const now = performance.now();
      if (
        now - helped > 100 &&
        lastLine(`${this.#dir}/main/current`) === this.#lines
      ) {
        this.alarm();
        helped = now;
      }
      return this.arrived >= this.#lines;
    });
  }

  /** Waits for it without ALRM, and hears at once of the moment. */
  async arrival(): Promise<void> {
    using changes = new Changes(this.file.replace(/\/[^/]*$/, ""));
    const changed = new Readiness(changes.fd);
    await this.#until("a line is missing on the server", () => {
      // Between these the event loop turns, and signals are heard of.
      const end = performance.now() + 50;
      while (this.arrived < this.#lines) {
        if (performance.now() > end) return false;
        changed.ready(20);
        changes.take();
      }
      return true;
    });
  }

  /** Waits until the client has nothing more to do. */
  async settled(): Promise<void> {
    await this.#until("the client doesn't come to rest", () => {
      if (childrenOf(this.#client.pid).length > 0) return false;
      for (const { name } of Deno.readDirSync(`${this.#dir}/main`)) {
        if (/^(previous|processed|newstate)$|\.u$/.test(name)) return false;
      }
      return true;
    });
    const children = () => childrenOf(this.#server!.pid).length;
    await this.#until("the server doesn't come to rest", () => children() < 1);
  }

  async #until(trouble: string, condition: () => boolean): Promise<void> {
    let seen = performance.now();
    let arrived = -1;
    while (!condition()) {
      this.#client.mustRun();
      this.#server?.mustRun();
      const now = performance.now();
      if (now - seen > 1000 && this.arrived > arrived) {
        arrived = this.arrived;
        seen = now;
      }
      if (now - seen > PATIENCE) {
        throw this.#client.trouble(
          `${trouble}, ${this.way.name}: ${this.arrived} of ${this.#lines} arrived, and none ` +
            `for ${PATIENCE / 1000} seconds`,
        );
      }
      await pause(1);
    }
  }

  /** Processor time so far, in milliseconds, at a moment of rest. */
  cpu(): { client: number; server: number } {
    return { client: this.#client.cpu(), server: this.#server!.cpu() };
  }

  /**
   * How many files the server has been sent.
   *
   * @throws {Error} When a line of them is missing, or comes twice
   */
  files(): number {
    const said = Deno.readTextFileSync(`${this.#dir}/out`);
    const text = this.way.file === "out"
      ? said
      : Deno.readTextFileSync(this.file);
    const numbers = Int32Array.from(
      text.matchAll(/: (\d{10}) /g),
      ([, number]) => Number(number),
    );
    const wrong = this.way === ORIGINAL
      // Its client doesn't wait until its lines are written. So the last of a
      // file may come together with the first of the next, and be cut by them.
      ? numbers.length < this.#lines * (1 - CUT)
      : numbers.length !== this.#lines ||
        numbers.some((number, i) => number !== i + 1);
    if (wrong) {
      throw new Error(
        `${this.way.name}: ${numbers.length} of ${this.#lines} lines on the ` +
          "server, or not in their order",
      );
    }
    return said.match(/: ok \d/g)?.length ?? 0;
  }

  /** Has the programs started and warm, and nothing to do. */
  async warmUp(bytes = 0): Promise<void> {
    await this.log(bytes);
    await this.allArrived();
    await this.settled();
  }

  /** Ends the client; a write that waits for it fails. */
  async endClient(): Promise<void> {
    await this.#client.end();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#client.end();
    await this.#server?.end();
    this.#service.terminate();
    close(this.#writer);
    if (!ending) Deno.removeSync(this.#dir, { recursive: true });
  }
}

/** Results of each way, by its name, one of each round. */
type Results<T> = Map<Way, T[]>;

async function inTurn<T>(
  ways: readonly Way[],
  rounds: number,
  title: string,
  measure: (way: Way) => Promise<T>,
): Promise<Results<T>> {
  const results: Results<T> = new Map(ways.map((way) => [way, []]));
  for (let round = 1; round <= rounds; round++) {
    say(`${title}, round ${round} of ${rounds}`);
    for (const way of ways) results.get(way)!.push(await measure(way));
  }
  return results;
}

/** A row: each way's median, the ratios to the originals', what to reach. */
function row(
  title: string,
  results: Results<number>,
  digits: number,
  target: string,
  inverse = false,
): string[] {
  const theirs = results.get(ORIGINAL);
  const cells = [...results.values()].map((list) =>
    median(list).toFixed(digits)
  );
  const ratios = [...results].filter(([way]) => way !== ORIGINAL)
    .map(([, ours]) => {
      if (theirs === undefined) return "-";
      const factor = inverse ? ratio(ours, theirs) : ratio(theirs, ours);
      return `${factor.toFixed(2)}x`;
    });
  return [title, ...cells, ...ratios, target];
}

function head(title: string, ways: readonly Way[]): string[] {
  const names = ways.map(({ name }) => name);
  return [title, ...names]
    .concat(ways.filter((way) => way !== ORIGINAL).map(() => "ratio"))
    .concat("to reach");
}

function pick<T>(
  results: Results<T>,
  of: (one: T) => number,
): Results<number> {
  return new Map([...results].map(([way, list]) => [way, list.map(of)]));
}

/** What one finished file takes, in milliseconds. */
interface Cost {
  time: number;
  client: number;
  server: number;
}

/** What so many files take one after the other, each of them. */
async function costOf(flow: Flow, size: number): Promise<Cost> {
  const before = { files: flow.files(), ...flow.cpu() };
  await flow.log(FILES * (size - 2000), { prepare: true });
  const start = performance.now();
  const [{ written }] = await Promise.all([
    flow.log(FILES * (size - 2000)),
    flow.allArrived(),
  ]);
  const time = performance.now() - start;
  await flow.settled();
  const after = flow.cpu();
  const count = flow.files() - before.files;
  if (count < 0.7 * FILES) {
    throw new Error(`${flow.way.name}: ${count} files of ${written} lines`);
  }
  return {
    time: time / count,
    client: (after.client - before.client) / count,
    server: (after.server - before.server) / count,
  };
}

/** How many times as many files are sent before they are measured again. */
const LATER = 5;

async function files(
  dir: string,
  ways: readonly Way[],
  rounds: number,
): Promise<void> {
  const speed: string[][] = [];
  const client: string[][] = [];
  const server: string[][] = [];
  for (const { size, speed: target } of SIZES) {
    const results = await inTurn(
      ways,
      rounds,
      `${FILES} files of s${size}, and ${FILES} later`,
      async (way): Promise<{ first: Cost; later: Cost }> => {
        await using flow = await Flow.start(dir, way, { size });
        await flow.warmUp(2 * (size - 2000));
        const first = await costOf(flow, size);
        await flow.warmUp(LATER * FILES * (size - 2000));
        return { first, later: await costOf(flow, size) };
      },
    );
    for (const when of ["first", "later"] as const) {
      const title = `s${size}, ${when} ${FILES} files`;
      const costs = (of: (cost: Cost) => number) =>
        pick(results, (one) => of(one[when]));
      speed.push(row(title, costs((one) => one.time), 1, `${target}x`));
      client.push(row(title, costs((one) => one.client), 1, `${CPU}x`, true));
      server.push(row(title, costs((one) => one.server), 2, "", true));
    }
  }
  print(
    "time for each finished file, ms, and how many times as fast as the " +
      "originals: the first after a start, and as services have it that run " +
      "for longer",
    rounds,
    [head("", ways), ...speed],
  );
  print(
    "CPU of the client for each finished file, ms: multilog and all that it " +
      "starts, not the server; and how many times the originals'",
    rounds,
    [head("", ways), ...client],
  );
  print("CPU of the server for each finished file, ms, the same way", rounds, [
    head("", ways),
    ...server,
  ]);
}

function print(title: string, rounds: number, rows: string[][]): void {
  if (ending) throw new Error("ended by a signal");
  const medians = rounds ? `; medians of ${rounds} rounds` : "";
  console.log(`\n${title}${medians}`);
  console.log(table(rows));
}

/** How many single lines a round sends. */
const SINGLES = 10;

async function latency(
  dir: string,
  ways: readonly Way[],
  rounds: number,
): Promise<void> {
  const results = await inTurn(
    ways,
    rounds,
    `${SINGLES} single lines`,
    async (way) => {
      await using flow = await Flow.start(dir, way, { size: 4096 });
      await flow.warmUp();
      const delays: number[] = [];
      for (let i = 0; i < SINGLES; i++) {
        await flow.log(LINE_LENGTH);
        await flow.inCurrent();
        // Until it waits for input: see `allArrived`.
        await pause(20);
        const start = performance.now();
        flow.alarm();
        await flow.arrival();
        delays.push(performance.now() - start);
        await flow.settled();
      }
      flow.files();
      return median(delays);
    },
  );
  print("from ALRM to the line in the server's file, ms", rounds, [
    head("", ways),
    row("s4096", results, 1, "1x", true),
  ]);
}

/** What no write may take longer than, in milliseconds. */
const HELD_UP = 10;
const LOWEST = 8_000;
const HIGHEST = 2_000_000;
/** How often the range is halved, and how long each rate is tried. */
const STEPS = 6;
const TRIED = 1.5;
/** How much may be on its way when a rate is kept up: bytes, and seconds. */
const ON_ITS_WAY = 10_000;
const BEHIND = 0.05;

/** Whether a service can log at a rate without being held up. */
async function keepsUp(
  dir: string,
  way: Way,
  rate: number,
): Promise<boolean> {
  await using flow = await Flow.start(dir, way, { size: 4096 });
  await flow.warmUp(2 * 4096);
  const before = flow.arrived;
  const { written, longest } = await flow.log(TRIED * rate, {
    rate,
    limit: HELD_UP,
  });
  // What the pipe and the waiting files swallow for a while isn't kept up.
  const behind = (before + written - flow.arrived) * LINE_LENGTH;
  return longest <= HELD_UP && behind < ON_ITS_WAY + BEHIND * rate;
}

async function rates(dir: string, ways: readonly Way[]): Promise<void> {
  const found = new Map(
    ways.map((way) => [way, { low: LOWEST, high: HIGHEST }]),
  );
  for (let step = 1; step <= STEPS; step++) {
    say(`rates that hold up no write, step ${step} of ${STEPS}`);
    for (const [way, range] of found) {
      const rate = Math.sqrt(range.low * range.high);
      // One hiccup of the machine isn't the programs' limit.
      const well = await keepsUp(dir, way, rate) ||
        await keepsUp(dir, way, rate);
      if (well) range.low = rate;
      else range.high = rate;
    }
  }
  const results = new Map(
    [...found].map(([way, { low }]) => [way, [low / 1000]]),
  );
  print(
    `the highest rate at which no write of a service takes over ${HELD_UP} ` +
      `ms (within ${
        ((HIGHEST / LOWEST) ** (1 / 2 ** STEPS) * 100 - 100)
          .toFixed(0)
      } %), kB/s`,
    0,
    [head("", ways), row("s4096", results, 0, "", true)],
  );
}

/** How fast the lines come whose delay is measured, and for how long. */
const DELAY_RATE = 50_000;
const DELAY_SECONDS = 5;

async function delays(
  dir: string,
  ways: readonly Way[],
  rounds: number,
): Promise<void> {
  const kinds: [title: string, settings: Settings][] = [
    ["while no file is finished", { size: 16_000_000, sends: false }],
    ["while files are finished", { size: 4096, sends: false }],
    ["while files are sent", { size: 4096 }],
  ];
  const rows: string[][] = [];
  for (const [title, settings] of kinds) {
    const found = await inTurn(
      ways.filter((way) => way !== OURS),
      Math.min(rounds, 3),
      `the delay of lines ${title}`,
      async (way) => {
        await using flow = await Flow.start(dir, way, settings);
        // The first file takes longer.
        await flow.delays(200, DELAY_RATE);
        const count = DELAY_RATE * DELAY_SECONDS / LINE_LENGTH;
        return await flow.delays(count, DELAY_RATE);
      },
    );
    for (const share of [0.5, 0.99]) {
      const cells = [...found.values()].map((list) =>
        median(list.map((one) => quantile(one, share))).toFixed(2)
      );
      const limit = share === 0.99 && settings.sends !== false ? "5" : "";
      rows.push([`${title}, ${100 * share} %`, ...cells, limit]);
    }
  }
  const names = ways.filter((way) => way !== OURS).map(({ name }) => name);
  print(
    `line delay at s4096 and ${DELAY_RATE / 1000} kB/s: from a line's write ` +
      "until it is in current, ms, which so many don't exceed",
    Math.min(rounds, 3),
    [["", ...names, "at most"], ...rows],
  );
}

/** How long a service logs to a server that hangs, and how much, in bytes. */
const HANGING = 25;
const HANGING_RATE = 20_000;

/** A port of a server that hangs. */
interface Hanging extends Disposable {
  port: number;
}

/** A server that takes every connection, and never reads or answers. */
function silent(): Hanging {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const taken: Deno.Conn[] = [];
  (async () => {
    for await (const one of listener) taken.push(one);
  })();
  return {
    port: (listener.addr as Deno.NetAddr).port,
    [Symbol.dispose]() {
      listener.close();
      for (const one of taken) one.close();
    },
  };
}

/** A server that takes no connection: as many wait as the kernel lets. */
async function full(): Promise<Hanging> {
  const any = loopbackAddress(0);
  const fds = [socket(any)];
  bind(fds[0]!, any);
  listen(fds[0]!, 0);
  const { port } = getsockname(fds[0]!);
  for (let i = 0; i < 4; i++) {
    fds.push(socket(any));
    connect(fds.at(-1)!, loopbackAddress(port));
  }
  await pause(100);
  if (new Readiness(fds.at(-1)!, 4).ready()) {
    throw new Error("unable to make a server that takes no connection");
  }
  return { port, [Symbol.dispose]: () => fds.forEach(close) };
}

async function hanging(dir: string, ways: readonly Way[]): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const servers = [
    ["takes no connection", stack.use(await full())],
    ["never reads or answers*", stack.use(silent())],
  ] as const;
  say(`a server that hangs, for ${HANGING} seconds`);
  // All at once: hardly anything of this is work.
  const rows = await Promise.all(servers.map(async ([title, { port }]) => {
    const settings = { size: 4096, keep: 400, options: "-t8", port };
    const longest = await Promise.all(ways.map(async (way) => {
      await using flow = await Flow.start(dir, way, settings);
      const report = flow.log(HANGING * HANGING_RATE, { rate: HANGING_RATE });
      await Promise.race([report, pause(1000 * HANGING)]);
      await flow.endClient();
      return (await report).longest.toFixed(0);
    }));
    return [title, ...longest, "100 ms"];
  }));
  print(
    `the longest write of a service, ms, that logs ${HANGING_RATE / 1000} ` +
      `kB/s for ${HANGING} seconds, tryto -t8, while the server`,
    0,
    [["", ...ways.map(({ name }) => name), "at most"], ...rows],
  );
  console.log("* the originals take what the kernel has for delivered");
}

/**
 * Measures the whole way.
 *
 * @param options How
 */
export async function bench(options: BenchOptions): Promise<void> {
  const dir = Deno.makeTempDirSync({ prefix: "logferry-" });
  await using _ = cleaningUp(async () => {
    ending = true;
    await Promise.all([...running].map((program) => program.end()));
    await Deno.remove(dir, { recursive: true });
  });
  const { ways, missing } = waysHere();
  if (missing.length) say(`without the originals: no ${missing.join(", ")}`);
  const { rounds, only } = options;
  const parts = { files, latency, rates, delays, hanging };
  for (const [name, measure] of Object.entries(parts)) {
    if (name.includes(only)) await measure(dir, ways, rounds);
  }
}

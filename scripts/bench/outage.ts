/**
 * An outage: a service logs, the server is away for a while, the client's
 * multilog is killed once meanwhile and started again, as supervise does it,
 * and the server comes back. A minute after the service's last line it is
 * counted what isn't on the server.
 *
 * @module
 */
import { close, pipe } from "../../src/sys/descriptors.ts";
import { open } from "../../src/sys/files.ts";
import { kill } from "../../src/sys/process.ts";
import { signals } from "../../src/sys/signals.ts";
import { freePort, listening } from "../../tests/tools.ts";
import { cleaningUp } from "../clean_up.ts";
import { Program, running, type Way, waysHere } from "./flow.ts";
import { type BenchOptions, table } from "./report.ts";
import { LINE_LENGTH, type Report } from "./service.ts";

/** How many lines the service logs, and how many in a second. */
const LINES = 1200;
const RATE = 30;
/** Seconds from its first line to each event. */
const SERVER_ENDS = 5;
const MULTILOG_KILLED = 15;
const SERVER_BACK = 25;
/** Seconds from its last line to the count. */
const LATER = 60;

/** What became of a service's lines. */
interface Result {
  /** Lines that aren't on the server. */
  missing: number;
  /** Those of them that are in the client's files, and those that are nowhere. */
  client: number;
  nowhere: number;
  /** How many more copies there are on the server. */
  copies: number;
  /** The longest write of the service, in milliseconds. */
  longest: number;
}

function pause(seconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 1000 * seconds));
}

/** The numbers of all lines in files, each as often as it is there. */
function numbersIn(paths: readonly string[]): number[] {
  return paths.flatMap((path) =>
    [...Deno.readTextFileSync(path).matchAll(/(?:^|: )(\d{10}) [^\n]*\n/gm)]
      .map(([, number]) => Number(number))
  );
}

async function outage(base: string, way: Way): Promise<Result> {
  const dir = Deno.makeTempDirSync({ dir: base });
  const port = freePort();
  const nothing = open("/dev/null", "read");
  const { reader, writer } = pipe();
  const server = () =>
    new Program(way.server(port), way.path, nothing, `${dir}/out`);
  const words = `!${way.tryto} ${way.sender(port)}`;
  const script = ["multilog", "s4096", "n100", words, `${dir}/main`];
  const client = () => new Program(script, way.path, reader, `${dir}/client`);
  let receiver = server();
  await listening(port);
  const clients = [client()];
  const service = new Worker(new URL("service.ts", import.meta.url), {
    type: "module",
  });
  const { promise, resolve, reject } = Promise.withResolvers<Report>();
  service.onmessage = ({ data }) => resolve(data);
  service.onerror = ({ message }) => reject(new Error(message));
  const rate = RATE * LINE_LENGTH;
  service.postMessage({ fd: writer, first: 1, count: LINES, rate });
  await pause(SERVER_ENDS);
  await receiver.end(signals.SIGTERM);
  await pause(MULTILOG_KILLED - SERVER_ENDS);
  kill(clients[0]!.pid, signals.SIGKILL);
  clients.push(client());
  await pause(SERVER_BACK - MULTILOG_KILLED);
  receiver = server();
  const { longest } = await promise;
  // The last lines are in a file that isn't big enough.
  await pause(1);
  kill(clients[1]!.pid, signals.SIGALRM);
  await pause(LATER - 1);
  const arrived = numbersIn([`${dir}/out`]);
  const there = new Set(arrived);
  const main = `${dir}/main`;
  const kept = new Set(numbersIn(
    [...Deno.readDirSync(main)].map(({ name }) => `${main}/${name}`),
  )).difference(there);
  await receiver.end();
  for (const one of clients) await one.end();
  service.terminate();
  for (const fd of [nothing, reader, writer]) close(fd);
  const missing = LINES - there.size;
  return {
    missing,
    client: kept.size,
    nowhere: missing - kept.size,
    copies: arrived.length - there.size,
    longest,
  };
}

/**
 * Measures it, of all ways at once: hardly anything of this is work.
 *
 * @param options Which
 */
export async function bench(options: BenchOptions): Promise<void> {
  if (!"outage".includes(options.only)) return;
  const dir = Deno.makeTempDirSync({ prefix: "logferry-" });
  await using _ = cleaningUp(async () => {
    await Promise.all([...running].map((program) => program.end()));
    await Deno.remove(dir, { recursive: true });
  });
  const { ways, missing } = waysHere();
  if (missing.length) {
    console.error(`outage: without the originals: no ${missing.join(", ")}`);
  }
  const seconds = LINES / RATE + LATER;
  console.error(`outage: this takes ${seconds} seconds`);
  const results = await Promise.all(ways.map((way) => outage(dir, way)));
  const row = (title: string, of: (result: Result) => number) => [
    title,
    ...results.map((result) => of(result).toFixed(0)),
  ];
  console.log(
    `\n${LINES} lines, ${RATE} a second; the server away for ` +
      `${SERVER_BACK - SERVER_ENDS} seconds, multilog killed once; ` +
      `${LATER} seconds after the last line`,
  );
  console.log(table([
    ["", ...ways.map(({ name }) => name)],
    row("lines missing on the server", ({ missing }) => missing),
    row("  of them in the client's files", ({ client }) => client),
    row("  of them nowhere", ({ nowhere }) => nowhere),
    row("further copies on the server", ({ copies }) => copies),
    row("longest write of the service, ms", ({ longest }) => longest),
  ]));
}

/**
 * tryto as a log's processor, over a network that fails in every way: after
 * that, each line is on the server or in the client's log, the next
 * transmission tells of the failure, and nothing is left running.
 */
import { assert, assertEquals } from "@std/assert";
import { encode } from "../../src/bytes.ts";
import {
  folder,
  inParallel,
  installed,
  latin1,
  ours,
  sleep,
  testWith,
  until,
} from "../tools.ts";
import { endMarked, inside, lines, marked, trytos } from "./_tryto.ts";

/** What a server does to the connections that it gets. */
type Mood =
  | "well"
  | "refuses"
  | "resets"
  | "hangs at once"
  | "hangs half-way"
  | "closes early"
  | "reads slowly";

/**
 * A log server with moods. A transmission has arrived when its sender has been
 * told so: by `ok` in answer to a line `END`, or by the number of bytes in answer
 * to the end of the connection.
 */
class Server {
  mood: Mood = "well";
  readonly port: number;
  /** What has arrived, and has been confirmed. */
  readonly arrived: string[] = [];
  /** How many connections there have been. */
  connections = 0;
  #listener: Deno.TcpListener | undefined;
  readonly #open = new Set<Deno.Conn>();
  readonly #served: Promise<void>[] = [];

  constructor() {
    this.#listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    this.port = this.#listener.addr.port;
    this.#served.push(this.#accept(this.#listener));
  }

  change(mood: Mood): void {
    this.mood = mood;
    if (mood === "refuses") {
      this.#listener?.close();
      this.#listener = undefined;
    } else if (this.#listener === undefined) {
      const { port } = this;
      this.#listener = Deno.listen({ hostname: "127.0.0.1", port });
      this.#served.push(this.#accept(this.#listener));
    }
  }

  async #accept(listener: Deno.TcpListener): Promise<void> {
    for await (const connection of listener) {
      this.connections++;
      this.#open.add(connection);
      this.#served.push(this.#serve(connection, this.mood));
    }
  }

  async #serve(connection: Deno.Conn, mood: Mood): Promise<void> {
    const room = {
      "reads slowly": 256,
      "hangs half-way": 1000,
      "closes early": 1000,
    };
    const buffer = new Uint8Array(room[mood as keyof typeof room] ?? 262144);
    const chunks: string[] = [];
    let length = 0;
    try {
      if (mood === "hangs at once") return;
      if (mood === "resets") return this.#drop(connection);
      while (true) {
        const n = await connection.read(buffer);
        const chunk = latin1(buffer.subarray(0, n ?? 0));
        chunks.push(chunk);
        length += chunk.length;
        if (mood === "hangs half-way") return;
        if (mood === "closes early") return this.#drop(connection);
        if (mood === "reads slowly") await sleep(10);
        if (n !== null && !chunks.slice(-5).join("").endsWith("\nEND\n")) {
          continue;
        }
        this.arrived.push(chunks.join("").replace(/\nEND\n$/, "\n"));
        await connection.write(encode(n === null ? `${length}\n` : "ok\n"));
        return this.#drop(connection);
      }
    } catch {
      // The sender has gone; nothing was confirmed to it.
      this.#drop(connection);
    }
  }

  #drop(connection: Deno.Conn): void {
    if (this.#open.delete(connection)) connection.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener?.close();
    for (const connection of this.#open) this.#drop(connection);
    await Promise.all(this.#served);
  }
}

/** A client: multilog, with tryto as its processor, and what that runs. */
interface Client {
  multilog: string;
  tryto: string;
  prog: (port: number) => string;
  /** Whether multilog carries tryto out itself. */
  inside?: boolean;
}

/** Waits for the server's word, which is all that makes a sending sure. */
const tcpclient = (port: number) =>
  `tcpclient -T2 127.0.0.1 ${port} ` +
  `sh -c "cat >&7 && echo END >&7 && read ok <&6"`;

const socklogTcp = (port: number) =>
  `${ours.socklogTcp} send -a -T2 127.0.0.1 ${port}`;

/** One log is made while the server is in a mood, another when it is well. */
interface Scenario {
  mood: Mood;
  /** How large a log gets before it is sent. */
  size?: number;
  /** tryto's options; as long as it takes, unless given. */
  options?: string;
  /**
   * Whether a multilog that has them anew sends the second log without them: a
   * limit that the first one is to run into is none for a busy machine.
   */
  limited?: boolean;
  /** Called when the first log is about to be sent. */
  meanwhile?: (server: Server, at: string) => Promise<void>;
  /** How many logs the client keeps. */
  kept: number;
  /** What the next transmission tells; nothing unless given. */
  notice?: RegExp;
}

async function play(client: Client, scenario: Scenario, at: string) {
  const { mood, size = 4096, options = UNLIMITED, limited } = scenario;
  const mark = `LOGFERRY_TEST=${at}`;
  await using server = new Server();
  server.change(mood);
  const start = (options: string) => {
    const tryto = `${client.tryto} ${options} ${client.prog(server.port)}`;
    const multilog = new Deno.Command(client.multilog, {
      args: [
        `s${size}`,
        "n20",
        client.inside ? `!${tryto}` : `!echo $$ >pid; exec ${tryto}`,
        "./log",
      ],
      cwd: at,
      env: { LOGFERRY_TEST: at },
      stdin: "piped",
      stderr: "null",
    }).spawn();
    return { multilog, input: multilog.stdin.getWriter() };
  };
  const end = async ({ multilog, input }: ReturnType<typeof start>) => {
    await input.close();
    assertEquals((await multilog.status).code, 0);
  };
  // A log is sent when it has 2000 bytes less than its size.
  const half = Math.ceil((size - 1900) / 100);
  const all = lines(2 * half, 99);
  const first = encode(all.slice(0, half * 100));
  const second = encode(all.slice(half * 100));
  const finished = (count: number) =>
    until(
      `the fate of log ${count}`,
      () => finishedLogs(at).length >= count,
    );
  try {
    let running = start(options);
    await running.input.write(first);
    await scenario.meanwhile?.(server, at);
    await finished(1);
    server.change("well");
    if (limited) {
      await end(running);
      running = start(UNLIMITED);
    }
    await running.input.write(second);
    await finished(2);
    await end(running);
    await until("nothing is left running", () => marked(mark).length === 0);
  } finally {
    endMarked(mark);
  }

  const kept = finishedLogs(at).map((name) => contents(at, name));
  // What the processor left of a log that was sent is an empty file.
  assertEquals(kept.filter(Boolean).length, scenario.kept, "logs kept");
  assertEquals(server.arrived.length, 2 - scenario.kept, "logs sent");
  const found = [
    ...kept,
    contents(at, "current"),
    ...server.arrived.map((text) => text.slice(text.indexOf("line "))),
  ];
  assertEquals(sorted(found.join("")), sorted(all));
  const told = server.arrived.at(-1)!.split("line ")[0]!;
  assert(
    scenario.notice?.test(told) ?? told === "",
    `told: ${told}`,
  );
}

function finishedLogs(at: string): string[] {
  const names = [...Deno.readDirSync(`${at}/log`)].map(({ name }) => name);
  // What waits for its processor ends in `.u`.
  return names.filter((name) => /^@.*\.s$/.test(name));
}

function contents(at: string, name: string): string {
  return latin1(Deno.readFileSync(`${at}/log/${name}`));
}

function sorted(text: string): string[] {
  return text.split("\n").sort();
}

async function playAll(
  t: Deno.TestContext,
  client: Client,
  scenarios: readonly Scenario[],
): Promise<void> {
  using here = folder();
  const results = await inParallel(scenarios, async (scenario, i) => {
    const at = inside(here.path, `${i}`);
    Deno.mkdirSync(`${at}/log`, { mode: 0o700 });
    const [result] = await Promise.allSettled([play(client, scenario, at)]);
    return result;
  });
  for (const [i, result] of results.entries()) {
    const { mood, size, options, meanwhile } = scenarios[i]!;
    const name = `a server that ${mood} ` +
      [size ?? "", options ?? "", meanwhile?.name ?? ""].join(" ").trim();
    await t.step(name, () => {
      if (result.status === "rejected") throw result.reason;
    });
  }
}

/**
 * Options without a limit that anything here runs into. Without `-P` the `cat`
 * that waits in a write would outlive its shell.
 */
const UNLIMITED = "-pvP -t600 -n1";
/** A time limit that is short enough to be waited for. */
const SHORT = { options: "-pvP -t3 -k1 -n1", limited: true };
/** More than sockets hold. */
const LARGE = { size: 5_000_000 };
const CRASHED = /^tryto: fatal: child crashed, giving up.\n$/m;
const TIMED_OUT = /^tryto: fatal: child timed out, giving up.\n$/m;

/** What the original manages too. */
const FAILURES: Scenario[] = [
  { mood: "well", kept: 0 },
  { mood: "refuses", kept: 1, notice: CRASHED },
  { mood: "resets", kept: 1, notice: CRASHED },
  { mood: "closes early", kept: 1, notice: CRASHED },
  { mood: "reads slowly", options: "-pv", kept: 0 },
  {
    mood: "resets",
    options: "-pv -n99 -t600",
    kept: 0,
    notice: /^tryto: warning: child /m,
    meanwhile: async function andComesBack(server) {
      await until("the first try", () => server.connections > 0);
      server.change("well");
    },
  },
];

const HANGS: Scenario[] = [
  { mood: "hangs at once", kept: 1, notice: TIMED_OUT, ...SHORT },
  { mood: "hangs half-way", kept: 1, notice: TIMED_OUT, ...SHORT },
  { mood: "hangs at once", kept: 1, notice: TIMED_OUT, ...SHORT, ...LARGE },
  { mood: "hangs half-way", kept: 1, notice: TIMED_OUT, ...SHORT, ...LARGE },
  { mood: "closes early", kept: 1, notice: CRASHED, ...LARGE },
  {
    // multilog runs tryto again after five seconds.
    mood: "hangs half-way",
    options: "-pvP -t600",
    kept: 0,
    meanwhile: async function andTrytoGetsSIGTERM(server, at) {
      await until("the first try", () => server.connections > 0);
      server.change("well");
      const pid = Number(Deno.readTextFileSync(`${at}/log/pid`));
      Deno.kill(pid, "SIGTERM");
    },
  },
];

testWith(
  ["multilog", "tcpclient"],
  "our tryto for the original multilog",
  (t) => {
    const { tryto } = ours;
    const multilog = installed("multilog")!;
    const client = { multilog, tryto, prog: tcpclient };
    return playAll(t, client, [...FAILURES, ...HANGS]);
  },
);

testWith(
  ["tryto", "tcpclient"],
  "the original tryto for our multilog",
  (t) => {
    const { multilog } = ours;
    const tryto = trytos.original!;
    return playAll(t, { multilog, tryto, prog: tcpclient }, FAILURES);
  },
);

testWith([], "our tryto for our multilog", (t) => {
  const { multilog, tryto } = ours;
  const client = { multilog, tryto, prog: socklogTcp };
  return playAll(t, client, [...FAILURES, ...HANGS]);
});

testWith([], "our tryto inside our multilog", (t) => {
  const { multilog, tryto } = ours;
  const client = { multilog, tryto, prog: socklogTcp, inside: true };
  // The last one sends a signal to a process that isn't there.
  return playAll(t, client, [...FAILURES, ...HANGS.slice(0, -1)]);
});

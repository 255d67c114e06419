import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { close, read, write } from "../../src/sys/descriptors.ts";
import { environ } from "../../src/sys/environment.ts";
import { open } from "../../src/sys/files.ts";
import { load } from "../../src/sys/libc.ts";
import { raiseDescriptorLimit } from "../../src/sys/limits.ts";
import { kill, spawn, waitFor } from "../../src/sys/process.ts";
import { bindUdp } from "../../src/sys/datagrams.ts";
import { Readiness, WRITABLE } from "../../src/sys/poll.ts";
import { signals } from "../../src/sys/signals.ts";
import {
  bind,
  connect,
  endpoint,
  loopbackAddress,
  socket,
} from "../../src/sys/sockets.ts";
import {
  bytes,
  childrenOf,
  folder,
  freePort,
  installed,
  inTime,
  ours,
  run,
  Running,
  sleep,
  testWith,
  tracing,
  until,
  withHosts,
} from "../tools.ts";
import {
  dial,
  finish,
  hasIPv6,
  hear,
  RawSocket,
  say,
  startOurs,
  tableOf,
  transmit,
} from "./servers.ts";

const lib = load({
  socketpair: { parameters: ["i32", "i32", "i32", "buffer"], result: "i32" },
});
const UNIX = 1;
/** A stream that programs started by others don't inherit. */
const STREAM = 1 | 0o2000000;

const PLAIN = ["-RHl0"];

/** Where a host is asked whose a connection is. */
const IDENT = { hostname: "127.0.0.1", port: 113 };

/** Whether the test may answer there: only root may, and only if nobody does. */
const canAnswer: boolean = (() => {
  try {
    Deno.listen(IDENT).close();
    return true;
  } catch {
    return false;
  }
})();

/** Listens there; tests that another run has begun may be listening now. */
async function listenForIdent(): Promise<Deno.TcpListener> {
  let identd: Deno.TcpListener | undefined;
  await until("the ident port is free", () => {
    try {
      identd = Deno.listen(IDENT);
      return true;
    } catch (error) {
      if (error instanceof Deno.errors.AddrInUse) return false;
      throw error;
    }
  });
  return identd!;
}

/** A connection, from one end, as the kernel's table shows it. */
interface Shown {
  /** Bytes that the other end hasn't taken, and that this one hasn't read. */
  waiting: number;
  /** Whether nothing but the next probe of a silent other end is due. */
  probing: boolean;
}

/** The open connections of a port, from both ends where both are here. */
function connections(port: number): Shown[] {
  return tableOf(port)
    .filter(([, , , state]) => state === "01")
    .map(([, , , , queues, timer]) => ({
      waiting: queues!.split(":").reduce((sum, n) => sum + parseInt(n, 16), 0),
      probing: timer!.startsWith("02:"),
    }));
}

/** How many bytes of a port's connections are under way. */
function inKernel(port: number): number {
  return connections(port).reduce((sum, { waiting }) => sum + waiting, 0);
}

Deno.test("each line gets its NAMEs, its priority, and an end", async () => {
  const env = { EMPTY: "", OTHER: "o" };
  const args = [...PLAIN, "@", "TCPREMOTEIP", "UNSET", "EMPTY", "OTHER"];
  await using server = await startOurs(args, { env });
  await transmit(server.port, "<13>a\0\n\n<86>b\nc");
  assertEquals(await server.stop(), 0);
  assertEquals(
    server.data,
    "127.0.0.1: : o: user.notice: a\n127.0.0.1: : o: authpriv.info: b\n" +
      "127.0.0.1: : o: c\n",
  );
  assertEquals(server.messages, "");
});

Deno.test("eight NAMEs that are set count, and no others", async () => {
  const set = Array.from({ length: 9 }, (_, i) => `V${i + 1}`);
  const env = Object.fromEntries(set.map((name) => [name, name]));
  const args = [
    ...PLAIN,
    "@",
    "UNSET",
    ...set.slice(0, 2),
    "NO",
    ...set.slice(2),
  ];
  await using server = await startOurs(args, { env });
  await transmit(server.port, "a\n");
  await server.stop();
  assertEquals(server.data, `${set.slice(0, 8).join(": ")}: a\n`);
});

Deno.test("the arguments of an old run script mean the same", async () => {
  const forms: [string[], string][] = [
    [[], "user.notice: x\n"],
    [["ucspi"], "user.notice: x\n"],
    [["socklog", "ucspi", "PROTO"], "TCP: user.notice: x\n"],
    [["/any/where/socklog", "ucspi"], "user.notice: x\n"],
    [["socklog", "-R", "ucspi", "PROTO"], "TCP: <13>x\n"],
    [
      ["socklog", "-r", "ucspi", "PROTO"],
      "TCP: <13>x\nTCP: user.notice: x\n",
    ],
    [["PROTO", "PROTO"], "TCP: TCP: user.notice: x\n"],
    [
      ["ucspi", ...Array(12).fill("PROTO")],
      "TCP: ".repeat(8) + "user.notice: x\n",
    ],
  ];
  for (const [words, output] of forms) {
    await using server = await startOurs([...PLAIN, "@", ...words]);
    await transmit(server.port, "<13>x");
    await server.stop();
    assertEquals(server.data, output, words.join(" "));
  }
});

Deno.test("the server refuses words that it doesn't know", async () => {
  const cases: Record<string, RegExp> = {
    "socklog unix": /socklog unix: socklog can only be ucspi here/,
    "socklog": /socklog can only be ucspi here/,
    "socklog -x ucspi": /illegal option -- x/,
    "tcpremoteip": /tcpremoteip: neither NAMEs, nor ucspi, nor a program/,
    "TCPREMOTEIP PROTO2x": /TCPREMOTEIP: neither NAMEs/,
  };
  for (const [words, message] of Object.entries(cases)) {
    const { code, stderr } = await run(
      [ours.socklogTcp, "127.0.0.1", "0", ...words.split(" ")],
    );
    assertEquals(code, 100, words);
    assertMatch(stderr, message);
  }
});

Deno.test("wrong usage is 100, trouble 111, help and version 0", async () => {
  const cases: [string[], number, RegExp][] = [
    [[], 100, /^socklog-tcp: usage: socklog-tcp \[/],
    [["127.0.0.1"], 100, /usage/],
    [["-Z", "127.0.0.1", "0"], 100, /illegal option -- Z\n.*usage/],
    [["-c", "many", "127.0.0.1", "0"], 100, /-c wants a positive number/],
    [["-c", "0", "127.0.0.1", "0"], 100, /-c wants a positive number/],
    [["-a", "127.0.0.1", "0", "sh"], 100, /-a has no use for a program/],
    [["127.0.0.1", "no-such-service"], 111, /port number for no-such-service/],
    [["127.0.0.1", "65536"], 111, /port number for 65536/],
    [
      ["192.0.2.1", "0"],
      111,
      /fatal: unable to bind to 192.0.2.1 port 0: address not available/,
    ],
    [["", "0"], 111, /no IP address for /],
    [["send"], 100, /usage: socklog-tcp send/],
    [["send", "127.0.0.1", "1", "cat"], 100, /send takes no program: cat/],
    [["send", "-T", "x", "127.0.0.1", "1"], 100, /-T wants seconds/],
    [["connect", "127.0.0.1", "1"], 100, /usage: socklog-tcp connect/],
  ];
  for (const [args, code, message] of cases) {
    const outcome = await run([ours.socklogTcp, ...args]);
    assertEquals(outcome.code, code, args.join(" "));
    assertMatch(outcome.stderr, message);
    assertEquals(outcome.text, "");
  }
  const help = await run([ours.socklogTcp, "--help"]);
  assertEquals([help.code, help.stderr], [0, ""]);
  const lines = help.text.trimEnd().split("\n");
  assert(lines.length <= 24 && lines.every((line) => line.length < 80));
  const version = await run([ours.socklogTcp, "--version"]);
  assertEquals([version.code, version.stderr], [0, ""]);
  assertMatch(version.text, /^socklog-tcp \d+\.\d+\.\d+\n$/);
});

Deno.test("hundreds of clients in pieces: no line is mixed or out of order", async () => {
  const clients = 300;
  const lines = 30;
  const args = [...PLAIN, "-c", "400", "@", "PROTO"];
  await using server = await startOurs(args);
  await Promise.all(Array.from({ length: clients }, async (_, client) => {
    const connection = await dial(server.port);
    let text = "";
    for (let n = 0; n < lines; n++) {
      text += `<13>client ${client} line ${n} ${"y".repeat(n * 20)}.\n`;
    }
    const piece = 37 + client;
    for (let at = 0; at < text.length; at += piece) {
      await say(connection, text.slice(at, at + piece));
    }
    await finish(connection);
  }));
  await server.stop();
  const got = server.data.trimEnd().split("\n");
  assertEquals(got.length, clients * lines);
  const next = Array(clients).fill(0);
  for (const line of got) {
    const match = /^TCP: user\.notice: client (\d+) line (\d+) (y*)\.$/
      .exec(line);
    assert(match !== null, line);
    const [client, n] = match.slice(1, 3).map(Number) as [number, number];
    assertEquals(next[client], n);
    assertEquals(match[3]!.length, n * 20);
    next[client] = n + 1;
  }
});

Deno.test("an unfinished line is kept at a reset and at SIGTERM", async () => {
  await using server = await startOurs([...PLAIN, "@"]);
  const socket = new RawSocket(server.port);
  write(socket.fd, bytes("whole\nunfin"));
  await until("the whole line is there", () => server.data === "whole\n");
  socket.reset();
  await until("the rest is there", () => server.data === "whole\nunfin\n");
  const open = await dial(server.port);
  await say(open, "again\nand ag");
  await until("it is there", () => server.data.includes("again\n"));
  assertEquals(await server.stop(), 0);
  assertEquals(server.data, "whole\nunfin\nagain\nand ag\n");
  // Its sender must not take this for success.
  await assertRejects(() => hear(open), Deno.errors.ConnectionReset);
  open.close();
});

Deno.test("SIGTERM: listens no more, writes what was read, exits 0", async () => {
  await using server = await startOurs([...PLAIN, "@"]);
  const text = "a line like any other\n".repeat(200_000);
  const all = transmit(server.port, text);
  await all;
  assertEquals(await server.stop(), 0);
  assertEquals(server.data.length, text.length);
  await assertRejects(() => dial(server.port), Deno.errors.ConnectionRefused);
});

Deno.test("a full standard output holds the senders, and loses nothing", async () => {
  await using server = await startOurs([...PLAIN, "@"]);
  server.reading = false;
  const line = "x".repeat(99) + "\n";
  const text = line.repeat(300_000);
  let ended = 0;
  const sending = Array.from({ length: 2 }, async () => {
    await transmit(server.port, text);
    ended++;
  });
  await sleep(700);
  assertEquals(ended, 0);
  assert(server.peak() < 150, `${server.peak()} MB`);
  server.reading = true;
  await Promise.all(sending);
  // While it is full SIGTERM is seen, and what was read is still written.
  assertEquals(await server.stop(), 0);
  assertEquals(server.data.length, 2 * text.length);
  assert(server.data.split("\n").every((one) => one.length % 99 === 0));
});

Deno.test("SIGTERM ends the server while standard output is full", async () => {
  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) {
    await using server = await startOurs(
      [...PLAIN, "@"],
      { through: ["env", "--default-signal=HUP,INT"] },
    );
    server.reading = false;
    const connection = await dial(server.port);
    let sent = 0;
    const text = bytes("another line\n".repeat(10_000));
    const sending = assertRejects(async () => {
      while (true) sent += await connection.write(text.subarray(sent % 13));
    }, Error);
    let taken = -1;
    await until("it reads no more", async () => {
      const before = taken;
      await sleep(1000);
      taken = sent - inKernel(server.port);
      return taken > 0 && taken === before;
    });
    server.kill(signal);
    await sleep(500);
    server.reading = true;
    assertEquals(await server.status, { success: true, code: 0, signal: null });
    await sending;
    connection.close();
    await server.stop();
    // The last may be a line's beginning: what was read of it.
    const all = "another line\n".repeat(Math.ceil(taken / 13));
    const last = taken % 13 === 0 ? "" : "\n";
    assertEquals(server.data.length, taken + last.length);
    assert(server.data === all.slice(0, taken) + last);
  }
});

Deno.test("a standard output that is closed ends it, and senders see that", async () => {
  await using server = await startOurs([...PLAIN, "@"]);
  const idle = await dial(server.port);
  await say(idle, "one\n");
  await until("it is there", () => server.data === "one\n");
  await server.closeOutput();
  const { code } = await server.status;
  assertEquals(code, 111);
  assertEquals(
    server.messages,
    "socklog-tcp: fatal: unable to write to standard output: broken pipe\n",
  );
  await assertRejects(() => finish(idle), Deno.errors.ConnectionReset);
});

Deno.test("a socket as standard output whose other end is closed ends it", async () => {
  using at = folder();
  const ends = new Int32Array(2);
  const pair = new Uint8Array(ends.buffer);
  assertEquals(lib.socketpair(UNIX, STREAM, 0, pair), 0);
  const [mine, its] = ends as unknown as [number, number];
  const said = open(`${at.path}/said`, "append", 0o644);
  const pid = spawn({
    args: [ours.socklogTcp, ...PLAIN, "-1", "127.0.0.1", "0"],
    env: environ(),
    fds: new Map([[1, its], [2, said]]),
  });
  close(its);
  close(said);
  assert(read(mine, new Uint8Array(10)) > 0);
  close(mine);
  // One that doesn't notice would go on for ever.
  const late = setTimeout(() => kill(pid, signals.SIGKILL), 20_000);
  assertEquals(await waitFor(pid), { code: 111 });
  clearTimeout(late);
  assertEquals(
    Deno.readTextFileSync(`${at.path}/said`),
    "socklog-tcp: fatal: unable to write to standard output: broken pipe\n",
  );
});

Deno.test("a full disk is a warning, a pause, and a failure for the sender", async () => {
  // The port has to be told before the disk is full, so it is chosen here.
  const free = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = free.addr as Deno.NetAddr;
  free.close();
  const child = new Deno.Command("sh", {
    args: [
      "-c",
      `exec "$0" -RHl0 127.0.0.1 ${port} >/dev/full`,
      ours.socklogTcp,
    ],
    stdin: "null",
    stderr: "piped",
  }).spawn();
  let failed = false;
  await until("it listens", async () => {
    try {
      (await dial(port)).close();
      return true;
    } catch {
      return false;
    }
  });
  const sending = transmit(port, "lost?\n").catch((error) => {
    failed = error instanceof Deno.errors.ConnectionReset;
  });
  const reader = child.stderr.getReader();
  const { value } = await reader.read();
  assertEquals(
    new TextDecoder().decode(value),
    "socklog-tcp: warning: unable to write to standard output, pausing: " +
      "no space left on device\n",
  );
  assertEquals(failed, false);
  child.kill("SIGTERM");
  await sending;
  await reader.cancel();
  assertEquals((await child.status).code, 111);
  assertEquals(failed, true);
});

Deno.test("a closed standard output is refused at the start", async () => {
  const { code, stderr } = await run(
    ["sh", "-c", 'exec "$0" 127.0.0.1 0 >&-', ours.socklogTcp],
  );
  assertEquals(code, 111);
  assertMatch(stderr, /fatal: standard output is closed/);
});

Deno.test("no more than -c connections are served at once", async () => {
  await using server = await startOurs(["-v", ...PLAIN, "-c", "2", "@"]);
  const [one, two, three] = [
    await dial(server.port),
    await dial(server.port),
    await dial(server.port),
  ];
  await say(one, "1\n");
  await say(three, "3\n");
  await until("the first line is there", () => server.data === "1\n");
  await finish(two);
  await until("the third's too", () => server.data === "1\n3\n");
  await finish(one);
  await finish(three);
  await server.stop();
  const counts = [...server.messages.matchAll(/status: (\d+)\/2/g)]
    .map((match) => Number(match[1]));
  assertEquals(counts, [0, 1, 2, 1, 2, 1, 0]);
});

Deno.test("-w ends connections that are idle, not those that aren't", async () => {
  await using server = await startOurs([...PLAIN, "-w", "4", "@"]);
  const idle = await dial(server.port);
  const busy = await dial(server.port);
  await say(idle, "unfinished");
  let over = false;
  const ended = assertRejects(() => hear(idle), Deno.errors.ConnectionReset)
    .then(() => over = true);
  while (!over) {
    await say(busy, "x\n");
    await sleep(100);
  }
  await ended;
  idle.close();
  await finish(busy);
  await server.stop();
  assert(server.data.includes("unfinished\n"));
});

Deno.test("-w loses nothing that idle connections have sent while standard output was full", async () => {
  const options = ["-vRHl0", "-c", "100", "-w", "1", "@"];
  await using server = await startOurs(options);
  server.reading = false;
  const unfinished = "x".repeat(60_000);
  const idle = await Promise.all(Array.from({ length: 100 }, async () => {
    const connection = await dial(server.port);
    await say(connection, unfinished);
    return connection;
  }));
  // More than the pipe holds comes out when they are ended.
  await server.says("idle ");
  await server.waits();
  server.reading = true;
  let resets = 0;
  for (const connection of idle) {
    hear(connection).catch(() => resets++).finally(() => connection.close());
  }
  await until("all are reset", () => resets === idle.length);
  assertEquals(await server.stop(), 0);
  assertEquals(server.data.length, idle.length * (unfinished.length + 1));
});

Deno.test("-w ends no connection while standard output is full", async () => {
  await using server = await startOurs([...PLAIN, "-c", "300", "-w", "2", "@"]);
  let full = true;
  // So many that some have a line in the round that comes to a stand.
  const busy = Array.from({ length: 200 }, async () => {
    const connection = await dial(server.port);
    while (full) {
      await say(connection, "busy\n");
      await sleep(300);
    }
    await finish(connection);
  });
  server.reading = false;
  // So many that a round begins to wait before it has read them all.
  const text = ("x".repeat(99) + "\n").repeat(6_000);
  const bulk = Array.from({ length: 40 }, () => transmit(server.port, text));
  await server.waits();
  await sleep(3000);
  server.reading = true;
  await Promise.all(bulk);
  full = false;
  await Promise.all(busy);
  assertEquals(await server.stop(), 0);
  const rest = server.data.replaceAll("busy\n", "");
  assertEquals(rest.length, bulk.length * text.length);
});

Deno.test("-w ends no connection that has sent while the server was stopped", async () => {
  await using server = await startOurs([...PLAIN, "-w", "2", "@"]);
  const connection = await dial(server.port);
  await say(connection, "one\n");
  await until("it is read", () => server.data === "one\n");
  // It waits again.
  await sleep(200);
  server.kill("SIGSTOP");
  await say(connection, "two\n");
  await sleep(3000);
  server.kill("SIGCONT");
  await until("it is read", () => server.data === "one\ntwo\n");
  await say(connection, "three\n");
  await finish(connection);
  assertEquals(await server.stop(), 0);
  assertEquals(server.data, "one\ntwo\nthree\n");
});

Deno.test("a child that the server didn't start doesn't count as one of its programs", async () => {
  await using server = await startOurs(["-v", "-c1", ...PLAIN, "@", "cat"], {
    through: ["sh", "-c", 'sleep 0.5 & exec "$@"', "sh"],
  });
  await until(
    "the other child ends",
    () => childrenOf(server.pid).length === 0,
  );
  const connection = await dial(server.port);
  await say(connection, "a\n");
  assertEquals(await finish(connection), "a\n");
  await until("it ends", () => server.messages.split("0/1").length > 2);
  await server.stop();
  assertEquals(server.messages.match(/status: .*/g), [
    "status: 0/1",
    "status: 1/1",
    "status: 0/1",
  ]);
});

Deno.test("a stream without newlines comes out in pieces, in bounded memory", async () => {
  await using server = await startOurs([...PLAIN, "@", "PROTO"]);
  const size = 64 * 1024 * 1024;
  const connection = await dial(server.port);
  const block = new Uint8Array(1024 * 1024).fill(0x7a);
  for (let sent = 0; sent < size; sent += block.length) {
    await say(connection, block);
  }
  await finish(connection);
  assert(server.peak() < 150, `${server.peak()} MB`);
  await server.stop();
  const pieces = server.data.trimEnd().split("\n");
  assertEquals(pieces.length, size / 65536);
  assert(pieces.every((piece) => piece === "TCP: " + "z".repeat(65536)));
});

Deno.test("both ends ask a silent other end whether it is there", async () => {
  await using server = await startOurs([...PLAIN, "@"]);
  const sender = new Deno.Command("sh", {
    args: [
      "-c",
      `sleep 60 | exec "$0" send 127.0.0.1 ${server.port}`,
      ours.socklogTcp,
    ],
    stdin: "null",
    stderr: "null",
  }).spawn();
  try {
    await until("both probe", () => {
      const both = connections(server.port);
      return both.length === 2 && both.every(({ probing }) => probing);
    });
  } finally {
    await run(["pkill", "-P", `${sender.pid}`]);
    await sender.status;
  }
});

Deno.test("a flood of short connections: each line arrives, others are served", async () => {
  await using server = await startOurs([...PLAIN, "-c", "60", "@"]);
  const descriptors = () =>
    [...Deno.readDirSync(`/proc/${server.pid}/fd`)].length;
  await transmit(server.port, "first\n");
  const before = descriptors();
  const patient = await dial(server.port);
  let flooding = true;
  const served = (async () => {
    let n = 0;
    for (; flooding; n++) {
      await say(patient, `patient ${n}\n`);
      await until("it is served", () => server.data.includes(`patient ${n}\n`));
    }
    return n;
  })();
  let number = 0;
  await Promise.all(Array.from({ length: 40 }, async () => {
    while (number < 4000) await transmit(server.port, `short ${number++}\n`);
  }));
  flooding = false;
  assert(await served > 10);
  await finish(patient);
  await until("all are closed", () => descriptors() === before);
  assert(server.peak() < 150, `${server.peak()} MB`);
  assertEquals(await server.stop(), 0);
  const short = server.data.match(/^short \d+$/gm)!;
  assertEquals(new Set(short).size, number);
  assertEquals(short.length, number);
});

Deno.test("a client that floods with short lines gets no more bytes written before another client's line than with long lines", async () => {
  await using server = await startOurs([...PLAIN, "@", "LONG"], {
    env: { LONG: "p".repeat(100) },
  });
  const flood = await dial(server.port);
  const flooding = say(flood, "x\n".repeat(200_000)).catch(() => {});
  await until("it floods", () => server.output.length > 1_000_000);
  server.kill("SIGSTOP");
  let before;
  do {
    before = server.output.length;
    await sleep(100);
  } while (server.output.length > before);
  const other = await dial(server.port);
  await say(other, "here\n");
  server.kill("SIGCONT");
  let at = -1;
  await until("it is served", () => {
    at = server.output.indexOf("here\n", before);
    return at >= 0;
  });
  // What had been read, and two rounds.
  assert(at - before < 1_000_000, `after ${at - before} bytes`);
  other.close();
  flood.close();
  await flooding;
  await server.stop();
});

testWith(
  ["root", "unshare"],
  "-h asks for names, -H doesn't, and -p believes only those that lead back",
  async () => {
    using at = folder();
    // A name that is a number leads to that, wherever it was found.
    const through = withHosts(
      at.path,
      "127.0.0.1 true\n127.0.0.9 127.0.0.5\n",
    );
    const NAMES = ["TCPREMOTEIP", "TCPREMOTEHOST", "TCPLOCALHOST"];
    const rows: [options: string, expected: string][] = [
      ["-Rh", "127.0.0.1: true: true: x\n127.0.0.9: 127.0.0.5: true: x\n"],
      ["-Rp", "127.0.0.1: true: true: x\n127.0.0.9: true: x\n"],
      ["-RHllocal", "127.0.0.1: local: x\n127.0.0.9: local: x\n"],
    ];
    for (const [options, expected] of rows) {
      await using server = await startOurs(
        [options, "@", ...NAMES],
        { through },
      );
      for (const from of ["127.0.0.1", "127.0.0.9"]) {
        const { code, stderr } = await run(
          [ours.socklogTcp, "send", "-i", from, "127.0.0.1"]
            .concat(`${server.port}`),
          { stdin: "x\n" },
        );
        assertEquals([code, stderr], [0, ""]);
      }
      await server.stop();
      assertEquals(server.data, expected, options);
    }
  },
);

Deno.test("10,000 open connections, each with an unfinished line", async () => {
  const count = 10_000;
  assert(raiseDescriptorLimit(count + 1000) > count, "too few descriptors");
  await using server = await startOurs([...PLAIN, "-c", `${count}`, "@"]);
  const sockets: RawSocket[] = [];
  try {
    for (let i = 0; i < count; i++) {
      const socket = new RawSocket(server.port);
      sockets.push(socket);
      write(socket.fd, bytes(`begun ${i}`));
    }
    for (const [i, { fd }] of sockets.entries()) {
      if (i % 200 === 0) write(fd, bytes(" and ended\n"));
    }
    await until(
      "the ended ones are there",
      () => server.data.split("\n").length === count / 200 + 1,
    );
    assert(server.peak() < 300, `${server.peak()} MB`);
  } finally {
    for (const socket of sockets) socket[Symbol.dispose]();
  }
  await until(
    "the others too",
    () => server.data.split("\n").length === count + 1,
  );
  assertEquals(await server.stop(), 0);
  assertEquals(server.messages, "");
});

testWith(
  ["root", "setuidgid"],
  "a server without free descriptors warns, pauses and goes on",
  async () => {
    using work = folder();
    await Deno.chmod(work.path, 0o755);
    const copy = `${work.path}/socklog-tcp`;
    await Deno.copyFile(ours.socklogTcp, copy);
    await using server = await startOurs([...PLAIN, "-c", "500", "@"], {
      name: copy,
      through: [
        ...["sh", "-c", 'ulimit -n 64; exec "$@"', "sh"],
        ...[installed("setuidgid")!, "nobody"],
      ],
    });
    const sockets = Array.from(
      { length: 70 },
      () => new RawSocket(server.port),
    );
    for (const { fd } of sockets) write(fd, bytes("x\n"));
    await until(
      "it pauses",
      () => server.messages.includes("unable to accept"),
    );
    for (const socket of sockets) socket[Symbol.dispose]();
    await until("all were served", () => server.data.length === 140);
    assertEquals(await server.stop(), 0);
    assertMatch(
      server.messages,
      /^socklog-tcp: warning: 500 connections need 564 descriptors, but only 64 are allowed\n/,
    );
    assertMatch(
      server.messages,
      /warning: unable to accept a connection: process cannot open more files\n/,
    );
  },
);

testWith(
  ["tcprules"],
  "rules deny, set variables, and may change",
  async () => {
    using work = folder();
    const cdb = `${work.path}/cdb`;
    const write = async (rules: string) => {
      const { code } = await run(
        [installed("tcprules")!, cdb, `${work.path}/tmp`],
        { stdin: rules },
      );
      assertEquals(code, 0);
    };
    await using server = await startOurs(
      ["-v", ...PLAIN, "-x", cdb, "@", "WHO", "TCPLOCALHOST"],
    );
    const refused = async () => {
      await assertRejects(
        () => transmit(server.port, "refused\n"),
        Deno.errors.ConnectionReset,
      );
    };
    await refused();
    await write('127.0.0.1:allow,WHO="one",TCPLOCALHOST="here"\n:deny\n');
    await transmit(server.port, "a\n");
    await write("127.:deny\n");
    await refused();
    await write('10.:deny\n127.0.:allow,WHO="us"\n');
    await transmit(server.port, "b\n");
    await Deno.writeTextFile(cdb, "no rules");
    await refused();
    await server.stop();
    assertEquals(server.data, "one: here: a\nus: 0: b\n");
    assertMatch(
      server.messages,
      /warning: dropping connection, unable to read .*cdb: file does not exist/,
    );
    assertMatch(server.messages, /deny \d+ 0:127\.0\.0\.1:\d+ :127\.0\.0\.1::/);
    assertMatch(server.messages, /unable to read .*cdb: protocol error/);
  },
);

Deno.test("-X admits every client when the file of rules is missing", async () => {
  await using server = await startOurs(
    [...PLAIN, "-X", "-x", "/nonexistent/cdb", "@"],
  );
  await transmit(server.port, "a\n");
  await server.stop();
  assertEquals([server.data, server.messages], ["a\n", ""]);
});

Deno.test("-B and -a together are refused: a greeting would be taken for an acknowledgement", async () => {
  const { code, stderr } = await run(
    [ours.socklogTcp, "-a", "-B", "hello", "127.0.0.1", "0", "TCPREMOTEIP"],
  );
  assertEquals(code, 100);
  assertMatch(stderr, /^socklog-tcp: -a has no use for a banner/);
});

Deno.test("-B greets", async () => {
  await using server = await startOurs([...PLAIN, "-B", "hello\n", "@"]);
  assertEquals(await transmit(server.port, "a\n"), "hello\n");
  await server.stop();
});

Deno.test("IPv6, and both at once", { ignore: !hasIPv6 }, async () => {
  await using six = await startOurs([...PLAIN, "::1", "0", "TCPREMOTEIP"]);
  const connection = await dial(six.port, "::1");
  await say(connection, "six");
  await finish(connection);
  await six.stop();
  assertEquals(six.data, "::1: six\n");

  const names = ["TCPREMOTEIP", "TCPLOCALIP"];
  await using both = await startOurs([...PLAIN, "::", "0", ...names]);
  for (const host of ["::1", "127.0.0.1"]) {
    const connection = await dial(both.port, host);
    await say(connection, "x");
    await finish(connection);
  }
  await both.stop();
  assertEquals(both.data, "::1: ::1: x\n127.0.0.1: 127.0.0.1: x\n");
});

/** A link-local address of this machine, with its zone. */
const linkLocal = Deno.networkInterfaces().find(({ address }) =>
  address.startsWith("fe80:")
);

Deno.test("a link-local client has its zone's number in its address", {
  ignore: linkLocal === undefined,
}, async () => {
  const { address, name } = linkLocal!;
  await using server = await startOurs([...PLAIN, "::", "0", "TCPREMOTEIP"]);
  const to = [`${address}%${name}`, `${server.port}`];
  const { code, stderr } = await run([ours.socklogTcp, "send", ...to], {
    stdin: "x\n",
  });
  assertEquals([code, stderr], [0, ""]);
  await server.stop();
  const number = Deno.readTextFileSync(`/sys/class/net/${name}/ifindex`).trim();
  assertEquals(server.data, `${address}%${number}: x\n`);
});

Deno.test("host may be a name, or 0 for any address", async () => {
  for (const host of ["localhost", "0"]) {
    await using server = await startOurs([...PLAIN, host, "0", "TCPLOCALIP"]);
    await transmit(server.port, "x");
    await server.stop();
    assertEquals(server.data, "127.0.0.1: x\n");
  }
});

/** What an ident server is asked by a log server, and by whom. */
interface Question {
  text: string;
  connection: Deno.TcpConn;
}

/**
 * The questions of one log server to an ident server. There is one ident
 * server for all: those of others, who are tested at the same time, aren't
 * answered.
 */
async function* questionsOf(
  port: number,
  identd: Deno.TcpListener,
): AsyncGenerator<Question> {
  while (true) {
    const connection = await identd.accept().catch(() => undefined);
    // It was closed.
    if (connection === undefined) return;
    const buffer = new Uint8Array(100);
    const n = await connection.read(buffer).catch(() => null);
    const text = new TextDecoder().decode(buffer.subarray(0, n ?? 0));
    if (text.endsWith(` , ${port}\r\n`)) yield { text, connection };
    else connection.close();
  }
}

Deno.test("-r asks the other host, and makes its answer printable", {
  ignore: !canAnswer,
}, async () => {
  const identd = await listenForIdent();
  await using server = await startOurs(["-vHl0", "@", "TCPREMOTEINFO"]);
  const questions: string[] = [];
  const answers = ["USERID : UNIX : jö\x1bhn", "ERROR : NO-USER"];
  const answering = (async () => {
    for await (const { text, connection } of questionsOf(server.port, identd)) {
      questions.push(text);
      const answer = `${text.trim()} : ${answers.shift()}\r\n`;
      await say(connection, answer);
      connection.close();
      if (answers.length === 0) break;
    }
  })();
  await transmit(server.port, "a");
  await transmit(server.port, "b");
  await answering;
  identd.close();
  await transmit(server.port, "c");
  await server.stop();
  // The two bytes of the letter, as they came.
  assertEquals(server.data, "j\xc3\xb6?hn: a\nb\nc\n");
  assertMatch(server.messages, /^socklog-tcp: ok 1 .*:j\xc3\xb6\?hn:\d+$/m);
  assertMatch(questions[0]!, new RegExp(`^\\d+ , ${server.port}\r\n$`));
});

Deno.test("-r gives up after -t seconds", { ignore: !canAnswer }, async () => {
  const identd = await listenForIdent();
  const accepted = identd.accept();
  await using server = await startOurs(["-Hl0", "-t1", "@", "TCPREMOTEINFO"]);
  const start = performance.now();
  await transmit(server.port, "a");
  const seconds = (performance.now() - start) / 1000;
  assert(seconds > 0.9 && seconds < 10, `${seconds} s`);
  (await accepted).close();
  identd.close();
  await server.stop();
  assertEquals(server.data, "a\n");
});

Deno.test({
  name:
    "-r: the look-ups of many connections wait at the same time, -t seconds in all",
  ignore: !canAnswer,
}, async () => {
  const identd = await listenForIdent();
  const asked: Deno.Conn[] = [];
  const listening = (async () => {
    for await (const connection of identd) asked.push(connection);
  })();
  const options = ["-Hl0", "-c", "100", "-t3", "@", "TCPREMOTEINFO"];
  await using server = await startOurs(options);
  const start = performance.now();
  await Promise.all(
    Array.from({ length: 80 }, () => transmit(server.port, "a")),
  );
  const seconds = (performance.now() - start) / 1000;
  // One after the other they would take 15.
  assert(seconds > 2.9 && seconds < 12, `${seconds} s`);
  identd.close();
  await listening;
  for (const connection of asked) connection.close();
  await server.stop();
  assertEquals(server.data, "a\n".repeat(80));
});

testWith(
  ["strace"],
  "a connection that the kernel can't watch is dropped with a warning, and others are served",
  async () => {
    await using server = await startOurs(["-a", ...PLAIN, "@"]);
    const open = await dial(server.port);
    await say(open, "one\n");
    await server.prints("one\n");
    const tracer = new Running(
      ["strace", "-f", "-o", "/dev/null", "-e", "trace=epoll_ctl"]
        .concat("-e", "inject=epoll_ctl:error=ENOSPC")
        .concat("-p", `${server.pid}`),
    );
    using letGo = new DisposableStack();
    letGo.defer(() => Deno.kill(tracer.pid, "SIGTERM"));
    await tracer.says("attached");
    await assertRejects(
      () => transmit(server.port, "lost\n"),
      Deno.errors.ConnectionReset,
    );
    await server.says(
      "warning: dropping connection, unable to watch it: no space left on device\n",
    );
    letGo.dispose();
    await tracer.code();
    assertEquals(await transmit(server.port, "two\n"), "4\n");
    await say(open, "three\n");
    assertEquals(await finish(open), "10\n");
    assertEquals(await server.stop(), 0);
    assertEquals(server.data, "one\ntwo\nthree\n");
  },
);

testWith(
  ["root", "strace"],
  "root's limit of descriptors is raised before root is given up",
  async () => {
    using work = folder();
    const trace = `${work.path}/trace`;
    const env = { UID: "65534", GID: "65533" };
    await using server = await startOurs([...PLAIN, "-U", "-c", "1000", "@"], {
      env,
      through: ["sh", "-c", 'ulimit -Sn 300; exec "$@"', "sh", "strace"]
        .concat("-o", trace, "-e", "trace=prlimit64,setuid"),
    });
    // Once it serves, it has its handlers.
    await transmit(server.port, "a\n");
    // strace ends as what it traces.
    for (const child of childrenOf(server.pid)) Deno.kill(child, "SIGTERM");
    assertEquals((await server.status).code, 0);
    const calls = Deno.readTextFileSync(trace).split("\n");
    const raised = calls.findIndex((call) => call.includes("rlim_cur=1064"));
    const given = calls.findIndex((call) => call.startsWith("setuid("));
    assert(raised >= 0 && raised < given, calls.join("\n"));
  },
);

testWith(["root"], "-u and -g take every number that there is", async () => {
  const most = 0xfffffffe;
  await using server = await startOurs(
    [...PLAIN, `-u${most}`, `-g${most}`, "@"],
  );
  const status = await Deno.readTextFile(`/proc/${server.pid}/status`);
  assert(status.includes(`Uid:\t${most}\t${most}\t${most}\t${most}`));
  await server.stop();
});

testWith(["root"], "-u, -g and -U give up root", async () => {
  const env = { UID: "65534", GID: "65533" };
  for (const options of [["-U"], ["-u65534", "-g", "65533"]]) {
    await using server = await startOurs([...PLAIN, ...options, "@"], { env });
    const status = await Deno.readTextFile(`/proc/${server.pid}/status`);
    assertMatch(status, /Uid:\t65534\t65534\t65534\t65534/);
    assertMatch(status, /Gid:\t65533\t65533\t65533\t65533/);
    assertMatch(status, /Groups:\t65533 ?\n/);
    await transmit(server.port, "a\n");
    await server.stop();
    assertEquals(server.data, "a\n");
  }
});

testWith(
  ["root"],
  "-U never leaves it root for a number that is none",
  async () => {
    {
      // Leading digits, as the original reads them.
      const env = { UID: "65534x", GID: "65533 " };
      await using server = await startOurs([...PLAIN, "-U", "@"], { env });
      const status = await Deno.readTextFile(`/proc/${server.pid}/status`);
      assertMatch(status, /Uid:\t65534\t/);
      await server.stop();
    }
    for (const UID of ["nobody", " 65534", "-1", "99999999999"]) {
      const { code, stderr } = await run(
        [ours.socklogTcp, "-U", "127.0.0.1", "0", "TCPREMOTEIP"],
        { env: { UID, GID: "65533" } },
      );
      assertEquals(code, 100);
      assertMatch(stderr, /^socklog-tcp: -U wants a number in \$UID, not /);
    }
  },
);

Deno.test("a program that can't be run drops the connection only", async () => {
  using work = folder();
  const link = `${work.path}/tcpserver`;
  await Deno.symlink(ours.socklogTcp, link);
  await using server = await startOurs(
    ["-v", ...PLAIN, "@", "no-such-program"],
    { name: link },
  );
  await transmit(server.port, "");
  await until("it is told", () => server.messages.includes("status 28416"));
  assertEquals(await server.stop(), 0);
  assertMatch(
    server.messages,
    /tcpserver: warning: dropping connection, unable to run no-such-program: file does not exist/,
  );
});

Deno.test("as many programs run at once as -c says", async () => {
  await using server = await startOurs(
    ["-v", ...PLAIN, "-c", "3", "@", "cat"],
  );
  const connections = await Promise.all(
    Array.from({ length: 5 }, () => dial(server.port)),
  );
  const heard = [];
  for (const [i, connection] of connections.entries()) {
    await say(connection, `echo ${i}`);
    heard.push(await finish(connection));
  }
  assertEquals(heard, ["echo 0", "echo 1", "echo 2", "echo 3", "echo 4"]);
  await until(
    "all have ended",
    () => server.messages.split(": end ").length === 6,
  );
  await server.stop();
  assert(!server.messages.includes("status: 4/3"));
  assert(server.messages.includes("status: 3/3"));
});

Deno.test("-f: counted and plain senders at one port", async () => {
  await using server = await startOurs([...PLAIN, "-f", "@", "PROTO"]);
  await transmit(server.port, "10 <13>a\n<14>5 <86>b");
  await transmit(server.port, "<13>5 plain\n");
  await server.stop();
  assertEquals(
    server.data,
    "TCP: user.notice: a\nTCP: user.notice: <14>\nTCP: authpriv.info: b\n" +
      "TCP: user.notice: 5 plain\n",
  );
});

Deno.test("-U without $UID and $GID is refused, by the name tcpserver, too", async () => {
  using at = folder();
  const tcpserver = `${at.path}/tcpserver`;
  Deno.symlinkSync(ours.socklogTcp, tcpserver);
  for (const env of [{}, { UID: "65534" }, { GID: "65534" }]) {
    for (const program of [ours.socklogTcp, tcpserver]) {
      const { code, stderr } = await run(
        ["env", "-u", "UID", "-u", "GID"].concat(
          Object.entries(env).map(([name, value]) => `${name}=${value}`),
          [program, "-U", "127.0.0.1", "0", "socklog", "ucspi", "TCPREMOTEIP"],
        ),
        // Only what isn't refused would go on.
        { patience: 20 },
      );
      assertEquals(code, 100);
      assertMatch(
        stderr,
        /^(socklog-tcp|tcpserver): -U wants \$UID and \$GID\n/,
      );
    }
  }
});

testWith(
  ["strace"],
  "an address that can't be listened at is named in the message, with its port",
  async () => {
    using at = folder();
    using other = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const { port } = other.addr as Deno.NetAddr;
    const strace = tracing("listen", `${at.path}/trace`)
      .concat("-e", "inject=listen:error=EADDRINUSE");
    const free = freePort();
    const cases: [string[], number, string][] = [
      [[], port, "bind to"],
      [strace, free, "listen at"],
    ];
    for (const [through, number, what] of cases) {
      const { code, stderr } = await run(
        [...through, ours.socklogTcp, "-RHl0", "127.0.0.1", `${number}`],
        { patience: 20 },
      );
      assertEquals([code, stderr], [
        111,
        `socklog-tcp: fatal: unable to ${what} 127.0.0.1 port ${number}: ` +
        "address already used\n",
      ]);
    }
  },
);

Deno.test("a NAME that looks like a typing error is warned of", async () => {
  const names = ["TCPREMOTEPI", "TCPREMOTIP", "OTHER", "TCPREMOTEIP", "PORTO"];
  await using server = await startOurs([...PLAIN, "@", ...names], {
    env: { PORTO: "set" },
  });
  await transmit(server.port, "a\n");
  await server.stop();
  assertEquals(server.data, "127.0.0.1: set: a\n");
  assertEquals(
    server.messages,
    ["TCPREMOTEPI", "TCPREMOTIP"].map((name) =>
      `socklog-tcp: warning: $${name} is not set; is $TCPREMOTEIP meant?\n`
    ).join(""),
  );
});

Deno.test("a NAME's bytes come out as they are, but none that ends a line", async () => {
  const name = "hö€Ċst";
  await using server = await startOurs(
    ["-RH", "-l", name, "@", "TCPLOCALHOST", "TWO", "LONG"],
    { env: { TWO: "a\nb", LONG: "y".repeat(100_000) } },
  );
  await transmit(server.port, "x\n");
  assertEquals(await server.stop(), 0);
  const begin = new TextDecoder().decode(
    Uint8Array.from(server.data, (c) => c.charCodeAt(0)),
  );
  assert(begin.startsWith(`${name}: a?b: yyy`), begin.slice(0, 80));
  assert(server.data.endsWith("yx\n"));
});

Deno.test("-x asks the client's host for a user only when a rule names one", {
  ignore: !canAnswer,
}, async () => {
  using work = folder();
  const cdb = `${work.path}/cdb`;
  const tcprules = installed("tcprules");
  if (tcprules === undefined) return;
  const identd = await listenForIdent();
  let asked = 0;
  await using server = await startOurs(["-l0", "-t9", "-x", cdb, "@"]);
  const listening = (async () => {
    for await (const { connection } of questionsOf(server.port, identd)) {
      asked++;
      connection.close();
    }
  })();
  for (const [rules, questions] of [[":allow\n", 0], ["joe@:deny\n", 1]]) {
    await run([tcprules, cdb, `${work.path}/tmp`], { stdin: `${rules}` });
    await transmit(server.port, "a\n");
    assertEquals(asked, questions);
  }
  identd.close();
  await listening;
  await server.stop();
  assertEquals(server.data, "a\na\n");
});

testWith(
  ["root", "unshare"],
  "look-ups that nobody answers hold up no other client",
  async () => {
    using at = folder();
    const put = (name: string, text: string) => {
      Deno.writeTextFileSync(`${at.path}/${name}`, text);
      return `${at.path}/${name}`;
    };
    const address = (...ip: readonly number[]) => {
      const bytes = new Uint8Array(16);
      bytes.set([2, 0, 0, 0, ...ip]);
      return bytes;
    };
    const silent = endpoint(address(127, 0, 53, 1), 53);
    const nameServer = bindUdp(silent, 1 << 20);
    const server = await startOurs(["-Rl0", "@", "TCPREMOTEHOST"], {
      through: [
        ...withHosts(at.path, "127.0.0.9 innocent\n"),
        ...["sh", "-c"].concat(
          'mount --bind "$0" /etc/resolv.conf; ' +
            'mount --bind "$1" /etc/nsswitch.conf; shift; exec "$@"',
          put("resolv", `nameserver ${silent.ip}\noptions timeout:20\n`),
          put("nsswitch", "hosts: files dns\n"),
        ),
      ],
    });
    await using _server = server;
    const connectFrom = (...ip: readonly number[]) => {
      const from = endpoint(address(...ip));
      const fd = socket(from);
      bind(fd, from);
      connect(fd, loopbackAddress(server.port));
      return fd;
    };
    const clients = Array.from(
      { length: 39 },
      (_, i) => connectFrom(127, 0, i + 1, 1),
    );
    try {
      const began = performance.now();
      const innocent = connectFrom(127, 0, 0, 9);
      clients.push(innocent);
      await until("it is connected", () => write(innocent, bytes("x\n")) > 0);
      await until("its line is there", () => server.data === "innocent: x\n");
      const seconds = (performance.now() - began) / 1000;
      // The first of the others have still to wait for an answer.
      assert(seconds < 20, `${seconds} s`);
    } finally {
      for (const fd of clients) close(fd);
      close(nameServer);
    }
  },
);

Deno.test("messages that nobody reads hold up no connection that is served, nor the end", async () => {
  using at = folder();
  const path = `${at.path}/messages`;
  await run(["mkfifo", path]);
  const reader = open(path, "read");
  const writer = open(path, "append");
  await using server = await startOurs(["-v", ...PLAIN, "-b500", "@"], {
    redirections: `2>${path}`,
  });
  const served = await dial(server.port);
  await say(served, "first\n");
  await until("it is served", () => server.data === "first\n");
  const room = new Readiness(writer, WRITABLE);
  const visit = () => {
    const visitor = socket(loopbackAddress(server.port));
    connect(visitor, loopbackAddress(server.port));
    close(visitor);
  };
  await until("there is no room for more messages", () => {
    visit();
    return !room.ready();
  });
  // What is to be told of these has to wait, but for what goes into the last page.
  for (let i = 0; i < 100; i++) visit();
  await sleep(200);
  await say(served, "second\n");
  await until("it goes on", () => server.data === "first\nsecond\n");
  await inTime(4, async () => {
    server.kill("SIGTERM");
    assertEquals((await server.status).code, 0);
  });
  served.close();
  close(reader);
  close(writer);
});

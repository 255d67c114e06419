/**
 * `socklog-tcp unix`, `socklog-tcp inet`, and socklog(8) by its name: beside
 * the original, with real sockets, real `logger`, and real tcpserver.
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { encode } from "../../src/bytes.ts";
import { putDatagram, roomForDatagram } from "../../src/socklog/datagrams.ts";
import {
  folder,
  freePort,
  installed,
  latin1,
  ours,
  run,
  Running,
  seeded,
  testWith,
} from "../tools.ts";
import { mode, whole } from "../multilog/harness.ts";
import { DatagramSender } from "./_datagrams.ts";

const ORIGINAL = installed("socklog") ?? "";

/** Datagrams without a newline inside, which both must print alike. */
function datagrams(): Uint8Array[] {
  const list = [
    "<13>hello",
    "<13>newline\n",
    "no priority",
    "<13>NUL at the end\0",
    "NUL\0inside",
    "<191>x",
    "<192>mark",
    "<999>unknown",
    "<0>kernel's own",
    "\n",
    "<13>",
    "<13>\n",
    "<13",
    "<>x",
    "<13>control \x01\x7f\t",
    "<0013>x",
    `<13>${"L".repeat(2000)}`,
    `<13>${"L".repeat(1019)}\n`,
    `<13>${"L".repeat(1020)}\n`,
    "M".repeat(1023),
    "M".repeat(1024),
    "M".repeat(1025),
    "\0\0",
    "<13>\0abc",
    "carriage return\r\n",
  ].map((text) => encode(text));
  const random = seeded(7);
  const alphabet = [0x3c, 0x31, 0x33, 0x3e, 0, 0x61, 0x39, 0xff];
  for (let i = 0; i < 100; i++) {
    const length = 1 + Math.floor(random() * 12);
    list.push(
      Uint8Array.from(
        { length },
        () => alphabet[Math.floor(random() * alphabet.length)]!,
      ),
    );
  }
  return list;
}

interface Server {
  readonly running: Running;
  readonly sender: DatagramSender;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Starts a server, and a sender once it listens. */
async function serve(
  words: readonly string[],
  to: string | number,
  options: { cwd?: string } = {},
): Promise<Server> {
  const running = new Running(words, options);
  await running.says("starting.");
  const sender = typeof to === "string"
    ? DatagramSender.unix(to)
    : DatagramSender.udp(to);
  return {
    running,
    sender,
    async [Symbol.asyncDispose]() {
      sender[Symbol.dispose]();
      await running[Symbol.asyncDispose]();
    },
  };
}

/** What a server prints for datagrams, and how it ends. */
async function printed(
  words: readonly string[],
  to: string | number,
  sent: readonly (string | Uint8Array)[],
): Promise<{ output: string; code: number }> {
  await using server = await serve(words, to);
  for (const datagram of sent) assert(server.sender.send(datagram));
  server.sender.send("the last one");
  await server.running.prints("the last one\n");
  const code = await server.running.stop();
  return { output: server.running.output, code };
}

const OPTIONS = [[], ["-r"], ["-R"], ["-rR"], ["-Rr"]];

testWith(
  ["socklog"],
  "unix prints what the original prints, whatever the datagrams hold",
  async () => {
    using dir = folder();
    for (const options of OPTIONS) {
      const path = `${dir.path}/log`;
      const theirs = await printed(
        [ORIGINAL, ...options, "unix", path],
        path,
        datagrams(),
      );
      const mine = await printed(
        [ours.socklogTcp, "unix", ...options, path],
        path,
        datagrams(),
      );
      assertEquals(mine, theirs);
    }
  },
);

testWith(
  ["socklog"],
  "inet prints what the original prints, whatever the datagrams hold",
  async () => {
    for (const options of OPTIONS.slice(0, 3)) {
      const port = freePort();
      const words = ["inet", "127.0.0.1", `${port}`];
      // The original's socket has room for fewer at a time.
      const sent = datagrams().slice(0, 60);
      const theirs = await printed(
        [ORIGINAL, ...options, ...words],
        port,
        sent,
      );
      const mine = await printed(
        [ours.socklogTcp, words[0]!, ...options, ...words.slice(1)],
        port,
        sent,
      );
      assertEquals(mine, theirs);
    }
  },
);

Deno.test("each line of a datagram has the prefix of its sender", async () => {
  const port = freePort();
  const { output } = await printed(
    [ours.socklogTcp, "inet", "127.0.0.1", `${port}`],
    port,
    ["<13>one\n10.9.9.9: kern.emerg: forged\n\nend", "two\nthree\n"],
  );
  assertEquals(output.split("\n").slice(0, 6), [
    "127.0.0.1: user.notice: one",
    "127.0.0.1: user.notice: 10.9.9.9: kern.emerg: forged",
    "127.0.0.1: user.notice: ",
    "127.0.0.1: user.notice: end",
    "127.0.0.1: two",
    "127.0.0.1: three",
  ]);
});

Deno.test("the longest datagram of newlines fits into the room for it", () => {
  const bytes = new Uint8Array(1025).fill(10);
  bytes.set(encode("<13>"));
  const prefix = encode("192.0.2.7: ");
  const out = new Uint8Array(roomForDatagram(prefix.length));
  const end = putDatagram(bytes, 0, 1024, prefix, "both", out, 0);
  const line = "192.0.2.7: user.notice: \n";
  assertEquals(
    latin1(out.subarray(0, end)),
    `<13>${"\n".repeat(1020)}${line.repeat(1020)}`,
  );
});

Deno.test("TERM loses no datagram that the socket had received", async () => {
  const port = freePort();
  await using server = await serve(
    [ours.socklogTcp, "inet", "127.0.0.1", `${port}`],
    port,
  );
  const { running, sender } = server;
  running.signal("SIGSTOP");
  for (let i = 0; i < 2000; i++) sender.send(`<13>number ${i}`);
  running.signal("SIGTERM");
  running.signal("SIGCONT");
  assertEquals(await running.code(), 0);
  assertEquals(running.output.split("\n").length - 1, 2000);
});

/** How many datagrams a server says it has lost. */
function lostOf(said: string): number {
  return [...said.matchAll(/warning: (\d+) datagrams lost/g)]
    .reduce((sum, [, n]) => sum + Number(n), 0);
}

Deno.test("datagrams that the kernel drops are counted and reported, also when none comes after them", async () => {
  const port = freePort();
  await using server = await serve(
    [ours.socklogTcp, "inet", "127.0.0.1", `${port}`],
    port,
  );
  const { running, sender } = server;
  running.signal("SIGSTOP");
  const count = 60_000;
  for (let i = 0; i < count; i++) sender.send(`<13>number ${i}`);
  running.signal("SIGCONT");
  await running.says("datagrams lost: they came faster than they were read\n");
  assertEquals(await running.stop(), 0);
  const received = running.output.split("\n").length - 1;
  assert(received > 100, "next to nothing was received");
  assertEquals(received + lostOf(running.said), count);
});

Deno.test("in a flood, the datagrams in the log and those reported as lost are all that were sent", async () => {
  using dir = folder();
  const port = freePort();
  const script = ["s16777215", "n100", "./all", "@./hosts"];
  await using server = await serve(
    [ours.socklogTcp, "inet", "127.0.0.1", `${port}`, "multilog", ...script],
    port,
    { cwd: dir.path },
  );
  const { running, sender } = server;
  const count = 300_000;
  for (let i = 0; i < count; i++) {
    // In a busy machine's worst moment it gets no turn.
    if (i === count / 2) running.signal("SIGSTOP");
    sender.send(`<13>me: this is number ${i} of a flood of lines`);
  }
  running.signal("SIGTERM");
  running.signal("SIGCONT");
  assertEquals(await running.code(), 0);
  const lost = lostOf(running.said);
  assert(lost > 0, "a stopped server can't have received everything");
  for (const log of ["all", "hosts/127.0.0.1"]) {
    const lines = whole(`${dir.path}/${log}`).split("\n").length - 1;
    assertEquals(lines + lost, count, log);
    assertEquals(mode(`${dir.path}/${log}/current`), "744");
  }
});

Deno.test("a full standard output holds /dev/log's senders, and loses nothing", async () => {
  using dir = folder();
  const path = `${dir.path}/log`;
  await using server = await serve([ours.socklogTcp, "unix", path], path);
  const { running, sender } = server;
  running.reading = false;
  const line = "x".repeat(900);
  let sent = 0;
  while (sender.send(`<13>${line} ${sent}`, false)) {
    sent++;
    if (sent % 100 === 0) await new Promise((r) => setTimeout(r, 2));
    assert(sent < 100_000, "nothing holds the sender");
  }
  running.reading = true;
  await running.prints(` ${sent - 1}\n`);
  assertEquals(running.output.split("\n").length - 1, sent);
  assertEquals(await running.stop(), 0);
});

testWith(["logger"], "what logger sends arrives", async () => {
  using dir = folder();
  const path = `${dir.path}/log`;
  await using running = new Running([ours.socklogTcp, "unix", path]);
  await running.says(`listening on ${path}, starting.\n`);
  const words = ["logger", "-d", "-u", path, "-p", "mail.err", "-t", "me"];
  assertEquals((await run([...words, "a line"])).code, 0);
  await running.prints("\n");
  assertMatch(running.output, /^mail\.err: .*me: a line\n$/);
  assertEquals(await running.stop(), 0);
});

Deno.test("every user may send to the socket, and with -U only those that the umask allows", async () => {
  using dir = folder();
  const path = `${dir.path}/log`;
  for (const [options, mode] of [[[], 0o777], [["-U"], 0o755]] as const) {
    await using running = new Running([
      "sh",
      "-c",
      'umask 022; exec "$@"',
      "sh",
      ours.socklogTcp,
      "unix",
      ...options,
      path,
    ]);
    await running.says("starting.");
    assertEquals(Deno.statSync(path).mode! & 0o777, mode);
    assertEquals(await running.stop(), 0);
  }
});

testWith(
  ["root"],
  "a socket's server gives up root for $UID and $GID once it listens",
  async () => {
    using dir = folder();
    const path = `${dir.path}/log`;
    await using running = new Running([ours.socklogTcp, "unix", path], {
      env: { UID: "65534", GID: "65533" },
    });
    await running.says(`${path}, gid=65533, uid=65534, starting.\n`);
    const status = Deno.readTextFileSync(`/proc/${running.pid}/status`);
    assertMatch(status, /^Uid:\t65534\t65534\t65534\t65534$/m);
    assertMatch(status, /^Gid:\t65533\t65533\t65533\t65533$/m);
    assertMatch(status, /^Groups:\t65533 $/m);
    assertEquals(await running.stop(), 0);
  },
);

Deno.test("an error at the start is one line that names what can't work", async () => {
  using dir = folder();
  const file = `${dir.path}/file`;
  Deno.writeTextFileSync(file, "not a socket\n");
  const cases: [string[], Record<string, string>, string][] = [
    [["unix", file], {}, `unable to bind ${file}: address already used`],
    [["unix", "/no/log"], {}, "unable to bind /no/log: file does not exist"],
    [["unix", `${dir.path}/l`], { UID: "me" }, "$UID must be a number, not me"],
    [["inet", "127.0.0.1", "99999"], {}, "bad port number: 99999"],
    [["inet", "host"], {}, "bad IP address: host"],
    [
      ["inet", "192.0.2.1", "5140"],
      {},
      "unable to bind 192.0.2.1:5140: address not available",
    ],
  ];
  for (const [words, env, message] of cases) {
    const outcome = await run([ours.socklogTcp, ...words], { env });
    assertEquals(outcome.stderr, `socklog-tcp: fatal: ${message}\n`);
    assertEquals(outcome.code, 111);
  }
  assertEquals(Deno.readTextFileSync(file), "not a socket\n");
});

/** A folder with a link to the executable that has another program's name. */
function linked(name: string, at: string): string {
  const link = `${at}/${name}`;
  Deno.symlinkSync(ours.socklogTcp, link);
  return link;
}

testWith(
  ["socklog"],
  "under the name socklog, it prints and ends as socklog does",
  async () => {
    using dir = folder();
    const link = linked("socklog", dir.path);
    const input = "<6>[1.0] up\n<13>ab\n<14>c\0d\n\n<15>unfinished";
    const env = { A: "1", B: "x y" };
    for (
      const words of [["ucspi", "A", "NONE", "B"], ["-R", "ucspi"], ["uc"]]
    ) {
      const theirs = await run([ORIGINAL, ...words], { stdin: input, env });
      const mine = await run([link, ...words], { stdin: input, env });
      assertEquals(mine, theirs);
    }
    for (const words of [["-x"], ["nothing"], ["unix", "a", "b"]]) {
      const theirs = await run([ORIGINAL, ...words]);
      const mine = await run([link, ...words]);
      assertEquals(mine.code, theirs.code);
      assertMatch(mine.stderr, /usage: socklog \[-rRU\]/);
    }
    const path = `${dir.path}/log`;
    const theirs = await printed([ORIGINAL, "-r", "unix", path], path, [
      "<13>a",
    ]);
    const mine = await printed([link, "-r", "unix", path], path, ["<13>a"]);
    assertEquals(mine, theirs);
  },
);

testWith(
  ["tcpserver"],
  "by the name socklog it serves ucspi under the original tcpserver",
  async () => {
    using dir = folder();
    const link = linked("socklog", dir.path);
    const port = freePort();
    await using server = new Running([
      "tcpserver",
      "-vHRl0",
      "127.0.0.1",
      `${port}`,
      link,
      "ucspi",
      "TCPREMOTEIP",
    ]);
    await server.says("status: 0/40");
    const sent = await run(
      [ours.socklogTcp, "send", "127.0.0.1", `${port}`],
      { stdin: "<13>one\n<14>two" },
    );
    assertEquals(sent.code, 0);
    await server.says(
      "127.0.0.1: user.notice: one\n127.0.0.1: user.info: two\n",
    );
  },
);

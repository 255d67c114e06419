import { assert, assertEquals, assertMatch } from "@std/assert";
import { close, setNonblocking, write } from "../../src/sys/descriptors.ts";
import type { SysError } from "../../src/sys/errors.ts";
import { loopbackAddress } from "../../src/sys/sockets.ts";
import { dialFirst } from "../../src/socklog/dialling.ts";
import { bothWays, sender } from "../inside/_ways.ts";
import {
  bytes,
  chosenSeed,
  folder,
  howMany,
  inTime,
  latin1,
  ours,
  type Outcome,
  run,
  seeded,
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
  RawSocket,
  say,
  silent,
  startOurs,
  tableOf,
} from "./servers.ts";

const HOST = "127.0.0.1";

/** A server that the test plays itself, for one connection. */
async function playServer(
  play: (connection: Deno.TcpConn) => Promise<void>,
  args: readonly string[] = [],
  stdin: string | Uint8Array = "some log\n",
): Promise<Outcome> {
  using listener = Deno.listen({ hostname: HOST, port: 0 });
  const { port } = listener.addr as Deno.NetAddr;
  const sending = run(
    [...sender(), "send", ...args, HOST, `${port}`],
    { stdin },
  );
  await play(await listener.accept());
  return await sending;
}

async function readAll(connection: Deno.TcpConn): Promise<string> {
  const buffer = new Uint8Array(65536);
  let text = "";
  while (true) {
    const n = await connection.read(buffer);
    if (n === null) return text;
    text += latin1(buffer.subarray(0, n));
  }
}

/** A connection that is over, in the kernel's table. */
const TIME_WAIT = "06";

bothWays(
  "send succeeds when the server closes after it has read everything",
  async () => {
    let got = "";
    let closed = false;
    const { code, stderr, text } = await playServer(async (connection) => {
      got = await readAll(connection);
      await connection.write(bytes("whatever a server says\n"));
      await sleep(100);
      closed = true;
      connection.close();
    });
    assert(closed);
    assertEquals([code, stderr, text, got], [0, "", "", "some log\n"]);
  },
);

testWith(
  ["strace"],
  "send goes on when the error number of its connect(2) is another's",
  async () => {
    await using server = await startOurs(["-aRHl0", "@"]);
    const { code, stderr } = await run(
      tracing("connect", "/dev/null")
        .concat("-e", "inject=connect:error=ENOENT:when=1")
        .concat(ours.socklogTcp, "send", "-a", HOST, `${server.port}`),
      { stdin: "a line\n" },
    );
    assertEquals([code, stderr], [0, ""]);
    await server.stop();
    assertEquals(server.data, "a line\n");
  },
);

bothWays("send succeeds with empty input", async () => {
  const { code } = await playServer(
    async (connection) => {
      assertEquals(await readAll(connection), "");
      connection.close();
    },
    [],
    "",
  );
  assertEquals(code, 0);
});

bothWays(
  "send fails when the server closes before it has read everything",
  async () => {
    const { code, stderr } = await playServer(
      async (connection) => {
        await connection.closeWrite();
        await readAll(connection).catch(() => {});
        connection.close();
      },
      [],
      new Uint8Array(50_000_000),
    );
    assertEquals(code, 111);
    assertEquals(
      stderr,
      "socklog-tcp: fatal: connection closed before everything was sent\n",
    );
  },
);

bothWays(
  "send fails when the connection is reset, while sending and while waiting",
  async () => {
    for (const size of [10, 50_000_000]) {
      await using server = await startOurs(["-RHl0", "@"]);
      // What it can't write it doesn't read, so its death resets the connection.
      const filler = new RawSocket(server.port);
      server.reading = false;
      const block = new Uint8Array(1024 * 1024).fill(0x78);
      setNonblocking(filler.fd, true);
      let full = 0;
      await until("everything is full", () => {
        full = write(filler.fd, block) > 0 ? 0 : full + 1;
        return full > 40;
      });
      const sending = run(
        [...sender(), "send", "-v", HOST, `${server.port}`],
        { stdin: new Uint8Array(size).fill(0x78) },
      );
      const at = `:${server.port.toString(16).toUpperCase().padStart(4, "0")}`;
      await until(
        "it is connected, too",
        () =>
          tableOf(server.port).filter(([, , remote, state]) =>
            // A sender that has sent all waits in another state.
            remote!.endsWith(at) && state !== TIME_WAIT
          ).length === 2,
      );
      await sleep(500);
      server.kill("SIGKILL");
      const { code, stderr } = await sending;
      filler[Symbol.dispose]();
      assertEquals(code, 111);
      assertMatch(
        stderr,
        /fatal: unable to send: (connection reset|broken pipe)/,
      );
    }
  },
);

bothWays(
  "send fails with a message when nobody listens or answers",
  async () => {
    const { code, stderr } = await run(
      [...sender(), "send", HOST, "1"],
      { stdin: "x" },
    );
    assertEquals(code, 111);
    assertEquals(
      stderr,
      "socklog-tcp: unable to connect to 127.0.0.1 port 1: connection refused\n",
    );
    const quiet = await run([...sender(), "send", "-q", HOST, "1"]);
    assertEquals([quiet.code, quiet.stderr], [111, ""]);
  },
);

bothWays(
  "-T x+y tries each address for x seconds, then for y more, then fails",
  async () => {
    using port = silent();
    for (const [timeout, least] of [["1", 1], ["1+2", 3]] as const) {
      const { seconds } = await inTime(least + 1, async () => {
        const { code, stderr } = await run(
          [...sender(), "send", `-T${timeout}`, HOST, `${port.end.port}`],
        );
        assertEquals([code, stderr], [
          111,
          `socklog-tcp: unable to connect to ${HOST} port ${port.end.port}: timed out\n`,
        ]);
      });
      assert(seconds >= least, `${seconds} s`);
    }
  },
);

Deno.test("an address of a kind that this machine hasn't is passed over", async () => {
  using listener = Deno.listen({ hostname: HOST, port: 0 });
  const good = loopbackAddress((listener.addr as Deno.NetAddr).port);
  // No machine has a family of this number.
  const strange = { ...good, bytes: good.bytes.slice() };
  strange.bytes[0] = 255;
  const dialled = await dialFirst([{ remote: strange }, { remote: good }], [
    1,
    1,
  ]);
  assert(!(dialled instanceof Map));
  close(dialled.fd);
  const failed = await dialFirst([{ remote: strange }], [1]);
  assert(failed instanceof Map);
  assertEquals(failed.get(strange)!.code, "EAFNOSUPPORT");
});

testWith(
  ["root", "unshare"],
  "-i: only addresses of its kind are tried",
  async () => {
    using at = folder();
    const words = withHosts(
      at.path,
      "::1 loghost\n127.0.0.1 loghost\n::1 other\n",
    );
    await using server = await startOurs(["-RHl0", "@", "TCPREMOTEIP"]);
    const send = (host: string) =>
      run(
        [...words, ...sender(), "send", "-i", "127.0.0.9", host]
          .concat(`${server.port}`),
        { stdin: "x\n" },
      );
    const { code, stderr } = await send("loghost");
    assertEquals({ code, stderr }, { code: 0, stderr: "" });
    assertEquals(
      (await send("other")).stderr,
      "socklog-tcp: fatal: no IP address for other is 127.0.0.9's kind\n",
    );
    await server.stop();
    assertEquals(server.data, "127.0.0.9: x\n");
  },
);

Deno.test("several addresses are tried in turn", async () => {
  using port = silent();
  using listener = Deno.listen({ hostname: HOST, port: 0 });
  const good = {
    remote: loopbackAddress((listener.addr as Deno.NetAddr).port),
  };
  const refusing = { remote: loopbackAddress(1) };
  const hanging = { remote: port.end };
  const dialled = await dialFirst([refusing, hanging, good], [0.2, 5]);
  assert(!(dialled instanceof Map));
  assertEquals(dialled.remote, good.remote);
  close(dialled.fd);
  const { seconds, result: failed } = await inTime(
    1,
    () => dialFirst([hanging, refusing], [0.2, 0.3]),
  );
  assert(failed instanceof Map);
  assert(seconds >= 0.5, `${seconds} s`);
  assertEquals(
    [...failed.values()].map((error: SysError) => error.code),
    ["ETIMEDOUT", "ECONNREFUSED"],
  );
});

Deno.test("-v, -i and -p, names and IPv6", { ignore: !hasIPv6 }, async () => {
  await using server = await startOurs(
    ["-RHl0", "::", "0", "TCPREMOTEIP", "TCPREMOTEPORT"],
  );
  using free = Deno.listen({ hostname: HOST, port: 0 });
  const own = (free.addr as Deno.NetAddr).port;
  free.close();
  const cases: [string[], string, RegExp][] = [
    [["localhost"], "127.0.0.1", /^127\.0\.0\.1: \d+: x\n$/],
    [["0"], "127.0.0.1", /^127\.0\.0\.1: \d+: x\n$/],
    [["::1"], "::1", /^::1: \d+: x\n$/],
    [["-i", "127.0.0.9", HOST], HOST, /^127\.0\.0\.9: \d+: x\n$/],
    [
      ["-p", `${own}`, HOST],
      HOST,
      new RegExp(`^127\\.0\\.0\\.1: ${own}: x\n$`),
    ],
  ];
  let before = 0;
  for (const [args, ip, line] of cases) {
    const { code, stderr } = await run(
      [...sender(), "send", "-v", ...args, `${server.port}`],
      { stdin: "x\n" },
    );
    assertEquals(code, 0, stderr);
    assertEquals(
      stderr,
      `socklog-tcp: connected to ${ip} port ${server.port}\n`,
    );
    await until("the line is there", () => server.data.length > before);
    assertMatch(server.data.slice(before), line);
    before = server.data.length;
  }
  const { code, stderr } = await run(
    [...sender(), "send", "-i", "192.0.2.1", HOST, `${server.port}`],
  );
  assertEquals(code, 111);
  assertMatch(
    stderr,
    /fatal: unable to bind socket to [^ ]+ port \d+: address not available/,
  );
});

bothWays(
  "send -a succeeds when the server has written everything",
  async () => {
    await using server = await startOurs(["-RHl0", "-a", "@"]);
    const to = [HOST, `${server.port}`];
    for (const stdin of ["", "x", "line\n".repeat(100_000), "\n\n\0"]) {
      const { code, stderr } = await run(
        [...sender(), "send", "-a", ...to],
        { stdin },
      );
      assertEquals([code, stderr], [0, ""]);
      // One that doesn't ask isn't disturbed by the answer.
      const plain = await run([...sender(), "send", ...to], { stdin });
      assertEquals([plain.code, plain.stderr], [0, ""]);
    }
  },
);

bothWays(
  "send -a fails when the server acknowledges nothing, or less than was sent",
  async () => {
    await using server = await startOurs(["-RHl0", "@"]);
    const { code, stderr } = await run(
      [...sender(), "send", "-a", HOST, `${server.port}`],
      { stdin: "x\n" },
    );
    assertEquals(code, 111);
    assertEquals(
      stderr,
      "socklog-tcp: fatal: no acknowledgement: a server gives it with -a, when all went well\n",
    );
    const cases: Record<string, RegExp> = {
      "8\n": /fatal: 8 bytes were acknowledged, and 9 sent/,
      "9": /fatal: no acknowledgement/,
      "9\n9\n": /fatal: no acknowledgement/,
      "nine\n": /fatal: no acknowledgement/,
      [`${"9".repeat(400)}\n`]: /fatal: no acknowledgement/,
    };
    for (const [answer, message] of Object.entries(cases)) {
      const outcome = await playServer(async (connection) => {
        await readAll(connection);
        await connection.write(bytes(answer));
        connection.close();
      }, ["-a"]);
      assertEquals(outcome.code, 111);
      assertMatch(outcome.stderr, message);
    }
  },
);

bothWays(
  "send -a never succeeds when the server was killed before it had written everything",
  async () => {
    const seed = chosenSeed();
    const random = seeded(seed);
    let successes = 0;
    const rounds = howMany(8, 24);
    for (let round = 0; round < rounds; round++) {
      using work = folder();
      const out = `${work.path}/out`;
      const free = Deno.listen({ hostname: HOST, port: 0 });
      const { port } = free.addr as Deno.NetAddr;
      free.close();
      const server = new Deno.Command("sh", {
        args: [
          "-c",
          `exec "$0" -aRHl0 ${HOST} ${port} >${out}`,
          ours.socklogTcp,
        ],
        stdin: "null",
      }).spawn();
      await until("it listens", () => {
        try {
          new RawSocket(port)[Symbol.dispose]();
          return true;
        } catch {
          return false;
        }
      });
      const text = "a line of some length, as lines are\n".repeat(30_000);
      const sending = run([...sender(), "send", "-a", HOST, `${port}`], {
        stdin: text,
      });
      await new Promise((resolve) => setTimeout(resolve, random() * 70));
      server.kill("SIGKILL");
      await server.status;
      const { code } = await sending;
      const { size } = await Deno.stat(out);
      if (code === 0) {
        successes++;
        assertEquals(size, text.length, `LOGFERRY_SEED=${seed}`);
      }
    }
    assert(successes < rounds);
  },
);

bothWays(
  "a server never acknowledges what it has read and can't write",
  async () => {
    await using server = await startOurs(["-aRHl0", "@"]);
    server.reading = false;
    // More than a pipe takes, and less than the server holds in memory.
    const text = "a line of some length, as lines are\n".repeat(20_000);
    const sending = run([...sender(), "send", "-a", HOST, `${server.port}`], {
      stdin: text,
    });
    await sleep(1500);
    server.kill("SIGKILL");
    server.reading = true;
    const { code, stderr } = await sending;
    await server.stop();
    assert(server.data.length < text.length, "all was written");
    assertEquals(code, 111, stderr);
  },
);

Deno.test("a server acknowledges after the last line is written, never before", async () => {
  await using server = await startOurs(["-RHl0", "-a", "@"]);
  const asking = await dial(server.port);
  await say(asking, "the last line");
  // Another sender keeps standard output full, so that lines have to wait.
  server.reading = false;
  const other = await dial(server.port);
  const flooding = (async () => {
    try {
      while (true) await say(other, "y".repeat(99_999) + "\n");
    } catch {
      // That is how it ends.
    }
  })();
  await sleep(300);
  let answered = false;
  const answer = finish(asking).then((text) => {
    answered = true;
    assertEquals(text, "13\n");
  });
  while (!answered) {
    server.reading = true;
    await sleep(0);
    server.reading = false;
    await sleep(5);
  }
  server.kill("SIGKILL");
  server.reading = true;
  await server.stop();
  await answer;
  await flooding;
  other.close();
  assert(server.data.includes("the last line\n"));
});

Deno.test("a gigabyte goes through in little memory", async () => {
  const listener = Deno.listen({ hostname: HOST, port: 0 });
  const { port } = listener.addr as Deno.NetAddr;
  const command = 'head -c 1073741824 /dev/zero | "$0" send "$1" "$2"';
  const child = new Deno.Command("sh", {
    args: [
      "-c",
      `${command} & echo $!; wait $!`,
      ours.socklogTcp,
      HOST,
      `${port}`,
    ],
    stdin: "null",
    stdout: "piped",
  }).spawn();
  const connection = await listener.accept();
  const reader = child.stdout.getReader();
  const pid = new TextDecoder().decode((await reader.read()).value).trim();
  const buffer = new Uint8Array(1024 * 1024);
  let received = 0;
  let peak = 0;
  while (true) {
    const n = await connection.read(buffer);
    if (n === null) break;
    received += n;
    if (peak === 0 && received > 900_000_000) {
      const status = await Deno.readTextFile(`/proc/${pid}/status`);
      peak = Number(/VmHWM:\s+(\d+)/.exec(status)![1]) / 1024;
    }
  }
  connection.close();
  listener.close();
  await reader.cancel();
  assertEquals((await child.status).code, 0);
  assertEquals(received, 1024 ** 3);
  assert(peak > 0 && peak < 120, `${peak} MB`);
});

Deno.test("send fails when standard input can't be read", async () => {
  using work = folder();
  await using server = await startOurs(["-RHl0", "@"]);
  const { code, stderr } = await run([
    "sh",
    "-c",
    '"$0" send "$1" "$2" <"$3"',
    ours.socklogTcp,
    HOST,
    `${server.port}`,
    work.path,
  ]);
  assertEquals(code, 111);
  assertEquals(
    stderr,
    "socklog-tcp: fatal: unable to read standard input: is a directory\n",
  );
});

Deno.test("send passes on a slow writer's bytes as they come", async () => {
  await using server = await startOurs(["-RHl0", "@"]);
  const child = new Deno.Command(ours.socklogTcp, {
    args: ["send", HOST, `${server.port}`],
    stdin: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  for (const line of ["one\n", "two\n"]) {
    await writer.write(bytes(line));
    await until("it has arrived", () => server.data.endsWith(line));
  }
  await writer.close();
  assertEquals((await child.status).code, 0);
});

bothWays(
  "/dev/null, opened for reading and writing, is an empty log",
  async () => {
    await using server = await startOurs(["-RHl0", "@"]);
    // daemon(3), Python's DEVNULL and Node hand it to their children so.
    const { code, stderr } = await run(
      ["sh", "-c", 'exec "$@" 0<>/dev/null', "sh", ...sender(), "send"]
        .concat(HOST, `${server.port}`),
    );
    assertEquals({ code, stderr }, { code: 0, stderr: "" });
  },
);

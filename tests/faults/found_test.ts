/**
 * What the faults have found, each held by a small test.
 */
import {
  assert,
  assertEquals,
  assertMatch,
  assertStringIncludes,
} from "@std/assert";
import { existsSync } from "@std/fs";
import {
  close,
  pipe,
  read,
  setNonblocking,
} from "../../src/sys/descriptors.ts";
import { environ } from "../../src/sys/environment.ts";
import { Readiness, WRITABLE } from "../../src/sys/poll.ts";
import { kill, spawn, waitFor } from "../../src/sys/process.ts";
import { signals } from "../../src/sys/signals.ts";
import { connect, loopbackAddress, socket } from "../../src/sys/sockets.ts";
import { start, whole } from "../multilog/harness.ts";
import { dial, say, startOurs, transmit } from "../socklog/servers.ts";
import { canWire, Wire } from "./wire.ts";
import {
  folder,
  forOthers,
  latin1,
  ours,
  run,
  sleep,
  testWith,
  until,
} from "../tools.ts";

Deno.test("a killed server leaves whole lines in a full pipe", async () => {
  for (const length of [30, 300, 3000]) {
    const { reader, writer } = pipe();
    const pid = spawn({
      args: [
        ours.socklogTcp,
        "-1",
        "-HR",
        "-l0",
        "127.0.0.1",
        "0",
        "TCPREMOTEIP",
      ],
      env: [],
      fds: new Map([[1, writer]]),
    });
    const over = waitFor(pid);
    close(writer);
    setNonblocking(reader, true);
    const buffer = new Uint8Array(65536);
    let text = "";
    const take = () => {
      const n = read(reader, buffer);
      if (n > 0) text += latin1(buffer.subarray(0, n));
      return n;
    };
    try {
      await until("it listens", () => {
        take();
        return text.endsWith("\n");
      });
      const port = Number(text);
      text = "";
      const connection = await dial(port);
      const lines = `${"x".repeat(length)}\n`.repeat(Math.ceil(3e6 / length));
      const sent = say(connection, lines).catch(() => {});
      // Its reader takes a little, now and then, as one with a slow disk does.
      for (let i = 0; i < 5; i++) {
        await sleep(30);
        take();
      }
      await sleep(30);
      kill(pid, 9);
      await over;
      while (take() > 0);
      assert(text.length > 100000, `${text.length} bytes`);
      for (const line of text.split("\n").slice(0, -1)) {
        assertEquals(line, `127.0.0.1: ${"x".repeat(length)}`);
      }
      assert(text.endsWith("\n"), "the last line is cut");
      await sent;
      connection.close();
    } finally {
      kill(pid, 9);
      await over;
      close(reader);
    }
  }
});

Deno.test("a killed server leaves whole messages in a full pipe", async () => {
  for (let round = 0; round < 5; round++) {
    const { reader, writer } = pipe();
    const pid = spawn({
      args: [ours.socklogTcp, "-1vHR", "-l0", "-c500", "-b500", "127.0.0.1"]
        .concat("0", "TCPREMOTEIP"),
      env: [],
      // Both to one pipe, as after `exec 2>&1`.
      fds: new Map([[1, writer], [2, writer]]),
    });
    const over = waitFor(pid);
    setNonblocking(reader, true);
    const buffer = new Uint8Array(65536);
    let text = "";
    const take = () => {
      const n = read(reader, buffer);
      if (n > 0) text += latin1(buffer.subarray(0, n));
      return n;
    };
    try {
      await until("it listens", () => {
        take();
        return text.includes("\n");
      });
      const to = loopbackAddress(parseInt(text));
      const room = new Readiness(writer, WRITABLE);
      await until("the pipe is full", async () => {
        // Many come at once, and are all told of in one round.
        Deno.kill(pid, "SIGSTOP");
        for (let i = 0; i < 100 + 31 * round; i++) {
          const visitor = socket(to);
          connect(visitor, to);
          close(visitor);
        }
        Deno.kill(pid, "SIGCONT");
        await sleep(50);
        return !room.ready();
      });
      kill(pid, signals.SIGKILL);
      await over;
      while (take() > 0);
      const lines = text.split("\n");
      assertEquals(lines.pop(), "", "the last message is cut");
      assert(text.length > 60_000, `${text.length} bytes`);
      for (const line of lines.slice(1)) {
        assertMatch(line, /^socklog-tcp: \w+:? \d[^:]*(:\S* \S+)?$/);
      }
    } finally {
      kill(pid, signals.SIGKILL);
      await over;
      close(reader);
      close(writer);
    }
  }
});

testWith(
  ["prlimit"],
  "multilog with very few descriptors goes on, or says why it can't",
  async () => {
    let good = 0;
    let last = 0;
    for (let limit = 12; limit < 40; limit++) {
      using at = folder();
      // A log that is continued needs no more when it starts than later.
      await run([ours.multilog, "./log"], { cwd: at.path, stdin: "" });
      const { code, stderr } = await run(
        ["sh", "-c", '(echo one; sleep 0.2; echo two) | "$@"', "sh"].concat(
          ["prlimit", `--nofile=${limit}`, ours.multilog, "./log"],
        ),
        { cwd: at.path },
      );
      // With too few the runtime itself doesn't start, in its own words.
      if (/panicked/.test(stderr) && good === 0) continue;
      assert(!/Uncaught|\.ts:|panicked/.test(stderr), `${limit}: ${stderr}`);
      if (code === 0) {
        assertEquals(
          Deno.readTextFileSync(`${at.path}/log/current`),
          "one\ntwo\n",
          `with ${limit}`,
        );
        good++;
      } else {
        assertEquals(code, 111);
        assertStringIncludes(stderr, "multilog: fatal: ");
        last = limit;
      }
    }
    assert(good > 3, `never went well, not even with ${last}`);
  },
);

testWith(
  ["root", "prlimit", "setpriv"],
  "multilog with very few threads goes on, or ends before it has made a log",
  async () => {
    // A user that nobody is: whatever else it ran would count as well.
    const id = 1_800_000_000 + Deno.pid;
    let good = 0;
    using bin = folder();
    const multilog = forOthers(bin.path, ours.multilog);
    for (let limit = 1; limit < 10; limit++) {
      using at = folder();
      Deno.chmodSync(at.path, 0o777);
      const { code, stderr } = await run(
        ["sh", "-c", '(echo one; sleep 0.2; echo two) | "$@"', "sh"].concat(
          ["setpriv", `--reuid=${id}`, `--regid=${id}`, "--clear-groups"],
          ["prlimit", `--nproc=${limit}`, multilog, "./log"],
        ),
        { cwd: at.path },
      );
      // With too few the runtime itself doesn't start, in its own words.
      if (code !== 0) {
        assertEquals(good, 0, `with ${limit}: ${stderr}`);
        assert(!existsSync(`${at.path}/log`), `with ${limit}: ${stderr}`);
        continue;
      }
      assertEquals(
        Deno.readTextFileSync(`${at.path}/log/current`),
        "one\ntwo\n",
        `with ${limit}`,
      );
      good++;
    }
    assert(good > 3, "never went well");
  },
);

const wired = await canWire();

Deno.test({
  name: "send fails when the server closes before everything was acknowledged" +
    (wired ? "" : " (needs network namespaces)"),
  ignore: !wired,
  async fn() {
    await using wire = new Wire();
    // The log takes seconds, and what comes after its beginning is refused
    // when the server's end has been here for long.
    wire.conditions.rate = 500;
    const { address } = wire.server;
    const { reader, writer } = pipe();
    const pid = spawn({
      args: [...wire.on(wire.server), ours.socklogTcp, "-1HRl0"]
        .concat(address, "0", "true"),
      env: environ(),
      fds: new Map([[1, writer]]),
    });
    close(writer);
    try {
      const line = new Uint8Array(64);
      const port = latin1(line.subarray(0, read(reader, line))).trim();
      const { code, stderr } = await run(
        [...wire.on(wire.client), ours.socklogTcp, "send", address, port],
        { stdin: "x".repeat(1200) },
      );
      assertEquals(code, 111);
      assertEquals(
        stderr,
        "socklog-tcp: fatal: connection closed before everything was sent\n",
      );
    } finally {
      kill(pid, 9);
      await waitFor(pid);
      close(reader);
    }
  },
});

testWith(
  ["env"],
  "signals that were blocked at the start are handled all the same",
  async () => {
    using at = folder();
    const blocked = ["env", "--block-signal"];
    const lines = "a line\n".repeat(2000);
    const tried = await run(
      [...blocked, ours.tryto, "-t9", "-k1", "-n1", "cat"],
      { stdin: lines },
    );
    assertEquals([tried.code, tried.text], [0, lines]);
    const words = ["s4096", "n99", "!cat", "./log"];
    const logged = await run(
      ["timeout", "-s", "KILL", "20", ...blocked, ours.multilog, ...words],
      { cwd: at.path, stdin: lines },
    );
    assertEquals([logged.code, logged.stderr], [0, ""]);
    assertEquals(whole(`${at.path}/log`), lines);
    await using server = await startOurs(
      ["-c1", "-HRl0", "@", "cat"],
      { through: blocked },
    );
    for (let i = 0; i < 3; i++) {
      assertEquals(await transmit(server.port, "hello\n"), "hello\n");
    }
    assertEquals(await server.stop(), 0);
  },
);

testWith(
  ["prlimit"],
  "multilog with a limit on file sizes warns, pauses and tries again",
  async () => {
    using at = folder();
    await using log = await start(["./log"], {
      cwd: at.path,
      under: ["prlimit", "--fsize=8192:"],
    });
    const line = `${"x".repeat(9000)}\n`;
    await log.write(line);
    await log.says(
      "multilog: warning: unable to write to ./log/current, pausing: file too big\n",
    );
    await run(["prlimit", "--pid", `${log.pid}`, "--fsize=unlimited:"]);
    await log.write("and on\n");
    assertEquals(await log.finish(), 0);
    assertEquals(whole(`${at.path}/log`), `${line}and on\n`);
    // What can't be rewound goes to memory instead of a file.
    const lines = "a line\n".repeat(1e6);
    const tried = await run(
      ["prlimit", "--fsize=1000000", ours.tryto, "-n1", "cat"],
      { stdin: lines },
    );
    assertEquals([tried.code, tried.text.length], [0, lines.length]);
  },
);

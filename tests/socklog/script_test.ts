/**
 * `socklog-tcp … multilog script…`: the server's lines in the script's logs,
 * and acknowledgements that are given for nothing less than the disk.
 */
import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import {
  AS_NOBODY,
  folder,
  forOthers,
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
} from "../tools.ts";
import {
  canMount,
  Disk,
  look,
  mode,
  numbered,
  oldFiles,
  text,
  whole,
} from "../multilog/harness.ts";
import { DatagramSender } from "./_datagrams.ts";
import {
  type Connection,
  dial,
  hear,
  say,
  startOriginal,
  startOurs,
  transmit,
} from "./servers.ts";

const PLAIN = ["-RHl0", "@", "TCPREMOTEIP", "multilog"];
const ACKNOWLEDGING = ["-a", ...PLAIN];
const ADDRESS = "127.0.0.1: ";
const bin = ours.socklogTcp.replace(/\/[^/]*$/, "");

/** A log's files together, without what stands before each line. */
function linesOf(log: string): string {
  return whole(log).replaceAll(/^.*127\.0\.0\.1: /gm, "");
}

/** What `socklog-tcp send -a` makes of lines. */
function send(port: number, lines: string): ReturnType<typeof run> {
  return run([ours.socklogTcp, "send", "-a", "127.0.0.1", `${port}`], {
    stdin: lines,
  });
}

testWith(
  ["tcpclient"],
  "a script selects, stamps and shows, in several logs",
  async () => {
    using at = folder();
    const script = ["t", "./all", "-*", "+*: kern*", "=./last", "./kern"];
    await using server = await startOurs([...ACKNOWLEDGING, ...script], {
      cwd: at.path,
    });
    const sent = await send(server.port, "<13>one\n<3>two\nthree");
    assertEquals([sent.code, sent.stderr], [0, ""]);
    await run(
      [installed("tcpclient")!, "-RHl0", "127.0.0.1", `${server.port}`]
        .concat("sh", "-c", "echo '<2>four' >&7"),
    );
    const kern = ["kern.err: two\n", "kern.crit: four\n"];
    await until(
      "the original's line is there, and shown",
      () =>
        linesOf(`${at.path}/kern`) === kern.join("") &&
        text(`${at.path}/last`).includes("four"),
    );
    assertEquals(
      linesOf(`${at.path}/all`),
      `user.notice: one\n${kern[0]}three\n${kern[1]}`,
    );
    assertMatch(
      text(`${at.path}/all/current`),
      /^(@[0-9a-f]{24} 127\.0\.0\.1: .*\n){4}$/,
    );
    assertMatch(text(`${at.path}/last`), /^@[0-9a-f]{24} .*kern.crit: four\n/);
    assertEquals(await server.stop(), 0);
    assertEquals([server.data, server.messages], ["", ""]);
    for (const log of ["all", "kern"]) {
      assertEquals(mode(`${at.path}/${log}/current`), "744");
    }
  },
);

Deno.test("files are finished by size, by age, and at ALRM", async () => {
  using at = folder();
  const script = ["s4096", "n50", "./size", "a1", "./age"];
  await using server = await startOurs([...ACKNOWLEDGING, ...script], {
    cwd: at.path,
  });
  const lines = numbered(0, 2000);
  assertEquals((await send(server.port, lines)).code, 0);
  assert(oldFiles(`${at.path}/size`).length > 5);
  assertEquals(linesOf(`${at.path}/size`), lines);
  // Nothing but time makes this one old enough.
  await until("it is old enough", () => text(`${at.path}/age/current`) === "");
  assertEquals(linesOf(`${at.path}/age`), lines);
  await transmit(server.port, "more\n");
  server.signal("SIGALRM");
  await until("it is finished", () => text(`${at.path}/size/current`) === "");
  assertEquals(linesOf(`${at.path}/size`), `${lines}more\n`);
  assertEquals(await server.stop(), 0);
});

testWith(
  ["strace"],
  "a processor inside relays to another server",
  async () => {
    using at = folder();
    await using second = await startOurs([...ACKNOWLEDGING, "./second"], {
      cwd: at.path,
    });
    const relay = `!tryto -n1 socklog-tcp send -a 127.0.0.1 ${second.port}`;
    await using server = await startOurs(
      [...ACKNOWLEDGING, "s4096", "n20", relay, "./first"],
      {
        cwd: at.path,
        env: { PATH: `${bin}:${Deno.env.get("PATH")}` },
        through: tracing("execve", `${at.path}/trace`),
      },
    );
    const lines = numbered(0, 300);
    assertEquals((await send(server.port, lines)).code, 0);
    server.signal("SIGALRM");
    await until("all is relayed", () => linesOf(`${at.path}/second`) === lines);
    assertEquals(await server.stop(), 0);
    const started = text(`${at.path}/trace`).match(/execve\("\//g);
    assertEquals(started?.length, 1, "something was started");
  },
);

Deno.test("a processor that hangs holds up no sender, and TERM ends it", async () => {
  using at = folder();
  const script = ["s4096", "n20", "!exec sleep 60", "./slow", "!", "./quick"];
  await using server = await startOurs([...ACKNOWLEDGING, ...script], {
    cwd: at.path,
  });
  const lines = numbered(0, 400);
  assertEquals((await send(server.port, lines)).code, 0);
  assertEquals(linesOf(`${at.path}/quick`), lines);
  assertEquals(linesOf(`${at.path}/slow`), lines);
  await inTime(4, async () => assertEquals(await server.stop(), 0));
  assertEquals(mode(`${at.path}/quick/current`), "744");
  assertEquals(linesOf(`${at.path}/slow`), lines);
});

Deno.test("a full queue holds the senders until there is room", async () => {
  using at = folder();
  // One file at a time may go, when the test says so.
  const processor = "!test -e ../go && cat";
  await using server = await startOurs(
    [
      ...ACKNOWLEDGING,
      "s4096",
      "n3",
      processor,
      "./log",
      "n50",
      "!",
      "./other",
    ],
    { cwd: at.path },
  );
  let code = -1;
  const sending = send(server.port, numbered(0, 1000))
    .then((sent) => code = sent.code);
  await server.says("pausing");
  await sleep(500);
  assertEquals(code, -1);
  // The other log has what the first is given, and is finished at ALRM.
  await until("it goes on", () => oldFiles(`${at.path}/other`).length > 0);
  Deno.writeTextFileSync(`${at.path}/go`, "");
  const hurry = setInterval(() => server.signal("SIGALRM"), 100);
  await sending;
  clearInterval(hurry);
  assertEquals(code, 0);
  assertEquals(linesOf(`${at.path}/other`), numbered(0, 1000));
  assertEquals(await server.stop(), 0);
});

for (
  const [whose, action, waits] of [
    ["", "./disk/log", "disk/log"],
    [" of a host's log", "@./disk/hosts", "disk/hosts/127.0.0.1"],
  ] as const
) {
  Deno.test({
    name: `a full disk${whose} holds the senders, and loses nothing`,
    ignore: !canMount(),
    async fn() {
      using at = folder();
      using disk = new Disk(`${at.path}/disk`, "256k");
      await using server = await startOurs(
        [...ACKNOWLEDGING, "s16777215", action, "./other"],
        { cwd: at.path },
      );
      assertEquals((await send(server.port, "first\n")).code, 0);
      disk.fill("ballast");
      let code = -1;
      const lines = numbered(0, 3000);
      const sending = send(server.port, lines).then((sent) => code = sent.code);
      await server.says(
        `socklog-tcp: warning: unable to write to ./${waits}/current, pausing: `,
      );
      assertEquals(code, -1);
      await until(
        "the other log goes on",
        () => linesOf(`${at.path}/other`).length > 1000,
      );
      disk.remove("ballast");
      server.signal("SIGALRM");
      await sending;
      assertEquals(code, 0);
      for (const log of [waits, "other"]) {
        assertEquals(linesOf(`${at.path}/${log}`), `first\n${lines}`);
      }
      // What can't be written at TERM isn't acknowledged.
      disk.fill("ballast");
      const failing = send(server.port, lines);
      await server.says("pausing", 2);
      await inTime(4, async () => assertEquals(await server.stop(), 111));
      assertMatch(
        server.messages,
        /fatal: unable to write what was read in time/,
      );
      assertEquals((await failing).code, 111);
      assertEquals(mode(`${at.path}/other/current`), "744");
    },
  });
}

testWith(
  ["strace"],
  "lines for a host's log are acknowledged when that log, and its name, are synced",
  async () => {
    using at = folder();
    await using server = await startOurs([...ACKNOWLEDGING, "@./hosts"], {
      cwd: at.path,
      through: tracing("write,fsync", `${at.path}/trace`, "-y", "-s", "64"),
    });
    const hosts = ["127.0.0.2", "127.0.0.3"];
    // Each once more: its log is there then, and no other's is touched.
    for (const host of [...hosts, ...hosts]) {
      const sent = await run(
        [ours.socklogTcp, "send", "-a", "-i", host, "127.0.0.1"]
          .concat(`${server.port}`),
        { stdin: "a line\n" },
      );
      assertEquals([sent.code, sent.stderr], [0, ""]);
    }
    // Those of the end don't count.
    const calls = text(`${at.path}/trace`).split("\n");
    await server.stop();
    let from = 0;
    for (const [i, host] of [...hosts, ...hosts].entries()) {
      const answer = calls.findIndex((call, at) =>
        at >= from && /write\(\d+<.*, "7\\n"/.test(call)
      );
      assert(answer > 0, `no answer for ${host}`);
      const before = calls.slice(from, answer);
      const log = `/hosts/${host}`;
      const written = before.findIndex((call) =>
        call.includes(`${log}/current>, "${host}: a line`)
      );
      assert(written >= 0, before.join("\n"));
      const synced = [`${log}/current`].concat(i < 2 ? [log, "/hosts"] : []);
      for (const path of synced) {
        assert(
          before.some((call, at) =>
            (at > written || path !== `${log}/current`) &&
            RegExp(`fsync\\(\\d+<.*${path}>`).test(call)
          ),
          `${path} isn't synced: ${before.join("\n")}`,
        );
      }
      assert(
        !before.some((call) => call.includes(hosts[1 - i % 2]!)),
        `another host's log was touched: ${before.join("\n")}`,
      );
      from = answer + 1;
    }
  },
);

Deno.test("a host's full queue holds the senders, and no other log, until there is room", async () => {
  using at = folder();
  // One host's files go when the test says so, the others' at once.
  const processor = "!case $PWD in *.2) test -e ../../go ;; esac && cat";
  await using server = await startOurs(
    [...ACKNOWLEDGING, "s4096", "n3", processor, "@./hosts"]
      .concat("n50", "!", "./other"),
    { cwd: at.path },
  );
  const sendFrom = (host: string, lines: string) =>
    run(
      [ours.socklogTcp, "send", "-a", "-i", host, "127.0.0.1"]
        .concat(`${server.port}`),
      { stdin: lines },
    );
  const log = (host: string) => `${at.path}/hosts/${host}`;
  const named = (host: string, lines: string) =>
    lines.replace(/^/gm, `${host}: `).slice(0, -host.length - 2);
  assertEquals((await sendFrom("127.0.0.3", "before\n")).code, 0);
  let waiting = 2;
  const lines = numbered(0, 1500);
  const sending = sendFrom("127.0.0.2", lines).finally(() => waiting--);
  await server.says("pausing");
  // As with a pipe, whoever comes now waits, too; what was read is in its log,
  // and the others' files are finished and processed.
  const other = sendFrom("127.0.0.3", "meanwhile\n").finally(() => waiting--);
  server.signal("SIGALRM");
  await until(
    "another host's file is finished and processed",
    () =>
      oldFiles(log("127.0.0.3")).some((name) => name.endsWith(".s")) &&
      text(`${log("127.0.0.3")}/current`) === "",
  );
  await until(
    "the other log's is finished",
    () => oldFiles(`${at.path}/other`).length > 0,
  );
  assertEquals(waiting, 2);
  Deno.writeTextFileSync(`${at.path}/go`, "");
  const hurry = setInterval(() => server.signal("SIGALRM"), 100);
  const codes = (await Promise.all([sending, other])).map(({ code }) => code);
  clearInterval(hurry);
  assertEquals(codes, [0, 0]);
  assertEquals(await server.stop(), 0);
  assertEquals(
    whole(log("127.0.0.3")),
    named("127.0.0.3", "before\nmeanwhile\n"),
  );
  const both = whole(`${at.path}/other`);
  assertEquals(both.match(/^127\.0\.0\.2: /gm)?.length, 1500);
});

testWith(
  ["root", "setpriv"],
  "logs of hosts leave enough descriptors for connections",
  async () => {
    using at = folder();
    const program = forOthers(at.path, ours.socklogTcp);
    Deno.chmodSync(at.path, 0o777);
    // Without a NAME a line's own beginning names its host.
    await using server = await startOurs(
      ["-a", "-c100", "-RHl0", "@", "multilog", "@./hosts"],
      {
        cwd: at.path,
        name: program,
        // Root may raise any limit.
        through: [...AS_NOBODY, "sh", "-c", 'ulimit -n 300; exec "$@"', "sh"],
      },
    );
    const hosts = Array.from({ length: 600 }, (_, i) => `host-${i}: x\n`);
    const lines = hosts.join("");
    assertEquals(await transmit(server.port, lines), `${lines.length}\n`);
    const open: Connection[] = [];
    try {
      for (let i = 0; i < 99; i++) {
        const connection = await dial(server.port);
        open.push(connection);
        await say(connection, `host-${i}: y\n`);
      }
      assertEquals(await transmit(server.port, lines), `${lines.length}\n`);
      for (const [i, connection] of open.entries()) {
        await until(
          `the line of connection ${i}`,
          () => text(`${at.path}/hosts/host-${i}/current`).includes(": y"),
        );
        await connection.closeWrite();
        assertEquals(await hear(connection), `${`host-${i}: y\n`.length}\n`);
      }
    } finally {
      for (const connection of open) connection.close();
    }
    assertEquals(await server.stop(), 0);
    assertEquals(server.messages, "");
    for (let i = 0; i < hosts.length; i++) {
      const log = text(`${at.path}/hosts/host-${i}/current`);
      assertEquals(log.match(/x/g)?.length, 2, `host-${i}`);
    }
  },
);

testWith(
  ["strace"],
  "only synced lines are acknowledged, and connections that end together share a sync",
  async () => {
    using at = folder();
    // Each sync takes a while, in which others send.
    await using server = await startOurs(
      [...ACKNOWLEDGING, "./all", "-*", "+*: some", "./some"],
      {
        cwd: at.path,
        through: tracing("write,fsync,unlink", `${at.path}/trace`, "-y")
          .concat("-s", "64", "-e", "inject=fsync:delay_exit=400000"),
      },
    );
    const ask = async (lines: string) => await transmit(server.port, lines);
    assertEquals(await ask("some\n"), "5\n");
    const first = ask("first\n");
    await until(
      "the first is written",
      () => text(`${at.path}/all/current`).includes("first"),
    );
    await sleep(50);
    let answered = false;
    first.then(() => answered = true);
    const others = Array.from({ length: 12 }, (_, i) => ask(`other ${i}\n`));
    await until(
      "others are written",
      () => text(`${at.path}/all/current`).match(/other/g)?.length === 12,
    );
    assertEquals(answered, false, "nobody was read during a sync");
    assertEquals(await first, "6\n");
    assertEquals(
      (await Promise.all(others)).join(""),
      "8\n".repeat(10) + "9\n".repeat(2),
    );
    await server.stop();
    const calls = text(`${at.path}/trace`).split("\n");
    const find = (pattern: RegExp, from = 0) => {
      const at = calls.findIndex((call, i) => i >= from && pattern.test(call));
      assert(at >= 0, `${pattern} after ${from}`);
      return at;
    };
    // The line, the sync of each log that has it, the answer.
    for (const log of ["all", "some"]) {
      const line = find(RegExp(`write\\(\\d+<.*/${log}/current>, "127`));
      const sync = find(RegExp(`fsync\\(\\d+<.*/${log}/current>`), line);
      assert(sync < find(/write\(\d+<.*, "5\\n"/), log);
    }
    const begin = find(/write\(.*"127\.0\.0\.1: first/);
    const end = find(/write\(\d+<.*, "9\\n"/, begin);
    const syncs = calls.slice(begin, end)
      .filter((call) => /fsync\(\d+<.*\/all\/current>/.test(call));
    assert(syncs.length <= 4, `${syncs.length} syncs for 13 transmissions`);
    assertEquals(
      calls.slice(begin, end).filter((call) => call.includes("/some/")),
      [],
      "a log that got nothing was synced",
    );
  },
);

testWith(
  ["strace"],
  "where a sync fails, whatever was sent since is sent again",
  async () => {
    using at = folder();
    await using server = await startOurs([...ACKNOWLEDGING, "./log"], {
      cwd: at.path,
    });
    assertEquals((await send(server.port, "good\n")).code, 0);
    const open = await dial(server.port);
    await say(open, "begun\n");
    await until(
      "it is written",
      () => linesOf(`${at.path}/log`).includes("begun"),
    );
    const tracer = new Running(
      ["strace", "-f", "-o", `${at.path}/trace`, "-e", "trace=fsync"]
        .concat("-e", "inject=fsync:error=EIO")
        .concat("-p", `${server.pid}`),
    );
    // It lets go of what it traces, whatever comes of this.
    using letGo = new DisposableStack();
    letGo.defer(() => Deno.kill(tracer.pid, "SIGTERM"));
    await tracer.says("attached");
    const failed = await send(server.port, "bad\n");
    assertEquals(failed.code, 111);
    await server.says(
      "warning: unable to write ./log/current to disk: input/output error\n",
    );
    // Its line may be lost, too, whoever's sync it was.
    await assertRejects(() => hear(open), Deno.errors.ConnectionReset);
    open.close();
    letGo.dispose();
    await tracer.code();
    assertEquals((await send(server.port, "bad\n")).code, 0);
    assertEquals(linesOf(`${at.path}/log`), "good\nbegun\nbad\nbad\n");
  },
);

testWith(
  ["strace"],
  "TERM ends the server although the sync of a finished file fails again and again",
  async () => {
    using at = folder();
    // The log is there, so that the start syncs nothing.
    await run([ours.multilog, "./log"], { cwd: at.path });
    await using server = await startOurs([...ACKNOWLEDGING, "s4096", "./log"], {
      cwd: at.path,
      through: tracing("fsync", "/dev/null")
        .concat("-e", "inject=fsync:error=EIO"),
    });
    // One file and a part of the next: no write has to wait, but the sync does.
    const sending = send(server.port, numbered(0, 400));
    // The finished file's, and that for the acknowledgement.
    await server.says("/log to disk, pausing: input/output error\n", 2);
    assertEquals(await server.stop(), 111);
    await server.says("fatal: unable to write what was read in time\n");
    assertEquals((await sending).code, 111);
  },
);

testWith(
  ["strace"],
  "the folder of hosts' logs is made again while its sync fails, and the server goes on",
  async () => {
    using at = folder();
    const path = `${Deno.realPathSync(at.path)}/hosts`;
    // It is there, so that the start syncs nothing.
    await run([ours.multilog, "@./hosts"], { cwd: at.path });
    await using server = await startOurs(
      ["-a", "-RHl0", "@", "multilog", "@./hosts"],
      {
        cwd: at.path,
        through: ["strace", "-f", "-o", "/dev/null", "-P", path]
          .concat("-e", "trace=fsync")
          .concat("-e", "inject=fsync:error=EIO:delay_enter=1000000"),
      },
    );
    const first = transmit(server.port, "first: x\n").catch(() => "reset");
    await until(
      "it is written",
      () => text(`${path}/first/current`) === "first: x\n",
    );
    // Its sync begins, and takes a while.
    await sleep(100);
    Deno.removeSync(path, { recursive: true });
    const second = transmit(server.port, "second: x\n").catch(() => "reset");
    await server.says("warning: ./hosts was removed, made again\n");
    await server.says("to disk, pausing: input/output error\n");
    assertEquals(await server.stop(), 111);
    assertMatch(server.messages, /fatal: unable to .* in time\n$/);
    assertEquals([await first, await second], ["reset", "reset"]);
    assertEquals(text(`${path}/second/current`), "second: x\n");
  },
);

testWith(
  ["root"],
  "the logs belong to the user that the server becomes",
  async () => {
    using at = folder();
    const program = forOthers(at.path, ours.socklogTcp);
    Deno.chmodSync(at.path, 0o777);
    await using server = await startOurs(
      ["-U", ...ACKNOWLEDGING, "./log"],
      { cwd: at.path, name: program, env: { UID: "65534", GID: "65534" } },
    );
    assertEquals((await send(server.port, "x\n")).code, 0);
    for (const name of ["log", "log/lock", "log/current"]) {
      const { uid, gid } = Deno.statSync(`${at.path}/${name}`);
      assertEquals([name, uid, gid], [name, 65534, 65534]);
    }
    assertEquals(await server.stop(), 0);
    // What only root could make isn't made.
    Deno.chmodSync(at.path, 0o755);
    const refused = await run(
      [program, "-u65534", "-g65534", ...PLAIN].flatMap((word) =>
        word === "@" ? ["127.0.0.1", "0"] : [word]
      ).concat("./roots"),
      { cwd: at.path },
    );
    assertEquals(refused.code, 111);
    assertMatch(
      refused.stderr,
      /^socklog-tcp: fatal: unable to .* \.\/roots: /,
    );
  },
);

Deno.test("a script that can't be carried out is refused at the start", async () => {
  using at = folder();
  const start = (...script: string[]) =>
    run([ours.socklogTcp, "127.0.0.1", "0", "multilog", ...script], {
      cwd: at.path,
      // Only what is right would go on.
      patience: 5,
    });
  await using server = await startOurs([...PLAIN, "./log"], { cwd: at.path });
  const cases: [script: string[], code: number, said: RegExp][] = [
    [
      ["./log"],
      111,
      /^socklog-tcp: fatal: unable to lock directory \.\/log: temporarily/,
    ],
    [["./no/log"], 111, /^socklog-tcp: fatal: unable to open directory/],
    [["R", "+(", "./other"], 111, /fatal: unable to understand pattern/],
    [[], 100, /^socklog-tcp: multilog wants a script\n/],
    [
      ["log", "./no/log"],
      111,
      /^socklog-tcp: warning: log: unknown action ignored/,
    ],
  ];
  for (const [script, code, said] of cases) {
    const outcome = await start(...script);
    assertEquals(outcome.code, code, script.join(" "));
    assertMatch(outcome.stderr, said);
  }
  assertEquals(await server.stop(), 0);
});

testWith(
  ["tcpserver", "multilog"],
  "by tcpserver's name, and among a program's words, multilog is a program",
  async () => {
    using at = folder();
    const name = `${at.path}/tcpserver`;
    Deno.symlinkSync(ours.socklogTcp, name);
    const servers: [string[], () => ReturnType<typeof startOurs>][] = [
      [
        ["multilog", "./a"],
        () =>
          startOurs(["-RHl0", "@", "multilog", "./a"], { name, cwd: at.path }),
      ],
      [
        ["multilog", "./a"],
        () =>
          startOriginal(["-RHl0", "@", "multilog", "./a"], { cwd: at.path }),
      ],
      [["sh", "-c", 'exec "$@"', "sh", "multilog", "./a"], () =>
        startOurs(
          ["-RHl0", "@", "sh", "-c", 'exec "$@"', "sh", "multilog", "./a"],
          { cwd: at.path },
        )],
    ];
    for (const [words, start] of servers) {
      await using server = await start();
      await transmit(server.port, "x\n");
      await until(
        `${words.join(" ")} has written`,
        () => mode(`${at.path}/a/current`) === "744",
      );
      assertEquals(text(`${at.path}/a/current`), "x\n");
      await server.stop();
      Deno.removeSync(`${at.path}/a`, { recursive: true });
    }
  },
);

Deno.test("alerts go to standard error, and no sender waits for them", async () => {
  using at = folder();
  await using server = await startOurs([...ACKNOWLEDGING, "e", "./log"], {
    cwd: at.path,
  });
  const lines = numbered(0, 20_000);
  assertEquals((await send(server.port, lines)).code, 0);
  await server.says(`${ADDRESS}${numbered(0, 1)}`);
  assertEquals(linesOf(`${at.path}/log`).length > 0, true);
  assertEquals(await server.stop(), 0);
});

testWith(["logger"], "datagrams go into logs, too", async (t) => {
  using at = folder();
  await t.step("of unix", async () => {
    await using server = new Running(
      [ours.socklogTcp, "unix", "./socket", "multilog", "t", "a1", "./unix"],
      { cwd: at.path },
    );
    await server.says("starting");
    await run(["logger", "-u", `${at.path}/socket`, "-t", "me", "hello"]);
    await until(
      "the line is in a finished file",
      () => oldFiles(`${at.path}/unix`).length === 1,
    );
    assertMatch(
      text(`${at.path}/unix/${oldFiles(`${at.path}/unix`)[0]}`),
      /^@[0-9a-f]{24} user\.notice: .*me: hello\n$/,
    );
    assertEquals(await server.stop(), 0);
    assertEquals(mode(`${at.path}/unix/current`), "744");
  });
  await t.step("of inet", async () => {
    const port = freePort();
    await using server = new Running(
      [ours.socklogTcp, "inet", "127.0.0.1", `${port}`, "multilog", "./inet"],
      { cwd: at.path },
    );
    await server.says("starting");
    {
      using sender = DatagramSender.udp(port);
      for (let i = 0; i < 200; i++) sender.send(`<13>line ${i}\n`);
    }
    // What had arrived by then is written.
    assertEquals(await server.stop(), 0);
    assertEquals(
      text(`${at.path}/inet/current`),
      Array.from(
        { length: 200 },
        (_, i) => `${ADDRESS}user.notice: line ${i}\n`,
      ).join(""),
    );
    assertEquals(mode(`${at.path}/inet/current`), "744");
  });
});

/** Somebody who sends, over and over, and knows what was acknowledged. */
async function sendOn(
  port: number,
  name: string,
  acknowledged: string[],
  stopped: () => boolean,
): Promise<void> {
  for (let n = 0; !stopped(); n++) {
    const lines = Array.from(
      { length: 1 + n % 40 },
      (_, i) => `${name}: ${n}.${i} ${"x".repeat(7 * i)}.`,
    );
    const text = lines.join("\n") + "\n";
    try {
      const answer = await transmit(port, text);
      if (answer === `${text.length}\n`) acknowledged.push(...lines);
    } catch {
      // Killed, or not there again yet.
      await sleep(5);
    }
  }
}

/** Kills a server under load again and again, and looks what is missing. */
async function killRounds(rounds: number): Promise<void> {
  using at = folder();
  const port = freePort();
  const acknowledged: string[] = [];
  let stopped = false;
  // Each sender is a host of its own.
  const names = Array.from({ length: 8 }, (_, i) => `sender-${i}`);
  const args = ["-a", "-RHl0", "127.0.0.1", `${port}`]
    .concat("multilog", "t", "s65536", "n100000", "./all", "@./hosts")
    .concat("-*", "+* sender-1: *", "./one");
  const start = () => startOurs(args, { cwd: at.path });
  const senders = names.map((name) =>
    sendOn(port, name, acknowledged, () => stopped)
  );
  let busy = 0;
  let said = "";
  for (let round = 0; round < rounds; round++) {
    await using server = await start();
    const before = acknowledged.length;
    await until("some is acknowledged", () => acknowledged.length > before);
    await sleep(Math.random() * 60);
    server.kill("SIGKILL");
    await server.code();
    said += server.messages;
    busy += acknowledged.length - before;
  }
  await using last = await start();
  stopped = true;
  await Promise.all(senders);
  assertEquals(await last.stop(), 0);
  assert(busy > rounds * 20, `only ${busy} lines in ${rounds} rounds`);
  const logs: [log: string, prefix: string][] = [["all", ""]];
  logs.push(["one", "sender-1: "]);
  for (const name of names) logs.push([`hosts/${name}`, `${name}: `]);
  for (const [log, prefix] of logs) {
    const there = new Set<string>();
    for (const [name, file] of Object.entries(look(`${at.path}/${log}`))) {
      if (name !== "current" && name[0] !== "@") continue;
      const lines = file.text.split("\n");
      const rest = lines.pop()!;
      // Only a kill cuts a line, and nothing stands after it.
      assert(rest === "" || name.endsWith(".u"), `${name} ends in ${rest}`);
      for (const line of lines) {
        const [, sent] = /^@[0-9a-f]{24} (sender-\d: .*\.)$/.exec(line) ?? [];
        assert(
          sent !== undefined && sent.startsWith(prefix),
          `${log}/${name}: ${line}`,
        );
        there.add(sent);
      }
    }
    const missing = acknowledged.filter((line) =>
      line.startsWith(prefix) && !there.has(line)
    );
    if (missing.length === 0) continue;
    const hosts = [...Deno.readDirSync(`${at.path}/hosts`)];
    const elsewhere = hosts.map(({ name }) => `hosts/${name}`)
      .concat("all", "one")
      .filter((log) => whole(`${at.path}/${log}`).includes(missing[0]!));
    throw new Error(
      `${missing.length} missing in ${log}, of them in ${elsewhere}: ` +
        `${missing.slice(0, 5)}\n${said.match(/^.*warning.*$/gm)?.join("\n")}`,
    );
  }
}

Deno.test("KILL at any moment loses no acknowledged line", async () => {
  await killRounds(25);
});

testWith(["--all"], "KILL, hundreds of times", async () => {
  await killRounds(300);
});

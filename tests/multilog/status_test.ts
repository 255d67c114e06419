import { assert, assertEquals, assertMatch } from "@std/assert";
import { duration } from "../../src/multilog/duration.ts";
import { type LogStatus, lookAt, table } from "../../src/multilog/status.ts";
import {
  AS_NOBODY,
  bytes,
  folder,
  forOthers,
  installed,
  ours,
  run,
  Running,
  testWith,
  until,
} from "../tools.ts";
import { look, numbered, ORIGINAL, start, waitFor } from "./harness.ts";

async function json(cwd: string, ...paths: string[]): Promise<LogStatus[]> {
  const { text, stderr, code } = await run(
    [ours.multilog, "--status", "--json", ...paths],
    { cwd },
  );
  assertEquals([stderr, code], ["", 0]);
  return text.split("\n").slice(0, -1).map((line) => JSON.parse(line));
}

async function one(cwd: string): Promise<LogStatus> {
  const [log] = await json(cwd, "./log");
  return log!;
}

Deno.test("--status shows sizes, the writer, its limit, and how it ended", async () => {
  using work = folder();
  {
    await using writer = await start(["s5000", "./log"], { cwd: work.path });
    await writer.write(numbered(0, 2000));
    const bytes = numbered(0, 2000).length;
    await until("all is written", async () => {
      const { current, oldBytes } = await one(work.path);
      return current + oldBytes === bytes;
    });
    const log = await one(work.path);
    assertEquals(log.directory, "./log");
    assertEquals(log.limit, 5000);
    assertEquals(
      log.oldFiles,
      Object.keys(look(`${work.path}/log`))
        .filter((name) => name.startsWith("@")).length,
    );
    assertEquals([log.running, log.writer], [true, writer.pid]);
    assert(log.newest! >= 0 && log.newest! < 20, `${log.newest}`);
    assertEquals([log.processing, log.failing, log.notice], [null, null, null]);
    assertEquals(await writer.finish(), 0);
  }
  const ended = await one(work.path);
  assertEquals([ended.running, ended.writer, ended.cutOff, ended.limit], [
    false,
    null,
    false,
    null,
  ]);
  {
    await using writer = await start(["./log"], { cwd: work.path });
    writer.signal("SIGKILL");
    await writer.code();
  }
  assertEquals((await one(work.path)).cutOff, true);
});

testWith([ORIGINAL], "--status knows the original, too", async () => {
  using work = folder();
  await using _writer = await start(["s4097", "./log"], {
    cwd: work.path,
    program: installed(ORIGINAL)!,
  });
  const log = await one(work.path);
  assertEquals([log.limit, log.running], [4097, true]);
});

Deno.test("--status disturbs neither a writer nor its files", async () => {
  using work = folder();
  await using writer = await start(["./log"], { cwd: work.path });
  await writer.write("a line\n");
  await until(
    "it is written",
    () => look(`${work.path}/log`).current?.text === "a line\n",
  );
  const times = () =>
    ["", "/current", "/lock", "/state"].map((name) => {
      const { mtime, ctime, ino, size } = Deno.statSync(
        `${work.path}/log${name}`,
      );
      return [name, mtime?.getTime(), ctime?.getTime(), ino, size];
    });
  const before = times();
  for (let i = 0; i < 5; i++) await one(work.path);
  assertEquals(times(), before);
});

testWith(
  ["strace"],
  "--status takes no lock and opens nothing to write",
  async () => {
    using work = folder();
    await run([ours.multilog, "./log"], { cwd: work.path, stdin: "a\n" });
    const trace = `${work.path}/trace`;
    const { code } = await run(
      [
        "strace",
        "-f",
        "-o",
        trace,
        "-e",
        "trace=flock,openat,fcntl",
        ours.multilog,
        "--status",
        "./log",
      ],
      { cwd: work.path },
    );
    assertEquals(code, 0);
    const calls = Deno.readTextFileSync(trace).split("\n");
    const from = calls.findIndex((call) => call.includes('"./log/"'));
    assert(from >= 0, "the directory was opened");
    for (const call of calls.slice(from)) {
      assert(!/flock\(|F_SETLK|F_OFD_SETLK/.test(call), call);
      if (call.includes("openat(")) {
        assert(!/O_(WRONLY|RDWR|CREAT)/.test(call), call);
      }
    }
  },
);

Deno.test("--status tells of a processor that runs, and of one that fails", async () => {
  using work = folder();
  {
    await using writer = await start(["!cat; " + waitFor("go"), "./log"], {
      cwd: work.path,
    });
    await writer.write("a line\n");
    await writer.notices("SIGALRM");
    await until(
      "the processor runs",
      async () => (await one(work.path)).processing !== null,
    );
    assertEquals((await one(work.path)).failing, null);
    Deno.writeTextFileSync(`${work.path}/go`, "");
    await writer.finish();
  }
  Deno.removeSync(`${work.path}/log`, { recursive: true });
  await using writer = await start(["!false", "./log"], { cwd: work.path });
  await writer.write("a line\n");
  await writer.notices("SIGALRM");
  await until(
    "it is seen to fail",
    async () => (await one(work.path)).failing !== null,
  );
  const log = await one(work.path);
  assert(log.failing! >= 0 && log.failing! < 30, `${log.failing}`);
  assert(log.failing! <= log.processing! + 0.01);
});

Deno.test("--status calls no processor failing that only has notes to write", () => {
  using work = folder();
  for (const name of ["current", "previous", "processed", "newstate"]) {
    Deno.writeTextFileSync(`${work.path}/${name}`, "a note\n");
  }
  const now = Date.now() / 1000;
  const failing = () => lookAt(work.path, now + 20).failing !== null;
  Deno.utimeSync(`${work.path}/newstate`, now + 10, now + 10);
  assertEquals(failing(), false);
  // Both were emptied again.
  Deno.utimeSync(`${work.path}/processed`, now + 10, now + 10);
  assertEquals(failing(), true);
});

testWith(
  ["root", "setpriv"],
  "--status says nothing of a writer that it may not see",
  async () => {
    using work = folder();
    await using writer = await start(["./log"], { cwd: work.path });
    Deno.chmodSync(`${work.path}/log`, 0o755);
    const seen = await one(work.path);
    assertEquals([seen.running, seen.cutOff], [true, false]);
    const { text } = await run(
      [...AS_NOBODY, forOthers(work.path, ours.multilog)]
        .concat("--status", "--json", "./log"),
      { cwd: work.path },
    );
    const log = JSON.parse(text) as LogStatus;
    // Where devices have one number it is known even so.
    assert(log.running !== false, text);
    assertEquals(log.cutOff, false);
    assertEquals(await writer.finish(), 0);
  },
);

Deno.test("--status tells since when tryto has kept logs, and why", async () => {
  using work = folder();
  const processor = `!${ours.tryto} -pv -n1 sh -c 'echo >&2 no way; exit 1'`;
  const before = Date.now() / 1000;
  await using writer = await start([processor, "./log"], { cwd: work.path });
  for (let file = 1; file <= 2; file++) {
    await writer.write("a line\n");
    await until(
      "it is written",
      async () => (await one(work.path)).current > 0,
    );
    await writer.notices("SIGALRM");
    await until("a log is kept", async () => {
      const { oldFiles, processing } = await one(work.path);
      return oldFiles === file && processing === null;
    });
  }
  const log = await one(work.path);
  assertEquals(log.notice, "tryto: fatal: child crashed, giving up.");
  assertEquals(log.cause, "no way");
  const [first] = Object.keys(look(`${work.path}/log`));
  assert(first!.startsWith("@"));
  // Whole seconds of the first kept file's name.
  const most = Date.now() / 1000 - before + 1.5;
  assert(log.failing! > 0 && log.failing! < most, `${log.failing} ${most}`);
  const { text } = await run([ours.multilog, "--status", "./log"], {
    cwd: work.path,
  });
  assertMatch(
    text,
    /failing \d+s {2}\.\/log\n( {4}.*\n)* {4}tryto: fatal: child/,
  );
});

Deno.test("--status goes on after a directory that isn't there", async () => {
  using work = folder();
  await run([ours.multilog, "./log"], { cwd: work.path, stdin: "a line\n" });
  const { code, text, stderr } = await run(
    [ours.multilog, "--status", "./none", "", "./log"],
    { cwd: work.path },
  );
  assertEquals(code, 111);
  assertEquals(
    stderr,
    "multilog: warning: unable to open directory ./none: file does not exist\n" +
      "multilog: warning: unable to open directory : file does not exist\n",
  );
  const [head, row] = text.split("\n") as [string, string];
  assertEquals(
    head,
    "CURRENT  OF  OLD  BYTES  NEWEST  WRITER  PROCESSOR  DIRECTORY",
  );
  assertMatch(
    row,
    /^ {6}7 {3}\? {4}0 {6}0 {6}\d+s {7}- {10}- {2}\.\/log$/,
  );
});

Deno.test("--status without directories, or with an unknown option, is wrong usage", async () => {
  const usage =
    "usage: multilog --status dir ... [--older sec] [--json | --metrics]";
  for (
    const [words, said] of [
      [[], usage],
      [["--json"], usage],
      [["./log", "--jsn"], "fatal: unknown option --jsn, see --help"],
      [
        ["./log", "--older", "1h"],
        "fatal: --older needs a number of seconds: 1h",
      ],
      [["./log", "--older"], "fatal: --older needs a number of seconds: "],
      [
        ["./log", "--json", "--metrics"],
        "fatal: --json and --metrics exclude each other",
      ],
    ] as const
  ) {
    const { code, text, stderr } = await run(
      [ours.multilog, "--status", ...words],
    );
    assertEquals([code, text, stderr], [100, "", `multilog: ${said}\n`]);
  }
});

Deno.test("--status says of a directory that is no log that it is none", async () => {
  using work = folder();
  const { code, text, stderr } = await run(
    [ours.multilog, "--status", work.path],
  );
  assertEquals([code, text, stderr], [
    111,
    "",
    `multilog: warning: ${work.path} is no log directory\n`,
  ]);
});

Deno.test("--status counts what waits for a processor, and what tryto -p kept", async () => {
  using work = folder();
  {
    await using writer = await start(["!exit 1", "./log"], { cwd: work.path });
    for (const line of ["one\n", "two and\n"]) {
      await writer.write(line);
      await until(
        "it is written",
        () => look(`${work.path}/log`).current?.text === line,
      );
      writer.signal("SIGALRM");
      await until(
        "it waits",
        () => look(`${work.path}/log`).current?.text === "",
      );
    }
    const log = await one(work.path);
    assertEquals([log.waitingFiles, log.waitingBytes], [2, 12]);
    assertEquals([log.oldFiles, log.keptFiles], [0, 0]);
    assert(log.processing! >= 0 && log.processing! < 100);
    writer.signal("SIGTERM");
    assertEquals(await writer.code(), 0);
  }
  const at = `${work.path}/log`;
  for (const [name, text] of [["0a", ""], ["0b", "kept\n"], ["0c", "too\n"]]) {
    Deno.writeTextFileSync(`${at}/@40000000${name}00000000000000.s`, text!);
  }
  Deno.writeTextFileSync(`${at}/state`, "tryto: fatal: child crashed\n");
  const log = await one(work.path);
  assertEquals([log.keptFiles, log.keptBytes], [2, 9]);
});

/** A port of this machine that nobody listens on. */
const REFUSED = "127.0.0.1 1";

for (
  const [what, processor, cause] of [
    [
      "a send inside",
      `socklog-tcp send -q ${REFUSED}`,
      "unable to connect to 127.0.0.1 port 1: connection refused",
    ],
    [
      "tryto around it",
      `tryto -n1 socklog-tcp send ${REFUSED}`,
      "unable to connect to 127.0.0.1 port 1: connection refused",
    ],
    ["tryto that ends in time", "tryto -t1 -k1 sleep 1000", "child timed out"],
    ["tryto around a program", "tryto -n1 false", "child crashed, exit code 1"],
    ["a shell's exit code", "cat; exit 7", "exit code 7"],
    ["a shell's signal", "cat; kill -9 $$", "killed by signal 9 (KILL)"],
  ] as const
) {
  Deno.test(`--status says why and since when a processor fails: ${what}`, async () => {
    using work = folder();
    const bin = ours.multilog.replace(/\/[^/]*$/, "");
    const options = {
      cwd: work.path,
      under: ["env", `PATH=${bin}:${Deno.env.get("PATH")}`],
    };
    const path = `${work.path}/log`;
    const began = Date.now() / 1000;
    {
      await using writer = await start([`!${processor}`, "./log"], options);
      await writer.write("a line\n");
      await until("it is written", () => look(path).current?.text !== "");
      writer.signal("SIGALRM");
      await until("it is known", () => "failure" in look(path));
      const log = await one(work.path);
      assertEquals([log.cause, log.waitingFiles], [cause, 1]);
      assert(log.failing! <= Date.now() / 1000 - began, `${log.failing}`);
      const { ino } = Deno.statSync(`${path}/failure`);
      writer.signal("SIGALRM");
      await writer.says("; waiting: 1 file", 2);
      // It is written only where it is news.
      assertEquals(Deno.statSync(`${path}/failure`).ino, ino);
      const { text } = await run([ours.multilog, "--status", path]);
      assertMatch(text, / failing \d+s {2}.*\n.*\n {4}last failure: /);
      writer.signal("SIGTERM");
      assertEquals(await writer.code(), 0);
    }
    // Nobody runs, and it is known all the same.
    assertEquals((await one(work.path)).cause, cause);
    const { code } = await run([ours.multilog, "!cat", "./log"], {
      cwd: work.path,
      stdin: "",
    });
    assertEquals(code, 0);
    const log = await one(work.path);
    assertEquals([log.cause, log.failing, log.waitingFiles], [null, null, 0]);
    assert(!("failure" in look(path)));
  });
}

Deno.test("--status reads the end of a state, however large it is", async () => {
  using work = folder();
  await run([ours.multilog, "./log"], { cwd: work.path, stdin: "x\n" });
  const state = Deno.openSync(`${work.path}/log/state`, { append: true });
  const lines = bytes("a: b\n".repeat(200_000));
  for (let i = 0; i < 33; i++) state.writeSync(lines);
  state.writeSync(bytes("the last notice\n"));
  state.close();
  assertEquals((await one(work.path)).notice, "the last notice");
});

Deno.test("names that lead nowhere, and what is no file, hide no other file of a log", async () => {
  using at = folder();
  const log = `${at.path}/log`;
  Deno.mkdirSync(log);
  const name = (n: number) => `@400000006b09756b0815442${n}.s`;
  Deno.writeTextFileSync(`${log}/${name(1)}`, "one\n");
  Deno.symlinkSync(name(2), `${log}/${name(2)}`);
  Deno.mkdirSync(`${log}/${name(3)}`);
  await run(["mkfifo", `${log}/${name(4)}`]);
  Deno.writeTextFileSync(`${log}/${name(5)}`, "two\n");
  Deno.writeTextFileSync(`${log}/current`, "three\n");
  const shown = await run([ours.multilog, "--status", log]);
  assertEquals([shown.code, shown.stderr], [0, ""]);
  const all = await run([ours.multilog, "--cat", log]);
  assertEquals(all.text, "one\ntwo\nthree\n");
  await using follower = new Running(
    [ours.multilog, "--follow", log, "-n", "3"],
  );
  await follower.prints("one\ntwo\nthree\n");
  await follower.says("not a file", 2);
  await follower.says("symbolic link loop");
  assertEquals(await follower.stop(), 0);
});

Deno.test("--follow of a current that is no file waits for one that is", async () => {
  using at = folder();
  Deno.mkdirSync(`${at.path}/log`);
  await run(["mkfifo", `${at.path}/log/current`]);
  await using follower = new Running(
    [ours.multilog, "--follow", "./log"],
    { cwd: at.path },
  );
  await follower.waits();
  await using log = new Running([ours.multilog, "./log"], {
    cwd: at.path,
    stdin: "piped",
  });
  await log.write("one\n");
  await follower.prints("one\n");
  await log.finish();
  assertEquals(await follower.stop(), 0);
});

Deno.test("--older lists the logs whose newest line is older, and exits 1 when there is one", async () => {
  using work = folder();
  for (const name of ["a", "b", "c"]) {
    await run([ours.multilog, `./${name}`], { cwd: work.path, stdin: "x\n" });
  }
  const status = (...words: string[]) =>
    run([ours.multilog, "--status", ...words], { cwd: work.path });
  const none = await status("--older", "600", "./a", "./b", "./c");
  assertEquals([none.code, none.text, none.stderr], [0, "", ""]);
  const past = Date.now() / 1000 - 3600;
  Deno.utimeSync(`${work.path}/b/current`, past, past);
  const one = await status("./a", "--older", "600", "./b", "./c");
  assertEquals([one.code, one.stderr], [1, ""]);
  assertMatch(one.text, /^CURRENT .*DIRECTORY\n .* 60m .* \.\/b\n$/);
  const json = await status("--older", "600", "--json", "./a", "./b");
  assertEquals([json.code, JSON.parse(json.text).directory], [1, "./b"]);
  // The exact age isn't older.
  assertEquals((await status("--older", "3700", "./b")).code, 0);
  // One that never had a line is silent as well.
  await run([ours.multilog, "./d"], { cwd: work.path });
  assertEquals((await status("--older", "3700", "./d")).code, 1);
  // What can't be read is more than silent.
  const missing = await status("--older", "600", "./b", "./none");
  assertEquals(missing.code, 111);
  assertMatch(missing.text, /\.\/b\n$/);
});

/** A metric's values by its directory, as the text says. */
function valuesOf(text: string, name: string): [string, number][] {
  return text.split("\n").filter((line) => line.startsWith(`${name}{`))
    .map((line) => {
      const [, label, value] = /^\w+\{directory="(.*)"\} (\S+)$/.exec(line)!;
      return [label!, Number(value)];
    });
}

Deno.test("--metrics has the figures of --json, with labels escaped", async () => {
  using work = folder();
  const odd = './a "b"\\c\nd';
  await using writer = await start(["s5000", "./log"], { cwd: work.path });
  await writer.write(numbered(0, 2000));
  await until(
    "all is written",
    async () => (await one(work.path)).oldFiles > 1,
  );
  await run([ours.multilog, odd], { cwd: work.path, stdin: "x\n" });
  const { text, code, stderr } = await run(
    [ours.multilog, "--status", "--metrics", "./log", odd],
    { cwd: work.path },
  );
  assertEquals([code, stderr], [0, ""]);
  const escaped = './a \\"b\\"\\\\c\\nd';
  const [log, other] = await json(work.path, "./log", odd);
  const figures = {
    current_bytes: "current",
    old_files: "oldFiles",
    old_bytes: "oldBytes",
    waiting_files: "waitingFiles",
    kept_bytes: "keptBytes",
    cut_off: "cutOff",
    running: "running",
  } as const;
  for (const [name, key] of Object.entries(figures)) {
    assertEquals(valuesOf(text, `multilog_${name}`), [
      ["./log", Number(log![key])],
      [escaped, Number(other![key])],
    ], name);
  }
  assertEquals(valuesOf(text, "multilog_writer_pid"), [["./log", writer.pid]]);
  assertEquals(valuesOf(text, "multilog_current_limit_bytes"), [[
    "./log",
    5000,
  ]]);
  const [[, newest]] = valuesOf(
    text,
    "multilog_newest_line_timestamp_seconds",
  ) as [[string, number]];
  const { mtime } = Deno.statSync(`${work.path}/log/current`);
  assert(Math.abs(newest - mtime!.getTime() / 1000) < 0.01, `${newest}`);
  for (const line of text.split("\n").slice(0, -1)) {
    assertMatch(line, /^(# (HELP|TYPE) )?multilog_[a-z_]+[ {]/);
  }
});

testWith(
  ["promtool"],
  "promtool finds nothing wrong with --metrics",
  async () => {
    using work = folder();
    const names = ["./log", './a "b"\\c\nd'];
    for (const name of names) {
      await run([ours.multilog, name], { cwd: work.path, stdin: "x\n" });
    }
    const shown = await run(
      [ours.multilog, "--status", "--metrics", ...names],
      { cwd: work.path },
    );
    const check = (stdin: string) =>
      run([installed("promtool")!, "check", "metrics"], { stdin });
    const { code, text, stderr } = await check(shown.text);
    assertEquals([code, text, stderr], [0, "", ""]);
    assert((await check(shown.text.replace('\\"b', '"b'))).code !== 0);
  },
);

Deno.test("--status and --follow are patterns in any other place", async () => {
  using work = folder();
  const { code, stderr } = await run(
    [ours.multilog, "-*", "+x", "--status", "--follow", "./log"],
    { cwd: work.path, stdin: "x\n-status\n" },
  );
  assertEquals([code, stderr], [0, ""]);
  assertEquals(look(`${work.path}/log`).current!.text, "x\n");
});

Deno.test("a table fits a terminal", () => {
  const log: LogStatus = {
    directory: `/var/log/${"a".repeat(80)}/main`,
    current: 16777215,
    limit: 16777215,
    oldFiles: 99,
    oldBytes: 1660944285,
    newest: 86400,
    running: true,
    writer: 4194304,
    cutOff: false,
    waitingFiles: 3,
    waitingBytes: 299997,
    processing: 7200,
    failing: 172800,
    cause: `unable to connect to ::1 port 10116: ${"x".repeat(50)}`,
    keptFiles: 0,
    keptBytes: 0,
    notice: "x".repeat(200),
    next: [{
      by: "k",
      limit: 864000,
      file: `@${"4".repeat(24)}.s`,
      after: 7300,
    }],
  };
  const lines = table([log], 80).split("\n");
  assertEquals(lines.length, 7);
  assertEquals(
    lines[5],
    `    k864000 removes @${"4".repeat(24)}.s in 2h`,
  );
  assertEquals(lines[2], "    3 waiting for the processor, 299997 bytes");
  assertEquals(
    lines[3]!.slice(0, 40),
    "    last failure: unable to connect to :",
  );
  for (const line of lines) assert(line.length <= 80, line);
  assert(lines[1]!.endsWith("a/main") && lines[1]!.includes("  ..."));
  assert(table([log], Infinity).includes(log.directory));
  assertEquals(table([], 80), "");
});

Deno.test("durations are one number", () => {
  assertEquals(
    [0.5, 119, 120, 7199, 7200, 172799, 172800].map(duration),
    ["0s", "119s", "2m", "119m", "2h", "47h", "2d"],
  );
});

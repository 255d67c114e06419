import { assert, assertEquals } from "@std/assert";
import { encode } from "../../src/bytes.ts";
import { parseTime } from "../../src/multilog/parse_time.ts";
import { readStamp } from "../../src/stamps.ts";
import { label } from "../../src/tai64n.ts";
import {
  AS_NOBODY,
  bytes,
  folder,
  forOthers,
  ours,
  run,
  testWith,
} from "../tools.ts";
import { inOrder, numbered, oldFiles, start, text, whole } from "./harness.ts";

function cat(cwd: string, ...words: string[]) {
  return run([ours.multilog, "--cat", ...words], { cwd });
}

const BEGIN = 1795746975;

/** The name of a file that was finished so many seconds after the beginning. */
function at(seconds: number, code = "s"): string {
  return `${label({ seconds: BEGIN + seconds, nanoseconds: 0 })}.${code}`;
}

/** Lines with timestamps, one each second. */
function stamped(from: number, to: number): string {
  let text = "";
  for (let i = from; i < to; i++) {
    text += `${label({ seconds: BEGIN + i, nanoseconds: 0 })} ${i}\n`;
  }
  return text;
}

async function packed(program: string, text: string): Promise<Uint8Array> {
  return (await run([program, "-c"], { stdin: text })).stdout;
}

function put(path: string, files: Record<string, string | Uint8Array>): void {
  Deno.mkdirSync(path, { recursive: true });
  for (const [name, content] of Object.entries(files)) {
    Deno.writeFileSync(`${path}/${name}`, bytes(content), { mode: 0o744 });
    Deno.chmodSync(`${path}/${name}`, 0o744);
  }
}

Deno.test("--cat prints all lines of logs, in the order in which they came", async () => {
  using work = folder();
  for (const name of ["a", "b"]) {
    await run([ours.multilog, "s4096", "n100", `./${name}`], {
      cwd: work.path,
      stdin: numbered(0, 3000),
    });
  }
  const { text, stderr, code } = await cat(work.path, "./a", "./b");
  assertEquals([code, stderr], [0, ""]);
  assertEquals(text, numbered(0, 3000).repeat(2));
});

testWith(
  ["zstd"],
  "--cat unpacks old files, whatever their names end in",
  async () => {
    const rows = [["gzip", "wgz"], ["gzip", "w"], ["zstd", "wzst"], [
      "zstd",
      "ws",
    ]];
    for (const [program, code] of rows) {
      using work = folder();
      await run(
        [ours.multilog, "s4096", "n100", `!${program}`, code!, "./log"],
        { cwd: work.path, stdin: numbered(0, 3000) },
      );
      assert(oldFiles(`${work.path}/log`).length > 2);
      const { text, stderr, code: exit } = await cat(work.path, "./log");
      assertEquals([exit, stderr], [0, ""]);
      assertEquals(inOrder(text), 3000);
    }
  },
);

Deno.test("--cat of a log that is written to meanwhile has each line once", async () => {
  using work = folder();
  await using writer = await start(
    ["s4096", "n1000", "!gzip", "wgz", "./log"],
    {
      cwd: work.path,
    },
  );
  let next = 0;
  for (let round = 0; round < 10; round++) {
    const writing = writer.write(numbered(next, next + 2000));
    const { text, code } = await cat(work.path, "./log");
    await writing;
    next += 2000;
    // The last line may be half there.
    inOrder(text.slice(0, text.lastIndexOf("\n") + 1));
    assertEquals(code, 0);
  }
  assertEquals(await writer.finish(), 0);
  assertEquals(inOrder((await cat(work.path, "./log")).text), next);
});

Deno.test("--cat names each file that it can't read in one line, and prints the rest", async () => {
  using work = folder();
  const log = `${work.path}/log`;
  const good = await packed("gzip", numbered(2, 3));
  const long = await packed("gzip", numbered(1000, 60000));
  put(log, {
    [at(1)]: "0\n",
    [at(2, "gz")]: long.subarray(0, long.length / 2),
    [at(3, "gz")]: "1\n",
    [at(4, "gz")]: good,
    [at(5, "xz")]: Uint8Array.of(0xfd, 0x37, 0x7a, 0x58, 0x5a, 0, 0, 4),
    [at(6, "gz")]: "",
    [`@${"x".repeat(30)}`]: "foreign\n",
    "notes.txt": "no log\n",
    state: "no log\n",
    current: "3\n",
  });
  Deno.mkdirSync(`${log}/${at(7)}`);
  const { text, stderr, code } = await cat(work.path, "./log");
  assertEquals(code, 111);
  const lines = stderr.split("\n").slice(0, -1);
  const says = (name: string, what: string) =>
    lines.filter((line) =>
      line.startsWith("multilog: warning: ") &&
      line.includes(`./log/${name}`) &&
      line.includes(what)
    ).length;
  assertEquals(lines.length, 5, stderr);
  assertEquals(says(at(2, "gz"), ": gzip: "), 1);
  assertEquals(says(at(3, "gz"), "not in gzip format"), 1);
  assertEquals(says(at(5, "xz"), "compressed with xz"), 1);
  assertEquals(says(`@${"x".repeat(30)}`, "no log's file"), 1);
  assertEquals(says(at(7), "not a file"), 1);
  const [first, ...rest] = text.split("\n");
  assertEquals([first, ...rest.slice(-3)], ["0", "2", "3", ""]);
  // What came of the damaged one ends its last line.
  assertEquals(rest[0], "1000");
  assert(rest.length > 100);
});

Deno.test("--cat ends the line in which a run was cut off, and no line that goes on", async () => {
  using work = folder();
  const log = `${work.path}/log`;
  put(log, {
    [at(1, "u")]: "cut o",
    [at(2)]: "a line that",
    [at(3)]: " goes on\n",
    [at(4, "u")]: "it waits, an",
    [at(5, "u")]: "d goes on\n",
    current: "last\n",
  });
  Deno.chmodSync(`${log}/${at(1, "u")}`, 0o644);
  const { text } = await cat(work.path, "./log");
  assertEquals(
    text,
    "cut o\na line that goes on\nit waits, and goes on\nlast\n",
  );
});

Deno.test("--cat prints what has been processed, and not what it was made of", async () => {
  using work = folder();
  put(`${work.path}/log`, {
    [at(1, "u")]: "one\n",
    [at(1, "txt")]: "ONE\n",
    [at(2, "u")]: "two\n",
    processed: "half",
    current: "",
  });
  assertEquals((await cat(work.path, "./log")).text, "ONE\ntwo\n");
});

Deno.test("--since and --until select lines by their timestamps, their ends included", async () => {
  using work = folder();
  put(`${work.path}/log`, {
    [at(10)]: stamped(0, 10),
    [at(20)]: stamped(10, 15) + "without one\n" + stamped(15, 20),
    [at(30, "gz")]: await packed("gzip", stamped(20, 30)),
    current: stamped(30, 40),
  });
  const rows: [since: number, until: number, lines: number[]][] = [
    [5, 12, [5, 12]],
    [0, 39, [0, 39]],
    [22, 100, [22, 39]],
    [-5, 3, [0, 3]],
    [35, 35, [35, 35]],
    [50, 60, []],
    [10, 9, []],
  ];
  for (const [since, until, lines] of rows) {
    const time = (seconds: number) =>
      label({ seconds: BEGIN + seconds, nanoseconds: 0 });
    const { text, stderr, code } = await cat(
      work.path,
      "./log",
      "--since",
      time(since),
      `--until=${time(until)}`,
    );
    assertEquals([code, stderr], [0, ""]);
    const wanted = lines.length === 0 ? "" : stamped(lines[0]!, lines[1]! + 1);
    assertEquals(
      text.replace("without one\n", ""),
      wanted,
      `${since} ${until}`,
    );
    const has = lines.length > 0 && lines[0]! <= 14 && lines[1]! >= 14;
    assertEquals(text.includes("without one\n"), has);
  }
});

testWith(["strace"], "files outside of the span aren't opened", async () => {
  using work = folder();
  const files: Record<string, string> = { current: stamped(90, 95) };
  for (let i = 1; i <= 9; i++) files[at(10 * i)] = stamped(10 * i - 10, 10 * i);
  put(`${work.path}/log`, files);
  const { text, code } = await run(
    ["strace", "-f", "-o", `${work.path}/trace`, "-e", "trace=openat"]
      .concat(ours.multilog, "--cat", "--since", at(43).slice(0, 25))
      .concat("--until", at(62).slice(0, 25), "./log"),
    { cwd: work.path },
  );
  assertEquals([code, text], [0, stamped(43, 63)]);
  const opened = Deno.readTextFileSync(`${work.path}/trace`)
    .match(/"@[0-9a-f.s]+"/g)!.map((name) => name.slice(1, -1));
  assertEquals(opened, [at(50), at(60), at(70)]);
});

Deno.test("--since and --until read local time, and the timestamps of T and i", async () => {
  for (const kind of ["T", "i", "t"]) {
    using work = folder();
    const { stderr } = await run([ours.multilog, kind, "./log"], {
      cwd: work.path,
      stdin: "one\ntwo\n",
    });
    assertEquals(stderr, "");
    const line = encode(text(`${work.path}/log/current`));
    const { moment } = readStamp(line)!;
    const local = (seconds: number) =>
      new Date(1000 * (seconds + 3 * 3600)).toISOString()
        .replace("T", " ").slice(0, 19);
    const env = { TZ: "XYZ-3" };
    const found = async (...words: string[]) =>
      (await run([ours.multilog, "--cat", "./log", ...words], {
        cwd: work.path,
        env,
      })).text.split("\n").length - 1;
    assertEquals(await found("--since", local(moment.seconds)), 2, kind);
    assertEquals(await found("--since", local(moment.seconds + 60)), 0);
    assertEquals(await found("--until", local(moment.seconds)), 0);
    assertEquals(await found("--until", local(moment.seconds + 60)), 2);
    const shown = await run([ours.multilog, "--cat", "./log", "--local"], {
      cwd: work.path,
      env,
    });
    assertEquals(shown.text.slice(0, 19), local(moment.seconds));
    assertEquals(shown.text.split("\n").length, 3);
  }
});

Deno.test("a time is a label, seconds, or a date and a time of day", () => {
  const midnight = new Date();
  midnight.setHours(0, 0, 0, 0);
  const day = midnight.getTime() / 1000;
  const rows: [text: string, seconds: number | undefined, ns?: number][] = [
    [label({ seconds: BEGIN, nanoseconds: 7 }), BEGIN, 7],
    ["1795746975", BEGIN],
    ["1795746975.25", BEGIN, 250000000],
    ["2026-11-27T02:36:15Z", BEGIN],
    ["2026-11-27 02:36:15.000001Z", BEGIN, 1000],
    ["2026-11-27T02:36Z", BEGIN - 15],
    ["2026-11-27 00:00", new Date(2026, 10, 27).getTime() / 1000],
    ["2026-11-27", new Date(2026, 10, 27).getTime() / 1000],
    ["2026-07-01 12:00:05", new Date(2026, 6, 1, 12, 0, 5).getTime() / 1000],
    ["00:00", day],
    ["00:00:07.5", day + 7, 500000000],
    ["", undefined],
    ["@400000006562f3f505ca1ac", undefined],
    ["@400000006562f3f505ca1ac4.s", undefined],
    ["2026-02-29", undefined],
    ["2026-13-01", undefined],
    ["2026-11-27 24:00", undefined],
    ["2026-11-27 02:60", undefined],
    ["2026-11-27 ", undefined],
    ["02:36Z", undefined],
    ["yesterday", undefined],
  ];
  for (const [text, seconds, nanoseconds = 0] of rows) {
    assertEquals(
      parseTime(text),
      seconds === undefined ? undefined : { seconds, nanoseconds },
      text,
    );
  }
});

Deno.test("--cat of a directory that is no log, or without directories, is an error", async () => {
  using work = folder();
  Deno.mkdirSync(`${work.path}/empty`);
  Deno.mkdirSync(`${work.path}/closed`);
  Deno.chmodSync(`${work.path}/closed`, 0o700);
  const rows: [words: string[], code: number, says: string][] = [
    [
      [],
      100,
      "usage: multilog --cat dir ... [--since time] [--until time] [--local]",
    ],
    [
      ["--since", "x", "./log"],
      100,
      'fatal: --since x: no time, such as "2026-11-27 02:36" or @4000...',
    ],
    [["-x", "./log"], 100, "fatal: unknown option -x, see --help"],
    [["./none"], 111, "warning: unable to read ./none: file does not exist"],
    [["./empty"], 111, "warning: ./empty is no log directory"],
  ];
  for (const [words, code, says] of rows) {
    const left = await cat(work.path, ...words);
    assertEquals([left.code, left.stderr], [code, `multilog: ${says}\n`]);
  }
  if (Deno.uid() !== 0) return;
  const program = forOthers(work.path, ours.multilog);
  const { stderr, code } = await run(
    [...AS_NOBODY, program, "--cat", "./closed"],
    { cwd: work.path },
  );
  assertEquals([code, stderr], [
    111,
    "multilog: warning: unable to read ./closed: access denied\n",
  ]);
});

Deno.test("--cat ends quietly when nobody reads any more", async () => {
  using work = folder();
  await run([ours.multilog, "s16777215", "./log"], {
    cwd: work.path,
    stdin: numbered(0, 300_000),
  });
  assert(whole(`${work.path}/log`).length > 1_000_000);
  const { text: out, stderr } = await run(
    [
      "sh",
      "-c",
      '{ "$0" --cat ./log; echo $? >code; } | head -n 1',
      ours.multilog,
    ],
    { cwd: work.path },
  );
  assertEquals([out, stderr, text(`${work.path}/code`)], ["0\n", "", "0\n"]);
});

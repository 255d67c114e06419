/**
 * Which old files go for `n`, `b` and `k`, and when.
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { Directory } from "../../src/log/directory.ts";
import { OldFiles } from "../../src/log/old_files.ts";
import type { LogSettings } from "../../src/log/settings.ts";
import { openDirectory } from "../../src/sys/files.ts";
import { label } from "../../src/tai64n.ts";
import {
  folder,
  freePort,
  installed,
  ours,
  run,
  Running,
  sleep,
  testWith,
  until,
} from "../tools.ts";
import {
  finished,
  inOrder,
  numbered,
  oldFiles,
  ORIGINAL,
  start,
  text,
  waitFor,
  waiting,
  wakeUps,
  whole,
} from "./harness.ts";

function now(): number {
  return Math.floor(Date.now() / 1000);
}

const BEGIN = now();

/** The name of a file that was finished some seconds before these tests. */
function ago(seconds: number, code = "s"): string {
  return `${label({ seconds: BEGIN - seconds, nanoseconds: 0 })}.${code}`;
}

/** Makes a log with old files, each with the bytes that are given. */
function put(path: string, files: Record<string, string>): void {
  Deno.mkdirSync(path, { recursive: true });
  for (const [name, text] of Object.entries(files)) {
    Deno.writeTextFileSync(`${path}/${name}`, text, { mode: 0o744 });
  }
}

function bytesOf(path: string, names: readonly string[]): number {
  return names.reduce(
    (sum, name) => sum + Deno.statSync(`${path}/${name}`).size,
    0,
  );
}

Deno.test("b: old files together stay below so many bytes, and the newest stay", async () => {
  using at = folder();
  const path = `${at.path}/log`;
  await run([ours.multilog, "s4096", "n1000", "b20000", "./log"], {
    cwd: at.path,
    stdin: numbered(0, 20_000),
  });
  const bytes = bytesOf(path, oldFiles(path));
  assert(bytes < 20_000 && bytes + 4096 >= 20_000, `${bytes}`);
  const left = whole(path);
  const first = Number(/^\d+/.exec(left)![0]);
  assert(first > 0);
  assertEquals(inOrder(left, first), 20_000);
});

Deno.test("b: current stays however large it is, and a file goes as soon as it is finished", async () => {
  using at = folder();
  const path = `${at.path}/log`;
  const { code, stderr } = await run(
    [ours.multilog, "s4096", "b1", "./log"],
    { cwd: at.path, stdin: numbered(0, 1500) },
  );
  assertEquals([code, stderr], [0, ""]);
  assertEquals(oldFiles(path), []);
  assertEquals(inOrder(whole(path), Number(/\d+/.exec(whole(path))![0])), 1500);
});

Deno.test("b and k: files that wait for the processor stay", async () => {
  using at = folder();
  const path = `${at.path}/log`;
  put(path, { [ago(5000, "u")]: "first\n", [ago(4000)]: "other\n" });
  await using log = await start(
    ["s4096", "b100", "k1000", `!${waitFor("go")}; cat`, "./log"],
    { cwd: at.path },
  );
  await log.write(numbered(0, 1500));
  await until("all is written", () => whole(path).endsWith("1499\n"));
  await until("the other one goes", () => finished(path).length === 0);
  assert(waiting(path).length >= 2);
  assertEquals(inOrder(whole(path).replace("first\n", "")), 1500);
  Deno.writeTextFileSync(`${at.path}/go`, "");
  assertEquals(await log.finish(), 0);
  assertEquals(log.said, "");
  assertEquals(waiting(path), []);
  assert(bytesOf(path, oldFiles(path)) < 100);
});

Deno.test("k: a start removes what is too old by its name, and nothing else", async () => {
  using at = folder();
  const path = `${at.path}/log`;
  const foreign = `@${"x".repeat(30)}`;
  const early = `@${"0".repeat(24)}.s`;
  put(path, {
    [ago(100_000)]: "a\n",
    [ago(3700, "gz")]: "b\n",
    [ago(3500)]: "c\n",
    [foreign]: "d\n",
    [early]: "e\n",
    "@short": "f\n",
  });
  // What counts is the name, not when it was written.
  const old = new Date(1000 * (now() - 900_000));
  Deno.utimeSync(`${path}/${ago(3500)}`, old, old);
  const stays = oldFiles(path).slice(-3);
  assertEquals(stays.length, 3);
  await using log = await start(["n100", "k3600", "./log"], { cwd: at.path });
  await until("they go", () => oldFiles(path).length === 4);
  assertEquals(await log.finish(), 0);
  assertEquals(oldFiles(path), [early, ...stays]);
  assertEquals(log.said, "");
});

testWith(
  ["faketime", ORIGINAL],
  "k: a file's age is counted from the time in its name, also when the clock was wrong then",
  async () => {
    using at = folder();
    const path = `${at.path}/log`;
    // Ours asks the system itself, and can't be told another time.
    const clocks = ["-2 days", "-3 hours", "-1 hours", "+1 days"];
    for (const clock of clocks) {
      const { code } = await run(
        ["faketime", clock, installed(ORIGINAL)!, "s4096", "n100", "./log"],
        { cwd: at.path, stdin: numbered(0, 2000) },
      );
      assertEquals(code, 0);
    }
    const before = oldFiles(path);
    const young = before.filter((name) => name > ago(7200));
    assert(young.length > 1 && before.length > young.length + 1);
    await using log = await start(["n100", "k7200", "./log"], { cwd: at.path });
    await until("they go", () => oldFiles(path).length <= young.length);
    assertEquals(await log.finish(), 0);
    assertEquals(oldFiles(path), young);
    assertEquals(log.said, "");
  },
);

Deno.test("k: a file goes when it gets too old, without a wake-up before", async () => {
  using at = folder();
  const path = `${at.path}/log`;
  const due = now() + 8;
  const name = `${label({ seconds: due - 3600, nanoseconds: 0 })}.s`;
  put(path, { [name]: "a\n", [ago(3000)]: "b\n" });
  await using log = await start(["k3600", "./log"], { cwd: at.path });
  await log.waits();
  const before = wakeUps(log.pid);
  await sleep(2000);
  assertEquals(wakeUps(log.pid) - before, 0);
  await until("it goes", () => oldFiles(path).length === 1);
  assert(Date.now() >= 1000 * due, `${due}`);
  // Nothing is due for ten minutes.
  await log.waits();
  const after = wakeUps(log.pid);
  await sleep(2000);
  assertEquals(wakeUps(log.pid) - after, 0);
  assertEquals(await log.finish(), 0);
});

Deno.test("k: what gets too old goes when a file is finished", async () => {
  using at = folder();
  const path = `${at.path}/log`;
  const script = ["k2", "s4096", "./log"];
  await run([ours.multilog, ...script], {
    cwd: at.path,
    stdin: numbered(0, 1000),
  });
  assertEquals(oldFiles(path).length, 1);
  await sleep(3100);
  await run([ours.multilog, ...script], {
    cwd: at.path,
    stdin: numbered(1000, 2000),
  });
  assertEquals(text(`${path}/current`).includes("1999\n"), true);
  assert(!whole(path).startsWith("0\n"));
});

Deno.test("n, b and k together: the first limit that is exceeded removes files", async () => {
  const old = [3000, 2000, 1000, 500];
  const rows: [script: string[], left: number[]][] = [
    [["n100", "b1000000", "k1000000"], old],
    [["n4", "b1000000", "k1000000"], [1000, 500]],
    [["n100", "b8100", "k1000000"], [500]],
    [["n100", "b1000000", "k1500"], [1000, 500]],
    [["n3", "b1000000", "k600"], [500]],
    [["n100", "b1", "k1000000"], []],
  ];
  for (const [script, left] of rows) {
    using at = folder();
    const path = `${at.path}/log`;
    const names = old.map((seconds) => ago(seconds));
    put(
      path,
      Object.fromEntries(names.map((name) => [name, "x".repeat(4096)])),
    );
    // One more is finished.
    await run([ours.multilog, ...script, "s4096", "./log"], {
      cwd: at.path,
      stdin: `${"y".repeat(3999)}\nz\n`,
    });
    const kept = oldFiles(path).filter((name) => names.includes(name));
    assertEquals(
      kept,
      left.map((seconds) => names[old.indexOf(seconds)]!),
      script.join(" "),
    );
  }
});

Deno.test("b and k: a word that is no number removes nothing", async () => {
  for (
    const word of ["kern", "k", "k0", "k10d", "b", "b0", "b100M", "backup"]
  ) {
    using at = folder();
    const path = `${at.path}/log`;
    put(path, { [ago(100_000)]: "a\n" });
    const { code, stderr } = await run(
      [ours.multilog, "s4096", word, "./log"],
      { cwd: at.path, stdin: numbered(0, 1500) },
    );
    assertEquals(code, 0);
    assertMatch(
      stderr,
      new RegExp(
        `^multilog: warning: ${word}: ignored, \\S+ is no number over 0\n$`,
      ),
    );
    assertEquals(oldFiles(path)[0], ago(100_000));
  }
});

/** The old files of a directory that nobody else writes to. */
function open(path: string, settings: Partial<LogSettings>): OldFiles {
  const all = { size: 99999, keep: 100, processor: "", age: 0, ...settings };
  const directory = new Directory(path, openDirectory(path));
  return new OldFiles(directory, all, (message) => {
    throw new Error(message);
  });
}

Deno.test("k: while no file is finished, old files are checked once a minute", () => {
  using at = folder();
  const names = [ago(110), ago(75)];
  put(at.path, { [names[0]!]: "a\n", [names[1]!]: "b\n" });
  const old = open(at.path, { keepSeconds: 100 + now() - BEGIN });
  old.refresh();
  assert(old.hasExpired());
  const before = now();
  old.expire();
  assertEquals(oldFiles(at.path), [names[1]]);
  const next = old.expiry()!;
  assert(next >= before + 60 && next <= now() + 60, `${next - before}`);
  assertEquals(old.hasExpired(), false);
});

Deno.test("k: a processed file isn't removed before its waiting file is", () => {
  using at = folder();
  put(at.path, { [ago(200)]: "a\n", [ago(200, "u")]: "a\n", [ago(10)]: "b\n" });
  const old = open(at.path, { keepSeconds: 100, processor: "cat" });
  old.expire();
  assertEquals(oldFiles(at.path).length, 3);
  Deno.removeSync(`${at.path}/${ago(200, "u")}`);
  old.refresh(true);
  old.expire();
  assertEquals(oldFiles(at.path), [ago(10)]);
});

Deno.test("b and k: files are removed also from among more than are known by name", () => {
  using at = folder();
  const names = Array.from({ length: 10_000 }, (_, i) => ago(20_000 - i));
  put(at.path, Object.fromEntries(names.map((name) => [name, "xx"])));
  const old = open(at.path, { keep: 100_000, keepBytes: 5000 });
  for (let i = 0; i < 4; i++) old.trim();
  assertEquals(oldFiles(at.path), names.slice(-2499));
  const others = open(at.path, { keep: 100_000, keepSeconds: 11_000 });
  others.expire();
  const left = oldFiles(at.path);
  // Some of them have got too old meanwhile.
  assert(left.length <= 1000 && left.length > 500, `${left.length}`);
  assertEquals(left, names.slice(-left.length));
});

Deno.test("--status says what n, b and k remove next, and when", async () => {
  using at = folder();
  const path = `${at.path}/log`;
  const names = [ago(3000), ago(2000), ago(1000)];
  put(path, {
    [names[0]!]: "a".repeat(100),
    [names[1]!]: "",
    [names[2]!]: "b",
  });
  await using log = await start(["n6", "b5000", "k7000", "./log"], {
    cwd: at.path,
  });
  const { text: json } = await run(
    [ours.multilog, "--status", "--json", "./log"],
    { cwd: at.path },
  );
  const { next } = JSON.parse(json);
  const last = next.pop();
  assertEquals(next, [
    { by: "n", limit: 6, file: names[1], after: 3 },
    { by: "b", limit: 5000, file: names[0], after: 4899 },
  ]);
  assertEquals([last.by, last.limit, last.file], ["k", 7000, names[0]]);
  assert(last.after > 3000 && last.after <= 4000, `${last.after}`);
  const { text: table } = await run([ours.multilog, "--status", "./log"], {
    cwd: at.path,
  });
  const shown = table.replace(/ in 6\dm\n$/, " in 66m\n");
  assertEquals(shown.split("\n").slice(2, -1), [
    `    n6 removes ${names[1]} after 3 more files`,
    `    b5000 removes ${names[0]} after 4899 more bytes`,
    `    k7000 removes ${names[0]} in 66m`,
  ]);
  assertEquals(await log.finish(), 0);
});

Deno.test("k: a log server's own script removes what is too old, too", async () => {
  using at = folder();
  const path = `${at.path}/log`;
  put(path, { [ago(4000)]: "a\n", [ago(100)]: "c\n" });
  await using server = new Running(
    [ours.socklogTcp, "127.0.0.1", `${freePort()}`, "multilog"]
      .concat("k3600", "./log"),
    { cwd: at.path },
  );
  await until("it goes", () => oldFiles(path).length === 1);
  assertEquals(oldFiles(path), [ago(100)]);
  await server.waits();
  assertEquals(await server.stop(), 0);
});

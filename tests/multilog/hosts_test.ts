import { assert, assertEquals, assertMatch } from "@std/assert";
import { encode, latin1 } from "../../src/bytes.ts";
import { LogDirectory } from "../../src/log/log_directory.ts";
import { Retrier } from "../../src/log/retrier.ts";
import { HostLogs } from "../../src/multilog/host_logs.ts";
import type { LogStatus } from "../../src/multilog/status.ts";
import {
  chosenSeed,
  type Folder,
  folder,
  inParallel,
  installed,
  inTime,
  ours,
  run,
  seeded,
  sleep,
  testWith,
  tracing,
  until,
} from "../tools.ts";
import {
  canMount,
  Disk,
  drain,
  finished,
  inOrder,
  look,
  makeFifo,
  mode,
  numbered,
  ORIGINAL,
  Running,
  text,
  waitFor,
  waiting,
  whole,
} from "./harness.ts";

/** What each host's log is to hold: its lines, in their order. */
function split(input: string): Map<string, string> {
  const logs = new Map<string, string>();
  for (const line of input.split(/(?<=\n)/)) {
    const name = /^([A-Za-z0-9_:-][A-Za-z0-9._:-]*?): /.exec(line)?.[1] ?? "";
    const host = name.length > 0 && name.length <= 128 ? name : "other";
    logs.set(host, (logs.get(host) ?? "") + line);
  }
  return logs;
}

function names(path: string): string[] {
  return [...Deno.readDirSync(path)].map(({ name }) => name).sort();
}

/** Checks that a folder's logs hold a text's lines, and were ended well. */
function check(path: string, input: string): void {
  const expected = split(input);
  assertEquals(names(path), [...expected.keys()].sort());
  for (const [host, lines] of expected) {
    assertEquals(whole(`${path}/${host}`), lines, host);
    assertEquals(mode(`${path}/${host}/current`), "744", host);
  }
}

/** Lines of many hosts, in no order. */
function mixed(hosts: number, lines: number, random = seeded(1)): string {
  let all = "";
  for (let i = 0; i < lines; i++) {
    all += `h${Math.floor(random() * hosts)}: ${i} ${"x".repeat(i % 70)}\n`;
  }
  return all;
}

async function multilog(
  script: string[],
  work: Folder,
  stdin: string | Uint8Array = "",
) {
  return await run([ours.multilog, ...script], { cwd: work.path, stdin });
}

/** Waits until a text is in a log, however it is spread. */
async function written(path: string, lines: string): Promise<void> {
  await until(`${path} has its lines`, () => {
    try {
      return whole(path) === lines;
    } catch {
      return false;
    }
  });
}

function descriptors(pid: number): number {
  return [...Deno.readDirSync(`/proc/${pid}/fd`)].length;
}

Deno.test("@dir has a log for each host, and one for all other lines", async () => {
  using work = folder();
  const long = "n".repeat(128);
  const input = [
    "192.0.2.7: one",
    "host: two: three",
    "192.0.2.7: again",
    "fe80::1: a colon may be in a name",
    "::: colons alone",
    "a_b-c.D: all that may be",
    "-v: an option is a name as well",
    "other: by its own name",
    `${long}: the longest`,
    `${long}x: longer`,
    ".hidden: x",
    "..: x",
    "a/b: x",
    "a b: x",
    "h\u00f6st: x",
    "\0: x",
    ": no name",
    "no colon",
    "no:space",
    "colon at its end:",
    "",
    "host:",
    "host: ",
    "a: \0binary\xff",
  ].map((line) => `${line}\n`).join("");
  const { code, stderr } = await multilog(["@./h"], work, input);
  assertEquals([code, stderr], [0, ""]);
  assertEquals(mode(`${work.path}/h`), "700");
  assertEquals(mode(`${work.path}/h/host`), "700");
  const bytes = latin1(new TextEncoder().encode(input));
  check(`${work.path}/h`, bytes);
  assertEquals(
    text(`${work.path}/h/${long}/current`),
    `${long}: the longest\n`,
  );
  assertEquals(
    text(`${work.path}/h/host/current`),
    "host: two: three\nhost: \n",
  );
});

Deno.test("@dir finds a name after each kind of timestamp", async () => {
  for (
    const [stamp, form] of [
      ["t", /^@[0-9a-f]{24} a: one\n@[0-9a-f]{24} a: two\n$/],
      ["T", /^\d+\.\d{6} a: one\n\d+\.\d{6} a: two\n$/],
      ["i", /^\d{4}-.*Z a: one\n\d{4}-.*Z a: two\n$/],
    ] as const
  ) {
    using work = folder();
    const input = "a: one\nb: x\na: two\nnone\n";
    const { code } = await multilog([stamp, "@./h"], work, input);
    assertEquals(code, 0);
    assertEquals(names(`${work.path}/h`), ["a", "b", "other"]);
    assertMatch(text(`${work.path}/h/a/current`), form);
    assertMatch(text(`${work.path}/h/other/current`), /^\S+ none\n$/);
  }
});

Deno.test("@dir takes the selected lines, with the settings before it, beside other logs", async () => {
  using work = folder();
  const input = mixed(20, 20_000);
  const script = ["./all", "-*", "+h1*", "s4096", "n50", "@./h", "+*", "./z"];
  const { code, stderr } = await multilog(script, work, input);
  assertEquals([code, stderr], [0, ""]);
  const selected = input.split(/(?<=\n)/).filter((line) =>
    line.startsWith("h1")
  ).join("");
  check(`${work.path}/h`, selected);
  const old = finished(`${work.path}/h/h1`);
  assert(old.length > 2, `${old.length}`);
  for (const name of old) {
    assert(Deno.statSync(`${work.path}/h/h1/${name}`).size <= 4096);
  }
  assert(input.endsWith(text(`${work.path}/all/current`)));
  assert(input.endsWith(text(`${work.path}/z/current`)));
});

Deno.test("@dir takes lines that come in any pieces, of any length", async () => {
  using work = folder();
  const seed = chosenSeed();
  console.log(`LOGFERRY_SEED=${seed}`);
  const random = seeded(seed);
  let input = "";
  for (let i = 0; i < 400; i++) {
    const length = Math.floor(random() ** 4 * 300_000 / (i % 10 + 1));
    const host = ["a", "b.c", "::1", "n".repeat(128), "x y", ""]
      .at(Math.floor(random() * 6))!;
    input += `${host}${random() < 0.9 ? ": " : ""}${"y".repeat(length)}\n`;
  }
  await using program = new Running(["s16777215", "@./h"], { cwd: work.path });
  // Until it listens for signals ALRM would end it.
  await until("it has opened its folder", () => mode(`${work.path}/h`) !== "");
  for (let at = 0; at < input.length;) {
    const n = random() < 0.5
      ? Math.ceil(random() * 5)
      : Math.ceil(random() ** 3 * 400_000);
    await program.write(input.slice(at, at + n));
    at += n;
    if (random() < 0.01) program.signal("SIGALRM");
  }
  // Each byte is most often read by itself.
  const slow = "host-name: x\n::1: y\n: \nno name\na:b: z\n".repeat(3);
  for (const byte of slow) {
    await program.write(byte);
    await sleep(3);
  }
  input += slow;
  assertEquals(await program.finish(), 0);
  check(`${work.path}/h`, input);
});

Deno.test("a last line without a newline gets one in its host's log", async () => {
  for (const last of ["a: x", "a:", "a", "a: ", ""]) {
    using work = folder();
    const { code } = await multilog(["@./h"], work, `b: y\n${last}`);
    assertEquals(code, 0);
    check(`${work.path}/h`, `b: y\n${last}${last ? "\n" : ""}`);
  }
});

Deno.test("everything read is in the hosts' logs before multilog waits for more", async () => {
  using work = folder();
  const path = `${work.path}/h`;
  await using program = new Running(["@./h"], { cwd: work.path });
  let input = "";
  for (let i = 0; i < 20; i++) {
    const more = mixed(5, 100, seeded(i + 1));
    input += more;
    await program.write(more);
    for (const [host, lines] of split(input)) {
      await written(`${path}/${host}`, lines);
    }
  }
  // Part of a line, as soon as it is known whose it is.
  await program.write("h1: and so");
  await until("it is there", () => text(`${path}/h1/current`).endsWith(" so"));
  program.signal("SIGTERM");
  await program.write("\n");
  assertEquals(await program.code(), 0);
  check(path, `${input}h1: and so\n`);
});

Deno.test("a regular file's lines are written before ALRM, TERM and its end", async () => {
  using work = folder();
  const input = mixed(700, 50_000);
  Deno.writeTextFileSync(`${work.path}/input`, input);
  const { code } = await run([ours.multilog, "t", "n1000", "@./h"], {
    cwd: work.path,
    redirections: "<input",
  });
  assertEquals(code, 0);
  const unstamped = (path: string) =>
    whole(path).replace(/^@[0-9a-f]{24} /gm, "");
  for (const [host, lines] of split(input)) {
    assertEquals(unstamped(`${work.path}/h/${host}`), lines);
  }
});

Deno.test("more hosts than may be open at a time lose no line, and descriptors stay few", async () => {
  using work = folder();
  const input = mixed(900, 60_000);
  await using program = new Running(["s4096", "n100", "@./h"], {
    cwd: work.path,
  });
  let most = 0;
  for (let at = 0; at < input.length; at += 50_000) {
    await program.write(input.slice(at, at + 50_000));
    most = Math.max(most, descriptors(program.pid));
  }
  assert(most < 1100, `${most} descriptors`);
  assert(most > 900, `${most} descriptors: the test has too few hosts`);
  assertEquals(await program.finish(), 0);
  check(`${work.path}/h`, input);
});

Deno.test("a low limit of descriptors is kept, and no line is lost", async () => {
  for (const limit of [40, 100]) {
    using work = folder();
    const input = mixed(150, 6000);
    const { code, stderr } = await run(
      ["sh", "-c", `ulimit -n ${limit}; exec "$@"`, "sh", ours.multilog]
        .concat("s4096", "n100", "@./h"),
      { cwd: work.path, stdin: input, patience: 60 },
    );
    assertEquals([code, stderr], [0, ""], `${limit}`);
    check(`${work.path}/h`, input);
  }
});

testWith(
  ["strace"],
  "hosts' logs leave descriptors for the logs beside them, whose files wait for a slow disk",
  async () => {
    using work = folder();
    const input = Array.from(
      { length: 1000 },
      (_, i) => `h${i % 90}: ${"x".repeat(400)}\n`,
    ).join("");
    const beside = ["./a", "./b", "./c", "./d"];
    const { code, stderr } = await run(
      tracing("fsync", "trace").concat(
        ["-e", "inject=fsync:delay_enter=60000", "sh", "-c"],
        ['ulimit -n 200; exec "$@"', "sh", ours.multilog, "s4096", "n999"],
        [...beside, "@./h"],
      ),
      { cwd: work.path, stdin: input, patience: 60 },
    );
    assertEquals(code, 0);
    assert(!stderr.includes("cannot open more files"), stderr);
    for (const log of beside) assertEquals(whole(`${work.path}/${log}`), input);
    check(`${work.path}/h`, input);
  },
);

testWith(
  ["root"],
  "where there are no descriptors for a moment, lines wait",
  async () => {
    using work = folder();
    await using program = new Running(["@./h"], { cwd: work.path });
    await program.write("a: one\n");
    await written(`${work.path}/h/a`, "a: one\n");
    const limit = async (n: number) => {
      const { code } = await run(
        ["prlimit", "--pid", `${program.pid}`, `--nofile=${n}:20000`],
      );
      assertEquals(code, 0);
    };
    await limit(12);
    await program.write("b: two\na: three\n");
    await program.says("process cannot open more files, pausing\n");
    // What is open isn't kept waiting.
    assertEquals(
      whole(`${work.path}/h/a`).startsWith("a: one\na: three"),
      true,
    );
    await limit(1000);
    await program.write("c: four\n");
    await written(`${work.path}/h/c`, "c: four\n");
    assertEquals(await program.finish(), 0);
    check(`${work.path}/h`, "a: one\nb: two\na: three\nc: four\n");
  },
);

/** Whether a process has anything open below a folder's folders. */
function hasOpen(pid: number, folder: string): boolean {
  const below = `${Deno.realPathSync(folder)}/`;
  return [...Deno.readDirSync(`/proc/${pid}/fd`)].some(({ name }) => {
    try {
      return Deno.readLinkSync(`/proc/${pid}/fd/${name}`).startsWith(below);
    } catch {
      // Closed meanwhile.
      return false;
    }
  });
}

Deno.test("an idle log is closed well, and goes on when a line comes", async () => {
  using work = folder();
  const path = `${work.path}/h`;
  await using program = new Running(["@./h"], { cwd: work.path });
  await program.write("a: one\nb: one\n");
  await until("they are open", () => mode(`${path}/b/current`) === "644");
  assert(hasOpen(program.pid, path));
  await until("they are closed", () => {
    return mode(`${path}/a/current`) === "744" &&
      mode(`${path}/b/current`) === "744";
  }, 30);
  await until("descriptors too", () => !hasOpen(program.pid, path));
  await program.write("a: two\n");
  await written(`${path}/a`, "a: one\na: two\n");
  assertEquals(mode(`${path}/a/current`), "644");
  assertEquals(mode(`${path}/b/current`), "744");
  program.signal("SIGKILL");
  await program.code();
  const { code } = await multilog(["@./h"], work, "a: three\n");
  assertEquals(code, 0);
  check(path, "a: one\nb: one\na: two\na: three\n");
});

Deno.test("many idle logs are closed a few at a time, within the limit of descriptors", async () => {
  using work = folder();
  await using program = new Running(["@./h"], {
    cwd: work.path,
    under: ["sh", "-c", 'ulimit -n 100; exec "$@"', "sh"],
  });
  const input = Array.from({ length: 300 }, (_, i) => `h${i}: x\n`).join("");
  await program.write(input);
  let open = new Set(split(input).keys());
  await until("they are closed", () => {
    open = new Set(
      [...open].filter((name) =>
        mode(`${work.path}/h/${name}/current`) !== "744"
      ),
    );
    return open.size === 0;
  });
  assertEquals(await program.finish(), 0);
  assertEquals(program.said, "");
  check(`${work.path}/h`, input);
});

Deno.test("hosts' files that wait for the processor take no more descriptors than there are", async () => {
  using work = folder();
  const hosts = Array.from({ length: 200 }, (_, i) => `${work.path}/h/h${i}`);
  for (const [i, path] of hosts.entries()) {
    Deno.mkdirSync(path, { recursive: true });
    // A run was cut off: each of them is to be processed.
    Deno.writeTextFileSync(`${path}/current`, `h${i}: x\n`, { mode: 0o644 });
  }
  await using program = new Running([`!${waitFor("../go")}; cat`, "@./h"], {
    cwd: work.path,
    under: ["sh", "-c", 'ulimit -n 100; exec "$@"', "sh"],
  });
  await program.write(hosts.map((_, i) => `h${i}: y\n`).join(""));
  for (const [i, path] of hosts.entries()) {
    await until(
      "the lines are written",
      () => text(`${path}/current`) === `h${i}: y\n`,
    );
  }
  await program.end();
  await program.waits();
  Deno.writeTextFileSync(`${work.path}/go`, "");
  assertEquals([await program.code(), program.said], [0, ""]);
  for (const [i, path] of hosts.entries()) {
    assertEquals(finished(path).length, 1);
    assertEquals(whole(path), `h${i}: x\nh${i}: y\n`);
    assertEquals(mode(`${path}/current`), "744");
  }
});

Deno.test("a second multilog for the same folder doesn't start; one for a log of it does no harm", async () => {
  using work = folder();
  const path = `${work.path}/h`;
  await using program = new Running(["@./h"], { cwd: work.path });
  await program.write("a: one\n");
  await written(`${path}/a`, "a: one\n");
  for (const script of [["@./h"], ["./h/a"]]) {
    const { code, stderr } = await multilog(script, work, "lost\n");
    assertEquals(code, 111);
    assertMatch(
      stderr,
      /^multilog: fatal: unable to lock directory \.\/h.*: temporarily un.*\n$/,
    );
  }
  await using other = new Running(["./h/b"], { cwd: work.path });
  await until("it has b", () => mode(`${path}/b/current`) === "644");
  await program.write("b: two\na: three\nb: four\n");
  await written(`${path}/other`, "b: two\nb: four\n");
  await written(`${path}/a`, "a: one\na: three\n");
  await program.says("temporarily unavailable; its lines go to ./h/other\n");
  assertEquals(await other.finish(), 0);
  assertEquals(await program.finish(), 0);
});

Deno.test("a host whose name is a file, or a directory that can't be opened, has its lines in the log of the others", async () => {
  using work = folder();
  Deno.mkdirSync(`${work.path}/h`);
  Deno.writeTextFileSync(`${work.path}/h/a`, "mine\n");
  Deno.symlinkSync("nowhere", `${work.path}/h/b`);
  const { code, stderr } = await multilog(
    ["@./h"],
    work,
    "a: 1\nb: 2\nc: 3\na: 4\n",
  );
  assertEquals(code, 0);
  assertEquals(text(`${work.path}/h/a`), "mine\n");
  assertEquals(text(`${work.path}/h/other/current`), "a: 1\na: 4\nb: 2\n");
  assertEquals(text(`${work.path}/h/c/current`), "c: 3\n");
  assertEquals(stderr.split("\n").length, 3, stderr);
});

Deno.test("a host's directory, and the folder of all, may be removed or moved while lines come", async () => {
  using work = folder();
  const path = `${work.path}/h`;
  await using program = new Running(["s4096", "n50", "@./h"], {
    cwd: work.path,
  });
  await program.write("a: 1\nb: 1\n");
  await written(`${path}/b`, "b: 1\n");
  Deno.removeSync(`${path}/a`, { recursive: true });
  Deno.renameSync(`${path}/b`, `${work.path}/b`);
  await until("it is noticed", async () => {
    await program.write("a: 2\n");
    return program.said.includes("./h/a was removed, made again");
  });
  const lines = numbered(0, 2000).replace(/^/gm, "b: ").slice(0, -3);
  await program.write(lines);
  await until("b is made again", () => {
    return program.said.includes("./h/b was moved, made again");
  });
  await until("all lines are somewhere", () => {
    return whole(`${work.path}/b`) + whole(`${path}/b`) === `b: 1\n${lines}`;
  });
  assertMatch(whole(`${path}/a`), /^a: 1\n(a: 2\n)+$/);
  Deno.removeSync(path, { recursive: true });
  await program.write("c: 1\n");
  await written(`${path}/c`, "c: 1\n");
  await program.says("./h was removed, made again\n");
  assertEquals(await program.finish(), 0);
  assertEquals(mode(`${path}/c/current`), "744");
  assertEquals(mode(`${work.path}/b/current`), "744");
});

Deno.test("after 4096 names the lines of new ones go to the log of the others, with one warning", async () => {
  using work = folder();
  let input = "";
  for (let i = 0; i < 4096; i++) input += `n${i}: x\n`;
  const more = `${input}z1: x\nz2: x\nn7: x\nz1: y\n`;
  const { code, stderr } = await multilog(["@./h"], work, more);
  assertEquals(code, 0);
  assertEquals(
    stderr,
    "multilog: warning: more than 4096 names in ./h: " +
      "the lines of others go to ./h/other\n",
  );
  assertEquals(names(`${work.path}/h`).length, 4097);
  assertEquals(text(`${work.path}/h/other/current`), "z1: x\nz2: x\nz1: y\n");
  assertEquals(text(`${work.path}/h/n7/current`), "n7: x\nn7: x\n");
  // The names of an earlier run count, and are known.
  const again = await multilog(["@./h"], work, "n4095: y\nz3: x\n");
  assertEquals(again.code, 0);
  assertEquals(text(`${work.path}/h/n4095/current`), "n4095: x\nn4095: y\n");
  assertEquals(
    text(`${work.path}/h/other/current`),
    "z1: x\nz2: x\nz1: y\nz3: x\n",
  );
});

Deno.test("ALRM finishes every host's current, those too that are closed", async () => {
  using work = folder();
  const path = `${work.path}/h`;
  await multilog(["@./h"], work, "old: 1\na: 1\n");
  await using program = new Running(["@./h"], { cwd: work.path });
  await program.write("a: 2\nb: 1\n");
  await written(`${path}/b`, "b: 1\n");
  program.signal("SIGALRM");
  await until(
    "all are finished",
    () =>
      ["old", "a", "b"].every((name) =>
        finished(`${path}/${name}`).length === 1
      ),
  );
  assertEquals(await program.finish(), 0);
  check(path, "old: 1\na: 1\na: 2\nb: 1\n");
});

Deno.test("a host's current is finished by age, when it is idle, and after a restart", async () => {
  using work = folder();
  const path = `${work.path}/h`;
  const aged = (name: string) =>
    until(
      `${name} is finished`,
      () => finished(`${path}/${name}`).length === 1,
    );
  await multilog(["a1", "@./h"], work, "old: 1\n");
  await using program = new Running(["a2", "@./h"], { cwd: work.path });
  await aged("old");
  await program.write("a: 1\n");
  await written(`${path}/a`, "a: 1\n");
  assertEquals(finished(`${path}/a`).length, 0);
  await aged("a");
  assertEquals(await program.finish(), 0);
});

Deno.test("no more than 8 hosts' processors run at a time, and all files are processed", async () => {
  using work = folder();
  Deno.mkdirSync(`${work.path}/running`);
  const count =
    `touch ../../running/$$; ls ../../running | wc -l >>../../most;` +
    ` sleep 0.1; cat; rm ../../running/$$`;
  let input = "";
  for (let i = 0; i < 40; i++) input += `h${i}: x\n`;
  await using program = new Running([`!${count}`, "@./h"], { cwd: work.path });
  await program.write(input);
  await written(`${work.path}/h/h39`, "h39: x\n");
  program.signal("SIGALRM");
  await until("all are processed", () => {
    for (let i = 0; i < 40; i++) {
      const at = `${work.path}/h/h${i}`;
      if (finished(at).length !== 1 || waiting(at).length > 0) return false;
    }
    return true;
  });
  const counts = text(`${work.path}/most`).trim().split("\n").map(Number);
  assertEquals(counts.length, 40);
  const most = Math.max(...counts);
  assert(most <= 8 && most > 4, `${most}`);
  assertEquals(await program.finish(), 0);
  check(`${work.path}/h`, input);
});

Deno.test("hosts whose processors fail keep no other's file waiting", async () => {
  using work = folder();
  const path = `${work.path}/h`;
  let input = "";
  for (let i = 0; i < 30; i++) input += `bad${i}: x\n`;
  const processor =
    "!case $(pwd) in */bad*) test -e ../../go || exit 1;; esac; cat";
  await using program = new Running([processor, "@./h"], { cwd: work.path });
  await program.write(input);
  await written(`${path}/bad29`, "bad29: x\n");
  program.signal("SIGALRM");
  await until(
    "all bad ones have failed",
    () => program.said.split("processor failed").length > 30,
  );
  await program.write("good: x\n");
  await written(`${path}/good`, "good: x\n");
  program.signal("SIGALRM");
  await until(
    "the good one is processed",
    () => finished(`${path}/good`).length === 1,
  );
  assertEquals(waiting(`${path}/bad7`).length, 1);
  Deno.writeTextFileSync(`${work.path}/go`, "");
  assertEquals(await program.finish(), 0);
  check(path, `${input}good: x\n`);
});

Deno.test("what an earlier run left waiting or cut off is processed, of hosts that send no more, too", async () => {
  using work = folder();
  const path = `${work.path}/h`;
  let input = "";
  for (let i = 0; i < 20; i++) input += `w${i}: x\n`;
  {
    await using program = new Running(["!exit 1", "@./h"], { cwd: work.path });
    await program.write(input);
    await written(`${path}/w19`, "w19: x\n");
    program.signal("SIGALRM");
    await until("they wait", () => waiting(`${path}/w19`).length === 1);
    await program.write("c: cut off\n");
    await written(`${path}/c`, "c: cut off\n");
    program.signal("SIGKILL");
    await program.code();
  }
  await using program = new Running(["!tr x y", "@./h"], { cwd: work.path });
  await until("all are processed", () => {
    for (const name of names(path)) {
      const at = `${path}/${name}`;
      if (finished(at).length === 0 || waiting(at).length > 0) return false;
    }
    return true;
  });
  assertEquals(await program.finish(), 0);
  check(path, input.replaceAll(": x", ": y") + "c: cut off\n");
});

Deno.test("TERM ends multilog within 5 seconds, whatever the hosts' processors do", async () => {
  using work = folder();
  const path = `${work.path}/h`;
  let input = "";
  for (let i = 0; i < 100; i++) input += `h${i}: x\n`;
  await using program = new Running(["!exec sleep 100", "@./h"], {
    cwd: work.path,
  });
  await program.write(input);
  await written(`${path}/h99`, "h99: x\n");
  program.signal("SIGALRM");
  await until("they wait", () => waiting(`${path}/h99`).length === 1);
  await program.write("h0: y\nz: y\n");
  await written(`${path}/z`, "z: y\n");
  await inTime(4.5, async () => assertEquals(await program.stop(), 0));
  check(path, `${input}h0: y\nz: y\n`);
});

Deno.test("a full disk keeps lines waiting, and none is lost or doubled", async () => {
  if (!canMount()) return;
  using work = folder();
  using disk = new Disk(`${work.path}/disk`, "1m");
  await using program = new Running(["n1000", "@./disk/h"], { cwd: work.path });
  await program.write("a: one\n");
  await written(`${disk.path}/h/a`, "a: one\n");
  disk.fill("full");
  const input = mixed(30, 2000);
  // What can't be written isn't read either.
  const writing = program.write(input);
  await program.says("no space left on device");
  disk.remove("full");
  program.signal("SIGALRM");
  await writing;
  assertEquals(await program.finish(), 0);
  check(`${disk.path}/h`, `a: one\n${input}`);
});

Deno.test("killed at any moment, each host's log has its lines up to one, once", async () => {
  const seed = chosenSeed();
  console.log(`LOGFERRY_SEED=${seed}`);
  const random = seeded(seed);
  const rounds = Array.from({ length: 12 }, () => ({
    hosts: random() < 0.5 ? 10 : 700,
    after: random() * 0.8,
    random: seeded(Math.floor(random() * 2 ** 31)),
  }));
  await inParallel(rounds, async ({ hosts, after, random }) => {
    using work = folder();
    const path = `${work.path}/h`;
    const script = ["s4096", "n10000", "@./h"];
    const input = mixed(hosts, 40_000, random);
    {
      await using program = new Running(script, { cwd: work.path });
      const writing = program.write(input).catch(() => {});
      await new Promise((resolve) => setTimeout(resolve, after * 1000));
      program.signal("SIGKILL");
      await program.code();
      await writing;
    }
    const { code, stderr } = await multilog(script, work, "last: x\n");
    assertEquals([code, stderr], [0, ""]);
    const logs = split(input);
    for (const host of names(path)) {
      if (host === "last") continue;
      const found = whole(`${path}/${host}`);
      assert(logs.get(host)!.startsWith(found), `${host} differs`);
    }
  }, 2);
});

testWith([ORIGINAL], "the original goes on from a host's log", async () => {
  using work = folder();
  await multilog(["@./h"], work, "a: one\n");
  const { code } = await run([installed(ORIGINAL)!, "!cat", "./h/a"], {
    cwd: work.path,
    stdin: "a: two\n",
  });
  assertEquals(code, 0);
  assertEquals(whole(`${work.path}/h/a`), "a: one\na: two\n");
});

Deno.test("TERM leaves what wasn't read in the pipe", async () => {
  using work = folder();
  using fifo = await makeFifo(`${work.path}/fifo`);
  await using program = new Running(["@./h"], { cwd: work.path, fifo: "fifo" });
  const input = numbered(0, 3000);
  fifo.writeSync(new TextEncoder().encode(input.replace(/^(?=\d)/gm, "a: ")));
  await until("it reads", () => text(`${work.path}/h/a/current`) !== "");
  program.signal("SIGTERM");
  fifo.writeSync(
    new TextEncoder().encode(numbered(3000, 6000).replace(/^(?=\d)/gm, "a: ")),
  );
  assertEquals(await program.code(), 0);
  const log = whole(`${work.path}/h/a`);
  assert(log.endsWith("\n"));
  assertEquals(inOrder((log + drain(fifo)).replaceAll("a: ", "")), 6000);
});

Deno.test("--status knows the writer of a host's log, open or closed, and --follow follows one", async () => {
  using work = folder();
  const path = `${work.path}/h`;
  await multilog(["@./h"], work, "closed: x\n");
  await using program = new Running(["s5000", "@./h"], { cwd: work.path });
  await program.write("open: x\n");
  await written(`${path}/open`, "open: x\n");
  const status = await run(
    [ours.multilog, "--status", "--json", "./h/closed", "./h/open"],
    { cwd: work.path },
  );
  assertEquals(status.code, 0);
  for (const line of status.text.trim().split("\n")) {
    const log = JSON.parse(line) as LogStatus;
    assertEquals(
      [log.running, log.writer, log.limit, log.cutOff],
      [true, program.pid, 5000, false],
      log.directory,
    );
  }
  await using follower = new Running(["--follow", "./h/open"], {
    cwd: work.path,
    under: ["sh", "-c", 'exec "$@" >seen', "sh"],
  });
  const seen = () => text(`${work.path}/seen`);
  await until("it follows", () => seen() === "open: x\n");
  program.signal("SIGALRM");
  await until("it is finished", () => finished(`${path}/open`).length === 1);
  await program.write("open: y\n");
  await until("the next is seen", () => seen() === "open: x\nopen: y\n");
  follower.signal("SIGTERM");
  assertEquals(await program.finish(), 0);
  assertEquals(look(`${path}/open`).lock!.mode, "600");
});

Deno.test("@dir doesn't say that it is synced while a sync of it is under way, and a second sync waits for the first", async () => {
  using work = folder();
  const logs = HostLogs.open(
    { timestamp: undefined, late: false, others: 0 },
    `${work.path}/h`,
    { size: 4096, keep: 2, processor: "", age: 0 },
    new Retrier(() => {}),
  );
  await logs.append(encode("a: one\n"));
  assertEquals(logs.isSynced(), false);
  let done = false;
  const first = logs.sync().then((safe) => {
    done = true;
    return safe;
  });
  // Nothing of the disk's is heard of before the event loop turns.
  for (let i = 0; i < 100; i++) {
    await Promise.resolve();
    assertEquals([done, logs.isSynced()], [false, false]);
  }
  assertEquals(await logs.sync(), true);
  assertEquals(done, true);
  assertEquals(await first, true);
  assertEquals(logs.isSynced(), true);
  await logs.close();
});

Deno.test("@dir doesn't say that lines are synced whose log another process has taken", async () => {
  for (const way of ["has it", "had it", "has it, and the log is closed"]) {
    using work = folder();
    const settings = { size: 4096, keep: 2, processor: "", age: 0 };
    const retrier = new Retrier(() => {});
    // So many others that only two logs may be open.
    const logs = HostLogs.open(
      { timestamp: undefined, late: false, others: 1e9 },
      `${work.path}/h`,
      settings,
      retrier,
    );
    for (const host of ["a", "b", "c"]) {
      await logs.append(encode(`${host}: one\n`));
    }
    const other = LogDirectory.open(`${work.path}/h/a`, settings, retrier);
    if (way === "had it") await other.close();
    if (way.endsWith("closed")) {
      await sleep(logs.untilDue());
      await logs.attend();
      while (logs.processing()) await logs.processing();
    }
    assertEquals(await logs.sync(), false, way);
    assertEquals(logs.isSynced(), true, way);
    await logs.append(encode("b: two\n"));
    assertEquals(await logs.sync(), true, way);
    if (way !== "had it") await other.close();
    await logs.close();
    assertEquals(whole(`${work.path}/h/a`), "a: one\n");
  }
});

testWith(
  ["strace"],
  "a sync of the folder that fails in a thread is told, although the next one succeeds",
  async () => {
    using work = folder();
    const path = `${work.path}/h`;
    Deno.mkdirSync(path);
    // Each thread counts its own calls. The main thread makes one after each of
    // the others that fails, and these are too few to make its third one fail.
    await using program = new Running(["@./h"], {
      cwd: work.path,
      under: ["strace", "-f", "-o", "/dev/null", "-P", path]
        .concat("-e", "trace=fsync", "-e", "inject=fsync:error=EIO:when=3"),
    });
    let input = "";
    // A new name is synced when its log's first file is finished.
    for (let host = 0; host < 8; host++) {
      const line = `${host}: one\n`;
      input += line;
      await program.write(line);
      await written(`${path}/${host}`, line);
      await until("its file is finished", () => {
        program.signal("SIGALRM");
        return finished(`${path}/${host}`).length === 1;
      });
    }
    assertEquals(await program.finish(), 0);
    assertMatch(
      program.said,
      /^(multilog: warning: unable to write \.\/h\/\d to disk, pausing: input\/output error\n)+$/,
    );
    check(path, input);
  },
);

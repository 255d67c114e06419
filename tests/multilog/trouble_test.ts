/**
 * Trouble with each file and each call: at the start, where it ends the program
 * with the original's words and nothing read, and later, where it is told, and
 * tried again until it works.
 */
import {
  assert,
  assertEquals,
  assertMatch,
  assertRejects,
  assertThrows,
} from "@std/assert";
import { LogDirectory } from "../../src/log/log_directory.ts";
// What is loaded inside a test counts as a leak of that test.
import "../../src/log/processor.ts";
import { Retrier, StartError } from "../../src/log/retrier.ts";
import {
  AS_NOBODY,
  bytes,
  childrenOf,
  folder,
  forOthers,
  inTime,
  ours,
  run,
  Running as Tracer,
  sleep,
  testWith,
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
  oldFiles,
  ORIGINAL,
  Running,
  start,
  text,
  waitFor,
  waiting,
  whole,
} from "./harness.ts";

const FILE = "x".repeat(3000) + "\n";

/** Runs a program at a fifo; what it says, and what it left in the fifo. */
async function fails(
  program: string,
  script: readonly string[],
  cwd: string,
  under: readonly string[] = [],
) {
  using fifo = await makeFifo(`${cwd}/fifo`);
  fifo.writeSync(new TextEncoder().encode("unread\n"));
  await using log = new Running(script, { cwd, program, under, fifo: "fifo" });
  const code = await log.code();
  const left = drain(fifo);
  Deno.removeSync(`${cwd}/fifo`);
  return { code, said: log.said, left };
}

testWith(
  [ORIGINAL, "setpriv", "root"],
  "trouble at the start: exit 111, the original's words, nothing read",
  async () => {
    using at = folder();
    Deno.chmodSync(at.path, 0o755);
    const rows: [
      name: string,
      script: string[],
      prepare: (path: string) => void,
      under?: readonly string[],
    ][] = [
      ["may not be made", ["./sub/log"], (path) => {
        Deno.mkdirSync(`${path}/sub`, { mode: 0o755 });
      }, AS_NOBODY],
      ["may not be opened", ["./log"], (path) => {
        Deno.mkdirSync(`${path}/log`, { mode: 0o700 });
      }, AS_NOBODY],
      ["may not be written", ["./log"], (path) => {
        Deno.mkdirSync(`${path}/log`, { mode: 0o755 });
      }, AS_NOBODY],
      ["lock may not be opened", ["./log"], (path) => {
        Deno.mkdirSync(`${path}/log`);
        Deno.chmodSync(`${path}/log`, 0o777);
        Deno.writeTextFileSync(`${path}/log/lock`, "", { mode: 0o600 });
      }, AS_NOBODY],
      ["current may not be appended to", ["./log"], (path) => {
        Deno.mkdirSync(`${path}/log`);
        Deno.chmodSync(`${path}/log`, 0o777);
        Deno.writeTextFileSync(`${path}/log/current`, "old\n");
        Deno.chmodSync(`${path}/log/current`, 0o744);
      }, AS_NOBODY],
      ["status file may not be made", ["=file", "./log"], () => {}, AS_NOBODY],
      ["status file is a directory", ["=file"], (path) => {
        Deno.mkdirSync(`${path}/file`);
      }],
      ["directory is a file", ["./log"], (path) => {
        Deno.writeTextFileSync(`${path}/log`, "");
      }],
      ["directory is inside a file", ["./log/log"], (path) => {
        Deno.writeTextFileSync(`${path}/log`, "");
      }],
      ["directory is a link to nowhere", ["./log"], (path) => {
        Deno.symlinkSync("nowhere", `${path}/log`);
      }],
      ["directory is a link to itself", ["./log"], (path) => {
        Deno.symlinkSync("log", `${path}/log`);
      }],
      ["name is too long", [`./${"x".repeat(300)}`], () => {}],
      ["lock is a directory", ["./log"], (path) => {
        Deno.mkdirSync(`${path}/log/lock`, { recursive: true });
      }],
    ];
    using bin = folder();
    const programs = [ORIGINAL, forOthers(bin.path, ours.multilog)];
    for (const [name, script, prepare, under] of rows) {
      const said = [];
      for (const program of programs) {
        const cwd = `${at.path}/work`;
        Deno.mkdirSync(cwd);
        Deno.chmodSync(
          cwd,
          under && !script[0]!.startsWith("=") ? 0o777 : 0o755,
        );
        prepare(cwd);
        said.push(await fails(program, script, cwd, under));
        Deno.removeSync(cwd, { recursive: true });
      }
      // Ours adds what would have to be allowed.
      const words = said[1]!.said.replace(/: user 65534 may not .*(?=\n)/, "");
      assertEquals({ ...said[1], said: words }, said[0], name);
      assertEquals(said[1]!.code, 111, name);
      assertEquals(said[1]!.left, "unread\n", name);
      assert(said[1]!.said.startsWith("multilog: fatal: unable to "), name);
    }
  },
);

Deno.test("trouble at the start: a directory where a file should be is not taken for one", async () => {
  using at = folder();
  const names = ["current", "previous", "processed", "state", "newstate"];
  for (const name of names) {
    const cwd = `${at.path}/${name}`;
    Deno.mkdirSync(`${cwd}/log/${name}`, { recursive: true });
    Deno.chmodSync(`${cwd}/log/${name}`, 0o744);
    const { code, said, left } = await fails(ours.multilog, ["./log"], cwd);
    assertEquals(code, 111, name);
    assertEquals(left, "unread\n", name);
    assert(said.startsWith("multilog: fatal: unable to "), said);
    assert(Deno.statSync(`${cwd}/log/${name}`).isDirectory);
  }
});

Deno.test("trouble at the start: no descriptors left", async () => {
  using at = folder();
  const script = Array.from({ length: 100 }, (_, i) => `./log${i}`);
  const { code, said, left } = await fails(ours.multilog, script, at.path, [
    "sh",
    "-c",
    'ulimit -n 100; exec "$@"',
    "sh",
  ]);
  assertEquals(code, 111);
  assertEquals(left, "unread\n");
  assert(
    /^multilog: fatal: unable to go on with so few descriptors, \d+ are missing \(softlimit -o\)\n$/
      .test(said),
    said,
  );
});

Deno.test({
  name: "trouble at the start: no space left",
  ignore: !canMount(),
  async fn() {
    using at = folder();
    using disk = new Disk(`${at.path}/disk`, "64k,nr_inodes=8");
    for (let i = 0; i < 7; i++) disk.fill(`filler${i}`);
    await using log = new Running(["./disk/log"], { cwd: at.path });
    assertEquals(await log.code(), 111);
    assert(/^multilog: fatal: unable to .*disk\/log/.test(log.said), log.said);
  },
});

/** A call that fails once, and what is said then. */
const FAULTS: [inject: string, script: string[], said: string][] = [
  [
    "write:error=ENOSPC",
    ["./log"],
    "write to ./log/current, pausing: no space left on device",
  ],
  [
    "write:error=EIO",
    ["./log"],
    "write to ./log/current, pausing: input/output error",
  ],
  [
    "write:error=EDQUOT",
    ["./log"],
    "write to ./log/current, pausing: disk quota exceeded",
  ],
  [
    "fsync:error=EIO",
    ["./log"],
    "write ./log to disk, pausing: input/output error",
  ],
  [
    "fsync:error=EIO",
    ["!cat", "./log"],
    "write ./log to disk, pausing: input/output error",
  ],
  [
    "renameat:error=EIO",
    ["./log"],
    "rename ./log/current, pausing: input/output error",
  ],
  [
    "renameat:error=EIO",
    ["!cat", "./log"],
    "rename ./log/current, pausing: input/output error",
  ],
  [
    "unlinkat:error=EIO",
    ["!cat", "./log"],
    "remove ./log/@TIME.u, pausing: input/output error",
  ],
];

testWith(
  ["strace"],
  "trouble later: a call that fails is warned of, and tried again",
  async () => {
    await Promise.all(FAULTS.map(async ([fault, script, said]) => {
      using at = folder();
      const path = `${at.path}/log`;
      // The log is there, so that the start has less to do: what fails first
      // is what is meant.
      await run([ours.multilog, "./log"], { cwd: at.path, stdin: "old\n" });
      const [calls] = fault.split(":");
      // Files are synced in threads, of which each has its own first call.
      const aside = calls === "fsync";
      const under = ["strace", ...(aside ? ["-f"] : []), "-o", "/dev/null"]
        .concat("-e", `trace=${calls}`, "-e");
      // The runtime makes such calls too while it starts.
      const { code, stderr } = await run(
        ["strace", "-o", "trace", "-e", `trace=${calls}`, ours.multilog]
          .concat("s4096", script),
        { cwd: at.path, stdin: "x\n" },
      );
      assertEquals({ code, stderr }, { code: 0, stderr: "" });
      const calm = text(`${at.path}/trace`).split("\n")
        .filter((line) =>
          /^\w+\(/.test(line) && !line.includes('x\\n"') &&
          !line.startsWith("fsync")
        ).length;
      await using log = await start(["s4096", ...script], {
        cwd: at.path,
        under: [...under, `inject=${fault}:when=${calm + 1}`],
      });
      await log.write(FILE + numbered(0, 10));
      const heard = () => log.said.replace(/@[0-9a-f]{24}/g, "@TIME");
      const warning = `multilog: warning: unable to ${said}\n`;
      await until(
        `${warning}; it said ${log.said}`,
        () => heard().includes(warning),
      );
      await log.write(numbered(10, 20));
      log.signal("SIGALRM");
      await until("all is written", () => whole(path).endsWith("\n19\n"));
      assertEquals(await log.finish(), 0);
      // Where the file is synced in another thread than its name, that is told, too.
      if (aside) {
        const other = warning.replace("./log ", "./log/@TIME.u ");
        assertEquals(heard().replaceAll(warning, "").replaceAll(other, ""), "");
      } else assertEquals(heard(), warning);
      const all = whole(path);
      assert(all.startsWith(`old\nx\n${FILE}`), fault);
      assertEquals(inOrder(all.slice(6 + FILE.length)), 20);
      assertEquals(
        Object.keys(look(path)).filter((name) => !name.startsWith("@")),
        ["current", "lock", "state"],
      );
    }));
  },
);

Deno.test({
  name: "trouble later: a disk that is full, and freed again and again",
  ignore: !canMount(),
  async fn() {
    using at = folder();
    const scripts = [["s16384", "n100", "./log"]]
      .concat([["s16384", "n100", "!cat", "./log"]])
      .concat([["=status", "s16384", "n100", "./log"]]);
    await Promise.all(scripts.map(async (script, i) => {
      using disk = new Disk(`${at.path}/disk${i}`, "400k");
      await using log = await start(script, { cwd: disk.path });
      let sent = 0;
      const send = async (n: number) => {
        await log.write(numbered(sent, sent + n));
        sent += n;
      };
      for (let round = 0; round < 4; round++) {
        disk.fill("filler");
        // Of current, or of the processor: whichever comes to it first.
        const pauses = () => log.said.split("pausing").length;
        const before = pauses();
        const sending = send(3000);
        await until(
          "it is told",
          () => pauses() > before,
        );
        // Still full: told again, and nothing is written twice.
        log.signal("SIGALRM");
        await until(
          "it is told again",
          () => pauses() > before + 1,
        );
        disk.remove("filler");
        log.signal("SIGALRM");
        await sending;
        await until(
          "all is written",
          () => whole(`${disk.path}/log`).endsWith(`\n${sent - 1}\n`),
        );
      }
      assertEquals(await log.finish(), 0);
      assertEquals(inOrder(whole(`${disk.path}/log`)), sent);
    }));
  },
});

Deno.test({
  name:
    "a disk that has room for n files, and for nothing more, is never said to be full",
  ignore: !canMount(),
  async fn() {
    using at = folder();
    // An old file, current, and what the file system needs itself.
    using disk = new Disk(`${at.path}/disk`, "4100k");
    const lines = 500_000;
    const { code, stderr } = await run(
      [ours.multilog, "s2000000", "n2", "./log"],
      { cwd: disk.path, stdin: numbered(0, lines), patience: 60 },
    );
    assertEquals([code, stderr], [0, ""]);
    assert(whole(`${disk.path}/log`).endsWith(`\n${lines - 1}\n`));
  },
});

Deno.test("trouble later: a pause without a signal is 5 seconds", async () => {
  using at = folder();
  const path = `${at.path}/log`;
  await using log = await start(["s4096", "!test -e ../go && cat", "./log"], {
    cwd: at.path,
  });
  const { seconds } = await inTime(8, async () => {
    await log.write(FILE);
    await log.says("pausing");
    Deno.writeTextFileSync(`${at.path}/go`, "");
    await until("it is tried again", () => finished(path).length > 0);
  });
  assert(seconds >= 5, `${seconds} s`);
  assertEquals(await log.finish(), 0);
});

Deno.test("trouble later: the directory is renamed, and written on", async () => {
  using at = folder();
  await using log = await start(["s4096", "!cat", "./log"], { cwd: at.path });
  Deno.renameSync(`${at.path}/log`, `${at.path}/renamed`);
  await log.write(FILE + FILE + "one\n");
  assertEquals(await log.finish(), 0);
  assertEquals(log.said, "");
  assertEquals(whole(`${at.path}/renamed`), FILE + FILE + "one\n");
});

Deno.test("trouble later: a directory that is removed is made again, and no line is lost", async () => {
  for (const rest of [FILE + "two\n", "two\n"]) {
    using at = folder();
    const path = `${at.path}/log`;
    await using log = await start(["s4096", "./log"], { cwd: at.path });
    await log.write("one\n");
    await until("it is written", () => text(`${path}/current`) !== "");
    Deno.removeSync(path, { recursive: true });
    await log.write(rest);
    assertEquals(await log.finish(), 0);
    assertEquals(
      log.said,
      "multilog: warning: ./log was removed, made again\n",
    );
    assertEquals(whole(path), "one\n" + rest);
    assertEquals(look(path)["current"]!.mode, "744");
  }
});

Deno.test("trouble later: TERM ends the wait for a directory that can't be made again", async () => {
  using at = folder();
  Deno.mkdirSync(`${at.path}/sub`);
  await using log = await start(["s4096", "./sub/log"], { cwd: at.path });
  Deno.removeSync(`${at.path}/sub`, { recursive: true });
  await log.write(FILE + "one\n");
  await log.says("unable to open directory ./sub/log: file does not exist");
  await inTime(4, async () => assertEquals(await log.stop(), 111));
});

Deno.test("trouble at the start: a log that can't be opened isn't locked", async () => {
  using at = folder();
  const path = `${at.path}/log`;
  Deno.mkdirSync(`${path}/current`, { recursive: true });
  Deno.chmodSync(`${path}/current`, 0o744);
  const open = () =>
    LogDirectory.open(
      path,
      { size: 4096, keep: 2, processor: "", age: 0 },
      new Retrier(() => {}),
    );
  assertThrows(open, StartError);
  Deno.removeSync(`${path}/current`);
  const before = [...Deno.readDirSync("/proc/self/fd")].length;
  const log = open();
  assertThrows(open, StartError, "unable to lock directory");
  await log.close();
  assertEquals([...Deno.readDirSync("/proc/self/fd")].length, before);
});

Deno.test("a log that is closed takes no more, and is closed once", async () => {
  using at = folder();
  const settings = { size: 4096, keep: 2, processor: "", age: 0 };
  const open = (changed: Partial<typeof settings> = {}) =>
    LogDirectory.open(
      `${at.path}/log`,
      { ...settings, ...changed },
      new Retrier(() => {}),
    );
  for (const wrong of [{ size: 0 }, { size: 4095 }, { size: 1e6 / 3 }]) {
    assertThrows(() => open(wrong), RangeError);
  }
  assertThrows(() => open({ keep: 1 }), RangeError);
  const log = open();
  await log.append(new TextEncoder().encode("one\n"));
  await log.close();
  // Whoever gets the descriptors now keeps them.
  using file = Deno.openSync(`${at.path}/file`, { create: true, write: true });
  await log.close();
  assertThrows(() => log.append(new Uint8Array(1)), Error, "is closed");
  await assertRejects(() => log.rotate(), Error, "is closed");
  file.writeSync(new TextEncoder().encode("its own\n"));
  assertEquals(text(`${at.path}/file`), "its own\n");
});

Deno.test("what is asked of a log while it is busy is done afterwards", async () => {
  using at = folder();
  const path = `${at.path}/log`;
  const settings = { size: 4096, keep: 9, processor: "", age: 0 };
  settings.processor = `cat; echo >>../runs; ${waitFor("go")}`;
  const log = LogDirectory.open(path, settings, new Retrier(() => {}));
  await log.append(bytes("one\n"));
  await log.rotate();
  // This one waits for the processor, and so does all after it.
  const line = `${"x".repeat(3000)}\n`;
  const done = [
    log.append(bytes(line + "two\n")),
    log.rotate(),
    log.append(bytes("three\n")),
    log.rotate(),
    log.close(),
  ];
  assertThrows(() => log.append(bytes("four\n")), Error, "is closed");
  await until("it runs", () => text(`${path}/processed`) !== "");
  Deno.writeTextFileSync(`${at.path}/go`, "");
  await Promise.all(done);
  assertEquals(whole(path), `one\n${line}two\nthree\n`);
  assertEquals(oldFiles(path).length, 4);
  assertEquals(text(`${at.path}/runs`), "\n".repeat(4));
});

Deno.test("trouble later: current is removed, and the next one is another", async () => {
  for (const script of [["./log"], ["!cat", "./log"]]) {
    using at = folder();
    const path = `${at.path}/log`;
    await using log = await start(["s4096", ...script], { cwd: at.path });
    Deno.removeSync(`${path}/current`);
    await log.write(FILE + "one\n");
    await until("the next", () => text(`${path}/current`) === "one\n");
    assertEquals(await log.finish(), 0);
    assertEquals(log.said, "");
  }
});

Deno.test("trouble later: current becomes a directory, which is then removed", async () => {
  for (const script of [["./log"], ["!cat", "./log"]]) {
    using at = folder();
    const path = `${at.path}/log`;
    await using log = await start(["s4096", ...script], { cwd: at.path });
    Deno.renameSync(`${path}/current`, `${path}/mine`);
    Deno.mkdirSync(`${path}/current`);
    await log.write(FILE + "one\n");
    await log.says("pausing: is a directory\n");
    assert(log.said.startsWith("multilog: warning: unable to rename "));
    assert(Deno.statSync(`${path}/current`).isDirectory);
    Deno.removeSync(`${path}/current`);
    Deno.renameSync(`${path}/mine`, `${path}/current`);
    log.signal("SIGALRM");
    await until("it goes on", () => oldFiles(path).length > 0);
    assertEquals(await log.finish(), 0);
    assertEquals(whole(path), FILE + "one\n");
  }
});

Deno.test("trouble later: the processor can't be started", async () => {
  using at = folder();
  const path = `${at.path}/log`;
  await using log = await start(["s4096", "!cat", "./log"], { cwd: at.path });
  Deno.mkdirSync(`${path}/newstate`);
  await log.write(FILE + "one\n");
  await log.says(
    "multilog: warning: unable to remove ./log/newstate, pausing: " +
      "is a directory; waiting: 1 file, 3001 bytes\n",
  );
  await until("the service goes on", () => text(`${path}/current`) === "one\n");
  Deno.removeSync(`${path}/newstate`);
  log.signal("SIGALRM");
  await until("it runs", () => finished(path).length > 0);
  assertEquals(await log.finish(), 0);
  assertEquals(whole(path), FILE + "one\n");
});

testWith(
  ["root", "setpriv"],
  "trouble later: a waiting file that can't be opened has its name in the warning, and in --status",
  async () => {
    using at = folder();
    using bin = folder();
    Deno.chmodSync(at.path, 0o777);
    const path = `${at.path}/log`;
    await using log = await start(["s4096", "!test -e ../go", "./log"], {
      cwd: at.path,
      program: forOthers(bin.path, ours.multilog),
      under: AS_NOBODY,
    });
    await log.write(FILE + "one\n");
    await log.says("processor failed in ./log, pausing");
    const [name] = oldFiles(path);
    Deno.chmodSync(`${path}/${name}`, 0);
    log.signal("SIGALRM");
    await log.says(`unable to open ./log/${name}, pausing: access denied; `);
    const { text } = await run([ours.multilog, "--status", path]);
    assert(text.includes(`unable to open ${name}: access denied\n`), text);
    Deno.chmodSync(`${path}/${name}`, 0o744);
    Deno.writeTextFileSync(`${at.path}/go`, "");
    log.signal("SIGALRM");
    assertEquals(await log.finish(), 0);
  },
);

testWith(
  ["strace"],
  "trouble later: a new state that can't get its name outlives TERM, and the next start gives it",
  async () => {
    using at = folder();
    const path = `${at.path}/log`;
    const script = ["!cat >>../out; cat <&4 >&5; echo seen >&5", "./log"];
    await using log = await start(script, {
      cwd: at.path,
      under: ["strace", "-o", "/dev/null", "-P", "newstate"]
        .concat("-e", "trace=renameat", "-e", "inject=renameat:error=EIO"),
    });
    await log.write("one\n");
    await until("it is written", () => text(`${path}/current`) === "one\n");
    log.signal("SIGALRM");
    await log.says(
      "multilog: warning: unable to rename newstate to state in directory " +
        "./log, pausing: input/output error\n",
    );
    assertEquals(await log.stop(), 0);
    assertEquals(text(`${path}/state`), "");
    const { code, stderr } = await run([ours.multilog, ...script], {
      cwd: at.path,
      stdin: "",
    });
    assertEquals({ code, stderr }, { code: 0, stderr: "" });
    assertEquals(text(`${path}/state`), "seen\n");
    assertEquals(text(`${at.path}/out`), "one\n");
    assertEquals(waiting(path), []);
  },
);

testWith(
  ["strace"],
  "trouble later: a listing of the directory that fails leaves no file waiting",
  async () => {
    using at = folder();
    // As strace sees it.
    const path = `${Deno.realPathSync(at.path)}/log`;
    const script = ["!cat >>../out", "./log"];
    const under = ["strace", "-o", "trace", "-P", path]
      .concat("-e", "trace=getdents64");
    await run([...under, ours.multilog, ...script], { cwd: at.path });
    const calm = text(`${at.path}/trace`).split("\n")
      .filter((line) => line.startsWith("getdents64(")).length;
    assert(calm > 0);
    Deno.removeSync(path, { recursive: true });
    await using log = await start(script, {
      cwd: at.path,
      under: [...under, "-e", `inject=getdents64:error=EIO:when=${calm + 1}`],
    });
    await log.write("one\n");
    await until("it is written", () => text(`${path}/current`) === "one\n");
    // Within a second of the start it wouldn't be listed again.
    await sleep(1100);
    log.signal("SIGALRM");
    await log.says(
      "multilog: warning: unable to remove from ./log, pausing: " +
        "input/output error\n",
    );
    await until("it is processed", () => finished(path).length === 1);
    assertEquals(text(`${at.path}/out`), "one\n");
    // Who waits to remove old files isn't waited for.
    assertEquals(await log.stop(), 0);
  },
);

testWith(
  ["strace"],
  "trouble later: what the disk may have dropped of processed is made again",
  async () => {
    using at = folder();
    // As strace sees it.
    const path = `${Deno.realPathSync(at.path)}/log`;
    await using log = await start(["!cat; echo >>../runs", "./log"], {
      cwd: at.path,
      // Whoever synced the same file again would be told of a success.
      under: ["strace", "-o", "/dev/null", "-P", `${path}/processed`]
        .concat("-e", "trace=fsync", "-e", "inject=fsync:error=EIO:when=1"),
    });
    await log.write("one\n");
    await until("it is written", () => text(`${path}/current`) === "one\n");
    log.signal("SIGALRM");
    await log.says(
      "multilog: warning: unable to write ./log/processed to disk, pausing: " +
        "input/output error",
    );
    log.signal("SIGALRM");
    await until("it is done", () => finished(path).length === 1);
    assertEquals(await log.finish(), 0);
    assertEquals(text(`${at.path}/runs`), "\n\n");
    assertEquals(whole(path), "one\n");
    assertEquals(oldFiles(path), finished(path));
  },
);

testWith(
  ["strace"],
  "trouble later: with d, a waiting file that can't be looked at is tried again",
  async () => {
    using at = folder();
    const path = `${at.path}/log`;
    Deno.mkdirSync(path);
    const name = (n: number) => `@400000004c3f5e2d0000000${n}.u`;
    for (const n of [1, 2]) {
      Deno.writeTextFileSync(`${path}/${name(n)}`, `${n}\n`);
      Deno.chmodSync(`${path}/${name(n)}`, 0o744);
    }
    await using log = await start(
      ["n3", "d", `!tee -a ../out; ${waitFor("go")}`, "./log"],
      {
        cwd: at.path,
        under: ["strace", "-o", "/dev/null", "-P", name(2)]
          .concat(
            "-e",
            "trace=statx",
            "-e",
            "inject=statx:error=EACCES:when=1",
          ),
      },
    );
    await until("it is processed", () => text(`${at.path}/out`) === "1\n");
    await log.write("3\n");
    await until("it is written", () => text(`${path}/current`) === "3\n");
    log.signal("SIGALRM");
    const unseen = `multilog: warning: unable to stat ./log/${name(2)}, ` +
      "pausing: access denied\n";
    await log.says(unseen);
    log.signal("SIGALRM");
    const removed = "multilog: warning: too many files wait in ./log, " +
      `removed unsent: ${name(2)}, 2 bytes\n`;
    await log.says(removed);
    Deno.writeTextFileSync(`${at.path}/go`, "");
    await until("it goes on", () => text(`${at.path}/out`) === "1\n3\n");
    assertEquals(await log.finish(), 0);
    assertEquals(log.said, unseen + removed);
  },
);

Deno.test("trouble later: standard error is closed, or nobody reads it", async () => {
  using at = folder();
  // `e` writes more than a pipe holds to a pipe whose reader is gone.
  const { code } = await run(
    ["sh", "-c", '{ "$@"; echo $? >code; } 2>&1 | true', "sh", ours.multilog]
      .concat("e", "./log"),
    { cwd: at.path, stdin: numbered(0, 50000) },
  );
  assertEquals(code, 0);
  assertEquals(text(`${at.path}/code`), "0\n");
  assertEquals(inOrder(whole(`${at.path}/log`)), 50000);
});

testWith(
  ["strace"],
  "trouble later: a sync of the directory that fails in a thread is told, although the next one succeeds",
  async () => {
    using at = folder();
    const path = `${at.path}/log`;
    Deno.mkdirSync(path);
    // No file is finished, so only what follows a processor syncs names: three
    // times for each file, in threads, of which each counts its own calls. The
    // main thread makes its first such call after one of those has failed.
    const put = (name: string, lines: string) => {
      Deno.writeTextFileSync(`${path}/${name}`, lines);
      Deno.chmodSync(`${path}/${name}`, 0o744);
    };
    put("current", "");
    for (let n = 0; n < 8; n++) put(`@400000004c3f5e2d0000000${n}.u`, `${n}\n`);
    await using log = await start(
      ["!cat; echo >>../runs; cat <&4 >&5; echo s >&5", "./log"],
      {
        cwd: at.path,
        under: ["strace", "-f", "-o", "/dev/null", "-P", path]
          .concat("-e", "trace=fsync", "-e", "inject=fsync:error=EIO:when=3"),
      },
    );
    await until("the files are processed", () => {
      log.signal("SIGALRM");
      return waiting(path).length === 0;
    });
    // It may pause once more; TERM ends that.
    assertEquals(await log.stop(), 0);
    // Once for each thread.
    assertMatch(
      log.said,
      /^(multilog: warning: unable to write \.\/log to disk, pausing: input\/output error\n)+$/,
    );
    assertEquals(whole(path), numbered(0, 8));
    assertEquals(text(`${path}/state`), "s\n".repeat(8));
    assertEquals(text(`${at.path}/runs`), "\n".repeat(8));
  },
);

testWith(
  ["strace"],
  "trouble later: files that wait for the same sync of the directory tell its failure once",
  async () => {
    using at = folder();
    const path = `${at.path}/log`;
    Deno.mkdirSync(path);
    Deno.writeTextFileSync(`${path}/current`, "");
    Deno.chmodSync(`${path}/current`, 0o744);
    await using log = await start(["s4096", "n99", "./log"], {
      cwd: at.path,
      under: ["strace", "-f", "-o", "/dev/null", "-P", path]
        .concat("-e", "trace=fsync", "-e", "inject=fsync:error=EIO"),
    });
    await log.write(numbered(0, 10_000));
    await until("files wait", () => waiting(path).length >= 8);
    const warnings = () => log.said.split("\n").length - 1;
    // One of the first sync, and one of the next, after the pause.
    await until("it tries again", () => warnings() >= 2);
    log.signal("SIGKILL");
    assertEquals(warnings(), 2, log.said);
  },
);

testWith(
  ["strace"],
  "trouble later: when nobody can tell whether the directory is there, lines go on into current",
  async () => {
    using at = folder();
    const path = `${at.path}/log`;
    await using log = await start(["./log"], { cwd: at.path });
    const tracer = new Tracer(
      ["strace", "-f", "-e", "trace=statx"]
        .concat("-e", "inject=statx:error=ESTALE", "-p", `${log.pid}`),
    );
    using letGo = new DisposableStack();
    letGo.defer(() => Deno.kill(tracer.pid, "SIGTERM"));
    await tracer.says("attached");
    let count = 0;
    // It looks for the directory once a second at the most.
    while (!tracer.said.includes("INJECTED")) {
      const line = `${count++}\n`;
      await log.write(line);
      await until("it is written", () => whole(path).endsWith(line));
    }
    letGo.dispose();
    await tracer.code();
    assertEquals(await log.finish(), 0);
    assertEquals(log.said, "");
    assertEquals(whole(path), numbered(0, count));
  },
);

testWith(
  ["strace"],
  "trouble later: a directory that can't be made again takes no more descriptors each time",
  async () => {
    using at = folder();
    const cwd = Deno.realPathSync(at.path);
    const path = `${cwd}/log`;
    await using log = await start(["s4096", "./log"], {
      cwd,
      under: ["strace", "-f", "-o", "/dev/null", "-P", path]
        .concat("-e", "trace=fsync", "-e", "inject=fsync:error=EIO:when=2+"),
    });
    await log.write("one\n");
    await until("it is written", () => text(`${path}/current`) !== "");
    Deno.removeSync(path, { recursive: true });
    await log.write(FILE + "two\n");
    const opened: number[] = [];
    for (let times = 1; times <= 6; times++) {
      await log.says(
        "unable to write ./log to disk: input/output error, pausing\n",
        times,
      );
      const [multilog] = childrenOf(log.pid);
      opened.push([...Deno.readDirSync(`/proc/${multilog}/fd`)].length);
      log.signal("SIGALRM");
    }
    assertEquals(opened, opened.map(() => opened[0]!));
    assertEquals(await log.stop(), 111);
  },
);

testWith(
  ["root", "setpriv"],
  "trouble later: TERM while a log has become somebody else's: what was read is in all logs",
  async () => {
    using at = folder();
    using bin = folder();
    Deno.chmodSync(at.path, 0o777);
    const logs = [`${at.path}/log`, `${at.path}/log2`] as const;
    await using log = await start(["s4096", "./log", "./log2"], {
      cwd: at.path,
      program: forOthers(bin.path, ours.multilog),
      under: AS_NOBODY,
    });
    const { uid, gid } = Deno.statSync(logs[0]);
    const chown = (uid: number, gid: number) => {
      Deno.chownSync(logs[0], uid, gid);
      for (const { name } of Deno.readDirSync(logs[0])) {
        Deno.chownSync(`${logs[0]}/${name}`, uid, gid);
      }
    };
    chown(0, 0);
    Deno.chmodSync(logs[0], 0o755);
    // What is read with the end of the long line waits in memory.
    await log.write(FILE + "one\n");
    await log.says(
      "multilog: warning: unable to rename ./log/current, pausing: ",
    );
    log.signal("SIGTERM");
    await until(
      `the other log is complete; it said ${log.said}`,
      () => mode(`${logs[1]}/current`) === "744",
    );
    for (const path of logs) assertEquals(whole(path), FILE + "one\n");
    // It insists on the mode that says so, also of the one that it doesn't own.
    await log.says("unable to set mode of ./log/current, pausing: ");
    chown(uid!, gid!);
    log.signal("SIGALRM");
    assertEquals(await log.code(), 0);
    assert(!log.said.includes("fatal"), log.said);
    assertEquals(mode(`${logs[0]}/current`), "744");
  },
);

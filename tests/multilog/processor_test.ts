/**
 * The processor in the background, and everything that can happen meanwhile.
 */
import { assert, assertEquals } from "@std/assert";
import { folder, ours, run, testWith, until } from "../tools.ts";
import {
  drain,
  finished,
  inOrder,
  look,
  makeFifo,
  mode,
  numbered,
  oldFiles,
  ORIGINAL,
  start,
  text,
  waitFor,
  waiting,
  whole,
} from "./harness.ts";

/** What fills a file of the smallest size, and a line for the next one. */
const FILE = "x".repeat(3000) + "\n";
const SIZE = "s4096";

testWith(
  [ORIGINAL],
  "processor: has the descriptors, signals, folder and environment that the original gives it",
  async () => {
    using at = folder();
    const processor = "!pwd; echo $ABC; ls /proc/self/fd | tr '\\n' ' '; " +
      "grep ^Sig[BI] /proc/self/status; cat; cat <&4 >&5; echo again >&5";
    const files: Record<string, string> = {};
    for (const program of [ORIGINAL, ours.multilog]) {
      const path = `${at.path}/log`;
      const { code, stderr } = await run(
        [program, SIZE, processor, "./log"],
        { cwd: at.path, stdin: FILE, env: { ABC: "abc" } },
      );
      assertEquals({ code, stderr }, { code: 0, stderr: "" });
      assertEquals(text(`${path}/state`), "again\n");
      const [old] = oldFiles(path);
      files[program] = text(`${path}/${old}`)
        // The two that the C library keeps for its threads don't count.
        .replace("SigIgn:\t0000000180000000", "SigIgn:\t0000000000000000");
      Deno.removeSync(path, { recursive: true });
    }
    assertEquals(files[ours.multilog], files[ORIGINAL]);
    const [folderName, abc, descriptors] = files[ours.multilog]!.split("\n");
    assertEquals(folderName, `${Deno.realPathSync(at.path)}/log`);
    assertEquals(abc, "abc");
    for (const fd of [0, 1, 2, 4, 5]) {
      assert(descriptors!.split(" ").includes(`${fd}`), descriptors);
    }
  },
);

Deno.test("processor: the state goes from each run to the next", async () => {
  using at = folder();
  const count = "!cat; read n <&4; echo $((n + 1)) >&5";
  const { code, stderr } = await run(
    [ours.multilog, SIZE, "n100", count, "./log"],
    { cwd: at.path, stdin: numbered(0, 10000) },
  );
  assertEquals({ code, stderr }, { code: 0, stderr: "" });
  const runs = oldFiles(`${at.path}/log`).length;
  assert(runs > 10);
  assertEquals(text(`${at.path}/log/state`), `${runs}\n`);
  assertEquals(inOrder(whole(`${at.path}/log`)), 10000);
});

Deno.test("processor: newstate of a failed run is thrown away", async () => {
  using at = folder();
  const path = `${at.path}/log`;
  await using log = await start(
    [
      SIZE,
      "!cat; cat <&4; echo bad >&5; test -e ../go || exit 3; echo good >&5",
      "./log",
    ],
    { cwd: at.path },
  );
  await log.write(FILE);
  await log.says("processor failed in ./log, pausing");
  assertEquals(text(`${path}/state`), "");
  Deno.writeTextFileSync(`${at.path}/go`, "");
  log.signal("SIGALRM");
  await until("it succeeds", () => finished(path).length > 0);
  assertEquals(text(`${path}/${finished(path)[0]}`), FILE);
  await until("the state", () => text(`${path}/state`) !== "");
  assertEquals(text(`${path}/state`), "bad\ngood\n");
  assertEquals(await log.finish(), 0);
});

Deno.test("processor: while it runs the service isn't held up", async () => {
  using at = folder();
  const path = `${at.path}/log`;
  await using log = await start(
    ["s1000000", "n2", `!tee -a ../all; ${waitFor("go")}`, "./log"],
    { cwd: at.path },
  );
  // Ten pipes full: whoever didn't read would stop the writer after one.
  await log.write("x".repeat(999_998) + "\n");
  await until("the processor runs", () => text(`${path}/processed`) !== "");
  for (let i = 0; i < 12; i++) await log.write("y".repeat(65_535) + "\n");
  await until(
    "the next file fills",
    () => text(`${path}/current`).length === 12 * 65_536,
  );
  assertEquals(finished(path), []);
  // When that is full too, it has to wait: one processor for a directory.
  let held = true;
  const more = log.write("z".repeat(600_000) + "\n").then(() => held = false);
  await until(
    "the next file is full",
    () => Deno.statSync(`${path}/current`).size === 1_000_000,
  );
  await new Promise((resolve) => setTimeout(resolve, 100));
  assert(held);
  Deno.writeTextFileSync(`${at.path}/go`, "");
  await more;
  assertEquals(await log.finish(), 0);
  assertEquals(
    (text(`${at.path}/all`) + text(`${path}/current`)).length,
    999_999 + 12 * 65_536 + 600_001,
  );
});

Deno.test("processor: the end of input waits for it", async () => {
  using at = folder();
  const path = `${at.path}/log`;
  await using log = await start([SIZE, `!cat; ${waitFor("go")}`, "./log"], {
    cwd: at.path,
  });
  await log.write(FILE + "one\ntw");
  await until("the processor runs", () => text(`${path}/processed`) !== "");
  const code = log.finish();
  await until(
    "the last line is whole",
    () => text(`${path}/current`) === "one\ntw\n",
  );
  // Killed now it would have ended badly.
  assertEquals(mode(`${path}/current`), "644");
  Deno.writeTextFileSync(`${at.path}/go`, "");
  assertEquals(await code, 0);
  assertEquals(log.said, "");
  assertEquals(mode(`${path}/current`), "744");
  assertEquals(whole(path), FILE + "one\ntw\n");
  assertEquals(Object.keys(look(path)).length, 4);
});

/** Processors that fail at first, and what is said of each. */
const FAILING: [name: string, processor: string, said: string][] = [
  ["fails", "exit 1", "processor failed in ./log, pausing"],
  ["crashes", "kill -9 $$", "processor crashed in ./log, pausing"],
  ["crashes by TERM", "kill $$", "processor crashed in ./log, pausing"],
  ["is missing", "no-such-command-here", "processor failed in ./log, pausing"],
  ["is no shell's word", "(", "processor failed in ./log, pausing"],
  [
    "has written half of it",
    "head -c 10; exit 99",
    "processor failed in ./log, pausing",
  ],
];

for (const [name, processor, said] of FAILING) {
  testWith(
    [ORIGINAL],
    `processor: ${name} three times, then succeeds`,
    async () => {
      using at = folder();
      const path = `${at.path}/log`;
      // Reads the script from a file, so that a test can mend it.
      const word = `${at.path}/processor`;
      Deno.writeTextFileSync(word, processor);
      await using log = await start([SIZE, `!. ${word}`, "./log"], {
        cwd: at.path,
      });
      await log.write(FILE + "one\n");
      for (let times = 1; times <= 3; times++) {
        await log.says(said, times);
        // Its output so far is no output.
        assertEquals(finished(path), []);
        assertEquals(text(`${path}/${waiting(path)[0]}`), FILE);
        // The first signal makes multilog wait for the processor, before it
        // the service goes on.
        if (times === 1) {
          await log.write("two\n");
          await until(
            "the service goes on",
            () => text(`${path}/current`) === "one\ntwo\n",
          );
        }
        if (times === 3) Deno.writeTextFileSync(word, "cat");
        // It cuts the pause short.
        log.signal("SIGALRM");
      }
      await until("it succeeds", () => finished(path).length > 0);
      log.signal("SIGTERM");
      assertEquals(await log.code(), 0);
      assertEquals(whole(path), FILE + "one\ntwo\n");

      // The original has the same words for it. Behind "crashed" it puts the
      // error of some earlier call.
      Deno.writeTextFileSync(word, processor);
      await using other = await start([SIZE, `!. ${word}`, "./log"], {
        cwd: at.path,
        program: ORIGINAL,
      });
      await other.write(FILE);
      await other.says(said);
      const warning = (text: string) => /^multilog: .*pausing/m.exec(text)?.[0];
      assertEquals(warning(log.said), warning(other.said));
    },
  );
}

Deno.test("processor: writes megabytes to 5", async () => {
  using at = folder();
  const { code, stderr } = await run(
    [ours.multilog, SIZE, "!cat; cat <&4 >&5; head -c 3000000 /dev/zero >&5"]
      .concat("./log"),
    { cwd: at.path, stdin: FILE + FILE },
  );
  assertEquals({ code, stderr }, { code: 0, stderr: "" });
  assertEquals(Deno.statSync(`${at.path}/log/state`).size, 6_000_000);
  assertEquals(whole(`${at.path}/log`), FILE + FILE);
});

Deno.test("processor: one that never reads its input, or closes all its descriptors, succeeds", async () => {
  for (
    const [processor, output] of [
      ["true", ""],
      ["echo instead", "instead\n"],
      ["exec <&- 4<&- 5>&-; echo closed", "closed\n"],
      ["exec <&- >&- 4<&- 5>&- 2>&-", ""],
      ["head -c 5", "xxxxx"],
      // Files of its own making, in place of those that it was given.
      ["rm processed newstate; cat", undefined],
    ] as const
  ) {
    using at = folder();
    const { code, stderr } = await run(
      [ours.multilog, SIZE, `!${processor}`, "./log"],
      { cwd: at.path, stdin: FILE + "one\n" },
    );
    assertEquals({ code, stderr }, { code: 0, stderr: "" }, processor);
    const entries = look(`${at.path}/log`);
    const [old, ...others] = oldFiles(`${at.path}/log`);
    assertEquals(others, []);
    if (output !== undefined) assertEquals(entries[old!]!.text, output);
    assertEquals(
      Object.keys(entries),
      [old!, "current", "lock", "state"],
      processor,
    );
    assertEquals(entries["current"]!.text, "one\n");
  }
});

Deno.test("processor: children that it leaves behind with its descriptors hold nothing up", async () => {
  using at = folder();
  const path = `${at.path}/log`;
  await using log = await start(
    [SIZE, `!cat; (${waitFor("go")}) >/dev/null 2>&1 & :`, "./log"],
    { cwd: at.path },
  );
  await log.write(FILE);
  await until("it is done", () => finished(path).length > 0);
  Deno.writeTextFileSync(`${at.path}/go`, "");
  assertEquals(await log.finish(), 0);
});

Deno.test("processor: one per directory, several directories at once", async () => {
  using at = folder();
  const enter = "mkdir running || exit 1; echo run >>runs; cat;";
  const leave = "rmdir running";
  const logs = ["a", "b", "c"];
  await using log = await start(
    [
      SIZE,
      "n1000",
      `!${enter} ${waitFor("go")}; ${leave}`,
      ...logs.map((name) => `./${name}`),
    ],
    { cwd: at.path },
  );
  await log.write(FILE);
  // All three run, each waiting for the same file.
  for (const name of logs) {
    await until(
      `the processor of ${name} runs`,
      () => text(`${at.path}/${name}/processed`) === FILE,
    );
  }
  const rest = log.write(FILE.repeat(20) + "end\n");
  await new Promise((resolve) => setTimeout(resolve, 50));
  for (const name of logs) {
    assertEquals(text(`${at.path}/${name}/runs`), "run\n");
  }
  Deno.writeTextFileSync(`${at.path}/go`, "");
  await rest;
  assertEquals(await log.finish(), 0);
  // `mkdir` would have failed, and been told, if two had run at once.
  assertEquals(log.said, "");
  for (const name of logs) {
    assertEquals(whole(`${at.path}/${name}`), FILE.repeat(21) + "end\n");
    assertEquals(text(`${at.path}/${name}/runs`), "run\n".repeat(21));
  }
});

Deno.test("processor: a log without one isn't held up by a log that has one", async () => {
  using at = folder();
  await using log = await start(
    ["./plain", SIZE, `!cat; ${waitFor("go")}`, "./slow"],
    { cwd: at.path },
  );
  await log.write(FILE + "one\n");
  await until(
    "the plain log has it",
    () => text(`${at.path}/plain/current`) === FILE + "one\n",
  );
  Deno.writeTextFileSync(`${at.path}/go`, "");
  assertEquals(await log.finish(), 0);
});

Deno.test("processor: the next file, which got big enough meanwhile, is processed without another line", async () => {
  using at = folder();
  const path = `${at.path}/log`;
  await using log = await start([
    SIZE,
    "n2",
    `!tee -a ../all; ${waitFor("go")}`,
    "./log",
  ], {
    cwd: at.path,
  });
  await log.write(FILE);
  await until("the processor runs", () => text(`${path}/processed`) !== "");
  await log.write(FILE);
  await until("the next is full", () => text(`${path}/current`) === FILE);
  Deno.writeTextFileSync(`${at.path}/go`, "");
  // Nothing is written any more: the end of the one starts the other.
  await until("both are done", () => {
    return text(`${at.path}/all`) === FILE + FILE && waiting(path).length === 0;
  });
  assertEquals(text(`${path}/current`), "");
  assertEquals(await log.finish(), 0);
});

Deno.test("processor: may remove the files that it is given", async () => {
  using at = folder();
  const { code, stderr } = await run(
    [
      ours.multilog,
      SIZE,
      '!cat; rm -f "$(ls @*.u | head -n 1)" state',
      "./log",
    ],
    { cwd: at.path, stdin: FILE + FILE + "one\n" },
  );
  assertEquals({ code, stderr }, { code: 0, stderr: "" });
  assertEquals(whole(`${at.path}/log`), FILE + FILE + "one\n");
});

Deno.test("processor: killed while both files are full, it has next to nothing in memory", async () => {
  const long = Array.from({ length: 600 }, (_, i) => `${i} `.padEnd(99, "x"));
  const rows: [actions: string[], input: string, most: number][] = [
    [[], long.join("\n") + "\n", 0],
    [["t"], long.join("\n") + "\n", 0],
    [["t"], numbered(0, 12000), 0],
    // A line that isn't whole yet may be in hand besides.
    [["-9*", "+*"], long.join("\n") + "\n", 1024 + 100],
  ];
  for (const [actions, all, most] of rows) {
    using at = folder();
    using fifo = await makeFifo(`${at.path}/fifo`);
    const path = `${at.path}/log`;
    await using log = await start(
      [...actions, "s16384", "n2", `!cat; ${waitFor("go")}`, "./log"],
      { cwd: at.path, fifo: "fifo" },
    );
    fifo.writeSync(new TextEncoder().encode(all));
    await until("both files are full", () => {
      const { current } = look(path);
      return waiting(path).length === 1 && current !== undefined &&
        current.text.length >= 16384 - 2000;
    });
    // It may still be about to read what it has no room for.
    await new Promise((resolve) => setTimeout(resolve, 200));
    log.signal("SIGKILL");
    // The processor, which it leaves behind, ends too.
    Deno.writeTextFileSync(`${at.path}/go`, "");
    assertEquals(await log.code(), 137);
    const written = whole(path)
      .replace(/^@[0-9a-f]{24} /gm, "");
    const left = drain(fifo);
    assert(all.startsWith(written) && all.endsWith(left));
    const lost = all.length - written.length - left.length;
    assert(lost >= 0 && lost <= most, `${lost} bytes were lost`);
    assert(left.length > 10_000, `${left.length} bytes were left`);
  }
});

Deno.test("processor: ALRM inside a line doesn't let more be read than there is room for", async () => {
  using at = folder();
  using fifo = await makeFifo(`${at.path}/fifo`);
  const path = `${at.path}/log`;
  await using log = await start(
    ["s16384", "n2", `!cat; ${waitFor("go")}`, "./log"],
    { cwd: at.path, fifo: "fifo" },
  );
  fifo.writeSync(new TextEncoder().encode("0"));
  await until("it is written", () => text(`${path}/current`) === "0");
  await log.notices("SIGALRM");
  const all = "0\n" + numbered(1, 8000);
  fifo.writeSync(new TextEncoder().encode(all.slice(1)));
  await until("both files are full", () => {
    const { current } = look(path);
    return waiting(path).length === 1 && current !== undefined &&
      current.text.length >= 16384 - 2000;
  });
  await new Promise((resolve) => setTimeout(resolve, 200));
  log.signal("SIGKILL");
  Deno.writeTextFileSync(`${at.path}/go`, "");
  assertEquals(await log.code(), 137);
  const left = drain(fifo).length;
  const lost = all.length - 2 - text(`${path}/current`).length - left;
  assertEquals(lost, 0);
});

testWith(
  ["strace"],
  "processor: is run again when its exit code can't be read",
  async () => {
    using at = folder();
    await using log = await start(["!cat", "./log"], {
      cwd: at.path,
      // Two show that a thread can be started, to wait and to sync in.
      under: ["strace", "-o", "/dev/null", "-e", "trace=wait4"]
        .concat("-e", "inject=wait4:error=ECHILD:when=3"),
    });
    await log.write("one\n");
    await until("written", () => text(`${at.path}/log/current`) !== "");
    log.signal("SIGALRM");
    await log.says(
      "multilog: warning: wait failed for processor in ./log, pausing: " +
        "no child processes; waiting: 1 file, 4 bytes\n",
    );
    assertEquals(await log.finish(), 0);
    assertEquals(whole(`${at.path}/log`), "one\n");
  },
);

Deno.test("processor: a waiting file is removed while it fails, and it is left alone", async () => {
  using at = folder();
  const path = `${at.path}/log`;
  await using log = await start(
    [SIZE, "!cat; echo >&5; exit 1", "./log"],
    { cwd: at.path },
  );
  await log.write(FILE);
  await log.says("processor failed in ./log, pausing");
  Deno.removeSync(`${path}/${waiting(path)[0]}`);
  await log.write("one\n");
  assertEquals(await log.finish(), 0);
  assertEquals(Object.keys(look(path)), ["current", "lock", "state"]);
  assertEquals(text(`${path}/current`), "one\n");
});

Deno.test("processor: a log that waits for it holds up no other's lines, not even those that came with its own", async () => {
  using at = folder();
  await using log = await start(
    [SIZE, "n2", "-*", "+x*", `!tee -a ../all; ${waitFor("go")}`, "./errors"]
      .concat("+*", "-x*", "./rest"),
    { cwd: at.path },
  );
  await log.write(FILE);
  await until("a processor", () => waiting(`${at.path}/errors`).length > 0);
  await log.write(FILE);
  await until("it is full", () => text(`${at.path}/errors/current`) === FILE);
  await log.write("y\n");
  await until("its line", () => text(`${at.path}/rest/current`) === "y\n");
  await log.write("x\nz\n");
  await until("the next", () => text(`${at.path}/rest/current`) === "y\nz\n");
  Deno.writeTextFileSync(`${at.path}/go`, "");
  assertEquals(await log.finish(), 0);
  assertEquals(text(`${at.path}/all`), FILE + FILE);
  assertEquals(text(`${at.path}/errors/current`), "x\n");
});

Deno.test("processor: its descriptor of state is only for reading", async () => {
  using at = folder();
  const { code, stderr } = await run(
    [ours.multilog, SIZE, "!cat; echo 2>/dev/null >&4 || echo no >&5", "./log"],
    { cwd: at.path, stdin: FILE },
  );
  assertEquals({ code, stderr }, { code: 0, stderr: "" });
  assertEquals(text(`${at.path}/log/state`), "no\n");
});

/**
 * The limits of log files: their size, their number, their names.
 */
import { assert, assertEquals } from "@std/assert";
import {
  chosenSeed,
  folder,
  latin1,
  ours,
  run,
  seeded,
  sleep,
  testWith,
  tracing,
} from "../tools.ts";
import {
  inOrder,
  numbered,
  oldFiles,
  ORIGINAL,
  start,
  text,
  whole,
} from "./harness.ts";
import { label, parseLabel } from "../../src/tai64n.ts";

/** Where the rule cuts a log: by the bytes alone, in whatever pieces. */
function cuts(log: string, size: number): string[] {
  const files: string[] = [];
  let from = 0;
  while (from < log.length) {
    const newline = log.indexOf("\n", from + size - 2000 - 1);
    const to = newline < 0 || newline >= from + size
      ? from + size
      : newline + 1;
    files.push(log.slice(from, to));
    from = to;
  }
  return files;
}

Deno.test("rotation: files are cut by the rule, whatever the pieces", async () => {
  const seed = chosenSeed();
  console.log(`seed ${seed}`);
  const random = seeded(seed);
  const lengths = [0, 1, 30, 500, 1998, 1999, 2000, 2001, 2095, 2096, 2097];
  const one = async () => {
    using at = folder();
    let input = "";
    const long = random() < 0.3;
    while (input.length < 60000) {
      const length = long && random() < 0.2
        ? 9000 * random()
        : lengths[Math.floor(random() * lengths.length)]!;
      input += "x".repeat(length) + "\n";
    }
    const size = 4096 + Math.floor(random() * 3000);
    const most = [10, 300, 5000, 100000][Math.floor(random() * 4)]!;
    await using log = await start([`s${size}`, "n1000", "./log"], {
      cwd: at.path,
    });
    for (let from = 0; from < input.length;) {
      const to = from + 1 + Math.floor(random() * most);
      await log.write(input.slice(from, to));
      if (most > 10 && random() < 0.1) {
        await sleep(1);
      }
      from = to;
    }
    assertEquals(await log.finish(), 0);
    const files = oldFiles(`${at.path}/log`)
      .map((name) => text(`${at.path}/log/${name}`));
    for (const file of files) {
      assert(file.length <= size);
      assert(
        file.length === size ||
          file.length >= size - 2000 && file.endsWith("\n"),
      );
    }
    const expected = cuts(input, size);
    const all = [...files, text(`${at.path}/log/current`)];
    // At the very end a full `current` may, or may not, be finished already.
    if (all.at(-1) === "") all.pop();
    assertEquals(
      all.map((file) => file.length),
      expected.map((file) => file.length),
      `seed ${seed}`,
    );
    assert(all.join("") === input, `seed ${seed}`);
  };
  for (let i = 0; i < 8; i++) await Promise.all([one(), one(), one()]);
});

Deno.test("rotation: one line that is longer than a file, and one that just fits", async () => {
  using at = folder();
  const rows: [input: string, sizes: number[]][] = [
    ["x".repeat(10000), [4096, 4096, 1809]],
    ["x".repeat(4095) + "\n", [4096, 0]],
    ["x".repeat(4096) + "\n", [4096, 1]],
    ["x".repeat(2095) + "\n" + "y".repeat(100), [2096, 101]],
    ["x".repeat(2094) + "\n" + "y".repeat(100) + "\n", [2196, 0]],
    ["x\n".repeat(1048), [2096, 0]],
    ["x\n".repeat(1047), [2094]],
  ];
  for (const [input, sizes] of rows) {
    await run([ours.multilog, "s4096", "./log"], {
      cwd: at.path,
      stdin: input,
    });
    const names = [...oldFiles(`${at.path}/log`), "current"];
    assertEquals(
      names.map((name) => text(`${at.path}/log/${name}`).length),
      sizes,
    );
    Deno.removeSync(`${at.path}/log`, { recursive: true });
  }
});

testWith(
  [ORIGINAL],
  "rotation: a current that is continued counts with what it had",
  async () => {
    using at = folder();
    for (const program of [ORIGINAL, ours.multilog]) {
      const log = program === ORIGINAL ? "theirs" : "ours";
      for (let i = 0; i < 5; i++) {
        await run([program, "s4096", `./${log}`], {
          cwd: at.path,
          stdin: "x".repeat(999) + "\n",
        });
      }
      assertEquals(
        [...oldFiles(`${at.path}/${log}`), "current"]
          .map((name) => text(`${at.path}/${log}/${name}`).length),
        [3000, 2000],
        log,
      );
    }
  },
);

testWith(
  [ORIGINAL],
  "rotation: a current that is larger than a new, smaller size loses no line",
  async () => {
    using at = folder();
    for (const program of [ORIGINAL, ours.multilog]) {
      const log = program === ORIGINAL ? "theirs" : "ours";
      const more = (script: string[], stdin: string) =>
        run([program, ...script, `./${log}`], { cwd: at.path, stdin });
      await more(["s20000"], "x".repeat(15000) + "\n");
      await more(["s5000"], "y\n");
      const names = [...oldFiles(`${at.path}/${log}`), "current"];
      assertEquals(
        names.map((name) => text(`${at.path}/${log}/${name}`)).join(""),
        "x".repeat(15000) + "\ny\n",
      );
    }
  },
);

Deno.test("rotation: as many files as n says, and the smallest names go", async () => {
  using at = folder();
  for (const keep of [2, 3, 10]) {
    const path = `${at.path}/log${keep}`;
    const seen = new Set<string>();
    await using log = await start(["s4096", `n${keep}`, `./log${keep}`], {
      cwd: at.path,
    });
    for (let i = 0; i < 15; i++) {
      await log.write(`${i} `.padEnd(2500, "x") + "\n");
      while (!oldFiles(path).some((name) => !seen.has(name))) {
        await sleep(1);
      }
      for (const name of oldFiles(path)) seen.add(name);
    }
    assertEquals(await log.finish(), 0);
    const kept = oldFiles(path);
    assertEquals(kept.length, keep - 1);
    // Those that are there are the last ones.
    assertEquals(
      kept.map((name) => parseInt(text(`${path}/${name}`))),
      kept.map((_, i) => 15 - kept.length + i),
    );
  }
});

testWith(
  [ORIGINAL],
  "rotation: what counts as an old file, as the original",
  async () => {
    using at = folder();
    const there: Record<string, string[]> = {};
    for (const program of [ORIGINAL, ours.multilog]) {
      const path = `${at.path}/${program === ORIGINAL ? "theirs" : "ours"}`;
      Deno.mkdirSync(path);
      const names = [
        "@0",
        "@short",
        // 24 characters, and 25.
        "@40000000000000000000000",
        "@400000000000000000000001",
        "@400000000000000000000002.s",
        "@not a time but long enough",
        "@zzzzzzzzzzzzzzzzzzzzzzzz.s",
        "a400000000000000000000000.s",
        "other",
      ];
      for (const name of names) Deno.writeTextFileSync(`${path}/${name}`, name);
      await run([program, "s4096", "n3", path], {
        stdin: "x".repeat(3000) + "\n",
      });
      there[program] = [...Deno.readDirSync(path)].map(({ name }) => name)
        .map((name) => /^@4.*[1-9].{8}\.s/.test(name) ? "new.s" : name).sort();
    }
    assertEquals(there[ours.multilog], there[ORIGINAL]);
  },
);

Deno.test("rotation: names never collide, and sort as written, when the clock goes back", async () => {
  using at = folder();
  const path = `${at.path}/log`;
  Deno.mkdirSync(path);
  // A file from the future: to it, every time that is read is set back.
  const future = Math.floor(Date.now() / 1000) + 1e6;
  const last = { seconds: future, nanoseconds: 999999998 };
  Deno.writeTextFileSync(`${path}/${label(last)}.s`, "0\n");
  const { code, stderr } = await run(
    [ours.multilog, "s4096", "n1000", "./log"],
    { cwd: at.path, stdin: numbered(1, 20000) },
  );
  assertEquals({ code, stderr }, { code: 0, stderr: "" });
  const names = oldFiles(path);
  assert(names.length > 25);
  assertEquals(inOrder(whole(path)), 20000);
  // Each is one nanosecond after the one before.
  names.forEach((name, i) => {
    const moment = parseLabel(name)!;
    const beyond = (moment.seconds - future) * 1e9 + moment.nanoseconds;
    assertEquals(beyond, 999999998 + i, name);
  });
});

Deno.test("rotation: names never collide after an interruption, with left-overs that get names too", async () => {
  using at = folder();
  const path = `${at.path}/log`;
  Deno.mkdirSync(path);
  const future = Math.floor(Date.now() / 1000) + 1e6;
  const put = (name: string, text: string) =>
    Deno.writeTextFileSync(`${path}/${name}`, text);
  put(`${label({ seconds: future, nanoseconds: 0 })}.u`, "0\n");
  put("previous", "1\n");
  put("current", "2\n");
  for (const next of ["3\n", "4\n", "5\n"]) {
    await using log = await start(["n20", "./log"], { cwd: at.path });
    await log.write(next);
    while (text(`${path}/current`) !== next) {
      await sleep(1);
    }
    log.signal("SIGKILL");
    await log.code();
  }
  assertEquals(inOrder(whole(path)), 6);
});

Deno.test("rotation: a name that says an impossible time is no hindrance", async () => {
  using at = folder();
  const path = `${at.path}/log`;
  Deno.mkdirSync(path);
  Deno.writeTextFileSync(`${path}/@ffffffffffffffffffffffff.s`, "last\n");
  for (const stdin of [numbered(0, 2000), numbered(2000, 4000)]) {
    const { code, stderr } = await run(
      [ours.multilog, "s4096", "n1000", "./log"],
      { cwd: at.path, stdin },
    );
    assertEquals({ code, stderr }, { code: 0, stderr: "" });
  }
  assertEquals(inOrder(whole(path).replace("last\n", "")), 4000);
});

Deno.test("rotation: modes, whatever the umask", async () => {
  using at = folder();
  const { code } = await run(
    ["sh", "-c", `umask 077; exec "$@"`, "sh", ours.multilog, "s4096"]
      .concat("=status", "./log"),
    { cwd: at.path, stdin: "x".repeat(3000) + "\ny\n" },
  );
  assertEquals(code, 0);
  const mode = (name: string) =>
    (Deno.statSync(`${at.path}/${name}`).mode! & 0o7777).toString(8);
  assertEquals(mode("log"), "700");
  assertEquals(mode("log/lock"), "600");
  assertEquals(mode("log/current"), "744");
  assertEquals(mode("log/state"), "644");
  assertEquals(mode(`log/${oldFiles(`${at.path}/log`)[0]}`), "744");
  assertEquals(mode("status"), "600");
});

Deno.test("rotation: bytes that are no text go through as they are", async () => {
  using at = folder();
  const every = Uint8Array.from({ length: 256 * 40 }, (_, i) => i & 255);
  await run([ours.multilog, "s4096", "n100", "./log"], {
    cwd: at.path,
    stdin: every,
  });
  // The last line has got its newline.
  assert(whole(`${at.path}/log`) === latin1(every) + "\n");
});

testWith(
  ["strace"],
  "rotation: sixteen finished files are synced at a time, eight with few descriptors, and four large ones",
  async () => {
    const rows = [
      [4096, 40, 1024, 16],
      [4096, 40, 36, 8],
      [1_100_000, 12, 1024, 4],
    ] as const;
    for (const [size, files, descriptors, most] of rows) {
      using at = folder();
      // One line fills a file.
      const line = "x".repeat(size - 1) + "\n";
      const { code } = await run(
        tracing("fsync,renameat", "trace").concat(
          ["-e", "inject=fsync:delay_enter=100000", "sh", "-c"],
          [`ulimit -n ${descriptors}; exec "$0" "$@"`, ours.multilog],
          [`s${size}`, "n99", "./log"],
        ),
        { cwd: at.path, stdin: line.repeat(files) },
      );
      assertEquals(code, 0);
      assertEquals(oldFiles(`${at.path}/log`).length, files);
      let waiting = 0;
      let longest = 0;
      let syncs = 0;
      for (
        const call of Deno.readTextFileSync(`${at.path}/trace`).split("\n")
      ) {
        if (/renameat\(.*"current",.*\.u"/.test(call)) waiting++;
        else if (/renameat\(.*\.u",.*\.s"/.test(call)) waiting--;
        else if (/fsync\(/.test(call)) syncs++;
        longest = Math.max(longest, waiting);
      }
      assertEquals(longest, most);
      // Those of the directory are fewer than the files, where many wait for one.
      if (most > 4) assert(syncs < 1.7 * files, `${syncs} syncs`);
    }
  },
);

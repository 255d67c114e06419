import { assert, assertEquals } from "@std/assert";
import { encode } from "../../src/bytes.ts";
import { FileSequence } from "../../src/multilog/file_sequence.ts";
import { LocalStamps } from "../../src/multilog/local_stamps.ts";
import { close } from "../../src/sys/descriptors.ts";
import { openDirectory } from "../../src/sys/files.ts";
import {
  bytes,
  chosenSeed,
  folder,
  installed,
  latin1,
  ours,
  run,
  Running,
  seeded,
  sleep,
  testWith,
  until,
} from "../tools.ts";
import {
  inOrder,
  isBusy,
  mode,
  numbered,
  oldFiles,
  ORIGINAL,
  start,
  wakeUps,
} from "./harness.ts";

/** Whether a process has been told what changes to look for. */
function watches(pid: number): boolean {
  for (const { name } of Deno.readDirSync(`/proc/${pid}/fdinfo`)) {
    try {
      const info = Deno.readTextFileSync(`/proc/${pid}/fdinfo/${name}`);
      if (info.includes("inotify wd:")) return true;
    } catch {
      // It has closed that one meanwhile.
    }
  }
  return false;
}

/** A follower that is running; it is killed when its scope ends. */
class Follower extends Running {
  constructor(cwd: string, words: string[], under: string[] = []) {
    super([...under, ours.multilog, "--follow", ...words], { cwd });
  }

  /** Waits until it sleeps. */
  async sleeps(): Promise<void> {
    // One that is still starting, on a busy machine, may stand still as well.
    await until("it looks for changes", () => watches(this.pid));
    let before;
    do {
      before = wakeUps(this.pid);
      await sleep(60);
    } while (
      wakeUps(this.pid) > before || before === 0 || isBusy(this.pid)
    );
  }
}

Deno.test("--follow prints the last lines, what comes, and ends quietly", async () => {
  using work = folder();
  await using writer = await start(["./log"], { cwd: work.path });
  await writer.write(numbered(0, 25));
  await until(
    "it is written",
    () => Deno.statSync(`${work.path}/log/current`).size > 0,
  );
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    await using follower = new Follower(work.path, ["./log"]);
    await follower.prints("24\n");
    assertEquals(follower.output, numbered(15, 25));
    await writer.write(`${signal}\n`);
    await follower.prints(`${signal}\n`);
    follower.signal(signal);
    assertEquals(await follower.code(), 0);
    assertEquals(follower.said, "");
    await writer.write(numbered(15, 25));
    await until("it is written", () => {
      const text = Deno.readTextFileSync(`${work.path}/log/current`);
      return text.endsWith(`${signal}\n${numbered(15, 25)}`);
    });
  }
});

Deno.test("--follow begins again when somebody empties current", async () => {
  using work = folder();
  const current = `${work.path}/log/current`;
  await using writer = await start(["./log"], { cwd: work.path });
  await writer.write(numbered(0, 5));
  await using follower = new Follower(work.path, ["./log"]);
  await follower.prints("4\n");
  Deno.truncateSync(current);
  await follower.sleeps();
  await writer.write("a\n");
  await follower.prints("\na\n");
  await writer.write("b\n");
  await follower.prints("\nb\n");
  assertEquals(follower.output, numbered(0, 5) + "a\nb\n");
  assertEquals(follower.said, "");
});

Deno.test("--follow waits for a log that isn't there yet", async () => {
  using work = folder();
  Deno.mkdirSync(`${work.path}/log`);
  await using follower = new Follower(work.path, ["./log"]);
  await follower.sleeps();
  await run([ours.multilog, "s4096", "n200", "./log"], {
    cwd: work.path,
    stdin: numbered(0, 3000),
  });
  await follower.prints("\n2999\n");
  assertEquals(inOrder(follower.output), 3000);
});

for (const program of [undefined, ORIGINAL]) {
  testWith(
    program ? [program] : [],
    `--follow loses and doubles nothing across rotations of ${
      program ? "the original" : "ours"
    }`,
    async () => {
      using work = folder();
      await using writer = await start(["s4096", "n1000", "./log"], {
        cwd: work.path,
        ...(program ? { program: installed(program)! } : {}),
      });
      await using follower = new Follower(work.path, ["./log"]);
      await writer.write(numbered(0, 1));
      await follower.prints("0\n");
      for (let n = 1; n < 60000; n += 500) {
        await writer.write(numbered(n, n + 500));
      }
      // Stopped, it finds many finished files after the one that it has open.
      follower.signal("SIGSTOP");
      await writer.write(numbered(60001, 80001));
      await writer.write("80001\n");
      assertEquals(await writer.finish(), 0);
      follower.signal("SIGCONT");
      await follower.prints("\n80001\n");
      assert(oldFiles(`${work.path}/log`).length > 50);
      assertEquals(inOrder(follower.output), 80002);
      assertEquals(follower.said, "");
    },
  );
}

Deno.test("--follow reads what a processor takes away, and goes on with a new writer", async () => {
  using work = folder();
  // Who follows must come in time to open a file before it goes, also on a busy
  // machine; what is printed where that is too late is another test's matter.
  const script = ["s4096", "!cat >/dev/null; sleep 0.5", "./log"];
  let next = 0;
  await using follower = await (async () => {
    await using writer = await start(script, { cwd: work.path });
    const follower = new Follower(work.path, ["./log"]);
    await follower.sleeps();
    for (; next < 5000; next += 1000) {
      await writer.write(numbered(next, next + 1000));
    }
    await follower.prints(`\n${next - 1}\n`);
    await writer.finish();
    return follower;
  })();
  // Cut off: `current` becomes an old file, and a new one comes.
  {
    await using writer = await start(script, { cwd: work.path });
    await writer.write(numbered(next, next + 10));
    next += 10;
    await follower.prints(`\n${next - 1}\n`);
    writer.signal("SIGKILL");
    await writer.code();
  }
  await using writer = await start(script, { cwd: work.path });
  await writer.write(numbered(next, next + 10));
  next += 10;
  await follower.prints(`\n${next - 1}\n`);
  assertEquals(inOrder(follower.output), next);
  assertEquals(follower.said, "");
});

Deno.test("--follow says so when files were removed before it could read them", async () => {
  using work = folder();
  await using writer = await start(["!cat >/dev/null", "./log"], {
    cwd: work.path,
  });
  // One that is processed and not removed yet is none.
  const old = () => {
    const names = oldFiles(`${work.path}/log`);
    return names.some((name) => name.endsWith(".u")) ? 0 : names.length;
  };
  const rotate = async (text: string) => {
    const before = old();
    await writer.write(text);
    await until(
      "it is written",
      () => Deno.statSync(`${work.path}/log/current`).size > 0,
    );
    await writer.notices("SIGALRM");
    await until("it is processed", () => old() > before);
  };
  await using follower = new Follower(work.path, ["./log"]);
  await follower.sleeps();
  await rotate("seen\n");
  await follower.prints("seen\n");
  await follower.sleeps();
  follower.signal("SIGSTOP");
  await rotate("one\n");
  await rotate("two\n");
  await rotate("three\n");
  await writer.write("four\n");
  follower.signal("SIGCONT");
  await follower.prints("four\n");
  // `one` it had open.
  assertEquals(follower.output, "seen\none\nfour\n");
  assertEquals(
    follower.said,
    "multilog: warning: ./log: 2 finished before they were read, and gone: " +
      "lines are missing here\n",
  );
});

Deno.test("--follow holds a finished file open while its output stands still", async () => {
  using work = folder();
  await using writer = await start(["s65536", "!cat >/dev/null", "./log"], {
    cwd: work.path,
  });
  await using follower = new Follower(work.path, ["./log"]);
  follower.reading = false;
  await writer.write("first\n");
  await until(
    "it is written",
    () => Deno.statSync(`${work.path}/log/current`).size > 0,
  );
  await follower.sleeps();
  // More than a pipe holds, finished file by file.
  const log = `${work.path}/log`;
  let next = 0;
  for (let file = 1; file <= 8; file++) {
    await writer.write(numbered(next, next + 14000));
    next += 14000;
    await until("a file is processed", () => oldFiles(log).length >= file);
  }
  follower.reading = true;
  await follower.prints(`\n${next - 1}\n`);
  assertEquals(inOrder(follower.output.replace("first\n", "")), next);
  assertEquals(follower.said, "");
});

Deno.test("--follow goes on with a new directory of the same name", async () => {
  using work = folder();
  const log = `${work.path}/log`;
  const fill = (from: number, to: number) =>
    run([ours.multilog, "s4096", "n200", "./log"], {
      cwd: work.path,
      stdin: numbered(from, to),
    });
  await fill(0, 5);
  await using follower = new Follower(work.path, ["./log"]);
  await follower.prints("4\n");
  Deno.removeSync(log, { recursive: true });
  // Rotated files, too, are all new.
  await fill(5, 3000);
  await follower.prints("\n2999\n");
  Deno.renameSync(log, `${work.path}/old`);
  await fill(3000, 6000);
  await follower.prints("\n5999\n");
  assertEquals(inOrder(follower.output), 6000);
  assertEquals(follower.said, "");
});

testWith(
  ["strace"],
  "--follow prints no processor's output when the kernel can't report changes",
  async () => {
    using work = folder();
    await using writer = await start(["!tr a-z A-Z", "./log"], {
      cwd: work.path,
    });
    await using follower = new Follower(work.path, ["./log"], [
      "strace",
      "-f",
      "-qq",
      "-o",
      "/dev/null",
      "-e",
      "trace=inotify_init1",
      "-e",
      "inject=inotify_init1:error=EMFILE",
    ]);
    await follower.says("unable to watch");
    for (const line of ["one\n", "two\n", "three\n"]) {
      await writer.write(line);
      await follower.prints(line);
      const before = oldFiles(`${work.path}/log`).length;
      await writer.notices("SIGALRM");
      await until("it is processed", () => {
        return oldFiles(`${work.path}/log`).length > before;
      });
    }
    await writer.write("four\n");
    await follower.prints("four\n");
    assertEquals(follower.output, "one\ntwo\nthree\nfour\n");
  },
);

Deno.test("a reader that stands still keeps a bounded part of the disk", () => {
  using work = folder();
  const directory = openDirectory(work.path);
  const current = `${work.path}/current`;
  // They have a size, and no blocks.
  const make = () => {
    Deno.createSync(current).close();
    Deno.truncateSync(current, 30 * 1024 * 1024);
  };
  make();
  const chain = new FileSequence(directory, 0);
  const open = () => {
    let removed = 0;
    for (const { name } of Deno.readDirSync("/proc/self/fd")) {
      try {
        const path = Deno.readLinkSync(`/proc/self/fd/${name}`);
        if (path === `${current} (deleted)`) removed++;
      } catch {
        // The descriptor that this is read with.
      }
    }
    return removed;
  };
  let missed = 0;
  for (let file = 1; file <= 9; file++) {
    Deno.removeSync(current);
    make();
    missed += chain.look([
      { name: "current", what: "gone" },
      { name: "current", what: "come" },
    ]);
    // The one that is being read, and two that wait.
    assertEquals(open(), Math.min(file, 3));
  }
  assertEquals(missed, 6);
  chain.close();
  close(directory);
});

Deno.test("--follow ends when nobody reads it any more", async () => {
  using work = folder();
  await using writer = await start(["./log"], { cwd: work.path });
  await writer.write("first\n");
  const { code, text, stderr } = await run(
    [
      "sh",
      "-c",
      '{ "$0" --follow ./log; echo $? >code; } | head -n 1',
      ours.multilog,
    ],
    { cwd: work.path },
  );
  assertEquals([code, text, stderr], [0, "first\n", ""]);
  assertEquals(Deno.readTextFileSync(`${work.path}/code`), "0\n");
});

Deno.test("--follow sleeps while nothing comes", async () => {
  using work = folder();
  await using _writer = await start(["./log"], { cwd: work.path });
  await using follower = new Follower(work.path, ["./log"]);
  await follower.sleeps();
  const before = wakeUps(follower.pid);
  await sleep(1000);
  assert(wakeUps(follower.pid) - before <= 3, "it woke up");
});

Deno.test("--follow of no directory fails, and what it doesn't know is wrong usage", async () => {
  using work = folder();
  // An empty name is not the root's.
  for (const name of ["./none", ""]) {
    const { code, stderr } = await run([ours.multilog, "--follow", name], {
      cwd: work.path,
    });
    assertEquals([code, stderr], [
      111,
      `multilog: fatal: unable to read ${name}: file does not exist\n`,
    ]);
  }
  const rows: [words: string[], says: string][] = [
    [[], "usage: multilog --follow dir ... [-n lines] [--local]"],
    [["-x", "./a"], "fatal: unknown option -x, see --help"],
    [["--local"], "fatal: no directory is given"],
    [["./a", "-n"], "fatal: -n needs a value"],
    [["-nx", "./a"], "fatal: -n x: neither a number of lines nor all"],
  ];
  for (const [words, says] of rows) {
    const { code, stderr } = await run([ours.multilog, "--follow", ...words]);
    assertEquals([code, stderr], [100, `multilog: ${says}\n`]);
  }
});

testWith(
  ["tai64nlocal"],
  "--follow --local shows the times that tai64nlocal shows",
  async () => {
    const stamps = [
      "@400000006562f3f505ca1ac4 now",
      "@4000000000000000000001f4 1969",
      "@400000006046f8ab1dcd6500 winter",
      "@40000000606fd72c3b9ac9ff summer",
      "@4000000100000000000000ff 2106",
    ];
    for (
      const zone of ["UTC", "Europe/Berlin", "XYZ-5:45", "America/New_York"]
    ) {
      using work = folder();
      Deno.mkdirSync(`${work.path}/log`);
      Deno.writeTextFileSync(
        `${work.path}/log/current`,
        `${stamps.join("\n")}\n`,
      );
      const env = { TZ: zone };
      const { text: expected } = await run([installed("tai64nlocal")!], {
        stdin: `${stamps.join("\n")}\n`,
        env,
      });
      const { text } = await run(
        ["sh", "-c", '"$0" --follow ./log --local | head -n 5', ours.multilog],
        { cwd: work.path, env },
      );
      assertEquals(text, expected, zone);
    }
  },
);

Deno.test("stamps are turned wherever the stream is cut, and nothing else is", () => {
  const seed = chosenSeed();
  console.log(`seed ${seed}`);
  const random = seeded(seed);
  const lines = [
    "@400000006562f3f505ca1ac4 a line",
    "",
    "@",
    "@400000006562f3f505ca1ac no stamp",
    "@400000006562f3f505ca1acX no stamp",
    "@ffffffffffffffff00000000 no time",
    "@400000006562f3f5ffffffff no nanoseconds",
    "with @400000006562f3f505ca1ac4 inside",
    "@400000006562f3f505ca1ac4",
    "@400000006562f3f505ca1ac4@400000006562f3f505ca1ac4",
    "\xff@",
  ];
  const stamp = /^@400000006562f3f505ca1ac4/;
  const whole = new LocalStamps();
  const local = latin1(whole.turn(encode("@400000006562f3f505ca1ac4\n")))
    .trimEnd();
  assert(/^2023-11-2\d \d\d:\d\d:\d\d\.097131204$/.test(local), local);
  const input = bytes(`${lines.join("\n")}\n`);
  const expected = latin1(
    bytes(lines.map((line) => `${line.replace(stamp, local)}\n`).join("")),
  );
  for (let round = 0; round < 300; round++) {
    const stamps = new LocalStamps();
    let out = "";
    for (let at = 0; at < input.length;) {
      const end = at + Math.ceil(random() * (round % 40 + 1));
      out += latin1(stamps.turn(input.slice(at, end)));
      at = end;
    }
    assertEquals(out, expected);
  }
});

Deno.test("a log that is followed is marked complete at its end", async () => {
  using work = folder();
  await using writer = await start(["./log"], { cwd: work.path });
  await using follower = new Follower(work.path, ["./log"]);
  await follower.sleeps();
  assertEquals(await writer.finish(), 0);
  assertEquals(mode(`${work.path}/log/current`), "744");
});

Deno.test("--follow -n first prints that many of the last lines, also of old files", async () => {
  using work = folder();
  await run([ours.multilog, "s4096", "n100", "./log"], {
    cwd: work.path,
    stdin: numbered(0, 3000),
  });
  assert(oldFiles(`${work.path}/log`).length > 2);
  for (const lines of [0, 1, 7, 300, 1000, 2999, 3000, 4000, "all"]) {
    await using follower = new Follower(
      work.path,
      ["./log", "-n", `${lines}`],
    );
    await follower.sleeps();
    await follower.stop();
    const first = lines === "all" ? 0 : Math.max(3000 - Number(lines), 0);
    assertEquals(
      [follower.output === numbered(first, 3000), follower.said],
      [true, ""],
      `${lines}`,
    );
  }
});

testWith(
  ["zstd"],
  "--follow from the beginning unpacks what was compressed, and follows on",
  async () => {
    for (const program of ["gzip", "zstd"]) {
      using work = folder();
      const code = program === "gzip" ? "wgz" : "ws";
      const script = ["s4096", "n100", `!${program}`, code, "./log"];
      await run([ours.multilog, ...script], {
        cwd: work.path,
        stdin: numbered(0, 3000),
      });
      assertEquals(oldFiles(`${work.path}/log`).length > 2, true);
      await using writer = await start(script, { cwd: work.path });
      for (const [lines, first] of [["all", 0], ["2500", 500]] as const) {
        await using follower = new Follower(work.path, ["-n", lines, "./log"]);
        await follower.prints("\n2999\n");
        assertEquals(inOrder(follower.output, first), 3000);
        assertEquals(follower.said, "");
      }
      await using follower = new Follower(work.path, ["-nall", "./log"]);
      await follower.prints("\n2999\n");
      await follower.sleeps();
      await writer.write("3000\n");
      await follower.prints("\n3000\n");
      assertEquals(inOrder(follower.output), 3001);
      assertEquals(await writer.finish(), 0);
    }
  },
);

Deno.test("--follow of several logs names them, and keeps their lines whole", async () => {
  using work = folder();
  await using a = await start(["./a"], { cwd: work.path });
  await using b = await start(["s4096", "n100", "./b"], { cwd: work.path });
  await a.write("one\n");
  await until(
    "it is written",
    () => Deno.statSync(`${work.path}/a/current`).size > 0,
  );
  await using follower = new Follower(work.path, ["./a", "./none", "./b"]);
  await follower.prints("./a: one\n");
  await follower.sleeps();
  await a.write("tw");
  await until("it is written", () => {
    return Deno.readTextFileSync(`${work.path}/a/current`).endsWith("tw");
  });
  await b.write(numbered(0, 3000));
  await follower.prints("./b: 2999\n");
  assert(!follower.output.includes("tw"));
  await a.write("o\n");
  await follower.prints("./a: two\n");
  const lines = follower.output.split("\n").slice(0, -1);
  const of = (name: string) =>
    lines.filter((line) => line.startsWith(`${name}: `))
      .map((line) => `${line.slice(name.length + 2)}\n`).join("");
  assertEquals(of("./a"), "one\ntwo\n");
  assertEquals(inOrder(of("./b")), 3000);
  assertEquals(lines.length, 3002);
  assertEquals(
    follower.said,
    "multilog: warning: unable to read ./none: file does not exist\n",
  );
  follower.signal("SIGTERM");
  assertEquals(await follower.code(), 0);
});

Deno.test("--follow of several logs, of which none can be read, fails", async () => {
  using work = folder();
  const { code, stderr } = await run(
    [ours.multilog, "--follow", "./a", "./b"],
    { cwd: work.path },
  );
  assertEquals([code, stderr.split("\n").length], [111, 3]);
});

/**
 * tryto's promise, on the executable: a log is sent whole or kept whole, in
 * time, whatever prog does.
 */
import { assert, assertEquals } from "@std/assert";
import { existsSync } from "@std/fs";
import { bothWays } from "../inside/_ways.ts";
import {
  childrenOf,
  folder,
  inParallel,
  ours,
  run,
  Running,
  runs,
  testWith,
  until,
} from "../tools.ts";
import {
  type Done,
  endMarked,
  type How,
  inside,
  lines,
  marked,
  runTryto,
  takeKept,
} from "./_tryto.ts";
import { VERSION } from "../../src/version.ts";

const tryto = (args: string[], how: How) => runTryto(ours.tryto, args, how);

const CRASHED = "tryto: fatal: child crashed, giving up.\n";
const TIMED_OUT = "tryto: fatal: child timed out, giving up.\n";
const TERM = 'tryto: warning: child "sh" timed out. sending TERM...\n';
const TERMINATED = "tryto: warning: child terminated.\n";
const KILL = 'tryto: warning: child "sh" not terminated. sending KILL...\n';

/** More than any pipe holds, so that a write to it has to wait. */
const LARGE = lines(100_000);

/**
 * However late the machine is, it is never early. What hangs here does so for
 * longer than any test is waited for, so what ends has been ended.
 */
function assertNotBefore(done: Done, least: number): void {
  assert(done.seconds >= least, `after only ${done.seconds} s`);
}

Deno.test("tryto --help and --version", async () => {
  const help = await run([ours.tryto, "--help"]);
  assertEquals([help.code, help.stderr], [0, ""]);
  assert(help.text.startsWith("usage: tryto "));
  const version = await run([ours.tryto, "--version"]);
  assertEquals(version.text, `tryto ${VERSION}\n`);
  assertEquals(version.code, 0);
});

bothWays("the times are those that were asked for", async (t) => {
  // prog notes when it starts, gets TERM, and lives: how late the machine
  // starts programs doesn't matter then.
  const note = "date +%s.%N >>";
  const alive = `trap "${note}term" TERM; while :; do ${note}alive; ` +
    "sleep 0.1; done";
  const cases: [
    name: string,
    args: string[],
    prog: string,
    expected: [from: string, to: string, seconds: number][],
  ][] = [
    ["-t and -k", ["-t2", "-k3"], alive, [
      ["start", "term", 2],
      ["term", "alive", 3],
    ]],
    ["-k is 5 by itself", ["-t1"], alive, [["term", "alive", 5]]],
    ["a second before a try", ["-n2"], "exit 1", [["start", "again", 1]]],
  ];
  using here = folder();
  const work = inParallel(cases, async ([name, args, prog, expected], i) => {
    const at = inside(here.path, `${i}`);
    const again = `test -e start && ${note}again || ${note}start`;
    await tryto([...args, "sh", "-c", `${again}; ${prog}`], { folder: at });
    const notes = (file: string) =>
      Deno.readTextFileSync(`${at}/${file}`).trim().split("\n").map(Number);
    const last = (file: string) => notes(file).at(-1)!;
    const lives = prog === alive ? notes("alive") : [];
    return {
      name,
      stills: lives.slice(1).map((time, i) => time - lives[i]!),
      times: expected.map(([from, to, seconds]) => ({
        seconds,
        found: last(to) - last(from),
      })),
    };
  });
  const all = await work;
  // For how long the machine stood still at the worst, in seconds: what prog
  // notes ten times a second came so late. That makes all else later, too.
  const still = Math.max(...all.flatMap(({ stills }) => stills));
  for (const { name, times } of all) {
    await t.step(name, () => {
      for (const { seconds, found } of times) {
        const late = found - seconds;
        const limit = 2 + 3 * still;
        assert(late > -0.8 - seconds / 5 && late < limit, `${found} s`);
      }
    });
  }
});

bothWays("prog gets the whole log, and its success is tryto's", async () => {
  using here = folder();
  await Promise.all((["file", "pipe"] as const).map(async (input) => {
    const at = inside(here.path, input);
    const done = await tryto(["-v", "cat"], { log: LARGE, input, folder: at });
    assert(done.out === LARGE);
    assertEquals([done.code, done.err], [0, ""]);
  }));
});

bothWays("every try gets all notices and all of the log", async () => {
  using here = folder();
  // Each try writes what it reads to a file of its own; the third succeeds.
  const prog = 'n=$(ls | grep -c ^try); cat >try$n; test "$n" = 2';
  await Promise.all((["file", "pipe"] as const).map(async (input) => {
    const at = inside(here.path, input);
    const done = await tryto(["-pv", "sh", "-c", prog], {
      log: LARGE,
      notices: "notice\n",
      input,
      folder: at,
    });
    for (const n of [0, 1, 2]) {
      assert(Deno.readTextFileSync(`${at}/try${n}`) === "notice\n" + LARGE);
    }
    assertEquals([done.code, done.out, done.err], [0, "", ""]);
    assertEquals(
      done.told,
      "tryto: warning: child crashed. (exit code 1)\n".repeat(2),
    );
  }));
});

bothWays("after any failure everything on 0 is on 1", async (t) => {
  const cases: [name: string, args: string[], prog: string, told: string][] = [
    ["the last try read all", ["-n1"], "cat >/dev/null; exit 3", CRASHED],
    [
      "the last try read some",
      ["-n1"],
      "head -c 9 >/dev/null; exit 3",
      CRASHED,
    ],
    ["the last try read nothing", ["-n1"], "exit 3", CRASHED],
    [
      "a time-out, all read",
      ["-t1"],
      "cat >/dev/null; exec sleep 1000",
      TERM + TERMINATED + TIMED_OUT,
    ],
    [
      "a time-out, some read",
      ["-t1"],
      "head -c 99999 >/dev/null; exec sleep 1000",
      TERM + TERMINATED + TIMED_OUT,
    ],
    [
      "a time-out of the second try",
      // The first try and the pause after it take long on a busy machine.
      ["-t5", "-n9"],
      "cat >/dev/null; test -e first && exec sleep 1000; >first; exit 3",
      TERM + TERMINATED + TIMED_OUT,
    ],
    [
      "a KILL, nothing read",
      ["-t3", "-k1"],
      "trap '' TERM; sleep 1000; sleep 1000",
      TERM + KILL + TIMED_OUT,
    ],
    [
      "TERM makes it exit 0",
      ["-t2"],
      "trap 'exit 0' TERM; cat >/dev/null; sleep 1000 & wait",
      TERM + TERMINATED + TIMED_OUT,
    ],
    [
      "a signal",
      ["-n1"],
      "head -c 9 >/dev/null; kill -9 $$",
      "tryto: warning: child killed by signal 9 (KILL).\n" + CRASHED,
    ],
  ];
  using here = folder();
  const mark = `LOGFERRY_TEST=${here.path}`;
  const rows = cases.flatMap((row) =>
    (["file", "pipe"] as const).map((input) => ({ row, input }))
  );
  const work = inParallel(
    rows,
    async ({ row: [name, args, prog, told], input }, i) => {
      const at = inside(here.path, `${i}`);
      const done = await tryto(["-p", ...args, "sh", "-c", prog], {
        log: LARGE,
        notices: "notice\n",
        input,
        folder: at,
        env: { LOGFERRY_TEST: here.path },
      });
      return { name: `${name} of a ${input}`, done, told, at };
    },
    6,
  );
  try {
    for (const { name, done, told, at } of await work) {
      await t.step(name, () => {
        assertEquals([done.code, done.err], [0, ""]);
        // What was told nobody yet is told with it.
        const notices = takeKept(done.told);
        assertEquals(notices.told, "notice\n" + told);
        assert(notices.kept.includes(`kept ${LARGE.length} bytes of ${at}`));
        assert(done.out === LARGE, `${done.out.length} bytes were kept`);
      });
    }
  } finally {
    endMarked(mark);
  }
});

bothWays("an empty log is kept as an empty log", async () => {
  using here = folder();
  const done = await tryto(["-pn1", "false"], {
    notices: "",
    folder: here.path,
  });
  assertEquals([done.code, done.out, done.told], [0, "", CRASHED]);
});

bothWays("the time limit holds whatever prog does", async (t) => {
  const ENDED = TERM + TERMINATED + TIMED_OUT;
  const cases: [name: string, prog: string, seconds: number, err: string][] = [
    ["it neither reads nor exits", "exec sleep 1000", 3, ENDED],
    [
      "it ignores TERM, too",
      "trap '' TERM; sleep 1000; sleep 1000",
      4,
      TERM + KILL + TIMED_OUT,
    ],
    [
      "its child holds its pipe open",
      "sleep 1000 <&0 & exec sleep 1000",
      3,
      ENDED,
    ],
    ["it closes its input", "exec <&- sleep 1000", 3, ENDED],
    ["it is stopped", "kill -STOP $$", 4, TERM + KILL + TIMED_OUT],
    [
      "it fails again and again",
      // The first try ends well within the limit, the pause after it doesn't.
      "sleep 2.1; exit 3",
      3,
      TIMED_OUT,
    ],
  ];
  using here = folder();
  const mark = `LOGFERRY_TEST=${here.path}`;
  const work = inParallel(cases, async ([name, prog, seconds, err], i) => {
    const at = inside(here.path, `${i}`);
    const done = await tryto(
      ["-t3", "-k1", "sh", "-c", `echo $$ >pid; ${prog}`],
      {
        log: LARGE,
        folder: at,
        env: { LOGFERRY_TEST: here.path },
      },
    );
    return { name, done, seconds, err, alive: runs(progsPid(at)) };
  });
  try {
    for (const result of await work) {
      const { name, done, seconds, err, alive } = result;
      await t.step(name, () => {
        assertEquals([done.code, done.err], [100, err]);
        assert(!alive, "prog still runs");
        assertNotBefore(done, seconds);
      });
    }
  } finally {
    endMarked(mark);
  }
});

bothWays(
  "tryto ends with prog, though prog's child holds its pipe",
  async () => {
    using here = folder();
    const mark = `LOGFERRY_TEST=${here.path}`;
    try {
      const done = await tryto(
        ["-t20", "sh", "-c", "sleep 1000 <&0 & exit 0"],
        {
          log: LARGE,
          folder: here.path,
          env: { LOGFERRY_TEST: here.path },
        },
      );
      assertEquals([done.code, done.err], [0, ""]);
      assertEquals(marked(mark).length, 1);
    } finally {
      endMarked(mark);
    }
  },
);

bothWays("prog's exit code alone is the verdict", async (t) => {
  using here = folder();
  const cases: [prog: string, code: number, err: string][] = [
    ["exit 0", 0, ""],
    ["head -c 1 >/dev/null", 0, ""],
    ["exec <&-; exit 0", 0, ""],
    ["exit 7", 7, CRASHED],
    ["head -c 1 >/dev/null; exit 7", 7, CRASHED],
    [
      "kill -SEGV $$",
      139,
      "tryto: warning: child killed by signal 11 (SEGV).\n" + CRASHED,
    ],
  ];
  const work = inParallel(cases, async ([prog, code, err], i) => {
    const at = inside(here.path, `${i}`);
    const how = { log: LARGE, folder: at };
    const done = await tryto(["-n1", "sh", "-c", prog], how);
    return { prog, code, err, done };
  });
  for (const { prog, code, err, done } of await work) {
    await t.step(prog, () => {
      assertEquals([done.code, done.err, done.out], [code, err, ""]);
    });
  }
});

bothWays(
  "with -P the whole group is ended, without it prog alone",
  async () => {
    using here = folder();
    const mark = `LOGFERRY_TEST=${here.path}`;
    // The child ignores TERM, and prog doesn't wait for it.
    const prog = "(trap '' TERM; echo >ready; sleep 1000; sleep 1000) & " +
      "while ! test -e ready; do sleep 0.1; done; cat >/dev/null; sleep 1000";
    try {
      const [group, alone] = await Promise.all(["-P", "-v"].map((option) => {
        const at = inside(here.path, option);
        return tryto([option, "-t4", "-k1", "sh", "-c", prog], {
          log: "log\n",
          folder: at,
          env: { LOGFERRY_TEST: at },
        });
      }));
      assertEquals(group!.code, 100);
      assertEquals(group!.err, TERM + KILL + TIMED_OUT);
      await until("the group's end", () => marked(`${mark}/-P`).length === 0);
      assertEquals(alone!.code, 100);
      assertEquals(alone!.err, TERM + TERMINATED + TIMED_OUT);
      assert(marked(`${mark}/-v`).length > 0);
    } finally {
      endMarked(mark);
    }
  },
);

bothWays("a signal to tryto ends prog and keeps the log", async (t, way) => {
  using here = folder();
  const mark = `LOGFERRY_TEST=${here.path}`;
  // multilog itself is sent others.
  const names = way === "inside"
    ? ["SIGTERM"] as const
    : ["SIGTERM", "SIGINT", "SIGHUP"] as const;
  const work = names.map(
    async (signal) => {
      const at = inside(here.path, signal);
      const done = await tryto(
        [
          "-p",
          "sh",
          "-c",
          "head -c 9 >/dev/null; echo $$ >pid; exec sleep 1000",
        ],
        {
          log: LARGE,
          notices: "",
          folder: at,
          env: { LOGFERRY_TEST: at },
          meanwhile: async (pid) => {
            await until("prog runs", () => progsPid(at) > 0);
            Deno.kill(pid, signal);
          },
        },
      );
      return { signal, done, alive: runs(progsPid(at)) };
    },
  );
  try {
    for (const { signal, done, alive } of await Promise.all(work)) {
      await t.step(signal, () => {
        assertEquals([done.code, done.err], [111, ""]);
        assertEquals(
          done.told,
          `tryto: warning: child "sh" interrupted by ${signal}. ` +
            `sending TERM...\n${TERMINATED}` +
            `tryto: fatal: stopped by ${signal}, giving up.\n`,
        );
        assert(done.out === LARGE);
        assert(!alive);
      });
    }
  } finally {
    endMarked(mark);
  }
});

function progsPid(folder: string): number {
  try {
    return Number(Deno.readTextFileSync(`${folder}/pid`));
  } catch {
    return 0;
  }
}

Deno.test("a signal in the pause ends tryto at once; nohup's doesn't", async () => {
  using here = folder();
  const paused = (at: string) =>
    until("a failure", () => {
      try {
        return Deno.readTextFileSync(`${at}/newstate`).includes("crashed");
      } catch {
        return false;
      }
    });
  const [stopped, deaf] = await Promise.all([
    tryto(["-pv", "-n3", "sh", "-c", "cat >/dev/null; exit 3"], {
      log: LARGE,
      notices: "",
      folder: inside(here.path, "stopped"),
      meanwhile: async (pid) => {
        await paused(`${here.path}/stopped`);
        Deno.kill(pid, "SIGTERM");
      },
    }),
    runTryto(`${here.path}/deaf/bin/tryto`, [
      "-pv",
      "-n2",
      "sh",
      "-c",
      "cat >/dev/null; exit 3",
    ], {
      log: LARGE,
      notices: "",
      folder: deafFolder(here.path),
      meanwhile: async (pid) => {
        await paused(`${here.path}/deaf`);
        Deno.kill(pid, "SIGHUP");
      },
    }),
  ]);
  assertEquals(stopped.code, 111);
  assert(stopped.out === LARGE);
  assertEquals(
    stopped.told,
    "tryto: warning: child crashed. (exit code 3)\n" +
      "tryto: fatal: stopped by SIGTERM, giving up.\n",
  );
  assertEquals(deaf.code, 0);
  assert(deaf.out === LARGE);
  assertEquals(
    takeKept(deaf.told).told,
    "tryto: warning: child crashed. (exit code 3)\n".repeat(2) + CRASHED,
  );
});

/** A folder with a `tryto` that is ours, started with SIGHUP ignored. */
function deafFolder(path: string): string {
  Deno.mkdirSync(`${path}/deaf/bin`, { recursive: true });
  const script = `#!/bin/sh\ntrap '' HUP\nexec '${ours.tryto}' "$@"\n`;
  Deno.writeTextFileSync(`${path}/deaf/bin/tryto`, script, { mode: 0o755 });
  return `${path}/deaf`;
}

Deno.test("a signal ends tryto while the reader of the kept log doesn't read", async () => {
  using here = folder();
  Deno.writeTextFileSync(`${here.path}/log`, LARGE);
  const child = new Deno.Command("/bin/sh", {
    args: ["-c", `exec '${ours.tryto}' -pn1 false <log 4<log 5>newstate`],
    cwd: here.path,
    stdout: "piped",
  }).spawn();
  // What a pipe holds has been written; the first signal insists on the rest.
  const reader = child.stdout.getReader();
  const { value } = await reader.read();
  assert(LARGE.startsWith(new TextDecoder().decode(value)));
  // Two that come at once may be one.
  child.kill("SIGTERM");
  const insisting = setInterval(() => child.kill("SIGTERM"), 200);
  const { code } = await child.status;
  clearInterval(insisting);
  assertEquals(code, 111);
  assertEquals(
    Deno.readTextFileSync(`${here.path}/newstate`),
    "tryto: fatal: stopped by SIGTERM, log not kept\n",
  );
  await reader.cancel();
});

Deno.test("tryto's own failure is an error message, and exit 111", async (t) => {
  using here = folder();
  const [missing, full, unreadable, notStarted, closed, untold] = await Promise
    .all([
      tryto(["-p", "cat"], { log: "log\n", folder: inside(here.path, "a") }),
      tryto(["-pn1", "false"], {
        log: "log\n",
        notices: "",
        output: "/dev/full",
        folder: inside(here.path, "b"),
      }),
      run(["/bin/sh", "-c", `exec '${ours.tryto}' sh -c 'cat >&2' </`]),
      tryto(["-pn1", "./nowhere"], {
        log: "log\n",
        notices: "",
        folder: inside(here.path, "c"),
      }),
      run(["/bin/sh", "-c", `exec '${ours.tryto}' true <&-`]),
      run([
        "/bin/sh",
        "-c",
        `exec '${ours.tryto}' -pn1 false 4</dev/null 5>/dev/full`,
      ], { stdin: "log\n" }),
    ]);
  await t.step("no descriptors 4 and 5", () => {
    assertEquals([missing.code, missing.out], [111, ""]);
    assertEquals(
      missing.err,
      "tryto: fatal: unable to use descriptor 4: file descriptor not open\n",
    );
  });
  await t.step("no room for the log", () => {
    assertEquals(full.code, 111);
    assertEquals(
      full.told,
      "tryto: fatal: unable to write to standard output: " +
        "no space left on device\n",
    );
  });
  await t.step("a log that can't be read", () => {
    assertEquals(unreadable.code, 111);
    assertEquals(
      unreadable.stderr,
      'tryto: warning: child "sh" has no input. sending TERM...\n' +
        TERMINATED +
        "tryto: fatal: unable to read descriptor 0: is a directory\n",
    );
  });
  await t.step("a log that isn't there is an empty one", () => {
    assertEquals([closed.code, closed.stderr], [0, ""]);
  });
  await t.step("a notice that can't be written to 5", () => {
    assertEquals([untold.code, untold.text], [111, "log\n"]);
  });
  await t.step("a prog that isn't there is a failure like others", () => {
    assertEquals([notStarted.code, notStarted.out], [0, "log\n"]);
    assertEquals(
      takeKept(notStarted.told).told,
      'tryto: fatal: unable to start child "./nowhere": ' +
        "file does not exist\n" + CRASHED,
    );
  });
});

Deno.test("the time limit holds while nobody reads tryto's messages", async () => {
  const child = new Deno.Command(ours.tryto, {
    args: ["-t1", "-k1", "sh", "-c", "trap '' TERM; yes >&2"],
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  const late = setTimeout(() => child.kill("SIGKILL"), 20_000);
  const { code } = await child.status;
  clearTimeout(late);
  await child.stderr.cancel();
  assertEquals(code, 100);
});

bothWays("a pipe of any length is fed again in bounded memory", async () => {
  using here = folder();
  const log = lines(1_000_000, 63);
  const done = await tryto([
    "-n2",
    "sh",
    "-c",
    "cksum >>sums; grep VmHWM /proc/$PPID/status >>memory; exit 3",
  ], { log, input: "pipe", folder: here.path });
  assertEquals(done.code, 3);
  const sums = Deno.readTextFileSync(`${here.path}/sums`).trim().split("\n");
  assertEquals(sums.length, 2);
  assertEquals(sums[0], sums[1]);
  assertEquals(sums[0]!.split(" ")[1], `${log.length}`);
  const memory = Deno.readTextFileSync(`${here.path}/memory`);
  for (const [, kilobytes] of memory.matchAll(/(\d+) kB/g)) {
    assert(Number(kilobytes) < 100_000, memory);
  }
});

Deno.test("/dev/null, opened for reading and writing, is an empty log", async () => {
  // daemon(3), Python's DEVNULL and Node hand it to their children so.
  const script = 'exec "$0" cat 0<>/dev/null';
  const { code, text, stderr } = await run(["sh", "-c", script, ours.tryto]);
  assertEquals({ code, text, stderr }, { code: 0, text: "", stderr: "" });
});

Deno.test("a log can't be kept on a closed standard output", async () => {
  using at = folder();
  const { code, told, err } = await runTryto(ours.tryto, ["-p", "true"], {
    folder: at.path,
    log: "a line\n",
    notices: "",
    output: "/dev/null >&-",
  });
  assertEquals(code, 111);
  assertEquals(err + told, "tryto: fatal: standard output is closed\n");
});

testWith(
  ["strace"],
  "a prog for whose pipe the kernel has no memory is ended before it can take a part for all",
  async () => {
    using at = folder();
    const read = (name: string) => Deno.readTextFileSync(`${at.path}/${name}`);
    Deno.writeTextFileSync(`${at.path}/log`, LARGE.repeat(2));
    Deno.writeTextFileSync(`${at.path}/state`, "");
    const prog = "readlink /proc/self/fd/0 >name; mv name pipe; " +
      "until test -e go; do sleep 0.05; done; cat >/dev/null";
    // A shell is its parent, since strace keeps others from seeing its end.
    await using program = new Running(
      ["sh", "-c", '"$@"; exit $?', "sh", ours.tryto, "-n1", "-p"]
        .concat("sh", "-c", prog),
      { cwd: at.path, redirections: "<log >out 4<state 5>newstate" },
    );
    await until("prog waits", () => existsSync(`${at.path}/pipe`));
    const tracer = new Running(
      ["strace", "-f", "-o", "/dev/null", "-P", read("pipe").trim()]
        .concat("-e", "trace=write", "-e", "inject=write:error=ENOMEM")
        .concat("-p", `${childrenOf(program.pid)[0]}`),
    );
    await tracer.says("attached");
    Deno.writeTextFileSync(`${at.path}/go`, "");
    assertEquals(await program.code(), 111);
    await tracer.code();
    assertEquals(
      read("newstate"),
      'tryto: warning: child "sh" has no input. sending TERM...\n' +
        "tryto: warning: child terminated.\n" +
        "tryto: fatal: unable to write to child: out of memory\n",
    );
  },
);

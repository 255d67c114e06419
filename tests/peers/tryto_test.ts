/**
 * The original tryto and ours: the same where the original is right, and where
 * it breaks its promise, what it does and what ours does.
 */
import { assert, assertEquals } from "@std/assert";
import { folder, inParallel, someOf, testWith, until } from "../tools.ts";
import { bothWays } from "../inside/_ways.ts";
import {
  type Done,
  endMarked,
  type How,
  inside,
  lines,
  marked,
  runTryto,
  takeKept,
  trytos,
} from "../tryto/_tryto.ts";

const LOG = lines(100);
/** More than any pipe holds. */
const LARGE = lines(100_000);

interface Pair {
  ours: Done;
  theirs: Done;
}

/** Runs both, side by side, each in a folder of its own. */
async function both(
  args: readonly string[],
  how: How,
): Promise<Pair> {
  const [ours, theirs] = await Promise.all(
    (["ours", "original"] as const).map((which) => {
      const at = inside(how.folder, which);
      const env = { ...how.env, LOGFERRY_TEST: at };
      return runTryto(trytos[which]!, args, { ...how, folder: at, env });
    }),
  );
  return { ours: ours!, theirs: theirs! };
}

/**
 * Takes out what the original doesn't tell: which log was kept, and before that
 * what was told nobody yet; which program, and its exit code; and that there is
 * help.
 */
function asOriginal(done: Done, theirs: Done): Done {
  const shortened = (text: string) =>
    text.replaceAll(/(unable to start child) "[^"]*"/g, "$1")
      .replaceAll(/(child crashed\.) \(exit code \d+\)/g, "$1")
      .replace("[-pPv]", "[-vp]").replace("; see --help", "");
  const told = shortened(takeKept(done.told).told);
  const notice = "notice\n";
  const more = told.startsWith(notice) && !theirs.told.startsWith(notice);
  return {
    ...done,
    err: shortened(done.err),
    told: more ? told.slice(notice.length) : told,
  };
}

function assertSame({ ours, theirs }: Pair, what: string): void {
  const { seconds, ...results } = asOriginal(ours, theirs);
  const { seconds: theirSeconds, ...theirResults } = theirs;
  assertEquals(results, theirResults, what);
  // A busy machine makes either of them late; what hangs is later than that.
  // The pauses themselves are measured in tests/tryto.
  const difference = Math.abs(seconds - theirSeconds);
  assert(difference < 20, `${what}: ${seconds} s, not ${theirSeconds} s`);
}

interface Case {
  args: string[];
  /** How the log comes; in all ways unless given. */
  from?: readonly ("file" | "pipe" | "nothing")[];
  notices?: string;
}

const ALL = ["file", "pipe", "nothing"] as const;
/**
 * What ends without reading breaks the original's pipe, or doesn't yet, as the
 * moment has it.
 */
const UNREAD = ["nothing"] as const;
/** A failed try is not fed again by the original when the log is a pipe. */
const AGAIN = ["file", "nothing"] as const;

/** Counts its runs, reads all, and fails. */
const FAIL = ["sh", "-c", "cat; echo ran >&2; exit 3"];
/** Takes all, and stays. */
const STAY = ["sh", "-c", "cat >/dev/null; exec sleep 60"];
/** Takes all, and stays when it is asked to go. */
const INSIST = [
  "sh",
  "-c",
  "trap '' TERM; cat >/dev/null; sleep 60; sleep 60",
];

const SAME: Case[] = [
  // success, in every spelling
  { args: ["cat"] },
  { args: ["-v", "cat"] },
  { args: ["-p", "cat"], notices: "notice\n" },
  { args: ["-pv", "cat"], notices: "notice\n" },
  { args: ["-pv", "--", "cat"], notices: "" },
  { args: ["-Pt180", "-k", "5", "-n5", "--", "cat", "-u"], from: ["file"] },
  { args: ["--", "echo", "-n", "--", "-v"], from: UNREAD },
  {
    args: ["-n2", "-v", "sh", "-c", "echo $0 $1", "-x", "--"],
    from: UNREAD,
  },
  // failure: tries, messages, exit codes
  { args: ["-n1", ...FAIL] },
  { args: ["-vn1", ...FAIL], from: AGAIN },
  { args: ["-vn2", ...FAIL], from: AGAIN },
  { args: ["-n", "2", "-v", ...FAIL], from: AGAIN },
  { args: ["-n3", "sh", "-c", "cat; exit 255"], from: AGAIN },
  { args: ["-pn1", ...FAIL], from: AGAIN },
  { args: ["-pvn2", ...FAIL], from: AGAIN, notices: "" },
  { args: ["-pvn2", "sh", "-c", "cat >&2; exit 3"], from: AGAIN, notices: "" },
  {
    args: ["-v", "sh", "-c", "cat; test -e ran || { >ran; exit 3; }"],
    from: AGAIN,
  },
  // 0
  { args: ["-vn0", ...FAIL], from: AGAIN },
  { args: ["-vn1", "-t0", "sh", "-c", "sleep 1.5"], from: ["file"] },
  // what can't be started
  { args: ["-n1", "./nowhere"], from: UNREAD },
  { args: ["-vn2", "nowhere-in-path"], from: UNREAD },
  { args: ["-n1", "/etc/passwd"], from: UNREAD },
  { args: ["-n1", "."], from: UNREAD },
  { args: ["-n1", "-"], from: UNREAD },
  { args: ["-pn1", "./nowhere"], from: UNREAD, notices: "" },
  // time
  { args: ["-t1", ...STAY] },
  { args: ["-vt1", "-P", ...STAY] },
  { args: ["-t3", "-k1", ...INSIST] },
  { args: ["-t3", "-k1", "-P", ...INSIST] },
  { args: ["-pt3", "-k1", ...INSIST], from: ["nothing"], notices: "" },
  { args: ["-t3", "sh", "-c", "trap 'exit 0' TERM; cat; sleep 60 & wait"] },
  { args: ["-t3", "sh", "-c", "trap 'exit 7' TERM; cat; sleep 60 & wait"] },
  {
    args: [
      // The first try and the pause after it take long on a busy machine.
      "-vt5",
      "sh",
      "-c",
      "cat >/dev/null; test -e ran && exec sleep 60; >ran; exit 3",
    ],
    from: AGAIN,
  },
];

bothWays("the same as the original", async (t) => {
  using here = folder();
  const cases = SAME.flatMap(({ from = ALL, ...rest }) =>
    from.map((input) => ({ input, ...rest }))
  );
  const mark = `LOGFERRY_TEST=${here.path}`;
  try {
    await inParallel(someOf(cases, 30), async ({ args, input, notices }, i) => {
      const ask = (folder: string) =>
        both(args, {
          log: input === "nothing" ? "" : LOG,
          input: input === "pipe" ? "pipe" : "file",
          folder: inside(here.path, folder),
          patience: 40,
          ...(args.includes("-p") || notices !== undefined ||
              args[0]!.startsWith("-p")
            ? { notices: notices ?? "notice\n" }
            : {}),
        });
      let pair = await ask(`${i}`);
      // The original may miss the end of a child that never ran, and then
      // tries, and says, once more.
      const gone = args.some((arg) => /nowhere|passwd|^[.-]$/.test(arg));
      for (let n = 0; gone && n < 2; n++) {
        if (pair.theirs.err === pair.ours.err) break;
        pair = await ask(`${i}.${n}`);
      }
      await t.step({
        name: `tryto ${args.join(" ")} (${input})`,
        fn: () => assertSame(pair, args.join(" ")),
        sanitizeOps: false,
        sanitizeResources: false,
        sanitizeExit: false,
      });
    }, 6);
  } finally {
    endMarked(mark);
  }
}, ["tryto"]);

testWith(
  ["tryto"],
  "wrong usage has the original's messages",
  async () => {
    using here = folder();
    const cases = [
      [],
      ["--"],
      ["-v"],
      ["-x", "cat"],
      ["-vx", "cat"],
      ["-t"],
      ["-pn"],
      ["-v-", "cat"],
    ];
    await inParallel(cases, async (args, i) => {
      const how = { folder: inside(here.path, `${i}`) };
      assertSame(await both(args, how), args.join(" "));
    });
  },
);

testWith(["tryto", "strace"], "the original's defaults are ours", async () => {
  using here = folder();
  // The first poll's time-out is the time limit and 20 ms.
  for (
    const [value, limit] of [["0", 180], ["7", 7]]
  ) {
    const { stderr } = await new Deno.Command("strace", {
      args: ["-e", "trace=poll", trytos.original!, "-t", `${value}`, "true"],
      cwd: here.path,
      stdin: "null",
    }).output();
    const text = new TextDecoder().decode(stderr);
    const found = /POLLIN.*, (\d+)\) +=/.exec(text);
    const seconds = Math.round((Number(found?.[1]) - 20) / 1000);
    assertEquals(seconds, limit, text);
  }
});

bothWays("prog finds what the original gives it", async (t) => {
  using here = folder();
  const probes: Record<string, string[]> = {
    "descriptors": ["sh", "-c", "ls /proc/$$/fd"],
    "environment": ["env"],
    "signals": ["grep", "-E", "Sig(Blk|Ign)", "/proc/self/status"],
    "arguments": [
      "sh",
      "-c",
      'for i; do echo "<$i>"; done',
      "",
      "",
      " ",
      "é\n",
    ],
    "working directory": ["test", "-e", "log"],
    "session": [
      "sh",
      "-c",
      "set -- $(cat /proc/$$/stat); test $1 = $5 && echo group; " +
      "test $1 = $6 && echo session; true",
    ],
  };
  let i = 0;
  for (const [name, prog] of Object.entries(probes)) {
    for (const options of [["-n1"], ["-pn1"], ["-Pn1"]]) {
      await t.step(`${name} ${options}`, async () => {
        const { ours, theirs } = await both([...options, ...prog], {
          folder: inside(here.path, `${i++}`),
          // Descriptors 4 and 5 are open without -p too.
          notices: "",
          env: { LOGFERRY_TEST: "" },
        });
        const sorted = ({ out }: Done) =>
          out.split("\n").filter((line) =>
            // These say which of the two it is.
            !/^(PATH|LOGFERRY_TEST|PWD|_)=/.test(line)
          ).sort();
        assertEquals(sorted(ours), sorted(theirs));
        assertEquals(ours.code, 0);
      });
    }
  }
}, ["tryto"]);

bothWays(
  "TERM and KILL go to prog, or with -P to its group",
  async () => {
    using here = folder();
    const mark = `LOGFERRY_TEST=${here.path}`;
    const prog = ["sh", "-c", "cat >/dev/null; sleep 60 & wait"];
    try {
      await Promise.all(["-P", "-v"].map(async (option) => {
        const at = inside(here.path, option);
        assertSame(
          await both([option, "-t2", ...prog], {
            log: LOG,
            folder: at,
            patience: 40,
          }),
          option,
        );
        for (const which of ["ours", "original"]) {
          const left = () => marked(`${mark}/${option}/${which}`).length;
          if (option === "-P") await until("its end", () => left() === 0);
          else assertEquals(left(), 1);
        }
      }));
    } finally {
      endMarked(mark);
    }
  },
  ["tryto"],
);

// What follows is different, and has to be.

testWith(
  ["tryto"],
  "different: after a time-out the original has lost what prog had read",
  async () => {
    using here = folder();
    const { ours, theirs } = await both(["-pt1", ...STAY], {
      log: LOG,
      notices: "",
      folder: here.path,
      patience: 40,
    });
    assertEquals([ours.code, theirs.code], [0, 0]);
    assertEquals(takeKept(ours.told).told, theirs.told);
    assertEquals(theirs.out, "");
    assertEquals(ours.out, LOG);
  },
);

testWith(
  ["tryto"],
  "different: the original waits for ever for a reader that doesn't read",
  async () => {
    using here = folder();
    const mark = `LOGFERRY_TEST=${here.path}`;
    try {
      const { ours, theirs } = await both(["-pt1", "-k1", "sleep", "60"], {
        log: LARGE,
        notices: "",
        folder: here.path,
        patience: 8,
      });
      assertEquals(theirs.code, 137, "it has to be killed");
      assertEquals(ours.code, 0);
      assert(ours.out === LARGE);
    } finally {
      endMarked(mark);
    }
  },
);

testWith(
  ["tryto"],
  "different: the original's second try doesn't get the notices",
  async () => {
    using here = folder();
    const { ours, theirs } = await both(
      ["-pn2", "sh", "-c", "cat >>got; exit 3"],
      { log: LOG, notices: "notice\n", folder: here.path },
    );
    const got = (which: string) =>
      Deno.readTextFileSync(`${here.path}/${which}/got`);
    assertEquals(got("original"), "notice\n" + LOG + LOG);
    assertEquals(got("ours"), ("notice\n" + LOG).repeat(2));
    assertEquals(ours.out, theirs.out);
  },
);

testWith(
  ["tryto"],
  "different: the original fails when prog doesn't read all",
  async () => {
    using here = folder();
    const how = { log: LARGE, patience: 20 };
    const [good, bad] = await Promise.all(
      [0, 7].map((code) =>
        both(
          ["-n1", "sh", "-c", `head -c 1 >/dev/null; sleep 1; exit ${code}`],
          {
            ...how,
            folder: inside(here.path, `${code}`),
          },
        )
      ),
    );
    assertEquals([good!.ours.code, good!.theirs.code], [0, 111]);
    assertEquals([bad!.ours.code, bad!.theirs.code], [7, 111]);
  },
);

testWith(
  ["tryto"],
  "different: for the original a signal is a success in the end",
  async () => {
    using here = folder();
    const { ours, theirs } = await both(["-n1", "sh", "-c", "kill -9 $$"], {
      folder: here.path,
    });
    assertEquals([ours.code, theirs.code], [137, 0]);
    assertEquals(
      ours.err,
      "tryto: warning: child killed by signal 9 (KILL).\n" + theirs.err,
    );
  },
);

testWith(
  ["tryto"],
  "different: the original feeds a second try nothing of a pipe",
  async () => {
    using here = folder();
    const { ours, theirs } = await both([
      "-pn2",
      "sh",
      "-c",
      "cat >>got; false",
    ], {
      log: LOG,
      input: "pipe",
      notices: "",
      folder: here.path,
    });
    const got = (which: string) =>
      Deno.readTextFileSync(`${here.path}/${which}/got`);
    assertEquals([got("original"), theirs.out], [LOG, ""]);
    assertEquals([got("ours"), ours.out], [LOG + LOG, LOG]);
  },
);

testWith(
  ["tryto"],
  "different: the original rewinds beyond the start of its input",
  async () => {
    using here = folder();
    const results = [trytos.ours, trytos.original!].map(async (tryto) => {
      const name = `${here.path}/${tryto === trytos.ours ? "a" : "b"}`;
      Deno.writeTextFileSync(name, "first\nsecond\n");
      // The shell reads a line of a file without taking more.
      const script = `{ read first; exec '${tryto}' -n2 sh -c 'cat; false'; }`;
      const { stdout } = await new Deno.Command("/bin/sh", {
        args: ["-c", `${script} <${name}`],
        stderr: "null",
      }).output();
      return new TextDecoder().decode(stdout);
    });
    assertEquals(await Promise.all(results), [
      "second\nsecond\n",
      "second\nfirst\nsecond\n",
    ]);
  },
);

testWith(
  ["tryto"],
  "different: TERM ends the original, and leaves prog alone",
  async () => {
    using here = folder();
    const mark = `LOGFERRY_TEST=${here.path}`;
    const left: Record<string, number> = {};
    try {
      const { ours, theirs } = await both(
        ["-p", "sh", "-c", "cat >/dev/null; echo >ready; sleep 60"],
        {
          log: LOG,
          notices: "",
          folder: here.path,
          patience: 40,
          meanwhile: async (pid) => {
            const at = Deno.readLinkSync(`/proc/${pid}/cwd`);
            await until("prog has read", () => exists(`${at}/ready`));
            Deno.kill(pid, "SIGTERM");
            const mine = `LOGFERRY_TEST=${at}`;
            const alone = () => !marked(mine).includes(pid);
            await until("tryto's end", alone);
            left[at.replace(/.*\//, "")] = progs(mine);
          },
        },
      );
      assertEquals([ours.code, theirs.code], [111, 143]);
      assertEquals([ours.out, theirs.out], [LOG, ""]);
      assert(left.original! > 0, "prog lives on");
      assertEquals(left.ours, 0);
    } finally {
      endMarked(mark);
    }
  },
);

/** How many shells of a run are there: prog, not what it started. */
function progs(mark: string): number {
  return marked(mark).filter((pid) => {
    try {
      return Deno.readTextFileSync(`/proc/${pid}/comm`).trim() === "sh";
    } catch {
      return false;
    }
  }).length;
}

function exists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch {
    return false;
  }
}

testWith(
  ["tryto"],
  "different: the original drops the log when it can't be written",
  async () => {
    using here = folder();
    const { ours, theirs } = await both(["-pn1", "false"], {
      log: LOG,
      notices: "",
      output: "/dev/full",
      folder: here.path,
    });
    assertEquals([ours.code, theirs.code], [111, 0]);
  },
);

testWith(
  ["tryto"],
  "different: the original goes on without descriptors 4 and 5",
  async () => {
    using here = folder();
    const { ours, theirs } = await both(["-pt1", "-n1", "false"], {
      log: LOG,
      folder: here.path,
      patience: 40,
    });
    assertEquals(ours.code, 111);
    assertEquals(
      ours.err,
      "tryto: fatal: unable to use descriptor 4: file descriptor not open\n",
    );
    assertEquals(theirs.code, 0);
  },
);

testWith(
  ["tryto"],
  "different: when the time is up the original starts prog, and ends it",
  async () => {
    using here = folder();
    // The first try ends well within the limit, and the pause after it doesn't.
    const prog = "test -e ran && exec sleep 60; >ran; sleep 2.5; exit 3";
    const args = ["-t3", "-n9", "sh", "-c", prog];
    const { ours, theirs } = await both(args, { folder: here.path });
    assertEquals([ours.code, theirs.code], [100, 100]);
    assertEquals(ours.err, "tryto: fatal: child timed out, giving up.\n");
    assert(theirs.err.includes("sending TERM"), theirs.err);
  },
);

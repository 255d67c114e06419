/**
 * SIGKILL at every single system call of a rotation and of a start, and what
 * the next start, ours and the original's, makes of it.
 *
 * strace delivers the signal where the call is entered, and the kernel leaves
 * out the call of a thread that is to die (the first test shows it). So each
 * kill is one that comes right after the call before, and to walk through all
 * calls is to be killed before and after each of them.
 */
import { assert, assertEquals } from "@std/assert";
import { copySync } from "@std/fs";
import {
  chunk,
  folder,
  inEach,
  inParallel,
  latin1,
  ours,
  processesIn,
  run,
  someOf,
  testWith,
  tracing,
  until,
} from "../tools.ts";
import {
  type Entry,
  inOrder,
  look,
  numbered,
  oldFiles,
  ORIGINAL,
  text,
} from "./harness.ts";

/** The calls that change what is there. */
const CHANGES = new Set(
  "fsync fchmod fchmodat renameat unlinkat mkdirat".split(" "),
);

/** The calls that have to do with files and processes. */
const CALLS = new Set(
  ("openat mkdirat flock fcntl statx newfstatat getdents64 read write close " +
    "fsync fchmod fchmodat renameat unlinkat ftruncate lseek clone3 clone " +
    "vfork wait4").split(" "),
);

interface Scenario {
  name: string;
  script: string[];
  input: string;
  /** What a run before left, with its mode. */
  left: Record<string, [mode: number, text: string]>;
  /** Whether old files go, so that the first lines aren't there any more. */
  trimmed?: boolean;
}

/** So many logs that runs have left one multilog starts on. */
const AT_ONCE = 8;

const PROCESSOR = "!cat; cat <&4 >&5; echo run >&5";
/** Two files of the smallest size and a few lines. */
const INPUT = numbered(100, 1200);

const SCENARIOS: Scenario[] = [
  {
    name: "rotation in a new directory",
    script: ["s4096", "n20", "./log"],
    input: INPUT,
    left: {},
  },
  {
    name: "rotation with old files that go",
    script: ["s4096", "n3", "./log"],
    input: INPUT,
    left: {
      "@400000004c3f5e2d00000001.s": [0o744, numbered(0, 30)],
      "@400000004c3f5e2d00000002.u": [0o644, numbered(30, 60)],
      "@400000004c3f5e2d00000003.s": [0o744, numbered(60, 100)],
    },
    trimmed: true,
  },
  {
    name: "rotation with a processor",
    script: ["s4096", "n20", PROCESSOR, "./log"],
    input: INPUT,
    left: { current: [0o744, numbered(0, 100)], state: [0o644, "run\n"] },
  },
  {
    name: "start after a run cut off while its processor ran",
    script: ["n20", PROCESSOR, "./log"],
    input: INPUT.slice(0, 400),
    left: {
      previous: [0o744, numbered(0, 50)],
      processed: [0o644, numbered(0, 20)],
      current: [0o644, numbered(50, 100)],
      state: [0o644, "run\n"],
      newstate: [0o644, "half"],
    },
  },
  {
    name: "start after a run cut off when its processor had ended",
    script: ["n20", PROCESSOR, "./log"],
    input: INPUT.slice(0, 400),
    left: {
      previous: [0o744, numbered(0, 50)],
      processed: [0o744, numbered(0, 50)],
      current: [0o644, numbered(50, 100)],
      state: [0o644, "run\n"],
      newstate: [0o644, "run\nrun\n"],
    },
  },
];

function prepare(cwd: string, { left }: Scenario): void {
  Deno.mkdirSync(`${cwd}/log`, { recursive: true });
  for (const [name, [mode, text]] of Object.entries(left)) {
    Deno.writeTextFileSync(`${cwd}/log/${name}`, text);
    Deno.chmodSync(`${cwd}/log/${name}`, mode);
  }
  if (Object.keys(left).length === 0) Deno.removeSync(`${cwd}/log`);
}

/** A call to be killed at. */
interface Point {
  name: string;
  /** Which of that name it is, counted from the first, and from the last. */
  which: number;
  fromLast: number;
}

/** Which call of which name it is, for each call of one thread in a record. */
function* numberedCalls(
  record: string,
  isWanted: (name: string, thread: string) => boolean,
): Generator<{ line: string; name: string; which: number }> {
  const counts = new Map<string, number>();
  for (const line of record.split("\n")) {
    const [, thread = "", name] = /^(?:(\d+) +)?(\w+)\(/.exec(line) ?? [];
    if (name === undefined || !isWanted(name, thread)) continue;
    const which = (counts.get(`${thread} ${name}`) ?? 0) + 1;
    counts.set(`${thread} ${name}`, which);
    yield { line, name, which };
  }
}

/** How many calls there are of each name; the most that one thread made. */
function totalsOf(
  calls: Iterable<{ name: string; which: number }>,
): Map<string, number> {
  const totals = new Map<string, number>();
  for (const { name, which } of calls) {
    totals.set(name, Math.max(totals.get(name) ?? 0, which));
  }
  return totals;
}

/**
 * Kills a run at a call. How many calls the runtime makes for itself, and which
 * thread makes how many syncs, isn't the same in each run: where the call
 * doesn't come, the run has ended well, and the next one is killed at the call
 * that is as far from the last one.
 *
 * @param cwd Where it runs, a directory that is made, empty for each run
 * @param start Starts a run there, with words before it that kill it; its exit
 * code and what it has said
 * @returns What the run that was killed has said
 */
async function kill(
  { name, which, fromLast }: Point,
  cwd: string,
  start: (
    under: readonly string[],
  ) => Promise<{ code: number; stderr: string }>,
): Promise<string> {
  using at = folder();
  const record = `${at.path}/record`;
  for (let n = which; n > 0;) {
    Deno.mkdirSync(cwd);
    const { code, stderr } = await start(
      ["strace", ...(name === "fsync" ? ["-f"] : []), "-o", record]
        .concat("-e", `trace=${name}`)
        .concat("-e", `inject=${name}:signal=KILL:when=${n}`),
    );
    if (code !== 0) {
      assertEquals(code, 137, stderr);
      return stderr;
    }
    const calls = numberedCalls(text(record), (one) => one === name);
    const total = totalsOf(calls).get(name) ?? 0;
    n = Math.min(total - fromLast, n - 1);
    Deno.removeSync(cwd, { recursive: true });
  }
  throw new Error("no call of that name comes again");
}

/** Does something for a point; what goes wrong there is said with it. */
async function atPoint<T>(
  { name, which }: Point,
  work: () => T | Promise<T>,
): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw new Error(`killed at ${name} ${which}`, { cause: error });
  }
}

/** Runs a scenario to its end, and lists its calls from the first to the log. */
async function points(scenario: Scenario): Promise<Point[]> {
  using at = folder();
  prepare(at.path, scenario);
  const { code, stderr } = await run(
    ["strace", "-f", "-o", "trace", ours.multilog, ...scenario.script],
    { cwd: at.path, stdin: scenario.input },
  );
  assertEquals({ code, stderr }, { code: 0, stderr: "" });
  const trace = text(`${at.path}/trace`);
  const [main] = /^\d+/.exec(trace)!;
  // All that is done to files is done by the first thread, except syncs.
  const calls = [...numberedCalls(
    trace,
    (name, thread) => thread === main || name === "fsync",
  )];
  const totals = totalsOf(calls);
  const found = new Map<string, Point>();
  let begun = false;
  for (const { line, name, which } of calls) {
    begun ||= name !== "execve" && line.includes('"./log');
    if (!begun || !CALLS.has(name)) continue;
    // Each thread's syncs are counted by themselves.
    const fromLast = totals.get(name)! - which;
    found.set(`${name} ${which}`, { name, which, fromLast });
  }
  return [...found.values()];
}

/** What a kill may leave: what the table at the top of the sources says. */
function checkState(entries: Record<string, Entry>): void {
  const { previous, newstate } = entries;
  for (const name of Object.keys(entries)) {
    assert(
      /^(@[0-9a-f]{24}\.[su]|lock|current|previous|processed|state|newstate|failure)$/
        .test(name),
      name,
    );
  }
  if (newstate && !entries["processed"] && !previous) {
    assertEquals(newstate.mode, "744", "newstate alone");
  }
}

/** All lines that are in files, each once. */
function linesIn(path: string): string {
  const entries = look(path);
  const { current, previous, processed } = entries;
  const middle = processed?.mode === "744" ? processed : previous;
  return oldFiles(path)
    .filter((name) => !name.endsWith(".u") || !entries[name.replace(/u$/, "s")])
    .map((name) => entries[name]!.text).join("") +
    (middle?.text ?? "") + (current?.text ?? "");
}

/**
 * A text without its last line where that is cut short, nowhere else: while a
 * processor is waited for, no more is read than `current` has room for, and
 * the rest of the line is still in the pipe when the kill comes.
 */
function wholeLines(text: string): string {
  return text.slice(0, text.lastIndexOf("\n") + 1);
}

/** What is there, with a number in place of each old file's time. */
function plain(path: string): Record<string, Entry> {
  let n = 0;
  return Object.fromEntries(
    Object.entries(look(path)).map(([name, entry]) => [
      name.startsWith("@") ? `${++n}${name.slice(25)}` : name,
      entry,
    ]),
  );
}

/**
 * Starts on logs that runs have left, all of them at once: where one is, its
 * script is in the words, with that log.
 *
 * @param at Where the runs' folders are
 * @param folders Their names
 * @returns What is in each log then
 */
async function restart(
  program: string,
  script: readonly string[],
  at: string,
  folders: readonly string[],
): Promise<Record<string, Entry>[]> {
  const { code, stderr } = await run([program, ...inEach(script, folders)], {
    cwd: at,
    stdin: "",
  });
  assertEquals({ code, stderr }, { code: 0, stderr: "" });
  return folders.map((name) => plain(`${at}/${name}/log`));
}

/** Kills runs, each at one call, and looks what becomes of what they left. */
async function killAt(
  scenario: Scenario,
  points: readonly Point[],
): Promise<void> {
  const { script } = scenario;
  using at = folder();
  const left: Left[] = [];
  for (const [i, point] of points.entries()) {
    const cwd = `${at.path}/run${i}`;
    await atPoint(point, async () => {
      await kill(point, cwd, async (under) => {
        prepare(cwd, scenario);
        const words = [...under, ours.multilog, ...script];
        return await run(words, { cwd, stdin: scenario.input });
      });
      // Before the first call that does something there is no directory.
      Deno.mkdirSync(`${cwd}/log`, { recursive: true });
      // Both start on the same: a processor may still be writing to the first.
      copySync(cwd, `${at.path}/ours${i}`, { preserveTimestamps: true });
      copySync(`${at.path}/ours${i}`, `${at.path}/theirs${i}`);
      left.push(whatIsLeft(scenario, `${at.path}/ours${i}/log`));
    });
  }
  const named = (what: string) => points.map((_, i) => `${what}${i}`);
  const mine = await restart(ours.multilog, script, at.path, named("ours"));
  const theirs = await restart(ORIGINAL, script, at.path, named("theirs"));
  // And then ours goes on after it.
  await restart(ours.multilog, script, at.path, named("theirs"));
  for (const [i, point] of points.entries()) {
    await atPoint(point, () => {
      compare(scenario, mine[i]!, theirs[i]!);
      for (const what of ["ours", "theirs"]) {
        checkLines(scenario, left[i]!, `${at.path}/${what}${i}/log`);
      }
    });
  }
}

/** What a run that was killed has left. */
interface Left {
  /** All lines, each once. */
  lines: string;
  /** The first number that was ever there, and the one after the last. */
  first: number;
  most: number;
}

/** Looks at what a run has left. */
function whatIsLeft(scenario: Scenario, log: string): Left {
  checkState(look(log));
  const first = scenario.left["current"] || scenario.left["previous"] ? 0 : 100;
  const lines = linesIn(log);
  const from = scenario.trimmed ? parseInt(lines) || 0 : first;
  const most = inOrder(wholeLines(lines), from);
  if (scenario.trimmed) assert(from < 1000 || most === from);
  return { lines, first, most };
}

/** Compares what ours and the original made of the same. */
function compare(
  { script, trimmed }: Scenario,
  mine: Record<string, Entry>,
  theirs: Record<string, Entry>,
): void {
  // With the original an empty file pushes out one with lines.
  const pushed = Object.entries(theirs).some(([name, { text }]) =>
    /^\d/.test(name) && text === ""
  );
  // It leaves alone what waits for a processor.
  const queued = script.some((word) => word.startsWith("!"));
  if (!queued && !(trimmed && pushed)) assertEquals(mine, theirs);
  if (queued) {
    assertEquals(Object.keys(mine).filter((name) => /u$/.test(name)), []);
  }
}

/** Looks for the lines that a run had left, after the starts on it. */
function checkLines(
  { script, trimmed }: Scenario,
  { lines, first, most }: Left,
  log: string,
): void {
  const after = linesIn(log);
  if (trimmed) assert(lines.endsWith(after), "not the last lines");
  else assertEquals(after, lines);
  assertEquals(
    inOrder(wholeLines(after), trimmed ? parseInt(after) : first),
    most,
  );
  if (script.some((word) => word.startsWith("!"))) {
    // Each run of the processor counts once.
    const { state } = look(log);
    assert(/^(run\n)*$/.test(state!.text), state!.text);
  }
}

testWith(
  ["strace"],
  "kill: the call at which it is killed isn't done",
  async () => {
    using at = folder();
    const { code } = await run(
      ["strace", "-o", "/dev/null", "-e", "trace=renameat"]
        .concat("-e", "inject=renameat:signal=KILL:when=1")
        .concat(ours.multilog, "s4096", "./log"),
      { cwd: at.path, stdin: INPUT },
    );
    assertEquals(code, 137);
    assertEquals(oldFiles(`${at.path}/log`), []);
    assertEquals(look(`${at.path}/log`)["current"]!.text.slice(0, 4), "100\n");
  },
);

for (const scenario of SCENARIOS) {
  testWith(
    ["strace", ORIGINAL],
    `kill: at every call of a ${scenario.name}`,
    async () => {
      const some = someOf(await points(scenario), 20);
      await inParallel(
        chunk(some, AT_ONCE),
        (points) => killAt(scenario, points),
      );
    },
  );
}

/** One line that fills a file of the smallest size. */
function file(n: number): string {
  return `${n} `.padEnd(2999, "x") + "\n";
}

/** Where more files come than may wait, and what then becomes of them. */
interface Crowded {
  name: string;
  script: string[];
  /** What is in the calls that make room. */
  marked: string;
  /** Checks what is there after a kill and the next run. */
  check(found: Crowd): void;
}

/** What there is of a crowd. */
interface Crowd {
  /** The numbers of the files in the log, after the kill. */
  killed: number[];
  /** Those of the files in the end, and the labels of the old ones. */
  kept: number[];
  labels: string[];
  /** The numbers that went through the processor, and the notices. */
  sent: number[];
  notices: string;
  /** What the program that was killed said. */
  said: string;
  /** What is in the state in the end. */
  state: string;
}

const FILES = 6;
/** So many changes before and after those that make room are walked through. */
const AROUND = 6;
/**
 * Its first file takes it until the last one is there: multilog has made room
 * for all by then, unless it has been killed, and its lock is free.
 */
const SLOW = `#!/bin/sh
test -e ../began || {
  : >../began
  until cat current @* 2>/dev/null | grep -q '^${FILES - 1} '; do
    flock -n lock true && exit 1
    sleep 0.05
  done
}
exec cat >>../sent
`;

const CROWDED: Crowded[] = [
  {
    name: "files that go with d",
    script: ["s4096", "n3", "d", "!exec ../slow", "./log"],
    marked: "too many files wait",
    check({ killed, kept, labels, sent, said }) {
      const there = new Set([...killed, ...sent]);
      const gone = Math.max(-1, ...there) + 1 - there.size;
      const told = said.split(", removed unsent: ").length - 1;
      // The last one may have been told of, and be there still.
      assert(gone === told || gone === told - 1, `${gone} gone, ${told} told`);
      const later = new Set([...kept, ...sent]);
      for (const one of killed) assert(later.has(one), `${one} is lost`);
      assertEquals(labels, []);
    },
  },
  {
    name: "files that tryto -p keeps untried",
    script: ["s4096", "n3", "!tryto -p ../slow", "./log"],
    marked: '"keptstate", O_WRONLY',
    check({ killed, kept, labels, sent, notices, state }) {
      const there = new Set([...killed, ...kept, ...sent]);
      const gone = Math.max(-1, ...there) + 1 -
        new Set([...kept, ...sent]).size;
      const named = (text: string) =>
        [...text.matchAll(/ (@[0-9a-f]{24}), not sent /g)].map(([, one]) =>
          one!
        );
      const told = new Set(named(notices + state));
      // Nothing is kept and not told; and not twice in one place.
      for (const label of labels) {
        assert(told.has(label), `${label} isn't told`);
      }
      assertEquals(named(state).length, new Set(named(state)).size, state);
      // Those that were kept may have gone since, for n; one may have been
      // told of, and be sent after all.
      const more = told.size - labels.length;
      assert(gone === more || gone === more - 1, `${gone} gone, ${more} told`);
    },
  },
];

/** Prepares a folder, and starts a crowded multilog in it. */
async function crowd(
  at: string,
  { script }: Crowded,
  under: readonly string[],
  input = Array.from({ length: FILES }, (_, n) => file(n)).join(""),
) {
  Deno.mkdirSync(at, { recursive: true });
  Deno.writeTextFileSync(`${at}/slow`, SLOW, { mode: 0o755 });
  const bin = ours.multilog.replace(/\/[^/]*$/, "");
  return await run([...under, ours.multilog, ...script], {
    cwd: at,
    stdin: input,
    env: { PATH: `${bin}:${Deno.env.get("PATH")}` },
  });
}

/** The numbers of the lines in a text. */
function numbersIn(text: string): number[] {
  return [...text.matchAll(/^(\d+) x+$/gm)].map(([, number]) => Number(number));
}

async function killCrowd(crowded: Crowded, point: Point): Promise<void> {
  using at = folder();
  const cwd = `${at.path}/run`;
  const said = await kill(point, cwd, (under) => crowd(cwd, crowded, under));
  const log = `${cwd}/log`;
  Deno.mkdirSync(log, { recursive: true });
  // What it has left behind goes on with its file.
  await until("the processor ends", () => processesIn(at.path).length === 0);
  copySync(cwd, `${at.path}/next`, { preserveTimestamps: true });
  const next = `${at.path}/next`;
  // Nothing more comes that its first file could wait for.
  Deno.writeTextFileSync(`${next}/began`, "");
  const killed = numbersIn(linesIn(`${next}/log`));
  const again = await crowd(next, crowded, [], "");
  assertEquals([again.code, again.stderr], [0, ""]);
  const sent = text(`${next}/sent`);
  const old = oldFiles(`${next}/log`)
    .filter((name) => text(`${next}/log/${name}`) !== "");
  crowded.check({
    killed,
    kept: numbersIn(linesIn(`${next}/log`)),
    labels: old.map((name) => name.slice(0, 25)),
    sent: numbersIn(sent),
    notices: sent.replace(/^\d+ x+$/gm, ""),
    said,
    state: text(`${next}/log/state`),
  });
}

for (const crowded of CROWDED) {
  testWith(
    ["strace", "flock"],
    `kill: at every change and write by ${crowded.name}`,
    async () => {
      using at = folder();
      const { code } = await crowd(`${at.path}/run`, crowded, [
        "strace",
        ...["-s", "200", "-o", `${at.path}/trace`],
      ]);
      assertEquals(code, 0);
      const calls = [...numberedCalls(text(`${at.path}/trace`), () => true)];
      const totals = totalsOf(calls);
      const all: Point[] = [];
      let [first, last] = [Infinity, -1];
      for (const { line, name, which } of calls) {
        if (line.includes(crowded.marked)) {
          first = Math.min(first, all.length);
          last = all.length;
        }
        // What is written may be a message.
        if (!CHANGES.has(name) && name !== "write") continue;
        all.push({ name, which, fromLast: totals.get(name)! - which });
      }
      assert(last >= 0, "no room was made");
      // Where it happens, and what is around it; the rest others walk through.
      all.splice(last + 1 + AROUND);
      all.splice(0, Math.max(first - AROUND, 0));
      // Most of it is waiting.
      await inParallel(
        someOf(all, 16),
        (point) => atPoint(point, () => killCrowd(crowded, point)),
        8,
      );
    },
  );
}

/** What strace wrote of a call, where threads take turns in one line each. */
function wholeCalls(trace: string): string[] {
  const begun = new Map<string, string>();
  return trace.split("\n").flatMap((line) => {
    const [, thread = "", call = ""] = /^(\d+) +(.*)/.exec(line) ?? [];
    if (call.endsWith("<unfinished ...>")) {
      begun.set(thread, call.replace(/ *<unfinished ...>$/, ""));
      return [];
    }
    const resumed = /^<\.\.\. \w+ resumed>(.*)/.exec(call)?.[1];
    return resumed === undefined ? [call] : [begun.get(thread) + resumed];
  });
}

testWith(["strace"], "kill: what the disk is told, in its order", async () => {
  using at = folder();
  const order = async (
    script: string[],
    input: string,
    after = "write current",
  ) => {
    await run(
      tracing(
        "fsync,fchmod,fchmodat,renameat,unlinkat,write,openat",
        "trace",
        "-y",
      ).concat(ours.multilog, script),
      { cwd: at.path, stdin: input },
    );
    Deno.removeSync(`${at.path}/log`, { recursive: true });
    const trace = latin1(Deno.readFileSync(`${at.path}/trace`))
      .replaceAll(Deno.realPathSync(at.path) + "/", "")
      .replace(/@[0-9a-f]{24}/g, "@TIME");
    const steps = wholeCalls(trace).map((line) => {
      const [, call, rest] = /^(\w+)\((.*)\) += /.exec(line) ?? [];
      if (rest === undefined) return "";
      if (call === "write") {
        return rest.includes("<log/current>") ? "write current" : "";
      }
      if (call === "openat") {
        const made = /<log>, "(\w+)".*O_CREAT/.exec(rest);
        return made ? `open ${made[1]}` : "";
      }
      const named = [
        ...rest.matchAll(/<(?:log\/)?([^>]+)>(?!, ")|"([^"]+)"/g),
      ]
        .map((found) => found[1] ?? found[2]);
      const mode = /, (0[67]44)$/.exec(rest)?.[1] ?? "";
      return [call, ...named, mode].join(" ").trim();
    }).filter((step) => step !== "");
    assert(steps.includes(after), steps.join());
    return steps.slice(steps.indexOf(after) + 1);
  };
  assertEquals(await order(["./log"], "one\n"), [
    "fsync current",
    "fchmod current 0744",
  ]);
  // The run before was cut off: its names are on the disk before a byte comes.
  Deno.mkdirSync(`${at.path}/log`);
  Deno.writeTextFileSync(`${at.path}/log/current`, "old\n");
  assertEquals(
    (await order(["./log"], "one\n", "renameat current @TIME.u"))
      .filter((step) => /current|log/.test(step)),
    [
      "open current",
      "fchmod current 0644",
      "fsync log",
      "write current",
      "fsync current",
      "fchmod current 0744",
    ],
  );
  // It fills a file to the byte, so that it is read and written at once.
  const line = "x".repeat(2095) + "\n";
  const ofCurrent = (steps: string[]) =>
    steps.filter((step) => / current/.test(step));
  const ofFile = (steps: string[]) =>
    steps.filter((step) => /TIME|log|state|processed/.test(step));
  let steps = await order(["s4096", "./log"], line);
  assertEquals(ofCurrent(steps), [
    "renameat current @TIME.u",
    "open current",
    "fchmod current 0644",
    // The new one is empty: there is nothing to sync.
    "fchmod current 0744",
  ]);
  const finished = [
    "renameat current @TIME.u",
    "fsync log",
    "fsync @TIME.u",
    "fchmod @TIME.u 0744",
  ];
  assertEquals(ofFile(steps), [...finished, "renameat @TIME.u @TIME.s"]);
  // Its name is on the disk before its lines are.
  steps = await order(["s4096", "./log"], line + "one\n");
  const made = steps.indexOf("open current");
  const synced = steps.indexOf("fsync current");
  assert(steps.slice(made, synced).includes("fsync log"), steps.join());
  // What the last run left is on the disk, and stays in sight.
  Deno.mkdirSync(`${at.path}/log`);
  Deno.writeTextFileSync(`${at.path}/log/current`, "old\n");
  Deno.chmodSync(`${at.path}/log/current`, 0o744);
  steps = await order(["s4096", "./log"], line.slice("old\n".length));
  assertEquals(steps.slice(0, finished.length), finished);
  assert(steps.indexOf("open current") > steps.indexOf("fsync log"));
  const queued = [...finished, "open processed", "open newstate"];
  assertEquals(ofFile(await order(["s4096", "!cat", "./log"], line)), [
    ...queued,
    "open processed",
    "fsync processed",
    "renameat processed @TIME.s",
    "fsync log",
    "fchmodat @TIME.s 0744",
    "renameat newstate state",
    "unlinkat @TIME.u",
  ]);
  // Nothing is lost with an empty file: the disk is told while the next one is
  // processed.
  const sends = ["s4096", "!cat >/dev/null", "./log"];
  assertEquals(ofFile(await order(sends, line)), [
    ...queued,
    "renameat processed @TIME.s",
    "fchmodat @TIME.s 0744",
    "renameat newstate state",
    "unlinkat @TIME.u",
    "fsync log",
  ]);
  const withState = ["s4096", "!cat; echo >&5", "./log"];
  assertEquals(ofFile(await order(withState, line)), [
    ...queued,
    "open processed",
    "fsync processed",
    "open newstate",
    "fchmod newstate 0744",
    "fsync newstate",
    "fsync log",
    "renameat processed @TIME.s",
    "fsync log",
    "fchmodat @TIME.s 0744",
    "renameat newstate state",
    "fchmodat state 0644",
    "unlinkat @TIME.u",
    "fsync log",
  ]);
});

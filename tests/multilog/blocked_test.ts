/**
 * What a KILL loses in each state in which multilog can stand still: bytes that
 * are neither in the log nor left in the pipe. README says how many. The
 * original, killed in the same states, loses 550 to 1120.
 */
import { assert } from "@std/assert";
import { close, read, write } from "../../src/sys/descriptors.ts";
import { open } from "../../src/sys/files.ts";
import {
  bytes,
  childrenOf,
  folder,
  inCheckout,
  type Need,
  ours,
  sleep,
  testWith,
} from "../tools.ts";
import {
  canMount,
  Disk,
  isBusy,
  makeFifo,
  mode,
  Running,
  waitFor,
  wakeUps,
  whole,
} from "./harness.ts";
import { until } from "../waiting.ts";

/** What is sent when nothing stops it. */
const MOST_SENT = 4_000_000;
/**
 * What it may lose while it stands still for trouble, as README says: what the
 * original reads at once, and of a line that is to be looked at the beginning.
 */
const LITTLE = 1024 + 1000;
/** What it may lose at most, as README says. */
const MOST = 256 * 1024;

/** A state to be stuck in. */
interface State {
  /** Its script; the last word is the log. */
  readonly script: readonly string[];
  /** The log, where it is made for the first line. */
  readonly log?: string;
  /** How many bytes are sent, where the state doesn't end it. */
  readonly most?: number;
  /** What is sent, again and again. */
  readonly line?: string;
  /** What is done when it has started. */
  readonly prepare?: (path: string, disk: Disk | undefined) => void;
  /** The size of the small disk that it needs at `disk`. */
  readonly disk?: string;
  /** How strace makes a system call fail, and which, in either program. */
  readonly inject?: string;
  readonly loses: number;
}

const LINE = `${"x".repeat(99)}\n`;
const ALL = ["s999999", "./log"];
const FULL = ["s9999999", "./disk/log"];
const fill = (_path: string, disk?: Disk) => disk!.fill("filler");
const ROTATED = ["s99999", "n999", "./log"];

const STATES: Record<string, State> = {
  "waits for input": { script: ["./log"], most: 100_000, loses: 0 },
  "waits for the rest of a line that patterns are to see": {
    script: ["-y*", "./log"],
    most: 100_600,
    line: "x".repeat(1600),
    loses: 1024,
  },
  "waits for whoever reads its alerts": {
    script: ["e", "s9999999", "./log"],
    most: 2_000_000,
    loses: 0,
  },
  "waits for its processor": {
    script: ["s4096", "n3", `!${waitFor("go")}`, "./log"],
    loses: 0,
  },
  "waits for its processor, and selects lines": {
    script: ["-y*", "s4096", "n3", `!${waitFor("go")}`, "./log"],
    loses: LITTLE,
  },
  "has filled its disk": { script: FULL, disk: "1m", loses: LITTLE },
  "has filled its disk with stamped lines": {
    script: ["t", ...FULL],
    disk: "1m",
    line: "x\n",
    loses: LITTLE,
  },
  "has filled its disk with lines of two logs": {
    script: ["s9999999", "./disk/other", "-y*", "./disk/log"],
    disk: "2m",
    loses: LITTLE,
  },
  "pauses for a disk that another has filled": {
    script: FULL,
    disk: "1m",
    prepare: fill,
    loses: LITTLE,
  },
  "pauses for its status file": {
    script: ["=disk/status", "s9999999", "./log"],
    disk: "300k",
    prepare: (path, disk) => {
      Deno.removeSync(`${path}/disk/status`);
      fill(path, disk);
    },
    most: 2_000_000,
    loses: LITTLE,
  },
  "can't write to current, for no reason that could be foreseen": {
    script: ALL,
    inject: "write:error=EIO:when=4+",
    loses: MOST,
  },
  "has filled the disk of many hosts' logs": {
    script: ["s9999999", "@./disk"],
    disk: "1m",
    line: `host: ${LINE}`,
    log: "disk/host",
    loses: LITTLE,
  },
  "can't rename current": {
    script: ROTATED,
    inject: "rename,renameat:error=EACCES",
    loses: LITTLE,
  },
  "can't make a new current": {
    script: ["s99999", "n999", "./disk/log"],
    // The disk, the log, lock, state and current have one each.
    disk: "8m,nr_inodes=5",
    loses: LITTLE,
  },
  "can't sync its files": {
    script: ROTATED,
    inject: "fsync:error=EIO:when=3+",
    loses: LITTLE,
  },
  "can't set the mode of its files": {
    script: ROTATED,
    inject: "fchmod:error=EIO:when=3+",
    loses: LITTLE,
  },
};

/** The process that is looked at: what strace has started. */
function seen(running: Running, traced: boolean): number {
  return traced ? childrenOf(running.pid)[0] ?? running.pid : running.pid;
}

/** How many bytes are left in a fifo that nobody reads any more. */
function leftIn(path: string): number {
  const reader = open(path, "read");
  const buffer = new Uint8Array(65536);
  let left = 0;
  for (let n; (n = read(reader, buffer)) > 0;) left += n;
  close(reader);
  return left;
}

/** Has a multilog stand still, kills it, and counts. */
async function lostBy(program: string, state: State): Promise<number> {
  using at = folder();
  using disk = state.disk ? new Disk(`${at.path}/disk`, state.disk) : undefined;
  using _fifo = await makeFifo(`${at.path}/fifo`);
  using _alerts = await makeFifo(`${at.path}/alerts`);
  const alerts = state.script[0] === "e";
  const name = state.log ?? state.script.at(-1)!.replace("./", "");
  const log = `${at.path}/${name}`;
  const traced = state.inject !== undefined;
  const under = traced
    ? [
      ...["strace", "-f", "-o", "/dev/null", "--seccomp-bpf"],
      ...state.inject!.startsWith("write") ? ["-P", `${log}/current`] : [],
      ...["-e", `trace=${state.inject!.split(":")[0]}`],
      ...["-e", `inject=${state.inject}`],
    ]
    : [];
  await using running = new Running(
    alerts
      ? ["-c", 'exec "$@" 2>alerts', "sh", program, ...state.script]
      : state.script,
    {
      cwd: at.path,
      program: alerts ? "sh" : program,
      fifo: "fifo",
      under,
    },
  );
  if (state.log === undefined) {
    await until("it has begun", () => mode(`${log}/current`) !== "");
  }
  await running.waits();
  const pid = seen(running, traced);
  state.prepare?.(at.path, disk);
  const writer = open(`${at.path}/fifo`, "append");
  const line = bytes(state.line ?? LINE);
  const many = bytes(
    (state.line ?? LINE).repeat(Math.floor(4096 / line.length)),
  );
  const most = state.most ?? MOST_SENT;
  let sent = 0;
  try {
    for (let still = 0; still < 100 && sent < most;) {
      // A pipe takes so many whole, or none.
      const n = write(writer, many.subarray(0, most - sent));
      if (n > 0) sent += n;
      still = n > 0 ? 0 : still + 1;
      if (n < 0) await sleep(10);
    }
    let before;
    do {
      before = wakeUps(pid);
      await sleep(20);
    } while (wakeUps(pid) > before || isBusy(pid));
  } finally {
    close(writer);
  }
  running.signal("SIGKILL");
  // The processor, which it leaves behind, ends too.
  Deno.writeTextFileSync(`${at.path}/go`, "");
  await running.code();
  const left = leftIn(`${at.path}/fifo`);
  const stamps = state.script[0] === "t";
  const kept = whole(log).replaceAll(stamps ? /^@[0-9a-f]{24} /gm : "", "");
  assert(sent > 60_000, `${sent} bytes were sent`);
  assert(state.most || sent < MOST_SENT, "it doesn't stand still");
  return sent - kept.length - left;
}

/** What README says. */
const README = [
  "it loses, at most:",
  "- the original's 1 KiB while multilog pauses",
  "- 256 KiB while it is busy; also while it pauses because a write has failed",
];
const readme = Deno.readTextFileSync(inCheckout("README.md"))
  .replace(/\s+/g, " ");

for (const [name, state] of Object.entries(STATES)) {
  const needs: Need[] = state.inject ? ["strace"] : [];
  if (state.disk) needs.push("root");
  testWith(
    needs,
    `a KILL while multilog ${name} loses ${
      state.loses === 0 ? "nothing" : "no more than README says"
    }`,
    async () => {
      if (state.disk && !canMount()) return;
      assert(README.every((words) => readme.includes(words)));
      const lost = await lostBy(ours.multilog, state);
      assert(lost <= state.loses, `${lost} bytes`);
    },
  );
}

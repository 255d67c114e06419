/**
 * What a KILL loses in each state in which multilog can stand still: bytes that
 * are neither in the log nor left in the pipe. README says how many.
 */
import { assert } from "@std/assert";
import { close, write } from "../../src/sys/descriptors.ts";
import { open } from "../../src/sys/files.ts";
import { bytes, folder, inCheckout, ours, sleep } from "../tools.ts";
import {
  canMount,
  Disk,
  drain,
  makeFifo,
  Running,
  waitFor,
  whole,
} from "./harness.ts";
import { until } from "../waiting.ts";

/** What it may lose while it pauses, as README says. */
const MOST = 256 * 1024;

/** A state to be stuck in. */
interface State {
  readonly script: readonly string[];
  /** How much of `log` there is, where that isn't in `./log`. */
  readonly log?: string;
  /** How many bytes are sent, where the state doesn't end it. */
  readonly most?: number;
  /** What is done when it has started. */
  readonly prepare?: (path: string) => void;
  /** Whether it needs a small disk at `disk`. */
  readonly disk?: boolean;
  readonly loses: number;
}

const LINE = `${"x".repeat(99)}\n`;

const STATES: Record<string, State> = {
  "waits for input": { script: ["./log"], most: 100_000, loses: 0 },
  "waits for whoever reads its alerts": {
    script: ["e", "s9999999", "./log"],
    most: 2_000_000,
    loses: 0,
  },
  "waits for its processor": {
    script: ["s4096", "n3", `!${waitFor("go")}`, "./log"],
    loses: 0,
  },
  "pauses for a full disk": {
    script: ["s9999999", "./disk/log"],
    log: "disk/log",
    disk: true,
    loses: MOST,
  },
  "pauses for its status file": {
    script: ["=disk/status", "s9999999", "./log"],
    disk: true,
    prepare: (path) => {
      Deno.removeSync(`${path}/disk/status`);
      fill(path);
    },
    loses: MOST,
  },
  "pauses because current can't be renamed": {
    script: ["s9999", "n999", "./log"],
    prepare: (path) => {
      Deno.renameSync(`${path}/log/current`, `${path}/log/@mine`);
      Deno.mkdirSync(`${path}/log/current`);
    },
    loses: MOST,
  },
};

function fill(path: string): void {
  using file = Deno.openSync(`${path}/disk/filler`, {
    write: true,
    create: true,
  });
  try {
    while (file.writeSync(new Uint8Array(4096)) > 0);
  } catch {
    // It is full.
  }
}

/** Has a multilog stand still, kills it, and counts. */
async function lostBy(program: string, state: State): Promise<number> {
  using at = folder();
  using _disk = state.disk ? new Disk(`${at.path}/disk`, "300k") : undefined;
  using fifo = await makeFifo(`${at.path}/fifo`);
  using _alerts = await makeFifo(`${at.path}/alerts`);
  const alerts = state.script[0] === "e";
  const log = state.log ?? "log";
  await using running = new Running(
    alerts
      ? ["-c", 'exec "$@" 2>alerts', "sh", program, ...state.script]
      : state.script,
    { cwd: at.path, program: alerts ? "sh" : program, fifo: "fifo" },
  );
  await until("it has begun", () => {
    try {
      return Deno.statSync(`${at.path}/${log}/current`).isFile;
    } catch {
      return false;
    }
  });
  await sleep(100);
  state.prepare?.(at.path);
  const writer = open(`${at.path}/fifo`, "append");
  let sent = 0;
  try {
    for (let still = 0; still < 100 && sent < (state.most ?? Infinity);) {
      const n = write(writer, bytes(LINE));
      if (n > 0) sent += n;
      still = n > 0 ? 0 : still + 1;
      if (n < 0) await sleep(10);
    }
    await running.waits();
  } finally {
    close(writer);
  }
  running.signal("SIGKILL");
  // The processor, which it leaves behind, ends too.
  Deno.writeTextFileSync(`${at.path}/go`, "");
  await running.code();
  const left = drain(fifo);
  const kept = whole(`${at.path}/${log}`);
  assert(sent > 60_000, `${sent} bytes were sent`);
  return sent - kept.length - left.length;
}

const readme = Deno.readTextFileSync(inCheckout("README.md"));

for (const [name, state] of Object.entries(STATES)) {
  Deno.test({
    name: `a KILL while multilog ${name} loses ${
      state.loses === 0 ? "nothing" : "no more than README says"
    }`,
    ignore: state.disk === true && !canMount(),
    async fn() {
      assert(readme.includes("at most 256 KiB"));
      const lost = await lostBy(ours.multilog, state);
      assert(lost <= state.loses, `${lost} bytes`);
    },
  });
}

/**
 * What the tests of tryto share: running one with a log as its input, and the
 * descriptors that multilog gives to a processor.
 */
import { installed, latin1, ours } from "../tools.ts";

/** Our tryto, and the original's path where it is installed. */
export const trytos = { ours: ours.tryto, original: installed("tryto") };

/** How to run tryto. */
export interface How {
  /** The log: what is on descriptor 0. */
  log?: string | Uint8Array;
  /** How it comes. */
  input?: "file" | "pipe";
  /** What is on descriptor 4; 4 and 5 are closed unless this is given. */
  notices?: string;
  /** What descriptor 1 is, where it isn't a file that is read afterwards. */
  output?: string;
  /** The folder to run in, which gets the files; it must be empty. */
  folder: string;
  /** Seconds after which SIGKILL ends it; its code is then 137. */
  patience?: number;
  /** Variables added to its environment. */
  env?: Record<string, string>;
  /** Called with tryto's process id once it runs. */
  meanwhile?: (pid: number) => Promise<void>;
}

/** What tryto did. */
export interface Done {
  code: number;
  /** Descriptor 1. */
  out: string;
  /** Descriptor 2. */
  err: string;
  /** Descriptor 5. */
  told: string;
  seconds: number;
}

/** Runs a tryto. It is found by `$PATH`, so that it knows itself as `tryto`. */
export async function runTryto(
  path: string,
  args: readonly string[],
  how: How,
): Promise<Done> {
  const { log = "", input = "file", output = "out", folder } = how;
  const bytes = typeof log === "string" ? new TextEncoder().encode(log) : log;
  Deno.writeFileSync(`${folder}/log`, bytes);
  if (how.notices !== undefined) {
    Deno.writeTextFileSync(`${folder}/state`, how.notices);
  }
  const start = performance.now();
  const descriptors = how.notices === undefined
    ? "4<&- 5>&-"
    : "4<state 5>newstate";
  const from = input === "file" ? "<log" : "";
  const child = new Deno.Command("/bin/sh", {
    args: [
      "-c",
      `exec tryto "$@" ${from} >${output} 2>err ${descriptors}`,
      "sh",
      ...args,
    ],
    cwd: folder,
    env: {
      ...how.env,
      PATH: `${path.replace(/\/[^/]*$/, "")}:${Deno.env.get("PATH")}`,
    },
    stdin: input === "pipe" ? "piped" : "null",
  }).spawn();
  const feeding = input === "pipe" ? feed(child.stdin, bytes) : undefined;
  const timer = how.patience === undefined
    ? undefined
    : setTimeout(() => child.kill("SIGKILL"), how.patience * 1000);
  await how.meanwhile?.(child.pid);
  const { code } = await child.status;
  const seconds = (performance.now() - start) / 1000;
  clearTimeout(timer);
  await feeding;
  const content = (name: string) => latin1(Deno.readFileSync(name));
  return {
    code,
    out: output === "out" ? content(`${folder}/out`) : "",
    err: content(`${folder}/err`),
    told: how.notices === undefined ? "" : content(`${folder}/newstate`),
    seconds,
  };
}

async function feed(
  stdin: WritableStream<Uint8Array>,
  bytes: Uint8Array,
): Promise<void> {
  const writer = stdin.getWriter();
  try {
    await writer.write(bytes);
    await writer.close();
  } catch {
    // tryto ended before it had all.
  }
}

/** Makes an empty folder inside another. */
export function inside(folder: string, name: string): string {
  const path = `${folder}/${name}`;
  Deno.mkdirSync(path);
  return path;
}

/** Lines of a log, numbered, so that a missing one is seen. */
export function lines(count: number, width = 40): string {
  let text = "";
  for (let i = 0; i < count; i++) text += `line ${i}`.padEnd(width) + "\n";
  return text;
}

/** Whether a process is there and no zombie. */
export function runs(pid: number): boolean {
  try {
    const status = Deno.readTextFileSync(`/proc/${pid}/stat`);
    return !/\) [ZX]/.test(status);
  } catch {
    return false;
  }
}

/** The processes that were started with a variable in their environment. */
export function marked(mark: string): number[] {
  const found: number[] = [];
  for (const { name } of Deno.readDirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const environment = latin1(Deno.readFileSync(`/proc/${name}/environ`));
      if (environment.includes(mark) && runs(Number(name))) {
        found.push(Number(name));
      }
    } catch {
      // It has gone, or it isn't ours.
    }
  }
  return found;
}

/** Ends what is left of a test's processes. */
export function endMarked(mark: string): void {
  for (const pid of marked(mark)) {
    try {
      Deno.kill(pid, "SIGKILL");
    } catch {
      // It has gone.
    }
  }
}

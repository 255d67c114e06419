/**
 * What the tests of tryto share: running one with a log as its input, and the
 * descriptors that multilog gives to a processor.
 */
import { carriedOut } from "../inside/_ways.ts";
import {
  bytes,
  installed,
  killAll,
  latin1,
  ours,
  processesNaming,
  run,
} from "../tools.ts";

/** Our tryto, and the original's path where it is installed. */
export const trytos = { ours: ours.tryto, original: installed("tryto") };

/** Seconds after which one that hangs has done so for long enough. */
const PATIENCE = 300;

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
  /** Variables added to its environment. */
  env?: Record<string, string>;
  /** Seconds after which SIGKILL ends it; its code is then 137. */
  patience?: number;
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
  const { notices, patience = PATIENCE, meanwhile } = how;
  Deno.writeFileSync(`${folder}/log`, bytes(log));
  if (notices !== undefined) {
    Deno.writeTextFileSync(`${folder}/state`, notices);
  }
  const start = performance.now();
  const { by, in: at } = carriedOut(path);
  const { code } = await run([...by, "tryto", ...args], {
    cwd: folder,
    env: {
      ...how.env,
      PATH: `${at}:${Deno.env.get("PATH")}`,
    },
    redirections: `${input === "file" ? "<log" : ""} >${output} 2>err ` +
      (notices === undefined ? "4<&- 5>&-" : "4<state 5>newstate"),
    ...(input === "pipe" ? { stdin: log } : {}),
    patience,
    ...(meanwhile === undefined ? {} : { meanwhile }),
  });
  const seconds = (performance.now() - start) / 1000;
  const content = (name: string) => latin1(Deno.readFileSync(name));
  return {
    code,
    out: output === "out" ? content(`${folder}/out`) : "",
    err: content(`${folder}/err`),
    told: notices === undefined ? "" : content(`${folder}/newstate`),
    seconds,
  };
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

/** The processes that were started with a variable in their environment. */
export function marked(mark: string): number[] {
  return processesNaming(mark).map(({ pid }) => pid);
}

/** Ends what is left of a test's processes. */
export function endMarked(mark: string): void {
  killAll(processesNaming(mark));
}

const KEPT =
  /^tryto: warning: kept \d+ bytes of \/.+ @4[0-9a-f]{23}, not sent since \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ: .+\n/m;

/** Takes the first notice of a log that was kept out of what is told. */
export function takeKept(told: string): { kept: string; told: string } {
  return { kept: KEPT.exec(told)?.[0] ?? "", told: told.replace(KEPT, "") };
}

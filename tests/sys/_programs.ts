/**
 * What the tests of `src/sys` share: shells started by our own `spawn`, and
 * another Deno for what a test process can't do to itself.
 */
import { close, pipe, read } from "../../src/sys/descriptors.ts";
import { environ } from "../../src/sys/environment.ts";
import {
  type ExitStatus,
  type Program,
  spawn,
  waitFor,
} from "../../src/sys/process.ts";
import { Poller, READABLE } from "../../src/sys/poll.ts";
import { latin1 } from "../tools.ts";

/** What a program wrote to its standard output, and how it ended. */
export interface Result {
  output: string;
  ending: ExitStatus;
}

/** Runs a program by `spawn`, its standard output into a pipe. */
export async function output(
  program: Omit<Program, "env"> & {
    env?: Program["env"];
  },
): Promise<Result> {
  const { reader, writer } = pipe();
  let pid;
  try {
    pid = spawn({
      env: environ(),
      ...program,
      fds: new Map([...program.fds ?? [], [1, writer]]),
    });
  } finally {
    close(writer);
    if (pid === undefined) close(reader);
  }
  const text = await readAll(reader);
  close(reader);
  return { output: text, ending: await waitFor(pid) };
}

/** Runs a shell script by `spawn`. */
export function shell(
  script: string,
  program: Partial<Program> = {},
): Promise<Result> {
  return output({ args: ["sh", "-c", script], ...program });
}

let poller: Poller | undefined;

/** Everything to the end of input, the event loop turning meanwhile. */
async function readAll(fd: number): Promise<string> {
  // One poller serves all tests of a file: it lasts as long as its program.
  poller ??= new Poller(1);
  poller.set(0, fd, READABLE);
  const buffer = new Uint8Array(65536);
  let text = "";
  while (true) {
    await poller.wait();
    if (poller.found(0) === 0) continue;
    const n = read(fd, buffer);
    if (n <= 0) return text;
    text += latin1(buffer.subarray(0, n));
  }
}

const MODULES = [
  "clock",
  "descriptors",
  "environment",
  "errors",
  "files",
  "limits",
  "names",
  "poll",
  "process",
  "runtime",
  "signals",
  "sockets",
  "users",
];

/**
 * The command that runs TypeScript in another Deno, each module of `src/sys`
 * under its name.
 */
export function denoCommand(code: string): string[] {
  const imports = MODULES.map((name) => {
    const url = new URL(`../../src/sys/${name}.ts`, import.meta.url);
    return `import * as ${name} from ${JSON.stringify(url.href)};\n`;
  });
  const program = `${imports.join("")}void [${MODULES}];\n${code}`;
  return [Deno.execPath(), "eval", "-q", "--no-config", "--ext=ts", program];
}

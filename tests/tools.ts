/**
 * What the tests share: the compiled executables, the originals, a folder to
 * work in, and running a program with bytes in and bytes out.
 *
 * @module
 */
import { type Bytes, encode } from "../src/bytes.ts";

const root = new URL("../", import.meta.url);

/**
 * The path of a file of the checkout.
 *
 * @param name Its name, relative to the top
 * @returns The path
 */
export function inCheckout(name: string): string {
  return decodeURIComponent(new URL(name, root).pathname);
}

/** The compiled executables that everything is tested on. */
export const ours = {
  multilog: inCheckout("dist/multilog"),
  tryto: inCheckout("dist/tryto"),
  socklogTcp: inCheckout("dist/socklog-tcp"),
};

/**
 * Where a program is, if it is installed.
 *
 * @param name Its name; or the path of a file that isn't one
 * @returns Its path
 */
export function installed(name: string): string | undefined {
  if (name.startsWith("/")) return isThere(name) ? name : undefined;
  const path = (Deno.env.get("PATH") ?? "").split(":");
  for (const folder of [...path, "/usr/local/sbin", "/usr/sbin", "/sbin"]) {
    try {
      const { isFile, mode } = Deno.statSync(`${folder}/${name}`);
      if (isFile && (mode ?? 0) & 0o111) return `${folder}/${name}`;
    } catch {
      // not here
    }
  }
  return undefined;
}

function isThere(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}

/** What a test needs: originals that must be installed, or root. */
export type Need = string;

/**
 * Defines a test that needs programs which may not be here; it is then
 * reported as ignored, with what is missing in its name.
 *
 * @param needs The programs' names; `"root"` for being root
 * @param name The test's name
 * @param fn The test
 */
export function testWith(
  needs: readonly Need[],
  name: string,
  fn: (t: Deno.TestContext) => Promise<void> | void,
): void {
  const missing = needs.filter((need) =>
    need === "root" ? Deno.uid() !== 0 : installed(need) === undefined
  );
  Deno.test({
    name: missing.length ? `${name} (needs ${missing.join(", ")})` : name,
    ignore: missing.length > 0,
    fn,
  });
}

/** A folder that goes when its scope ends (`using`). */
export interface Folder extends Disposable {
  /** Its path. */
  readonly path: string;
}

/**
 * Makes a folder for one test.
 *
 * @returns The folder
 */
export function folder(): Folder {
  const path = Deno.makeTempDirSync({ prefix: "logferry-" });
  return {
    path,
    [Symbol.dispose]: () => Deno.removeSync(path, { recursive: true }),
  };
}

/**
 * What is put in front of a command for which the machine's file of hosts is
 * to be another one; only root may, with `unshare`.
 *
 * @param at A folder, where the file is made
 * @param hosts What is in it
 * @returns The words
 */
export function withHosts(at: string, hosts: string): string[] {
  const file = `${at}/hosts`;
  Deno.writeTextFileSync(file, hosts);
  return ["unshare", "-m", "sh", "-c"]
    .concat('mount --bind "$0" /etc/hosts; exec "$@"', file);
}

/**
 * The children of a process: of strace, for example, what it traces.
 *
 * @param pid The process
 * @returns Their process ids; none when it is gone
 */
export function childrenOf(pid: number): number[] {
  try {
    return Deno.readTextFileSync(`/proc/${pid}/task/${pid}/children`)
      .match(/\d+/g)?.map(Number) ?? [];
  } catch {
    return [];
  }
}

/** Put in front of a command, they run it as nobody; for root, with `setpriv`. */
export const AS_NOBODY: readonly string[] = [
  "setpriv",
  "--reuid=65534",
  "--regid=65534",
  "--clear-groups",
];

/** What a program did. */
export interface Outcome {
  /** Its exit code; 128 and the signal's number when a signal ended it. */
  code: number;
  /** Its standard output. */
  stdout: Uint8Array;
  /** Its standard error, as text. */
  stderr: string;
  /** Its standard output, as text, a character for each byte. */
  text: string;
}

/** How to run a program. */
export interface RunOptions {
  /** Its standard input; text goes as UTF-8. */
  stdin?: string | Uint8Array;
  /** Its working directory. */
  cwd?: string;
  /** Variables added to its environment. */
  env?: Record<string, string>;
  /** Whether it gets only those variables. */
  clearEnv?: boolean;
}

/**
 * Runs a program to its end.
 *
 * @param command Its path and arguments
 * @param options How
 * @returns What it did
 */
export async function run(
  command: readonly string[],
  options: RunOptions = {},
): Promise<Outcome> {
  const { stdin, ...rest } = options;
  const child = new Deno.Command(command[0]!, {
    args: command.slice(1),
    stdin: stdin === undefined ? "null" : "piped",
    stdout: "piped",
    stderr: "piped",
    ...rest,
  }).spawn();
  const feeding = stdin === undefined ? undefined : feed(child.stdin, stdin);
  const { code, stdout, stderr } = await child.output();
  await feeding;
  return {
    code,
    stdout,
    stderr: new TextDecoder().decode(stderr),
    text: latin1(stdout),
  };
}

async function feed(
  stdin: WritableStream<Uint8Array>,
  input: string | Uint8Array,
): Promise<void> {
  const writer = stdin.getWriter();
  try {
    await writer.write(bytes(input));
    await writer.close();
  } catch {
    // It ended without reading all: its exit code tells.
  }
}

/**
 * The bytes of a text.
 *
 * @param text The text, or bytes already
 * @returns Its bytes in UTF-8
 */
export function bytes(text: string | Uint8Array): Bytes {
  return typeof text === "string" ? encode(text) : text as Bytes;
}

/**
 * Bytes as text, a character for each byte, so that nothing is hidden.
 *
 * @param bytes The bytes
 * @returns The text
 */
export function latin1(bytes: Uint8Array): string {
  let text = "";
  for (let i = 0; i < bytes.length; i += 4096) {
    text += String.fromCharCode(...bytes.subarray(i, i + 4096));
  }
  return text;
}

/**
 * Waits until something is true, looking often; for what can't be waited for
 * in any other way.
 *
 * @param what What is waited for, for the error message
 * @param condition Whether it is true
 * @param seconds How long at the most
 * @throws {Error} When it isn't true by then
 */
export async function until(
  what: string,
  condition: () => boolean | Promise<boolean>,
  seconds = 120,
): Promise<void> {
  const end = performance.now() + seconds * 1000;
  while (!await condition()) {
    if (performance.now() > end) throw new Error(`never happened: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/**
 * Does something for each of a list, a few at a time: that keeps two cores busy
 * with programs that also wait, and leaves each of them enough to be in time.
 *
 * @param items The list
 * @param work What to do with an item, and where it is in the list
 * @param workers How many at a time; three, unless they mostly wait
 * @returns What came of each, in the list's order
 * @throws What the first to fail threw, once none is at work any more
 */
export async function inParallel<T, R>(
  items: readonly T[],
  work: (item: T, index: number) => Promise<R>,
  workers = 3,
): Promise<R[]> {
  const results: R[] = [];
  let next = 0;
  const worker = async () => {
    while (next < items.length) {
      const index = next++;
      results[index] = await work(items[index]!, index);
    }
  };
  const done = await Promise.allSettled(
    Array.from({ length: workers }, worker),
  );
  for (const one of done) if (one.status === "rejected") throw one.reason;
  return results;
}

/**
 * Random numbers that a seed makes again (mulberry32).
 *
 * @param seed The seed
 * @returns A function like `Math.random`
 */
export function seeded(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/**
 * The seed of this run: `$LOGFERRY_SEED`, or a new one. A test that uses it
 * prints it.
 *
 * @returns The seed
 */
export function chosenSeed(): number {
  const given = Deno.env.get("LOGFERRY_SEED");
  return given ? Number(given) : Math.floor(Math.random() * 2 ** 31);
}

/**
 * What the tests share: the compiled executables, the originals, a folder to
 * work in, programs that run (`programs.ts`), and waiting (`waiting.ts`).
 *
 * @module
 */
export { latin1 } from "../src/bytes.ts";
export * from "./programs.ts";
export * from "./waiting.ts";

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

/** Whether everything is tested, however long it takes: `deno task test --all`. */
const ALL = Deno.env.has("LOGFERRY_ALL");

/**
 * How often a test does something, or how much of it.
 *
 * @param few What shows within seconds that it works
 * @param all What `deno task test --all` does
 * @returns Which of them it is in this run
 */
export function howMany(few: number, all: number): number {
  return ALL ? all : few;
}

/**
 * Chooses what a test tries of all that there is to try: all of it with
 * `deno task test --all`, and otherwise some, others in each run. It prints the
 * seed that chooses the same ones again.
 *
 * @param list All that there is
 * @param few How many of it
 * @returns Those chosen, in the list's order
 */
export function someOf<T>(list: readonly T[], few: number): T[] {
  if (ALL || list.length <= few) return [...list];
  const seed = chosenSeed();
  console.log(`${few} of ${list.length}: LOGFERRY_SEED=${seed}`);
  const random = seeded(seed);
  return list.map((_, i) => ({ i, order: random() }))
    .sort((a, b) => a.order - b.order).slice(0, few)
    .sort((a, b) => a.i - b.i).map(({ i }) => list[i]!);
}

/**
 * Cuts a list into pieces.
 *
 * @param list The list
 * @param size How many a piece has, but the last
 * @returns The pieces, in the list's order
 */
export function chunk<T>(list: readonly T[], size: number): T[][] {
  const pieces: T[][] = [];
  for (let at = 0; at < list.length; at += size) {
    pieces.push(list.slice(at, at + size));
  }
  return pieces;
}

/**
 * What goes before a program so that strace writes down calls of it, and of what
 * it starts. All others go on at full speed; where strace attaches to a process
 * (`-p`), it can't tell them apart before they have stopped.
 *
 * @param calls The calls' names, with commas between them
 * @param to The file that they are written to
 * @param flags More of strace's flags
 * @returns The words
 */
export function tracing(
  calls: string,
  to: string,
  ...flags: string[]
): string[] {
  return ["strace", "-f", "--seccomp-bpf", "-qq", "-o", to]
    .concat("-e", `trace=${calls}`, flags);
}

/**
 * A script for the logs in several folders: one start is for all of them.
 *
 * @param script The script for one folder's logs, `./log` for instance
 * @param folders The folders' names
 * @returns The script's words for each folder, one after the other
 */
export function inEach(
  script: readonly string[],
  folders: readonly string[],
): string[] {
  return folders.flatMap((name) =>
    script.map((word) => word.replace(/^(@?)\.\//, `$1./${name}/`))
  );
}

/** What a test needs: programs that must be installed, root, or time. */
export type Need = string;

/**
 * Defines a test that needs programs which may not be here; it is then
 * reported as ignored, with what is missing in its name.
 *
 * @param needs The programs' names; `"root"` for being root; `"--all"` where it
 * takes long, so that only `deno task test --all` runs it
 * @param name The test's name
 * @param fn The test
 */
export function testWith(
  needs: readonly Need[],
  name: string,
  fn: (t: Deno.TestContext) => Promise<void> | void,
): void {
  const missing = needs.filter((need) =>
    need === "root"
      ? Deno.uid() !== 0
      : need === "--all"
      ? !ALL
      : installed(need) === undefined
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
 * A copy of an executable that other users may start: the checkout may be where
 * they can't go. All may look into the folder that it is made in, from then on.
 *
 * @param at The folder, one of the test's
 * @param program The executable
 * @returns The copy's path
 */
export function forOthers(at: string, program: string): string {
  const copy = `${at}/${program.slice(program.lastIndexOf("/") + 1)}`;
  Deno.copyFileSync(program, copy);
  Deno.chmodSync(at, Deno.statSync(at).mode! & 0o7777 | 0o555);
  return copy;
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

/** Undefined until it is asked for. */
let seedOfThisRun: number | undefined;

/**
 * The seed of this run: `$LOGFERRY_SEED`, or a new one, the same for all tests
 * of a file. A test that uses it prints it.
 *
 * @returns The seed
 */
export function chosenSeed(): number {
  const given = Deno.env.get("LOGFERRY_SEED");
  seedOfThisRun ??= given ? Number(given) : Math.floor(Math.random() * 2 ** 31);
  return seedOfThisRun;
}

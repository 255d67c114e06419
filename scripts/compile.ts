// Compiles the executable into dist/, when it is older than its sources, and
// gives it the programs' names.
//
//   deno task compile [--force] [--target TRIPLE]
import { parseArgs } from "@std/cli/parse-args";
import { copy, exists, walk } from "@std/fs";
import { encode } from "../src/bytes.ts";
import { endRunning, run } from "./child.ts";
import { cleaningUp } from "./clean_up.ts";

/**
 * What the executable may do. All input and output goes through libc, but TLS,
 * which is the runtime's.
 */
const PERMISSIONS = ["--allow-ffi", "--allow-net"];

/** The executable: all programs, by the name that it is started under. */
const EXECUTABLE = "logferry";

/** The names that are links to it. */
export const LINKS: readonly string[] = ["multilog", "tryto", "socklog-tcp"];

/** The machines that there is a runtime for, and a C library that is known. */
const TARGETS = [
  "x86_64-unknown-linux-gnu",
  "aarch64-unknown-linux-gnu",
];

const SOURCE_FOLDERS = ["cmd", "src"];
const SOURCE_FILES = [
  "deno.json",
  "scripts/compile.ts",
  "scripts/toolchain.txt",
];

/** Something can't be compiled; the message is the compiler's. */
export class CompileError extends Error {}

/** Where it is noted what the executable was compiled of and by. */
function noteOf(folder: string): string {
  return `${folder}/.${EXECUTABLE}`;
}

/**
 * What the executable is compiled of and by: the sources, the Deno, its runtime.
 * No times: copying, unpacking and installing give files whatever times.
 */
async function compiledOf(): Promise<string> {
  const paths = [...SOURCE_FILES];
  for (const folder of SOURCE_FOLDERS) {
    for await (const { path, isFile } of walk(folder)) {
      if (isFile) paths.push(path);
    }
  }
  let list = `${Deno.version.deno} ${
    Deno.env.get("DENORT_BIN") ?? Deno.execPath()
  }\n`;
  for (const path of paths.sort()) {
    list += `${path} ${await sha256(await Deno.readFile(path))}\n`;
  }
  return await sha256(encode(list));
}

/**
 * The SHA-256 of bytes.
 *
 * @param bytes The bytes
 * @returns It, in hex
 */
export async function sha256(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join(
    "",
  );
}

async function isUpToDate(folder: string, of: string): Promise<boolean> {
  try {
    return await exists(`${folder}/${EXECUTABLE}`) &&
      await Deno.readTextFile(noteOf(folder)) === of;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/** A target's folder; what is made for other machines doesn't run here. */
function folderOf(target: string): string {
  return target === Deno.build.target ? "dist" : `dist/${target}`;
}

async function deno(
  args: string[],
  target: string = Deno.build.target,
  cwd: string = Deno.cwd(),
  more: Record<string, string> = {},
) {
  const env = { ...Deno.env.toObject(), ...more };
  let program = Deno.execPath();
  if (target !== Deno.build.target && env.DENORT_BIN !== undefined) {
    // That is this machine's. What came from npm has a Deno for the other's.
    delete env.DENORT_BIN;
    env.LOGFERRY_TARGET = target.split("-")[0]!;
    program = `${Deno.cwd()}/scripts/deno`;
  }
  const output = await run(program, { args, cwd, env, clearEnv: true });
  if (output === undefined) return;
  const why = output.split("\n").at(-1)!;
  if (why.startsWith("scripts/deno: ")) {
    throw new CompileError(`no runtime for ${target}: ${why.slice(14)}`);
  }
  if (env.DENORT_BIN === undefined && output.includes("dl.deno.land")) {
    throw new CompileError(
      target === Deno.build.target
        ? "no runtime to compile with: dl.deno.land does not answer, and npm has none for this Deno and machine"
        : `no runtime for ${target}: dl.deno.land does not answer`,
    );
  }
  throw new CompileError(output);
}

/** The times that the executable has of its sources, in place of their own. */
const SOURCE_TIME = new Date(Date.UTC(2020, 0, 1));

/** A module that is loaded when it is asked for. */
const ON_DEMAND = /\bimport\(\s*"([^"]+)"\s*\)/g;

/** The folder that a path leads into. */
function folderIn(path: string): string {
  return path.slice(0, path.lastIndexOf("/"));
}

/**
 * Makes few modules of many, since a start costs as much for each of them as
 * for what is in it. Each program gets one that has all that its start needs,
 * and one for each thing that is loaded when it is asked for.
 *
 * @param work A folder for it
 * @returns The folder that the executable's main module is in
 */
async function bundle(work: string): Promise<string> {
  await copy("deno.json", `${work}/deno.json`);
  // Programs that had modules in common would be cut where those end. So each
  // has sources of its own.
  for (const program of [EXECUTABLE, ...LINKS]) {
    for (const folder of SOURCE_FOLDERS) {
      await Deno.mkdir(`${work}/${program}`, { recursive: true });
      await copy(folder, `${work}/${program}/${folder}`);
    }
  }
  const main = `${work}/${EXECUTABLE}/cmd/${EXECUTABLE}.ts`;
  const text = await Deno.readTextFile(main);
  await Deno.writeTextFile(
    main,
    text.replaceAll(ON_DEMAND, (whole, path: string) => {
      const program = path.slice("./".length, -".ts".length);
      return LINKS.includes(program)
        ? `import("../../${program}/cmd/${program}.ts")`
        : whole;
    }),
  );
  for (const program of LINKS) {
    await Deno.remove(`${work}/${program}/cmd/${EXECUTABLE}.ts`);
    await joinOnDemand(`${work}/${program}`);
  }
  const env: Record<string, string> = {};
  const fetched = `${folderIn(Deno.execPath())}/dl`;
  if (await exists(fetched)) {
    // What scripts/deno has fetched for it.
    env.DENO_DIR = `${work}/cache`;
    await Deno.mkdir(env.DENO_DIR);
    await Deno.symlink(fetched, `${env.DENO_DIR}/dl`);
  }
  const folder = `${work}/bundle`;
  await deno(
    ["bundle", "--quiet", "--no-remote", "--minify", "--code-splitting"]
      .concat("--outdir", folder, main),
    Deno.build.target,
    work,
    env,
  );
  // The executable remembers when each of its files was saved; of these, all at
  // the same time, always the same one comes out.
  for await (const { path } of walk(folder)) {
    await Deno.utime(path, SOURCE_TIME, SOURCE_TIME);
  }
  return folder;
}

/**
 * Has each module that is loaded when it is asked for import the one that asks,
 * which is there by then. So the bundler sees that all that a start needs is
 * needed by everything else, too, and leaves it in one piece.
 */
async function joinOnDemand(folder: string): Promise<void> {
  const imports = new Map<string, Set<string>>();
  for await (const { path, isFile } of walk(folder)) {
    if (!isFile) continue;
    for (const [, to] of (await Deno.readTextFile(path)).matchAll(ON_DEMAND)) {
      const loaded = await Deno.realPath(`${folderIn(path)}/${to}`);
      const asking = imports.get(loaded) ?? new Set();
      imports.set(loaded, asking.add(path));
    }
  }
  for (const [loaded, asking] of imports) {
    const lines = [...asking].sort().map((path) => `import "${path}";\n`);
    await Deno.writeTextFile(loaded, lines.join(""), { append: true });
  }
}

function temporaryOf(folder: string): string {
  return `${folder}/${EXECUTABLE}.${Deno.pid}`;
}

async function compile(target: string, sources: string, of: string) {
  const folder = folderOf(target);
  const temporary = temporaryOf(folder);
  await deno(
    [
      "compile",
      "--quiet",
      "--no-check",
      "--no-prompt",
      // The cache would be a file in /tmp whose name anybody can guess, and
      // what is in it is run: no thing for a program that root starts.
      "--no-code-cache",
      ...PERMISSIONS,
      "--target",
      target,
      "--output",
      `${Deno.cwd()}/${temporary}`,
      `${EXECUTABLE}.js`,
    ],
    target,
    sources,
  );
  const note = noteOf(folder);
  await Deno.remove(note).catch(() => {});
  // Renamed into place, because one that runs can't be written to.
  await Deno.rename(temporary, `${folder}/${EXECUTABLE}`);
  await Deno.writeTextFile(note, of);
}

/** Gives the executable its other names, each in one step. */
async function link(folder: string) {
  const executable = `${folder}/${EXECUTABLE}`;
  const { dev, ino } = await Deno.stat(executable);
  for (const name of LINKS) {
    const path = `${folder}/${name}`;
    const there = await Deno.lstat(path).catch(() => undefined);
    if (there?.dev === dev && there.ino === ino) continue;
    const temporary = temporaryOf(folder);
    await Deno.link(executable, temporary);
    await Deno.rename(temporary, path);
  }
}

/**
 * Compiles the executable if it isn't up to date, in the checkout's folder.
 *
 * @param args The command line
 * @returns The folder that it and its links are in
 * @throws {CompileError} With what the compiler said
 */
export async function compileAll(args: string[] = []): Promise<string> {
  Deno.chdir(new URL("..", import.meta.url));
  const { force, target } = parseArgs(args, {
    boolean: ["force"],
    string: ["target"],
    default: { target: Deno.build.target },
    unknown(arg) {
      throw new CompileError(`unknown word: ${arg}`);
    },
  });
  if (!TARGETS.includes(target)) {
    throw new CompileError(
      `no such target: ${target} (there are ${TARGETS.join(", ")})`,
    );
  }
  const folder = folderOf(target);
  const path = `${folder}/${EXECUTABLE}`;
  // Before anything is compiled: what is saved meanwhile may not be in it.
  const of = await compiledOf();
  if (!force && await isUpToDate(folder, of)) {
    await link(folder);
    console.log(`${path}  up to date`);
    return folder;
  }
  console.log(`${path}  being compiled`);
  // Before anything is replaced.
  await deno(["check", "--quiet", `cmd/${EXECUTABLE}.ts`]);
  await Deno.mkdir(folder, { recursive: true });
  const work = await Deno.realPath(
    await Deno.makeTempDir({ prefix: "logferry-" }),
  );
  await using _work = cleaningUp(async () => {
    await endRunning("SIGKILL");
    await Deno.remove(work, { recursive: true });
    const unfinished = temporaryOf(folder);
    for await (const { name } of Deno.readDir(folder)) {
      const path = `${folder}/${name}`;
      // The compiler writes to a file of a longer name, and renames it.
      if (path === unfinished || path.startsWith(`${unfinished}.`)) {
        await Deno.remove(path);
      }
    }
    // A new folder goes, too; one with files in it stays.
    await Deno.remove(folder).catch(() => {});
  });
  await compile(target, await bundle(work), of);
  await link(folder);
  const { size } = await Deno.stat(path);
  console.log(
    `${path}  ${(size / 1e6).toFixed(1)} MB, also as ${LINKS.join(", ")}`,
  );
  return folder;
}

if (import.meta.main) {
  try {
    await compileAll(Deno.args);
  } catch (error) {
    if (!(error instanceof CompileError)) throw error;
    console.error(`compile: ${error.message}`);
    Deno.exit(1);
  }
}

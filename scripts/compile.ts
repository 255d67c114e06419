// Compiles the executable into dist/, when it is older than its sources, and
// gives it the programs' names.
//
//   deno task compile [--force] [--target TRIPLE]
import { parseArgs } from "@std/cli/parse-args";
import { exists, walk } from "@std/fs";
import { encode } from "../src/bytes.ts";
import {
  bundleAll,
  BundleError,
  settleTimes,
  SOURCE_FOLDERS,
} from "./bundle.ts";
import { endRunning, run } from "./child.ts";
import { cleaningUp } from "./clean_up.ts";
import { cacheCode, CodeCacheError } from "./code_cache.ts";

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

const SOURCE_FILES = [
  "deno.json",
  "scripts/bundle.ts",
  "scripts/code_cache.ts",
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
) {
  const env = Deno.env.toObject();
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

function temporaryOf(folder: string): string {
  return `${folder}/${EXECUTABLE}.${Deno.pid}`;
}

async function compileModule(
  target: string,
  folder: string,
  module: string,
  executable: string,
  permissions: readonly string[],
) {
  await deno(
    [
      "compile",
      "--quiet",
      "--no-check",
      "--no-prompt",
      // That cache would be a file in /tmp whose name anybody can guess, and
      // what is in it is run: no thing for a program that root starts.
      "--no-code-cache",
      // What the executable has in its place is read as these are.
      "--unstable-raw-imports",
      // V8 collects young objects when they fill a megabyte. By default that
      // grows to 16, which stay in memory when a busy hour is over; it saves no
      // time, since hardly any of ours live until then.
      "--v8-flags=--max-semi-space-size=1",
      ...permissions,
      "--target",
      target,
      "--output",
      executable,
      module,
    ],
    target,
    folder,
  );
}

async function compile(target: string, sources: string, of: string) {
  const folder = folderOf(target);
  const temporary = temporaryOf(folder);
  const executable = `${Deno.cwd()}/${temporary}`;
  const module = `${EXECUTABLE}.js`;
  await compileModule(target, sources, module, executable, PERMISSIONS);
  const note = noteOf(folder);
  await Deno.remove(note).catch(() => {});
  // Renamed into place, because one that runs can't be written to.
  await Deno.rename(temporary, `${folder}/${EXECUTABLE}`);
  await Deno.writeTextFile(note, of);
}

/**
 * Keeps what the runtime makes of the programs' code. Where it can't be kept,
 * the executable starts more slowly, and that is all.
 */
async function cacheAll(sources: string, work: string) {
  const { target } = Deno.build;
  try {
    await cacheCode({
      programs: LINKS,
      bundled: sources,
      main: `${EXECUTABLE}.js`,
      work,
      recorder: `${Deno.cwd()}/${temporaryOf(folderOf(target))}.recorder`,
      compile: (module, executable) =>
        compileModule(target, sources, module, executable, ["--allow-all"]),
    });
  } catch (error) {
    if (!(error instanceof CodeCacheError)) throw error;
    console.log(`compile: ${error.message}`);
  }
}

function isNotEmpty(error: unknown): boolean {
  return error instanceof Error && "code" in error &&
    error.code === "ENOTEMPTY";
}

/** Removes a folder, although a file may just be being made in it. */
function removeWhole(folder: string) {
  while (true) {
    try {
      return Deno.removeSync(folder, { recursive: true });
    } catch (error) {
      if (!isNotEmpty(error)) throw error;
    }
  }
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
  // At once, so that no signal comes between the two.
  const work = Deno.realPathSync(
    Deno.makeTempDirSync({ prefix: "logferry-" }),
  );
  await using _work = cleaningUp(async () => {
    await endRunning("SIGKILL");
    // Without waiting in between: after a signal what was going on would go on
    // meanwhile, and make the folders again.
    removeWhole(work);
    const unfinished = temporaryOf(folder);
    for (const { name } of Deno.readDirSync(folder)) {
      const path = `${folder}/${name}`;
      // The compiler writes to a file of a longer name, and renames it.
      if (path === unfinished || path.startsWith(`${unfinished}.`)) {
        Deno.removeSync(path);
      }
    }
    // A new folder goes, too; one with files in it stays.
    try {
      Deno.removeSync(folder);
    } catch (error) {
      if (!isNotEmpty(error)) throw error;
    }
  });
  await Deno.copyFile("deno.json", `${work}/deno.json`);
  const sources = await bundleAll(LINKS, work).catch((error) => {
    if (!(error instanceof BundleError)) throw error;
    throw new CompileError(error.message);
  });
  // Only what can run here can do the work that is to be kept.
  if (target === Deno.build.target) await cacheAll(sources, work);
  await settleTimes(sources);
  await compile(target, sources, of);
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

/**
 * Makes few modules of the many that a program consists of, since a start
 * costs as much for each of them as for what is in it.
 *
 * @module
 */
import { copy, exists, walk } from "@std/fs";
import { run } from "./child.ts";

/** What the programs consist of. */
export const SOURCE_FOLDERS: readonly string[] = ["cmd", "src"];
/** What none of the programs has a use for: it loads them. */
export const MAIN = "cmd/logferry.ts";

/** The times that all that is made has, in place of its own. */
const SOURCE_TIME = new Date(Date.UTC(2020, 0, 1));

/** A module that is loaded when it is asked for. */
const ON_DEMAND = /\bimport\(\s*"([^"]+)"\s*\)/g;

/** Modules can't be bundled; the message is the bundler's. */
export class BundleError extends Error {}

/** The folder that a path leads into. */
function folderIn(path: string): string {
  return path.slice(0, path.lastIndexOf("/"));
}

async function copySources(folder: string): Promise<void> {
  await Deno.mkdir(folder, { recursive: true });
  for (const name of SOURCE_FOLDERS) await copy(name, `${folder}/${name}`);
}

/**
 * Copies a program's sources, ready to be bundled: each module that is loaded
 * when it is asked for imports the program, which is there by then. So the
 * bundler sees that all that a start needs is needed by everything else, too,
 * and leaves it in one piece.
 *
 * @param program The program, as its module in `cmd` is called
 * @param folder Where to
 */
export async function copyProgram(
  program: string,
  folder: string,
): Promise<void> {
  await copySources(folder);
  await Deno.remove(`${folder}/${MAIN}`);
  const onDemand = new Set<string>();
  for await (const { path, isFile } of walk(folder)) {
    if (!isFile) continue;
    for (const [, to] of (await Deno.readTextFile(path)).matchAll(ON_DEMAND)) {
      onDemand.add(await Deno.realPath(`${folderIn(path)}/${to}`));
    }
  }
  const root = await Deno.realPath(`${folder}/cmd/${program}.ts`);
  for (const path of onDemand) {
    await Deno.writeTextFile(path, `import "${root}";\n`, { append: true });
  }
}

/**
 * Bundles a module and all that it imports.
 *
 * @param main The module
 * @param work A folder that may be written to
 * @returns The folder that the bundle is in, under the module's name
 * @throws {BundleError} With what the bundler said
 */
export async function bundle(main: string, work: string): Promise<string> {
  const env = { ...Deno.env.toObject() };
  // What scripts/deno has fetched for it; where there is none, Deno does.
  const fetched = `${folderIn(Deno.execPath())}/dl`;
  if (await exists(fetched)) {
    env.DENO_DIR = `${work}/cache`;
    await Deno.mkdir(env.DENO_DIR, { recursive: true });
    await Deno.symlink(fetched, `${env.DENO_DIR}/dl`);
  }
  const folder = `${work}/bundle`;
  const failure = await run(Deno.execPath(), {
    args: ["bundle", "--quiet", "--no-remote", "--minify", "--code-splitting"]
      .concat("--outdir", folder, main),
    env,
    cwd: work,
    clearEnv: true,
  });
  if (failure !== undefined) throw new BundleError(failure);
  return folder;
}

/**
 * Gives all files in a folder the same time. The executable remembers when each
 * of its files was saved; of these always the same one comes out.
 */
export async function settleTimes(folder: string): Promise<void> {
  for await (const { path } of walk(folder)) {
    await Deno.utime(path, SOURCE_TIME, SOURCE_TIME);
  }
}

/**
 * Bundles all programs, and what loads them.
 *
 * Programs that had modules in common would be cut where those end, so each
 * has sources of its own. At a time one of them is loaded.
 *
 * @param programs The programs, as their modules in `cmd` are called
 * @param work A folder that may be written to
 * @returns The folder that the bundle is in, under the name of {@linkcode MAIN}
 * @throws {BundleError} With what the bundler said
 */
export async function bundleAll(
  programs: readonly string[],
  work: string,
): Promise<string> {
  for (const program of programs) {
    await copyProgram(program, `${work}/${program}`);
  }
  await copySources(`${work}/main`);
  const main = `${work}/main/${MAIN}`;
  let text = await Deno.readTextFile(main);
  for (const program of programs) {
    const own = `import("../../${program}/cmd/${program}.ts")`;
    const moved = text.replace(`import("./${program}.ts")`, own);
    if (moved === text) throw new BundleError(`${MAIN} loads no ${program}`);
    text = moved;
  }
  await Deno.writeTextFile(main, text);
  return await bundle(main, work);
}

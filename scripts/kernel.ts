// Builds the kernel: src/kernel/module.ts out of src/kernel/assembly.ts.
//
//   deno task kernel
//
// The compiler, AssemblyScript, comes from npm into the cache folder, outside
// of the project's tree; its hashes are checked before anything of it runs.
import { encode } from "../src/bytes.ts";

/** What is fetched: package, version, integrity. */
const PACKAGES: readonly [name: string, version: string, integrity: string][] =
  [
    [
      "assemblyscript",
      "0.28.20",
      "sha512-5PM7GZpvcLypHcLmi30aP8mqm5HjU+LL3BdV1xDyA3USGtL2w+iMiUnhtH+vW8+2kOuHlAyPu7M+QgyEw5he1g==",
    ],
    [
      "binaryen",
      "131.0.0-nightly.20260721",
      "sha512-AAQIkhfbYXh4FBObwBrlO+5L+6Rp6OOMOjh6AdT0M+GLNLyrwKWgtW+EzmizNgx9CWDfTJPfDtKoZi62QESbtg==",
    ],
    [
      "long",
      "5.2.4",
      "sha512-qtzLbJE8hq7VabR3mISmVGtoXP8KGc2Z/AT8OuqlYD7JTR3oqrgwdjnk07wpj1twXxYmgDXgoKVWUG/fReSzHg==",
    ],
  ];

const OPTIONS = ["-O3", "--converge", "--noAssert", "--runtime", "stub"]
  .concat("--enable", "simd", "--importMemory", "--memoryBase", "0");

/** Where the kernel's source and what is made of it are. */
const SOURCE = new URL("../src/kernel/assembly.ts", import.meta.url);
const MODULE = new URL("../src/kernel/module.ts", import.meta.url);

/** The kernel can't be built; the message says why. */
export class KernelError extends Error {}

/** The folder that scripts/deno uses, too. */
function cacheFolder(): string {
  const given = Deno.env.get("XDG_CACHE_HOME");
  if (given?.startsWith("/")) return `${given}/logferry`;
  const home = Deno.env.get("HOME");
  if (home) return `${home}/.cache/logferry`;
  throw new KernelError("no HOME: set XDG_CACHE_HOME");
}

async function run(command: string, args: string[], cwd: string) {
  const { success, stderr } = await new Deno.Command(command, {
    args,
    cwd,
    // Here, and only here, modules come from a node_modules folder.
    env: { DENO_NO_PACKAGE_JSON: "" },
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).output();
  if (success) return;
  const said = new TextDecoder().decode(stderr).trim();
  throw new KernelError(`${command} ${args[0]}: ${said}`);
}

async function sha512(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-512", bytes);
  return btoa(String.fromCharCode(...new Uint8Array(digest)));
}

/**
 * Fetches the compiler, where that hasn't been done.
 *
 * @returns The folder that it is in
 * @throws {KernelError} When npm can't fetch it, or fetches something else
 */
async function fetchCompiler(): Promise<string> {
  const [compiler] = PACKAGES;
  const folder = `${cacheFolder()}/${compiler![0]}-${compiler![1]}`;
  try {
    await Deno.stat(folder);
    return folder;
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  await Deno.mkdir(cacheFolder(), { recursive: true });
  const work = await Deno.makeTempDir({
    dir: cacheFolder(),
    prefix: "kernel.",
  });
  try {
    const names = PACKAGES.map(([name, version]) => `${name}@${version}`);
    const options = ["--cache", `${work}/npm`, "--loglevel=error"];
    await run("npm", ["pack", ...options, ...names], work);
    for (const [name, version, integrity] of PACKAGES) {
      const tarball = `${work}/${name}-${version}.tgz`;
      if (
        `sha512-${await sha512(await Deno.readFile(tarball))}` !== integrity
      ) {
        throw new KernelError(`${name} from npm is not the expected one`);
      }
      const to = `${work}/made/node_modules/${name}`;
      await Deno.mkdir(to, { recursive: true });
      const strip = ["--strip-components=1", "--no-same-owner"];
      await run("tar", ["-xzf", tarball, "-C", to, ...strip], work);
    }
    await Deno.writeTextFile(`${work}/made/package.json`, "{}");
    await Deno.rename(`${work}/made`, folder).catch(async (error) => {
      // Another one was faster; what it made is the same.
      if (!(await Deno.stat(folder)).isDirectory) throw error;
    });
  } finally {
    await Deno.remove(work, { recursive: true });
  }
  return folder;
}

/**
 * Builds the kernel.
 *
 * @returns What module.ts is to contain
 * @throws {KernelError} When there is no compiler, or it finds a mistake
 */
export async function buildKernel(): Promise<string> {
  const folder = await fetchCompiler();
  const work = await Deno.makeTempDir({ prefix: "logferry-kernel-" });
  try {
    // The names of a module's functions tell where its source was.
    await Deno.copyFile(SOURCE, `${work}/kernel.ts`);
    const compiler = `${folder}/node_modules/assemblyscript/bin/asc.js`;
    const words = ["run", "-q", "-A", "--no-config", "--no-lock"];
    await run(
      Deno.execPath(),
      [...words, "--node-modules-dir=manual", compiler, "kernel.ts"]
        .concat(OPTIONS, "-o", "kernel.wasm"),
      work,
    );
    return moduleOf(await Deno.readFile(`${work}/kernel.wasm`));
  } finally {
    await Deno.remove(work, { recursive: true });
  }
}

function moduleOf(bytes: Uint8Array): string {
  const text = btoa(String.fromCharCode(...bytes));
  const lines = text.match(/.{1,74}/g)!.map((line) => `"${line}"`);
  return `/**
 * The kernel's WebAssembly, in base64. Made of assembly.ts by
 * \`deno task kernel\`; a test makes it again and compares.
 *
 * @module
 */

/** The module. */
// deno-fmt-ignore
export const MODULE: string =
  ${lines.join(" +\n  ")};
`;
}

if (import.meta.main) {
  try {
    await Deno.writeFile(MODULE, encode(await buildKernel()));
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    console.error(`kernel: ${error.message}`);
    Deno.exit(1);
  }
}

// Makes Deno's other half out of the npm packages that scripts/deno has fetched
// and checked: the runtime that `deno compile` needs, the esbuild that `deno
// bundle` needs, and the @std modules in the shape of a vendor folder. It runs
// before any module can be imported, so it imports none.
//
//   toolchain.ts fill WORK TOOLCHAIN MACHINE  finish WORK/toolchain, rename it
//   toolchain.ts vendor TOOLCHAIN VENDOR      add what VENDOR lacks

/** A program on npm that was compiled by Deno. */
interface Carrier {
  npmPackage: string;
  file: string;
}

const VLX = { npmPackage: "@vltpkg/cli-linux-x64", file: "package/vlx" };
const RFC = { npmPackage: "@dgellow/rfc-linux-x64", file: "package/bin/rfc" };
const STEADY = {
  npmPackage: "@stdy/cli-linux-arm64",
  file: "package/bin/steady",
};

/** For each machine what carries its runtime, and the runtime's SHA-256. */
const RUNTIMES: Record<string, [from: Carrier, sum: string]> = {
  x86_64: [
    VLX,
    "2705685d7478610b98dcd43acecd457a19810146323041c8af8a88f7dd0b5e82",
  ],
  aarch64: [
    STEADY,
    "9c888d915647ff971a497acd39ee45ea63da5f19d12d4363124942c257c055ef",
  ],
};
/** The esbuild that each machine's Deno bundles with, and its name there. */
const BUNDLERS: Record<string, string> = {
  x86_64: "linux-x64",
  aarch64: "linux-arm64",
};
const BUNDLER_VERSION = "0.25.5";
const PARSE_ARGS_SHA256 =
  "1c971913479b011d42303421840548aa0fc73725816fad10c44b68dfa4897235";

/** The @std packages, and the program that each is cut out of. */
const STD: [name: string, version: string, from?: Carrier][] = [
  ["assert", "1.0.18", RFC],
  ["fs", "1.0.22", RFC],
  ["path", "1.1.4", RFC],
  ["internal", "1.0.12", RFC],
  ["fmt", "1.0.9", RFC],
  ["cli", "1.0.24", STEADY],
  ["streams", "0.221.0"],
];

/**
 * `@std/internal/types.ts` declares types only, so no executable carries it;
 * this is enough to check against.
 */
const INTERNAL_TYPES = `\
export type DiffType = "removed" | "common" | "added" | "truncation";
export interface CommonDiffResult<T> {
  type: "common";
  value: T;
}
export interface ChangedDiffResult<T> {
  type: "removed" | "added";
  value: T;
  details?: DiffResult<T>[];
}
export interface TruncationDiffResult<T> {
  type: "truncation";
  value: T;
}
export type DiffResult<T> =
  | CommonDiffResult<T>
  | ChangedDiffResult<T>
  | TruncationDiffResult<T>;
`;

class ToolchainError extends Error {}

type Bytes = Uint8Array<ArrayBuffer>;
type Files = Map<string, Bytes>;

const decoder = new TextDecoder();

function encode(text: string): Bytes {
  return new Uint8Array(new TextEncoder().encode(text));
}

async function sha256(bytes: Bytes): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", bytes);
  return Array.from(
    new Uint8Array(digest),
    (byte) => byte.toString(16).padStart(2, "0"),
  ).join("");
}

async function check(what: string, bytes: Bytes, expected: string) {
  if (await sha256(bytes) !== expected) {
    throw new ToolchainError(`${what} is not the expected one (wrong hash)`);
  }
}

async function unpack(work: string, npmPackage: string, paths: string[]) {
  const name = npmPackage.replace(/^@/, "").replace("/", "-");
  for await (const { name: tarball } of Deno.readDir(work)) {
    if (!tarball.startsWith(`${name}-`) || !tarball.endsWith(".tgz")) continue;
    const { success } = await new Deno.Command("tar", {
      args: ["-xzf", tarball, ...paths],
      cwd: work,
    }).output();
    if (!success) throw new ToolchainError(`could not unpack ${tarball}`);
    return true;
  }
  return false;
}

/** Splits a compiled program into the runtime and the data after it. */
function split(program: Bytes): [runtime: Bytes, data: Bytes] {
  const end = program.length - 24;
  const trailer = new DataView(program.buffer, program.byteOffset + end, 24);
  const start = program.length - Number(trailer.getBigUint64(16, true));
  if (
    decoder.decode(program.subarray(end, end + 8)) !== "d3n0l4nd" ||
    start < 0 || start > end
  ) {
    throw new ToolchainError("a program of the toolchain has no Deno inside");
  }
  return [program.subarray(0, start), program.subarray(start, end)];
}

/** The remote modules in the data of a compiled program, by URL. */
function modules(data: Bytes): Files {
  const view = new DataView(data.buffer, data.byteOffset, data.length);
  let at = 8; // the magic
  const u32 = () => (at += 4, view.getUint32(at - 4, true));
  const take = (length: number) => data.subarray(at, at += length);
  const u64 = () => (at += 8, Number(view.getBigUint64(at - 8, true)));
  take(u64()); // metadata
  take(u64()); // npm snapshot
  const urls = new Map<number, string>();
  for (let n = u32(); n > 0; n--) {
    const url = decoder.decode(take(u32()));
    urls.set(u32(), url);
  }
  take(8 * u32()); // redirects
  const files: Files = new Map();
  for (let n = u32(); n > 0; n--) {
    const url = urls.get(u32());
    at++; // media type
    const source = take(u32());
    const flags = take(1)[0]!;
    for (const flag of [1, 2, 4]) {
      if (flags & flag) take(u32());
    }
    if (url !== undefined) files.set(url, source);
  }
  return files;
}

/** The files of one @std package at one version, by path. */
function filesOf(name: string, version: string, all: Files): Files {
  const prefix = `https://jsr.io/@std/${name}/${version}/`;
  const files: Files = new Map();
  for (const [url, source] of all) {
    if (url.startsWith(prefix)) files.set(url.slice(prefix.length), source);
  }
  return files;
}

/** `glob_to_regexp.ts` is exported as `./glob-to-regexp`, `mod.ts` as `.`. */
function exportsOf(files: Files): Record<string, string> {
  const exports: Record<string, string> = {};
  for (const path of files.keys()) {
    if (/(^|\/)_/.test(path) || path.endsWith(".d.ts")) continue;
    const name = path.replace(/\.[jt]s$/, "").replace(/(^|\/)mod$/, "")
      .replaceAll("_", "-");
    exports[name === "" ? "." : `./${name}`] = `./${path}`;
  }
  return exports;
}

async function writePackage(
  std: string,
  name: string,
  version: string,
  files: Files,
) {
  const manifest: Record<string, { size: number; checksum: string }> = {};
  for (const [path, bytes] of files) {
    const file = `${std}/${name}/${version}/${path}`;
    await Deno.mkdir(file.slice(0, file.lastIndexOf("/")), { recursive: true });
    await Deno.writeFile(file, bytes);
    manifest[`/${path}`] = {
      size: bytes.length,
      checksum: `sha256-${await sha256(bytes)}`,
    };
  }
  const write = (file: string, content: unknown) =>
    Deno.writeTextFile(`${std}/${name}/${file}`, JSON.stringify(content));
  await write(`${version}_meta.json`, {
    manifest,
    moduleGraph2: {},
    exports: exportsOf(files),
  });
  await write("meta.json", {
    scope: "std",
    name,
    latest: version,
    versions: { [version]: {} },
  });
}

async function textLineStream(work: string): Promise<Files> {
  const path = "deps/jsr.io/@std/streams/0.221.0/text_line_stream";
  const [js, types] = [`esm/${path}.js`, `types/${path}.d.ts`]
    .map((file) => `package/${file}`) as [string, string];
  await unpack(work, "fetch-event-stream", [js, types]);
  const pointer = '// @ts-self-types="./text_line_stream.d.ts"\n';
  return new Map([
    [
      "text_line_stream.js",
      encode(pointer + await Deno.readTextFile(`${work}/${js}`)),
    ],
    ["text_line_stream.d.ts", await Deno.readFile(`${work}/${types}`)],
  ]);
}

/** What is inside a program of the toolchain. */
async function open(work: string, { npmPackage, file }: Carrier) {
  await unpack(work, npmPackage, [file]);
  return split(await Deno.readFile(`${work}/${file}`));
}

async function makeStd(work: string) {
  const sources = new Map<Carrier, Files>();
  for (const [name, version, from] of STD) {
    let files: Files;
    if (from === undefined) files = await textLineStream(work);
    else {
      const all = sources.get(from) ?? modules((await open(work, from))[1]);
      sources.set(from, all);
      files = filesOf(name, version, all);
    }
    if (name === "internal") {
      files.set("types.ts", encode(INTERNAL_TYPES));
    }
    const parseArgs = files.get("parse_args.ts");
    if (parseArgs !== undefined) {
      await check("parse_args.ts", parseArgs, PARSE_ARGS_SHA256);
    }
    await writePackage(`${work}/toolchain/std`, name, version, files);
  }
}

/** Places esbuild as `deno bundle` does in its cache, where it looks for it. */
async function placeBundler(work: string, platform: string) {
  const file = "package/bin/esbuild";
  if (!await unpack(work, `@esbuild/${platform}`, [file])) {
    throw new ToolchainError("no esbuild was fetched");
  }
  const folder = `${work}/toolchain/dl/esbuild-${BUNDLER_VERSION}`;
  await Deno.mkdir(folder, { recursive: true });
  await Deno.rename(`${work}/${file}`, `${folder}/esbuild-${platform}`);
}

async function fill(work: string, toolchain: string, machine: string) {
  const [own, other] = machine.split("-") as [string, string?];
  // To compile for another machine is all that its toolchain is for.
  if (other === undefined) {
    await makeStd(work);
    const bundler = BUNDLERS[own];
    if (bundler !== undefined) await placeBundler(work, bundler);
  }
  const runtime = RUNTIMES[other ?? own];
  // Without one all but `deno compile` works.
  if (runtime !== undefined) {
    const [from, sum] = runtime;
    const [denort] = await open(work, from);
    await check("denort", denort, sum);
    await Deno.writeFile(`${work}/toolchain/denort`, denort, { mode: 0o755 });
  }
  try {
    await Deno.rename(`${work}/toolchain`, toolchain);
  } catch (error) {
    // Another first run was faster; what it made is the same.
    const other = await Deno.stat(toolchain).catch(() => undefined);
    if (!other?.isDirectory) throw error;
  }
}

/**
 * Adds what is missing and changes nothing, since Deno may have filled part of
 * the folder from JSR itself. A package's `V_meta.json` comes last: scripts/deno
 * takes it as the sign that the package is there.
 */
async function vendor(toolchain: string, vendorDir: string) {
  for (const [name, version] of STD) {
    const from = `${toolchain}/std/${name}`;
    const to = `${vendorDir}/jsr.io/@std/${name}`;
    await addMissing(`${from}/${version}`, `${to}/${version}`);
    if (!(await lists(`${to}/meta.json`, version))) {
      await copy(`${from}/meta.json`, `${to}/meta.json`);
    }
    const meta = `${version}_meta.json`;
    if (!(await exists(`${to}/${meta}`))) {
      await copy(`${from}/${meta}`, `${to}/${meta}`);
    }
  }
}

async function addMissing(from: string, to: string) {
  await Deno.mkdir(to, { recursive: true });
  for await (const entry of Deno.readDir(from)) {
    const [source, target] = [`${from}/${entry.name}`, `${to}/${entry.name}`];
    if (entry.isDirectory) await addMissing(source, target);
    else if (!(await exists(target))) await copy(source, target);
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await Deno.lstat(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

async function lists(meta: string, version: string): Promise<boolean> {
  return await exists(meta) &&
    version in JSON.parse(await Deno.readTextFile(meta)).versions;
}

/** Copies so that no other process ever sees half a file. */
async function copy(from: string, to: string) {
  const temporary = `${to}.${Deno.pid}`;
  await Deno.copyFile(from, temporary);
  await Deno.rename(temporary, to);
}

if (import.meta.main) {
  const [action, from, to, machine] = Deno.args;
  try {
    if (action === "fill") await fill(from!, to!, machine!);
    else if (action === "vendor") await vendor(from!, to!);
    else throw new ToolchainError(`unknown action: ${action}`);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    console.error(`scripts/deno: ${message}`);
    Deno.exit(1);
  }
}

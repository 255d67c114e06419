// Makes what is given to others, in dist/: an archive to be unpacked over
// /usr/local, with the executable and its links, manual pages, licence, example
// services, and SHA256SUMS; and packages of Debian's and of RPM's kind.
//
//   deno task package [--target TRIPLE]
import { parseArgs } from "@std/cli/parse-args";
import { exists, walk } from "@std/fs";
import { VERSION } from "../src/version.ts";
import { cleaningUp } from "./clean_up.ts";
import { compileAll, CompileError, LINKS, sha256 } from "./compile.ts";
import { render } from "./man/page.ts";
import { guides, pages } from "./man/pages.ts";
import { deb, debName } from "./package/deb.ts";
import { layOut } from "./package/layout.ts";
import { rpm, rpmName } from "./package/rpm.ts";
import { type Entry, tar } from "./package/tar.ts";

const DOCUMENTS = "share/doc/logferry";
const EXAMPLES = "scripts/examples";
/** What is packed for readers, at the top of the checkout. */
const TEXTS = [
  "CHANGELOG.md",
  "LICENSE",
  "README.md",
  "RECIPES.md",
  "SECURITY.md",
];

type Bytes = Uint8Array<ArrayBuffer>;

function encode(text: string): Bytes {
  return new TextEncoder().encode(text) as Bytes;
}

/** The example services; a run script is executable, whatever the disk says. */
async function* examples(): AsyncGenerator<Entry> {
  for await (const { path, isFile, name } of walk(EXAMPLES)) {
    if (!isFile) continue;
    yield {
      name: `${DOCUMENTS}/examples${path.slice(EXAMPLES.length)}`,
      mode: name === "run" ? 0o755 : 0o644,
      bytes: await Deno.readFile(path),
    };
  }
}

/** Everything that is packed, in the order of the names. */
async function collect(folder: string): Promise<Entry[]> {
  const entries: Entry[] = [];
  const add = (name: string, bytes: Bytes) => {
    entries.push({ name, mode: 0o644, bytes });
  };
  // The executable's name comes before those of its links.
  const program = {
    name: "bin/logferry",
    mode: 0o755,
    bytes: await Deno.readFile(`${folder}/logferry`),
  };
  entries.push(program);
  for (const name of LINKS) {
    entries.push({ ...program, name: `bin/${name}`, link: program.name });
  }
  for (const page of [...pages, ...guides]) {
    const { name, part } = page;
    add(`share/man/man${part}/${name}.${part}`, encode(render(page, VERSION)));
  }
  for (const name of TEXTS) {
    add(`${DOCUMENTS}/${name}`, await Deno.readFile(name));
  }
  for await (const entry of examples()) entries.push(entry);
  const byName = (a: Entry, b: Entry) => a.name < b.name ? -1 : 1;
  entries.sort(byName);
  const sums = await Promise.all(
    entries.map(async ({ name, bytes }) => `${await sha256(bytes)}  ${name}\n`),
  );
  add(`${DOCUMENTS}/SHA256SUMS`, encode(sums.join("")));
  return entries.sort(byName);
}

/** Writes a file in one step. */
async function write(
  path: string,
  parts: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
) {
  const temporary = `${path}.${Deno.pid}`;
  await using _unfinished = cleaningUp(async () => {
    if (await exists(temporary)) await Deno.remove(temporary);
  });
  using file = await Deno.create(temporary);
  await ReadableStream.from(parts).pipeTo(file.writable);
  await Deno.rename(temporary, path);
  const { size } = await Deno.stat(path);
  console.log(`${path}  ${(size / 1e6).toFixed(1)} MB`);
}

/**
 * Makes the archive and the packages, in the checkout's folder.
 *
 * @param args The command line
 * @returns The archive's path
 * @throws {CompileError} When an executable can't be made
 */
export async function makePackage(args: string[] = []): Promise<string> {
  Deno.chdir(new URL("..", import.meta.url));
  const { target } = parseArgs(args, {
    string: ["target"],
    default: { target: Deno.build.target },
    unknown(arg) {
      throw new CompileError(`unknown word: ${arg}`);
    },
  });
  const entries = await collect(await compileAll(["--target", target]));
  const path = `dist/logferry-${VERSION}-${target}.tar.gz`;
  // Its gzip says neither when nor where it was made.
  await write(
    path,
    ReadableStream.from(tar(entries))
      .pipeThrough(new CompressionStream("gzip")),
  );
  const machine = target.split("-")[0]!;
  const files = await layOut(entries.filter(({ link }) => link === undefined));
  const packages = [
    [debName(VERSION, machine), await deb(files, VERSION, machine)],
    [rpmName(VERSION, machine), await rpm(files, VERSION, machine)],
  ] as const;
  for (const [name, parts] of packages) await write(`dist/${name}`, parts);
  return path;
}

if (import.meta.main) {
  try {
    await makePackage(Deno.args);
  } catch (error) {
    if (!(error instanceof CompileError)) throw error;
    console.error(`package: ${error.message}`);
    Deno.exit(1);
  }
}

/**
 * Puts into the executable what V8 makes of the programs' code, so that not
 * every start has to make it again. The code cache that `deno compile` offers
 * is a file in `/tmp`, with a name that anybody can guess; this one is a module
 * beside the code that it belongs to.
 *
 * V8 takes such a cache with a script, not with a module (`cachedData` in
 * Node's `vm.Script`). So a program's module becomes a script, and a module that
 * runs it and exports what it exported. A V8 of another version, or with other
 * flags, refuses the cache and reads the code.
 *
 * @module
 */
import { latin1 } from "../src/bytes.ts";
import { run } from "./child.ts";

/**
 * What multilog is started with while V8's work is recorded, in a folder of its
 * own, without any input: it does what each start does, and waits for nothing.
 * Of the other programs, which start less often, only that is kept which V8
 * makes of code that hasn't run yet.
 */
const START: readonly string[] = ["./log"];

/**
 * So many times the same must come out. While code runs V8 notes how hot it is,
 * and on a busy machine sometimes notes something else.
 */
const SAME = 3;
/** After so many times it is given up. */
const TRIES = 30;

/** A module that only passes on what another exports. */
const PASSES_ON = /^import\{[^{}]*\}from"\.\/([^"]+)";export\{[^{}]*\};\s*$/;
/** What a module exports, at its end. */
const EXPORTS = /export\{([^{}]*)\};\s*$/;
/** A module that is loaded when it is asked for. */
const ON_DEMAND = /\bimport\(("\.\/[^"]+")\)/g;

/** V8's work can't be kept; the message says whose, and why. */
export class CodeCacheError extends Error {}

/** A module's code as a script. */
interface Script {
  /** Its text. */
  readonly text: string;
  /** The names of what the module exports. */
  readonly names: readonly string[];
  /** What it loads when it is asked for, as string literals. */
  readonly onDemand: ReadonlySet<string>;
}

/**
 * A module's code as a script: a function that gets what loads modules, and
 * returns what the module exports.
 *
 * @param module Its code, as the bundler writes it; it imports nothing, but on
 * demand
 * @returns The script, the names of what it exports, and what it loads
 * @throws {CodeCacheError} When the code isn't as the bundler writes it
 */
export function asScript(module: string): Script {
  const [list, inside = ""] = EXPORTS.exec(module) ?? [];
  if (list === undefined || /^import\b/.test(module)) {
    throw new CodeCacheError("a program's module imports others");
  }
  const exported = inside.split(",").map((one) => one.split(" as "));
  const code = module.slice(0, -list.length)
    .replaceAll(ON_DEMAND, "importModule($1)");
  const properties = exported.map(([local, name = local]) =>
    `${name}:${local}`
  );
  return {
    text: `(function(importModule){"use strict";${code}\n` +
      `return{${properties}}})`,
    names: exported.map(([local, name = local]) => name!),
    onDemand: new Set(
      module.matchAll(ON_DEMAND).map(([, literal]) => literal!),
    ),
  };
}

/**
 * The module that runs a program's script.
 *
 * @param program The program
 * @param cache Where V8's work comes from
 * @param script The script
 * @param then What is done before it runs
 */
function moduleFor(
  program: string,
  cache: string,
  { names, onDemand }: Script,
  then = "",
): string {
  return `import vm from "node:vm";
import code from "./${program}.txt" with { type: "text" };
${cache}
const script = new vm.Script(code, { filename: "${program}", cachedData });
${then}
// Each by its name, so that the compiler finds it.
const onDemand = {
  ${[...onDemand].map((literal) => `${literal}: () => import(${literal})`)}
};
const all = script.runInThisContext()((name) => onDemand[name]());
const { ${names.map((name, i) => `${name}: export${i}`)} } = all;
export { ${names.map((name, i) => `export${i} as ${name}`)} };
`;
}

/** Reads V8's work from the file that is the first argument, if it is there. */
const FROM_FILE = `let cachedData;
try {
  cachedData = Deno.readFileSync(Deno.args[0]);
} catch {}`;

/**
 * Ends the recorder: it writes V8's work to the file that is the first argument
 * or, where that was there already, fails if V8 has refused it.
 */
const SAVE = `const { exit } = Deno;
globalThis.save = () => {
  if (cachedData === undefined) {
    Deno.writeFileSync(Deno.args[0], script.createCachedData());
  } else if (script.cachedDataRejected) {
    console.error("refused");
    exit(1);
  }
  exit(0);
};`;

/** The recorder: a program that saves as another one ends, or before it starts. */
function recorderOf(program: string, module: string): string {
  return program === "multilog"
    ? `const { start } = await import("./${module}");
Deno.exit = globalThis.save;
await start(Deno.args.slice(1), "${program}");
`
    : `await import("./${module}");\n`;
}

/** Where programs are, and how their modules are compiled. */
export interface Programs {
  /** The programs; which of them their modules' names begin with. */
  readonly programs: readonly string[];
  /** The folder that their modules are in, as the bundler made them. */
  readonly bundled: string;
  /** The module in it that loads them. */
  readonly main: string;
  /** A folder that may be written to. */
  readonly work: string;
  /** A path for an executable, where executables may run. */
  readonly recorder: string;
  /**
   * Compiles a module of `bundled` for this machine, with the runtime that the
   * programs get.
   */
  compile(module: string, executable: string): Promise<void>;
}

/**
 * Has the runtime do its work for programs, and puts that beside their code.
 *
 * @param of The programs
 * @throws {CodeCacheError} When the runtime refuses what it has made, or a
 * program doesn't run; its code is as it was, then
 */
export async function cacheCode(of: Programs): Promise<void> {
  const text = await Deno.readTextFile(`${of.bundled}/${of.main}`);
  for (const program of of.programs) {
    const [, module] =
      new RegExp(`\\bimport\\("\\./(${program}-[^"]+)"\\)`).exec(text) ?? [];
    if (module === undefined) {
      throw new CodeCacheError(`${of.main} loads no ${program}`);
    }
    await cacheOne(program, module, of);
  }
}

async function cacheOne(program: string, module: string, of: Programs) {
  const { bundled } = of;
  const [, other = module] =
    PASSES_ON.exec(await Deno.readTextFile(`${bundled}/${module}`)) ?? [];
  const path = `${bundled}/${other}`;
  const code = await Deno.readTextFile(path);
  const script = asScript(code);
  await Deno.writeTextFile(`${bundled}/${program}.txt`, script.text);
  await Deno.writeTextFile(
    path,
    moduleFor(
      program,
      FROM_FILE,
      script,
      program === "multilog" ? SAVE : `${SAVE}\nglobalThis.save();`,
    ),
  );
  try {
    await record(program, module, of);
  } catch (error) {
    await Deno.writeTextFile(path, code);
    throw error;
  }
  const cache = `import cachedData from "./${program}.bin" with ` +
    '{ type: "bytes" };';
  await Deno.writeTextFile(path, moduleFor(program, cache, script));
}

/** Writes a program's cache, and makes sure that it will be taken. */
async function record(program: string, module: string, of: Programs) {
  const { bundled, work, recorder } = of;
  const main = "recorder.js";
  await Deno.writeTextFile(`${bundled}/${main}`, recorderOf(program, module));
  await of.compile(main, recorder);
  const cache = `${bundled}/${program}.bin`;
  const start = async (what: string) => {
    const failure = await run(recorder, {
      args: [cache, ...START],
      cwd: await Deno.makeTempDir({ dir: work }),
    });
    if (failure === undefined) return;
    throw new CodeCacheError(
      `unable to ${what} what V8 makes of ${program}: ${failure}`,
    );
  };
  const seen = new Map<string, number>();
  for (let tries = 0; ![...seen.values()].includes(SAME); tries++) {
    if (tries === TRIES) {
      throw new CodeCacheError(
        `V8 makes something else of ${program} each time`,
      );
    }
    await Deno.remove(cache).catch(() => {});
    await start("keep");
    const made = latin1(await Deno.readFile(cache));
    seen.set(made, (seen.get(made) ?? 0) + 1);
  }
  await start("use");
  await Deno.remove(recorder);
}

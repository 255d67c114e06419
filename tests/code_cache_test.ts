/**
 * What V8 has made of the programs' code, kept in the executable: taken by the
 * runtime that made it, and nothing else changed by it.
 */
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { asScript, cacheCode, CodeCacheError } from "../scripts/code_cache.ts";
import { folder, latin1, ours, run } from "./tools.ts";

Deno.test("a module's code becomes a script that returns what it exported", async () => {
  const { text, names, onDemand } = asScript(
    'var n=1;function f(){return this===void 0}var l=()=>import("./x.js");' +
      "export{n as a,f,l as later};\n",
  );
  assertEquals([names, [...onDemand]], [["a", "f", "later"], ['"./x.js"']]);
  const exported = (0, eval)(text)((name: string) => `loaded ${name}`);
  assertEquals(exported.a, 1);
  // As in a module, no code is sloppy.
  assert((0, exported.f)());
  assertEquals(await exported.later(), "loaded ./x.js");
});

Deno.test("a module that can't become a script is named as such", () => {
  for (const text of ['import{a}from"./b.js";export{a};', "var a=1;"]) {
    assertThrows(() => asScript(text), CodeCacheError, "imports others");
  }
});

/** A program of two functions, and what has its code kept. */
function program(path: string) {
  Deno.writeTextFileSync(
    `${path}/tryto-1.js`,
    "function once(){return 1}function s(){Deno.exit(once())}" +
      "export{s as start};\n",
  );
  Deno.writeTextFileSync(
    `${path}/main.js`,
    'const{start}=await import("./tryto-1.js");start();',
  );
  return {
    programs: ["tryto"],
    bundled: path,
    main: "main.js",
    work: path,
    recorder: `${path}/recorder`,
    compile: (module: string, executable: string) =>
      compile(path, module, executable),
  };
}

async function compile(
  cwd: string,
  module: string,
  executable: string,
  ...flags: string[]
): Promise<void> {
  const { code, stderr } = await run(
    [Deno.execPath(), "compile", "-q", "-A", "--no-check", "--no-code-cache"]
      .concat("--unstable-raw-imports", flags, "-o", executable, module),
    { cwd },
  );
  assertEquals(code, 0, stderr);
}

Deno.test("the runtime takes what it has made of a program, with other flags it doesn't", async () => {
  using at = folder();
  await cacheCode(program(at.path));
  Deno.writeTextFileSync(
    `${at.path}/taken.js`,
    `import vm from "node:vm";
import code from "./tryto.txt" with { type: "text" };
import cachedData from "./tryto.bin" with { type: "bytes" };
const script = new vm.Script(code, { cachedData });
console.log(!script.cachedDataRejected);`,
  );
  await compile(at.path, "taken.js", "taken");
  assertEquals((await run([`${at.path}/taken`])).text, "true\n");
  await compile(at.path, "taken.js", "other", "--v8-flags=--no-lazy");
  assertEquals((await run([`${at.path}/other`])).text, "false\n");
  // The program itself runs with either.
  for (const flags of [[], ["--v8-flags=--no-lazy"]]) {
    await compile(at.path, "main.js", "main", ...flags);
    assertEquals((await run([`${at.path}/main`])).code, 1);
  }
});

Deno.test("what the runtime would refuse isn't kept", async () => {
  using at = folder();
  const of = program(at.path);
  const code = Deno.readTextFileSync(`${at.path}/tryto-1.js`);
  await assertRejects(
    () =>
      cacheCode({
        ...of,
        async compile(module, executable) {
          await of.compile(module, `${executable}.real`);
          // From the second time on, the first bytes are others.
          Deno.writeTextFileSync(
            executable,
            '#!/bin/sh\ntest -s "$1" && printf changed | dd of="$1" ' +
              'conv=notrunc 2>/dev/null\nexec "$0.real" "$@"\n',
            { mode: 0o755 },
          );
        },
      }),
    CodeCacheError,
    "unable to use what V8 makes of tryto: refused",
  );
  assertEquals(Deno.readTextFileSync(`${at.path}/tryto-1.js`), code);
});

Deno.test("the executable holds what V8 has made of each program", () => {
  const { size } = Deno.statSync(ours.multilog);
  using file = Deno.openSync(ours.multilog);
  file.seekSync(size - 1_000_000, Deno.SeekMode.Start);
  const end = new Uint8Array(1_000_000);
  file.readSync(end);
  const names = [...latin1(end).matchAll(/"n":"([\w-]+)\.bin"/g)];
  assertEquals(names.map(([, name]) => name), [
    "multilog",
    "socklog-tcp",
    "tryto",
  ]);
});

/**
 * The executables as files: alone, for anybody, with nothing inside that they
 * don't need, and the same from their sources.
 */
import { assert, assertEquals } from "@std/assert";
import { VERSION } from "../src/version.ts";
import {
  AS_NOBODY,
  folder,
  inCheckout,
  latin1,
  ours,
  run,
  testWith,
} from "./tools.ts";

testWith(
  ["root", "setpriv"],
  "each executable runs alone, as nobody, without an environment",
  async () => {
    using at = folder();
    Deno.chmodSync(at.path, 0o755);
    const rows: [path: string, args: string[], said: string, kept?: string][] =
      [
        [ours.multilog, ["t", "./log"], "", "log/current"],
        [ours.tryto, ["cat"], "one\n"],
        [ours.socklogTcp, ["--version"], `socklog-tcp ${VERSION}\n`],
      ];
    for (const [path, args, said, kept] of rows) {
      const cwd = `${at.path}/${path.slice(path.lastIndexOf("/") + 1)}`;
      Deno.mkdirSync(cwd);
      Deno.copyFileSync(path, `${cwd}/program`);
      Deno.chownSync(cwd, 65534, 65534);
      const { code, text, stderr } = await run(
        [...AS_NOBODY, `${cwd}/program`, ...args],
        { cwd, stdin: "one\n", clearEnv: true },
      );
      assertEquals({ code, text, stderr }, { code: 0, text: said, stderr: "" });
      if (kept) {
        const line = latin1(Deno.readFileSync(`${cwd}/${kept}`));
        assert(/^@[0-9a-f]{24} one\n$/.test(line), line);
      }
    }
  },
);

Deno.test("the executables are as large as an empty program and their sources", async () => {
  using at = folder();
  Deno.writeTextFileSync(`${at.path}/empty.ts`, "");
  const { code, stderr } = await run(
    [Deno.execPath(), "compile", "-q", "-o", "empty", "empty.ts"],
    { cwd: at.path },
  );
  assertEquals(code, 0, stderr);
  const { size } = Deno.statSync(`${at.path}/empty`);
  for (const path of [ours.multilog, ours.tryto, ours.socklogTcp]) {
    const more = Deno.statSync(path).size - size;
    assert(more < 1024 * 1024, `${path} has ${more} bytes more`);
  }
});

Deno.test("the tasks run the programs from their sources, where they are called", async () => {
  using at = folder();
  const task = (...args: string[]) =>
    run(
      // The tests may be a task themselves, called elsewhere.
      ["env", "-u", "INIT_CWD", Deno.execPath(), "task", "-q"]
        .concat("--config", inCheckout("deno.json"), args),
      { cwd: at.path, stdin: "one\n" },
    );
  for (const name of ["multilog", "tryto", "socklog-tcp"]) {
    const { text } = await task(name, "--version");
    assertEquals(text, `${name} ${VERSION}\n`);
  }
  assertEquals((await task("multilog", "./log")).code, 0);
  assertEquals(Deno.readTextFileSync(`${at.path}/log/current`), "one\n");
});

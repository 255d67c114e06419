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
      Deno.mkdirSync(`${cwd}/bin`, { recursive: true });
      const copy = path.replace(/.*\//, `${cwd}/bin/`);
      Deno.copyFileSync(path, copy);
      Deno.chownSync(cwd, 65534, 65534);
      const { code, text, stderr } = await run(
        [...AS_NOBODY, copy, ...args],
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

Deno.test("the programs are one file with several names", () => {
  const inodes = Object.values(ours).map((path) => Deno.statSync(path).ino);
  assertEquals(new Set(inodes).size, 1);
});

Deno.test("a name that isn't a program's takes the program from its argument", async () => {
  using at = folder();
  const other = `${at.path}/other`;
  Deno.linkSync(ours.multilog, other);
  const rows: [args: string[], code: number, text: string, stderr: string][] = [
    [["tryto", "--version"], 0, `tryto ${VERSION}\n`, ""],
    [["--version"], 0, `logferry ${VERSION}\n`, ""],
    [
      ["nosuch", "tryto"],
      100,
      "",
      "logferry: fatal: no such program: nosuch; see --help\n",
    ],
    [[], 100, "", "logferry: usage: logferry program [argument ...]\n"],
  ];
  for (const [args, ...expected] of rows) {
    const { code, text, stderr } = await run([other, ...args]);
    assertEquals([code, text, stderr], expected);
  }
  const help = await run([other, "--help"]);
  assertEquals(help.code, 0);
  for (const name of ["multilog", "tryto", "socklog-tcp"]) {
    assert(help.text.includes(`\n  ${name}  `), help.text);
  }
});

Deno.test("a link's name is the program's name", async () => {
  using at = folder();
  for (const name of ["tcpserver", "tcpclient", "multilog", "tryto"]) {
    Deno.symlinkSync(ours.socklogTcp, `${at.path}/${name}`);
    const { text, stderr } = await run(
      [`./${name}`].concat(name.startsWith("tcp") ? [] : ["--version"]),
      { cwd: at.path },
    );
    const said = text + stderr;
    assert(
      said.startsWith(`${name} ${VERSION}`) ||
        said.startsWith(`${name}: usage: ${name} `),
      said,
    );
  }
});

Deno.test("the executable is as large as an empty program, its sources, and what V8 makes of them", async () => {
  using at = folder();
  Deno.writeTextFileSync(`${at.path}/empty.ts`, "");
  const { code, stderr } = await run(
    [Deno.execPath(), "compile", "-q", "-o", "empty", "empty.ts"],
    { cwd: at.path },
  );
  assertEquals(code, 0, stderr);
  const { size } = Deno.statSync(`${at.path}/empty`);
  const more = Deno.statSync(ours.multilog).size - size;
  assert(more < 900_000, `it has ${more} bytes more`);
});

testWith(
  ["strace"],
  "a multilog that finds the end of its input starts nothing to wait for it",
  async () => {
    using at = folder();
    const { code } = await run(
      ["strace", "-f", "-o", "trace", "-e", "trace=/clone|fork|prctl|exit"]
        .concat(ours.multilog, "./log"),
      { cwd: at.path },
    );
    assertEquals(code, 0);
    const trace = Deno.readTextFileSync(`${at.path}/trace`);
    assert(trace.includes("exit_group(0)"), trace);
    // A process that is tried before a thread, and the thread.
    assert(!/VFORK|PR_SET_NAME, "tokio/.test(trace), trace);
  },
);

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

/**
 * What multilog says of scripts that do less than they seem to, and of itself.
 */
import { assert, assertEquals } from "@std/assert";
import { folder, ours, run, testWith } from "../tools.ts";
import { ORIGINAL, text } from "./harness.ts";
import { VERSION } from "../../src/version.ts";

const UNKNOWN = "unknown action ignored; a directory begins with . or /";

Deno.test("usage: an action that has no effect is warned of", async () => {
  const rows: [script: string[], warnings: string[]][] = [
    [["t", "./log"], []],
    [["t"], ["no directory, e or =file: all lines are thrown away"]],
    [["s10k", "./log"], ["s10k: not a number, taken as s4096"]],
    [["t", "log"], [`log: ${UNKNOWN}`]],
    [["log"], [`log: ${UNKNOWN}`]],
    [["", "./log"], [`"": ${UNKNOWN}`]],
    [["-v", "--help", "./log"], []],
    [["./log", "t"], ["t: ignored, t must be the first action"]],
    [["-*", "t", "./log"], ["t: ignored, t must be the first action"]],
    [["s1", "./log"], ["s1: taken as s4096"]],
    [["s99999999", "./log"], ["s99999999: taken as s16777215"]],
    [["n0", "./log"], ["n0: taken as n2"]],
    [["nine", "./log"], ["nine: not a number, taken as n2"]],
    [["./log", "s5000"], ["s5000: ignored, no directory follows it"]],
    [["./log", "n5"], ["n5: ignored, no directory follows it"]],
    [["./log", "!cat"], ["!cat: ignored, no directory follows it"]],
    [["a0", "./log"], ["a0: taken as a1"]],
  ];
  for (const [script, warnings] of rows) {
    using at = folder();
    const { code, stderr } = await run([ours.multilog, ...script], {
      cwd: at.path,
      stdin: "a line\n",
    });
    assertEquals(
      { code, stderr },
      {
        code: 0,
        stderr: warnings.map((warning) => `multilog: warning: ${warning}\n`)
          .join(""),
      },
      script.join(" "),
    );
  }
});

testWith(
  [ORIGINAL],
  "usage: a directory named twice is fatal, whatever it is called",
  async () => {
    using at = folder();
    Deno.mkdirSync(`${at.path}/a`);
    Deno.mkdirSync(`${at.path}/sub`);
    Deno.symlinkSync("a", `${at.path}/link`);
    const scripts = [
      ["./a", "./a"],
      ["./a", "./a/"],
      ["./a", "././a"],
      ["./a", "./sub/../a"],
      ["./a", "./link"],
      ["./link", `${at.path}/a`],
      ["./a", "-*", "n5", "./b", "./a"],
    ];
    for (const script of scripts) {
      const said = [];
      for (const program of [ORIGINAL, ours.multilog]) {
        const { code, stderr } = await run([program, ...script], {
          cwd: at.path,
          stdin: "a line\n",
        });
        said.push({ code, stderr });
      }
      const { code, stderr } = said[1]!;
      assertEquals(code, 111);
      assertEquals(
        stderr,
        `multilog: fatal: unable to lock directory ${script.at(-1)}: ` +
          "temporarily unavailable: the script names it twice\n",
      );
      // The same words, but for the reason's.
      assertEquals(
        said[0]!.stderr.replace(
          "temporary failure",
          "temporarily unavailable: the script names it twice",
        ),
        stderr,
      );
      assertEquals(text(`${at.path}/a/current`), "", "a line was taken");
    }
  },
);

Deno.test("usage: --help fits a terminal, and names every action", async () => {
  const { code, text, stderr } = await run([ours.multilog, "--help"]);
  assertEquals({ code, stderr }, { code: 0, stderr: "" });
  const lines = text.split("\n");
  assertEquals(lines.pop(), "");
  assert(lines.length <= 24, `${lines.length} lines`);
  for (const line of lines) assert(line.length <= 80, line);
  for (
    const action
      of "t T i -pattern +pattern F R S e =file ./dir ssize asec nnum d bbytes"
        .split(" ").concat("ksec", "wcode", "!processor")
  ) assert(text.includes(`  ${action} `), action);
});

Deno.test("usage: --version", async () => {
  const { code, text, stderr } = await run([ours.multilog, "--version"]);
  assertEquals(
    { code, text, stderr },
    { code: 0, text: `multilog ${VERSION}\n`, stderr: "" },
  );
});

Deno.test("usage: in a script --help and --version are patterns", async () => {
  for (const word of ["--help", "--version"]) {
    using at = folder();
    const { code, text: out, stderr } = await run(
      [ours.multilog, word, "./log"],
      { cwd: at.path, stdin: `${word.slice(1)}\nother\n` },
    );
    assertEquals({ code, out, stderr }, { code: 0, out: "", stderr: "" });
    assertEquals(text(`${at.path}/log/current`), "other\n");
  }
});

Deno.test("usage: without a script multilog reads all its input, and throws it away", async () => {
  const { code, text, stderr } = await run([ours.multilog], {
    stdin: "a line\n",
  });
  assertEquals({ code, text, stderr }, { code: 0, text: "", stderr: "" });
});

Deno.test("usage: an input that can't be read is fatal", async () => {
  using at = folder();
  const { code, stderr } = await run(
    ["sh", "-c", `exec '${ours.multilog}' ./log </`],
    { cwd: at.path },
  );
  assertEquals({ code, stderr }, {
    code: 111,
    stderr: "multilog: fatal: unable to read input: is a directory\n",
  });
});

import { assertEquals } from "@std/assert";
import { parseScript } from "../../src/multilog/script.ts";

/** The settings of each directory of a script. */
function settings(...args: string[]) {
  return parseScript(args).actions.flatMap((action) =>
    action.kind === "log" ? [action.settings] : []
  );
}

Deno.test("script: settings hold for the directories after them", () => {
  assertEquals(
    settings("./a", "s5000", "n3", "./b", "!cat", "a60", "./c", "!", "/d"),
    [
      { size: 99999, keep: 10, processor: "", age: 0 },
      { size: 5000, keep: 3, processor: "", age: 0 },
      { size: 5000, keep: 3, processor: "cat", age: 60 },
      { size: 5000, keep: 3, processor: "", age: 60 },
    ],
  );
});

Deno.test("script: numbers out of range are the nearest ones, with a warning", () => {
  const rows: [arg: string, size: number, keep: number, warnings: string[]][] =
    [
      ["s4095", 4096, 10, ["s4095: taken as s4096"]],
      ["s4096", 4096, 10, []],
      ["s16777215", 16777215, 10, []],
      ["s16777216", 16777215, 10, ["s16777216: taken as s16777215"]],
      ["s10000k", 10000, 10, ["s10000k: not a number, taken as s10000"]],
      ["s", 4096, 10, ["s: not a number, taken as s4096"]],
      ["s10k", 4096, 10, ["s10k: not a number, taken as s4096"]],
      ["n1", 99999, 2, ["n1: taken as n2"]],
      ["n2", 99999, 2, []],
      ["nx", 99999, 2, ["nx: not a number, taken as n2"]],
    ];
  for (const [arg, size, keep, warnings] of rows) {
    assertEquals(
      settings(arg, "./log"),
      [{ size, keep, processor: "", age: 0 }],
      arg,
    );
    assertEquals(parseScript([arg, "./log"]).warnings, warnings, arg);
  }
});

Deno.test("script: an action that has no effect is warned of", () => {
  const rows: [args: string[], warnings: string[]][] = [
    [["t", "./log"], []],
    [["-*", "+a", "e", "=file", "./log"], []],
    // All that daemontools-encore's scripts have.
    [["T", "F", "-*", "+[ab]*", "S", "+c*", "wtxt", "e", "./log"], []],
    [["t", "log"], [
      "log: unknown action ignored; a directory begins with . or /",
    ]],
    [["t"], ["no directory, e or =file: all lines are thrown away"]],
    [["-*", "+a"], ["no directory, e or =file: all lines are thrown away"]],
    [["t", "e"], []],
    [["=file"], []],
    [[], []],
    [["", "./log"], [
      '"": unknown action ignored; a directory begins with . or /',
    ]],
    [["-x", "t", "./log"], ["t: ignored, t must be the first action"]],
    [["./log", "s5000", "n5", "a5", "!cat"], [
      "s5000: ignored, no directory follows it",
      "n5: ignored, no directory follows it",
      "a5: ignored, no directory follows it",
      "!cat: ignored, no directory follows it",
    ]],
  ];
  for (const [args, warnings] of rows) {
    assertEquals(parseScript(args).warnings, warnings, args.join(" "));
  }
});

Deno.test("script: t, T and i count only as the first action", () => {
  for (const kind of ["t", "T", "i"]) {
    assertEquals(parseScript([kind, "./log"]).timestamp, kind);
    assertEquals(parseScript([`${kind}foo`, "./log"]).timestamp, kind);
    const late = parseScript(["./log", kind]);
    assertEquals(late.timestamp, undefined);
    assertEquals(late.warnings, [
      `${kind}: ignored, ${kind} must be the first action`,
    ]);
  }
  assertEquals(parseScript([]).timestamp, undefined);
});

Deno.test("F, R and S choose what the patterns after them are written in", () => {
  const script = ["+a", "F", "-b", "R", "+c", "./log", "S", "-d"];
  const { actions, warnings } = parseScript(script);
  assertEquals(
    actions.flatMap((action) =>
      "pattern" in action ? [action.pattern.language] : []
    ),
    ["simple", "fnmatch", "expression", "simple"],
  );
  assertEquals(warnings, []);
});

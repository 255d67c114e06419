import { assertEquals, assertThrows } from "@std/assert";
import { getopt, UsageError } from "../src/getopt.ts";

/** Options as a text: `v`, `t=180`, and after a bar the rest. */
function parsed(args: string[], letters = "pPvt:k:n:"): string {
  const { options, rest } = getopt(args, letters);
  const told = options.map(({ letter, value }) =>
    value === "" ? letter : `${letter}=${value}`
  );
  return [...told, "|", ...rest].join(" ");
}

Deno.test("options come alone, together, and with their values", () => {
  const cases: [string[], string][] = [
    [[], "|"],
    [["prog"], "| prog"],
    [["-p", "-v", "prog"], "p v | prog"],
    [["-pv", "prog"], "p v | prog"],
    [["-Pp", "prog"], "P p | prog"],
    [["-t180", "prog"], "t=180 | prog"],
    [["-t", "180", "prog"], "t=180 | prog"],
    [["-vn2", "prog"], "v n=2 | prog"],
    [["-vn", "2", "prog"], "v n=2 | prog"],
    [["-n2v"], "n=2v |"],
    [["-t", "-v", "prog"], "t=-v | prog"],
    [["-t", "--", "prog"], "t=-- | prog"],
    [["-t1", "-t2"], "t=1 t=2 |"],
  ];
  for (const [args, expected] of cases) {
    assertEquals(parsed(args), expected, args.join(" "));
  }
});

Deno.test("the first argument that isn't an option ends the options", () => {
  const cases: [string[], string][] = [
    [["prog", "-v"], "| prog -v"],
    [["-v", "prog", "-p"], "v | prog -p"],
    [["-v", "--", "-p"], "v | -p"],
    [["--", "--"], "| --"],
    [["-", "-v"], "| - -v"],
    [["", "-v"], "|  -v"],
  ];
  for (const [args, expected] of cases) {
    assertEquals(parsed(args), expected, args.join(" "));
  }
});

Deno.test("an empty value counts as a value", () => {
  const { options, rest } = getopt(["-t", "", "prog"], "t:");
  assertEquals(options, [{ letter: "t", value: "" }]);
  assertEquals(rest, ["prog"]);
});

Deno.test("an unknown letter or a missing value is refused", () => {
  const cases: [string[], string][] = [
    [["-x"], "illegal option -- x"],
    [["-vx"], "illegal option -- x"],
    [["-:"], "illegal option -- :"],
    [["--v"], "illegal option -- -"],
    [["-t"], "option requires an argument -- t"],
    [["-vn"], "option requires an argument -- n"],
  ];
  for (const [args, message] of cases) {
    assertThrows(() => parsed(args), UsageError, message);
  }
  assertThrows(() => parsed(["-v"], ""), UsageError);
});

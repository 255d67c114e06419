import { assert, assertEquals, assertThrows } from "@std/assert";
import { HELP, parseArguments } from "../../src/tryto/arguments.ts";
import { UsageError } from "../../src/getopt.ts";

Deno.test("tryto's options have the original's defaults", () => {
  assertEquals(parseArguments(["prog", "-p", "x"]), {
    prog: ["prog", "-p", "x"],
    limit: 180,
    grace: 5,
    tries: 5,
    processor: false,
    group: false,
    verbose: false,
  });
});

Deno.test("tryto's options are read in every spelling of getopt", () => {
  for (
    const args of [
      ["-p", "-v", "-P", "-t", "20", "-k", "2", "-n", "3"],
      ["-pvP", "-t20", "-k2", "-n3"],
      ["-Pvpt20", "-k2", "-n", "3"],
      ["-vpPn3", "-t20", "-k", "2"],
      ["-t1", "-t20", "-pvPk2", "-n3", "--"],
    ]
  ) {
    const { prog, ...rest } = parseArguments([...args, "prog"]);
    assertEquals(prog, ["prog"]);
    assertEquals(rest, {
      limit: 20,
      grace: 2,
      tries: 3,
      processor: true,
      group: true,
      verbose: true,
    }, args.join(" "));
  }
});

Deno.test("a number is digits only, and 0 means what it means to the original", () => {
  const of = (value: string) => {
    const { limit, grace, tries } = parseArguments(
      ["-t", value, "-k", value, "-n", value, "prog"],
    );
    return [limit, grace, tries];
  };
  assertEquals(of("7"), [7, 7, 7]);
  assertEquals(of("007"), [7, 7, 7]);
  assertEquals(of("0"), [180, 5, 0]);
  for (const letter of ["t", "k", "n"]) {
    for (const value of ["x", "5x", "-3", "+3", " 3", "0x10", "1e9"]) {
      assertThrows(
        () => parseArguments([`-${letter}`, value, "prog"]),
        UsageError,
        `-${letter} wants a number, not ${value}`,
      );
    }
  }
});

Deno.test("a command line without sense is refused", () => {
  const refused = (args: string[]) =>
    assertThrows(() => parseArguments(args), UsageError).message;
  assertEquals(refused([]), "");
  assertEquals(refused(["-pv", "--"]), "");
  assertEquals(refused(["-x", "prog"]), "illegal option -- x");
  assertEquals(refused(["-px", "prog"]), "illegal option -- x");
  assertEquals(refused(["-t"]), "option requires an argument -- t");
});

Deno.test("tryto's help fits a screen", () => {
  const lines = HELP.trimEnd().split("\n");
  assert(lines.length <= 24, `${lines.length} lines`);
  for (const line of lines) assert(line.length <= 80, line);
});

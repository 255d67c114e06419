/**
 * The whole suite is worth what its checker sees: so the code is broken, in
 * three places, and each time the count has to say so.
 */
import { assert, assertEquals } from "@std/assert";
import { parseLabel } from "../../src/tai64n.ts";
import { folder, run, testWith } from "../tools.ts";
import { FAULTS } from "./faults.ts";
import { alone, play, possible } from "./rounds.ts";
import { type Change, compileChanged, SETTABLE_CLOCK } from "./variants.ts";

const BROKEN: [what: string, fault: string, says: RegExp, Change][] = [
  [
    "tryto keeps only what the sender hasn't read",
    "stop and kill server",
    /lost/,
    {
      from: "    this.#log.rewind();\n    const step",
      to: "    const step",
    },
  ],
  [
    "multilog ends a file after a newline, and two bytes more",
    "nothing",
    /ends within a line|no whole line/,
    {
      from: "newline < 0 ? end : first + newline + 1;",
      to: "newline < 0 ? end : Math.min(first + newline + 3, end);",
    },
  ],
  [
    "socklog-tcp takes a byte for written that isn't",
    "stop server-multilog",
    /no whole line/,
    {
      from: `taken(
        typeof written === "number" ? written : await this.#standing(written),
      );`,
      to: `taken(Math.min(
        1 + (typeof written === "number"
          ? written
          : await this.#standing(written)),
        this.#framer.size,
      ));`,
    },
  ],
];

for (const [what, name, says, change] of BROKEN) {
  testWith(["--all"], `a round of faults notices when ${what}`, async () => {
    using at = folder();
    const executables = await compileChanged(at.path, change);
    const can = await possible();
    const fault = FAULTS.find((fault) => fault.name === name)!;
    const found: string[] = [];
    // The code may be broken where a short round doesn't come.
    for (let seed = 11; seed < 15 && !says.test(found.join("\n")); seed++) {
      const here = { ...can, wired: false, disks: false };
      const plan = alone(fault, seed, here, 2000 * (seed - 10));
      plan.options.executables = executables;
      plan.options.rate = 0;
      // Enough for a full pipe also where programs start slowly.
      plan.options.size = 65536;
      found.push(...(await play(plan)).violations);
    }
    assert(says.test(found.join("\n")), found.join("\n"));
  });
}

testWith(
  ["--all"],
  "multilog loses no line while its clock jumps back and forth",
  async () => {
    using at = folder();
    const executables = await compileChanged(at.path, SETTABLE_CLOCK);
    // It is the file that says what the time is.
    Deno.writeTextFileSync(`${at.path}/clock`, "3600000\n");
    const { code } = await run([`${executables}/multilog`, "t", "./log"], {
      cwd: at.path,
      stdin: "later\n",
    });
    assertEquals(code, 0);
    const label = Deno.readTextFileSync(`${at.path}/log/current`).slice(0, 25);
    assert(parseLabel(label)!.seconds > Date.now() / 1000 + 3_500_000);
    const can = await possible(executables);
    const fault = FAULTS.find(({ name }) => name === "clock")!;
    const plan = alone(fault, 12, { ...can, wired: false, disks: false }, 2500);
    plan.options.stamps = true;
    const { violations, count } = await play(plan);
    assertEquals(violations, []);
    assert(count.fed > 0);
  },
);

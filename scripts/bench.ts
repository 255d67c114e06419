// Measures the programs beside those that they replace.
//
//   deno task bench [multilog] [tryto] [socklog-tcp] [--rounds N] [--megabytes N]
//
// Everything compared runs in turn in the same run, and ratios are taken round
// by round: a machine's speed changes from minute to minute, and only ratios
// outlive that.
import { parseArgs } from "@std/cli/parse-args";
import { compileAll } from "./compile.ts";

const NAMES = ["multilog", "tryto", "socklog-tcp"];

if (import.meta.main) {
  const options = parseArgs(Deno.args, {
    string: ["rounds", "megabytes", "only"],
    default: { rounds: "5", megabytes: "400", only: "" },
  });
  const wanted = options._.length ? options._.map(String) : NAMES;
  const unknown = wanted.find((name) => !NAMES.includes(name));
  if (unknown !== undefined) {
    console.error(`bench: ${unknown}: not one of ${NAMES.join(", ")}`);
    Deno.exit(1);
  }
  await compileAll();
  for (const name of wanted) {
    const { bench } = await import(`./bench/${name}.ts`);
    await bench({
      rounds: Number(options.rounds),
      megabytes: Number(options.megabytes),
      only: options.only,
    });
  }
}

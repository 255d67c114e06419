// Measures the programs beside those that they replace.
//
// Everything compared runs in turn in the same run, and ratios are taken round
// by round: a machine's speed changes from minute to minute, and only ratios
// outlive that.
import { parseArgs } from "@std/cli/parse-args";
import { compileAll } from "./compile.ts";

const NAMES = ["multilog", "tryto", "socklog-tcp", "start", "flow", "outage"];
const USAGE =
  `usage: deno task bench [multilog] [tryto] [socklog-tcp] [start] [flow] [outage]
                       [options]

  --rounds N      how often each is measured                  (5)
  --megabytes N   how much multilog is given                  (400)
  --only TEXT     only measurements that have it in their title
`;

if (import.meta.main) {
  const options = parseArgs(Deno.args, {
    string: ["rounds", "megabytes", "only"],
    boolean: ["help"],
    default: { rounds: "5", megabytes: "400", only: "" },
    unknown(arg, key) {
      if (key === undefined) return;
      console.error(`bench: ${arg}: unknown\n${USAGE}`);
      Deno.exit(1);
    },
  });
  if (options.help) {
    console.log(USAGE);
    Deno.exit(0);
  }
  if (!(Number(options.rounds) > 0) || !(Number(options.megabytes) > 0)) {
    console.error(USAGE);
    Deno.exit(1);
  }
  const wanted = options._.length ? options._.map(String) : NAMES;
  const unknown = wanted.find((name) => !NAMES.includes(name));
  if (unknown !== undefined) {
    console.error(`bench: ${unknown}: not one of ${NAMES.join(", ")}`);
    Deno.exit(1);
  }
  await compileAll();
  for (const name of wanted) {
    const { bench } = await import(`./bench/${name}.ts`);
    try {
      await bench({
        rounds: Number(options.rounds),
        megabytes: Number(options.megabytes),
        only: options.only,
      });
    } catch (error) {
      console.error(`bench: ${name}: ${(error as Error).message}`);
      Deno.exit(1);
    }
  }
}

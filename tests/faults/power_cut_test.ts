/**
 * The power goes between any two calls: every line that was synced, or
 * acknowledged, is there after the next start.
 */
import { assert, assertEquals } from "@std/assert";
import { startOurs } from "../socklog/servers.ts";
import {
  chosenSeed,
  chunk,
  folder,
  howMany,
  inEach,
  inParallel,
  installed,
  ours,
  run,
  Running,
  seeded,
  testWith,
  until,
} from "../tools.ts";
import {
  type Call,
  type Disk,
  linesBelow,
  Model,
  putOnDisk,
  recording,
  text,
  wholeLines,
} from "./power_cut.ts";

/** How many disks are started on at the most. */
const SAMPLE = howMany(24, 400);
/** So many of them one multilog starts on, each with logs of its own. */
const AT_ONCE = 12;
/** How many disks are looked at, at random, for each call. */
const AT_RANDOM = howMany(2, 6);

/** A disk after the power went, and what has to be on it. */
interface Cut {
  disk: Disk;
  /** How many of the lines, in the order in which they became due. */
  due: number;
  /** The call after which it went. */
  call: string;
}

/**
 * Plays a record, and cuts the power after each call.
 *
 * @param record What strace has written
 * @param base Where it ran
 * @param becameDue The lines that have to be there from a call on
 */
function cutsOf(
  record: string,
  base: string,
  becameDue: (call: Call, model: Model) => Iterable<string>,
): { cuts: Cut[]; lines: string[] } {
  const model = new Model(base);
  console.log(`LOGFERRY_SEED=${chosenSeed()}`);
  const random = seeded(chosenSeed());
  const cuts = new Map<string, Cut>();
  const lines = new Set<string>();
  for (const call of model.play(record)) {
    for (const line of becameDue(call, model)) lines.add(line);
    for (const disk of model.disks(random, AT_RANDOM)) {
      const key = JSON.stringify([lines.size, [...disk].sort()]);
      if (cuts.has(key)) continue;
      const args = call.args.map((arg) => text(arg).slice(0, 40));
      cuts.set(key, {
        disk,
        due: lines.size,
        call: `${call.at}: ${call.name}(${args})`,
      });
    }
  }
  return { cuts: [...cuts.values()], lines: [...lines] };
}

/** Some of them, if not all, in an order that seeds choose. */
function chosen(cuts: readonly Cut[]): Cut[] {
  if (cuts.length <= SAMPLE) return [...cuts];
  const random = seeded(chosenSeed());
  return cuts.map((cut) => ({ cut, order: random() }))
    .sort((a, b) => a.order - b.order)
    .slice(0, SAMPLE).map(({ cut }) => cut);
}

function describe({ disk, call }: Cut): string {
  const files = [...disk].map(([path, { bytes, mode }]) =>
    `${path} ${mode.toString(8)}: ${bytes.length} bytes`
  );
  return `after ${call}, with\n${files.join("\n")}`;
}

/** Starts on each disk, and looks for the lines that are due. */
async function check(
  { cuts, lines }: { cuts: Cut[]; lines: string[] },
  multilog: string,
  script: readonly string[],
  once: boolean,
): Promise<void> {
  await inParallel(chunk(chosen(cuts), AT_ONCE), async (some) => {
    using at = folder();
    for (const [i, { disk }] of some.entries()) {
      Deno.mkdirSync(`${at.path}/${i}`);
      putOnDisk(disk, `${at.path}/${i}`);
    }
    const { code, stderr } = await run(
      [multilog, ...inEach(script, some.map((_, i) => `${i}`))],
      { cwd: at.path, patience: 300 },
    );
    const all = () => some.map((cut, i) => `${i}: ${describe(cut)}`).join("\n");
    assert(code === 0, `${code} ${stderr}\n${all()}`);
    for (const [i, cut] of some.entries()) {
      // In each log by itself: a script may have a line go to several.
      const logs = [...Deno.readDirSync(`${at.path}/${i}`)];
      const found = logs.map(({ name }) => {
        const times = new Map<string, number>();
        for (const line of linesBelow(`${at.path}/${i}/${name}`)) {
          times.set(line, (times.get(line) ?? 0) + 1);
        }
        return times;
      });
      for (const line of lines.slice(0, cut.due)) {
        const times = Math.max(0, ...found.map((all) => all.get(line) ?? 0));
        assert(times > 0, `"${line}" is lost ${describe(cut)}`);
        if (once) assertEquals(times, 1, `"${line}" ${describe(cut)}`);
      }
    }
  });
}

Deno.test("the model of a disk: a sync that returns after a later one takes nothing back", () => {
  const model = new Model("/");
  const record = String.raw`
1 clone3({flags=CLONE_FILES}, 88) = 2
1 openat(AT_FDCWD, "\x66", O_WRONLY|O_CREAT|O_APPEND, 0644) = 3
1 write(3, "\x61", 1) = 1
2 fsync(3 <unfinished ...>
1 write(3, "\x62", 1) = 1
1 fsync(3) = 0
2 <... fsync resumed>) = 0`;
  assertEquals([...model.play(record)].length, 6 + 1);
  assertEquals(model.safe(), ["ab"]);
});

const NEEDS = ["strace"];

/** A processor whose lines are somewhere else, on the disk, before it ends. */
const SENDS =
  "!mkdir -p ../sent; to=$(mktemp ../sent/XXXXXX); sed -n p >$to; sync $to ../sent ..";

for (
  const [what, script, once] of [
    ["without a processor", ["s4096", "n100", "./log"], true],
    ["with a processor", ["s4096", "n100", "!sed -n p", "./log"], true],
    // What was sent may be sent again, of the last two files.
    ["with a processor that sends", ["s4096", "n100", SENDS, "./log"], false],
    ["with two logs", ["s4096", "n100", "./log", "-*1*", "./other"], true],
  ] as const
) {
  testWith(
    NEEDS,
    `power cut: every line of a client that was synced is there, ${what}`,
    async () => {
      using at = folder();
      const base = `${at.path}/run`;
      Deno.mkdirSync(base);
      const record = `${at.path}/record`;
      await using log = new Running(
        [...recording(record), ours.multilog, ...script],
        { cwd: base, stdin: "piped" },
      );
      for (let n = 0; n < 12; n++) {
        let some = "";
        for (let i = 0; i < 20; i++) {
          some += `line ${100 * n + i}`.padEnd(99, ".") + "\n";
        }
        await log.write(some);
        const last = some.slice(-100);
        await until("it is written", () => {
          return linesBelow(base).includes(last.slice(0, -1));
        });
      }
      assertEquals(await log.finish(), 0, log.said);
      const played = cutsOf(
        Deno.readTextFileSync(record),
        base,
        (_, model) => model.safe().flatMap(wholeLines),
      );
      assertEquals(played.lines.length, 240);
      await check(played, ours.multilog, script, once);
      const original = installed("multilog");
      if (original) await check(played, original, script, false);
    },
  );
}

for (
  const [what, names, log] of [
    ["its logs", ["TCPREMOTEIP"], "./all"],
    ["a log for each host", [], "@./hosts"],
  ] as const
) {
  testWith(
    NEEDS,
    `power cut: every line that a server acknowledged is there, with ${what}`,
    async () => {
      using at = folder();
      const base = `${at.path}/run`;
      Deno.mkdirSync(base);
      const record = `${at.path}/record`;
      const script = ["s4096", "n100", log];
      const sent = new Map<string, string[]>();
      {
        await using server = await startOurs(
          ["-a", "@", ...names, "multilog", ...script],
          { cwd: base, through: recording(record) },
        );
        const clients = Array.from({ length: 16 }, (_, n) => n);
        await inParallel(clients, async (n) => {
          const lines = Array.from(
            { length: 5 + n },
            (_, i) => `client${n}: line ${i}`.padEnd(60 + n, "."),
          );
          const input = lines.join("\n") + "\n";
          sent.set(`${input.length}\n`, lines);
          const { code, stderr } = await run(
            [ours.socklogTcp, "send", "-a", "127.0.0.1", `${server.port}`],
            { stdin: input },
          );
          assertEquals([code, stderr], [0, ""]);
        });
        assertEquals(sent.size, clients.length);
        server.kill("SIGTERM");
        assertEquals(await server.code(), 0, server.said);
      }
      const prefix = names.length > 0 ? "127.0.0.1: " : "";
      const played = cutsOf(
        Deno.readTextFileSync(record),
        base,
        ({ name, args }) => {
          if (name !== "write" && name !== "sendto") return [];
          const acknowledged = sent.get(text(args[1]!)) ?? [];
          return acknowledged.map((line) => prefix + line);
        },
      );
      assertEquals(played.lines.length, [...sent.values()].flat().length);
      await check(played, ours.multilog, script, true);
      const original = installed("multilog");
      // It knows no logs for hosts.
      if (original && !log.startsWith("@")) {
        await check(played, original, script, false);
      }
    },
  );
}

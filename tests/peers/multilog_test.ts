/**
 * The original multilog and ours, on the same scripts and the same input.
 *
 * A case is a script of random actions, with about seven logs, and input of
 * random bytes; a seed makes them again (`LOGFERRY_SEED`, printed by a failure),
 * and `LOGFERRY_CASES` makes more of them.
 */
import { assert, assertEquals } from "@std/assert";
import {
  chosenSeed,
  folder,
  howMany,
  inParallel,
  latin1,
  ours,
  seeded,
  sleep,
  someOf,
  testWith,
} from "../tools.ts";
import { fromLatin1 } from "../../src/bytes.ts";

const ORIGINAL = "multilog";
const WANTED = Deno.env.get("LOGFERRY_CASES");
const CASES = Number(WANTED ?? howMany(100, 300));
/**
 * For how long scripts are begun at the most, in milliseconds, unless their
 * number is given: a slow machine compares fewer of them.
 */
const ENOUGH = WANTED === undefined ? 100_000 : Infinity;

interface Case {
  script: string[];
  input: Uint8Array<ArrayBuffer>;
  /** How many bytes are written at once; 0 for all. */
  piece: number;
}

/** What a run left behind, with what may differ taken out. */
interface Left {
  code: number;
  stderr: string;
  files: Record<string, string>;
}

type Random = () => number;

function pick<T>(random: Random, list: readonly T[]): T {
  return list[Math.floor(random() * list.length)]!;
}

const LENGTHS = [0, 0, 1, 5, 20, 80, 173, 174, 199, 200, 201, 973, 974, 975] //
  .concat([998, 999, 1000, 1001, 1023, 1024, 1025, 2000, 4096]);
const WORDS = ["error", "fatal: ", "a", "*", "[x]", " ", "ab", "\0", "+", "é"];

function randomLine(random: Random): string {
  const length = random() < 0.002 ? 100000 : pick(random, LENGTHS);
  let line = "";
  while (line.length < length) {
    line += random() < 0.8
      ? pick(random, WORDS)
      : String.fromCharCode(Math.floor(random() * 256));
  }
  return line.slice(0, length).replaceAll("\n", "\r");
}

function randomInput(random: Random): Uint8Array<ArrayBuffer> {
  const lines = Array.from(
    { length: Math.floor(random() ** 2 * 150) },
    () => randomLine(random),
  );
  const end = random() < 0.7 ? "\n" : pick(random, ["", "x", "last line"]);
  return fromLatin1(lines.length ? lines.join("\n") + end : "");
}

function randomPattern(random: Random): string {
  let pattern = "";
  const parts = 1 + Math.floor(random() * 4);
  for (let i = 0; i < parts; i++) {
    const kind = random();
    if (kind < 0.45) pattern += "*";
    else if (kind < 0.9) pattern += pick(random, WORDS).replace("\0", "");
    else pattern += pick(random, ["@*", " ", "**", "x*"]);
  }
  return pattern;
}

function randomCase(random: Random): Case {
  const script: string[] = [];
  if (random() < 0.4) script.push("t");
  let logs = 0;
  // Most of a short case's time goes into starting two programs, so many cases
  // are long: each of their directories is one more log to compare.
  const actions = 1 + Math.floor(random() ** 2 * 45);
  for (let i = 0; i < actions; i++) {
    const kind = random();
    if (kind < 0.3) {
      // Past the stamp, whose digits no two runs share.
      const start = script[0] === "t" ? pick(random, ["* ", "@* "]) : "";
      script.push(pick(random, ["-", "+"]) + start + randomPattern(random));
    } else if (kind < 0.35) script.push("-*");
    else if (kind < 0.45) script.push("e");
    else if (kind < 0.55) script.push(`=status${i}`);
    else if (kind < 0.6) {
      script.push(`s${pick(random, [4096, 4097, 5000, 9999, 65536])}`);
    } else if (kind < 0.63) {
      // Not the smallest files: hundreds of processors would be the whole test.
      script.push(`s${pick(random, [9999, 30000])}`);
      script.push(pick(random, ["!cat", "!tr a-z A-Z", "!cat; cat <&4 >&5"]));
    } else script.push(`./log${logs++}`);
  }
  // A directory last, so that no setting is without one and warned about; as
  // many files as there may be, since the original's cuts depend on its buffer.
  script.push(`./log${logs++}`);
  script.splice(script[0] === "t" ? 1 : 0, 0, "n100000");
  const piece = random() < 0.1 ? 1 + Math.floor(random() * 3000) : 0;
  return { script, input: randomInput(random), piece };
}

async function runCase(program: string, one: Case): Promise<Left> {
  using at = folder();
  const child = new Deno.Command(program, {
    args: one.script,
    cwd: at.path,
    stdin: "piped",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  const feeding = (async () => {
    const writer = child.stdin.getWriter();
    const step = one.piece || one.input.length || 1;
    for (let i = 0; i < one.input.length; i += step) {
      await writer.write(one.input.subarray(i, i + step));
      if (one.piece) await sleep(1);
    }
    await writer.close();
  })();
  const { code, stderr } = await child.output();
  await feeding;
  const files: Record<string, string> = {};
  const stamped = one.script[0]?.startsWith("t") ?? false;
  // How much of a log its processor has had depends on where files are cut.
  const folded = one.script.includes("!tr a-z A-Z");
  for (const { name, isDirectory } of Deno.readDirSync(at.path)) {
    if (!isDirectory) {
      const content = latin1(Deno.readFileSync(`${at.path}/${name}`));
      files[name] = plain(content, stamped);
      continue;
    }
    let whole = "";
    const entries = [...Deno.readDirSync(`${at.path}/${name}`)];
    entries.sort((a, b) => a.name < b.name ? -1 : 1);
    for (const entry of entries) {
      const path = `${at.path}/${name}/${entry.name}`;
      const mode = (Deno.statSync(path).mode! & 0o7777).toString(8);
      const content = latin1(Deno.readFileSync(path));
      if (entry.name.startsWith("@")) {
        assertEquals(entry.name.replace(/^@[0-9a-f]{24}/, ""), ".s");
        assertEquals(mode, "744");
        whole += content;
      } else if (entry.name === "current") {
        whole += content;
        files[`${name}/current`] = mode;
      } else files[`${name}/${entry.name}`] = `${mode} ${content}`;
    }
    whole = plain(whole, stamped);
    files[`${name} in all`] = folded
      ? whole.replace(/[a-z]/g, (letter) => letter.toUpperCase())
      : whole;
  }
  const said = plain(latin1(stderr), stamped);
  return { code, stderr: said, files };
}

/** A text, the stamps (which no two runs share) taken out. */
function plain(text: string, stamped: boolean): string {
  // A processor of the test may have made its letters large.
  return stamped ? text.replace(/^@[0-9a-fA-F]{24} /gm, "@STAMP ") : text;
}

function show({ script, input, piece }: Case): string {
  const head = JSON.stringify(latin1(input.subarray(0, 200)));
  return `multilog ${script.map((word) => JSON.stringify(word)).join(" ")}` +
    ` with ${input.length} bytes, ${piece} at once: ${head}`;
}

/** What differs, in a line; empty where nothing does. */
function difference(mine: Left, theirs: Left): string {
  if (mine.code !== theirs.code) return `exit ${mine.code}, ${theirs.code}`;
  const a: Record<string, string> = { ...mine.files, stderr: mine.stderr };
  const b: Record<string, string> = { ...theirs.files, stderr: theirs.stderr };
  for (const name of new Set([...Object.keys(a), ...Object.keys(b)])) {
    const [x, y] = [a[name], b[name]];
    if (x === y) continue;
    if (x === undefined || y === undefined) return `${name}: ${x}, ${y}`;
    let at = 0;
    while (x[at] === y[at]) at++;
    const near = (text: string) =>
      JSON.stringify(text.slice(Math.max(at - 30, 0), at + 30));
    return `${name} at ${at} of ${x.length}, ${y.length}: ` +
      `${near(x)}, ${near(y)}`;
  }
  return "";
}

/** Compares cases, as many as there is time for; those that were. */
async function compare(
  cases: readonly Case[],
  seed: number,
  enough = Infinity,
): Promise<Case[]> {
  const end = performance.now() + enough;
  const compared: Case[] = [];
  const found: string[] = [];
  await inParallel(cases, async (one) => {
    if (found.length > 0 || performance.now() > end) return;
    compared.push(one);
    const mine = await runCase(ours.multilog, one);
    const what = difference(mine, await runCase(ORIGINAL, one));
    if (what) {
      found.push(`seed ${seed}: ${show(one)}\n  ours, theirs: ${what}`);
    }
  });
  assertEquals(found, []);
  return compared;
}

testWith(
  [ORIGINAL],
  "multilog: fixed scripts leave what the original leaves",
  async () => {
    const lines = (...list: string[]) => fromLatin1(list.join("\n") + "\n");
    const long = "x".repeat(1500);
    const inputs = [
      lines(),
      fromLatin1(""),
      fromLatin1("no newline"),
      lines(
        "hello",
        "hello world",
        "",
        "named[135]: Cleaned cache of 3121 RRs",
      ),
      lines(
        "a".repeat(199),
        "a".repeat(200),
        "a".repeat(201),
        "a\0b",
        "\xff\xfe",
      ),
      lines("a".repeat(999), "a".repeat(1000), "a".repeat(1001), long + "end"),
      lines("x".repeat(4096), "y".repeat(100000), "short"),
      lines(...Array.from({ length: 3000 }, (_, i) => `line ${i}`)),
      lines(...Array.from({ length: 300 }, (_, i) => "z".repeat(i * 7 % 300))),
    ];
    const scripts = [
      ["./log"],
      ["t", "./log"],
      ["tfoo", "./log"],
      ["+hello", "./log"],
      ["-hello", "./log"],
      ["-*", "+hello", "./log"],
      ["-*", "+hello*", "./log", "+named[*]: Cleaned cache *", "./log2"],
      ["t", "-*", "+* fatal: *", "./log", "+*", "e", "=status", "./log2"],
      ["-*", `+${"x".repeat(1000)}`, "./log"],
      ["-*", `+${"x".repeat(999)}*`, "./log"],
      ["-*", "+*end", "./log"],
      ["-*", "+**", "./log", "-**a", "./log2", "+*a*a", "./log3"],
      ["-", "./log", "+", "./log2"],
      ["e"],
      ["efoo", "=status", "-*", "e", "=status2"],
      ["s4096", "n1000", "./log", "s5000", "!cat", "./log2"],
      ["t", "s4096", "n1000", "!tr a-z A-Z", "./log"],
      ["s4096", "n1000", "!cat; wc -l <&4 >&5; echo >&5", "./log"],
      ["-*", "./log"],
      ["./sub/"],
      [],
    ];
    const cases: Case[] = [];
    for (const script of scripts) {
      for (const input of inputs) cases.push({ script, input, piece: 0 });
    }
    await compare(someOf(cases, 70), 0);
  },
);

testWith(
  [ORIGINAL],
  `multilog: random scripts, ${CASES} at the most, leave what the original leaves`,
  async () => {
    const seed = chosenSeed();
    console.log(`seed ${seed}`);
    const random = seeded(seed);
    const cases = Array.from({ length: CASES }, () => randomCase(random));
    const compared = await compare(cases, seed, ENOUGH);
    const logs = compared.flatMap(({ script }) => script)
      .filter((word) => word.startsWith("./log"));
    console.log(`${compared.length} scripts, ${logs.length} logs`);
  },
);

testWith(
  [ORIGINAL],
  "multilog: a start that fails says what the original says",
  async () => {
    using at = folder();
    Deno.writeTextFileSync(`${at.path}/file`, "");
    const holder = new Deno.Command(ORIGINAL, {
      args: ["./held"],
      cwd: at.path,
      stdin: "piped",
    }).spawn();
    // It holds the lock once it has made `current`.
    while (true) {
      try {
        Deno.statSync(`${at.path}/held/current`);
        break;
      } catch {
        await sleep(1);
      }
    }
    for (
      const script of [
        ["./held"],
        ["./file"],
        ["./no/such/dir"],
        ["=./no/such/file"],
        ["=."],
      ]
    ) {
      const said = [];
      for (const program of [ORIGINAL, ours.multilog]) {
        const { code, stderr } = await new Deno.Command(program, {
          args: script,
          cwd: at.path,
          stdin: "null",
          stderr: "piped",
        }).output();
        said.push({ code, stderr: latin1(stderr) });
      }
      // Ours has other words for this one, and says who has the lock.
      said[0]!.stderr = said[0]!.stderr.replace(
        "temporary failure",
        "temporarily unavailable: " +
          `process ${holder.pid} (multilog) writes to it`,
      );
      assertEquals(said[1], said[0], script.join(" "));
      assert(said[1]!.code === 111);
    }
    await holder.stdin.close();
    await holder.status;
  },
);

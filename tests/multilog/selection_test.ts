/**
 * The kernel and the automaton beside plain code that does the same line by
 * line, and patterns beside the C library's own functions.
 */
import { assert, assertEquals } from "@std/assert";
import { encode, fromLatin1, latin1 } from "../../src/bytes.ts";
import { LineEngine } from "../../src/multilog/engine.ts";
import { parseScript } from "../../src/multilog/script.ts";
// Loaded here, since a library that a test loads would be a leak of its own.
import "../../src/multilog/selection.ts";
import { chosenSeed, inTime, seeded } from "../tools.ts";

type Random = () => number;

function pick<T>(random: Random, list: readonly T[]): T {
  return list[Math.floor(random() * list.length)]!;
}

/** What a script has made of its input. */
interface Made {
  logs: string[];
  files: string[];
  alerts: string;
}

async function through(
  script: readonly string[],
  input: string,
  pieces: () => number,
): Promise<Made> {
  const { timestamp, actions } = parseScript(script);
  const made: Made = { logs: [], files: [], alerts: "" };
  let later = 0;
  const engine = await LineEngine.make(timestamp, actions, {
    append(log, bytes, from, to) {
      const text = latin1(bytes.subarray(from, to));
      const put = () => made.logs[log] = (made.logs[log] ?? "") + text;
      // Sometimes it takes a while, as with a disk.
      if (later++ % 3) return void put();
      return Promise.resolve().then(() => void put());
    },
    status(file, bytes) {
      made.files[file] = latin1(bytes);
      return undefined;
    },
    alert: (bytes) => void (made.alerts += latin1(bytes)),
  });
  const bytes = fromLatin1(input);
  for (let at = 0; at < bytes.length;) {
    const space = engine.space();
    const piece = bytes.subarray(at, at + Math.min(pieces(), space.length));
    space.set(piece);
    await engine.push(piece.length);
    at += piece.length;
  }
  await engine.end();
  return made;
}

/** multilog's rule, as its manual page has it. */
function matchesPlainly(pattern: string, line: string): boolean {
  if (pattern === "") return line === "";
  if (pattern === "*") return true;
  if (pattern[0] !== "*") {
    return line[0] === pattern[0] &&
      matchesPlainly(pattern.slice(1), line.slice(1));
  }
  const at = line.indexOf(pattern[1]!);
  return at >= 0 && matchesPlainly(pattern.slice(1), line.slice(at));
}

function plainly(script: readonly string[], input: string): Made {
  const made: Made = { logs: [], files: [], alerts: "" };
  const lines = input.split("\n");
  if (lines.at(-1) === "") lines.pop();
  for (const line of lines) {
    const sight = line.slice(0, 1000);
    let selected = true;
    let log = 0;
    let file = 0;
    for (const action of script) {
      const rest = action.slice(1);
      switch (action[0]) {
        case "+":
          if (matchesPlainly(rest, sight)) selected = true;
          break;
        case "-":
          if (matchesPlainly(rest, sight)) selected = false;
          break;
        case "e":
          if (selected) {
            made.alerts += sight.slice(0, 200) +
              (sight.length > 200 ? "...\n" : "\n");
          }
          break;
        case "=":
          if (selected) made.files[file] = sight.padEnd(1001, "\n");
          file++;
          break;
        case ".":
          if (selected) made.logs[log] = `${made.logs[log] ?? ""}${line}\n`;
          log++;
      }
    }
  }
  return made;
}

const LENGTHS = [0, 1, 2, 14, 15, 16, 17, 31, 32, 33, 47, 48, 49, 64, 65] //
  .concat([63, 128, 198, 199, 200, 201, 998, 999, 1000, 1001, 1002, 1016, 2000])
  .concat([2047, 2048, 2049, 9000]);

function randomLine(random: Random): string {
  const length = pick(random, LENGTHS.slice(0, random() < 0.1 ? 99 : 15));
  let line = "";
  while (line.length < length) {
    line += pick(random, [
      "a",
      "b",
      "ab",
      "*",
      " ",
      "x",
      "\0",
      "\xff",
      "error",
    ]);
  }
  return line.slice(0, length);
}

function randomScript(random: Random): string[] {
  const script: string[] = [];
  const pattern = () => {
    let text = "";
    const parts = Math.floor(random() * 5);
    for (let i = 0; i < parts; i++) {
      text += pick(random, ["*", "*", "a", "b", "x", " ", "error", "ab"]);
    }
    return text + (random() < 0.5 ? "*" : "");
  };
  const actions = 1 + Math.floor(random() * 12);
  for (let i = 0; i < actions; i++) {
    const kind = random();
    if (kind < 0.5) script.push(pick(random, ["-", "+"]) + pattern());
    else if (kind < 0.6) script.push("-*");
    else if (kind < 0.68) script.push("e");
    else if (kind < 0.76) script.push("=file");
    else script.push("./log");
  }
  return [...script, "./log"];
}

Deno.test("random scripts do with random lines, cut anywhere, what plain code does", async () => {
  const seed = chosenSeed();
  console.log(`seed ${seed}`);
  const random = seeded(seed);
  for (let round = 0; round < 300; round++) {
    const script = randomScript(random);
    const lines = Array.from(
      { length: Math.floor(random() * 200) },
      () => randomLine(random),
    );
    const input = lines.join("\n") + (random() < 0.5 ? "\n" : "");
    const most = pick(random, [1, 17, 300, 3000, 1e6]);
    const made = await through(
      script,
      input,
      () => 1 + Math.floor(random() * most),
    );
    const what = `seed ${seed}, round ${round}: ${JSON.stringify(script)}`;
    assertEquals(made, plainly(script, input), what);
  }
});

/** Timestamps by the letter of their action, and what they look like. */
const STAMPS: Record<string, [form: RegExp, any: string]> = {
  t: [/^@[0-9a-f]{24} /gm, `@${"0".repeat(24)} `],
  T: [/^1\d{9}\.\d{6} /gm, `1${"0".repeat(9)}.000000 `],
  i: [/^20\d\d-[-0-9T:.]{21}Z /gm, "2000-00-00T00:00:00.000000Z "],
};

/** The same with one timestamp in place of all. */
function withOneStamp(made: Made, [form, any]: [RegExp, string]): Made {
  const put = (text: string) => text.replace(form, any);
  return {
    logs: made.logs.map(put),
    files: made.files.map(put),
    alerts: put(made.alerts),
  };
}

Deno.test("random scripts do with random stamped lines, cut anywhere, what plain code does", async () => {
  const seed = chosenSeed();
  console.log(`seed ${seed}`);
  const random = seeded(seed);
  for (let round = 0; round < 600; round++) {
    const kind = pick(random, ["t", "t", "T", "i"]);
    const stamp = STAMPS[kind]!;
    // Either all lines are in the first log, so that their stamps are known; or
    // nothing depends on a stamp's digits, and lines that nobody wants are none.
    const all = random() < 0.5;
    const before = pick(random, ["* ", `${stamp[1][0]}* `, "*x", "* *"]);
    const script = randomScript(random).map((action) =>
      all || !/^[-+]/.test(action) ? action : action[0] + before + //
        action.slice(1)
    );
    if (all) script.unshift("./log");
    const lines = Array.from(
      { length: Math.floor(random() * 200) },
      () => randomLine(random),
    );
    const input = lines.map((line) => `${line}\n`).join("");
    const most = pick(random, [1, 17, 300, 3000, 1e6]);
    const made = await through(
      [kind, ...script],
      lines.at(-1) && random() < 0.5 ? input.slice(0, -1) : input,
      () => 1 + Math.floor(random() * most),
    );
    const what = `seed ${seed}, round ${round}: ${kind} ` +
      JSON.stringify(script);
    const stamped = lines.map((line) => `${stamp[1]}${line}\n`).join("");
    if (!all) {
      assertEquals(
        withOneStamp(made, stamp),
        withOneStamp(plainly(script, stamped), stamp),
        what,
      );
      continue;
    }
    const [first = ""] = made.logs;
    assertEquals(first.replace(stamp[0], stamp[1]), stamped, what);
    assertEquals(made, plainly(script, first), what);
  }
});

Deno.test("lines of each length are decided on, wherever the first one begins", async () => {
  const script = ["-*", "+a*", "./log"];
  const stamped = ["t", "-*", "+* a*", "./log"];
  for (let length = 0; length <= 130; length++) {
    for (let offset = 0; offset < 64; offset += 7) {
      // Two of three, so that runs of lines are gathered, too.
      const line = (n: number) => "aab"[n % 3]!.repeat(length);
      const lines = Array.from(
        { length: 4000 / (length + 1) },
        (_, n) => line(n),
      );
      const input = ["b".repeat(offset), ...lines].join("\n");
      const what = `${length} bytes, after ${offset}`;
      const made = await through(script, input, () => 1e6);
      assertEquals(made, plainly(script, input), what);
      const withStamps = await through(stamped, input, () => 1e6);
      withStamps.logs.forEach((text, log) =>
        withStamps.logs[log] = text.replace(STAMPS.t![0], "")
      );
      assertEquals(withStamps, made, what);
    }
  }
});

Deno.test("five hundred hosts' lines go to their logs, and states that have no room are made anew", async () => {
  const random = seeded(1);
  // Long names, so that their states are more than may be kept.
  const names = Array.from(
    { length: 500 },
    (_, i) => `${i}`.padStart(3, "0") + `.${"host-".repeat(20)}example`,
  );
  const script = names.flatMap((name, i) => ["-*", `+${name}: *`, `./${i}`]);
  const logs: string[] = [];
  let input = "";
  for (let i = 0; i < 3000; i++) {
    const host = Math.floor(random() * 500);
    const line = `${names[host]}: line ${i}\n`;
    input += line;
    logs[host] = (logs[host] ?? "") + line;
    if (i % 7 === 0) input += `${names[host]!.slice(0, -1)}\n`;
    // Nobody's, which the first byte tells.
    if (i % 5 === 0) input += `nobody's line ${i}\n`;
  }
  // More for each of two than is put together at a time.
  for (let i = 0; i < 600; i++) {
    const line = `${names[i % 2]}: more ${i}\n`;
    input += line;
    logs[i % 2] += line;
  }
  const made = await through(script, input, () => 60_000);
  for (const host of names.keys()) assertEquals(made.logs[host], logs[host]);
  const stamped = await through(
    ["t", ...script.map((action) => action.replace(/^\+/, "+@* "))],
    input,
    () => 60_000,
  );
  for (const host of names.keys()) {
    assertEquals(stamped.logs[host]?.replace(STAMPS.t![0], ""), logs[host]);
  }
});

Deno.test("lines that nobody wants aren't mistaken for others when states are made anew", async () => {
  // Each byte of these lines makes a state, and when there are 20,000 all are made
  // anew: then the outcome of `x` comes where that of `nobody` was.
  const names = Array.from({ length: 21 }, (_, i) => `${i}`.padEnd(999, "."));
  const script = ["-*", "+x*", ...names.map((name) => `+${name}:`), "./log"];
  const states = names.slice(1).map((name) => name.slice(0, 998)).join("\n");
  const lines = "x\n".repeat(3000);
  for (let more = 40; more < 60; more++) {
    const rest = names[0]!.slice(0, more);
    const input = `nobody\n${states}\n${rest}\n${lines}`;
    const made = await through(script, input, () => 1e6);
    assertEquals(made.logs[0], lines, `${more} more`);
  }
});

const NUMBER_OF_PATTERNS = 10_000;
const AT_ONCE = 100;

/**
 * Puts lines through scripts of many patterns, and compares what each pattern
 * selects with what the C library says.
 */
async function compare(
  language: string,
  newPattern: (random: Random) => string,
  newLine: (random: Random) => string,
  theirs: (pattern: string) => ((line: string) => boolean) | undefined,
): Promise<number> {
  const seed = chosenSeed();
  console.log(`seed ${seed}`);
  const random = seeded(seed);
  let matched = 0;
  for (let n = 0; n < NUMBER_OF_PATTERNS; n += AT_ONCE) {
    const patterns: [string, (line: string) => boolean][] = [];
    while (patterns.length < AT_ONCE) {
      const pattern = newPattern(random);
      const judge = theirs(pattern);
      if (judge !== undefined) patterns.push([pattern, judge]);
    }
    const lines = Array.from({ length: 50 }, () => newLine(random));
    const script = patterns.flatMap((
      [pattern],
      i,
    ) => ["S", "-*", language, `+${pattern}`, `./${i}`]);
    const made = await through(script, lines.join("\n") + "\n", () => 2000);
    patterns.forEach(([pattern, judge], i) => {
      const wanted = lines.filter(judge);
      matched += wanted.length;
      assertEquals(
        made.logs[i] ?? "",
        wanted.map((line) => line + "\n").join(""),
        `seed ${seed}: ${JSON.stringify(pattern)}`,
      );
    });
  }
  return matched;
}

function cString(text: string): Uint8Array<ArrayBuffer> {
  return encode(`${text}\0`);
}

Deno.test("random patterns after F match what fnmatch(3) matches", async () => {
  const library = Deno.dlopen("libc.so.6", {
    fnmatch: { parameters: ["buffer", "buffer", "i32"], result: "i32" },
  });
  const libc = library.symbols;
  const parts = ["a", "b", "c", "*", "*", "?", "[ab]", "[!ab]", "[^b-d]"] //
    .concat([
      "[a-c]",
      "[]a]",
      "[!]a]",
      "[a-]",
      "[-c]",
      "\\*",
      "\\a",
      "[[:alpha:]]",
    ])
    .concat([
      "[[:digit:]x]",
      "[[=a=]b]",
      "[[.-.]a]",
      "[a\\]]",
      "[c-a]",
      "]",
      "/",
    ])
    .concat([".", "[", "\\\\", "[[:space:]]", "[![:alnum:]]", "[*?]", "-"]);
  const characters = ["a", "b", "c", "d", "x", "*", "?", "[", "]", "-", "\\"]
    .concat("/", ".", "0", " ", "^", "!");
  const text = (random: Random, list: readonly string[], most: number) => {
    let made = "";
    const length = Math.floor(random() * most);
    for (let i = 0; i < length; i++) made += pick(random, list);
    return made;
  };
  const matched = await compare(
    "F",
    (random) => text(random, parts, 6),
    (random) => text(random, characters, 7),
    (pattern) => {
      // POSIX leaves open what a `[` is that nothing closes. In the C library
      // `[-` and `[a--` stand for themselves, but `[a-` for nothing.
      if (/\[.*-$/.test(pattern)) return undefined;
      return (line) => libc.fnmatch(cString(pattern), cString(line), 0) === 0;
    },
  );
  library.close();
  assert(matched > 10_000, `only ${matched} lines matched`);
});

Deno.test("a NUL ends a line for a pattern after F, as it does in C", async () => {
  const made = await through(
    ["F", "-*", "+a?", "./a", "-*", "+*b*", "./b", "-*", "+ab*", "./c"],
    "ab\nab\0c\na\0b\nabc\n",
    () => 3,
  );
  assertEquals(made.logs, [
    "ab\nab\0c\n",
    "ab\nab\0c\nabc\n",
    "ab\nab\0c\nabc\n",
  ]);
});

Deno.test("random expressions after R match what regexec(3) matches", async () => {
  const library = Deno.dlopen("libc.so.6", {
    regcomp: { parameters: ["buffer", "buffer", "i32"], result: "i32" },
    regexec: {
      parameters: ["buffer", "buffer", "usize", "usize", "i32"],
      result: "i32",
    },
    regfree: { parameters: ["buffer"], result: "void" },
  });
  const libc = library.symbols;
  const REG_EXTENDED = 1;
  const REG_NOSUB = 8;
  const atoms = ["a", "b", "c", ".", "[ab]", "[^a]", "[a-c]", "\\.", "\\w"]
    .concat("[[:digit:]]", "\\s", "\\W", "x", "\\*", "[]x]", "[^]x]", "[a-]");
  const expression = (random: Random, depth: number): string => {
    const kind = random();
    if (depth === 0 || kind < 0.3) return pick(random, atoms);
    const inner = () => expression(random, depth - 1);
    if (kind < 0.65) return inner() + inner();
    if (kind < 0.75) return `(${inner()}|${inner()})`;
    if (kind < 0.8) return `^${inner()}`;
    if (kind < 0.85) return `${inner()}$`;
    const atom = random() < 0.5 ? pick(random, atoms) : `(${inner()})`;
    // glibc forgets the anchors of what it writes more than once.
    if (/\$|(?<!\[)\^/.test(atom)) return `${atom}?`;
    return atom +
      pick(random, ["*", "+", "?", "{2}", "{1,2}", "{2,}", "{0,1}"]);
  };
  const compiled: Uint8Array<ArrayBuffer>[] = [];
  const matched = await compare(
    "R",
    (random) => expression(random, 4),
    (random) => {
      let line = "";
      const length = Math.floor(random() * 8);
      for (let i = 0; i < length; i++) {
        line += pick(random, [
          "a",
          "b",
          "c",
          "d",
          "x",
          ".",
          " ",
          "1",
          "*",
          "-",
        ]);
      }
      return line;
    },
    (pattern) => {
      const regex = new Uint8Array(64);
      if (libc.regcomp(regex, cString(pattern), REG_EXTENDED | REG_NOSUB)) {
        return undefined;
      }
      compiled.push(regex);
      return (line) => libc.regexec(regex, cString(line), 0n, 0n, 0) === 0;
    },
  );
  for (const regex of compiled) libc.regfree(regex);
  library.close();
  assert(matched > 100_000, `only ${matched} lines matched`);
});

Deno.test("an expression that would have to be tried in many ways takes no longer than others", async () => {
  const script = ["R", "-(a+)+$", "-(a|aa)*b(c*)*d", "-(x+x+)+y", "./log"];
  const line = "a".repeat(900) + "x".repeat(90) + "!";
  const { result: made } = await inTime(
    9,
    () => through(script, `${line}\n`.repeat(1000), () => 1e6),
  );
  assertEquals(made.logs[0]!.length, 1000 * (line.length + 1));
});

Deno.test("an expression that can't be understood is refused with the reason", async () => {
  const rows: [pattern: string, reason: string][] = [
    ["(a", "unmatched ("],
    ["a)", "unmatched )"],
    ["[a", "unmatched ["],
    ["*a", "nothing to repeat before *"],
    ["a|+", "nothing to repeat before +"],
    ["a{2", "no numbers in braces"],
    ["a{3,2}", "wrong numbers in braces"],
    ["a{256}", "wrong numbers in braces"],
    ["((a{255}){255}){255}", "too large"],
    ["a" + "*".repeat(101), "too deep"],
    ["(".repeat(200), "too deep"],
    ["a\\", "a \\ at the end"],
    ["\\1", "unknown \\1"],
    ["[[:letters:]]", "unknown class"],
    ["[b-a]", "wrong range"],
  ];
  for (const [pattern, reason] of rows) {
    let said = "";
    await through(["R", `+${pattern}`, "./log"], "", () => 1).catch((error) => {
      assert(error instanceof SyntaxError);
      said = error.message;
    });
    assertEquals(said, `${pattern}: ${reason}`);
  }
});

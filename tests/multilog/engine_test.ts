import { assert, assertEquals } from "@std/assert";
import { type Bytes, fromLatin1 } from "../../src/bytes.ts";
import { LineEngine } from "../../src/multilog/engine.ts";
import { parseScript } from "../../src/multilog/script.ts";
// Loaded here, since a library that a test loads would be a leak of its own.
import "../../src/multilog/selection.ts";
import { chosenSeed, latin1, seeded } from "../tools.ts";

/** Puts bytes through a script's engine in pieces, and collects what it gives. */
async function put(
  script: readonly string[],
  pieces: Iterable<string>,
  between: () => void = () => {},
) {
  const { timestamp, actions } = parseScript(script);
  const logs: string[] = [];
  const statuses: string[] = [];
  let alerts = "";
  const engine = await LineEngine.make(timestamp, actions, {
    append(log, bytes, from, to) {
      logs[log] = (logs[log] ?? "") + latin1(bytes.subarray(from, to));
      // Sometimes at once and sometimes later, as with a disk.
      return logs[log]!.length % 2 ? Promise.resolve() : undefined;
    },
    alert: (bytes: Bytes) => void (alerts += latin1(bytes)),
    status(file, bytes) {
      statuses[file] = latin1(bytes);
      return undefined;
    },
  });
  for (const piece of pieces) {
    const bytes = fromLatin1(piece);
    for (let at = 0; at < bytes.length;) {
      const space = engine.space();
      const part = bytes.subarray(at, at + space.length);
      space.set(part);
      await engine.push(part.length);
      at += part.length;
    }
    between();
  }
  return { engine, logs, statuses, alerts: () => alerts };
}

Deno.test("engine: without conditions everything goes through at once", async () => {
  const { logs, engine } = await put(["./a", "./b"], ["one\ntw", "o", "\nx"]);
  assertEquals(logs, ["one\ntwo\nx", "one\ntwo\nx"]);
  assertEquals(engine.atLineStart(), false);
  await engine.end();
  assertEquals(logs, ["one\ntwo\nx\n", "one\ntwo\nx\n"]);
  assertEquals(engine.atLineStart(), true);
});

Deno.test("engine: an end at the end of a line adds nothing", async () => {
  const { logs, engine } = await put(["./a"], ["one\n"]);
  await engine.end();
  assertEquals(logs, ["one\n"]);
});

Deno.test("engine: how input is cut makes no difference", async () => {
  const seed = chosenSeed();
  console.log(`seed ${seed}`);
  const random = seeded(seed);
  let input = "";
  const lengths = [0, 1, 30, 199, 200, 201, 999, 1000, 1001, 1024, 5000];
  for (let i = 0; i < 40; i++) {
    const length = lengths[Math.floor(random() * lengths.length)]!;
    const letter = "abcx"[Math.floor(random() * 4)]!;
    input += letter.repeat(length) + (random() < 0.3 ? "end" : "") + "\n";
  }
  const script = ["-a*", "+*end", "./a", "-*", "+b*", "+c*", "./b"]
    .concat("e", "=status", "+*", "./c");
  const whole = await put(script, [input]);
  for (let round = 0; round < 10; round++) {
    const pieces: string[] = [];
    const most = 1 + Math.floor(random() ** 3 * 3000);
    for (let at = 0; at < input.length;) {
      const n = 1 + Math.floor(random() * most);
      pieces.push(input.slice(at, at + n));
      at += n;
    }
    const cut = await put(script, pieces);
    for (let log = 0; log < 3; log++) {
      assert(
        cut.logs[log] === whole.logs[log],
        `seed ${seed}, log ${log}, pieces of up to ${most}`,
      );
    }
    assertEquals(cut.alerts(), whole.alerts());
    assertEquals(cut.statuses, whole.statuses);
  }
});

Deno.test("engine: a line is decided on by its first 1000 bytes", async () => {
  for (const long of [999, 1000, 1001]) {
    const line = "a".repeat(long);
    const { logs } = await put(["-*", `+${"a".repeat(1000)}`, "./a"], [
      line + "\n",
    ]);
    assertEquals(logs[0] ?? "", long < 1000 ? "" : line + "\n");
    // A stamp is of those.
    const pattern = `+@* ${"a".repeat(1000 - 26)}`;
    const stamped = await put(["t", "-*", pattern, "./a"], [
      line.slice(26) + "\n",
    ]);
    assertEquals(
      (stamped.logs[0] ?? "").slice(26),
      long < 1000 ? "" : line.slice(26) + "\n",
    );
  }
});

Deno.test("engine: a long line goes on before its end has come", async () => {
  const { logs } = await put(["-b*", "./a"], ["a".repeat(1500)]);
  assertEquals(logs[0]?.length, 1500);
  const undecided = await put(["-b*", "./a"], ["a".repeat(999)]);
  assertEquals(undecided.logs[0], undefined);
});

Deno.test("engine: an alert shows 200 bytes, a status file has 1001", async () => {
  for (const long of [199, 200, 201, 5000]) {
    const line = "a".repeat(long);
    const { alerts, statuses } = await put(["e", "=file"], [line + "\n"]);
    assertEquals(
      alerts(),
      long > 200 ? "a".repeat(200) + "...\n" : line + "\n",
    );
    assertEquals(
      statuses[0],
      line.slice(0, 1000) + "\n".repeat(1001 - Math.min(long, 1000)),
    );
  }
});

Deno.test("engine: stamps are unique and in order, and part of what is matched", async () => {
  const lines = Array.from({ length: 40000 }, (_, i) => `line ${i}`);
  const { logs } = await put(["t", "-*", "+@* line*", "./a"], [
    lines.join("\n") + "\n",
    "line of the next piece\n",
  ]);
  const stamped = logs[0]!.split("\n");
  assertEquals(stamped.pop(), "");
  assertEquals(stamped.length, lines.length + 1);
  let last = "";
  stamped.forEach((line, i) => {
    const stamp = line.slice(0, 25);
    assert(/^@[0-9a-f]{24}$/.test(stamp), line);
    assert(stamp > last, `${stamp} is not after ${last}`);
    assertEquals(line.slice(25), ` ${lines[i] ?? "line of the next piece"}`);
    last = stamp;
  });
});

Deno.test("engine: a stamp stands once, where its line begins", async () => {
  const { logs } = await put(["t", "./a"], ["on", "e\n", "\n", "tw", "o"]);
  assertEquals(
    logs[0]!.replace(/@[0-9a-f]{24} /g, "STAMP "),
    "STAMP one\nSTAMP \nSTAMP two",
  );
});

Deno.test("engine: lines of any length are put side by side, at any fill", async () => {
  const seed = chosenSeed();
  console.log(`seed ${seed}`);
  const random = seeded(seed);
  for (let round = 0; round < 20; round++) {
    // How long the runs are, and how long the lines, changes from round to
    // round: from single short lines to runs of many that are longer than the
    // room for them.
    const longest = [10, 40, 200, 3000, 12000, 90000][round % 6]!;
    const turn = [2, 3, 10, 60, 400][round % 5]!;
    const lines: string[] = [];
    let word = "a";
    for (let size = 0; size < 700_000;) {
      if (random() < 1 / turn) word = "abcd"[Math.floor(random() * 4)]!;
      const line = word + "x".repeat(Math.floor(random() * longest));
      lines.push(line);
      size += line.length + 1;
    }
    const stamped = round % 2 ? ["t"] : [];
    const start = stamped.length ? "* " : "";
    const { logs } = await put([
      ...stamped,
      ...["-*", `+${start}a*`, "./0", `+${start}b*`, "./1", "-*", "./2"],
      ...["+*", "./3", `-${start}c*`, "./4", "+*", `-${start}d*`, "./5"],
    ], [lines.join("\n") + "\n"]);
    const plain = logs.map((log) =>
      stamped.length ? log?.replace(/^@[0-9a-f]{24} /gm, "") : log
    );
    const expected = (words: string) =>
      lines.filter((line) => words.includes(line[0]!))
        .map((line) => line + "\n").join("");
    // Neighbours in memory that are both often full: what one has too much of
    // would be in the other, or nowhere.
    const wanted = ["a", "ab", "", "abcd", "abd", "abc"].map(expected);
    wanted.forEach((text, log) =>
      assert(
        (plain[log] || undefined) === (text || undefined),
        `round ${round}, log ${log}`,
      )
    );
  }
});

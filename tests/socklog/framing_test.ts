import { assertEquals } from "@std/assert";
import { encode, fromLatin1 } from "../../src/bytes.ts";
import { Framer, LineBuffer, LONGEST } from "../../src/socklog/framing.ts";
import { chosenSeed, latin1, seeded } from "../tools.ts";

/** Feeds text in pieces of the given sizes, and returns all that comes out. */
function frame(
  text: string,
  options: {
    prefix?: string;
    form?: "cooked" | "raw" | "both";
    octetCounting?: boolean;
    piece?: () => number;
    end?: boolean;
  } = {},
): string {
  const framer = new Framer({
    form: options.form ?? "cooked",
    octetCounting: options.octetCounting ?? false,
  });
  const stream = new LineBuffer(encode(options.prefix ?? ""));
  const bytes = fromLatin1(text);
  let out = "";
  const empty = () => {
    out += latin1(framer.output());
    framer.taken(framer.size);
  };
  for (let at = 0; at < bytes.length;) {
    const piece = Math.min(options.piece?.() ?? 262144, bytes.length - at);
    framer.input.set(bytes.subarray(at, at + piece));
    for (let done = 0; done < piece;) {
      done = framer.take(stream, done, piece);
      if (done < piece) empty();
    }
    at += piece;
  }
  if (options.end !== false) {
    while (!framer.end(stream)) empty();
    assertEquals(framer.held, 0);
  }
  empty();
  return out;
}

Deno.test("lines end with a newline, a NUL, or their stream", () => {
  assertEquals(frame("a\nb\0c"), "a\nb\nc\n");
  assertEquals(frame("a\nb\0c", { end: false }), "a\nb\n");
});

Deno.test("empty lines are dropped, wherever they are", () => {
  assertEquals(frame("\n\na\n\n\0\0b\n\n"), "a\nb\n");
  assertEquals(frame("\n"), "");
  assertEquals(frame("\r\n \n"), "\r\n \n");
});

Deno.test("a known <n> becomes facility.priority, at any split", () => {
  const input = "<13>one\n<191>two\n<8>x<13>y\n<13>\n<192>mark\n";
  const output = "user.notice: one\nlocal7.debug: two\nuser.emerg: x<13>y\n" +
    "user.notice: \nmark.emerg: mark\n";
  for (let size = 1; size < 9; size++) {
    assertEquals(frame(input, { piece: () => size }), output);
  }
});

Deno.test("an unknown <n> keeps its number, and what is no <n> stays", () => {
  const cases = {
    "<999>a": "unknown.debug: <999>a",
    "<96>a": "unknown.emerg: <96>a",
    "<013>a": "user.notice: a",
    "<0>a": "<0>a",
    "<00>a": "<00>a",
    "<0013>a": "<0013>a",
    "<1000>a": "<1000>a",
    "<>a": "<>a",
    "<1": "<1",
    "<13": "<13",
    "<": "<",
    "< 3>a": "< 3>a",
    "<-3>a": "<-3>a",
    "<1x>a": "<1x>a",
    "<<13>a": "<<13>a",
    "13>a": "13>a",
  };
  for (const [input, output] of Object.entries(cases)) {
    assertEquals(frame(input), `${output}\n`);
    assertEquals(frame(input, { piece: () => 1 }), `${output}\n`);
  }
});

Deno.test("every line has its stream's prefix, raw ones too", () => {
  const input = "<13>a\nb\n";
  const prefix = "10.0.0.1: ";
  assertEquals(
    frame(input, { prefix }),
    "10.0.0.1: user.notice: a\n10.0.0.1: b\n",
  );
  assertEquals(
    frame(input, { prefix, form: "raw" }),
    "10.0.0.1: <13>a\n10.0.0.1: b\n",
  );
  assertEquals(
    frame(input, { prefix, form: "both" }),
    "10.0.0.1: <13>a\n10.0.0.1: user.notice: a\n10.0.0.1: b\n10.0.0.1: b\n",
  );
});

Deno.test("a line as long as may be is whole, one byte more makes pieces", () => {
  for (const extra of [-1, 0]) {
    const line = "x".repeat(LONGEST + extra);
    assertEquals(frame(`${line}\n`, { prefix: "p: " }), `p: ${line}\n`);
    assertEquals(frame(line, { prefix: "p: " }), `p: ${line}\n`);
  }
  const line = "<13>" + "y".repeat(LONGEST - 4);
  const output = `p: user.notice: ${line.slice(4)}\np: user.notice: z\n`;
  for (const size of [262144, 65536, 1000, 7]) {
    const piece = () => size;
    assertEquals(frame(`${line}z\n`, { prefix: "p: ", piece }), output);
    assertEquals(frame(`${line}z`, { prefix: "p: ", piece }), output);
  }
});

Deno.test("a piece that begins like a priority isn't taken for one", () => {
  const line = "x".repeat(LONGEST) + "<13>z";
  assertEquals(
    frame(`${line}\n<14>next\n`),
    `${line.slice(0, LONGEST)}\n<13>z\nuser.info: next\n`,
  );
});

/** What the splitter should do, as plainly as it can be said. */
function expected(text: string, prefix: string): string {
  const names = "kern user mail daemon auth syslog lpr news uucp cron authpriv"
    .split(" ");
  const levels = "emerg alert crit err warn notice info debug".split(" ");
  let out = "";
  for (const line of text.split(/[\n\0]/)) {
    if (line === "") continue;
    let words = "";
    let body = line;
    const found = /^<(\d{1,3})>/.exec(line);
    const n = Number(found?.[1] ?? 0);
    if (n > 0) {
      const name = names[n >> 3];
      words = `${name ?? "unknown"}.${levels[n & 7]}: `;
      if (name !== undefined) body = line.slice(found![0].length);
    }
    const cut = LONGEST - (line.length - body.length);
    const pieces = [body.slice(0, cut)];
    for (let at = cut; at < body.length; at += LONGEST) {
      pieces.push(body.slice(at, at + LONGEST));
    }
    for (const piece of pieces) out += `${prefix}${words}${piece}\n`;
  }
  return out;
}

Deno.test("any bytes, split anywhere, come out as they should", () => {
  const seed = chosenSeed();
  const random = seeded(seed);
  const pick = (n: number) => Math.floor(random() * n);
  for (let round = 0; round < 60; round++) {
    let text = "";
    const parts = 1 + pick(60);
    for (let i = 0; i < parts; i++) {
      text += [
        () => "\n",
        () => "\0",
        () => `<${[0, 13, 86, 96, 255][pick(5)]}>`,
        () => "<1",
        () => "ab>".repeat(pick(30)),
        () => String.fromCharCode(pick(256)),
        () => random() < 0.1 ? "L".repeat(pick(3 * LONGEST)) : "l\n",
      ][pick(7)]!();
    }
    const most = [3, 100, 5000, 262144][pick(4)]!;
    assertEquals(
      frame(text, { prefix: "h: ", piece: () => 1 + pick(most) }),
      expected(text, "h: "),
      `LOGFERRY_SEED=${seed}`,
    );
  }
});

Deno.test("no connection's bytes come inside another connection's line", () => {
  const framer = new Framer();
  const streams = ["a", "b", "c"].map((n) => new LineBuffer(encode(`${n}: `)));
  for (const text of ["one ", "two ", "three\n"]) {
    for (const stream of streams) {
      framer.input.set(encode(text));
      framer.take(stream, 0, text.length);
    }
  }
  assertEquals(
    latin1(framer.output()),
    "a: one two three\nb: one two three\nc: one two three\n",
  );
});

Deno.test("unfinished lines of all streams together are bounded", () => {
  const framer = new Framer();
  const size = 65000;
  framer.input.fill(0x78, 0, size);
  for (let i = 0; i < 4000; i++) {
    const stream = new LineBuffer(new Uint8Array(0));
    while (framer.take(stream, 0, size) < size) framer.taken(framer.size);
  }
  assertEquals(framer.held <= 128 * 1024 * 1024, true);
  assertEquals(framer.held > 127 * 1024 * 1024, true);
});

Deno.test("when memory runs out the longest unfinished lines are cut, not the short ones", () => {
  const framer = new Framer();
  const size = 65000;
  // Held by nobody else any more: what was dropped doesn't count for ever.
  for (let i = 0; i < 2100; i++) {
    framer.input.fill(0x78, 0, size);
    const lines = new LineBuffer(new Uint8Array(0));
    while (framer.take(lines, 0, size) < size) framer.taken(framer.size);
    framer.taken(framer.size);
  }
  const innocent = new LineBuffer(encode("i: "));
  const take = (text: string) => {
    framer.input.set(encode(text));
    assertEquals(framer.take(innocent, 0, text.length), text.length);
  };
  take("<13>an inno");
  take("cent line\n");
  const out = latin1(framer.output()).split("\n").filter((line) =>
    !line.startsWith("x")
  );
  assertEquals(out, ["i: user.notice: an innocent line", ""]);
  assertEquals(framer.held <= 128 * 1024 * 1024, true);
});

Deno.test("octet-counted messages come out as messages, at any split", () => {
  const counted = (...messages: string[]) =>
    messages.map((text) => `${text.length} ${text}`).join("");
  const rows: [input: string, output: string][] = [
    [counted("<13>a", "<14>b c"), "p: user.notice: a\np: user.info: b c\n"],
    // A newline inside is no new message, and forges none.
    [
      counted("<13>a\n<14>b\0\nc\n", "<14>d"),
      "p: user.notice: a\np: user.notice: <14>b\np: user.notice: c\n" +
      "p: user.info: d\n",
    ],
    [`${counted("<13>a")}\n${counted("b")}`, "p: user.notice: a\np: b\n"],
    ["20 <13>cut off", "p: user.notice: cut off\n"],
    // Others send lines as ever.
    ["<13>a\n12 <x\n", "p: user.notice: a\np: 12 <x\n"],
    ["12 monkeys\n5 <13>b\n", "p: 12 monkeys\np: 5 <13>b\n"],
    ["12\n", "p: 12\n"],
    ["12", "p: 12\n"],
    ["12 ", "p: 12 \n"],
    ["0 <13>a", "p: 0 <13>a\n"],
    ["012 <13>a", "p: 012 <13>a\n"],
    ["1234567890 <13>a\n", "p: 1234567890 <13>a\n"],
    // Nothing is lost where the count goes wrong.
    [`${counted("<13>a")}x y\nz`, "p: user.notice: a\np: x y\np: z\n"],
  ];
  for (const [input, output] of rows) {
    for (const size of [1, 2, 3, 5, 1000]) {
      const piece = () => size;
      assertEquals(
        frame(input, { prefix: "p: ", octetCounting: true, piece }),
        output,
        `${JSON.stringify(input)} by ${size}`,
      );
    }
  }
  const long = "<13>" + "y".repeat(LONGEST) + "z";
  assertEquals(
    frame(counted(long, "<14>b"), { octetCounting: true }),
    `user.notice: ${"y".repeat(LONGEST - 4)}\nuser.notice: yyyyz\n` +
      "user.info: b\n",
  );
});

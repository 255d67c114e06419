import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { fromLatin1, latin1 } from "../../src/bytes.ts";
import {
  type Allowed,
  check,
  type Findings,
  type LogFile,
  NOTHING_BROKEN,
} from "./checker.ts";
import { LineMaker, numberAt, ownerAt } from "./lines.ts";

const maker = new LineMaker(7, 900);
const line = (client: number, number: number) =>
  latin1(maker.line(client, number));

/** An outcome in text, to be spoilt. */
interface Sketch {
  fed: number[];
  kept: Record<string, string>[];
  received: Record<string, string>;
}

/** Lines after a connection's address and port. */
function over(port: number, client: number, from: number, to: number): string {
  let text = "";
  for (let i = from; i < to; i++) {
    text += `10.0.0.1: ${port}: ${line(client, i)}`;
  }
  return text;
}

function lines(client: number, from: number, to: number): string {
  let text = "";
  for (let i = from; i < to; i++) text += line(client, i);
  return text;
}

const NOTICES = "10.0.0.1: 2002: socklog-tcp: fatal: unable to connect to " +
  "10.0.0.2 10116: connection refused\n" +
  "10.0.0.1: 2002: tryto: warning: child crashed.\n" +
  "10.0.0.1: 2002: tryto: fatal: child crashed, giving up.\n";

/** Two clients; one file of the first was kept, and that was told. */
function good(): Sketch {
  return {
    fed: [90, 40],
    kept: [
      { "@1.s": "", "@2.s": lines(0, 30, 60), "@3.s": "", "current": "" },
      { "@1.s": "", "current": lines(1, 30, 40) },
    ],
    received: {
      "@1.s": "socklog-tcp: status: 0/40\nsocklog-tcp: status: 1/40\n" +
        "socklog-tcp: pid 1 from 10.0.0.1\n" +
        "socklog-tcp: ok 1 here:10.0.0.2:10116 :10.0.0.1::2001\n" +
        over(2001, 0, 0, 10) + over(2003, 1, 0, 30) + over(2001, 0, 10, 25),
      "current": over(2001, 0, 25, 30) + "socklog-tcp: end 1 status 0\n" +
        NOTICES + over(2002, 0, 60, 90),
    },
  };
}

function judge(sketch: Sketch, allowed: Partial<Allowed> = {}): Findings {
  const files = (text: Record<string, string>): LogFile[] =>
    Object.entries(text).map(([name, text]) => ({
      name,
      bytes: fromLatin1(text),
    }));
  return check({
    lines: maker,
    fed: sketch.fed,
    address: "10.0.0.1",
    kept: sketch.kept.map(files),
    received: files(sketch.received),
  }, { ...NOTHING_BROKEN, ...allowed });
}

Deno.test("faults: a line tells whether it is whole", () => {
  for (let number = 0; number < 300; number++) {
    const bytes = maker.line(3, number).slice();
    const end = bytes.length - 1;
    assert(bytes.indexOf(10) === end && !bytes.includes(0));
    assertEquals(ownerAt(bytes, 0, end), 3);
    assertEquals(numberAt(bytes, 0), number);
    assertEquals(bytes, maker.line(3, number));
    const at = number % end;
    assertEquals(ownerAt(bytes, 0, end - 1), -1, "cut");
    assertEquals(ownerAt(bytes, 1, end), -1, "beheaded");
    bytes[at]! ^= 1;
    assertEquals(ownerAt(bytes, 0, end), -1, `byte ${at} changed`);
  }
});

Deno.test("faults: the checker has nothing to say when all is well", () => {
  const { count, violations } = judge(good());
  assertEquals(violations, []);
  assertEquals(count.fed, 130);
  assertEquals([count.server, count.client, count.lost], [90, 40, 0]);
  assertEquals([count.both, count.copies, count.notices], [0, 0, 3]);
});

/** Changes what is in one file. */
function edit(
  files: Record<string, string>,
  name: string,
  change: (text: string) => string,
): void {
  const before = files[name]!;
  files[name] = change(before);
  assert(files[name] !== before, "nothing was planted");
}

const PLANTED: [
  what: string,
  spoil: (sketch: Sketch) => void,
  says: string,
][] = [
  [
    "a line dropped on the server",
    ({ received }) =>
      edit(received, "@1.s", (text) => text.replace(over(2001, 0, 7, 8), "")),
    "line a 7 is lost",
  ],
  [
    "the last line of a transmission dropped",
    ({ received }) =>
      edit(received, "@1.s", (text) => text.replace(over(2003, 1, 29, 30), "")),
    "line b 29 is lost",
  ],
  [
    "a line dropped on the client",
    ({ kept }) =>
      edit(kept[0]!, "@2.s", (text) => text.replace(line(0, 44), "")),
    "line a 44 is lost",
  ],
  [
    "a kept file dropped",
    ({ kept }) => delete kept[0]!["@2.s"],
    "line a 30 to line a 59 are lost",
  ],
  [
    "a line doubled on the server",
    ({ received }) =>
      edit(
        received,
        "@1.s",
        (text) =>
          text.replace(over(2001, 0, 7, 8), over(2001, 0, 7, 8).repeat(2)),
      ),
    "line a 7 and on: there 2 times",
  ],
  [
    "a line doubled on the client",
    ({ kept }) => edit(kept[1]!, "current", (text) => text + line(1, 39)),
    "line b 39 once more",
  ],
  [
    "a file that is kept and was sent",
    ({ kept }) => kept[0]!["@3.s"] = lines(0, 60, 90),
    "line a 60 and on: there 2 times",
  ],
  [
    "the halves of two lines exchanged",
    ({ received }) =>
      edit(received, "@1.s", (text) => {
        const [a, b] = [line(0, 3), line(0, 4)];
        const [m, n] = [a.length >> 1, b.length >> 1];
        return text.replace(a, a.slice(0, m) + b.slice(n))
          .replace(b, b.slice(0, n) + a.slice(m));
      }),
    "no whole line: 10.0.0.1: 2001: a 00000003",
  ],
  [
    "two clients' lines mixed",
    ({ received }) =>
      edit(received, "@1.s", (text) => {
        const [a, b] = [over(2001, 0, 9, 10), over(2003, 1, 0, 1)];
        return text.replace(
          a + b,
          a.slice(0, -9) + b.slice(0, 40) + a.slice(-9) + b.slice(40),
        );
      }),
    "no whole line",
  ],
  [
    "the first byte of an address dropped",
    ({ received }) =>
      edit(
        received,
        "@1.s",
        (text) =>
          text.replace(over(2001, 0, 5, 6), over(2001, 0, 5, 6).slice(1)),
      ),
    "no whole line: 0.0.0.1",
  ],
  [
    "a line cut",
    ({ received }) =>
      edit(
        received,
        "@1.s",
        (text) => text.replace(line(0, 5), line(0, 5).slice(0, -4) + "\n"),
      ),
    "no whole line",
  ],
  [
    "a kept line cut",
    ({ kept }) => edit(kept[0]!, "@2.s", (text) => text.slice(0, -5) + "\n"),
    "no whole line",
  ],
  [
    "a kept file that ends within a line",
    ({ kept }) => edit(kept[0]!, "@2.s", (text) => text.slice(0, -5)),
    "ends within a line",
  ],
  [
    "a line invented",
    ({ received }) =>
      edit(received, "current", (text) => text + over(2002, 0, 90, 91)),
    "invented line a 90",
  ],
  [
    "a word invented",
    ({ received }) =>
      edit(received, "current", (text) => `${text}10.0.0.1: 2002: hello\n`),
    "no whole line: 10.0.0.1: 2002: hello",
  ],
  [
    "an empty line",
    ({ received }) => edit(received, "current", (text) => `\n${text}`),
    "no whole line",
  ],
  [
    "two lines exchanged",
    ({ received }) =>
      edit(
        received,
        "@1.s",
        (text) =>
          text.replace(
            over(2001, 0, 3, 5),
            over(2001, 0, 4, 5) + over(2001, 0, 3, 4),
          ),
      ),
    "from line a 2 to line a 4 within a connection",
  ],
  [
    "two transmissions exchanged",
    ({ received }) => {
      received["@1.s"] = over(2000, 0, 60, 90) + over(2003, 1, 0, 30);
      received["current"] = over(2001, 0, 0, 30);
    },
    "line a 0 came after line a 60",
  ],
  [
    "a line on another connection",
    ({ received }) =>
      edit(
        received,
        "@1.s",
        (text) => text.replace(over(2003, 1, 9, 10), over(2001, 1, 9, 10)),
      ),
    "within a connection",
  ],
  [
    "a byte changed",
    ({ kept }) =>
      edit(kept[1]!, "current", (text) => text.slice(0, -2) + "\xff\n"),
    "no whole line",
  ],
  [
    "a message in a line",
    ({ received }) =>
      edit(
        received,
        "@1.s",
        (text) =>
          text.replace(
            line(0, 5),
            line(0, 5).slice(0, 30) + "socklog-tcp: status: 1/40\n" +
              line(0, 5).slice(30),
          ),
      ),
    "no whole line",
  ],
  [
    "the notices of a kept file dropped",
    ({ received }) =>
      edit(received, "current", (text) => text.replace(NOTICES, "")),
    "line a 30 was kept, and line a 60 came without a notice of it",
  ],
  [
    "a file cut off",
    ({ kept }) => {
      kept[0]!["@2.u"] = kept[0]!["@2.s"]!;
      delete kept[0]!["@2.s"];
    },
    "nobody was killed",
  ],
];

for (const [what, spoil, says] of PLANTED) {
  Deno.test(`faults: the checker finds ${what}`, () => {
    const sketch = good();
    spoil(sketch);
    const { violations } = judge(sketch);
    assertStringIncludes(violations.join("\n"), says);
    // What was broken by hand, no network excuses.
    if (/copies|kept and was sent|doubled on the server/.test(what)) return;
    if (/transmissions exchanged/.test(what)) return;
    const excused = judge(sketch, { cuts: true }).violations;
    assert(excused.length > 0, "a cut transmission is no excuse for this");
  });
}

Deno.test("faults: a transmission that was cut is allowed where one was", () => {
  const sketch = good();
  edit(sketch.received, "current", (text) =>
    over(2005, 0, 30, 41) +
    over(2005, 0, 41, 42).slice(0, -7) + "\n" + text);
  const { violations, count } = judge(sketch, { cuts: true });
  assertEquals(violations, []);
  assertEquals([count.both, count.parts, count.lost], [11, 1, 0]);
  assert(judge(sketch).violations.length > 0);
  // Its part is no excuse for losing the line itself.
  edit(sketch.kept[0]!, "@2.s", (text) => text.replace(line(0, 41), ""));
  assertStringIncludes(
    judge(sketch, { cuts: true }).violations.join("\n"),
    "line a 41 is lost",
  );
});

Deno.test("faults: a killed multilog may split a line, and lose what it held", () => {
  const cut = lines(0, 30, 51).length - 12;
  const all = lines(0, 30, 90);
  const sketch = good();
  sketch.received["current"] = over(2001, 0, 25, 30) + NOTICES;
  sketch.kept[0] = {
    "@2.u": all.slice(0, cut),
    "@3.s": all.slice(cut),
  };
  const allowed = { clientKills: [1, 0] };
  assertEquals(judge(sketch, allowed).violations, []);
  assertEquals(judge(sketch, allowed).count.split, 1);
  assert(judge(sketch).violations.length > 0);

  // The rest of the line may have gone to the server with the next file.
  sketch.kept[0] = { "@2.u": all.slice(0, cut), "@3.s": "" };
  const port = "10.0.0.1: 2006: ";
  sketch.received["current"] += port +
    all.slice(cut, -1).replaceAll("\n", `\n${port}`) + "\n";
  const split = judge(sketch, allowed);
  assertEquals(split.violations, []);
  assertEquals([split.count.split, split.count.lost], [1, 0]);

  // And the first half as well, with its own file: all is sent in the end.
  sketch.kept[0] = { "@2.s": "", "@3.s": "" };
  const early = "10.0.0.1: 2005: ";
  const later = sketch.received["current"]!;
  const head = early + all.slice(0, cut).replaceAll("\n", `\n${early}`);
  sketch.received["current"] = later.replace(port, () => `${head}\n${port}`);
  const sent = judge(sketch, allowed);
  assertEquals(sent.violations, []);
  assertEquals([sent.count.split, sent.count.lost], [1, 0]);
  assert(judge(sketch).violations.length > 0);
  sketch.received["current"] = later;

  // In hand: lines in one piece, and not more than it reads at once.
  const gap = lines(0, 30, 55).length - 20;
  sketch.received["current"] = over(2001, 0, 25, 30) + NOTICES;
  sketch.kept[0] = { "@2.u": all.slice(0, cut), "@3.s": all.slice(gap) };
  const held = judge(sketch, allowed);
  assertEquals(held.violations, []);
  assertEquals([held.count.inHand, held.count.lost], [5, 0]);
  sketch.kept[0]!["@3.s"] = all.slice(gap).replace(line(0, 70), "");
  assertStringIncludes(
    judge(sketch, allowed).violations.join("\n"),
    "line a 70 is lost",
  );
});

Deno.test("faults: lines of waiting files have to be on the server in the end", () => {
  const sketch = good();
  const waits = [false, true];
  assertEquals(judge(sketch, { waits }).violations, [
    "line b 30 and on: not on the server",
  ]);
  sketch.received["current"] += over(2008, 1, 30, 40);
  sketch.kept[1]!["current"] = "";
  assertEquals(judge(sketch, { waits }).violations, []);
});

Deno.test("faults: a killed multilog is no excuse for a whole file", () => {
  const sketch = good();
  sketch.fed = [290, 40];
  sketch.received["current"] = over(2001, 0, 25, 30) + NOTICES +
    over(2002, 0, 260, 290);
  sketch.kept[0] = { "@2.u": lines(0, 30, 60), "@3.s": lines(0, 60, 260) };
  const allowed = { clientKills: [1, 0] };
  assertEquals(judge(sketch, allowed).violations, []);
  sketch.kept[0]["@3.s"] = "";
  assertStringIncludes(
    judge(sketch, allowed).violations.join("\n"),
    "line a 60 to line a 259 are lost",
  );
});

Deno.test("faults: the server's multilog may be killed in a line too", () => {
  const sketch = good();
  const text = sketch.received["@1.s"]!;
  const at = text.indexOf(line(1, 3)) + 30;
  sketch.received = {
    "@0.u": text.slice(0, at),
    "@1.s": text.slice(at),
    "current": sketch.received["current"]!,
  };
  const allowed = { serverLogKills: 1 };
  assertEquals(judge(sketch, allowed).violations, []);
  // Five lines of two connections in its hand.
  const later = text.indexOf(line(1, 8)) + 9;
  sketch.received["@1.s"] = text.slice(later);
  const { violations, count } = judge(sketch, allowed);
  assertEquals(violations, []);
  assertEquals([count.inHand, count.lost], [6, 0]);
});

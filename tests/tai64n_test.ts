import { assert, assertEquals } from "@std/assert";
import { readClock } from "../src/sys/clock.ts";
import {
  label,
  LABEL_LENGTH,
  type Moment,
  parseLabel,
  putLabel,
} from "../src/tai64n.ts";
import { chosenSeed, latin1, run, seeded, testWith } from "./tools.ts";

const known: [string, Moment][] = [
  ["@400000000000000a00000000", { seconds: 0, nanoseconds: 0 }],
  ["@400000003b9aca09000001f4", { seconds: 999999999, nanoseconds: 500 }],
  ["@40000000ffffffff3b9ac9ff", {
    seconds: 2 ** 32 - 11,
    nanoseconds: 999999999,
  }],
  ["@400000010000000000000001", { seconds: 2 ** 32 - 10, nanoseconds: 1 }],
  ["@4000000d0000000c00000000", {
    seconds: 13 * 2 ** 32 + 2,
    nanoseconds: 0,
  }],
  ["@400000000000000000000000", { seconds: -10, nanoseconds: 0 }],
  ["@3fffffffffffffff00000000", { seconds: -11, nanoseconds: 0 }],
];

Deno.test("label and parseLabel agree, before 1970 and after 2106 too", () => {
  for (const [text, moment] of known) {
    assertEquals(label(moment), text);
    assertEquals(parseLabel(text), moment);
  }
});

Deno.test("putLabel writes its bytes and no others", () => {
  const out = new Uint8Array(LABEL_LENGTH + 4).fill(0x2e);
  putLabel(out, 2, { seconds: 0, nanoseconds: 1 });
  assertEquals(latin1(out), "..@400000000000000a00000001..");
});

Deno.test("labels are in the order of their moments", () => {
  const labels = known.map(([text]) => text);
  const moments = known.toSorted(([, a], [, b]) =>
    a.seconds - b.seconds || a.nanoseconds - b.nanoseconds
  );
  assertEquals(labels.toSorted(), moments.map(([text]) => text));
});

Deno.test("parseLabel takes a label whatever follows it, and refuses a shorter one", () => {
  const moment = { seconds: 999999999, nanoseconds: 500 };
  assertEquals(parseLabel("@400000003b9aca09000001f4.s"), moment);
  assertEquals(parseLabel("@400000003b9aca09000001f4 text"), moment);
  for (
    const text of [
      "",
      "@",
      "current",
      "@400000003b9aca09000001f",
      "400000003b9aca09000001f4",
      " @400000003b9aca09000001f4",
      "@400000003B9ACA09000001F4",
      "@400000003b9acag9000001f4",
    ]
  ) {
    assertEquals(parseLabel(text), undefined, text);
  }
});

testWith(["tai64n"], "the original stamps the same moment", async () => {
  const before = readClock();
  const { text } = await run(["tai64n"], { stdin: "line\n" });
  const after = readClock();
  assertEquals(text.slice(LABEL_LENGTH), " line\n");
  const stamp = text.slice(0, LABEL_LENGTH);
  assert(label(before) <= stamp && stamp <= label(after));
  assertEquals(label(parseLabel(stamp)!), stamp);
});

testWith(["tai64nlocal"], "the original reads our labels", async () => {
  const seed = chosenSeed();
  const random = seeded(seed);
  const moments = Array.from({ length: 500 }, () => ({
    seconds: Math.floor(random() * 2 ** 33),
    nanoseconds: Math.floor(random() * 1e9),
  }));
  const { text } = await run(["tai64nlocal"], {
    stdin: moments.map((moment) => `${label(moment)}\n`).join(""),
    env: { TZ: "UTC" },
  });
  const expected = moments.map(({ seconds, nanoseconds }) => {
    const date = new Date(seconds * 1000).toISOString();
    const [day, time] = date.slice(0, 19).split("T");
    return `${day} ${time}.${String(nanoseconds).padStart(9, "0")}\n`;
  });
  assertEquals(text, expected.join(""), `seed ${seed}`);
});

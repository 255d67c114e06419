import { assertEquals } from "@std/assert";
import { encode, latin1 } from "../src/bytes.ts";
import {
  readStamp,
  STAMP_MOST,
  STAMP_SIGHT,
  StampWriter,
} from "../src/stamps.ts";
import { label, type Moment } from "../src/tai64n.ts";

/** What a writer writes for moments, one after the other. */
function write(kind: "T" | "i", ...moments: Moment[]): string[] {
  const writer = new StampWriter(kind);
  const out = new Uint8Array(STAMP_MOST + 2);
  return moments.map((moment) => {
    const length = writer.put(out, 1, moment);
    assertEquals([out[0], out.at(-1)], [0, 0]);
    return latin1(out.subarray(1, 1 + length));
  });
}

const at = (seconds: number, nanoseconds: number): Moment => ({
  seconds,
  nanoseconds,
});

Deno.test("T and i write the time with six digits of the second, and a space after it", () => {
  const moments = [
    at(1795746975, 123456789),
    at(1795746975, 123457000),
    at(1795746976, 999),
    at(1795746976, 999999999),
    at(0, 1000),
    at(2 ** 33, 5000),
  ];
  assertEquals(write("T", ...moments), [
    "1795746975.123456 ",
    "1795746975.123457 ",
    "1795746976.000000 ",
    "1795746976.999999 ",
    "0.000001 ",
    "8589934592.000005 ",
  ]);
  assertEquals(write("i", ...moments), [
    "2026-11-27T02:36:15.123456Z ",
    "2026-11-27T02:36:15.123457Z ",
    "2026-11-27T02:36:16.000000Z ",
    "2026-11-27T02:36:16.999999Z ",
    "1970-01-01T00:00:00.000001Z ",
    "2242-03-16T12:56:32.000005Z ",
  ]);
});

Deno.test("T and i stand still while the clock goes back less than a second", () => {
  const moments = [at(100, 5000), at(99, 6000), at(100, 4000), at(98, 7000)];
  assertEquals(write("T", ...moments), [
    "100.000005 ",
    "100.000005 ",
    "100.000005 ",
    "98.000007 ",
  ]);
});

Deno.test("every timestamp that is written is read again, and text that only looks like one isn't", () => {
  const moment = at(1795746975, 123456000);
  const rows = [
    ["t", label(moment)],
    ["T", "1795746975.123456"],
    ["i", "2026-11-27T02:36:15.123456Z"],
  ] as const;
  for (const [kind, text] of rows) {
    const line = encode(`${text} a line`).subarray(0, STAMP_SIGHT);
    assertEquals(readStamp(line), { kind, moment, length: text.length });
    for (let n = 0; n < text.length; n++) {
      assertEquals(readStamp(line.subarray(0, n)), undefined);
    }
  }
  for (
    const text of [
      "",
      "@",
      `@${"g".repeat(24)} a line`,
      "@4000000000000000ffffffff a line",
      "12.345678 a line",
      "1795746975.12345 a line",
      "1795746975.1234567 a line",
      "2026-11-27 02:36:15.123456Z a line",
      "2026-13-27T02:36:15.123456Z a line",
      "2026-11-27T02:36:15.123Z a line here",
    ]
  ) {
    assertEquals(readStamp(encode(text).subarray(0, STAMP_SIGHT)), undefined);
  }
});

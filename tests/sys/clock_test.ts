import { assert, assertStrictEquals } from "@std/assert";
import { readClock } from "../../src/sys/clock.ts";

Deno.test("readClock tells the time of day", () => {
  for (let i = 0; i < 100; i++) {
    const before = Date.now();
    const { seconds, nanoseconds } = readClock();
    const after = Date.now();
    const milliseconds = seconds * 1000 + Math.floor(nanoseconds / 1e6);
    assert(before <= milliseconds && milliseconds <= after);
    assert(Number.isInteger(seconds) && Number.isInteger(nanoseconds));
    assert(nanoseconds >= 0 && nanoseconds < 1e9);
  }
});

Deno.test("readClock fills the object that it is given", () => {
  const moment = { seconds: 1, nanoseconds: 2 };
  assertStrictEquals(readClock(moment), moment);
  assert(moment.seconds > 1e9);
});

Deno.test("readClock sees less than a microsecond", () => {
  const seen = new Set<number>();
  for (let i = 0; i < 1000; i++) seen.add(readClock().nanoseconds % 1000);
  assert(seen.size > 10);
});

import { assertEquals } from "@std/assert";
import {
  isOld,
  isUnprocessed,
  nextTime,
  processedName,
  timeOf,
} from "../../src/log/names.ts";

const TIME = "@400000003b9aca09000001f4";

Deno.test("names: an old file's begins with @ and has 25 characters", () => {
  assertEquals(isOld(TIME), true);
  assertEquals(isOld(`${TIME}.s`), true);
  assertEquals(isOld(TIME.slice(0, -1)), false);
  assertEquals(isOld(`x${TIME}`), false);
});

Deno.test("names: a file ending in .u waits, and ends in .s, with the same time, when it is processed", () => {
  assertEquals(isUnprocessed(`${TIME}.u`), true);
  assertEquals(isUnprocessed(`${TIME}.s`), false);
  assertEquals(isUnprocessed("@short.u"), false);
  assertEquals(processedName(`${TIME}.u`, "s"), `${TIME}.s`);
  assertEquals(processedName(`${TIME}.u`, "gz"), `${TIME}.gz`);
});

Deno.test("names: the next time is now, or just after the newest", () => {
  const at = (seconds: number, nanoseconds: number) => ({
    seconds,
    nanoseconds,
  });
  assertEquals(nextTime(at(5, 1), at(4, 9)), at(5, 1));
  assertEquals(nextTime(at(5, 1), at(5, 1)), at(5, 2));
  assertEquals(nextTime(at(5, 1), at(7, 999999999)), at(8, 0));
});

Deno.test("names: a name with the greatest time counts for no time, since none comes after it", () => {
  assertEquals(timeOf(`${TIME}.s`), { seconds: 999999999, nanoseconds: 500 });
  assertEquals(timeOf("@ffffffffffffffffffffffff.s"), undefined);
  assertEquals(timeOf("@not a time but long enough"), undefined);
});

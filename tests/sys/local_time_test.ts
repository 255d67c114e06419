import { assertEquals } from "@std/assert";
import { localTime } from "../../src/sys/local_time.ts";

Deno.test("localTime tells what the runtime's own calendar tells", () => {
  for (const seconds of [0, 951826554, 1700000000, 4102444800]) {
    const date = new Date(seconds * 1000);
    assertEquals(localTime(seconds), {
      year: date.getFullYear(),
      month: date.getMonth() + 1,
      day: date.getDate(),
      hour: date.getHours(),
      minute: date.getMinutes(),
      second: date.getSeconds(),
    });
  }
});

Deno.test("localTime knows where calendars end", () => {
  assertEquals(localTime(Number.MAX_SAFE_INTEGER * 64), undefined);
});

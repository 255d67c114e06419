import { assert, assertEquals } from "@std/assert";
import { AlarmClock } from "../../src/sys/alarm_clock.ts";
import { Poller, READABLE } from "../../src/sys/poll.ts";

Deno.test("an alarm clock is readable at its time, and not before", () => {
  using clock = new AlarmClock();
  const poller = new Poller(1);
  poller.set(0, clock.fd, READABLE);
  assertEquals(poller.look(20), false);
  const time = Math.floor(Date.now() / 1000) + 2;
  clock.set(time);
  assertEquals(poller.look(), false);
  assert(poller.look(10_000));
  const late = Date.now() - 1000 * time;
  assert(late >= 0 && late < 2000, `${late} ms`);
  assert(poller.look(), "until it is seen");
  clock.take();
  assertEquals(poller.look(20), false);
});

Deno.test("an alarm clock is readable at once for a time that is over, and never for none", () => {
  using clock = new AlarmClock();
  const poller = new Poller(1);
  poller.set(0, clock.fd, READABLE);
  clock.set(0);
  assert(poller.look(10_000));
  clock.set(undefined);
  assertEquals(poller.look(20), false);
  clock.set(1);
  clock.set(Math.floor(Date.now() / 1000) + 1000);
  assertEquals(poller.look(20), false);
});

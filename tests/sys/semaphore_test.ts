import { assertEquals } from "@std/assert";
import { Semaphore } from "../../src/sys/semaphore.ts";

Deno.test("a semaphore lets a fixed number pass at once, and the others in their turn", async () => {
  const semaphore = new Semaphore(2);
  assertEquals(semaphore.wait(), undefined);
  assertEquals(semaphore.wait(), undefined);
  const passed: string[] = [];
  const third = semaphore.wait()!.then(() => passed.push("third"));
  const fourth = semaphore.wait()!.then(() => passed.push("fourth"));
  semaphore.post();
  await third;
  assertEquals(passed, ["third"]);
  semaphore.post();
  await fourth;
  semaphore.post();
  assertEquals(semaphore.wait(), undefined);
});

Deno.test("a cancelled wait for a semaphore ends, and takes no place", async () => {
  const semaphore = new Semaphore(1);
  semaphore.wait();
  const waiting = semaphore.wait();
  semaphore.cancel();
  await waiting;
  semaphore.post();
  assertEquals(semaphore.wait(), undefined);
});

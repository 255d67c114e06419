import { assert, assertEquals, assertLess, assertMatch } from "@std/assert";
import { close, pipe, read, write } from "../../src/sys/descriptors.ts";
import { environ } from "../../src/sys/environment.ts";
import {
  FAILED,
  HUNG_UP,
  Poller,
  READABLE,
  Readiness,
  WRITABLE,
  yieldToEventLoop,
} from "../../src/sys/poll.ts";
import { kill, spawn, waitFor } from "../../src/sys/process.ts";
import { signals } from "../../src/sys/signals.ts";
import { bytes, run } from "../tools.ts";
import { denoCommand } from "./_programs.ts";

/** Longer than any test may take: a wait that nothing ends fails the test. */
const LONG = 10_000;
const byte = bytes("x");

async function milliseconds(
  what: () => Promise<void> | undefined,
): Promise<number> {
  const start = performance.now();
  await what();
  return performance.now() - start;
}

Deno.test("a poller finds what can be read, written, and has hung up", async () => {
  const poller = new Poller(3);
  const { reader, writer } = pipe();
  poller.set(0, reader, READABLE);
  poller.set(2, writer, WRITABLE);
  await poller.wait(LONG);
  const found = () => [0, 1, 2].map((place) => poller.found(place));
  assertEquals(found(), [0, 0, WRITABLE]);
  write(writer, byte);
  await poller.wait(LONG);
  assertEquals(found(), [READABLE, 0, WRITABLE]);
  poller.set(2, -1, 0);
  assertEquals(found(), [READABLE, 0, 0]);
  close(writer);
  await poller.wait(LONG);
  assertEquals(found(), [READABLE | HUNG_UP, 0, 0]);
  read(reader, new Uint8Array(9));
  poller.set(0, reader, 0);
  await poller.wait(LONG);
  assertEquals(found(), [HUNG_UP, 0, 0]);
  close(reader);
});

Deno.test("a poller finds that nobody reads any more", async () => {
  const poller = new Poller(1);
  const { reader, writer } = pipe();
  poller.set(0, writer, 0);
  close(reader);
  await poller.wait(LONG);
  assertEquals(poller.found(0), FAILED);
  close(writer);
});

Deno.test("a wait ends when its time is over", async () => {
  const poller = new Poller(1);
  const { reader, writer } = pipe();
  poller.set(0, reader, READABLE);
  for (const time of [0, 20, 0.2]) {
    const took = await milliseconds(() => poller.wait(time));
    assert(took >= time && took < time + 2000, `${took} for ${time}`);
    assertEquals(poller.found(0), 0);
  }
  write(writer, byte);
  assertLess(await milliseconds(() => poller.wait(2 ** 40)), LONG);
  assertEquals(poller.found(0), READABLE);
  close(reader);
  close(writer);
});

Deno.test("the event loop turns during a wait", async () => {
  const poller = new Poller(1);
  const { reader, writer } = pipe();
  poller.set(0, reader, READABLE);
  setTimeout(() => write(writer, byte), 1);
  await poller.wait(LONG);
  assertEquals(poller.found(0), READABLE);
  close(reader);
  close(writer);
});

Deno.test("wake ends the wait that goes on, and no other", async () => {
  const poller = new Poller(1);
  const waiting = poller.wait(LONG);
  poller.wake();
  assertLess(await milliseconds(() => waiting), LONG);
  assert(await milliseconds(() => poller.wait(20)) >= 20);
});

Deno.test("wake before a wait ends that wait, and no other", async () => {
  const poller = new Poller(1);
  poller.wake();
  poller.wake();
  assertLess(await milliseconds(() => poller.wait(LONG)), LONG);
  assert(await milliseconds(() => poller.wait(20)) >= 20);
});

Deno.test("a wait that was woken before still looks", async () => {
  const poller = new Poller(1);
  const { reader, writer } = pipe();
  poller.set(0, reader, READABLE);
  write(writer, byte);
  poller.wake();
  await poller.wait(LONG);
  assertEquals(poller.found(0), READABLE);
  close(reader);
  close(writer);
});

Deno.test("very many wakes are one, and stop nothing", async () => {
  const poller = new Poller(1);
  // More than the pipe has room for.
  const waiting = poller.wait(LONG);
  for (let i = 0; i < 70_000; i++) poller.wake();
  await waiting;
  assertEquals(poller.look(), false);
  assert(await milliseconds(() => poller.wait(20)) >= 20);
});

Deno.test("a wake that comes as a wait ends isn't reported as an event", async () => {
  const poller = new Poller(1);
  const waiting = poller.wait(0);
  // The thread has waited, and this one hasn't heard of it yet.
  new Readiness(-1).ready(20);
  poller.wake();
  await waiting;
  assertEquals(poller.look(), false);
  await poller.wait(0);
  assert(await milliseconds(() => poller.wait(20)) >= 20);
});

Deno.test("a signal's handler wakes", async () => {
  const poller = new Poller(1);
  let seen = 0;
  const handler = () => {
    seen++;
    poller.wake();
  };
  Deno.addSignalListener("SIGUSR1", handler);
  for (let i = 1; i <= 20; i++) {
    // Another process sends it, at any moment around the beginning.
    const pid = spawn({
      args: ["sh", "-c", `kill -USR1 ${Deno.pid}`],
      env: environ(),
    });
    const took = await milliseconds(async () => {
      while (seen < i) await poller.wait(LONG);
    });
    assertLess(took, LONG);
    await waitFor(pid);
  }
  Deno.removeSignalListener("SIGUSR1", handler);
});

Deno.test("a child's end wakes", async () => {
  const poller = new Poller(1);
  for (let i = 0; i < 20; i++) {
    const pid = spawn({ args: ["true"], env: environ() });
    let over = false;
    const ending = waitFor(pid).then(() => {
      over = true;
      poller.wake();
    });
    const took = await milliseconds(async () => {
      while (!over) await poller.wait(LONG);
    });
    assertLess(took, LONG);
    await ending;
  }
});

Deno.test("look finds without waiting, or stands still for a while", () => {
  const poller = new Poller(1);
  const { reader, writer } = pipe();
  poller.set(0, reader, READABLE);
  assertEquals(poller.look(), false);
  const start = performance.now();
  assertEquals(poller.look(20), false);
  assert(performance.now() - start >= 20);
  write(writer, byte);
  assertEquals(poller.look(), true);
  assertEquals(poller.look(-1), true);
  assertEquals(poller.found(0), READABLE);
  read(reader, new Uint8Array(1));
  assertEquals(poller.look(), false);
  assertEquals(poller.found(0), 0);
  close(reader);
  close(writer);
});

Deno.test("waitHere finds, and ends with the time, at first in this thread", async () => {
  const poller = new Poller(2);
  const { reader, writer } = pipe();
  poller.set(1, reader, READABLE);
  // It turns at once for what waits for it, also for another thread's test.
  let turned: boolean;
  let tries = 0;
  do {
    turned = false;
    setTimeout(() => turned = true, 1);
    assert(await milliseconds(() => poller.waitHere(10)) >= 10);
  } while (turned && ++tries < 20);
  assertEquals(turned, false);
  assert(await milliseconds(() => poller.waitHere(600)) >= 600);
  assertEquals(turned, true);
  write(writer, byte);
  await poller.waitHere();
  assertEquals([poller.found(0), poller.found(1)], [0, READABLE]);
  poller.wake();
  read(reader, new Uint8Array(1));
  assertLess(await milliseconds(() => poller.waitHere(LONG)), LONG);
  poller.close();
  close(reader);
  close(writer);
});

Deno.test("waitHere loses no signal, whenever it comes", async () => {
  // Alone, with input, and when it comes while the event loop turns. In a
  // program's first thread, since signals come to that one.
  const code = `
    for (const kind of ["alone", "with input", "between waits"]) {
      const poller = new poll.Poller(1);
      const { reader, writer } = descriptors.pipe();
      poller.set(0, reader, poll.READABLE);
      let seen = 0;
      const handler = () => {
        seen++;
        poller.wake();
      };
      Deno.addSignalListener("SIGUSR1", handler);
      let slowest = 0;
      for (let i = 1; i <= 200; i++) {
        if (kind === "with input") descriptors.write(writer, new Uint8Array(1));
        process.kill(Deno.pid, 10);
        if (kind === "between waits") await poller.wait(0);
        const start = performance.now();
        while (seen < i) {
          await poller.waitHere(${LONG});
          if (poller.found(0)) descriptors.read(reader, new Uint8Array(9));
        }
        slowest = Math.max(slowest, performance.now() - start);
      }
      Deno.removeSignalListener("SIGUSR1", handler);
      console.log(slowest < ${LONG / 2} ? "heard" : "late", kind);
    }`;
  const { text, stderr } = await run(denoCommand(code));
  assertEquals(
    text,
    "heard alone\nheard with input\nheard between waits\n",
    stderr,
  );
});

Deno.test("waitHere waits in this thread when the event loop has had nothing to do for a while", async () => {
  // Bytes come after longer than this thread waits at first.
  const bytes = 40;
  const input = `for i in $(seq ${bytes}); do printf x; sleep 0.025; done`;
  const code = `
    const poller = new poll.Poller(1);
    poller.set(0, 0, poll.READABLE);
    const wait = poller.wait.bind(poller);
    let waits = 0;
    poller.wait = (milliseconds) => {
      waits++;
      return wait(milliseconds);
    };
    do await poller.waitHere();
    while (descriptors.read(0, new Uint8Array(9)) > 0);
    console.log(waits);`;
  const { text, stderr } = await run(
    ["sh", "-c", `{ ${input}; } | "$@"`, "sh", ...denoCommand(code)],
  );
  assertMatch(text, /^\d+\n$/, stderr);
  // 6 or 7, unless the runtime has something to do.
  assertLess(Number(text), bytes / 2);
});

Deno.test("yieldToEventLoop shows signals to a busy loop", async () => {
  let seen = 0;
  const handler = () => seen++;
  Deno.addSignalListener("SIGUSR2", handler);
  for (let i = 1; i <= 20; i++) {
    kill(Deno.pid, 12);
    // The runtime hears of it in a thread of its own, which has to have run.
    const end = performance.now() + LONG;
    while (seen < i && performance.now() < end) await yieldToEventLoop();
    assertEquals(seen, i);
  }
  Deno.removeSignalListener("SIGUSR2", handler);
});

Deno.test("Readiness tells what a read or a write would do", () => {
  const { reader, writer } = pipe();
  const input = new Readiness(reader);
  const room = new Readiness(writer, WRITABLE);
  assert(!input.ready());
  assert(room.ready());
  const start = performance.now();
  assert(!input.ready(20));
  assert(performance.now() - start >= 20);
  write(writer, byte);
  assert(input.ready());
  assert(input.ready(-1));
  read(reader, new Uint8Array(1));
  assert(!input.ready());
  write(writer, new Uint8Array(65536));
  assert(!room.ready());
  close(reader);
  assert(room.ready());
  close(writer);
});

Deno.test("Readiness knows the end of input, and what is closed", () => {
  const { reader, writer } = pipe();
  const input = new Readiness(reader);
  close(writer);
  assert(input.ready());
  assertEquals(read(reader, new Uint8Array(1)), 0);
  close(reader);
  assert(input.ready());
});

Deno.test("unread input stays for others when a signal ends the wait", async () => {
  const code = `
    const poller = new poll.Poller(1);
    let ended = false;
    Deno.addSignalListener("SIGTERM", () => {
      ended = true;
      poller.wake();
    });
    console.log("ready");
    while (!ended) await poller.wait();`;
  const { reader, writer } = pipe();
  const out = pipe();
  const pid = spawn({
    args: denoCommand(code),
    env: environ(),
    fds: new Map([[0, reader], [1, out.writer]]),
  });
  close(out.writer);
  const poller = new Poller(1);
  poller.set(0, out.reader, READABLE);
  await poller.wait(LONG);
  write(writer, bytes("still here"));
  kill(pid, signals.SIGTERM);
  // It ends by itself: no thread of its is left waiting.
  assertEquals(await waitFor(pid), { code: 0 });
  assertEquals(read(reader, new Uint8Array(100)), 10);
  for (const fd of [reader, writer, out.reader]) close(fd);
});

Deno.test("a wait leaves nothing that keeps a program running", async () => {
  const code = `
    const poller = new poll.Poller(2);
    const { reader } = descriptors.pipe();
    poller.set(0, reader, poll.READABLE);
    setTimeout(() => poller.wake(), 1);
    await poller.wait();
    await poller.wait(1);
    console.log("end");`;
  const { text, code: exit } = await run(denoCommand(code));
  assertEquals([text, exit], ["end\n", 0]);
});

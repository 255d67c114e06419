import { assert, assertEquals } from "@std/assert";
import { canStartThread, giveMemoryBack } from "../../src/sys/runtime.ts";
import { run, testWith } from "../tools.ts";
import { denoCommand } from "./_programs.ts";

Deno.test({
  name: "what the event loop waits in shows that a call came back",
  ignore: Deno.build.os !== "linux",
  async fn() {
    // In a program's first thread; a test has another one, and another loop.
    const code = `
      const poller = new poll.Poller(1);
      const events = new poll.Readiness(runtime.loopEvents());
      // What waits for the loop from before is taken first.
      while (events.ready()) await poller.wait(1);
      const call = poller.wait(1000);
      // The loop must have seen what it waits for.
      await new Promise((resolve) => setTimeout(resolve, 1));
      console.log(events.ready(), events.ready(10_000));
      await call;`;
    const { text, stderr } = await run(denoCommand(code));
    assertEquals(text, "false true\n", stderr);
  },
});

testWith(
  ["root", "prlimit"],
  "waits, turns and names need no thread where none can be started",
  async () => {
    assertEquals(canStartThread(), true);
    const code = `
      const poller = new poll.Poller(1);
      const { reader, writer } = descriptors.pipe();
      poller.set(0, reader, poll.READABLE);
      new Deno.Command("prlimit", {
        args: ["--pid", String(Deno.pid), "--nproc=1:1"],
      }).outputSync();
      users.setuid(65534);
      console.log(runtime.canStartThread());
      // The runtime's threads of before end when they were idle for 10 s.
      await new Promise((resolve) => setTimeout(resolve, 11_000));
      setTimeout(() => poller.wake(), 10);
      await poller.wait();
      await poller.wait(20);
      await poller.waitHere(600);
      await poll.yieldToEventLoop();
      console.log(poller.found(0));
      descriptors.write(writer, new Uint8Array(1));
      await poller.wait();
      console.log(poller.found(0));
      console.log((await names.getaddrinfo("localhost", 7)).length > 0);
      await names.getnameinfo(sockets.loopbackAddress(0));
      console.log("end");`;
    const { text, stderr } = await run(denoCommand(code), {
      env: { DENO_NO_UPDATE_CHECK: "1" },
    });
    assertEquals(text, "false\n0\n1\ntrue\nend\n", stderr);
  },
);

Deno.test("memory that was freed is given back to the system", () => {
  const library = Deno.dlopen("libc.so.6", {
    malloc: { parameters: ["usize"], result: "pointer" },
    memset: { parameters: ["pointer", "i32", "usize"], result: "pointer" },
    free: { parameters: ["pointer"], result: "void" },
  });
  const libc = library.symbols;
  const own = () => {
    const status = Deno.readTextFileSync("/proc/self/status");
    return Number(/^RssAnon:\s+(\d+)/m.exec(status)![1]);
  };
  const size = 64n * 1024n;
  const blocks = Array.from({ length: 500 }, () => {
    const block = libc.malloc(size);
    return libc.memset(block, 1, size);
  });
  // The heap can't just end earlier while this one is at its end.
  const last = blocks.pop()!;
  for (const block of blocks) libc.free(block);
  const before = own();
  giveMemoryBack();
  const given = before - own();
  libc.free(last);
  library.close();
  assert(given > 20_000, `${given} kB`);
});

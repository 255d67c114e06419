import { assertEquals } from "@std/assert";
import { run, testWith } from "../tools.ts";
import { denoCommand } from "./_programs.ts";

/** What is granted, asked one after another, starting from a hard limit. */
async function granted(hard: number, asked: number[], prelude = "") {
  const code = `${prelude}
    for (const wanted of ${JSON.stringify(asked)}) {
      console.log(limits.raiseDescriptorLimit(wanted));
    }
    console.log(Deno.readTextFileSync("/proc/self/limits")
      .match(/open files +(\\d+)/)[1]);`;
  const { text, stderr } = await run([
    ...["sh", "-c", `ulimit -n ${hard}; exec "$@"`, "sh"],
    ...denoCommand(code),
  ]);
  return { numbers: text.trim().split("\n").map(Number), stderr };
}

testWith(["root"], "root gets as many descriptors as it wants", async () => {
  // Root inside a container may not be let; then it is like others.
  const probe = await run(["sh", "-c", "ulimit -n 100 && ulimit -n 101"]);
  const { numbers, stderr } = await granted(100, [50, 100, 3000, 200]);
  const expected = probe.code === 0
    ? [50, 100, 3000, 200, 3000]
    : [50, 100, 100, 100, 100];
  assertEquals(numbers, expected, stderr);
});

testWith(["root"], "others get as many as the hard limit has", async () => {
  const { numbers, stderr } = await granted(
    100,
    [50, 3000],
    "users.setuid(65534);",
  );
  assertEquals(numbers, [50, 100, 100], stderr);
});

testWith(["prlimit"], "a soft limit is raised", async () => {
  // The runtime raises it at its start: it is lowered from outside.
  const { numbers, stderr } = await granted(
    200,
    [150],
    `new Deno.Command("prlimit", {
      args: ["--pid", String(Deno.pid), "--nofile=64:200"],
    }).outputSync();`,
  );
  assertEquals(numbers, [150, 150], stderr);
});

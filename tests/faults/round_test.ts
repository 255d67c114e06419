import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import {
  folder,
  inCheckout,
  processesIn,
  sleep,
  testWith,
  until,
} from "../tools.ts";
import { soak } from "./soak.ts";

function faults(temporary: string, ...args: string[]): Deno.ChildProcess {
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", inCheckout("tests/faults/main.ts"), ...args],
    env: { TMPDIR: temporary, NO_COLOR: "1" },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

/** Fails when files, mounts, namespaces or processes are left. */
function assertNothingLeft(temporary: string, pid: number): void {
  const left = [...Deno.readDirSync(temporary)].map(({ name }) => name)
    .filter((name) => name.startsWith("logferry-"));
  assertEquals(left, []);
  assertEquals(processesIn(temporary), []);
  const mounts = Deno.readTextFileSync("/proc/mounts");
  assert(!mounts.includes(temporary), mounts);
  assert(!mounts.includes(`logferry-${pid}-`), mounts);
}

Deno.test("faults: a short round of faults loses no line", async () => {
  using temporary = folder();
  const child = faults(temporary.path, "--minutes", "0.5");
  const { code, stdout, stderr } = await child.output();
  const said = new TextDecoder().decode(stdout);
  console.log(
    said.split("\n").filter((line) => /the same again|skipped/.test(line)).join(
      "\n",
    ),
  );
  assertEquals(code, 0, said + new TextDecoder().decode(stderr));
  assert(/^ {2}lines lost +0$/m.test(said), said);
  assert(Number(/^ {2}lines on the server +(\d+)/m.exec(said)?.[1]) > 1000);
  assertNothingLeft(temporary.path, child.pid);
});

Deno.test("the faults command leaves nothing behind when it is interrupted", async () => {
  using temporary = folder();
  const child = faults(temporary.path, "--only", "mixed");
  const errors = new Response(child.stderr).text();
  const said = new Response(child.stdout).text();
  await until("it is in the middle of it", () => {
    return processesIn(temporary.path).length > 8;
  });
  await sleep(1500);
  child.kill("SIGINT");
  const { code } = await child.status;
  assertEquals(await errors, "");
  assertEquals(code, 130, await said);
  await said;
  assertNothingLeft(temporary.path, child.pid);
});

Deno.test("the faults command refuses a fault that doesn't exist", async () => {
  using temporary = folder();
  const { code, stdout } = await faults(temporary.path, "--only", "sunshine")
    .output();
  assertEquals(code, 1);
  assertStringIncludes(new TextDecoder().decode(stdout), "there is none");
});

testWith(
  ["--all"],
  "memory and descriptors don't grow over 600,000 lines, and none is lost",
  async () => {
    const { violations, count, growth, restarts } = await soak(
      600_000,
      1,
      () => {},
      10_000,
    );
    assertEquals(violations, []);
    assertEquals([count.fed, count.lost], [600_000, 0]);
    assert(restarts > 2, `${restarts} restarts`);
    assertEquals(growth.length, 3);
    for (const { name, memory, descriptors } of growth) {
      const sizes = [...memory, ...descriptors];
      assert(sizes.every((size) => size > 0), `${name}: ${sizes}`);
    }
  },
);

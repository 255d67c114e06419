/** RECIPES.md's recipe of silent hosts and metrics, with the real promtool. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { installed, run, testWith } from "../tools.ts";
import { filesOf, Kitchen } from "./_recipes.ts";

/** Writes logs of two hosts, one of which has been silent for long. */
async function writeLogs(kitchen: Kitchen): Promise<void> {
  const { code } = await run(["multilog", `@${kitchen.at("net/hosts")}`], {
    env: kitchen.environment("multilog"),
    stdin: "192.0.2.7: x\n192.0.2.8: x\n",
  });
  assertEquals(code, 0);
  const past = Date.now() / 1000 - 7200;
  Deno.utimeSync(kitchen.at("net/hosts/192.0.2.8/current"), past, past);
}

Deno.test("recipe: cron's mail tells of silent hosts", async () => {
  await using kitchen = new Kitchen();
  await writeLogs(kitchen);
  const entry = filesOf("Silent hosts, and metrics").get("crontab")!;
  assertMatch(entry, /^(\S+ ){5}multilog --status /);
  kitchen.cook("bin/check", entry.replace(/^(\S+ ){5}/, ""));
  const check = () =>
    run(["sh", kitchen.at("bin/check")], { env: kitchen.environment("check") });
  const { code, text, stderr } = await check();
  assertEquals([code, stderr], [1, ""]);
  assertMatch(text, /hosts\/192\.0\.2\.8\n/);
  assert(!text.includes("192.0.2.7"), text);
  const now = Date.now() / 1000;
  Deno.utimeSync(kitchen.at("net/hosts/192.0.2.8/current"), now, now);
  const none = await check();
  assertEquals([none.code, none.text, none.stderr], [0, "", ""]);
});

testWith(["promtool"], "recipe: metrics for node_exporter", async () => {
  await using kitchen = new Kitchen();
  await writeLogs(kitchen);
  Deno.mkdirSync(kitchen.at("collector"));
  kitchen.cook(
    "bin/put-metrics",
    filesOf("Silent hosts, and metrics").get("put-metrics"),
    {
      "/var/lib/prometheus/node-exporter": kitchen.at("collector"),
    },
  );
  const put = () =>
    run([kitchen.at("bin/put-metrics")], {
      env: kitchen.environment("put-metrics"),
    });
  const read = () =>
    Deno.readTextFileSync(kitchen.at("collector/multilog.prom"));
  const { code, text, stderr } = await put();
  assertEquals([code, text, stderr], [0, "", ""]);
  assertEquals([...Deno.readDirSync(kitchen.at("collector"))].length, 1);
  const checked = await run([installed("promtool")!, "check", "metrics"], {
    stdin: read(),
  });
  assertEquals([checked.code, checked.text, checked.stderr], [0, "", ""]);
  const [, newest] = /timestamp_seconds\{.*192\.0\.2\.8"\} (\d+)/.exec(read())!;
  assert(Date.now() / 1000 - Number(newest) > 7000, newest);
  // What isn't complete isn't read.
  const before = read();
  Deno.writeTextFileSync(kitchen.at("net/hosts/file"), "");
  assertEquals((await put()).code, 111);
  assertEquals(read(), before);
});

/** The program that a script runs, when something ends the script. */
import { assertEquals } from "@std/assert";
import { endRunning, run } from "../scripts/child.ts";
import { exists } from "@std/fs";
import { folder, until } from "./tools.ts";

Deno.test("a program that has ended already, by the same Ctrl-C for example, is no trouble", async () => {
  using at = folder();
  // What it has started holds its standard error open, so nobody has heard yet
  // that it has ended.
  const running = run("sh", {
    args: ["-c", "sleep 600 & echo $! $$ >pids.new; mv pids.new pids"],
    cwd: at.path,
  });
  const pids = `${at.path}/pids`;
  await until("it has started", () => exists(pids));
  const [sleep, sh] = Deno.readTextFileSync(pids).trim().split(" ");
  await until("it has ended", async () => !await exists(`/proc/${sh}`));
  try {
    await endRunning("SIGKILL");
  } finally {
    Deno.kill(Number(sleep), "SIGKILL");
  }
  assertEquals(await running, undefined);
});

import { assertEquals } from "@std/assert";
import { run } from "../tools.ts";
import { denoCommand } from "./_programs.ts";

Deno.test("groupExists returns whether a process of the group is alive", async () => {
  // In a process of its own: who adopts orphans does so to its end.
  const code = `
    const { setChildSubreaper, waitFor, groupExists, kill, spawn } = process;
    const shell = (script) =>
      spawn({
        args: ["sh", "-c", script],
        env: environment.environ(),
        session: true,
      });
    setChildSubreaper();
    const alone = shell("exit 0");
    await waitFor(alone);
    console.log("alone", groupExists(alone));

    const leader = shell("sleep 60 & sleep 60 & exit 0");
    await waitFor(leader);
    console.log("orphans", groupExists(leader));
    kill(-leader, signals.signals.SIGKILL);
    const end = performance.now() + 20_000;
    while (groupExists(leader) && performance.now() < end);
    console.log("at last", groupExists(leader));
  `;
  const { text, stderr } = await run(denoCommand(code));
  assertEquals(text, "alone false\norphans true\nat last false\n", stderr);
});

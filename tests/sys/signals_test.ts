import { assertEquals } from "@std/assert";
import { run } from "../tools.ts";
import { denoCommand } from "./_programs.ts";

function startedIgnoring(
  ignored: string,
  code: string,
): Promise<{ text: string }> {
  return run(
    ["sh", "-c", `trap "" ${ignored}; exec "$@"`, "sh", ...denoCommand(code)],
  );
}

Deno.test("isIgnored returns whether a signal was ignored when this program started", async () => {
  const code = `console.log([1, 2, 15].map(signals.isIgnored).join());`;
  const { text } = await startedIgnoring("HUP TERM", code);
  assertEquals(text, "true,false,true\n");
});

Deno.test("onTermination handles signals that weren't ignored at the start, and TERM always", async () => {
  const code = `
    const heard = [];
    const stop = signals.onTermination((name) => heard.push(name));
    for (const name of ["SIGHUP", "SIGINT", "SIGTERM"]) {
      Deno.kill(Deno.pid, name);
      // Long enough for one that is heard; it is what isn't that matters.
      for (let i = 0; i < 50 && heard.at(-1) !== name; i++) {
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
    }
    console.log(heard.join());
    stop();
    Deno.kill(Deno.pid, "SIGTERM");
    await new Promise((resolve) => setTimeout(resolve, 60000));`;
  assertEquals(
    (await startedIgnoring("HUP TERM", code)).text,
    "SIGINT,SIGTERM\n",
  );
});

import { assertEquals } from "@std/assert";
import { getuid } from "../../src/sys/users.ts";
import { run, testWith } from "../tools.ts";
import { denoCommand } from "./_programs.ts";

Deno.test("user returns the user of this process", () => {
  assertEquals(getuid(), Deno.uid());
});

/** Nobody, wherever there is one. */
const NOBODY = 65534;

const tell = `const tell = (what) => {
  try { what(); console.log("no error"); }
  catch (error) { console.log(error.code, error.message); }
};`;

testWith(["root"], "giving up root is for good, in every thread", async () => {
  const code = `${tell}
    await poll.yieldToEventLoop(); // so that there is another thread for sure
    users.setgid(${NOBODY});
    users.setuid(${NOBODY});
    const seen = new Set();
    for (const { name } of Deno.readDirSync("/proc/self/task")) {
      const text = Deno.readTextFileSync("/proc/self/task/" + name + "/status");
      seen.add(text.match(/^(Uid|Gid|Groups):.*$/gm).join(" ")
        .replace(/\\s+/g, " ").trim());
    }
    for (const who of seen) console.log(who);
    console.log(users.getuid());
    tell(() => users.setuid(0));
    tell(() => users.setgid(0));
    tell(() => files.open("/root/file", "append"));`;
  const { text, stderr } = await run(denoCommand(code), {
    env: { DENO_NO_UPDATE_CHECK: "1" },
  });
  const four = Array(4).fill(NOBODY).join(" ");
  assertEquals(
    text,
    [
      `Uid: ${four} Gid: ${four} Groups: ${NOBODY}`,
      NOBODY,
      "EPERM permission denied",
      "EPERM permission denied",
      "EACCES access denied",
      "",
    ].join("\n"),
    stderr,
  );
});

testWith(["root"], "a program that is started is that user too", async () => {
  const code = `
    users.setgid(1);
    users.setuid(2);
    const pid = process.spawn({
      args: ["sh", "-c", "id -u; id -g; id -G"],
      env: environment.environ(),
    });
    await process.waitFor(pid);`;
  const { text, stderr } = await run(denoCommand(code));
  assertEquals(text, "2\n1\n1\n", stderr);
});

import { assert, assertEquals } from "@std/assert";
import { close, pipe } from "../src/sys/descriptors.ts";
import { environ } from "../src/sys/environment.ts";
import { spawn, waitFor } from "../src/sys/process.ts";
import { folder, ours, run, testWith } from "./tools.ts";

/** The command that runs code in another Deno. */
function command(code: string): string[] {
  const imports = {
    "{ Diagnostics }": "src/diagnostics.ts",
    "{ SysError }": "src/sys/errors.ts",
    "{ close }": "src/sys/descriptors.ts",
  };
  const lines = Object.entries(imports).map(([names, file]) => {
    const url = new URL(`../${file}`, import.meta.url).href;
    return `import ${names} from ${JSON.stringify(url)};`;
  });
  const program = [...lines, "void [SysError, close];", code].join("\n");
  return [Deno.execPath(), "eval", "-q", "--no-config", "--ext=ts", program];
}

Deno.test("messages have the originals' shape", async () => {
  const { code, stderr, text } = await run(command(`
    const diagnostics = new Diagnostics("multilog");
    diagnostics.say("one ", 2, " three");
    diagnostics.warn("unable to write to ./main", ": ", new SysError(28));
    diagnostics.say("é");
    diagnostics.die(111, "unable to lock directory ", "./main: ",
      new SysError(11));
    console.log("not reached");`));
  assertEquals(
    stderr,
    "multilog: one 2 three\n" +
      "multilog: warning: unable to write to ./main: " +
      "no space left on device\n" +
      "multilog: é\n" +
      "multilog: fatal: unable to lock directory ./main: " +
      "temporarily unavailable\n",
  );
  assertEquals([code, text], [111, ""]);
});

testWith(["strace"], "a message is one write", async () => {
  const { stderr, text } = await run([
    ...["strace", "-f", "-qq", "-o", "/dev/stdout", "-s", "9999"],
    ...["-e", "trace=write", "-P", "/dev/null"],
    ...["sh", "-c", 'exec "$@" 2>/dev/null', "sh"],
    ...command(`new Diagnostics("a").warn("b", "c".repeat(5000));`),
  ]);
  const writes = text.match(/write\(2, .*/g);
  assertEquals(writes?.length, 1, stderr);
  assert(writes![0]!.endsWith(`${"c".repeat(5000)}\\n", 5014) = 5014`));
});

Deno.test("a message that can't be written ends nothing", async () => {
  for (const gone of ["close(2);", ""]) {
    const { reader, writer } = pipe();
    close(reader);
    const pid = spawn({
      args: command(`${gone}
        const diagnostics = new Diagnostics("multilog");
        diagnostics.warn("unheard");
        diagnostics.die(100, "unheard");`),
      env: environ(),
      fds: new Map([[2, writer]]),
    });
    close(writer);
    assertEquals(await waitFor(pid), { code: 100 });
  }
});

Deno.test("help or a version that can't be written is told, and is exit 111", async () => {
  using at = folder();
  await run([ours.multilog, `${at.path}/log`], { stdin: "" });
  for (
    const command of [
      [ours.multilog, "--help"],
      [ours.multilog, "--status", `${at.path}/log`],
      [ours.tryto, "--version"],
      [ours.socklogTcp, "--help"],
    ]
  ) {
    const name = command[0]!.replace(/.*\//, "");
    const { code, stderr } = await run(
      ["sh", "-c", 'exec "$@" >/dev/full', "sh", ...command],
    );
    assertEquals({ code, stderr }, {
      code: 111,
      stderr: `${name}: fatal: unable to write to standard output: ` +
        "no space left on device\n",
    });
  }
});

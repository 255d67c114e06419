import { assert, assertEquals } from "@std/assert";
import { PatientDiagnostics, writePatiently } from "../src/diagnostics.ts";
import { close, pipe, read } from "../src/sys/descriptors.ts";
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
    diagnostics.say("fatal: unable to lock directory ", "./main: ",
      new SysError(11));`));
  assertEquals(
    stderr,
    "multilog: one 2 three\n" +
      "multilog: warning: unable to write to ./main: " +
      "no space left on device\n" +
      "multilog: é\n" +
      "multilog: fatal: unable to lock directory ./main: " +
      "temporarily unavailable\n",
  );
  assertEquals([code, text], [0, ""]);
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

Deno.test("a program whose messages have no reader goes on", async () => {
  for (const gone of ["close(2);", ""]) {
    const { reader, writer } = pipe();
    close(reader);
    const pid = spawn({
      args: command(`${gone}
        const diagnostics = new Diagnostics("multilog");
        diagnostics.warn("unheard");
        Deno.exit(100);`),
      env: environ(),
      fds: new Map([[2, writer]]),
    });
    close(writer);
    assertEquals(await waitFor(pid), { code: 100 });
  }
});

Deno.test("--help that can't be written is an error message, and exit 111", async () => {
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

Deno.test("a message that nobody reads is dropped while the event loop turns", async () => {
  const { reader, writer } = pipe();
  // Full but for less than a page.
  assert(await writePatiently(writer, new Uint8Array(65536)));
  const start = performance.now();
  let turns = 0;
  const timer = setInterval(() => turns++, 10);
  assert(!await new PatientDiagnostics("tryto", writer).say("unheard"));
  clearInterval(timer);
  assert(performance.now() - start >= 1000);
  assert(turns > 10, `${turns} turns`);
  const buffer = new Uint8Array(100_000);
  assertEquals(read(reader, buffer), 65536);
  assert(await new PatientDiagnostics("tryto", writer).say("heard"));
  const n = read(reader, buffer);
  const text = new TextDecoder().decode(buffer.subarray(0, n));
  assertEquals(text, "tryto: heard\n");
  close(reader);
  assert(!await writePatiently(writer, new Uint8Array(1)));
  close(writer);
});

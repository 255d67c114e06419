import { assert, assertEquals } from "@std/assert";
import { folder, inTime, latin1, ours, until } from "../tools.ts";
import { makeFifo, text } from "./harness.ts";

const LINES = 5000;

function lines(): string {
  let all = "";
  for (let i = 0; i < LINES; i++) all += `line ${i} ${"x".repeat(60)}\n`;
  return all;
}

/** Starts a multilog whose standard error is a fifo that nobody reads yet. */
async function start(cwd: string, script: readonly string[]) {
  const fifo = await makeFifo(`${cwd}/err`);
  const child = new Deno.Command("sh", {
    args: ["-c", 'exec "$@" 2>err', "sh", ours.multilog, ...script],
    cwd,
    stdin: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  return { fifo, child, writer };
}

/** Reads a fifo until what was read is as wanted. */
async function readUntil(
  fifo: Deno.FsFile,
  wanted: (text: string) => boolean,
): Promise<string> {
  let all = "";
  const buffer = new Uint8Array(65536);
  while (!wanted(all)) {
    all += latin1(buffer.subarray(0, await fifo.read(buffer) ?? 0));
  }
  return all;
}

Deno.test("alerts that nobody reads hold up no line, and are counted", async () => {
  using at = folder();
  const script = ["e", "s9999999", "./log"];
  const { fifo, child, writer } = await start(at.path, script);
  using _fifo = fifo;
  const all = lines();
  await writer.write(new TextEncoder().encode(all));
  await until(
    "all lines are in the log",
    () => text(`${at.path}/log/current`) === all,
    20,
  );
  // Somebody begins to read: first what waited, then how many are missing.
  const said = await readUntil(fifo, (text) => text.includes("not written"));
  const alerts = said.slice(0, said.indexOf("multilog: "));
  assert(all.startsWith(alerts));
  const shown = alerts.split("\n").length - 1;
  assert(shown > 1000, "what there was room for was kept");
  assertEquals(
    said.slice(alerts.length),
    `multilog: warning: ${
      LINES - shown
    } alerts not written: nobody reads them\n`,
  );
  await writer.write(new TextEncoder().encode("one more\n"));
  assertEquals(await readUntil(fifo, (text) => text !== ""), "one more\n");
  await writer.close();
  assertEquals((await child.status).code, 0);
});

Deno.test("a KILL while nobody reads alerts finds every line in its log", async () => {
  using at = folder();
  const script = ["e", "-*", "+*7*", "s9999999", "./log"];
  const { fifo, child, writer } = await start(at.path, script);
  using _fifo = fifo;
  const all = lines();
  await writer.write(new TextEncoder().encode(all));
  const selected = all.split("\n").filter((line) => line.includes("7"))
    .map((line) => `${line}\n`).join("");
  await until(
    "all lines are in the log",
    () => text(`${at.path}/log/current`) === selected,
    20,
  );
  child.kill("SIGKILL");
  await child.status;
  assertEquals(text(`${at.path}/log/current`), selected);
  await writer.close().catch(() => {});
});

Deno.test("TERM while nobody reads alerts exits within 5 seconds, as does the end of input", async () => {
  for (const way of ["TERM", "end"]) {
    using at = folder();
    const { fifo, child, writer } = await start(at.path, ["e", "./log"]);
    using _fifo = fifo;
    const all = lines();
    await writer.write(new TextEncoder().encode(all));
    await until(
      "the last line is in the log",
      () => text(`${at.path}/log/current`).endsWith(all.slice(-80)),
      20,
    );
    await inTime(4, async () => {
      if (way === "TERM") child.kill("SIGTERM");
      else await writer.close();
      assertEquals((await child.status).code, 0);
    });
    if (way === "TERM") await writer.close().catch(() => {});
  }
});

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { TextLineStream } from "@std/streams/text-line-stream";
import { judge } from "../scripts/demo/verdict.ts";
import { folder, inCheckout } from "./tools.ts";

function demo(temporary: string, ...args: string[]): Deno.ChildProcess {
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", inCheckout("scripts/demo.ts"), ...args],
    env: { TMPDIR: temporary, NO_COLOR: "1" },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

/** Fails when files, or programs that work in the folder, are left. */
function assertNothingLeft(temporary: string): void {
  const files = [...Deno.readDirSync(temporary)].map(({ name }) => name)
    .filter((name) => name.startsWith("logferry-"));
  assertEquals(files, []);
  const left = [...Deno.readDirSync("/proc")].filter(({ name }) => {
    if (!/^\d+$/.test(name)) return false;
    try {
      return Deno.readLinkSync(`/proc/${name}/cwd`).startsWith(temporary);
    } catch {
      // It is gone, or somebody else's.
      return false;
    }
  });
  assertEquals(left, []);
}

/** A number in the demonstration's table. */
function row(output: string, name: string): number {
  const [, number] = new RegExp(`^  ${name} +(\\d+)`, "m").exec(output) ?? [];
  assert(number !== undefined, `no ${name} in:\n${output}`);
  return Number(number);
}

Deno.test("the demonstration loses no line and leaves nothing behind", async () => {
  using temporary = folder();
  const { code, stdout, stderr } = await demo(temporary.path).output();
  const output = new TextDecoder().decode(stdout);
  assertEquals(code, 0, output + new TextDecoder().decode(stderr));
  assertEquals(row(output, "lines lost"), 0);
  assert(row(output, "notices delivered") > 0);
  const onServer = row(output, "lines on the server");
  const kept = row(output, "lines kept on the client");
  assertEquals(onServer + kept, row(output, "lines in"));
  const tooLong = output.split("\n").filter((line) => line.length > 80);
  assertEquals(tooLong, []);
  assertNothingLeft(temporary.path);
});

Deno.test("the demonstration sends any bytes", async () => {
  using temporary = folder();
  using own = folder();
  // Every byte but those that end a line, and lines that say the same.
  const bytes: number[] = [];
  for (let i = 0; i < 400; i++) {
    for (let k = 1; k < 40; k++) {
      const byte = (7 * i + k * (i % 3)) & 255;
      bytes.push(byte === 0 || byte === 10 || k === 1 ? 255 - k : byte);
    }
    bytes.push(10);
  }
  Deno.writeFileSync(`${own.path}/log`, Uint8Array.from(bytes));
  const { code, stdout } = await demo(temporary.path, `${own.path}/log`)
    .output();
  const output = new TextDecoder().decode(stdout);
  assertEquals(code, 0, output);
  assertStringIncludes(output, `${own.path}/log`);
  assertNothingLeft(temporary.path);
});

Deno.test("the demonstration can be interrupted anywhere", async (t) => {
  const moments = ["listens on", "try 1", "try 2", "What there is now"];
  for (const moment of moments) {
    await t.step(moment, async () => {
      using temporary = folder();
      const child = demo(temporary.path);
      const errors = new Response(child.stderr).text();
      const lines = child.stdout.pipeThrough(new TextDecoderStream())
        .pipeThrough(new TextLineStream());
      for await (const line of lines) {
        if (line.includes(moment)) child.kill("SIGINT");
      }
      const { code } = await child.status;
      assertEquals(await errors, "");
      // At the very end it may be done before the signal comes.
      if (moment !== moments.at(-1)) assertEquals(code, 130);
      assertNothingLeft(temporary.path);
    });
  }
});

const well = {
  input: ["one", "two", "two", "three", "four"],
  host: ["h: one", "h: two", "h: refused", "h: four"],
  all: ["up", "h: one", "h: two", "h: refused", "h: four", "down"],
  kept: ["two", "three"],
  notices: ["refused"],
  prefix: "h: ",
};

Deno.test("the demonstration's verdict is good only when every line is in its place", () => {
  assertEquals(judge(well), {
    arrived: 3,
    kept: 2,
    notices: 1,
    lost: 0,
    faults: [],
  });
  const all = (host: string[]) => ({ host, all: host });
  const cases: [Partial<typeof well>, lost: number, fault: string][] = [
    [{ kept: ["two"] }, 1, "1 line lost"],
    [{ kept: ["two", "three", "four"] }, 0, "1 line doubled"],
    [{ kept: ["two", "thred"] }, 1, "1 line lost"],
    [{ kept: ["three", "two"] }, 0, "changed their order"],
    [{ kept: ["two", "three", "five"] }, 0, "of unknown origin"],
    [all(["h: one", "h: two", "h: four"]), 0, "notices have not arrived"],
    [all(["h: refused", "h: four", "h: one", "h: two"]), 0, "order"],
    [all([...well.host, "stray"]), 0, "without its name"],
    [{ all: well.all.slice(0, -2) }, 0, "two logs differ"],
    [{ notices: [] }, 0, "noticed no failure"],
  ];
  for (const [changes, lost, fault] of cases) {
    const verdict = judge({ ...well, ...changes });
    assertEquals(verdict.lost, lost, fault);
    assertStringIncludes(verdict.faults.join("\n"), fault);
  }
});

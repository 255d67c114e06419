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
  assertEquals(row(output, "lines repeated"), 0);
  assertEquals(row(output, "lines on the server"), row(output, "lines in"));
  // The queue is shown, and what was in it is sent in its order, by itself.
  const waiting = [...output.matchAll(/^ {4}(@\w+)\.u +\d+ lines$/gm)]
    .map(([, name]) => name);
  assert(waiting.length > 1, output);
  assertStringIncludes(output, `newest: ${waiting.length} files\n`);
  assert(row(output, "files that waited") >= waiting.length);
  const sent = [...output.matchAll(/(@\w+)\.s +sent/g)].map(([, name]) => name);
  assertEquals(sent.filter((name) => waiting.includes(name)), waiting);
  assertStringIncludes(output, "scripts/deno task package");
  assertEquals(output.split("\n").at(-2), "lines still on the client: 0");
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
        if (!line.includes(moment)) continue;
        try {
          child.kill("SIGINT");
        } catch (error) {
          // At the very end it may be done before the signal comes.
          if (moment !== moments.at(-1)) throw error;
        }
      }
      const { code } = await child.status;
      assertEquals(await errors, "");
      if (moment !== moments.at(-1)) assertEquals(code, 130);
      assertNothingLeft(temporary.path);
    });
  }
});

const well = {
  input: ["one", "two", "two", "three", "four"],
  host: ["h: one", "h: two", "h: two", "h: three", "h: four"],
  all: ["up", "h: one", "h: two", "h: two", "h: three", "h: four", "down"],
  kept: [] as string[],
  waited: 2,
  cut: 0,
  prefix: "h: ",
};

Deno.test("the demonstration's verdict is good only when every line is in its place", () => {
  assertEquals(judge(well), {
    arrived: 5,
    repeated: 0,
    kept: 0,
    waited: 2,
    lost: 0,
    faults: [],
  });
  const all = (...host: string[]) => ({ host, all: host });
  const [one = "", two = "", , three = "", four = ""] = well.host;
  const cases: [Partial<typeof well>, lost: number, fault: string][] = [
    [all(one, two, three, four), 1, "1 line lost"],
    [all(...well.host, four), 0, "1 line doubled"],
    [all(one, two, two, "h: thred", four), 1, "1 line lost"],
    [all(one, two, three, two, four), 0, "changed their order"],
    [all(one, two, two, three, four, "h: five"), 0, "of unknown origin"],
    [all(...well.host, "stray"), 0, "without its name"],
    [{ all: well.all.slice(0, -2) }, 0, "two logs differ"],
    [{ ...all(one, two, two, three), kept: ["four"] }, 0, "1 line not sent"],
    [{ waited: 0 }, 0, "no file had to wait"],
  ];
  for (const [changes, lost, fault] of cases) {
    const verdict = judge({ ...well, ...changes });
    assertEquals(verdict.lost, lost, fault);
    assertStringIncludes(verdict.faults.join("\n"), fault);
  }
});

Deno.test("the demonstration's verdict allows what a cut transmission repeats, and no more", () => {
  const end = "socklog-tcp: end 7 status 0";
  const [one = "", two = "", ...rest] = well.host;
  const sent = (...all: string[]) => ({
    all,
    host: all.filter((line) => line !== end),
  });
  const cutOnce = sent(one, end, two, end, two, ...rest, end);
  const { repeated, faults } = judge({ ...well, ...cutOnce, cut: 1 });
  assertEquals(repeated, 1);
  assertEquals(faults, []);
  const cases: [Partial<typeof well>, fault: string][] = [
    [{ ...cutOnce, cut: 0 }, "1 line doubled"],
    [
      { ...sent(one, end, two, end, two, end, two, ...rest), cut: 1 },
      "2 lines doubled",
    ],
    [{ ...sent(one, two, end, two, ...rest, end, one), cut: 1 }, "doubled"],
  ];
  for (const [changes, fault] of cases) {
    const { faults } = judge({ ...well, ...changes });
    assertStringIncludes(faults.join("\n"), fault);
  }
});

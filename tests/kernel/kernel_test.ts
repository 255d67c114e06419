import { assert, assertEquals } from "@std/assert";
import { fromLatin1, latin1 } from "../../src/bytes.ts";
import {
  type Kernel,
  LABEL_STAMP,
  makeKernel,
  MARGIN,
} from "../../src/kernel/kernel.ts";
import {
  PRIORITIES_SIZE,
  putPriorities,
} from "../../src/socklog/priorities.ts";
import { label } from "../../src/tai64n.ts";
import { buildKernel } from "../../scripts/kernel.ts";
import { inCheckout, testWith } from "../tools.ts";

const PAGE = 64 * 1024;

testWith(
  ["npm"],
  "the kernel in the repository is what its source makes",
  async () => {
    const built = await buildKernel();
    const path = inCheckout("src/kernel/module.ts");
    assertEquals(built, Deno.readTextFileSync(path));
  },
);

Deno.test("a newline is found at any distance, to the end of the memory", () => {
  const { kernel, memory } = makeKernel(PAGE);
  const last = memory.length - 16;
  for (const border of [64, 1024, last - 80]) {
    for (let from = border; from < border + 18; from++) {
      for (let distance = 0; distance <= last - from; distance++) {
        if (distance > 80) break;
        memory.fill(0x61);
        memory[from - 1] = 10;
        memory[from + distance] = 10;
        if (from + distance + 1 < memory.length) {
          memory[from + distance + 1] = 10;
        }
        assertEquals(kernel.findNewline(from), from + distance);
      }
    }
  }
});

/** A kernel whose last area, for stamped lines, ends with its memory. */
function stamping(): {
  kernel: Kernel;
  memory: Uint8Array<ArrayBuffer>;
  put: (lines: string, at: number) => void;
} {
  const { kernel, memory } = makeKernel(PAGE);
  memory[64] = 0x40;
  memory[64 + LABEL_STAMP - 1] = 0x20;
  kernel.setStamp(64, LABEL_STAMP);
  return {
    kernel,
    memory,
    put(lines, at) {
      for (let i = 0; i < lines.length; i++) {
        memory[at + i] = lines.charCodeAt(i);
      }
      memory[at + lines.length] = 10;
    },
  };
}

Deno.test("lines of any length at any offset get their stamps, and nothing else is touched", () => {
  const { kernel, memory, put } = stamping();
  const seconds = 1795000000;
  const digits = "0123456789abcdefghijklmnopqrstuvwxyz";
  for (let offset = 0; offset < 17; offset++) {
    for (let length = 0; length < 50; length++) {
      const line = digits.repeat(2).slice(0, length);
      const lines = `${line}\n\n${line}x\n`;
      for (const cut of [0, 1]) {
        const input = cut ? lines.slice(0, -1) : lines;
        memory.fill(0x7e, 256);
        const from = 1024 + offset;
        put(input, from);
        // The one area ends where the memory does, but for its margin.
        const limit = memory.length - MARGIN;
        const out = limit - (input.length + 3 * LABEL_STAMP);
        const time = 1000 * (offset * 50 + length) + 14 + cut;
        kernel.setClock(seconds + 2 * time, time);
        const to = from + input.length;
        assertEquals(kernel.stampLines(from, to, out, limit, 0), to);
        const stamps = [0, 1, 2].map((i) =>
          label({ seconds: seconds + 2 * time, nanoseconds: time + i })
        );
        const wanted = `${stamps[0]} ${line}\n${stamps[1]} \n` +
          `${stamps[2]} ${line}x${cut ? "" : "\n"}`;
        const end = kernel.stampedTo.value;
        assertEquals(latin1(memory.subarray(out, end)), wanted);
        assertEquals(memory[out - 1], 0x7e);
        assertEquals(latin1(memory.subarray(from, to)), input);
      }
    }
  }
});

Deno.test("a stamp of another length goes before each line as it is", () => {
  const { kernel, memory, put } = stamping();
  const stamp = "2026-11-27T02:36:15.123456Z wxyz";
  for (let length = 1; length <= stamp.length; length++) {
    if (length === LABEL_STAMP) continue;
    put(stamp, 64);
    memory.fill(0x7e, 1000, 5000);
    kernel.setStamp(64, length);
    put("one\n\nthree\n", 1024);
    assertEquals(kernel.stampLines(1024, 1035, 4096, 4300, 0), 1035);
    const before = stamp.slice(0, length);
    assertEquals(
      latin1(memory.subarray(4095, kernel.stampedTo.value)),
      `~${before}one\n${before}\n${before}three\n`,
    );
  }
});

Deno.test("lines that have no room wait, cut anywhere, and have one stamp each", () => {
  const { kernel, memory, put } = stamping();
  const input = `${"a".repeat(70)}\n\nbb\n${"c".repeat(33)}\n`;
  for (let room = 1; room < 200; room++) {
    put(input, 1024);
    kernel.setClock(1795000000 + 2 * room, 999999998);
    const to = 1024 + input.length;
    let text = "";
    let within = 0;
    for (let at = 1024; at < to;) {
      const next = kernel.stampLines(at, to, 4096, 4096 + room, within);
      assert(next > at, "it goes on");
      const end = kernel.stampedTo.value;
      assert(end <= 4096 + room + MARGIN);
      text += latin1(memory.subarray(4096, end));
      within = memory[next - 1] === 10 ? 0 : 1;
      at = next;
    }
    const second = 1795000000 + 2 * room;
    const stamps = [
      { seconds: second, nanoseconds: 999999998 },
      { seconds: second, nanoseconds: 999999999 },
      { seconds: second + 1, nanoseconds: 0 },
      { seconds: second + 1, nanoseconds: 1 },
    ].map(label);
    const wanted = input.split("\n").slice(0, -1)
      .map((line, i) => `${stamps[i]} ${line}\n`).join("");
    assertEquals(text, wanted);
  }
});

Deno.test("a clock that goes back less than a second stands still, another is followed", () => {
  const { kernel, memory, put } = stamping();
  const stampAt = (seconds: number, nanoseconds: number) => {
    put("x\n", 1024);
    kernel.setClock(seconds, nanoseconds);
    kernel.stampLines(1024, 1026, 4096, 4300, 0);
    return latin1(memory.subarray(4096, 4096 + LABEL_STAMP - 1));
  };
  const at = (seconds: number, nanoseconds: number) =>
    label({ seconds, nanoseconds });
  assertEquals(stampAt(1795000000, 5), at(1795000000, 5));
  assertEquals(stampAt(1795000000, 5), at(1795000000, 6));
  assertEquals(stampAt(1794999999, 900), at(1795000000, 7));
  assertEquals(stampAt(1794999998, 900), at(1794999998, 900));
  assertEquals(stampAt(2 ** 33, 1), at(2 ** 33, 1));
});

/** What a log server makes of lines, by the rule, one by one. */
function framed(
  lines: string,
  prefix: string,
  [raw, cooked]: readonly [boolean, boolean],
): string {
  let out = "";
  for (const line of lines.split(/[\n\0]/)) {
    if (line === "") continue;
    if (raw) out += `${prefix}${line}\n`;
    if (cooked) out += `${prefix}${line.replace(/^<13>/, "user.notice: ")}\n`;
  }
  return out;
}

/** Whether nothing has been written there since it was filled with `~`. */
function untouched(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte === 0x7e);
}

Deno.test("a log server's lines of any length at any offset are put out whole, and nothing else is touched", () => {
  const size = 2 * PAGE;
  const { kernel, memory } = makeKernel(size);
  const [prefixAt, inputAt] = [PRIORITIES_SIZE, PRIORITIES_SIZE + 512];
  putPriorities(memory, 0);
  const put = (text: string, at: number) => memory.set(fromLatin1(text), at);
  const outAt = PAGE;
  const forms = [[true, false], [false, true], [true, true]] as const;
  for (const form of forms) {
    kernel.setFraming(0, prefixAt, form[0] ? 1 : 0, form[1] ? 1 : 0, 200);
    for (const prefix of ["", "h: ", "x".repeat(16), "y".repeat(100)]) {
      put(prefix, prefixAt);
      kernel.setPrefix(prefix.length);
      for (let offset = 0; offset < 17; offset++) {
        for (let length = 0; length < 50; length++) {
          const text = "abcdefghijklmnopqrstuvwxyz".repeat(2).slice(0, length);
          const whole = `${text}\n<13>${text}\0\0\n<13${text}\n`;
          const from = inputAt + offset;
          put(`${whole}${text}\n`, from);
          const to = from + whole.length + text.length;
          memory.fill(0x7e, outAt - 64);
          const expected = framed(whole, prefix, form);
          const rest = kernel.frameLines(from, to, outAt, size - 1024);
          assertEquals(rest, from + whole.length);
          const end = kernel.framedTo.value;
          assertEquals(latin1(memory.subarray(outAt, end)), expected);
          assert(untouched(memory.subarray(outAt - 64, outAt)));
          assert(untouched(memory.subarray(end + MARGIN, outAt + 2048)));
          // At the end of the memory there is room for the margin, no more.
          const last = size - MARGIN - expected.length;
          kernel.frameLines(from, to, last, size - MARGIN);
          assertEquals(kernel.framedTo.value, size - MARGIN);
          assertEquals(latin1(memory.subarray(last, size - MARGIN)), expected);
        }
      }
    }
  }
});

Deno.test("a log server's line that is too long, or that there is no room for, is left", () => {
  const { kernel, memory } = makeKernel(PAGE);
  putPriorities(memory, 0);
  kernel.setFraming(0, PRIORITIES_SIZE, 0, 1, 20);
  kernel.setPrefix(0);
  const from = 20_000;
  const input = `${"a".repeat(20)}\n\n${"b".repeat(21)}\nc\n`;
  memory.set(fromLatin1(input), from);
  const to = from + input.length;
  memory[to] = 10;
  assertEquals(kernel.frameLines(from, to, 40_000, 50_000), from + 22);
  assertEquals(kernel.framedTo.value, 40_021);
  // Empty ones need none.
  assertEquals(kernel.frameLines(from + 21, to, 50_001, 50_000), from + 22);
  assertEquals(kernel.frameLines(from, to, 50_001, 50_000), from);
  assertEquals(kernel.framedTo.value, 50_001);
});

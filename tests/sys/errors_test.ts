import { assertEquals, assertInstanceOf, assertThrows } from "@std/assert";
import { close } from "../../src/sys/descriptors.ts";
import { check, lastErrno } from "../../src/sys/errno.ts";
import { errorNumber, SysError } from "../../src/sys/errors.ts";
import { open } from "../../src/sys/files.ts";
import { isOpen } from "../../src/sys/descriptors.ts";
import { folder, inCheckout, run, testWith } from "../tools.ts";

/** Every error that has words of its own. */
const known = Array.from({ length: 200 }, (_, i) => new SysError(i + 1))
  .filter((error) => error.message !== "unknown error");

Deno.test("an error carries its number, its name and the originals' words", () => {
  const error = new SysError(errorNumber("EACCES"));
  assertInstanceOf(error, Error);
  assertEquals(
    [error.name, error.errno, error.code, error.message],
    ["SysError", 13, "EACCES", "access denied"],
  );
});

Deno.test("unknown numbers and names are told as such", () => {
  const error = new SysError(4095);
  assertEquals(
    [error.errno, error.code, error.message],
    [4095, "E4095", "unknown error"],
  );
  assertEquals(errorNumber("E4095"), 0);
  assertEquals(errorNumber("toString"), 0);
});

Deno.test("names and numbers belong together", () => {
  for (const { errno, code } of known) assertEquals(errorNumber(code), errno);
});

Deno.test("lastErrno returns the number of the last error", () => {
  const fd = open("/dev/null", "read");
  assertEquals(isOpen(999), false);
  assertEquals(lastErrno(), errorNumber("EBADF"));
  assertEquals(isOpen(fd), true);
  assertEquals(lastErrno(), errorNumber("EBADF"));
  close(fd);
});

Deno.test("check throws for negative numbers, and returns all others", () => {
  assertEquals([check(0), check(7)], [0, 7]);
  isOpen(999);
  const error = assertThrows(() => check(-1), SysError);
  assertEquals(error.code, "EBADF");
});

testWith(["gcc"], "names and numbers are those of the C library", async () => {
  using work = folder();
  const lines = known.map(({ code }) => `E(${code})`).join("\n");
  Deno.writeTextFileSync(
    `${work.path}/names.c`,
    `#include <errno.h>
#include <stdio.h>
#define E(name) printf("%s %d\\n", #name, name);
int main(void) {
${lines}
}
`,
  );
  const program = `${work.path}/names`;
  const { code, stderr } = await run(["gcc", "-o", program, `${program}.c`]);
  assertEquals(code, 0, stderr);
  const { text } = await run([program]);
  const ours = known.map(({ code, errno }) => `${code} ${errno}\n`).join("");
  assertEquals(text, ours);
});

testWith(["strace", "multilog"], "the words are the original's", async () => {
  using work = folder();
  const words = async (errno: number) => {
    const inject = ["-e", "trace=flock", "-e", `inject=flock:error=${errno}`];
    const { stderr } = await run(
      ["strace", "-o", "trace", ...inject, "multilog", "./log"],
      { cwd: work.path, stdin: "" },
    );
    return stderr.trimEnd().split("./log: ").at(-1)!;
  };
  const theirs = new Map<number, string>();
  const numbers = Array.from({ length: 133 }, (_, i) => i + 1);
  for (const number of numbers) theirs.set(number, await words(number));
  // What the design says in other words than the original.
  theirs.set(errorNumber("EAGAIN"), "temporarily unavailable");
  theirs.set(errorNumber("ENOSPC"), "no space left on device");
  const ours = numbers.map((n) => [n, new SysError(n).message]);
  assertEquals(ours, [...theirs]);
});

Deno.test("the table has each number once", async () => {
  // A number twice in a literal would silently win over the first.
  const source = await Deno.readTextFile(inCheckout("src/sys/errors.ts"));
  const entries = [...source.matchAll(/^ {2}(\d+): \["(\w+)"/gm)];
  assertEquals(entries.length, known.length);
  assertEquals(new Set(entries.map((m) => m[1])).size, entries.length);
  assertEquals(new Set(entries.map((m) => m[2])).size, entries.length);
});

Deno.test("modules that don't call the C library are imported without a permission", async () => {
  using work = folder();
  const files = ["bytes", "getopt", "sys/errors", "tai64n", "version"];
  const program = `${work.path}/program.ts`;
  const url = (file: string) => JSON.stringify(inCheckoutURL(file));
  Deno.writeTextFileSync(
    program,
    files.map((file) => `import ${url(file)};\n`).join("") +
      `import { SysError } from ${url("sys/errors")};\n` +
      "console.log(new SysError(28).message);\n",
  );
  const { text, stderr } = await run(
    [Deno.execPath(), "run", "-q", "--no-prompt", "--no-config", program],
  );
  assertEquals(text, "no space left on device\n", stderr);
});

function inCheckoutURL(file: string): string {
  return new URL(`../../src/${file}.ts`, import.meta.url).href;
}

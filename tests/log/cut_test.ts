import { assertEquals } from "@std/assert";
import { encode } from "../../src/bytes.ts";
import { cut, isBigEnough } from "../../src/log/cut.ts";

const SIZE = 4096;

/** Lines of so many bytes, their newline included. */
function lines(...lengths: number[]) {
  return encode(lengths.map((n) => "x".repeat(n - 1) + "\n").join(""));
}

Deno.test("cut: all bytes go into the file while it isn't big enough with them", () => {
  const bytes = lines(1000, 1000);
  assertEquals(cut(bytes, 0, 2000, 0, SIZE), 2000);
  assertEquals(cut(bytes, 0, 2000, 95, SIZE), 2000);
});

Deno.test("cut: a file ends at the first newline with which it is big enough", () => {
  const bytes = lines(2095, 1, 1000);
  assertEquals(cut(bytes, 0, bytes.length, 0, SIZE), 2096);
  assertEquals(cut(bytes, 0, bytes.length, 1, SIZE), 2095);
  assertEquals(cut(bytes, 2096, bytes.length, 2000, SIZE), 3096);
});

Deno.test("cut: without a newline before its size, a file ends at its size", () => {
  const bytes = lines(9000);
  assertEquals(cut(bytes, 0, 9000, 0, SIZE), 4096);
  assertEquals(cut(bytes, 4096, 9000, 0, SIZE), 8192);
  assertEquals(cut(bytes, 0, 9000, 4000, SIZE), 96);
});

Deno.test("cut: a file that is to be finished at once ends at the next newline", () => {
  const bytes = lines(10, 10);
  assertEquals(cut(bytes, 0, 20, 5, SIZE, 0), 10);
  assertEquals(cut(bytes, 3, 20, 5, SIZE, 0), 10);
});

Deno.test("cut: bytes after the given end are never read", () => {
  const bytes = encode("x".repeat(3000) + "\n");
  assertEquals(cut(bytes, 0, 2500, 0, SIZE), 2500);
  // A file that is being filled with a line that has no end takes no longer
  // for the megabytes after it.
  const long = new Uint8Array(64 * 1024 * 1024).fill(120);
  const began = performance.now();
  for (let at = 0; at < 4_000_000; at += 2000) {
    cut(long, at, at + 2000, 3000, 16777215, 0);
  }
  const ms = performance.now() - began;
  assertEquals(ms < 1000, true, `${ms} ms`);
});

Deno.test("cut: a file is big enough at its size, or at a line's end 2000 bytes before that", () => {
  assertEquals(isBigEnough(2095, false, SIZE), false);
  assertEquals(isBigEnough(2096, false, SIZE), true);
  assertEquals(isBigEnough(2096, true, SIZE), false);
  assertEquals(isBigEnough(4095, true, SIZE), false);
  assertEquals(isBigEnough(4096, true, SIZE), true);
});

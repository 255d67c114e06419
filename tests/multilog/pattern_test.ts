import { assertEquals } from "@std/assert";
import { matches } from "../../src/multilog/matching.ts";
import { pattern, PATTERN_SIGHT } from "../../src/multilog/pattern.ts";
import { fromLatin1 } from "../../src/bytes.ts";

function matched(text: string, line: string): boolean {
  // Among other bytes, which must not matter.
  const bytes = fromLatin1(`*a${line}a*`);
  return matches(pattern(text), bytes, 2, bytes.length - 2);
}

Deno.test("pattern: stars and non-stars", () => {
  const rows: [text: string, line: string, matched: boolean][] = [
    ["", "", true],
    ["", "a", false],
    ["hello", "hello", true],
    ["hello", "hello world", false],
    ["hello", "hell", false],
    ["*", "", true],
    ["*", "anything", true],
    ["hello*", "hello", true],
    ["hello*", "hello world", true],
    ["*x", "x", true],
    ["*x", "aaax", true],
    // A star ends at the first byte that is the one after it.
    ["*x", "axax", false],
    ["*x*x", "axax", true],
    ["*ab", "aab", false],
    ["*a", "", false],
    ["[*]: *", "[135]: Cleaned", true],
    ["[*]: *", "[1]35]: Cleaned", false],
    // Two stars: one that ends at a star.
    ["**", "", false],
    ["**", "ab", false],
    ["**", "ab*cd", true],
    ["**x", "*x", true],
    // A star is no byte that the one after it can begin with.
    ["*a*b", "xxayyb", true],
    ["*a*b", "xxbyya", false],
    ["* fatal: *", "@400000003b4a39c23294b13c fatal: out of memory", true],
  ];
  for (const [text, line, expected] of rows) {
    assertEquals(matched(text, line), expected, `${text} on ${line}`);
  }
});

Deno.test("pattern: a text is matched as UTF-8, a line as bytes", () => {
  assertEquals(matched("é", "\xc3\xa9"), true);
  assertEquals(matched("é", "\xe9"), false);
  assertEquals(matched("*é", "\xc3\xa9"), true);
  assertEquals(matched("a*", "a\0\xff"), true);
});

Deno.test("pattern: as much of a line is matched as by the original", () => {
  assertEquals(PATTERN_SIGHT, 1000);
});

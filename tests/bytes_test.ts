import { assertEquals } from "@std/assert";
import { encode, fromLatin1, latin1, NEWLINE } from "../src/bytes.ts";

Deno.test("encode makes UTF-8", () => {
  assertEquals(encode("aé€"), new Uint8Array([97, 195, 169, 226, 130, 172]));
  assertEquals(encode(""), new Uint8Array(0));
});

Deno.test("latin1 and fromLatin1 keep every byte", () => {
  const all = Uint8Array.from({ length: 256 }, (_, i) => i);
  assertEquals(latin1(all).length, 256);
  assertEquals(latin1(all).charCodeAt(255), 255);
  assertEquals(fromLatin1(latin1(all)), all);
  const much = new Uint8Array(300_000).fill(233);
  assertEquals(fromLatin1(latin1(much)), much);
  assertEquals(latin1(new Uint8Array(0)), "");
});

Deno.test("NEWLINE ends a line", () => {
  assertEquals(String.fromCharCode(NEWLINE), "\n");
});

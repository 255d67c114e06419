import { assertEquals } from "@std/assert";
import { encode } from "../src/bytes.ts";
import { TerminalText } from "../src/terminal.ts";
import { latin1 } from "./tools.ts";

Deno.test("a terminal gets no control character but newline and tab", () => {
  const all = Uint8Array.from({ length: 256 }, (_, i) => i);
  const shown = new TerminalText().turn(all);
  for (const byte of shown) {
    const fine = byte === 9 || byte === 10 || byte >= 32 && byte !== 127;
    assertEquals(fine, true, `byte ${byte}`);
  }
  assertEquals(latin1(shown.subarray(0, 8)), "\\x00\\x01");
});

Deno.test("text in UTF-8 is shown as it is, but not the control characters in it", () => {
  const text = new TerminalText();
  assertEquals(
    latin1(text.turn(encode("Grüße, €, £\n"))),
    latin1(encode("Grüße, €, £\n")),
  );
  // The single character that begins a command, cut in two by a read.
  assertEquals(latin1(text.turn(Uint8Array.of(0xc2))), "\xc2");
  assertEquals(latin1(text.turn(Uint8Array.of(0x9b, 0x41))), "\\x9bA");
});

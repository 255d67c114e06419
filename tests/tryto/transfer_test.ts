import { assert, assertEquals, assertThrows } from "@std/assert";
import { type Input, openInput } from "../../src/tryto/input.ts";
import { OutputError, Transfer } from "../../src/tryto/transfer.ts";
import {
  close,
  pipe,
  read,
  setNonblocking,
  write,
} from "../../src/sys/descriptors.ts";
import { open } from "../../src/sys/files.ts";
import { READABLE, WRITABLE } from "../../src/sys/poll.ts";
import { bytes, latin1 } from "../tools.ts";

/** An input that has what it is given, a few bytes at a time. */
function given(text: string, step = 100_000): Input {
  let at = 0;
  return {
    waits: -1,
    read(buffer) {
      const part = bytes(text.slice(at, at + Math.min(step, buffer.length)));
      buffer.set(part);
      at += part.length;
      return part.length;
    },
    rewind: () => at = 0,
    [Symbol.dispose]: () => {},
  };
}

function drain(fd: number): string {
  const buffer = new Uint8Array(1024 * 1024);
  const n = read(fd, buffer);
  return latin1(buffer.subarray(0, Math.max(n, 0)));
}

Deno.test("inputs go to the output in their order, empty ones too", () => {
  const { reader, writer } = pipe();
  const inputs = [given(""), given("a\nb\n", 1), given(""), given("c\n")];
  const transfer = new Transfer(inputs, writer);
  assertEquals(transfer.move(), undefined);
  assertEquals(transfer.move(), undefined);
  assertEquals(drain(reader), "a\nb\nc\n");
  close(reader);
  close(writer);
});

Deno.test("a transfer says what it waits for, and goes on where it was", () => {
  const from = pipe();
  const to = pipe();
  setNonblocking(to.writer, true);
  const input = openInput(from.reader, 0, () => {});
  const transfer = new Transfer([input], to.writer);
  const readable = { fd: from.reader, events: READABLE };
  const writable = { fd: to.writer, events: WRITABLE };
  assertEquals(transfer.move(), readable);
  const text = "x".repeat(50_000) + "y".repeat(50_000);
  write(from.writer, bytes(text.slice(0, 60_000)));
  assertEquals(transfer.move(), readable);
  write(from.writer, bytes(text.slice(60_000)));
  assertEquals(transfer.move(), writable);
  assertEquals(transfer.move(), writable);
  let got = drain(to.reader);
  close(from.writer);
  assertEquals(transfer.move(), undefined);
  got += drain(to.reader);
  assert(got === text);
  for (const fd of [from.reader, to.reader, to.writer]) close(fd);
});

Deno.test("a transfer never blocks on an output that would make it wait", () => {
  const { reader, writer } = pipe();
  const text = "x".repeat(300_000);
  const transfer = new Transfer([given(text)], writer, 4096);
  let got = "";
  let waits = 0;
  while (transfer.move() !== undefined) {
    waits++;
    got += drain(reader);
  }
  got += drain(reader);
  assert(got === text);
  assert(waits > 0);
  close(reader);
  close(writer);
});

Deno.test("the event loop turns during a transfer that never waits", () => {
  const fd = open("/dev/null", "append");
  const transfer = new Transfer([given("x".repeat(3_000_000))], fd);
  assertEquals(transfer.move(), { fd, events: WRITABLE });
  assertEquals(transfer.move(), { fd, events: WRITABLE });
  assertEquals(transfer.move(), undefined);
  close(fd);
});

Deno.test("a transfer to an output without a reader says so", () => {
  const { reader, writer } = pipe();
  close(reader);
  const transfer = new Transfer([given("text")], writer);
  assertThrows(() => transfer.move(), OutputError, "broken pipe");
  close(writer);
});

import { assert, assertEquals, assertThrows } from "@std/assert";
import { type Input, InputError, openInput } from "../../src/tryto/input.ts";
import { KEPT_IN_MEMORY } from "../../src/tryto/input.ts";
import {
  close,
  pipe,
  seek,
  setNonblocking,
  write,
} from "../../src/sys/descriptors.ts";
import { open } from "../../src/sys/files.ts";
import { bytes, folder, latin1, seeded } from "../tools.ts";

const never = (...parts: readonly unknown[]) => {
  throw new Error(parts.join(""));
};

/** Reads at most so much of an input. */
function take(input: Input, count: number): string {
  const buffer = new Uint8Array(Math.min(count, 256 * 1024));
  let text = "";
  while (text.length < count) {
    const n = input.read(buffer.subarray(0, count - text.length));
    if (n === 0) break;
    text += latin1(buffer.subarray(0, n));
  }
  return text;
}

Deno.test("a file is rewound to where it stood, not to its beginning", () => {
  using here = folder();
  Deno.writeTextFileSync(`${here.path}/log`, "read by others\nours\n");
  const fd = open(`${here.path}/log`, "read");
  seek(fd, 15);
  const input = openInput(fd, 0, never);
  assertEquals(input.waits, -1);
  assertEquals(take(input, 99), "ours\n");
  assertEquals(take(input, 99), "");
  input.rewind();
  assertEquals(take(input, 3), "our");
  input.rewind();
  assertEquals(take(input, 99), "ours\n");
  close(fd);
});

Deno.test("what can't be read says which descriptor it was", () => {
  const fd = open("/", "read");
  const input = openInput(fd, 7, never);
  assertThrows(
    () => input.read(new Uint8Array(1)),
    InputError,
    "unable to read descriptor 7: is a directory",
  );
  close(fd);
});

Deno.test("a pipe is kept while it is read, and waits only for what is new", () => {
  const { reader, writer } = pipe();
  setNonblocking(reader, true);
  const input = openInput(reader, 0, never);
  const send = (text: string) => write(writer, bytes(text));
  assertEquals(input.waits, reader);
  send("one");
  assertEquals(take(input, 3), "one");
  assertEquals(input.waits, reader);
  input.rewind();
  assertEquals(input.waits, -1);
  assertEquals(take(input, 2), "on");
  assertEquals(input.waits, -1);
  assertEquals(take(input, 1), "e");
  assertEquals(input.waits, reader);
  send("two");
  assertEquals(take(input, 3), "two");
  close(writer);
  assertEquals(take(input, 9), "");
  assertEquals(input.waits, -1);
  close(reader); // The end has been seen, so nothing is read any more.
  input.rewind();
  assertEquals(take(input, 99), "onetwo");
  assertEquals(take(input, 99), "");
});

/** Sends so much through a pipe in random pieces, and reads it as it comes. */
function fill(
  input: Input,
  writer: number,
  length: number,
  random: () => number,
): string {
  let sent = "";
  while (sent.length < length) {
    const piece = new Uint8Array(
      Math.min(1 + Math.floor(random() * 65536), length - sent.length),
    );
    for (let i = 0; i < piece.length; i++) piece[i] = random() * 256;
    assertEquals(write(writer, piece), piece.length);
    const text = latin1(piece);
    assert(take(input, piece.length) === text);
    sent += text;
  }
  return sent;
}

Deno.test("more than fits in memory goes to a file, byte for byte", () => {
  const random = seeded(4);
  const { reader, writer } = pipe();
  // What isn't kept is missed at once, not waited for.
  setNonblocking(reader, true);
  const input = openInput(reader, 0, never);
  let all = "";
  for (const more of [KEPT_IN_MEMORY, 1, KEPT_IN_MEMORY, 100_000]) {
    all += fill(input, writer, more, random);
    input.rewind();
    const part = Math.floor(random() * all.length);
    assert(take(input, part) === all.slice(0, part));
    input.rewind();
    assert(take(input, all.length) === all);
    assertEquals(input.waits, reader);
  }
  close(writer);
  assertEquals(take(input, 1), "");
  close(reader);
});

Deno.test("where no file can be made, memory keeps all of it", () => {
  const before = Deno.env.get("TMPDIR");
  Deno.env.set("TMPDIR", "/nowhere");
  try {
    const { reader, writer } = pipe();
    setNonblocking(reader, true);
    const warnings: string[] = [];
    const input = openInput(reader, 0, (...parts) => {
      warnings.push(
        parts.map((part) => part instanceof Error ? part.message : part)
          .join(""),
      );
    });
    const all = fill(input, writer, 3 * KEPT_IN_MEMORY, seeded(5));
    close(writer);
    input.rewind();
    assert(take(input, all.length + 1) === all);
    assertEquals(warnings, [
      "unable to keep input in a temporary file, keeping it in memory: " +
      "file does not exist",
    ]);
    close(reader);
  } finally {
    if (before === undefined) Deno.env.delete("TMPDIR");
    else Deno.env.set("TMPDIR", before);
  }
});

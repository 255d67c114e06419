import { assertEquals } from "@std/assert";
import {
  close,
  pipe,
  read,
  setNonblocking,
} from "../../src/sys/descriptors.ts";
import { environ } from "../../src/sys/environment.ts";
import { spawn, waitFor } from "../../src/sys/process.ts";
import { writeAll } from "../../src/sys/write_all.ts";

Deno.test("writeAll waits for room, even where writing doesn't", async () => {
  const { reader, writer } = pipe();
  setNonblocking(writer, true);
  // Standing still, it needs somebody else to read.
  const out = pipe();
  const pid = spawn({
    args: ["wc", "-c"],
    env: environ(),
    fds: new Map([[0, reader], [1, out.writer]]),
  });
  close(reader);
  close(out.writer);
  assertEquals(writeAll(writer, new Uint8Array(1_000_000)), undefined);
  close(writer);
  const count = new Uint8Array(100);
  const length = read(out.reader, count);
  assertEquals(
    new TextDecoder().decode(count.subarray(0, length)),
    "1000000\n",
  );
  close(out.reader);
  assertEquals(await waitFor(pid), { code: 0 });
});

Deno.test("writeAll returns the error that kept it from writing", () => {
  const { reader, writer } = pipe();
  assertEquals(writeAll(writer, new Uint8Array(0)), undefined);
  close(reader);
  assertEquals(writeAll(writer, new Uint8Array(1))?.code, "EPIPE");
  close(writer);
  assertEquals(writeAll(999, new Uint8Array(1))?.code, "EBADF");
});

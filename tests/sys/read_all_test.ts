import { assertEquals, assertThrows } from "@std/assert";
import { close } from "../../src/sys/descriptors.ts";
import { SysError } from "../../src/sys/errors.ts";
import { open, openDirectory } from "../../src/sys/files.ts";
import { readAll } from "../../src/sys/read_all.ts";
import { folder } from "../tools.ts";

Deno.test("a file is read to its end, whatever size was expected", () => {
  using work = folder();
  const path = `${work.path}/file`;
  const bytes = crypto.getRandomValues(new Uint8Array(1000));
  Deno.writeFileSync(path, bytes);
  for (const size of [0, 1, 999, 1000, 1001, 100_000]) {
    const fd = open(path, "read");
    try {
      assertEquals(readAll(fd, size), bytes, `${size} expected`);
    } finally {
      close(fd);
    }
  }
});

Deno.test("readAll throws the error of read", () => {
  const fd = openDirectory("/");
  try {
    const { code } = assertThrows(() => readAll(fd), SysError);
    assertEquals(code, "EISDIR");
  } finally {
    close(fd);
  }
});

import { assert, assertEquals } from "@std/assert";
import { close, dup } from "../../src/sys/descriptors.ts";
import { SysError } from "../../src/sys/errors.ts";
import { openDirectory } from "../../src/sys/files.ts";
import { roomToCome, unlinkAside } from "../../src/sys/unlink_aside.ts";
import { folder } from "../tools.ts";

/** The files that this process has open and that have no name any more. */
function nameless(path: string): number {
  let count = 0;
  for (const { name } of Deno.readDirSync("/proc/self/fd")) {
    try {
      const target = Deno.readLinkSync(`/proc/self/fd/${name}`);
      if (target.startsWith(path) && target.endsWith(" (deleted)")) count++;
    } catch {
      // The list itself is closed by now.
    }
  }
  return count;
}

Deno.test("a large file's name is gone at once, and its bytes after that was waited for", async () => {
  using at = folder();
  const directory = openDirectory(at.path);
  for (let i = 0; i < 5; i++) {
    Deno.writeFileSync(`${at.path}/${i}`, new Uint8Array(1024 * 1024));
  }
  for (let i = 0; i < 5; i++) unlinkAside(`${i}`, directory);
  assertEquals([...Deno.readDirSync(at.path)], []);
  assert(await roomToCome());
  assertEquals(nameless(at.path), 0);
  assertEquals(await roomToCome(), false);
  close(directory);
});

Deno.test("a small file is gone at once, with its bytes", async () => {
  using at = folder();
  const directory = openDirectory(at.path);
  Deno.writeFileSync(`${at.path}/small`, new Uint8Array(1000));
  assert(unlinkAside("small", directory));
  assertEquals([...Deno.readDirSync(at.path)], []);
  assertEquals(await roomToCome(), false);
  assertEquals(unlinkAside("small", directory), false);
  close(directory);
});

Deno.test("a symbolic link goes, wherever it leads, and what it leads to stays", () => {
  using at = folder();
  const directory = openDirectory(at.path);
  Deno.symlinkSync(`${at.path}/nowhere`, `${at.path}/dangling`);
  Deno.writeFileSync(`${at.path}/large`, new Uint8Array(1024 * 1024));
  Deno.symlinkSync(`${at.path}/large`, `${at.path}/link`);
  assert(unlinkAside("dangling", directory));
  assert(unlinkAside("link", directory));
  assertEquals([...Deno.readDirSync(at.path)].map(({ name }) => name), [
    "large",
  ]);
  close(directory);
});

Deno.test("a large file goes where no descriptor is free", async () => {
  using at = folder();
  const directory = openDirectory(at.path);
  Deno.writeFileSync(`${at.path}/large`, new Uint8Array(1024 * 1024));
  const taken: number[] = [];
  try {
    // At most so many: the limit of the tests' process may be high.
    for (let i = 0; i < 2_000_000; i++) taken.push(dup(directory));
  } catch (error) {
    assert(error instanceof SysError);
  }
  unlinkAside("large", directory);
  for (const fd of taken) close(fd);
  assertEquals([...Deno.readDirSync(at.path)], []);
  assertEquals(await roomToCome(), false);
  close(directory);
});

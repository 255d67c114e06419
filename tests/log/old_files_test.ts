/**
 * Which old files go, in real directories.
 */
import { assert, assertEquals } from "@std/assert";
import { Directory } from "../../src/log/directory.ts";
import { OldFiles, Smallest } from "../../src/log/old_files.ts";
import { openDirectory } from "../../src/sys/files.ts";
import { folder } from "../tools.ts";
import { oldFiles } from "../multilog/harness.ts";

function name(n: number, code = "s"): string {
  return `@4000000060000000${n.toString(16).padStart(8, "0")}.${code}`;
}

interface Opened {
  path: string;
  directory: Directory;
  old: OldFiles;
  warnings: string[];
}

function open(path: string, most: number, queued = false): Opened {
  const warnings: string[] = [];
  const directory = new Directory(path, openDirectory(path));
  const warn = (message: string) => void warnings.push(message);
  const settings = {
    size: 99999,
    keep: most,
    processor: queued ? "cat" : "",
    age: 0,
  };
  const old = new OldFiles(directory, settings, warn);
  return { path, directory, old, warnings };
}

function put(path: string, files: Record<string, string>): void {
  for (const [name, text] of Object.entries(files)) {
    Deno.writeTextFileSync(`${path}/${name}`, text);
  }
}

Deno.test("old files: the smallest of many names are known, and their number", () => {
  const names = new Smallest();
  const all = Array.from({ length: 20000 }, (_, i) => name((i * 7919) % 20000));
  all.forEach((name) => names.add(name));
  assertEquals(names.count, 20000);
  const known = names.names();
  assert(known.length < 9000);
  assertEquals(known, [...all].sort().slice(0, known.length));
  for (const name of [...known]) names.remove(name);
  assertEquals(names.exhausted, true);
  assertEquals(names.count, 20000 - (all.length - names.count));
});

Deno.test("old files: a file with lines is never removed to make room for an empty one", () => {
  using at = folder();
  put(at.path, { [name(1)]: "1\n", [name(2)]: "", [name(3)]: "3\n" });
  put(at.path, { [name(4)]: "", [name(5)]: "5\n" });
  const { directory, old } = open(at.path, 4);
  old.trim();
  assertEquals(oldFiles(at.path), [name(1), name(3), name(5)]);
  put(at.path, { [name(6)]: "" });
  // Somebody else's file is noticed a moment later.
  old.refresh(true);
  old.trim();
  assertEquals(oldFiles(at.path), [name(1), name(3), name(5)]);
  put(at.path, { [name(7)]: "7\n" });
  old.refresh(true);
  old.trim();
  assertEquals(oldFiles(at.path), [name(3), name(5), name(7)]);
  directory.close();
});

Deno.test("old files: a waiting file counts, and is never removed", () => {
  using at = folder();
  put(at.path, {
    [name(1, "u")]: "",
    [name(2)]: "2\n",
    [name(3, "u")]: "3\n",
    [name(4, "u")]: "4\n",
    [name(5, "u")]: "5\n",
  });
  const { directory, old } = open(at.path, 4, true);
  old.refresh();
  assertEquals([old.full, old.room, old.waiting.count], [true, 0, 4]);
  // While a processor is at work nothing with lines goes for what waits.
  old.trim(true);
  assertEquals(oldFiles(at.path).length, 5);
  old.trim();
  assertEquals(oldFiles(at.path), [1, 3, 4, 5].map((n) => name(n, "u")));
  assertEquals(old.waitingBytes(), 6);
  directory.close();
});

Deno.test("old files: one that can't be removed is warned of once, and others are removed", () => {
  using at = folder();
  Deno.mkdirSync(`${at.path}/${name(0)}`);
  put(at.path, { [name(1)]: "1\n", [name(2)]: "2\n", [name(3)]: "3\n" });
  const { directory, old, warnings } = open(at.path, 3);
  old.trim();
  old.trim();
  assertEquals(oldFiles(at.path), [name(0), name(2), name(3)]);
  assertEquals(warnings, [
    `unable to remove ${at.path}/${name(0)}: is a directory`,
  ]);
  directory.close();
});

Deno.test("old files: files that other processes add and remove are noticed, also among thousands", () => {
  using at = folder();
  const many = 5000;
  for (let n = 1; n <= many; n++) put(at.path, { [name(n)]: "x" });
  const { directory, old } = open(at.path, many + 1);
  old.trim();
  assertEquals(oldFiles(at.path).length, many);
  for (let n = 1; n <= 10; n++) Deno.removeSync(`${at.path}/${name(n)}`);
  const next = old.nextName("s");
  put(at.path, { [next]: "x" });
  old.add(next);
  old.trim();
  // Who didn't notice would remove one more.
  assertEquals(oldFiles(at.path).length, many - 9);
  directory.close();
});

import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  close,
  fsync,
  isInherited,
  pipe,
  read,
  seek,
  write,
} from "../../src/sys/descriptors.ts";
import { errorNumber, SysError } from "../../src/sys/errors.ts";
import {
  chmod,
  lstat,
  mkdir,
  type Name,
  open,
  type OpenMode,
  readdir,
  rename,
  stat,
  tmpfile,
  umask,
  unlink,
} from "../../src/sys/files.ts";
import { loopbackAddress, socket } from "../../src/sys/sockets.ts";
import { fromLatin1, latin1 } from "../../src/bytes.ts";
import { bytes, folder, run, testWith } from "../tools.ts";
import { denoCommand } from "./_programs.ts";

function fails(code: string, what: () => unknown): void {
  assertEquals(assertThrows(what, SysError).code, code);
}

/** A folder, and a descriptor of it. */
function openFolder() {
  const work = folder();
  const fd = open(work.path, "read");
  return {
    path: work.path,
    fd,
    [Symbol.dispose]() {
      close(fd);
      work[Symbol.dispose]();
    },
  };
}

function contents(fd: number): string {
  const buffer = new Uint8Array(1000);
  return latin1(buffer.subarray(0, read(fd, buffer)));
}

Deno.test("each mode of open does what it says", () => {
  using work = openFolder();
  const name = `${work.path}/file`;
  fails("ENOENT", () => open(name, "read"));
  const after: [OpenMode, string][] = [
    ["append", "oldnew"],
    ["overwrite", "new"],
    ["truncate", "new"],
  ];
  for (const [mode, expected] of after) {
    remove_(name);
    close(open(name, mode));
    assertEquals(Deno.readTextFileSync(name), "", `${mode} makes it`);
    Deno.writeTextFileSync(name, "old");
    const fd = open(name, mode);
    assertEquals(read(fd, new Uint8Array(1)), -errorNumber("EBADF"));
    if (mode !== "append") seek(fd, 0);
    write(fd, bytes("new"));
    close(fd);
    assertEquals(Deno.readTextFileSync(name), expected, mode);
  }
  Deno.writeTextFileSync(name, "longer than that");
  const over = open(name, "overwrite");
  write(over, bytes("shorter"));
  close(over);
  assertEquals(Deno.readTextFileSync(name), "shorterthan that");
  const fd = open(name, "read");
  assertEquals(contents(fd), "shorterthan that");
  assertEquals(write(fd, bytes("x")), -errorNumber("EBADF"));
  close(fd);
});

function remove_(name: string): void {
  try {
    Deno.removeSync(name);
  } catch {
    // It isn't there the first time.
  }
}

Deno.test("two that append don't write over each other", () => {
  using work = openFolder();
  const [one, two] = [0, 0].map(() => open(`${work.path}/file`, "append"));
  for (let i = 0; i < 3; i++) {
    write(one!, bytes("1"));
    write(two!, bytes("2"));
  }
  close(one!);
  close(two!);
  assertEquals(Deno.readTextFileSync(`${work.path}/file`), "121212");
});

Deno.test("new files and directories have the wanted mode, less the umask", () => {
  using work = openFolder();
  const mode = (name: string) =>
    Deno.statSync(`${work.path}/${name}`).mode! & 0o7777;
  const before = umask(0o027);
  try {
    close(open("one", "append", 0o666, work.fd));
    mkdir("two", 0o777, work.fd);
    close(open("three", "append", undefined, work.fd));
    mkdir("four", undefined, work.fd);
    assertEquals(["one", "two", "three", "four"].map(mode), [
      0o640,
      0o750,
      0o640,
      0o700,
    ]);
    assertEquals(umask(0), 0o027);
    close(open("five", "append", 0o666, work.fd));
    assertEquals(mode("five"), 0o666);
  } finally {
    umask(before);
  }
});

Deno.test("open doesn't wait for the other end of a fifo", async () => {
  using work = openFolder();
  const name = `${work.path}/fifo`;
  await run(["mkfifo", name]);
  fails("ENXIO", () => open(name, "overwrite"));
  const reader = open(name, "read");
  assertEquals(read(reader, new Uint8Array(1)), 0);
  const writer = open(name, "overwrite");
  assertEquals(read(reader, new Uint8Array(1)), -errorNumber("EAGAIN"));
  close(reader);
  close(writer);
});

Deno.test("open throws an error that says what is wrong", () => {
  using work = openFolder();
  Deno.writeTextFileSync(`${work.path}/file`, "");
  Deno.symlinkSync("loop", `${work.path}/loop`);
  const wrong: [string, OpenMode, string][] = [
    ["", "read", "ENOENT"],
    ["none/file", "append", "ENOENT"],
    ["file/file", "append", "ENOTDIR"],
    [".", "append", "EISDIR"],
    ["loop", "read", "ELOOP"],
    ["x".repeat(256), "append", "ENAMETOOLONG"],
  ];
  for (const [name, mode, code] of wrong) {
    fails(code, () => open(name, mode, 0o644, work.fd));
  }
  fails("EBADF", () => open("file", "read", 0, 999));
  assertThrows(() => open("fi\0le", "append", 0o644, work.fd), TypeError);
  assertEquals(readdir(work.fd).toSorted(), [".", "..", "file", "loop"]);
});

Deno.test("an open directory is the same one by any name", () => {
  using work = openFolder();
  mkdir("one", 0o700, work.fd);
  const directory = open("one", "read", 0, work.fd);
  rename("one", "two", work.fd);
  close(open("file", "append", 0o644, directory));
  mkdir("folder", 0o700, directory);
  assertEquals(Deno.statSync(`${work.path}/two/file`).isFile, true);
  chmod("file", 0o744, directory);
  assertEquals(stat("file", directory)!.mode & 0o7777, 0o744);
  rename("file", "other", directory);
  assertEquals(readdir(directory).toSorted(), [".", "..", "folder", "other"]);
  unlink("other", directory);
  assertEquals(readdir(directory).toSorted(), [".", "..", "folder"]);
  close(directory);
});

Deno.test("names are bytes", () => {
  using work = openFolder();
  const odd = "\xff\xfe\x80 \n*\xe9";
  const name: Name = fromLatin1(odd);
  close(open(name, "append", 0o644, work.fd));
  close(open("é", "append", 0o644, work.fd));
  const utf8 = latin1(bytes("é"));
  const names = () => readdir(work.fd).filter((name) => !name.startsWith("."));
  assertEquals(names().toSorted(), [utf8, odd].toSorted());
  chmod(name, 0o600, work.fd);
  assertEquals(stat(name, work.fd)!.mode & 0o777, 0o600);
  rename(name, fromLatin1("\x80"), work.fd);
  assertEquals(names().toSorted(), ["\x80", utf8].toSorted());
  unlink(fromLatin1("\x80"), work.fd);
  assertEquals(names(), [utf8]);
  const folderName = fromLatin1("\xf0");
  mkdir(folderName, 0o700, work.fd);
  assert(names().includes("\xf0"));
});

Deno.test("mkdir, rename, unlink and chmod throw errors that say what is wrong", () => {
  using work = openFolder();
  mkdir("folder", 0o700, work.fd);
  fails("EEXIST", () => mkdir("folder", 0o700, work.fd));
  fails("ENOENT", () => mkdir("none/folder", 0o700, work.fd));
  fails("ENOENT", () => rename("none", "some", work.fd));
  fails("ENOENT", () => unlink("none", work.fd));
  fails("EISDIR", () => unlink("folder", work.fd));
  fails("ENOENT", () => chmod("none", 0o644, work.fd));
});

Deno.test("rename replaces a file in one step", () => {
  using work = openFolder();
  Deno.writeTextFileSync(`${work.path}/new`, "new");
  Deno.writeTextFileSync(`${work.path}/old`, "old");
  const fd = open("old", "read", 0, work.fd);
  rename("new", "old", work.fd);
  assertEquals(Deno.readTextFileSync(`${work.path}/old`), "new");
  assertEquals(stat("new", work.fd), undefined);
  assertEquals(contents(fd), "old");
  close(fd);
});

Deno.test("stat says what the runtime says too", () => {
  using work = openFolder();
  const name = `${work.path}/file`;
  Deno.writeTextFileSync(name, "12345");
  Deno.utimeSync(name, 1234567890.5, 1234567890.25);
  Deno.linkSync(name, `${work.path}/second`);
  const found = stat("file", work.fd)!;
  const expected = Deno.statSync(name);
  assertEquals(found.mode, expected.mode);
  assertEquals(found.size, 5);
  assertEquals(found.nlink, 2);
  assertEquals(found.mtime, 1234567890.25);
  const made = expected.birthtime?.getTime();
  if (made === undefined) assertEquals(found.birthtime, undefined);
  else assert(Math.abs(found.birthtime! * 1000 - made) < 2);
  assertEquals(stat("second", work.fd), found);
  assertEquals(stat(name), found);
  close(open("third", "append", 0o644, work.fd));
  assert(stat("third", work.fd)!.identity !== found.identity);
  assert(found.identity.endsWith(`:${expected.ino}`));
});

Deno.test("stat looks at an open file, through links, and beyond 4 GiB", () => {
  using work = openFolder();
  const name = `${work.path}/file`;
  const fd = open(name, "append");
  const far = 5 * 2 ** 30 + 1;
  Deno.truncateSync(name, far);
  assertEquals(stat("", fd)!.size, far);
  Deno.symlinkSync("file", `${work.path}/link`);
  assertEquals(stat("link", work.fd), stat("file", work.fd));
  Deno.removeSync(name);
  assertEquals(stat("link", work.fd), undefined);
  assertEquals(stat("", fd)!.nlink, 0);
  close(fd);
});

Deno.test("stat tells files, directories, pipes, sockets and devices apart", () => {
  using work = openFolder();
  const file = open(`${work.path}/file`, "append");
  const { reader, writer } = pipe();
  const one = socket(loopbackAddress(0));
  const device = open("/dev/null", "read");
  const type = (fd: number) => {
    const { isFile, isDirectory, isFifo, isSocket } = stat("", fd)!;
    return Object.entries({ isFile, isDirectory, isFifo, isSocket })
      .filter(([, is]) => is).map(([name]) => name).join();
  };
  assertEquals([file, work.fd, reader, one, device].map(type), [
    "isFile",
    "isDirectory",
    "isFifo",
    "isSocket",
    "",
  ]);
  Deno.symlinkSync("file", `${work.path}/link`);
  const link = `${work.path}/link`;
  assertEquals([lstat(link), stat(link)].map((info) => info?.isSymlink), [
    true,
    false,
  ]);
  for (const fd of [file, reader, writer, one, device]) close(fd);
});

Deno.test("stat tells what is missing from what is wrong", () => {
  using work = openFolder();
  close(open("file", "append", 0o644, work.fd));
  assertEquals(stat("none", work.fd), undefined);
  fails("ENOTDIR", () => stat("file/file", work.fd));
  fails("EBADF", () => stat("", 999));
});

Deno.test("readdir has every name, as often as it is asked", () => {
  using work = openFolder();
  const names = Array.from({ length: 500 }, (_, i) => `${i}`.padStart(200));
  for (const name of names) close(open(name, "append", 0o644, work.fd));
  for (let i = 0; i < 2; i++) {
    assertEquals(
      readdir(work.fd).toSorted(),
      [...names, ".", ".."].toSorted(),
    );
  }
});

Deno.test("readdir gives its descriptor back, whatever happens", () => {
  using work = openFolder();
  const file = open("file", "append", 0o644, work.fd);
  const next = () => {
    const fd = open("/dev/null", "read");
    close(fd);
    return fd;
  };
  const before = next();
  readdir(work.fd);
  fails("ENOTDIR", () => readdir(file));
  fails("EBADF", () => readdir(999));
  assertEquals(next(), before);
  close(file);
});

Deno.test("a directory that was removed has no entries", () => {
  using work = openFolder();
  mkdir("gone", 0o700, work.fd);
  const gone = open("gone", "read", 0, work.fd);
  Deno.removeSync(`${work.path}/gone`);
  assertEquals(readdir(gone), []);
  close(gone);
});

testWith(
  ["strace"],
  "readdir throws when a directory can't be read",
  async () => {
    using work = folder();
    const code = `
    const directory = files.open(${JSON.stringify(work.path)}, "read");
    try { console.log(files.readdir(directory)); }
    catch (error) { console.log(error.code, error.message); }
    console.log(files.open("/dev/null", "read") - directory);`;
    const { text, stderr } = await run([
      ...["strace", "-f", "-qq", "-P", work.path, "-e", "trace=getdents64"],
      ...["-e", "inject=getdents64:error=EIO"],
      ...denoCommand(code),
    ]);
    assertEquals(text, "EIO input/output error\n1\n", stderr);
  },
);

Deno.test("a temporary file has no name and isn't inherited", () => {
  using work = openFolder();
  const fd = tmpfile(work.path);
  assertEquals(readdir(work.fd).toSorted(), [".", ".."]);
  assert(!isInherited(fd));
  write(fd, bytes("text"));
  seek(fd, 0);
  assertEquals(contents(fd), "text");
  assertEquals(stat("", fd)!.mode & 0o777, 0o600);
  const other = tmpfile(fromLatin1(work.path));
  assert(other !== fd && stat("", other)!.size === 0);
  close(fd);
  close(other);
  fails("ENOENT", () => tmpfile(`${work.path}/none`));
});

testWith(["root", "mount", "umount"], "a full disk is told", async () => {
  using work = folder();
  const size = ["-t", "tmpfs", "-o", "size=64k"];
  const mounted = await run(["mount", ...size, "none", work.path]);
  assertEquals(mounted.code, 0, mounted.stderr);
  try {
    const fd = open(`${work.path}/file`, "append");
    const much = new Uint8Array(100_000);
    const fitted = write(fd, much);
    assert(fitted > 0 && fitted <= 65536);
    let n;
    while ((n = write(fd, much)) > 0);
    const error = new SysError(-n);
    assertEquals(error.code, "ENOSPC");
    assertEquals(error.message, "no space left on device");
    fsync(fd);
    unlink(`${work.path}/file`);
    // A file that is still open keeps its room.
    assertEquals(write(fd, much), n);
    close(fd);
    const again = open(`${work.path}/file`, "append");
    assertEquals(write(again, new Uint8Array(1000)), 1000);
    close(again);
  } finally {
    await run(["umount", work.path]);
  }
});

testWith(["sh"], "an output that may have been closed is known", async () => {
  // In a program of its own, whose runtime opens what is closed.
  const ask = denoCommand("console.error(files.mayHaveBeenClosed(1));");
  const redirections = [">&-", "1<>/dev/null", ">/dev/null", "| cat"];
  const found = await Promise.all(redirections.map(async (redirection) => {
    const script = `"$@" ${redirection}`;
    return (await run(["sh", "-c", script, "sh", ...ask])).stderr.trim();
  }));
  assertEquals(found, ["true", "true", "false", "false"]);
});

Deno.test("names of all lengths, one after the other", () => {
  using work = openFolder();
  const longest = `${"a/".repeat(5)}${"é".repeat(120)}`;
  Deno.mkdirSync(`${work.path}/a/a/a/a/a`, { recursive: true });
  for (const name of [longest, "b", "c".repeat(255), "d"]) {
    close(open(name, "append", 0o644, work.fd));
    // As bytes, the name is the same.
    assert(stat(new TextEncoder().encode(name), work.fd)?.isFile, name);
  }
  rename("c".repeat(255), "e", work.fd);
  rename("b", "c".repeat(254), work.fd);
  assertEquals(
    readdir(work.fd).filter((name) => !name.startsWith(".")).sort(),
    ["a", "c".repeat(254), "d", "e"],
  );
  // A path of 4095 bytes is the longest that there is.
  const slashes = (n: number) => `${"/".repeat(n - 1)}d`;
  for (const n of [1364, 1365, 1366, 4094]) {
    assert(stat(`.${slashes(n)}`, work.fd)?.isFile, `${n}`);
  }
  fails("ENAMETOOLONG", () => stat(`.${slashes(4095)}`, work.fd));
  assertThrows(() => stat(Uint8Array.of(0x64, 0), work.fd), TypeError);
});

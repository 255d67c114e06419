import {
  assert,
  assertEquals,
  assertGreaterOrEqual,
  assertThrows,
} from "@std/assert";
import {
  close,
  dup,
  dup2,
  EAGAIN,
  fchmod,
  flock,
  fsync,
  fsyncDirectory,
  isInherited,
  isOpen,
  isSeekable,
  isTerminal,
  pipe,
  read,
  roomInPipe,
  seek,
  setCloseOnExec,
  setNonblocking,
  setPipeSize,
  write,
} from "../../src/sys/descriptors.ts";
import { errorNumber, SysError } from "../../src/sys/errors.ts";
import { open, openDirectory } from "../../src/sys/files.ts";
import {
  bytes,
  chosenSeed,
  folder,
  latin1,
  run,
  seeded,
  testWith,
} from "../tools.ts";
import { denoCommand, shell } from "./_programs.ts";

const EBADF = -errorNumber("EBADF");
/** A number that nothing has. */
const NOWHERE = 999;

function fails(code: string, what: () => unknown): void {
  assertEquals(assertThrows(what, SysError).code, code);
}

Deno.test("read and write move bytes through a pipe", () => {
  const { reader, writer } = pipe();
  assertEquals(write(writer, bytes("one two")), 7);
  const buffer = new Uint8Array(3);
  assertEquals(read(reader, buffer), 3);
  assertEquals(latin1(buffer), "one");
  assertEquals(read(reader, new Uint8Array(100)), 4);
  assertEquals(write(writer, new Uint8Array(0)), 0);
  close(writer);
  assertEquals(read(reader, buffer), 0);
  close(reader);
});

Deno.test("read and write return minus the number of the error", () => {
  const buffer = new Uint8Array(1);
  const { reader, writer } = pipe();
  assertEquals(read(NOWHERE, buffer), EBADF);
  assertEquals(write(NOWHERE, buffer), EBADF);
  assertEquals(read(writer, buffer), EBADF);
  assertEquals(write(reader, buffer), EBADF);
  setNonblocking(reader, true);
  assertEquals(read(reader, buffer), -EAGAIN);
  close(reader);
  assertEquals(write(writer, buffer), -errorNumber("EPIPE"));
  close(writer);
  const full = open("/dev/full", "append");
  assertEquals(write(full, buffer), -errorNumber("ENOSPC"));
  close(full);
});

Deno.test("write to a pipe that is full takes what fits, then nothing", () => {
  const { reader, writer } = pipe();
  setNonblocking(writer, true);
  const much = new Uint8Array(1 << 20);
  const taken = write(writer, much);
  assert(taken > 0 && taken < much.length);
  assertEquals(write(writer, much), -EAGAIN);
  close(reader);
  close(writer);
});

testWith(["strace"], "an interrupted call is made again", async () => {
  using work = folder();
  const file = `${work.path}/file`;
  Deno.writeTextFileSync(file, "text");
  const inject = (call: string) => ["-e", `inject=${call}:error=EINTR:when=1`];
  const code = `
    const from = files.open(${JSON.stringify(file)}, "read");
    const to = files.open(${JSON.stringify(file)}, "append");
    const n = descriptors.read(from, new Uint8Array(10));
    console.log(n, descriptors.write(to, new Uint8Array(3)));`;
  const { text, stderr } = await run([
    ...["strace", "-f", "-qq", "-P", file, "-e", "trace=read,write"],
    ...inject("read"),
    ...inject("write"),
    ...denoCommand(code),
  ]);
  assertEquals(text, "4 3\n", stderr);
  assertEquals(stderr.match(/EINTR .*INJECTED/g)?.length, 2, stderr);
});

testWith(
  ["strace"],
  "a call whose error number is another's is made again, once",
  async () => {
    using work = folder();
    const file = `${work.path}/file`;
    Deno.writeTextFileSync(file, "text");
    const code = `
    const fd = files.open(${JSON.stringify(file)}, "read");
    console.log(descriptors.read(fd, new Uint8Array(10)),
      descriptors.read(fd, new Uint8Array(10)));`;
    const { text, stderr } = await run([
      ...["strace", "-f", "-qq", "-P", file, "-e", "trace=read"],
      ...["-e", "inject=read:error=ENOENT:when=1..3+2"],
      ...denoCommand(code),
    ]);
    // The first and the third fail.
    assertEquals(text, `4 ${-errorNumber("ENOENT")}\n`, stderr);
  },
);

testWith(["strace"], "a write that takes nothing is an error", async () => {
  using work = folder();
  const file = `${work.path}/file`;
  const code = `
    const fd = files.open(${JSON.stringify(file)}, "append");
    console.log(descriptors.write(fd, new Uint8Array(3)),
      descriptors.write(fd, new Uint8Array(0)));`;
  const { text, stderr } = await run([
    ...["timeout", "20", "strace", "-f", "-qq", "-P", file],
    ...["-e", "trace=write", "-e", "inject=write:retval=0"],
    ...denoCommand(code),
  ]);
  assertEquals(text, `${-errorNumber("EIO")} 0\n`, stderr);
});

Deno.test("dup makes a second number for the same open file", async () => {
  using work = folder();
  const fd = open(`${work.path}/file`, "append");
  const second = dup(fd, 100);
  assertGreaterOrEqual(second, 100);
  write(fd, bytes("12345"));
  assertEquals(seek(second, 0, "here"), 5);
  const { output } = await shell("ls /proc/$$/fd; :");
  assert(!output.split("\n").includes(String(second)));
  close(fd);
  assert(isOpen(second));
  close(second);
  assert(!isOpen(second));
  fails("EBADF", () => dup(NOWHERE));
});

Deno.test("dup2 puts an open file at a number and closes what was there", () => {
  const one = pipe();
  const two = pipe();
  dup2(one.writer, two.writer);
  assertEquals(read(two.reader, new Uint8Array(1)), 0);
  write(two.writer, bytes("x"));
  assertEquals(read(one.reader, new Uint8Array(9)), 1);
  assert(isInherited(two.writer));
  fails("EBADF", () => dup2(NOWHERE, two.reader));
  assert(isOpen(two.reader));
  for (const fd of [...Object.values(one), ...Object.values(two)]) close(fd);
});

Deno.test("fsyncDirectory does without where the file system can't", () => {
  using at = folder();
  const can = openDirectory(at.path);
  const cannot = openDirectory("/proc/self");
  fsyncDirectory(can);
  fsyncDirectory(cannot);
  fails("EINVAL", () => fsync(cannot));
  fails("EBADF", () => fsyncDirectory(NOWHERE));
  close(can);
  close(cannot);
});

Deno.test("fsync syncs a file, and throws when it can't", () => {
  using work = folder();
  const fd = open(`${work.path}/file`, "append");
  fsync(fd);
  close(fd);
  fails("EBADF", () => fsync(NOWHERE));
  const { reader, writer } = pipe();
  fails("EINVAL", () => fsync(writer));
  close(reader);
  close(writer);
});

Deno.test("fchmod sets exactly the permission bits", () => {
  using work = folder();
  const fd = open(`${work.path}/file`, "append");
  for (const mode of [0o744, 0o600, 0o777, 0]) {
    fchmod(fd, mode);
    assertEquals(Deno.statSync(`${work.path}/file`).mode! & 0o7777, mode);
  }
  close(fd);
  fails("EBADF", () => fchmod(NOWHERE, 0o644));
});

Deno.test("flock is exclusive, doesn't wait, and goes with the descriptor", () => {
  using work = folder();
  const [one, two] = [0, 0].map(() => open(`${work.path}/lock`, "append"));
  flock(one!);
  flock(one!);
  fails("EAGAIN", () => flock(two!));
  close(one!);
  flock(two!);
  close(two!);
  fails("EBADF", () => flock(NOWHERE));
});

testWith(
  ["flock"],
  "flock(2) here and flock(1) keep each other out",
  async () => {
    using work = folder();
    const name = `${work.path}/lock`;
    const fd = open(name, "append");
    flock(fd);
    assertEquals((await run(["flock", "-n", name, "true"])).code, 1);
    close(fd);
    // The other one holds it for as long as its input is open.
    const holder = new Deno.Command("flock", {
      args: [name, "sh", "-c", "echo; read line"],
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    const held = holder.stdout.getReader();
    await held.read();
    const again = open(name, "append");
    fails("EAGAIN", () => flock(again));
    await holder.stdin.close();
    await held.cancel();
    await holder.status;
    flock(again);
    close(again);
  },
);

testWith(["multilog"], "flock keeps the original out", async () => {
  using work = folder();
  Deno.mkdirSync(`${work.path}/log`);
  const fd = open(`${work.path}/log/lock`, "append", 0o600);
  flock(fd);
  const { code, stderr } = await run(["multilog", "./log"], {
    cwd: work.path,
    stdin: "",
  });
  assertEquals(code, 111);
  const words = "multilog: fatal: unable to lock directory ./log: ";
  assertEquals(stderr.slice(0, words.length), words);
  close(fd);
});

Deno.test("seek goes beyond 4 GiB", () => {
  using work = folder();
  const name = `${work.path}/file`;
  Deno.writeTextFileSync(name, "");
  const far = 5 * 2 ** 30 + 7;
  Deno.truncateSync(name, far);
  const fd = open(name, "read");
  assertEquals(seek(fd, far - 2), far - 2);
  assertEquals(seek(fd, -5, "here"), far - 7);
  assertEquals(read(fd, new Uint8Array(10)), 7);
  assertEquals(seek(fd, 0), 0);
  fails("EINVAL", () => seek(fd, -1));
  close(fd);
  const { reader, writer } = pipe();
  fails("ESPIPE", () => seek(reader, 0));
  close(reader);
  close(writer);
});

Deno.test("pipe, open and dup make what others don't inherit", async () => {
  const { reader, writer } = pipe();
  const file = open("/dev/null", "read");
  const made = [reader, writer, file, dup(file)];
  const { output } = await shell("ls /proc/$$/fd; :");
  const theirs = output.split("\n").map(Number);
  for (const fd of made) {
    assert(fd > 2 && !theirs.includes(fd));
    assert(isOpen(fd) && !isInherited(fd));
    close(fd);
  }
});

Deno.test("setCloseOnExec keeps a descriptor from other programs", async () => {
  const { reader, writer } = pipe();
  dup2(writer, 200);
  assert(isInherited(200));
  const list = async () =>
    (await shell("ls /proc/$$/fd; :")).output.split("\n").includes("200");
  assert(await list());
  setCloseOnExec(200);
  assert(!isInherited(200));
  assert(!await list());
  for (const fd of [reader, writer, 200]) close(fd);
  assert(!isInherited(200));
  fails("EBADF", () => setCloseOnExec(200));
});

Deno.test("setNonblocking adds its flag and leaves the others", () => {
  using work = folder();
  const fd = open(`${work.path}/file`, "append");
  const flags = () =>
    parseInt(
      /flags:\s+(\d+)/.exec(Deno.readTextFileSync(`/proc/self/fdinfo/${fd}`))![
        1
      ]!,
      8,
    );
  const before = flags();
  setNonblocking(fd, true);
  assertEquals(flags(), before | 0o4000);
  close(fd);
  const { reader, writer } = pipe();
  setNonblocking(reader, true);
  assertEquals(read(reader, new Uint8Array(1)), -EAGAIN);
  close(reader);
  close(writer);
  fails("EBADF", () => setNonblocking(NOWHERE, true));
});

Deno.test("setPipeSize makes room in a pipe, and leaves all else alone", () => {
  const { reader, writer } = pipe();
  setNonblocking(writer, true);
  setPipeSize(writer, 1 << 18);
  assertEquals(write(writer, new Uint8Array(1 << 20)), 1 << 18);
  close(reader);
  close(writer);
  setPipeSize(writer, 1 << 18);
});

Deno.test("a file is seekable, a pipe isn't", () => {
  using work = folder();
  const fd = open(`${work.path}/file`, "append");
  const { reader, writer } = pipe();
  assertEquals([fd, reader, writer, NOWHERE].map(isSeekable), [
    true,
    false,
    false,
    false,
  ]);
  for (const one of [fd, reader, writer]) close(one);
});

Deno.test("isTerminal knows a terminal", () => {
  const terminal = open("/dev/ptmx", "read");
  const { reader, writer } = pipe();
  assert(isTerminal(terminal));
  assert(!isTerminal(reader));
  for (const fd of [terminal, reader, writer]) close(fd);
  assert(!isTerminal(reader));
});

Deno.test("a process without free descriptors gets an error, and loses none", async () => {
  const code = `
    const tell = (what) => {
      try { what(); console.log("no error"); }
      catch (error) { console.log(error.code, error.message); }
    };
    const { reader, writer } = descriptors.pipe();
    const root = files.open("/", "read");
    const env = environment.environ();
    const fill = () => {
      let last;
      try { while (true) last = files.open("/dev/null", "read"); } catch {}
      return last;
    };
    let last = fill();
    tell(() => files.open("/dev/null", "read"));
    tell(() => descriptors.dup(0));
    tell(() => files.readdir(root));
    // With one left, what needs two must give the first back.
    descriptors.close(last);
    tell(() => descriptors.pipe());
    tell(() => process.spawn({
      args: ["true"], env, fds: new Map([[0, reader], [1, writer]]),
    }));
    console.log(files.open("/dev/null", "read") === last);`;
  const { text, stderr } = await run(
    ["sh", "-c", 'ulimit -n 60; exec "$@"', "sh", ...denoCommand(code)],
  );
  const told = "EMFILE process cannot open more files\n";
  assertEquals(text, `${told.repeat(5)}true\n`, stderr);
});

Deno.test("roomInPipe: so many bytes are taken whole, or none", () => {
  const seed = chosenSeed();
  console.log(`seed ${seed}`);
  const random = seeded(seed);
  for (const size of [65536, 262144]) {
    const { reader, writer } = pipe();
    setNonblocking(writer, true);
    setNonblocking(reader, true);
    setPipeSize(writer, size);
    let whole = 0;
    for (let i = 0; i < 5000; i++) {
      const room = roomInPipe(writer);
      // As a server does: whole lines, a little less than there is room for.
      const length = Math.max(room - Math.floor(random() * 3000), 1);
      const n = write(writer, new Uint8Array(length));
      assert(n === length || n === -EAGAIN, `${n} of ${length}`);
      if (n > 4096) whole++;
      if (random() < 0.3) {
        write(writer, new Uint8Array(1 + Math.floor(random() * 4096)));
      }
      read(reader, new Uint8Array(1 + Math.floor(random() ** 3 * size)));
    }
    assert(whole > 0);
    close(reader);
    close(writer);
  }
});

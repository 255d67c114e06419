import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  close,
  dup2,
  isInherited,
  pipe,
  read,
} from "../../src/sys/descriptors.ts";
import { environ } from "../../src/sys/environment.ts";
import { SysError } from "../../src/sys/errors.ts";
import { open } from "../../src/sys/files.ts";
import { Poller } from "../../src/sys/poll.ts";
import { kill, spawn, waitFor } from "../../src/sys/process.ts";
import { isIgnored, signalName, signals } from "../../src/sys/signals.ts";
import { fromLatin1 } from "../../src/bytes.ts";
import { bytes, folder, installed, run, seeded, until } from "../tools.ts";
import { denoCommand, output, shell } from "./_programs.ts";

const env = environ();

/** Starts a shell whose standard output nobody needs. */
function start(script: string): number {
  return spawn({ args: ["sh", "-c", script], env });
}

function processStatus(pid: number, field: string): string {
  const text = Deno.readTextFileSync(`/proc/${pid}/status`);
  return new RegExp(`^${field}:\\s*(.*)$`, "m").exec(text)![1]!;
}

/**
 * What whoever started the tests has them ignore, as a shell's `&` does: it
 * stays ignored. SIGPIPE is the runtime's doing.
 */
const INHERITED = (() => {
  const status = Deno.readTextFileSync("/proc/self/status");
  const [, mask] = /^SigIgn:\s+([0-9a-f]{16})$/m.exec(status)!;
  return BigInt(`0x${mask}`) & 0x7fffffffn & ~(1n << 12n);
})();

/** Asserts that three masks are empty: signals blocked, ignored, caught. */
function assertNoSignals(status: string): void {
  const masks = [
    ...status.matchAll(/^Sig(?:Blk|Ign|Cgt):\s+([0-9a-f]{16})$/gm),
  ];
  assertEquals(masks.length, 3, status);
  // 32 and 33 are the C library's own: its `posix_spawn` ignores them.
  const own = 3n << 31n | INHERITED;
  for (const [, mask] of masks) {
    assertEquals(BigInt(`0x${mask}`) & ~own, 0n, status);
  }
}

Deno.test("waitFor tells exit codes and signals", async () => {
  for (const code of [0, 1, 100, 111, 255]) {
    assertEquals(await waitFor(start(`exit ${code}`)), { code });
  }
  for (const signal of [1, 9, 14, 15]) {
    assertEquals(await waitFor(start(`kill -${signal} $$`)), { signal });
  }
});

Deno.test("waitFor returns the exit code of a program that ended long before", async () => {
  const { reader, writer } = pipe();
  const pid = spawn({ args: ["true"], env, fds: new Map([[9, writer]]) });
  close(writer);
  assertEquals(read(reader, new Uint8Array(1)), 0);
  close(reader);
  assertEquals(await waitFor(pid), { code: 0 });
});

Deno.test("waitFor doesn't take a stopped program for an ended one", async () => {
  const pid = start("kill -STOP $$; exit 3");
  const ending = waitFor(pid);
  await until("it stands still", () => processStatus(pid, "State")[0] === "T");
  Deno.kill(pid, "SIGCONT");
  assertEquals(await ending, { code: 3 });
});

Deno.test("waitFor refuses what is no child, or has been waited for", async () => {
  const pid = start("exit 0");
  const [first, second] = [waitFor(pid), waitFor(pid)];
  assertEquals(await first, { code: 0 });
  const error = await assertRejects(() => second, SysError);
  assertEquals(error.code, "ECHILD");
  await assertRejects(() => waitFor(1), SysError, "no child processes");
});

Deno.test("many programs at once leave the main loop its thread", async () => {
  const { reader, writer } = pipe();
  const gate = spawn({ args: ["cat"], env, fds: new Map([[0, reader]]) });
  const programs = Array.from({ length: 40 }, () => {
    return spawn({ args: ["cat"], env, fds: new Map([[0, reader]]) });
  });
  close(reader);
  const endings = [gate, ...programs].map(waitFor);
  await new Poller(1).wait(1);
  close(writer);
  for (const ending of await Promise.all(endings)) {
    assertEquals(ending, { code: 0 });
  }
});

Deno.test("spawn finds a program in $PATH, or throws ENOENT", async () => {
  assertEquals((await output({ args: ["echo", "a b", ""] })).output, "a b \n");
  const missing = assertThrows(
    () => spawn({ args: ["no-such-program"], env }),
    SysError,
    "file does not exist",
  );
  assertEquals(missing.code, "ENOENT");
  assertThrows(() => spawn({ args: [], env }), SysError);
  assertThrows(() => spawn({ args: ["a\0b"], env }), TypeError);
  assertThrows(() => spawn({ args: ["/"], env }), SysError);
});

Deno.test("spawn runs file, and gives it args[0] as its name", async () => {
  const { output: text } = await output({
    args: ["other", "-c", 'echo "$0"'],
    file: installed("sh")!,
  });
  assertEquals(text, "other\n");
});

Deno.test("arguments and environment are bytes, and no others are given", async () => {
  using work = folder();
  const odd = "\xff\xfe=\x80";
  Deno.writeTextFileSync(`${work.path}/out`, "");
  const fd = open(`${work.path}/out`, "append");
  const path = `PATH=${Deno.env.get("PATH")}`;
  const { output: text } = await output({
    args: ["sh", "-c", "printf '%s\n' \"$1\"; env", "sh", fromLatin1(odd)],
    env: [path, fromLatin1(`ODD=${odd}`), "EMPTY="],
  });
  close(fd);
  const lines = text.split("\n");
  assertEquals(lines[0], odd);
  assertEquals(lines.includes(`ODD=${odd}`), true);
  // A shell adds PWD and the like, nothing of ours.
  const names = lines.slice(1).map((line) => line.split("=")[0]);
  const shells = ["PATH", "ODD", "EMPTY", "PWD", "OLDPWD", "SHLVL", "_", ""];
  assertEquals(names.filter((name) => !shells.includes(name!)), []);
  assert(names.includes("EMPTY"));
});

Deno.test("large arguments and environments arrive whole", async () => {
  const word = "x".repeat(100_000);
  const { output: text } = await output({
    args: ["sh", "-c", 'echo "${#1} ${#LARGE}"', "sh", word],
    env: [...env, `LARGE=${word}`],
  });
  assertEquals(text, "100000 100000\n");
  const error = assertThrows(
    () => spawn({ args: ["true", word + word], env }),
    SysError,
  );
  assertEquals(error.code, "E2BIG");
});

Deno.test("a program gets the descriptors it is given, and ours that it may", async () => {
  const { reader, writer } = pipe();
  // `ls` looks at the shell, so it doesn't see itself looking.
  const { output: text } = await shell("ls /proc/$$/fd; :", {
    fds: new Map([[4, reader], [5, writer]]),
  });
  close(reader);
  close(writer);
  const inherited = [...Deno.readDirSync("/proc/self/fd")]
    .map(({ name }) => Number(name))
    .filter(isInherited);
  const expected = new Set([...inherited, 1, 4, 5]);
  assertEquals(
    text.trim().split("\n").map(Number).sort((a, b) => a - b),
    [...expected].sort((a, b) => a - b),
  );
});

Deno.test("descriptors keep apart when sources are targets too", async () => {
  using work = folder();
  const random = seeded(7);
  const places = [200, 201, 202, 203, 204];
  for (const fd of places) {
    const file = open(`${work.path}/${fd}`, "append");
    dup2(file, fd);
    close(file);
  }
  const maps = [
    [[200, 201], [201, 200]], // a swap
    [[201, 200], [200, 201]],
    [[200, 201], [201, 202], [202, 200]],
    [[200, 200]],
    [[200, 204], [201, 204], [204, 200]],
    [[205, 200], [200, 204], [204, 205 - 4]],
  ];
  for (let i = 0; i < 10; i++) {
    maps.push(places.map((fd) => [fd, places[Math.floor(random() * 5)]!]));
  }
  for (const map of maps) {
    const targets = map.map(([theirs]) => theirs!);
    const { output: text } = await shell(
      `readlink ${targets.map((fd) => `/proc/$$/fd/${fd}`).join(" ")}; :`,
      { fds: new Map(map as [number, number][]) },
    );
    const names = text.trim().split("\n").map((name) => name.split("/").at(-1));
    assertEquals(names, map.map(([, ours]) => String(ours)), String(map));
  }
  for (const fd of places) close(fd);
});

Deno.test("standard input and output change places", async () => {
  using work = folder();
  // In a pipeline, so that the shell's own descriptors stay as they are.
  const script = "readlink /proc/$$/fd/0 /proc/$$/fd/1 | cat >&2";
  const code = `
    const args = ["sh", "-c", ${JSON.stringify(script)}];
    const fds = new Map([[0, 1], [1, 0]]);
    const env = environment.environ();
    await process.waitFor(process.spawn({ args, env, fds }));`;
  Deno.writeTextFileSync(`${work.path}/in`, "");
  const { stderr } = await run(
    ["sh", "-c", 'exec "$@" <in >out', "sh", ...denoCommand(code)],
    { cwd: work.path },
  );
  const names = stderr.trim().split("\n").map((name) => name.split("/").at(-1));
  assertEquals(names, ["out", "in"]);
});

Deno.test("without takes descriptors away, given ones or inherited ones", async () => {
  const { reader, writer } = pipe();
  dup2(reader, 200);
  const open = async (without: number[]) => {
    const { output: text } = await shell("ls /proc/$$/fd; :", {
      fds: new Map([[201, writer]]),
      without,
    });
    return text.trim().split("\n").map(Number).filter((fd) => fd >= 200);
  };
  const here = (await open([])).filter((fd) => fd > 201);
  assertEquals(await open([]), [200, 201, ...here]);
  assertEquals(await open([200]), [201, ...here]);
  assertEquals(await open([200, 201, 999]), here);
  for (const fd of [reader, writer, 200]) close(fd);
});

Deno.test("a program starts in the directory that is open", async () => {
  using work = folder();
  Deno.mkdirSync(`${work.path}/one`);
  const directory = open(`${work.path}/one`, "read");
  Deno.renameSync(`${work.path}/one`, `${work.path}/two`);
  const { output: text } = await shell("/bin/pwd", { directory });
  assert(text.endsWith("/two\n"));
  // The number of the directory can be the target of something else.
  dup2(directory, 200);
  const { reader, writer } = pipe();
  const { output: again } = await shell("/bin/pwd", {
    directory: 200,
    fds: new Map([[200, reader]]),
  });
  assert(again.endsWith("/two\n"));
  for (const fd of [directory, reader, writer, 200]) close(fd);
  assertThrows(
    () => spawn({ args: ["true"], env, directory: 999 }),
    SysError,
    "file descriptor not open",
  );
});

Deno.test("session makes a session and a group of its own", async () => {
  const ids = "read pid name state ppid pgrp session rest </proc/$$/stat;" +
    'echo "$pid $pgrp $session"';
  const [pid, group, session] = (await shell(ids, { session: true })).output
    .trim().split(" ");
  assertEquals([group, session], [pid, pid]);
  const [other, ...shared] = (await shell(ids)).output.trim().split(" ");
  const own = Deno.readTextFileSync("/proc/self/stat").split(" ");
  assertEquals(shared, [own[4]!, own[5]!]);
  assert(other !== shared[0]);
});

Deno.test("signals are at their defaults, none blocked", async () => {
  // The runtime ignores SIGPIPE, and the handler here isn't the program's.
  assert(isIgnored(13));
  const handler = () => {};
  Deno.addSignalListener("SIGTERM", handler);
  // Not a shell's: that has handlers of its own.
  const masks = await output({ args: ["cat", "/proc/self/status"] });
  Deno.removeSignalListener("SIGTERM", handler);
  assertNoSignals(masks.output);
  const pipeline = spawn({
    args: ["sh", "-c", "while echo; do :; done"],
    env,
    fds: (() => {
      const { reader, writer } = pipe();
      close(reader);
      dup2(writer, 200);
      close(writer);
      return new Map([[1, 200]]);
    })(),
  });
  close(200);
  assertEquals(await waitFor(pipeline), { signal: 13 });
});

Deno.test("a signal that was ignored at the start stays ignored in programs", async () => {
  const code = `
    const pid = process.spawn({
      args: ["grep", "SigIgn", "/proc/self/status"],
      env: environment.environ(),
    });
    await process.waitFor(pid);
  `;
  const { text } = await run(
    ["sh", "-c", 'trap "" HUP; exec "$@"', "sh", ...denoCommand(code)],
  );
  // glibc has two signals of its own above these.
  const ignored = BigInt(`0x${text.split("\t")[1]!.trim()}`) & 0x7fffffffn;
  assertEquals(ignored, INHERITED | 1n);
});

Deno.test("waitFor works where SIGCHLD was ignored at the start", async () => {
  const inner = `
    console.log(signals.isIgnored(17));
    const pid = process.spawn({
      args: ["sh", "-c", "exit 7"], env: environment.environ(),
    });
    // Only when it has ended, or is quite gone.
    try {
      const stat = "/proc/" + pid + "/stat";
      while (!Deno.readTextFileSync(stat).includes(") Z ")) continue;
    } catch {}
    console.log((await process.waitFor(pid)).code);`;
  // A shell wouldn't let a program ignore it.
  const { text, stderr } = await run(
    ["env", "--ignore-signal=CHLD", ...denoCommand(inner)],
  );
  assertEquals(text, "true\n7\n", stderr);
});

Deno.test("kill reaches a process, a group, or nobody", async () => {
  const args = ["sh", "-c", "sleep 100 & echo; wait"];
  const { reader, writer } = pipe();
  const pid = spawn({ args, env, session: true, fds: new Map([[1, writer]]) });
  close(writer);
  const buffer = new Uint8Array(9);
  assertEquals(read(reader, buffer), 1);
  assert(kill(pid, 0));
  assert(kill(-pid, signals.SIGTERM));
  assertEquals(await waitFor(pid), { signal: 15 });
  // Its sleep had the pipe too.
  assertEquals(read(reader, buffer), 0);
  close(reader);
  assert(!kill(pid, 0));
});

Deno.test("the names and numbers of the signals are this machine's", async () => {
  for (const [name, signal] of Object.entries(signals)) {
    const { output: text } = await shell(`kill -l ${signal}`);
    assertEquals(`SIG${text}`, `${name}\n`);
    assertEquals(signalName(signal), name);
  }
});

Deno.test("exec replaces this program, descriptors and pid kept", async () => {
  const script = "cat; echo $$; echo err >&2; ls /proc/$$/fd; exit 9";
  const code = `
    console.log(Deno.pid);
    descriptors.pipe();
    process.exec(
      ["sh", "-c", ${JSON.stringify(script)}],
      ["PATH=" + Deno.env.get("PATH"), "ONLY=this"],
    );`;
  const result = await run(denoCommand(code), { stdin: "input\n" });
  const [pid, input, same, ...list] = result.text.trim().split("\n");
  assertEquals([input, same, result.stderr], ["input", pid!, "err\n"]);
  const numbers = list.map(Number).sort((a, b) => a - b);
  const inherited = [...Deno.readDirSync("/proc/self/fd")]
    .map(({ name }) => Number(name))
    .filter(isInherited);
  assertEquals(numbers.filter((fd) => fd > 2 && !inherited.includes(fd)), []);
  assertEquals(numbers.slice(0, 3), [0, 1, 2]);
  assertEquals(result.code, 9);
});

Deno.test("exec leaves no signal ignored or handled", async () => {
  const code = `
    Deno.addSignalListener("SIGTERM", () => {});
    process.exec(["cat", "/proc/self/status"], environment.environ());`;
  assertNoSignals((await run(denoCommand(code))).text);
});

Deno.test("exec throws when it can't run the program", async () => {
  // Not in this process: its SIGPIPE would stay at the default.
  const code = `
    try { process.exec(["no-such-program"], []); }
    catch (error) { console.log(error.code, error.message); }`;
  const { text } = await run(denoCommand(code));
  assertEquals(text, "ENOENT file does not exist\n");
});

Deno.test("a program ends by itself when main has ended", async () => {
  const code = `
    const poller = new poll.Poller(1);
    const pid = process.spawn({ args: ["true"], env: [] });
    process.waitFor(pid).then(() => poller.wake());
    await poller.wait();
    await poll.yieldToEventLoop();
    console.log("end");`;
  const { text, code: exit } = await run(denoCommand(code), {
    stdin: bytes(""),
  });
  assertEquals([text, exit], ["end\n", 0]);
});

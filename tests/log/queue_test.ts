/**
 * The files that wait for a processor, with real processors, signals and ends.
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { LogDirectory } from "../../src/log/log_directory.ts";
import type { Processor } from "../../src/log/processor.ts";
import { Retrier } from "../../src/log/retrier.ts";
import { close, dup, read, write } from "../../src/sys/descriptors.ts";
import { bytes, folder, latin1, ours, run } from "../tools.ts";
import { inTime, until } from "../waiting.ts";
import {
  drain,
  finished,
  look,
  makeFifo,
  mode,
  oldFiles,
  start,
  text,
  waitFor,
  waiting,
} from "../multilog/harness.ts";

/** What fills a file of the smallest size. */
function file(n: number): string {
  return `${n} `.padEnd(3000, "x") + "\n";
}

function files(from: number, to: number): string {
  let all = "";
  for (let n = from; n < to; n++) all += file(n);
  return all;
}

Deno.test("queue: files wait in their order while a processor hangs, and the service doesn't", async () => {
  using at = folder();
  const path = `${at.path}/log`;
  await using log = await start(
    ["s4096", "n8", `!tee -a ../all; ${waitFor("go")}`, "./log"],
    { cwd: at.path },
  );
  await log.write(files(0, 7) + "end\n");
  await until("all wait, and are on the disk", () => {
    return text(`${path}/current`) === "end\n" &&
      oldFiles(path).every((name) => mode(`${path}/${name}`) === "744");
  });
  const names = oldFiles(path);
  assertEquals(names.length, 7);
  for (const [n, name] of names.entries()) {
    assertEquals(text(`${path}/${name}`), file(n));
    assertEquals(name.slice(25), ".u");
  }
  Deno.writeTextFileSync(`${at.path}/go`, "");
  assertEquals(await log.finish(), 0);
  assertEquals(text(`${at.path}/all`), files(0, 7));
  // Each has its own time, so that names sort as lines were written.
  assertEquals(finished(path), names.map((name) => name.replace(/u$/, "s")));
  assertEquals(log.said, "");
});

Deno.test("queue: when there is no room for another waiting file, the service waits, and no more is read", async () => {
  using at = folder();
  using fifo = await makeFifo(`${at.path}/fifo`);
  const path = `${at.path}/log`;
  await using log = await start(
    ["s4096", "n4", `!tee -a ../all; ${waitFor("go")}`, "./log"],
    { cwd: at.path, fifo: "fifo" },
  );
  fifo.writeSync(bytes(files(0, 8)));
  await until("all wait", () => {
    return waiting(path).length === 3 && text(`${path}/current`) === file(3);
  });
  await new Promise((resolve) => setTimeout(resolve, 200));
  log.signal("SIGKILL");
  // The processor, which it leaves behind, ends too.
  Deno.writeTextFileSync(`${at.path}/go`, "");
  await log.code();
  assertEquals(waiting(path).length, 3);
  assertEquals(drain(fifo), files(4, 8));
});

Deno.test("queue: with d the oldest waiting file is removed, with a warning that says its size, but never the one that is being processed", async () => {
  using at = folder();
  const path = `${at.path}/log`;
  await using log = await start(
    ["s4096", "n4", "d", `!tee -a ../all; ${waitFor("go")}`, "./log"],
    { cwd: at.path },
  );
  await log.write(file(0));
  await until("a processor", () => text(`${at.path}/all`) === file(0));
  await log.write(files(1, 6));
  await until("all is written", () => {
    const [, , last] = waiting(path);
    return last !== undefined && text(`${path}/${last}`) === file(5);
  });
  assertEquals(
    waiting(path).map((name) => text(`${path}/${name}`)),
    [file(0), file(4), file(5)],
  );
  Deno.writeTextFileSync(`${at.path}/go`, "");
  assertEquals(await log.finish(), 0);
  assertEquals(text(`${at.path}/all`), file(0) + file(4) + file(5));
  const lines = log.said.split("\n").slice(0, -1);
  assertEquals(lines.length, 3);
  for (const line of lines) {
    assertMatch(
      line,
      /^multilog: warning: too many files wait in \.\/log, removed unsent: @[0-9a-f]{24}\.u, 3001 bytes$/,
    );
  }
});

for (
  const [what, processor] of [
    ["hangs", "exec sleep 1000"],
    ["ignores TERM", "trap '' TERM; while :; do sleep 0.1; done"],
    ["fails", "false"],
  ] as const
) {
  Deno.test(`queue: TERM while a processor ${what} exits within 5 seconds, and all is sent by the next run`, async () => {
    using at = folder();
    const path = `${at.path}/log`;
    const script = (processor: string) => ["s4096", "n3", processor, "./log"];
    await using log = await start(
      script(`!echo run >>../runs; exec sh -c "${processor}"`),
      { cwd: at.path },
    );
    // Full: what has been read has no place to wait.
    await log.write(files(0, 3) + "end\n");
    await until("it runs", () => text(`${at.path}/runs`) !== "");
    await until("it is full", () => text(`${path}/current`) === file(2));
    const { seconds } = await inTime(4, async () => {
      log.signal("SIGTERM");
      assertEquals(await log.code(), 0);
    });
    if (what === "hangs") assert(seconds > 2.9, `${seconds} s`);
    assert(text(`${path}/current`) === "end\n" || waiting(path).length === 2);
    assertEquals(Object.keys(look(path)).filter((n) => /^p|^new/.test(n)), []);
    const next = await run([ours.multilog, ...script("!tee -a ../all")], {
      cwd: at.path,
      stdin: "",
    });
    assertEquals(next.code, 0);
    const sent = text(`${at.path}/all`) + text(`${path}/current`);
    assert(files(0, 3) + "end\n" === sent || files(0, 3) === sent);
    assertEquals(waiting(path), []);
  });
}

Deno.test("queue: a processor has time to finish after TERM", async () => {
  using at = folder();
  await using log = await start(["!cat; sleep 1; echo >../done", "./log"], {
    cwd: at.path,
  });
  await log.write("one\n");
  await until("written", () => text(`${at.path}/log/current`) !== "");
  log.signal("SIGALRM");
  await until("it runs", () => text(`${at.path}/log/processed`) !== "");
  log.signal("SIGTERM");
  assertEquals(await log.code(), 0);
  assertEquals(finished(`${at.path}/log`).length, 1);
  assertEquals(text(`${at.path}/done`), "\n");
});

Deno.test("queue: ALRM finishes current while a processor runs", async () => {
  using at = folder();
  const path = `${at.path}/log`;
  await using log = await start([`!cat; ${waitFor("go")}`, "./log"], {
    cwd: at.path,
  });
  for (const n of [1, 2, 3]) {
    await log.write(`${n}\n`);
    await until("written", () => text(`${path}/current`) === `${n}\n`);
    log.signal("SIGALRM");
    await until("it waits", () => waiting(path).length === n);
  }
  Deno.writeTextFileSync(`${at.path}/go`, "");
  assertEquals(await log.finish(), 0);
  assertEquals(finished(path).length, 3);
});

Deno.test("queue: a process that an earlier processor left running can't write into the next run's file", async () => {
  using at = folder();
  const path = `${at.path}/log`;
  // The first run leaves a child behind that goes on writing to `processed`.
  const processor = "!if test -e ../second; then cat; " +
    "until test -e ../wrote; do sleep 0.01; done; else : >../second; " +
    "(until test -e processed && test -e ../next; do sleep 0.01; done; " +
    "echo orphan; echo >../wrote) & exit 1; fi";
  await using log = await start(["s4096", processor, "./log"], {
    cwd: at.path,
  });
  await log.write(file(0));
  await log.says(
    "processor failed in ./log, pausing; waiting: 1 file, 3001 bytes",
  );
  log.signal("SIGALRM");
  await until("it runs again", () => text(`${path}/processed`) === file(0));
  Deno.writeTextFileSync(`${at.path}/next`, "");
  await until("it is done", () => finished(path).length > 0);
  assertEquals(text(`${path}/${finished(path)[0]}`), file(0));
  assertEquals(await log.finish(), 0);
});

Deno.test("queue: files that wait in one log hold up no other log of the script", async () => {
  using at = folder();
  await using log = await start(
    ["s4096", "n2", "-*", "+a*", "!exec sleep 1000", "./a"]
      .concat("n10", "!", "-*", "+b*", "./b"),
    { cwd: at.path },
  );
  const line = (what: string) => what.padEnd(3000, "x") + "\n";
  await log.write(line("a") + line("a"));
  await until("it is full", () => text(`${at.path}/a/current`) !== "");
  for (let n = 0; n < 5; n++) await log.write(line("b"));
  await until("the other", () => oldFiles(`${at.path}/b`).length === 5);
  await inTime(4, async () => {
    log.signal("SIGTERM");
    assertEquals(await log.code(), 0);
  });
});

/** A log in this process, whose processor is a function. */
function openLog(path: string, processor: Processor, keep = 4) {
  const warnings: string[] = [];
  const retrier = new Retrier((message) => warnings.push(message));
  const log = LogDirectory.open(
    path,
    { size: 4096, keep, processor: "inside", age: 0 },
    retrier,
    () => {},
    (command) => {
      assertEquals(command, "inside");
      return processor;
    },
  );
  return { log, warnings, retrier };
}

/** All that a descriptor reads. */
function all(fd: number): string {
  const buffer = new Uint8Array(65536);
  return latin1(buffer.subarray(0, read(fd, buffer)));
}

Deno.test("queue: an error thrown by a processor inside is that processor's failure only", async () => {
  using at = folder();
  const path = `${at.path}/log`;
  let runs = 0;
  const { log, warnings, retrier } = openLog(path, {
    keepsUnsent: false,
    start() {
      runs++;
      if (runs === 1) throw new TypeError("a bug");
      if (runs === 2) {
        return { ended: Promise.reject(new TypeError("later")), kill() {} };
      }
      return { ended: Promise.resolve({ code: 0 }), kill() {} };
    },
  });
  await log.append(bytes(file(0)));
  await log.rotate();
  for (const [n, why] of [[1, "a bug"], [2, "later"]] as const) {
    await until("it is told", () => warnings.length === n);
    assertEquals(
      warnings.at(-1),
      `processor failed in ${path}, pausing: ${why}; waiting: 1 file, 3001 bytes`,
    );
    // The first pause is waited for; who is in a hurry ends the second.
    if (n === 2) retrier.hurry();
    await until("it is tried again", () => runs === n + 1);
  }
  await log.close();
  assertEquals(finished(path).length, 1);
});

Deno.test("queue: tryto -p makes room by keeping the oldest file, and sends each notice once", async () => {
  using at = folder();
  const path = `${at.path}/log`;
  const heard: string[] = [];
  const go = Promise.withResolvers<void>();
  const { log, warnings } = openLog(path, {
    keepsUnsent: true,
    start({ fds }) {
      heard.push(all(fds.state));
      const newstate = dup(fds.newstate);
      const ended = go.promise.then(() => {
        write(newstate, bytes("sent\n"));
        close(newstate);
        return { code: 0 };
      });
      return { ended, kill() {} };
    },
    keep({ fds }, reason) {
      const kept = all(fds.log).slice(0, 1);
      write(fds.newstate, bytes(`${all(fds.state)}kept ${kept}: ${reason}\n`));
      return Promise.resolve();
    },
  });
  for (let n = 0; n < 7; n++) await log.append(bytes(file(n)));
  await log.append(bytes("end\n"));
  // The one in hand stays, and the newest: 1 to 3 were kept untried.
  assertEquals(
    waiting(path).map((name) => text(`${path}/${name}`)[0]),
    ["0", "5", "6"],
  );
  const notices = [1, 2, 3, 4].map((n) => `kept ${n}: 3 files wait\n`).join("");
  // Killed now, it would be known.
  assertEquals(text(`${path}/state`), notices);
  go.resolve();
  await until("all is sent", () => waiting(path).length === 0);
  assertEquals(heard, ["", `sent\n${notices}`, "sent\n"]);
  await log.close();
  assertEquals(text(`${path}/state`), "sent\n");
  assertEquals(warnings, []);
  assertEquals(
    Object.keys(look(path)).filter((name) => !name.startsWith("@")),
    ["current", "lock", "state"],
  );
});

Deno.test("queue: no processor runs while a file is being kept, so that file's notice isn't lost", async () => {
  using at = folder();
  const path = `${at.path}/log`;
  const heard: string[] = [];
  const go = Promise.withResolvers<void>();
  let keeps = 0;
  const { log, warnings, retrier } = openLog(path, {
    keepsUnsent: true,
    start({ fds }) {
      heard.push(all(fds.state));
      const code = heard.length === 1 ? 1 : 0;
      return { ended: Promise.resolve({ code }), kill() {} };
    },
    async keep({ fds }, reason) {
      keeps++;
      const newstate = dup(fds.newstate);
      await go.promise;
      write(newstate, bytes(`kept: ${reason}\n`));
      close(newstate);
    },
  });
  for (let n = 0; n < 3; n++) await log.append(bytes(file(n)));
  await until("it has failed", () => warnings.length === 1);
  const appended = log.append(bytes(files(3, 5)));
  await until("one is being kept", () => keeps === 1);
  retrier.hurry();
  await new Promise((resolve) => setTimeout(resolve, 100));
  assertEquals(heard, [""]);
  go.resolve();
  await appended;
  await log.close();
  assertEquals(heard.slice(0, 2), ["", "kept: 3 files wait\n"]);
});

Deno.test("queue: TERM while a file can't be kept ends the log well, with all lines", async () => {
  using at = folder();
  const path = `${at.path}/log`;
  const never = new Promise<never>(() => {});
  const kill = Promise.withResolvers<{ signal: number }>();
  const { log, warnings } = openLog(path, {
    keepsUnsent: true,
    start: () => ({
      ended: Promise.race([never, kill.promise]),
      kill: () => kill.resolve({ signal: 15 }),
    }),
  }, 3);
  // What the new state is written to.
  Deno.mkdirSync(`${path}/keptstate`);
  await log.append(bytes(files(0, 2)));
  const appended = log.append(bytes(files(2, 4) + "end\n"));
  await until("it fails", () => warnings.some((one) => /state to/.test(one)));
  log.terminate();
  await appended;
  await log.close();
  assertEquals(
    waiting(path).map((name) => text(`${path}/${name}`)).join("") +
      text(`${path}/current`),
    files(0, 4) + "end\n",
  );
});

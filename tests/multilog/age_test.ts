/**
 * Files that are finished by their age; and idleness: nothing wakes up while
 * there is nothing to do.
 */
import { assert, assertEquals } from "@std/assert";
import { folder, inTime, ours, run, sleep, until } from "../tools.ts";
import {
  finished,
  look,
  oldFiles,
  start,
  text,
  waitFor,
  wakeUps,
  whole,
} from "./harness.ts";

Deno.test("age: current is finished when its oldest line is old enough", async () => {
  using at = folder();
  const path = `${at.path}/log`;
  await using log = await start(["a3", "./log"], { cwd: at.path });
  const { seconds } = await inTime(3.5, async () => {
    await log.write("one\n");
    await until("it is written", () => text(`${path}/current`) !== "");
    // A younger line doesn't put it off.
    await sleep(1500);
    await log.write("two\n");
    await until("it is finished", () => oldFiles(path).length > 0);
  });
  assert(seconds >= 3, `after ${seconds} s`);
  assertEquals(text(`${path}/${oldFiles(path)[0]}`), "one\ntwo\n");
  assertEquals(text(`${path}/current`), "");
  // The next one has an age of its own.
  await log.write("three\n");
  await until("the next is finished", () => oldFiles(path).length > 1);
  assertEquals(whole(path), "one\ntwo\nthree\n");
  assertEquals(await log.finish(), 0);
  assertEquals(log.said, "");
});

Deno.test("age: holds for the directories that follow, each with its own", async () => {
  using at = folder();
  await using log = await start(["./never", "a1", "./soon", "a100", "./late"], {
    cwd: at.path,
  });
  await log.write("one\n");
  await until(
    "one is finished",
    () => oldFiles(`${at.path}/soon`).length > 0,
  );
  assertEquals(oldFiles(`${at.path}/never`), []);
  assertEquals(oldFiles(`${at.path}/late`), []);
  assertEquals(await log.finish(), 0);
});

Deno.test("age: counts while another directory's processor runs", async () => {
  using at = folder();
  await using log = await start(
    [
      `!cat; ${waitFor("go")}`,
      "s4096",
      "n2",
      "./slow",
      "!cat",
      "n10",
      "a1",
      "s99999",
      "./soon",
    ],
    { cwd: at.path },
  );
  await log.write("x".repeat(3000) + "\n");
  await until("it runs", () => text(`${at.path}/slow/processed`) !== "");
  await until("one is finished", () => finished(`${at.path}/soon`).length > 0);
  // It comes at once, and there is more of it than the slow one has room for.
  await log.write("x".repeat(2100) + "\n" + "y".repeat(200) + "\n");
  await until(
    "the next is finished",
    () => finished(`${at.path}/soon`).length > 1,
  );
  assertEquals(finished(`${at.path}/slow`), []);
  assertEquals(text(`${at.path}/slow/current`), "x".repeat(2100) + "\n");
  Deno.writeTextFileSync(`${at.path}/go`, "");
  assertEquals(await log.finish(), 0);
});

Deno.test("age: counts on through a restart, with stamps and without", async () => {
  for (const stamp of [["t"], []]) {
    using at = folder();
    const path = `${at.path}/log`;
    const script = [...stamp, "a5", "./log"];
    await run([ours.multilog, ...script], { cwd: at.path, stdin: "one\n" });
    await sleep(4000);
    await inTime(3, async () => {
      await using log = await start(script, { cwd: at.path });
      await until("it is finished", () => oldFiles(path).length > 0);
      assertEquals(await log.finish(), 0);
    });
  }
});

Deno.test("age: waits for the processor when no more files may wait", async () => {
  using at = folder();
  const path = `${at.path}/log`;
  await using log = await start(
    ["a1", "n2", `!tee -a ../all; ${waitFor("go")}`, "./log"],
    {
      cwd: at.path,
    },
  );
  await log.write("one\n");
  await until(
    "it goes to the processor",
    () => text(`${path}/processed`) !== "",
  );
  await log.write("two\n");
  await until("the next has a line", () => text(`${path}/current`) === "two\n");
  await sleep(1300);
  assertEquals(text(`${path}/current`), "two\n");
  // The service isn't held up by a file that is only old.
  await log.write("three\n");
  await until(
    "it takes more lines",
    () => text(`${path}/current`) === "two\nthree\n",
  );
  Deno.writeTextFileSync(`${at.path}/go`, "");
  await until(
    "both are finished",
    () => text(`${at.path}/all`) === "one\ntwo\nthree\n",
  );
  assertEquals(await log.finish(), 0);
});

Deno.test("age: a directory's empty current isn't finished", async () => {
  using at = folder();
  await using log = await start(["a1", "!cat", "./log"], { cwd: at.path });
  await sleep(1300);
  assertEquals(Object.keys(look(`${at.path}/log`)), [
    "current",
    "lock",
    "state",
  ]);
  assertEquals(await log.finish(), 0);
});

Deno.test("idle: no wake-ups while the input is open and silent", async () => {
  using at = folder();
  const rows: [name: string, script: string[], lines: string][] = [
    ["nothing has come", ["./1"], ""],
    ["lines have come", ["./2"], "one\ntwo\n"],
    ["inside a line", ["-x*", "./3"], "one\ntw"],
    ["an age, and an empty current", ["a3", "./4"], ""],
    ["an age far away", ["a100000", "./5"], "one\n"],
    ["stamps and conditions", ["t", "-*", "+*o*", "e", "./6"], "one\ntwo\n"],
    ["a processor is running", ["!read x <../fifo; cat", "./7"], "one\n"],
  ];
  await new Deno.Command("mkfifo", { args: [`${at.path}/fifo`] }).output();
  await Promise.all(rows.map(async ([name, script, lines]) => {
    await using log = await start(script, { cwd: at.path });
    const path = `${at.path}/${script.at(-1)}`;
    if (lines !== "") {
      await log.write(lines);
      await until("it is written", () => text(`${path}/current`) !== "");
    }
    if (name.startsWith("a processor")) {
      log.signal("SIGALRM");
      await until("it runs", () => oldFiles(path).length > 0);
    }
    await sleep(1000);
    const before = wakeUps(log.pid);
    await sleep(2000);
    assertEquals(wakeUps(log.pid) - before, 0, name);
    if (name.startsWith("a processor")) {
      using fifo = await Deno.open(`${at.path}/fifo`, { write: true });
      await fifo.write(new Uint8Array([10]));
    }
    assertEquals(await log.finish(), 0);
  }));
});

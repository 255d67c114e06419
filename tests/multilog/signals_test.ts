/**
 * SIGTERM and SIGALRM in every state that multilog can be in.
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import {
  chosenSeed,
  folder,
  howMany,
  ours,
  processesIn,
  runs,
  seeded,
  sleep,
  soon,
  testWith,
  until,
} from "../tools.ts";
import {
  canMount,
  Disk,
  drain,
  inOrder,
  look,
  makeFifo,
  mode,
  numbered,
  oldFiles,
  Running,
  start,
  text,
  waitFor,
  wakeUps,
  whole,
} from "./harness.ts";

const DONE = "744";

Deno.test("TERM while idle: exits 0, and leaves a complete current", async () => {
  using at = folder();
  await using log = await start(["./log"], { cwd: at.path });
  await log.write("one\ntwo\n");
  await until("it is written", () => text(`${at.path}/log/current`) !== "");
  log.signal("SIGTERM");
  assertEquals(await log.code(), 0);
  assertEquals(log.said, "");
  assertEquals(look(`${at.path}/log`), {
    current: { mode: DONE, text: "one\ntwo\n" },
    lock: { mode: "600", text: "" },
    state: { mode: "644", text: "" },
  });
});

Deno.test("TERM and input at once: it is read and written, or left in the pipe", async () => {
  using at = folder();
  using fifo = await makeFifo(`${at.path}/fifo`);
  await using log = await start(["./log"], { cwd: at.path, fifo: "fifo" });
  log.signal("SIGSTOP");
  fifo.writeSync(new TextEncoder().encode("one\ntwo"));
  log.signal("SIGTERM");
  log.signal("SIGCONT");
  // A line that it has begun with it reads to its end.
  fifo.writeSync(new TextEncoder().encode("\nthree\n"));
  assertEquals(await log.code(), 0);
  const written = text(`${at.path}/log/current`);
  assert(written === "" || written.endsWith("\n"));
  assertEquals(written + drain(fifo), "one\ntwo\nthree\n");
});

Deno.test("TERM inside a line: its end is taken, and not a byte more", async () => {
  using at = folder();
  const scripts: [script: string[], stamp: string][] = [
    [["./log"], ""],
    [["t", "./log"], "STAMP "],
    [["-x*", "./log"], ""],
    [["t", "-*", "+* one*", "+* two*", "./log"], "STAMP "],
    [["e", "=status", "./log"], ""],
  ];
  await Promise.all(scripts.map(async ([script, stamp], i) => {
    const cwd = `${at.path}/${i}`;
    Deno.mkdirSync(cwd);
    using fifo = await makeFifo(`${cwd}/fifo`);
    const write = (text: string) =>
      fifo.writeSync(new TextEncoder().encode(text));
    await using log = await start(script, { cwd, fifo: "fifo" });
    write("one\ntw");
    await until("one is written", () => text(`${cwd}/log/current`) !== "");
    await log.notices("SIGTERM");
    // It goes on taking bytes as they come, one by one.
    write("o a");
    await sleep(50);
    write("nd a half\nthree\nfour");
    assertEquals(await log.code(), 0);
    assertEquals(drain(fifo), "three\nfour", script.join(" "));
    const { current } = look(`${cwd}/log`);
    assertEquals(
      current!.text.replace(/@[0-9a-f]{24} /g, "STAMP "),
      `${stamp}one\n${stamp}two and a half\n`,
    );
    assertEquals(current!.mode, DONE);
  }));
});

Deno.test("TERM inside a line that never ends: the end of input ends it", async () => {
  using at = folder();
  await using log = await start(["./log"], { cwd: at.path });
  await log.write("on");
  await until("it is read", () => text(`${at.path}/log/current`) === "on");
  await log.notices("SIGTERM");
  await log.write("e");
  assertEquals(await log.finish(), 0);
  assertEquals(look(`${at.path}/log`)["current"], {
    mode: DONE,
    text: "one\n",
  });
});

/** Writes numbered lines for as long as there is room, until it is stopped. */
class Writer {
  next = 0;
  stopped = false;
  readonly done: Promise<void>;

  constructor(
    write: (bytes: Uint8Array) => Promise<unknown>,
    random: () => number,
    /** How many bytes a write has at the most. */
    most: number,
    /** Milliseconds between writes. */
    pause = 0,
  ) {
    this.done = (async () => {
      let rest = "";
      while (!this.stopped || rest !== "") {
        while (!this.stopped && rest.length < most) rest += `${this.next++}\n`;
        const n = 1 + Math.floor(random() * most);
        const piece = new TextEncoder().encode(rest.slice(0, n));
        rest = rest.slice(n);
        for (let at = 0; at < piece.length;) {
          const n = await write(piece.subarray(at));
          at += typeof n === "number" ? n : piece.length;
        }
        if (pause) await sleep(pause);
      }
    })();
  }

  async stop(): Promise<void> {
    this.stopped = true;
    await this.done;
  }
}

/** How many times multilog is ended and started again at one fifo. */
const RESTARTS = howMany(10, 20);

Deno.test(`TERM under full load: ${RESTARTS} restarts on each of three pipes`, async () => {
  const seed = chosenSeed();
  console.log(`seed ${seed}`);
  const scripts = [
    ["s16777215", "n1000", "./log"],
    ["s65536", "n100000", "./log"],
    ["-x*", "s262144", "n100000", "!cat", "./log"],
  ];
  await Promise.all(scripts.map(async (script, i) => {
    const random = seeded(seed + i);
    using at = folder();
    using fifo = await makeFifo(`${at.path}/fifo`);
    const writer = new Writer((bytes) => fifo.write(bytes), random, 60000);
    let busy = 0;
    for (let n = 0; n < RESTARTS; n++) {
      await using log = await start(script, { cwd: at.path, fifo: "fifo" });
      if (n % 4 > 0) {
        // A busy machine may take its time until it reads.
        await until("it reads", () => text(`${at.path}/log/current`) !== "");
      }
      await sleep(40 * random());
      log.signal("SIGTERM");
      assertEquals(await log.code(), 0, log.said);
      assertEquals(log.said, "");
      assertEquals(mode(`${at.path}/log/current`), DONE);
      assertEquals(mode(`${at.path}/log/processed`), "");
      const current = text(`${at.path}/log/current`);
      if (current === "") continue;
      assert(current.endsWith("\n"), `seed ${seed}: a line was cut`);
      busy++;
    }
    writer.stopped = true;
    await using log = await start(script, { cwd: at.path, fifo: "fifo" });
    await writer.done;
    await until(
      "all is written",
      () => whole(`${at.path}/log`).endsWith(`\n${writer.next - 1}\n`),
    );
    log.signal("SIGTERM");
    assertEquals(await log.code(), 0);
    assertEquals(inOrder(whole(`${at.path}/log`)), writer.next);
    assert(busy > RESTARTS / 2);
    assert(writer.next > 10000);
  }));
});

Deno.test("TERM while a processor runs: it has time to finish", async () => {
  using at = folder();
  await using log = await start(
    ["s4096", `!cat; ${waitFor("go")}`, "./log"],
    { cwd: at.path },
  );
  await log.write("x".repeat(3000) + "\none\n");
  const path = `${at.path}/log`;
  await until("the processor runs", () => text(`${path}/processed`) !== "");
  await log.notices("SIGTERM");
  assertEquals(oldFiles(path).length, 1);
  Deno.writeTextFileSync(`${at.path}/go`, "");
  assertEquals(await log.code(), 0);
  const [old, ...others] = oldFiles(path);
  assertEquals(others, []);
  const entries = look(path);
  assertEquals(Object.keys(entries), [old!, "current", "lock", "state"]);
  assertEquals(entries[old!]!.text.length, 3001);
  assertEquals(entries["current"], { mode: DONE, text: "one\n" });
});

Deno.test("TERM while one log's processor runs: the other log is left complete at once", async () => {
  using at = folder();
  const slow = `!cat; ${waitFor("go")}`;
  await using log = await start(
    ["s4096", slow, "./slow", "!", "./other"],
    { cwd: at.path },
  );
  await log.write("x".repeat(3000) + "\none\n");
  const processed = `${at.path}/slow/processed`;
  await until("the processor runs", () => text(processed) !== "");
  await until(
    "the other goes on",
    () => text(`${at.path}/other/current`) === "one\n",
  );
  log.signal("SIGTERM");
  // Whoever loses patience and kills it then leaves one log as it should be.
  await until(
    "the other log is complete",
    () => mode(`${at.path}/other/current`) === DONE,
  );
  assert(runs(log.pid), "the other log is complete at the end only");
  Deno.writeTextFileSync(`${at.path}/go`, "");
  assertEquals(await log.code(), 0);
});

Deno.test("TERM where one log can't end well: the others do, and their processors", async () => {
  const line = "x".repeat(3000) + "\n";
  // Found out when the log is closed, or when it gets a line.
  for (const later of ["", "y".repeat(3000) + "\n"]) {
    using at = folder();
    Deno.mkdirSync(`${at.path}/p`);
    const script = ["s4096", "./p/a", `!${waitFor("go")}; cat >>../out`, "./b"];
    const path = `${at.path}/b`;
    {
      await using log = await start(script, { cwd: at.path });
      await log.write(line + "one\n");
      await until(
        "the processor runs",
        () => processesIn(Deno.realPathSync(path)).length > 0,
      );
      await until("the next file", () => text(`${path}/current`) === "one\n");
      Deno.removeSync(`${at.path}/p`, { recursive: true });
      const said = "unable to open directory ./p/a: file does not exist";
      if (later) {
        await log.write(later);
        await log.says(`multilog: warning: ${said}, pausing\n`);
      }
      log.signal("SIGTERM");
      // A processor that goes on would keep its standard error open.
      assertEquals((await soon("it ends", log.status)).code, 111);
      // The sleep that a shell waited for ends a moment after it.
      assertEquals(
        processesIn(Deno.realPathSync(path))
          .filter(({ name }) => name !== "sleep"),
        [],
      );
      await log.says(`multilog: fatal: ${said}\n`);
    }
    assertEquals(mode(`${path}/current`), DONE);
    // The next run has it all.
    Deno.writeTextFileSync(`${at.path}/go`, "");
    Deno.mkdirSync(`${at.path}/p`);
    await using log = await start(script, { cwd: at.path });
    await log.write("three\n");
    await until("written", () => text(`${path}/current`).endsWith("three\n"));
    await log.notices("SIGALRM");
    assertEquals(await log.finish(), 0);
    // The line that the other log has no place for may be cut, or missing.
    assertEquals(
      text(`${at.path}/out`).replace(/^y+\n/m, ""),
      `${line}one\nthree\n`,
    );
  }
});

Deno.test("ALRM while idle: what isn't empty is finished", async () => {
  using at = folder();
  await using log = await start(["-*", "+b*", "./b", "+a*", "./all"], {
    cwd: at.path,
  });
  await log.notices("SIGALRM");
  await log.write("a one\n");
  await until("written", () => text(`${at.path}/all/current`) !== "");
  await log.notices("SIGALRM");
  await until("finished", () => oldFiles(`${at.path}/all`).length > 0);
  await log.write("a two\n");
  assertEquals(await log.finish(), 0);
  assertEquals(oldFiles(`${at.path}/b`), []);
  const old = oldFiles(`${at.path}/all`);
  assertEquals(old.length, 1);
  assertEquals(text(`${at.path}/all/${old[0]}`), "a one\n");
  assertEquals(text(`${at.path}/all/current`), "a two\n");
});

Deno.test("ALRM, and the end of input at once: the file is finished", async () => {
  for (let i = 0; i < 10; i++) {
    using at = folder();
    await using log = await start(["./log"], { cwd: at.path });
    await log.write("one\n");
    await until("written", () => text(`${at.path}/log/current`) !== "");
    await log.waits();
    const before = wakeUps(log.pid);
    log.signal("SIGALRM");
    await until("it has arrived", () => wakeUps(log.pid) > before);
    assertEquals(await log.finish(), 0);
    assertEquals(oldFiles(`${at.path}/log`).length, 1);
  }
});

Deno.test("ALRM inside a line: the file is finished with that line", async () => {
  for (const script of [["./log"], ["t", "./log"], ["!cat", "./log"]]) {
    using at = folder();
    const path = `${at.path}/log`;
    await using log = await start(script, { cwd: at.path });
    await log.write("one\ntwo");
    await until("it is written", () => text(`${path}/current`).length > 4);
    await log.notices("SIGALRM");
    assertEquals(oldFiles(path), []);
    await log.write(" and a half\nthree\n");
    await until("finished", () => oldFiles(path).length > 0);
    assertEquals(await log.finish(), 0);
    assertMatch(text(`${path}/${oldFiles(path)[0]}`), /two and a half\n$/);
    assertMatch(text(`${path}/current`), /^(@[0-9a-f]{24} )?three\n$/);
  }
});

Deno.test("ALRM under full load, many in a row: nothing is lost or doubled", async () => {
  const seed = chosenSeed();
  console.log(`seed ${seed}`);
  const random = seeded(seed);
  const scripts = [["s65536", "n100000", "./log"]]
    .concat([["s65536", "n100000", "!cat", "./log"]]);
  await Promise.all(scripts.map(async (script) => {
    using at = folder();
    await using log = await start(script, { cwd: at.path });
    const writer = new Writer((bytes) => log.write(bytes), random, 20000);
    const small = () =>
      oldFiles(`${at.path}/log`).filter((name) =>
        text(`${at.path}/log/${name}`).length < 63000
      ).length;
    // Those that come close together are one.
    for (let n = 0; n < 100 || n < 5000 && small() < 3; n++) {
      log.signal("SIGALRM");
      if (n % 10) {
        await sleep(10 * random());
      }
    }
    await writer.stop();
    assertEquals(await log.finish(), 0, log.said);
    assertEquals(log.said, "");
    assertEquals(inOrder(whole(`${at.path}/log`)), writer.next);
    assert(small() > 2, `${small()} files by ALRM`);
  }));
});

Deno.test("ALRM while a processor runs: the next file follows it", async () => {
  using at = folder();
  const path = `${at.path}/log`;
  await using log = await start(
    [
      "s4096",
      `!cat; echo >>../runs; ${waitFor("go")}`,
      "./log",
    ],
    { cwd: at.path },
  );
  await log.write("x".repeat(3000) + "\none\n");
  await until("the processor runs", () => text(`${path}/processed`) !== "");
  await until("the next file", () => text(`${path}/current`) === "one\n");
  await log.notices("SIGALRM");
  log.signal("SIGALRM");
  await sleep(50);
  assertEquals(text(`${at.path}/runs`), "\n");
  Deno.writeTextFileSync(`${at.path}/go`, "");
  await until(
    "the second is finished",
    () => oldFiles(path).filter((name) => name.endsWith(".s")).length === 2,
  );
  await log.write("two\n");
  assertEquals(await log.finish(), 0);
  assertEquals(
    [...oldFiles(path), "current"].map((name) => text(`${path}/${name}`)),
    ["x".repeat(3000) + "\n", "one\n", "two\n"],
  );
  assertEquals(text(`${at.path}/runs`), "\n\n");
});

Deno.test("ALRM and TERM at once: current is finished, or left complete", async () => {
  using at = folder();
  for (let n = 0; n < 20; n++) {
    const path = `${at.path}/${n}`;
    await using log = await start([`./${n}`], { cwd: at.path });
    await log.write("one\n");
    await until("it is written", () => text(`${path}/current`) !== "");
    const both = ["SIGALRM", "SIGTERM"] as const;
    for (const name of n % 2 ? both : [both[1], both[0]]) log.signal(name);
    assertEquals(await log.code(), 0);
    assertEquals(log.said, "");
    assertEquals(whole(path), "one\n");
    assertEquals(look(path)["current"]!.mode, DONE);
  }
});

Deno.test("TERM, many in a row: one is enough, more do no harm", async () => {
  using at = folder();
  await using log = await start(["!cat; echo >../runs; sleep 0.2", "./log"], {
    cwd: at.path,
  });
  await log.write("one\n");
  await until("it is written", () => text(`${at.path}/log/current`) !== "");
  log.signal("SIGALRM");
  await until("it runs", () => text(`${at.path}/runs`) !== "");
  for (let n = 0; n < 50; n++) log.signal("SIGTERM");
  assertEquals(await log.code(), 0);
  assertEquals(whole(`${at.path}/log`), "one\n");
});

Deno.test({
  name: "TERM and ALRM while paused on a full disk",
  ignore: !canMount(),
  async fn() {
    using at = folder();
    const full = "unable to write to ./log/current, pausing: " +
      "no space left on device\n";
    await Promise.all(["TERM", "ALRM", "end of input"].map(async (what, i) => {
      using disk = new Disk(`${at.path}/disk${i}`, "1m");
      await using log = await start(["t", "s65536", "n100", "./log"], {
        cwd: disk.path,
      });
      disk.fill("filler");
      const lines = numbered(0, 4000);
      await log.write(lines.slice(0, 10000));
      await log.says(full);
      await log.write(lines.slice(10000));
      // A pause that is cut short ends in another one.
      if (what === "TERM") log.signal("SIGTERM");
      else if (what === "ALRM") log.signal("SIGALRM");
      else {
        await log.end();
        log.signal("SIGALRM");
      }
      await log.says(full, 2);
      disk.remove("filler");
      log.signal(what === "TERM" ? "SIGTERM" : "SIGALRM");
      if (what === "ALRM") {
        await until("room", () => oldFiles(`${disk.path}/log`).length > 0);
        await log.end();
      }
      assertEquals(await log.code(), 0);
      assertEquals(log.said.replaceAll(`multilog: warning: ${full}`, ""), "");
      const all = whole(`${disk.path}/log`)
        .replace(/^@[0-9a-f]{24} /gm, "");
      // After TERM the rest is still in the pipe.
      const next = inOrder(all);
      if (what === "TERM") assert(next > 100);
      else assertEquals(next, 4000);
    }));
  },
});

/** Services, and restarts of each; `supervise` allows one in a second. */
const SERVICES = 20;
const RESTARTS_EACH = 11;

testWith(
  ["--all", "supervise", "svc"],
  `TERM by svc -t: ${SERVICES * RESTARTS_EACH} restarts under supervise`,
  async () => {
    const seed = chosenSeed();
    console.log(`seed ${seed}`);
    const scripts = [["./log"], ["t", "./log"], ["-x*", "./log"]]
      .concat([["!cat", "./log"]]);
    const service = async (i: number) => {
      const random = seeded(seed + i);
      using at = folder();
      const script = ["s16384", "n100000", ...scripts[i % 4]!]
        .sort((a, b) => Number(b === "t") - Number(a === "t"));
      const words = script.map((word) => `'${word}'`).join(" ");
      Deno.writeTextFileSync(
        `${at.path}/run`,
        `#!/bin/sh\necho >>runs\nexec ${ours.multilog} ${words} 2>>said\n`,
      );
      Deno.chmodSync(`${at.path}/run`, 0o755);
      const svc = async (...args: string[]) => {
        await new Deno.Command("svc", { args: [...args, at.path] }).output();
      };
      await using supervise = new Running([at.path], {
        program: "supervise",
        cwd: at.path,
      });
      const writer = new Writer(
        (bytes) => supervise.write(bytes),
        random,
        500,
        1,
      );
      const path = `${at.path}/log`;
      const runs = () => text(`${at.path}/runs`).length;
      for (let n = 1; n <= RESTARTS_EACH; n++) {
        await until("it runs", () => runs() === n);
        await until("it writes", () => mode(`${path}/current`) === "644");
        await svc("-t");
      }
      await until("it runs again", () => runs() === RESTARTS_EACH + 1);
      await writer.stop();
      const last = `${writer.next - 1}\n`;
      await until("all is written", () => {
        const current = text(`${path}/current`);
        // The last line may be the one that finishes its file.
        return (current || whole(path)).endsWith(last);
      });
      // After TERM no more files go to a processor.
      const isDone = () => oldFiles(path).every((name) => name.endsWith(".s"));
      await until("all is processed", isDone);
      await svc("-dx");
      await supervise.code();
      assertEquals(text(`${at.path}/said`), "");
      assert(isDone());
      const all = whole(path).replace(/^@[0-9a-f]{24} /gm, "");
      assertEquals(inOrder(all), writer.next, `seed ${seed}`);
      assert(writer.next > 1000);
    };
    await Promise.all(Array.from({ length: SERVICES }, (_, i) => service(i)));
  },
);

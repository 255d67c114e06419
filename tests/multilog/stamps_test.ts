import { assert, assertEquals, assertMatch } from "@std/assert";
import { encode } from "../../src/bytes.ts";
import { readStamp } from "../../src/stamps.ts";
import { folder, inTime, ours, run, Running, sleep, until } from "../tools.ts";
import { oldFiles, start, text } from "./harness.ts";

const FORMS = {
  T: /^\d{10}\.\d{6} (.*)$/,
  i: /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z (.*)$/,
};

Deno.test("T and i begin each line with the time at which it came", async () => {
  for (const [kind, form] of Object.entries(FORMS)) {
    using at = folder();
    const before = Date.now() / 1000;
    const { code, stderr } = await run([ours.multilog, kind, "./log"], {
      cwd: at.path,
      stdin: "one\n\nthree",
    });
    assertEquals([code, stderr], [0, ""]);
    const lines = text(`${at.path}/log/current`).split("\n");
    assertEquals(lines.pop(), "");
    assertEquals(lines.map((line) => form.exec(line)?.[1]), [
      "one",
      "",
      "three",
    ]);
    for (const line of lines) {
      const { seconds } = readStamp(encode(line))!.moment;
      assert(seconds >= Math.floor(before) && seconds <= Date.now() / 1000);
    }
  }
});

Deno.test("patterns see the stamps of T and i", async () => {
  const expressions = {
    T: "^[0-9]{10}[.][0-9]{6} a",
    i: "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}[.][0-9]{6}Z a",
  };
  for (const [kind, expression] of Object.entries(expressions)) {
    using at = folder();
    const { stderr } = await run(
      [ours.multilog, kind, "-*", "+* yes", "./log", "-*", "R"]
        .concat(`+${expression}`, "e"),
      { cwd: at.path, stdin: "no\nyes\nalso yes\n" },
    );
    assertMatch(text(`${at.path}/log/current`), /^\S+ yes\n$/);
    assertMatch(stderr, /^\S+ also yes\n$/);
  }
});

Deno.test("long input has a whole stamp before each line, and none inside", async () => {
  for (const [kind, form] of Object.entries(FORMS)) {
    using at = folder();
    const lines = Array.from(
      { length: 40_000 },
      (_, i) => "x".repeat(i % 7 === 0 ? i % 3000 : i % 20) + i,
    );
    const { code } = await run(
      [ours.multilog, kind, "s16777215", "n100", "./log"],
      { cwd: at.path, stdin: `${lines.join("\n")}\n` },
    );
    assertEquals(code, 0);
    const names = [...oldFiles(`${at.path}/log`), "current"];
    const all = names.map((name) => text(`${at.path}/log/${name}`)).join("");
    const got = all.split("\n").slice(0, -1);
    assertEquals(got.length, lines.length);
    got.forEach((line, i) => {
      assert(form.exec(line)?.[1] === lines[i], line.slice(0, 100));
    });
  }
});

Deno.test("--follow --local shows the stamps of T and i as local time", async () => {
  for (const kind of ["T", "i"]) {
    using at = folder();
    await run([ours.multilog, kind, "./log"], {
      cwd: at.path,
      stdin: "one\ntwo\n",
    });
    const stamped = text(`${at.path}/log/current`);
    const { moment } = readStamp(encode(stamped))!;
    const local = new Date(1000 * (moment.seconds + 4 * 3600)).toISOString()
      .replace("T", " ").slice(0, 20);
    const micro = String(moment.nanoseconds / 1000).padStart(6, "0");
    await using follower = new Running(
      [ours.multilog, "--follow", "./log", "--local"],
      { cwd: at.path, env: { TZ: "XYZ-4" } },
    );
    await follower.prints("two\n");
    await follower.stop();
    assertEquals(
      follower.output,
      `${local}${micro} one\n${local}${micro} two\n`,
    );
  }
});

Deno.test("a log's age counts on through a restart by the stamps of T and i", async () => {
  await Promise.all(["T", "i"].map(async (kind) => {
    using at = folder();
    const path = `${at.path}/log`;
    const script = [kind, "a5", "./log"];
    await run([ours.multilog, ...script], { cwd: at.path, stdin: "one\n" });
    // A copy is younger than its line.
    const line = text(`${path}/current`);
    await sleep(4000);
    Deno.removeSync(`${path}/current`);
    Deno.writeTextFileSync(`${path}/current`, line, { mode: 0o744 });
    Deno.chmodSync(`${path}/current`, 0o744);
    await inTime(3, async () => {
      await using log = await start(script, { cwd: at.path });
      await until("it is finished", () => oldFiles(path).length > 0);
      assertEquals(await log.finish(), 0);
    });
  }));
});

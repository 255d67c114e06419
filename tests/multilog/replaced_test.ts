/**
 * What others do to a log's directory and files while multilog runs: lines go
 * on, or it pauses with a warning; what can't come back is said; and TERM is
 * heard within 5 seconds.
 */
import { assert, assertEquals } from "@std/assert";
import {
  folder,
  howMany,
  inTime,
  peakMemory,
  run,
  testWith,
  until,
} from "../tools.ts";
import { numbered, start, text } from "./harness.ts";

/** How many old files there are. */
const FILES = howMany(200_000, 600_000);
const FILE = "x".repeat(3000) + "\n";

/** What somebody does. */
interface Deed {
  /** Does it; the working directory of multilog, where `sub/log` is. */
  readonly act: (at: string) => void;
  /** Where lines go on, or a warning that they wait. */
  readonly then: { lines: string } | { says: string };
}

const DEEDS: Record<string, Deed> = {
  "its directory is renamed": {
    act: (at) => Deno.renameSync(`${at}/sub/log`, `${at}/sub/other`),
    then: { lines: "sub/other" },
  },
  "another directory takes its place": {
    act: (at) => {
      Deno.renameSync(`${at}/sub/log`, `${at}/sub/other`);
      Deno.mkdirSync(`${at}/sub/log`);
    },
    then: { lines: "sub/other" },
  },
  "a link to its directory takes its place": {
    act: (at) => {
      Deno.renameSync(`${at}/sub/log`, `${at}/sub/other`);
      Deno.symlinkSync("other", `${at}/sub/log`);
    },
    then: { lines: "sub/log" },
  },
  "its directory is removed, and another takes its place": {
    act: (at) => {
      Deno.removeSync(`${at}/sub/log`, { recursive: true });
      Deno.mkdirSync(`${at}/sub/log`);
    },
    then: { lines: "sub/log" },
  },
  "its directory is removed, and a link takes its place": {
    act: (at) => {
      Deno.mkdirSync(`${at}/far`);
      Deno.removeSync(`${at}/sub/log`, { recursive: true });
      Deno.symlinkSync("../far", `${at}/sub/log`);
    },
    then: { lines: "far" },
  },
  "its directory is removed with what it is in": {
    act: (at) => Deno.removeSync(`${at}/sub`, { recursive: true }),
    then: { says: "unable to open directory ./sub/log: file does not exist" },
  },
  "current is removed": {
    act: (at) => Deno.removeSync(`${at}/sub/log/current`),
    then: { lines: "sub/log" },
  },
  "a pipe takes the place of current": {
    act: (at) => {
      Deno.removeSync(`${at}/sub/log/current`);
      new Deno.Command("mkfifo", { args: [`${at}/sub/log/current`] })
        .outputSync();
    },
    then: { lines: "sub/log" },
  },
  "a directory takes the place of current": {
    act: (at) => {
      Deno.removeSync(`${at}/sub/log/current`);
      Deno.mkdirSync(`${at}/sub/log/current`);
    },
    then: { says: "unable to rename ./sub/log/current, pausing: is a dir" },
  },
  "a directory takes the place of state": {
    act: (at) => {
      Deno.removeSync(`${at}/sub/log/state`);
      Deno.mkdirSync(`${at}/sub/log/state`);
    },
    then: { lines: "sub/log" },
  },
  "lock is removed": {
    act: (at) => Deno.removeSync(`${at}/sub/log/lock`),
    then: { lines: "sub/log" },
  },
};

function isFile(path: string): boolean {
  try {
    return Deno.lstatSync(path).isFile;
  } catch {
    return false;
  }
}

for (const [what, { act, then }] of Object.entries(DEEDS)) {
  Deno.test(`${what} while multilog runs: it goes on or says why not, and hears TERM`, async () => {
    for (const processor of [[], ["!cat"]]) {
      using at = folder();
      Deno.mkdirSync(`${at.path}/sub`);
      const script = ["s4096", ...processor, "./sub/log"];
      await using log = await start(script, { cwd: at.path });
      await log.write("first\n");
      const first = `${at.path}/sub/log/current`;
      await until("it is written", () => text(first) !== "");
      act(at.path);
      await log.write(FILE + FILE + "last\n");
      if ("says" in then) await log.says(then.says);
      else {
        const current = `${at.path}/${then.lines}/current`;
        await until("lines go on", () => {
          return isFile(current) && text(current) === "last\n";
        }, 30);
      }
      await inTime(4, () => log.stop());
    }
  });
}

testWith(
  ["perl"],
  `${FILES} files in a log's directory: memory stays small, and TERM is heard`,
  async () => {
    using at = folder();
    const path = `${at.path}/log`;
    Deno.mkdirSync(path);
    const made = await run([
      "perl",
      "-e",
      `for (1..${FILES}) { open(F, ">", sprintf("%s/@%016x%08x.s", ` +
      "$ARGV[0], 0x4000000060000000 + $_, 0)); close F }",
      path,
    ]);
    assertEquals([made.code, made.stderr], [0, ""]);
    await using log = await start(["s4096", "n10000000", "./log"], {
      cwd: at.path,
    });
    await log.write(numbered(0, 7000));
    await until(
      "all is written",
      () => text(`${path}/current`).endsWith("6999\n"),
    );
    assert(peakMemory(log.pid) < 150, `${peakMemory(log.pid)} MB`);
    await log.write(FILE + "part");
    await inTime(4, async () => {
      await log.write("\n");
      assertEquals(await log.stop(), 0);
    });
    assertEquals(log.said, "");
  },
);

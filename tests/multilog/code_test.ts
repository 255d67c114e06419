import { assertEquals, assertMatch } from "@std/assert";
import { folder, ours, run, until } from "../tools.ts";
import {
  finished,
  look,
  numbered,
  oldFiles,
  start,
  text,
  waitFor,
  waiting,
  whole,
} from "./harness.ts";

/** The ends of the names of a log's old files, each once. */
function codes(path: string): string[] {
  return [...new Set(oldFiles(path).map((name) => name.slice(26)))].sort();
}

Deno.test("w names the ends of old files for the directories after it", async () => {
  using at = folder();
  const { code, stderr } = await run(
    [ours.multilog, "s4096", "n100", "./a", "wtxt", "./b", "w", "./c"]
      .concat("wlog.1", "!tr 0-9 a-j", "./d"),
    { cwd: at.path, stdin: numbered(0, 3000) },
  );
  assertEquals([code, stderr], [0, ""]);
  assertEquals(codes(`${at.path}/a`), ["s"]);
  assertEquals(codes(`${at.path}/b`), ["txt"]);
  assertEquals(codes(`${at.path}/c`), [""]);
  assertEquals(codes(`${at.path}/d`), ["log.1"]);
  for (const name of ["a", "b", "c"]) {
    assertEquals(whole(`${at.path}/${name}`), numbered(0, 3000));
  }
  for (const [name, { mode }] of Object.entries(look(`${at.path}/d`))) {
    if (name.startsWith("@")) assertEquals(mode, "744", name);
  }
});

Deno.test("files with any code are old files, and the oldest go first", async () => {
  using at = folder();
  const path = `${at.path}/log`;
  for (const code of ["wa", "wz", "s5000"]) {
    await run([ours.multilog, "s4096", "n5", code, "./log"], {
      cwd: at.path,
      stdin: numbered(0, 2200),
    });
  }
  assertEquals(oldFiles(path).length, 5 - 1);
  assertEquals(codes(path), ["s", "z"]);
});

Deno.test("waiting files end in .u whatever the code is", async () => {
  using at = folder();
  const path = `${at.path}/log`;
  await using log = await start(
    [`!${waitFor("go")}; cat`, "wtxt", "./log"],
    { cwd: at.path },
  );
  await log.write("one\n");
  await until("it is written", () => text(`${path}/current`) !== "");
  log.signal("SIGALRM");
  await until("it waits", () => waiting(path).length === 1);
  assertEquals(codes(path), ["u"]);
  Deno.writeTextFileSync(`${at.path}/go`, "");
  assertEquals(await log.finish(), 0);
  assertEquals([codes(path), finished(path)], [["txt"], []]);
  assertEquals(text(`${path}/${oldFiles(path)[0]}`), "one\n");
});

Deno.test("a file that was processed under another code isn't processed again", async () => {
  for (const before of ["s", "gz", "txt", ""]) {
    using at = folder();
    const path = `${at.path}/log`;
    Deno.mkdirSync(path);
    const put = (name: string, text: string) =>
      Deno.writeTextFileSync(`${path}/${name}`, text);
    const time = "@4000000060000000";
    // The first run was cut off before it could remove the file.
    put(`${time}00000001.${before}`, "processed\n");
    put(`${time}00000001.u`, "one\n");
    put(`${time}00000002.u`, "two\n");
    const { code, stderr } = await run(
      [ours.multilog, "!tee -a ../seen", "wtxt", "./log"],
      { cwd: at.path },
    );
    assertEquals([code, stderr], [0, ""]);
    assertEquals(text(`${at.path}/seen`), "two\n");
    assertEquals(oldFiles(path), [
      `${time}00000001.${before}`,
      `${time}00000002.txt`,
    ]);
  }
});

Deno.test("what a processor had completed becomes an old file with the code", async () => {
  using at = folder();
  const path = `${at.path}/log`;
  Deno.mkdirSync(path);
  Deno.writeTextFileSync(`${path}/processed`, "done\n");
  Deno.chmodSync(`${path}/processed`, 0o744);
  await run([ours.multilog, "wtxt", "./log"], { cwd: at.path });
  assertEquals(codes(path), ["txt"]);
});

Deno.test("a code that no finished file may have is warned of, and ignored", async () => {
  for (const code of ["u", "a.u", "a/b", "x".repeat(300)]) {
    using at = folder();
    const { code: exit, stderr } = await run(
      [ours.multilog, "s4096", `w${code}`, "./log"],
      { cwd: at.path, stdin: numbered(0, 2000) },
    );
    assertEquals(exit, 0);
    assertMatch(stderr, /^multilog: warning: w\S+: ignored, [^\n]+\n$/);
    assertEquals(codes(`${at.path}/log`), ["s"]);
  }
});

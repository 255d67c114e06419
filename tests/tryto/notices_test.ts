import { assert, assertEquals, assertMatch } from "@std/assert";
import { encode } from "../../src/bytes.ts";
import { close, write } from "../../src/sys/descriptors.ts";
import { open } from "../../src/sys/files.ts";
import { openInput } from "../../src/tryto/input.ts";
import {
  keptMessage,
  leaveNotices,
  Notices,
  NOTICES_MAX,
} from "../../src/tryto/notices.ts";
import { folder, latin1, ours, run, soon } from "../tools.ts";

function shortened(...texts: string[]): string {
  const notices = new Notices();
  for (const text of texts) notices.add(encode(text));
  return latin1(notices.bytes());
}

const line = (n: number) => `${n}`.padStart(9) + "\n";
const LEFT_OUT = /^tryto: warning: (\d+) bytes of notices left out\n/m;

Deno.test("notices are whole up to 64 KiB", () => {
  const text = "x".repeat(NOTICES_MAX - 1) + "\n";
  assertEquals(shortened(text), text);
  assertEquals(shortened("one\n", "two\n"), "one\ntwo\n");
});

Deno.test("beyond 64 KiB the middle is left out and counted, again and again", () => {
  let kept = "";
  let added = 0;
  for (let n = 0; n < 50_000; n++) {
    // Each failure adds to what is left of the notices before it.
    if (n % 1000 === 0) kept = shortened(kept);
    kept += line(n);
    added += line(n).length;
  }
  kept = shortened(kept);
  assert(kept.length <= NOTICES_MAX, `${kept.length} bytes`);
  assert(kept.length > NOTICES_MAX / 2, `${kept.length} bytes`);
  assert(kept.startsWith(line(0) + line(1)));
  assert(kept.endsWith(line(49_998) + line(49_999)));
  const cut = LEFT_OUT.exec(kept)!;
  assertEquals(Number(cut[1]) + kept.length - cut[0].length, added);
  assertEquals(kept.match(/left out/g)!.length, 1);
  // Whole lines on both sides of it.
  for (const one of kept.replace(LEFT_OUT, "").trimEnd().split("\n")) {
    assertEquals(one.length, 9, one);
  }
});

Deno.test("a line that is longer than all notices may be is cut", () => {
  const kept = shortened("x".repeat(1_000_000));
  assert(kept.length <= NOTICES_MAX);
  const cut = LEFT_OUT.exec(kept)!;
  const rest = kept.length - cut[0].length - 1;
  assertEquals(Number(cut[1]) + rest + 1, 1_000_000 + 0);
});

Deno.test("notices that weren't sent yet come before new ones", () => {
  using at = folder();
  const file = (name: string, text: string, mode: "read" | "overwrite") => {
    Deno.writeTextFileSync(`${at.path}/${name}`, text);
    return open(`${at.path}/${name}`, mode);
  };
  const state = file("state", "old\n", "read");
  const newstate = file("newstate", "", "overwrite");
  write(newstate, encode("new\n"));
  using input = openInput(state, 4, () => {});
  assert(leaveNotices(newstate, input, "last\n"));
  const text = () => Deno.readTextFileSync(`${at.path}/newstate`);
  assertEquals(text(), "old\nnew\nlast\n");
  // Who has the same open file, prog's children say, writes on after it.
  write(newstate, encode("more\n"));
  assertEquals(text(), "old\nnew\nlast\nmore\n");
  close(state);
  close(newstate);
});

Deno.test("a kept log is named by its directory and time", () => {
  using at = folder();
  const dir = open(at.path, "read");
  const name = "@400000003b9aca09000001f4.u";
  for (const one of [name, "previous"]) {
    Deno.writeTextFileSync(`${at.path}/${one}`, "a line\n");
    Deno.utimeSync(`${at.path}/${one}`, 1_000_000_000, 1_000_000_000);
  }
  for (
    const [one, label] of [
      [name, name.slice(0, -2)],
      ["previous", "@400000003b9aca0a00000000"],
    ] as const
  ) {
    const log = open(one, "read", 0, dir);
    assertEquals(
      keptMessage(7, log, dir, "child crashed, exit code 3"),
      `kept 7 bytes of ${at.path} ${label}, ` +
        "not sent since 2001-09-09T01:46:40Z: child crashed, exit code 3",
    );
    close(log);
  }
  close(dir);
});

Deno.test("of what a program writes to standard error without end the middle isn't read", async () => {
  using at = folder();
  const write = (name: string, text: string) =>
    Deno.writeTextFileSync(`${at.path}/${name}`, text);
  write("log", "line\n");
  write("state", "");
  const words = [ours.tryto, "-p", "-n1", "sh", "-c"];
  // As large as no one could write, or read.
  const prog =
    "echo first >&2; truncate -s 1T /proc/self/fd/2; echo >&2; exit 1";
  const { code } = await soon(
    "it ends",
    run([...words, prog], {
      cwd: at.path,
      redirections: "<log >processed 4<state 5>>newstate",
    }),
    60,
  );
  assertEquals(code, 0);
  const told = Deno.readTextFileSync(`${at.path}/newstate`);
  assert(told.startsWith("first\n"));
  assertMatch(told, LEFT_OUT);
  assertMatch(told, /^tryto: fatal: child crashed, giving up\.\n$/m);
  assertEquals(Deno.readTextFileSync(`${at.path}/processed`), "line\n");
});

/**
 * What a start makes of everything that a cut-off run can have left: each row
 * of the design's table, beside the original, which is started on the same
 * left-overs.
 */
import { assertEquals } from "@std/assert";
import { copySync } from "@std/fs";
import { folder, inParallel, ours, run, testWith, until } from "../tools.ts";
import { type Entry, finished, look, ORIGINAL, start } from "./harness.ts";

type LeftOver = Record<string, Entry>;

function put(path: string, files: LeftOver): void {
  Deno.mkdirSync(path, { mode: 0o700 });
  for (const [name, { mode, text }] of Object.entries(files)) {
    Deno.writeTextFileSync(`${path}/${name}`, text);
    Deno.chmodSync(`${path}/${name}`, parseInt(mode, 8));
  }
}

/** What is there, with a number in place of each old file's time. */
function plain(path: string): LeftOver {
  const entries = look(path);
  let n = 0;
  return Object.fromEntries(
    Object.entries(entries).map(([name, entry]) => [
      name.startsWith("@") ? `${++n}${name.slice(25)}` : name,
      entry,
    ]),
  );
}

/** Each way in which a file of a log can be there, or not. */
function ways(name: string, ...modes: string[]): LeftOver[] {
  return [
    {},
    ...modes.map((mode) => ({ [name]: { mode, text: `${name} ${mode}\n` } })),
  ];
}

function leftOvers(): LeftOver[] {
  const all: LeftOver[] = [];
  for (const current of ways("current", "600", "644", "744")) {
    for (const previous of ways("previous", "644", "744")) {
      for (const processed of ways("processed", "644", "744")) {
        for (const state of ways("state", "644")) {
          for (const newstate of ways("newstate", "644")) {
            all.push({
              ...current,
              ...previous,
              ...processed,
              ...state,
              ...newstate,
            });
          }
        }
      }
    }
  }
  return all;
}

testWith(
  [ORIGINAL],
  `restart: every combination of left-overs, as the original`,
  async () => {
    using at = folder();
    let n = 0;
    await inParallel(leftOvers(), async (files) => {
      const name = `${++n}`;
      const said: Record<string, unknown> = {};
      for (const program of [ORIGINAL, ours.multilog]) {
        const cwd = `${at.path}/${name}${program === ORIGINAL ? "o" : ""}`;
        Deno.mkdirSync(cwd);
        put(`${cwd}/log`, files);
        const script = ["n20", "./log"];
        const { code, stderr } = await run([program, ...script], {
          cwd,
          stdin: "new\n",
        });
        said[program] = { code, stderr, left: plain(`${cwd}/log`) };
      }
      // A state is complete, and what it says still to be heard. And where the
      // last run ended well the original doesn't look for what it would write
      // over.
      const ended = files["current"]?.mode === "744";
      const { left } = said[ORIGINAL] as { left: LeftOver };
      if (files["state"]) left["state"] = files["state"];
      if (ended) {
        const { current, lock, state } = left;
        const { previous, processed } = files;
        const old = processed?.mode === "744" ? processed : previous;
        const code = processed?.mode === "744" ? "s" : "u";
        (said[ORIGINAL] as { left: LeftOver }).left = {
          ...(old && { [`1.${code}`]: old }),
          ...(current && { current }),
          ...(lock && { lock }),
          ...(state && { state }),
        };
      }
      assertEquals(said[ours.multilog], said[ORIGINAL], JSON.stringify(files));
    });
    assertEquals(n, 144);
  },
);

Deno.test("restart: the design's table, row by row", async () => {
  const done = { mode: "744", text: "done\n" };
  const cut = { mode: "644", text: "cut\n" };
  const rows: [name: string, left: LeftOver, becomes: LeftOver][] = [
    [
      "nothing",
      {},
      {},
    ],
    [
      "a current that is complete is continued",
      { current: done, state: cut },
      { current: { mode: "744", text: "done\nnew\n" }, state: cut },
    ],
    [
      "a current that isn't becomes .u, and the new state goes",
      { current: cut, state: cut, newstate: cut },
      { "1.u": cut, state: cut },
    ],
    [
      "a processed that isn't complete goes, previous becomes .u",
      { current: cut, previous: done, processed: cut, newstate: cut },
      { "1.u": done, "2.u": cut },
    ],
    [
      "a processed that is complete becomes .s, previous goes",
      { current: cut, previous: cut, processed: done, newstate: cut },
      { "1.s": done, "2.u": cut },
    ],
    [
      "a processed that is complete, without previous",
      { current: cut, processed: done, state: cut },
      { "1.s": done, "2.u": cut, state: cut },
    ],
    [
      "a new state that is complete, without processed, becomes the state",
      { current: cut, newstate: done, state: cut },
      { "1.u": cut, state: { mode: "744", text: "done\n" } },
    ],
    [
      "no current: cut off between its old name and the new file",
      { previous: done },
      { "1.u": done },
    ],
  ];
  await inParallel(rows, async ([name, left, becomes]) => {
    using at = folder();
    put(`${at.path}/log`, left);
    const { code, stderr } = await run(
      [ours.multilog, "./log"],
      { cwd: at.path, stdin: "new\n" },
    );
    assertEquals({ code, stderr }, { code: 0, stderr: "" });
    assertEquals(plain(`${at.path}/log`), {
      current: { mode: "744", text: "new\n" },
      lock: { mode: "600", text: "" },
      state: { mode: "644", text: "" },
      ...becomes,
    }, name);
  });
});

testWith(
  [ORIGINAL],
  "restart: cut off by the original between link and unlink",
  async () => {
    using at = folder();
    const linked = (name: string, code: string) => ({
      name,
      old: `@400000004c3f5e2d1bcd1234.${code}`,
    });
    for (
      const { name, old } of [
        linked("current", "s"),
        linked("previous", "u"),
        linked("processed", "s"),
      ]
    ) {
      put(`${at.path}/log`, {
        [name]: { mode: name === "processed" ? "744" : "644", text: "once\n" },
      });
      Deno.linkSync(`${at.path}/log/${name}`, `${at.path}/log/${old}`);
      copySync(`${at.path}/log`, `${at.path}/other`);
      Deno.removeSync(`${at.path}/other/${old}`);
      Deno.linkSync(`${at.path}/other/${name}`, `${at.path}/other/${old}`);
      const options = { cwd: at.path, stdin: "" };
      await run([ours.multilog, "./log"], options);
      await run([ORIGINAL, "./other"], options);
      assertEquals(look(`${at.path}/log`), look(`${at.path}/other`), name);
      assertEquals(look(`${at.path}/log`)[old]!.text, "once\n");
      Deno.removeSync(`${at.path}/log`, { recursive: true });
      Deno.removeSync(`${at.path}/other`, { recursive: true });
    }
  },
);

testWith(
  [ORIGINAL],
  "restart: old files go when one is added, as with the original",
  async () => {
    using at = folder();
    const file = { mode: "744", text: "" };
    const old: LeftOver = {};
    for (let i = 0; i < 6; i++) {
      old[`@400000004c3f5e2d0000000${i}.s`] = { ...file, text: `${i}\n` };
    }
    const cut = { mode: "644", text: "cut\n" };
    for (
      const files of [
        old,
        { ...old, current: file },
        { ...old, current: cut },
        { ...old, previous: cut, current: cut },
      ]
    ) {
      const left = [];
      for (const program of [ORIGINAL, ours.multilog]) {
        put(`${at.path}/log`, files);
        await run([program, "n3", "./log"], { cwd: at.path, stdin: "" });
        left.push(plain(`${at.path}/log`));
        Deno.removeSync(`${at.path}/log`, { recursive: true });
      }
      assertEquals(left[1], left[0]);
    }
  },
);

testWith(
  [ORIGINAL],
  "restart: a hard link that somebody made loses nothing",
  async () => {
    using at = folder();
    put(`${at.path}/log`, { current: { mode: "644", text: "once\n" } });
    Deno.linkSync(`${at.path}/log/current`, `${at.path}/backup`);
    await run([ours.multilog, "./log"], { cwd: at.path, stdin: "" });
    assertEquals(plain(`${at.path}/log`)["1.u"]?.text, "once\n");
  },
);

testWith(
  [ORIGINAL],
  "restart: ours continues the original's log, and the original ours",
  async () => {
    using at = folder();
    const options = (n: number) => ({ cwd: at.path, stdin: `line ${n}\n` });
    const script = ["s4096", "!cat; cat <&4 >&5; echo run >&5", "./log"];
    for (let n = 0; n < 6; n++) {
      const program = n % 2 ? ORIGINAL : ours.multilog;
      const { code, stderr } = await run([program, ...script], options(n));
      assertEquals({ code, stderr }, { code: 0, stderr: "" });
    }
    assertEquals(
      look(`${at.path}/log`)["current"],
      {
        mode: "744",
        text: Array.from({ length: 6 }, (_, n) => `line ${n}\n`).join(""),
      },
    );
    // Both hand the state on to the other.
    for (const program of [ours.multilog, ORIGINAL, ours.multilog]) {
      await run([program, ...script], {
        cwd: at.path,
        stdin: "x".repeat(4000) + "\n",
      });
    }
    const { state } = look(`${at.path}/log`);
    assertEquals(state?.text, "run\n".repeat(3));
  },
);

Deno.test("restart: what waits is processed at once, oldest first, and what is done isn't again", async () => {
  using at = folder();
  const path = `${at.path}/log`;
  const name = (n: number) => `@400000004c3f5e2d0000000${n}`;
  put(path, {
    // Cut off when it had been processed.
    [`${name(1)}.u`]: { mode: "744", text: "1\n" },
    [`${name(1)}.s`]: { mode: "644", text: "one\n" },
    [`${name(2)}.u`]: { mode: "744", text: "2\n" },
    [`${name(3)}.u`]: { mode: "644", text: "3\n" },
    previous: { mode: "744", text: "4\n" },
    current: { mode: "644", text: "5\n" },
    state: { mode: "644", text: "state\n" },
  });
  const { code, stderr } = await run(
    [ours.multilog, "!cat; cat <&4 >&5; echo run >&5", "./log"],
    { cwd: at.path, stdin: "new\n" },
  );
  assertEquals({ code, stderr }, { code: 0, stderr: "" });
  const files = look(path);
  assertEquals(
    Object.values(files).map(({ text }) => text),
    [
      "one\n",
      "2\n",
      "3\n",
      "4\n",
      "5\n",
      "new\n",
      "",
      "state\n" + "run\n".repeat(4),
    ],
  );
  assertEquals(
    Object.keys(files).slice(0, 3),
    [1, 2, 3].map((n) => `${name(n)}.s`),
  );
  assertEquals(files["state"]!.mode, "644");
});

Deno.test("restart: the empty mark of a file that is done stays while that file is there, so it isn't processed again", async () => {
  using at = folder();
  const path = `${at.path}/log`;
  const name = (n: number) => `@400000004c3f5e2d0000000${n}`;
  put(path, {
    [`${name(1)}.s`]: { mode: "744", text: "kept\n" },
    // Cut off before the waiting file was removed. With `current`, which is cut
    // off too, there are more files than may be.
    [`${name(2)}.s`]: { mode: "744", text: "" },
    [`${name(2)}.u`]: { mode: "744", text: "done\n" },
    current: { mode: "644", text: "cut off\n" },
  });
  const { code, stderr } = await run(
    [ours.multilog, "n3", "!cat >>../out", "./log"],
    { cwd: at.path, stdin: "" },
  );
  assertEquals({ code, stderr }, { code: 0, stderr: "" });
  assertEquals(Deno.readTextFileSync(`${at.path}/out`), "cut off\n");
  assertEquals(Object.keys(look(path)).filter((name) => /u$/.test(name)), []);
});

Deno.test("restart: a previous that comes while multilog runs is not overwritten, and processed by the next run", async () => {
  using at = folder();
  const path = `${at.path}/log`;
  const script = ["s4096", "!cat", "./log"];
  {
    await using log = await start(script, { cwd: at.path });
    Deno.writeTextFileSync(`${path}/previous`, "somebody's\n");
    for (const n of [1, 2, 3]) {
      await log.write(`${n}`.repeat(3000) + "\n");
      log.signal("SIGALRM");
      await until("it is processed", () => finished(path).length === n);
    }
    assertEquals(await log.finish(), 0);
  }
  assertEquals(Deno.readTextFileSync(`${path}/previous`), "somebody's\n");
  await run([ours.multilog, ...script], { cwd: at.path, stdin: "" });
  assertEquals(
    finished(path).map((name) => Deno.readTextFileSync(`${path}/${name}`)),
    [..."123"].map((n) => n.repeat(3000) + "\n").concat("somebody's\n"),
  );
});

Deno.test("restart: old files with lines stay while the processor is about to make room", async () => {
  using at = folder();
  const path = `${at.path}/log`;
  put(path, {
    "@400000004c3f5e2d00000001.s": { mode: "744", text: "kept\n" },
    "@400000004c3f5e2d00000002.u": { mode: "744", text: "waiting\n" },
    current: { mode: "644", text: "cut off\n" },
  });
  const { code, stderr } = await run(
    [ours.multilog, "n3", "!cat >>../out", "./log"],
    { cwd: at.path, stdin: "" },
  );
  assertEquals({ code, stderr }, { code: 0, stderr: "" });
  assertEquals(
    Deno.readTextFileSync(`${at.path}/out`),
    "waiting\ncut off\n",
  );
  // What the others have become is empty, and goes before what isn't.
  assertEquals(
    finished(path).map((name) => Deno.readTextFileSync(`${path}/${name}`)),
    ["kept\n", ""],
  );
});

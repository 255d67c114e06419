/**
 * What runs inside multilog: which processors do, and that multilog goes on
 * whatever becomes of them.
 */
import { assert, assertEquals } from "@std/assert";
import { plainWords } from "../../src/inside.ts";
import { startOurs } from "../socklog/servers.ts";
import { folder, latin1, ours, run, testWith, until } from "../tools.ts";

Deno.test("a command is plain when a shell would only split it into words", () => {
  const cases: [command: string, words: string[] | undefined][] = [
    ["tryto -pv cat", ["tryto", "-pv", "cat"]],
    ["  tryto\t-n1  cat ", ["tryto", "-n1", "cat"]],
    [
      "/a/tryto -pv socklog-tcp send -T2+58 ::1 10116",
      ["/a/tryto", "-pv", "socklog-tcp", "send", "-T2+58", "::1", "10116"],
    ],
    ["tryto a=b", ["tryto", "a=b"]],
    ["a=b tryto cat", undefined],
    ["", undefined],
    [" ", undefined],
  ];
  for (const [command, words] of cases) {
    assertEquals(plainWords(command), words, command);
  }
  for (const character of "\n\"'`$&|;<>()[]{}*?~#!\\^") {
    assertEquals(plainWords(`tryto a${character}b`), undefined, character);
  }
});

const bin = ours.multilog.replace(/\/[^/]*$/, "");

/**
 * Has a multilog process one file, under strace.
 *
 * @returns The programs that were started, and what became of the file
 */
async function started(processor: string, at: string, path = bin) {
  const { code, stderr } = await run(
    // A file for each process: in one, calls would interrupt each other.
    ["strace", "-ff", "-o", "trace", "-e", "trace=execve"]
      .concat(ours.multilog, "s4096", `!${processor}`, "./log"),
    {
      cwd: at,
      stdin: `${"x".repeat(3000)}\n`,
      env: { PATH: `${path}:${Deno.env.get("PATH")}` },
    },
  );
  assertEquals([code, stderr], [0, ""]);
  const trace = [...Deno.readDirSync(at)].map(({ name }) =>
    name.startsWith("trace.") ? Deno.readTextFileSync(`${at}/${name}`) : ""
  ).join("");
  const programs = [...trace.matchAll(/execve\("([^"]+)".*= 0$/gm)]
    .map(([, program]) => program!.replace(/.*\//, ""));
  const log = `${at}/log`;
  const names = [...Deno.readDirSync(log)].map(({ name }) => name)
    .filter((name) => name.startsWith("@"));
  return {
    programs: programs.filter((name) => name !== "multilog").sort(),
    kept: names.map((name) => latin1(Deno.readFileSync(`${log}/${name}`)))
      .join(""),
  };
}

testWith(
  ["strace"],
  "only plain commands of our own programs run inside",
  async (t) => {
    const kept = `${"x".repeat(3000)}\n`;
    const cases: [processor: string, programs: string[], kept: string][] = [
      ["tryto -p socklog-tcp send -q 127.0.0.1 1", [], kept],
      ["tryto -pn1 cat", ["cat"], kept],
      ["tryto -n1 cat", ["cat"], kept],
      [`${bin}/tryto -pn1 ${bin}/socklog-tcp send -q 127.0.0.1 1`, [], kept],
      ["exec tryto -n1 cat", ["sh", "tryto", "cat"].slice(1), kept],
      ["cat", ["cat"], kept],
      ["tryto -n1 socklog-tcp --version", ["socklog-tcp"], "socklog-tcp"],
    ];
    for (const [processor, programs, text] of cases) {
      await t.step(processor, async () => {
        using at = folder();
        const found = await started(
          processor.replace("tryto -p ", "tryto -pn1 "),
          at.path,
        );
        const shells = programs[0] === "tryto" || processor === "cat"
          ? ["sh"]
          : [];
        assertEquals(found.programs, [...shells, ...programs].sort());
        assert(found.kept.startsWith(text), found.kept.slice(0, 100));
      });
    }
  },
);

testWith(
  ["strace"],
  "another program of the same name runs as a process of its own",
  async () => {
    using at = folder();
    Deno.mkdirSync(`${at.path}/bin`);
    Deno.writeTextFileSync(
      `${at.path}/bin/tryto`,
      "#!/bin/sh\necho another\n",
      {
        mode: 0o755,
      },
    );
    const { programs, kept } = await started(
      "tryto -p cat",
      at.path,
      `${at.path}/bin`,
    );
    assertEquals(programs, ["sh", "tryto"]);
    assertEquals(kept, "another\n");
  },
);

/** Starts a multilog that sends its files to a port, from inside. */
function sendingTo(port: number, cwd: string, keep: string, tryto: string) {
  const processor = `!${tryto} socklog-tcp send 127.0.0.1 ${port}`;
  return new Deno.Command(ours.multilog, {
    args: ["s4096", keep, processor, "./log"],
    cwd,
    env: { PATH: bin },
    stdin: "piped",
    stderr: "piped",
  }).spawn();
}

Deno.test("lines are read and written while a sender runs inside", async () => {
  using at = folder();
  // A server that takes nothing and says nothing.
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr as Deno.NetAddr;
  const child = sendingTo(port, at.path, "n20", "tryto -pt3 -n1");
  const writer = child.stdin.getWriter();
  const write = (text: string) =>
    writer.write(new TextEncoder().encode(`${text}\n`));
  await write("x".repeat(3000));
  const connection = await listener.accept();
  const delays: number[] = [];
  const current = `${at.path}/log/current`;
  for (let n = 0; n < 100; n++) {
    const start = performance.now();
    await write(`line ${n}`);
    await until("it is written", () => {
      try {
        return Deno.readTextFileSync(current).endsWith(`line ${n}\n`);
      } catch {
        return false;
      }
    });
    delays.push(performance.now() - start);
  }
  delays.sort((a, b) => a - b);
  // The test itself looks every five milliseconds; a busy machine adds to it.
  assert(delays[50]! < 50, `${delays[50]} ms`);
  await until("it is kept", () => {
    const log = [...Deno.readDirSync(`${at.path}/log`)];
    return log.some(({ name }) => name.endsWith(".s"));
  });
  connection.close();
  await writer.close();
  const { code, stderr } = await child.output();
  assertEquals([code, new TextDecoder().decode(stderr)], [0, ""]);
  assertEquals(
    Deno.readTextFileSync(`${at.path}/log/state`).split("\n").at(-2),
    "tryto: fatal: child timed out, giving up.",
  );
});

Deno.test("notices of all failures arrive, over restarts and kills", async () => {
  using at = folder();
  const nobody = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = nobody.addr as Deno.NetAddr;
  nobody.close();
  const script = [
    "s4096",
    "n20",
    `!tryto -pn1 socklog-tcp send 127.0.0.1 ${port}`,
    "./log",
  ];
  // One file that is big enough, and a line that stays in `current`.
  const log = (text: string) =>
    run([ours.multilog, ...script], {
      cwd: at.path,
      stdin: `${text.padEnd(3000)}\nrest\n`,
      env: { PATH: bin },
    });
  for (const text of ["one", "two", "three"]) {
    const { code, stderr } = await log(text);
    assertEquals([code, stderr], [0, ""]);
    // As a KILL leaves it: the next run processes it first.
    Deno.chmodSync(`${at.path}/log/current`, 0o644);
  }
  using listener = Deno.listen({ hostname: "127.0.0.1", port });
  const sending = log("four");
  const got: string[] = [];
  for (let n = 0; n < 2; n++) {
    const connection = await listener.accept();
    got.push(await new Response(connection.readable).text());
  }
  assertEquals((await sending).code, 0);
  const [first = "", second] = got;
  const kept = /^tryto: warning: kept (\d+) bytes of (\S+) @4[0-9a-f]{23}, /gm;
  const told = [...first.matchAll(kept)].map(([, bytes, place]) => [
    Number(bytes),
    place,
  ]);
  const place = Deno.realPathSync(`${at.path}/log`);
  assertEquals(told, [3001, 5, 3001, 5, 3001].map((bytes) => [bytes, place]));
  assertEquals(first.match(/giving up/g)?.length, 5);
  assert(first.endsWith("giving up.\nrest\n"), first);
  assertEquals(second, `${"four".padEnd(3000)}\n`);
  assertEquals(Deno.readTextFileSync(`${at.path}/log/state`), "");
});

Deno.test("a burst of more files than may wait all arrives while the server answers", async () => {
  using at = folder();
  await using server = await startOurs(["@"]);
  const lines: string[] = [];
  for (let n = 0; n < 60; n++) lines.push(`line ${n}`.padEnd(2999) + "\n");
  const { code, stderr } = await run(
    [ours.multilog, "s4096", "n3"]
      .concat(`!tryto -p socklog-tcp send 127.0.0.1 ${server.port}`, "./log"),
    { cwd: at.path, env: { PATH: bin }, stdin: lines.join("") },
  );
  assertEquals([code, stderr], [0, ""]);
  await until("all has arrived", () => server.data.length >= 59 * 3000);
  const all = server.data + Deno.readTextFileSync(`${at.path}/log/current`);
  assertEquals(all, lines.join(""));
  assertEquals(Deno.readTextFileSync(`${at.path}/log/state`), "");
});

Deno.test("a file that has no room to wait is kept without a try, with a notice", async () => {
  using at = folder();
  // It accepts, and says nothing: the first file is under way all the time.
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr as Deno.NetAddr;
  const child = sendingTo(port, at.path, "n3", "tryto -p");
  const writer = child.stdin.getWriter();
  for (let n = 0; n < 6; n++) {
    const line = `line ${n}`.padEnd(2999);
    await writer.write(new TextEncoder().encode(`${line}\n`));
  }
  const state = () => {
    try {
      return Deno.readTextFileSync(`${at.path}/log/state`);
    } catch {
      return "";
    }
  };
  await until("some are kept", () => state().split("\n").length > 2);
  assert(
    /^tryto: warning: kept 3000 bytes of \S+ @4[0-9a-f]{23}, not sent since /
      .test(state()),
    state(),
  );
  assert(state().includes(" files wait"), state());
  child.kill("SIGTERM");
  await writer.close().catch(() => {});
  const { code } = await child.output();
  assertEquals(code, 0);
});

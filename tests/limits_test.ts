/**
 * What README says of limits, number by number, under load.
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { isOpen, setCloseOnExec } from "../src/sys/descriptors.ts";
import {
  AS_NOBODY,
  folder,
  forOthers,
  inCheckout,
  installed,
  latin1,
  ours,
  run,
  testWith,
  until,
} from "./tools.ts";
import {
  finished,
  inOrder,
  numbered,
  oldFiles,
  whole,
} from "./multilog/harness.ts";
import {
  type Connection,
  dial,
  say,
  startOurs,
  transmit,
} from "./socklog/servers.ts";

const LINES = 10_000;

// What the tests were started with would count for what they start.
for (const { name } of Deno.readDirSync("/proc/self/fd")) {
  const fd = Number(name);
  // One of them was opened for this list.
  if (fd > 2 && isOpen(fd)) setCloseOnExec(fd);
}

/** What README says, without its line breaks. */
const readme = Deno.readTextFileSync(inCheckout("README.md"))
  .replace(/\s+/g, " ");

/** A number that README gives, found by the words before it. */
function numberAfter(words: string): number {
  const [, after] = readme.split(words);
  return parseInt(after!);
}

/** What runs inside, what runs in a shell, and what asks for a name as well. */
function processors(port: number): string[] {
  return ["!cat", "!cat | cat; sleep 0.01", "!tryto -n1 cat"]
    .concat(`!tryto -n1 socklog-tcp send localhost ${port}`);
}

/** Runs multilog with limits, under load. */
async function withLimits(
  limits: readonly string[],
  script: readonly string[],
  cwd: string,
  multilog = ours.multilog,
) {
  return await run(
    [...limits, multilog, "s4096", "n9999", ...script],
    {
      cwd,
      stdin: numbered(0, LINES),
      patience: 120,
      env: { PATH: `${inCheckout("dist")}:${Deno.env.get("PATH")}` },
    },
  );
}

testWith(
  ["softlimit"],
  "with the descriptors that README says multilog goes on under load, and with one less it doesn't begin",
  async () => {
    const alone = numberAfter("650000000 and `-o` ");
    const processing = numberAfter("or `-o` ");
    const [more, moreProcessing] = [12, 22];
    assert(
      readme.includes(`needs ${more} descriptors more, or ${moreProcessing}.`),
    );
    await using server = await startOurs(["-RHl0", "@"]);
    const rows: [number, string[]][] = [
      [alone, ["./log"]],
      [alone + more, ["./log", "./other"]],
      [processing + moreProcessing, ["!cat", "./log", "./other"]],
      ...processors(server.port).map((processor): [number, string[]] => {
        return [processing, [processor, "./log"]];
      }),
    ];
    for (const [number, script] of rows) {
      const softlimit = (o: number) => [installed("softlimit")!, "-o", `${o}`];
      using at = folder();
      const little = await withLimits(softlimit(number - 1), script, at.path);
      assertEquals(little.code, 111, script.join(" "));
      assertEquals(
        little.stderr,
        "multilog: fatal: unable to go on with so few descriptors, " +
          "1 are missing (softlimit -o)\n",
      );
      assertEquals([...Deno.readDirSync(at.path)], []);
      const enough = await withLimits(softlimit(number), script, at.path);
      assertEquals([enough.code, enough.stderr], [0, ""], script.join(" "));
      assert(finished(`${at.path}/log`).length > 10);
      if (!script[0]!.includes("send")) {
        assertEquals(inOrder(whole(`${at.path}/log`)), LINES);
      }
    }
  },
);

testWith(
  ["softlimit"],
  "with the data that README says multilog goes on under load, and with one byte less it doesn't begin",
  async () => {
    const data = numberAfter("multilog needs `-d` ");
    const softlimit = (d: number) => [installed("softlimit")!, "-d", `${d}`];
    using at = folder();
    const little = await withLimits(softlimit(data - 1), ["./log"], at.path);
    assertEquals([little.code, little.stderr], [
      111,
      `multilog: fatal: unable to go on with ${data - 1} bytes of data, ` +
      `${data} are needed (softlimit -d)\n`,
    ]);
    await using server = await startOurs(["-RHl0", "@"]);
    for (const processor of processors(server.port)) {
      using at = folder();
      const script = ["e", "R", "-.*", "+([0-9]{2,9}|x)+7*", "+.*", "S"]
        .concat(processor, "./log");
      const { code, stderr } = await withLimits(
        softlimit(data),
        script,
        at.path,
      );
      assertEquals(code, 0, stderr.slice(-200));
      assert(finished(`${at.path}/log`).length > 10);
    }
  },
);

testWith(
  ["softlimit", "root", "setpriv"],
  "with the stack and the processes that README says multilog goes on under load",
  async () => {
    const stack = numberAfter("need `-s` ");
    const processes = numberAfter("and a `-p` of ");
    using bin = folder();
    const multilog = forOthers(bin.path, ours.multilog);
    // A user that nobody is: whatever else it ran would count as well.
    const id = 1_800_000_000 + Deno.pid;
    for (const processor of ["", ...processors(0).slice(0, 3)]) {
      using at = folder();
      Deno.chmodSync(at.path, 0o777);
      const limits = ["setpriv", `--reuid=${id}`, `--regid=${id}`].concat(
        ["--clear-groups", installed("softlimit")!],
        ["-s", `${stack}`, "-p", `${processes}`],
      );
      const script = processor === "" ? ["./log"] : [processor, "./log"];
      const { code, stderr } = await withLimits(
        limits,
        script,
        at.path,
        multilog,
      );
      assertEquals([code, stderr], [0, ""], processor);
      assertEquals(inOrder(whole(`${at.path}/log`)), LINES);
    }
  },
);

testWith(
  ["softlimit"],
  "with the data that README says a log server goes on when its memory is full, and with one byte less it doesn't begin",
  async () => {
    const data = numberAfter("`socklog-tcp` needs `-d` ");
    const softlimit = (d: number) => [installed("softlimit")!, "-d", `${d}`];
    const little = await run(
      [...softlimit(data - 1), ours.socklogTcp, "-RHl0", "127.0.0.1", "0"],
      { patience: 20 },
    );
    assertEquals([little.code, little.stderr], [
      111,
      `socklog-tcp: fatal: unable to go on with ${data - 1} bytes of data, ` +
      `${data} are needed (softlimit -d)\n`,
    ]);
    await using server = await startOurs(["-RHl0", "-c", "2500", "@"], {
      through: softlimit(data),
    });
    const connections: Connection[] = [];
    const long = "x".repeat(60_000);
    try {
      for (let i = 0; i < 2300; i++) {
        const connection = await dial(server.port);
        connections.push(connection);
        await say(connection, long);
      }
      await until("it is full", () => server.data.length > 60_000);
      await transmit(server.port, "a line\n");
      await until("it is served", () => server.data.includes("\na line\n"));
      assertEquals(server.messages, "");
    } finally {
      server.reading = false;
      for (const connection of connections) connection.close();
    }
  },
);

testWith(
  ["root", "setpriv"],
  "with the descriptors that README says a log server with a script goes on under load, and with one less it doesn't begin",
  async () => {
    const script = numberAfter("and, with a script of one log, `-o` ");
    const processing = numberAfter("a script of one log, `-o` 46, or `-o` ");
    const rows: [number, string[]][] = [
      [script, ["multilog", "s4096", "n9999", "./log"]],
      [script + 12, ["multilog", "s4096", "n9999", "./log", "./other"]],
      [processing, ["multilog", "s4096", "n9999", "!cat", "./log"]],
    ];
    using bin = folder();
    const program = forOthers(bin.path, ours.socklogTcp);
    for (const [number, words] of rows) {
      using at = folder();
      Deno.chmodSync(at.path, 0o777);
      // Root may raise any limit.
      const through = (o: number) =>
        [...AS_NOBODY, "sh", "-c"]
          .concat('ulimit -n "$0"; exec "$@"', `${o}`);
      const args = ["-a", "-c4", "-RHl0"];
      const little = await run(
        [...through(number - 1), program, ...args, "127.0.0.1", "0"]
          .concat(words),
        { cwd: at.path, patience: 20 },
      );
      assertEquals([little.code, little.stderr], [
        111,
        "socklog-tcp: fatal: unable to go on with so few descriptors, " +
        "1 are missing (softlimit -o)\n",
      ], words.join(" "));
      assertEquals([...Deno.readDirSync(at.path)], []);
      await using server = await startOurs([...args, "@", ...words], {
        cwd: at.path,
        name: program,
        through: through(number),
      });
      const lines = numbered(0, LINES);
      for (let i = 0; i < 3; i++) {
        assertEquals(await transmit(server.port, lines), `${lines.length}\n`);
      }
      assertEquals(await server.stop(), 0);
      assertMatch(
        server.messages,
        /^socklog-tcp: warning: 4 connections need \d+ descriptors, .*\n$/,
      );
      for (const log of words.filter((word) => word.startsWith("./"))) {
        // Some may wait for the processor.
        assert(oldFiles(`${at.path}/${log}`).length > 10);
        assertEquals(whole(`${at.path}/${log}`), lines.repeat(3));
      }
    }
  },
);

testWith(
  ["softlimit"],
  "check-limits tells which limits leave too little",
  async () => {
    const script = inCheckout("scripts/examples/check-limits");
    const well = await run([script]);
    assertEquals([well.code, well.text], [0, ""]);
    for (
      const [option, number, words] of [
        ["-m", 100_000_000, /^softlimit -m or -a, ulimit -v: it is 100000000/],
        ["-d", 899_999_999, /^softlimit -d, .* must be 900000000; 650000000 /],
        ["-s", 199_000, /^softlimit -s, .* must be 200000$/m],
        ["-o", 55, /^softlimit -o, .* must be 56; 42 for multilog alone; /],
      ] as const
    ) {
      const { code, stdout } = await run(
        [installed("softlimit")!, option, `${number}`, script],
      );
      assertEquals(code, 1, option);
      assertMatch(latin1(stdout), words);
    }
  },
);

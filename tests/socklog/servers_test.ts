/** `send host,host2 …`: several log servers, of which one is enough. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { UsageError } from "../../src/getopt.ts";
import { parseServers } from "../../src/socklog/servers.ts";
import { bothWays, sender } from "../inside/_ways.ts";
import {
  folder,
  freePort,
  inTime,
  ours,
  run,
  Running,
  until,
} from "../tools.ts";
import { silent, startOurs } from "./servers.ts";

const HOST = "127.0.0.1";

Deno.test("in a list of servers, each host has a port or none", () => {
  const cases: [list: string, servers: [host: string, port: string][]][] = [
    ["loghost", [["loghost", "1"]]],
    ["a,b:2,192.0.2.1:syslog", [["a", "1"], ["b", "2"], [
      "192.0.2.1",
      "syslog",
    ]]],
    ["::1,2001:db8::1", [["::1", "1"], ["2001:db8::1", "1"]]],
    ["[::1],[::1]:2,0:3", [["::1", "1"], ["::1", "2"], ["0", "3"]]],
  ];
  for (const [list, servers] of cases) {
    assertEquals(
      parseServers(list, "1"),
      servers.map(([host, port]) => ({ host, port })),
    );
  }
  for (const list of ["", "a,", ",a", "a,,b", "a:", ":1", "[]:1", "[::1]:"]) {
    assertThrows(() => parseServers(list, "1"), UsageError, undefined, list);
  }
});

/** Sends a file to servers on this machine, given by their ports. */
async function sendFile(ports: readonly number[], options: readonly string[]) {
  using at = folder();
  Deno.writeTextFileSync(`${at.path}/file`, "one\ntwo\n");
  const list = ports.map((port) => `${HOST}:${port}`).join(",");
  return await run(
    ["sh", "-c", 'exec "$@" <file', "sh", ...sender(), "send", "-v"]
      .concat(options, list, "9"),
    { cwd: at.path },
  );
}

bothWays(
  "a server that was killed is passed over, with a warning",
  async () => {
    // No port that the next server, or anybody's, may be given.
    const killed = await startOurs(["-RHl0", HOST, `${freePort()}`]);
    killed.kill("SIGKILL");
    await killed.code();
    await using server = await startOurs(["-aRHl0", "@"]);
    const { code, stderr } = await sendFile([killed.port, server.port], ["-a"]);
    assertEquals(
      stderr,
      `socklog-tcp: warning: unable to connect to ${HOST} port ${killed.port}: connection refused\n` +
        `socklog-tcp: connected to ${HOST} port ${server.port}\n`,
    );
    assertEquals([code, server.data], [0, "one\ntwo\n"]);
  },
);

bothWays("a server that hangs has its share of the time", async () => {
  using hanging = silent();
  const hung = hanging.end.port;
  await using server = await startOurs(["-aRHl0", "@"]);
  const { seconds, result: { code, stderr } } = await inTime(
    4,
    () => sendFile([hung, server.port], ["-a", "-T1+30"]),
  );
  const timedOut = `unable to connect to ${HOST} port ${hung}: timed out\n`;
  assertEquals(
    stderr,
    `socklog-tcp: warning: ${timedOut}` +
      `socklog-tcp: connected to ${HOST} port ${server.port}\n`,
  );
  assertEquals([code, server.data], [0, "one\ntwo\n"]);
  assert(seconds >= 0.5, `${seconds} s`);
  // All of it, where there is no other.
  const { seconds: all, result: failed } = await inTime(
    1.9,
    () => sendFile([hung, 1], ["-T1+2"]),
  );
  assertEquals(
    [failed.code, failed.stderr],
    [
      111,
      `socklog-tcp: ${timedOut}` +
      `socklog-tcp: unable to connect to ${HOST} port 1: connection refused\n`,
    ],
  );
  assert(all >= 1.5, `${all} s`);
});

bothWays(
  "a file that a server doesn't acknowledge goes to the next, and a pipe's bytes fail",
  async () => {
    await using without = await startOurs(["-RHl0", "@"]);
    await using server = await startOurs(["-aRHl0", "@"]);
    const ports = [without.port, server.port];
    const why = `${HOST} port ${without.port}: no acknowledgement: ` +
      "a server gives it with -a, when all went well\n";
    const { code, stderr } = await sendFile(ports, ["-a"]);
    assertEquals(
      stderr,
      `socklog-tcp: connected to ${HOST} port ${without.port}\n` +
        `socklog-tcp: warning: ${why}` +
        `socklog-tcp: connected to ${HOST} port ${server.port}\n`,
    );
    assertEquals([code, server.data], [0, "one\ntwo\n"]);
    const piped = await run(
      [...sender(), "send", "-a"]
        .concat(`${HOST},${HOST}:${server.port}`, `${without.port}`),
      { stdin: "three\n" },
    );
    assertEquals([piped.code, piped.stderr], [
      111,
      `socklog-tcp: fatal: ${why}`,
    ]);
    assertEquals(server.data, "one\ntwo\n");
  },
);

Deno.test("a server whose name leads nowhere is passed over", async () => {
  await using server = await startOurs(["-RHl0", "@"]);
  const { code, stderr } = await run(
    [ours.socklogTcp, "send", `nowhere.invalid,${HOST}`, `${server.port}`],
    { stdin: "x\n" },
  );
  assertEquals([code, server.data], [0, "x\n"]);
  assert(/^socklog-tcp: warning: [^\n]*nowhere\.invalid[^\n]*\n$/.test(stderr));
});

/** A multilog that sends each line's file to servers. */
function logger(at: string, processor: string): Running {
  return new Running(
    [ours.multilog, "s4096", "n20", `!${processor}`, "./log"],
    {
      cwd: at,
      stdin: "piped",
      env: { PATH: ours.multilog.replace(/\/[^/]*$/, "") },
    },
  );
}

const line = (n: number) => `line ${n}`.padEnd(3000) + "\n";

Deno.test("inside multilog, one that hangs costs the next files nothing for a minute", async () => {
  using at = folder();
  using hanging = silent();
  await using server = await startOurs(["-aRHl0", "@"]);
  const list = `${HOST}:${hanging.end.port},${HOST}:${server.port}`;
  await using multilog = logger(
    at.path,
    `tryto -v socklog-tcp send -a -T4+56 ${list} 9`,
  );
  for (let n = 0; n < 4; n++) {
    const { seconds } = await inTime(n === 0 ? 9 : 0.5, async () => {
      await multilog.write(line(n));
      await until("it arrives", () => server.data.endsWith(line(n)));
    });
    if (n === 0) assert(seconds >= 2, `${seconds} s`);
  }
  assertEquals(await multilog.finish(), 0);
  assertEquals(
    multilog.said,
    `socklog-tcp: warning: unable to connect to ${HOST} port ${hanging.end.port}: timed out\n`,
  );
});

Deno.test("inside multilog, one that stands still keeps a file no longer than tryto's time", async () => {
  using at = folder();
  await using standing = await startOurs(["-aRHl0", "@"]);
  await using server = await startOurs(["-aRHl0", "@"]);
  standing.kill("SIGSTOP");
  const list = `${HOST}:${standing.port},${HOST}:${server.port}`;
  await using multilog = logger(
    at.path,
    `tryto -t1 socklog-tcp send -a ${list} 9`,
  );
  await multilog.write(line(0));
  await until("it arrives", () => server.data === line(0));
  assertEquals(await multilog.finish(), 0);
});

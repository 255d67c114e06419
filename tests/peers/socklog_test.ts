import { assertEquals } from "@std/assert";
import {
  dial,
  finish,
  hear,
  RawSocket,
  say,
  type Server,
  startOriginal,
  startOurs,
  transmit,
} from "../socklog/servers.ts";
import { judge, type Subject } from "../../src/socklog/rules.ts";
import { write } from "../../src/sys/descriptors.ts";
import {
  bytes,
  childrenOf,
  chosenSeed,
  folder,
  installed,
  ours,
  run,
  seeded,
  testWith,
  until,
} from "../tools.ts";

/** Both servers with the same arguments; the original's data is on 2. */
async function both(
  args: readonly string[],
  env: Record<string, string> = {},
): Promise<[Server, Server]> {
  return [await startOurs(args, { env }), await startOriginal(args, { env })];
}

/** What the original handles at once. */
const ORIGINAL_BLOCK = 1024;

/**
 * Bytes of all that the wire may bring, made from a seed. What fits one block,
 * and doesn't end inside a line, the original takes correctly; a `<n>` at the
 * end of a block it takes for text, or puts stale bytes after it.
 */
function transmission(random: () => number): Uint8Array {
  const pick = (n: number) => Math.floor(random() * n);
  const parts: number[] = [];
  const add = (text: string) =>
    parts.push(...Array.from(text, (c) => c.charCodeAt(0)));
  const count = 1 + pick(80);
  for (let i = 0; i < count; i++) {
    const kind = pick(12);
    if (kind < 3) add(`<${pick(200)}>`);
    else if (kind === 3) add(`<${pick(2000)}>`);
    else if (kind === 4) {
      add(["<", "<1", "<13", "<>", "<a>", "< 13>"][pick(6)]!);
    } else if (kind === 5) add("\0".repeat(1 + pick(2)));
    else if (kind === 6) add("\n".repeat(1 + pick(3)));
    else if (kind === 7) add("x".repeat(pick(90)));
    else if (kind === 8) parts.push(pick(256));
    else add(`message ${pick(1000)}\n`);
  }
  return Uint8Array.from([...parts.slice(0, ORIGINAL_BLOCK - 1), 10]);
}

/** Compares texts of many lines, and shows no more than the first that differs. */
function assertSameLines(
  mine: readonly string[],
  theirs: readonly string[],
  hint = "",
): void {
  const at = mine.findIndex((line, i) => line !== theirs[i]);
  const end = Math.max(mine.length, theirs.length);
  const from = at < 0 ? end : at;
  assertEquals(mine.slice(from, from + 2), theirs.slice(from, from + 2), hint);
  assertEquals(mine.length, theirs.length, hint);
}

testWith(
  ["tcpserver", "socklog"],
  "any bytes come out as from tcpserver and socklog",
  async () => {
    const seed = chosenSeed();
    const random = seeded(seed);
    const args = [
      "-RHl0",
      "@",
      ...[
        "socklog",
        "ucspi",
        "TCPREMOTEIP",
        "PROTO",
        "UNSET",
        "EMPTY",
        "OTHER",
      ],
    ];
    const [mine, theirs] = await both(args, { EMPTY: "", OTHER: "o t" });
    await using _mine = mine;
    await using _theirs = theirs;
    for (let i = 0; i < 150; i++) {
      const text = transmission(random);
      await transmit(theirs.port, text);
      // Ours gets it split anywhere.
      const connection = await dial(mine.port);
      for (let at = 0; at < text.length;) {
        const end = at + 1 + Math.floor(random() * text.length / 3);
        await say(connection, text.subarray(at, end));
        at = end;
      }
      await finish(connection);
    }
    await mine.stop();
    await theirs.stop();
    const hint = `LOGFERRY_SEED=${seed}`;
    assertSameLines(
      mine.data.split("\n"),
      theirs.messages.split("\n"),
      hint,
    );
  },
);

testWith(
  ["tcpserver", "socklog"],
  "every priority has the original's name",
  async () => {
    const [mine, theirs] = await both(["-RHl0", "@", "socklog", "ucspi"]);
    await using _mine = mine;
    await using _theirs = theirs;
    let text = "";
    for (let n = 0; n < 1100; n++) text += `<${n}>number ${n}\n`;
    for (const server of [mine, theirs]) await transmit(server.port, text);
    await mine.stop();
    await theirs.stop();
    assertSameLines(mine.data.split("\n"), theirs.messages.split("\n"));
  },
);

testWith(
  ["tcpserver", "socklog"],
  "huge lines, blank lines and a reset come out as from the originals",
  async () => {
    const [mine, theirs] = await both([
      "-RHl0",
      "@",
      "socklog",
      "ucspi",
      "PROTO",
    ]);
    await using _mine = mine;
    await using _theirs = theirs;
    for (const server of [mine, theirs]) {
      await transmit(server.port, `<13>${"h".repeat(50_000)}\n\n\nshort`);
      const socket = new RawSocket(server.port);
      write(socket.fd, bytes("whole\n<86>unfin"));
      const shown = () => server === mine ? server.data : server.messages;
      await until("the whole line is there", () => shown().includes("whole"));
      socket.reset();
      await until("the rest is there", () => shown().includes("unfin"));
      await server.stop();
    }
    // The original puts a message of its own after an unfinished line.
    const theirLines = theirs.messages.replace(/socklog: fatal: .*/, "");
    assertSameLines(mine.data.split("\n"), theirLines.split("\n"));
  },
);

testWith(
  ["tcpserver", "socklog"],
  "-v says what tcpserver says",
  async () => {
    const args = ["-vRHl", "me", "-c", "7", "@", "socklog", "ucspi"];
    const [mine, theirs] = await both(args);
    await using _mine = mine;
    await using _theirs = theirs;
    for (const server of [mine, theirs]) {
      // One after the other: who closed hasn't been counted out by that.
      for (const [i, data] of ["", "x\n"].entries()) {
        await transmit(server.port, data);
        await until(
          "it has ended",
          () =>
            server.messages.split(": end ").length === i + 2 &&
            server.messages.endsWith("status: 0/7\n"),
        );
      }
      await server.stop();
    }
    // Numbers of processes and ports differ; ours counts connections.
    const plain = (text: string) =>
      text.replaceAll(/(pid|ok|end) \d+/g, "$1 N").replaceAll(
        /:\d{4,}\b/g,
        ":P",
      );
    assertEquals(
      plain(mine.messages),
      plain(theirs.messages).replace("x\n", "")
        .replaceAll("tcpserver:", "socklog-tcp:"),
    );
  },
);

testWith(
  ["tcpserver", "tcprules", "nc"],
  "programs get what tcpserver gives them, by the name of tcpserver",
  async () => {
    using work = folder();
    const link = `${work.path}/tcpserver`;
    await Deno.symlink(ours.socklogTcp, link);
    const rules =
      '127.0.0.2:deny\n127.0.0.3:allow,FOO="b r",TCPLOCALHOST=/x/\n' +
      "127.0.0.4-5:allow,EMPTY=''\n:allow,REST=\"1\"\n";
    const made = await run(
      [installed("tcprules")!, `${work.path}/cdb`, `${work.path}/tmp`],
      { stdin: rules },
    );
    assertEquals(made.code, 0);
    const script = "env | grep -E 'TCP|PROTO|FOO|EMPTY|REST' | sort; " +
      "ls -l /proc/self/fd | grep -c socket; cat; exit 3";
    const args = [
      ...["-vRHl0", "-x", `${work.path}/cdb`, "-B", "hello\n"],
      ...["@", "sh", "-c", script],
    ];
    const env = { TCPREMOTEINFO: "old", TCPREMOTEHOST: "old", FOO: "old" };
    const outcomes = [];
    for (
      const server of [
        await startOurs(args, { env, name: link }),
        await startOriginal(args, { env }),
      ]
    ) {
      await using _server = server;
      const said = [];
      for (const last of [1, 2, 3, 4, 5]) {
        const { text } = await run(
          ["nc", "-N", "-s", `127.0.0.${last}`, "127.0.0.1", `${server.port}`],
          { stdin: "from the network\n" },
        );
        // The one that is denied may hear the greeting, or be reset before.
        if (last !== 2) said.push(text);
        await until(
          "it has ended",
          () =>
            server.messages.split(": end ").length === last + 1 &&
            server.messages.endsWith("status: 0/40\n"),
        );
      }
      await server.stop();
      outcomes.push([
        said.join("").replaceAll(/PORT=\d+/g, "PORT=P"),
        server.messages.replaceAll(/(pid|ok|end|deny) \d+/g, "$1 N")
          .replaceAll(/:\d{4,}\b/g, ":P"),
      ]);
    }
    assertEquals(outcomes[0], outcomes[1]);
  },
);

testWith(
  ["tcpclient"],
  "connect gives a program what tcpclient gives it, by that name too",
  async () => {
    using work = folder();
    const link = `${work.path}/tcpclient`;
    await Deno.symlink(ours.socklogTcp, link);
    const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const { port } = listener.addr as Deno.NetAddr;
    const script = "env | grep -E 'TCP|PROTO' | sort; " +
      "ls -l /proc/self/fd | grep socket | wc -l; cat >&7; cat <&6; exit 7";
    const outcomes = [];
    for (
      const start of [
        [ours.socklogTcp, "connect"],
        [link],
        [installed("tcpclient")!],
      ]
    ) {
      const command = [...start, "-vRHl0", "127.0.0.1", `${port}`];
      const running = run([...command, "sh", "-c", script], {
        stdin: "to the network\n",
        env: { TCPREMOTEINFO: "old", TCPREMOTEHOST: "old" },
      });
      const connection = await listener.accept();
      const buffer = new Uint8Array(100);
      const n = await connection.read(buffer);
      await connection.write(bytes("from the network\n"));
      connection.close();
      const { code, text, stderr } = await running;
      outcomes.push([
        code,
        text.replace(/LOCALPORT=\d+/, "LOCALPORT=P"),
        stderr.replace(/^[\w-]+:/, ":"),
        n,
      ]);
    }
    listener.close();
    assertEquals(outcomes[0], outcomes[2]);
    assertEquals(outcomes[1], outcomes[2]);
  },
);

testWith(
  ["tcpserver", "tcpclient"],
  "wrong usage and trouble have the originals' messages and exit codes",
  async () => {
    using work = folder();
    const names = ["tcpserver", "tcpclient"];
    for (const name of names) {
      await Deno.symlink(ours.socklogTcp, `${work.path}/${name}`);
    }
    using busy = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const { port } = busy.addr as Deno.NetAddr;
    const commands = [
      "tcpserver",
      "tcpserver -z",
      "tcpserver -c",
      "tcpserver 127.0.0.1",
      "tcpserver 127.0.0.1 0",
      "tcpserver 127.0.0.1 no-such-service cat",
      `tcpserver 127.0.0.1 ${port} cat`,
      `tcpserver -q 127.0.0.1 ${port} cat`,
      "tcpserver 192.0.2.1 0 cat",
      "tcpserver no.such.host.invalid 0 cat",
      "tcpclient",
      "tcpclient -z",
      "tcpclient 127.0.0.1",
      "tcpclient 127.0.0.1 1",
      "tcpclient 127.0.0.1 1 cat",
      "tcpclient -q 127.0.0.1 1 cat",
      "tcpclient -i 192.0.2.1 127.0.0.1 1 cat",
      "tcpclient 127.0.0.1 no-such-service cat",
      `tcpclient -RHl0 127.0.0.1 ${port} no-such-program`,
      `tcpclient -RHl0 0 ${port} true`,
    ];
    for (const command of commands) {
      const [name, ...args] = command.split(" ");
      const mine = await run([`${work.path}/${name}`, ...args]);
      const theirs = await run([installed(name!)!, ...args]);
      assertEquals(
        // Ours says which address and port, too.
        [
          mine.code,
          mine.stderr.replace(/(bind|bind socket) to [\d.]+ port \d+/, "$1"),
        ],
        [theirs.code, theirs.stderr],
        command,
      );
    }
  },
);

testWith(
  ["tcpserver", "socklog", "tcpclient", "nc"],
  "each sender gets everything to each server",
  async () => {
    const text = Array.from({ length: 20_000 }, (_, i) => `line ${i}\n`)
      .join("");
    const args = ["-RHl0", "@", "socklog", "ucspi", "TCPREMOTEIP"];
    const [mine, theirs] = await both(args);
    await using _mine = mine;
    await using _theirs = theirs;
    for (const server of [mine, theirs]) {
      const to = ["127.0.0.1", `${server.port}`];
      for (
        const sender of [
          [ours.socklogTcp, "send", ...to],
          ["nc", "-N", ...to],
          [installed("tcpclient")!, "-RHl0", ...to, "sh", "-c", "cat >&7"],
        ]
      ) {
        const { code, stderr } = await run(sender, { stdin: text });
        assertEquals([code, stderr], [0, ""]);
      }
    }
    const count = 3 * 20_000 + 1;
    await until(
      "all lines are there",
      () =>
        mine.data.split("\n").length === count &&
        theirs.messages.split("\n").length === count,
    );
    await mine.stop();
    await theirs.stop();
    assertSameLines(
      mine.data.split("\n").sort(),
      theirs.messages.split("\n").sort(),
    );
  },
);

testWith(["nc"], "the sender works with nc -l at the other end", async () => {
  using work = folder();
  using free = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = free.addr as Deno.NetAddr;
  free.close();
  const file = `${work.path}/got`;
  const listening = run(["sh", "-c", `nc -l 127.0.0.1 ${port} >${file}`]);
  await until("it is sent", async () => {
    const { code } = await run(
      [ours.socklogTcp, "send", "-q", "127.0.0.1", `${port}`],
      { stdin: "to nc\n" },
    );
    return code === 0;
  });
  await listening;
  assertEquals(await Deno.readTextFile(file), "to nc\n");
});

testWith(
  ["tcpserver", "strace"],
  "-b, -d, -D, -o and -O ask the kernel for what tcpserver asks it",
  async () => {
    await Promise.all(["-b7", "-d", "-D", "-o", "-O"].map(async (option) => {
      using work = folder();
      const asked = [];
      for (const program of [ours.socklogTcp, installed("tcpserver")!]) {
        const trace = `${work.path}/trace`;
        await using server = await startOurs(
          ["-RHl0", option, "@", "cat"],
          {
            name: program,
            through: ["strace", "-f", "-o", trace]
              .concat("-e", "trace=listen,setsockopt"),
          },
        );
        await transmit(server.port, "x");
        const calls = Deno.readTextFileSync(trace);
        asked.push({
          // Without -b ours is longer.
          backlog: option === "-b7" && /listen\(\d+, 7\)/.test(calls),
          noDelay: /SOL_TCP, TCP_NODELAY, \[1\]/.test(calls),
          // The original's number for it is another option's on Linux.
          noOptions: /SOL_IP, IP_(OPTIONS|TOS), NULL/.test(calls),
        });
        // strace ends with what it traces; killed itself, it would leave that.
        for (const child of childrenOf(server.pid)) Deno.kill(child, "SIGKILL");
        await server.status;
      }
      assertEquals(asked[0], asked[1], option);
      assertEquals(asked[0], {
        backlog: option === "-b7",
        noDelay: option === "-D",
        noOptions: option !== "-o",
      });
    }));
  },
);

testWith(
  ["tcpserver"],
  "-h, -p and -r look up what tcpserver looks up, and set the same variables",
  async () => {
    // Without an answer nothing is set: as good as can be had everywhere.
    const args = ["-l0", "-t", "1", "@", "env"];
    const [mine, theirs] = await both(args, { TCPREMOTEINFO: "old" });
    await using _mine = mine;
    await using _theirs = theirs;
    const told = [];
    for (const server of [mine, theirs]) {
      const connection = await dial(server.port);
      const text = await hear(connection);
      connection.close();
      told.push(/TCPREMOTEINFO=.*/.exec(text)?.[0]);
    }
    assertEquals(told[0], told[1]);
  },
);

testWith(
  ["tcprules", "tcprulescheck"],
  "rules are looked up as tcprulescheck looks them up",
  async () => {
    using work = folder();
    const cdb = `${work.path}/cdb`;
    const rules = [
      "joe@127.0.0.1",
      "joe@=a.example.org",
      "127.0.0.1",
      "127.0.0.2-7",
      "=a.example.org",
      "127.0.",
      "10.1-2.",
      "=.example.org",
      "=.org",
      "=",
      "",
    ];
    // Each subject is asked about with ever fewer rules, so that each counts.
    const subjects: Subject[] = [];
    for (const ip of ["127.0.0.1", "127.0.0.5", "10.2.3.4", "192.0.2.7"]) {
      for (const host of [undefined, "a.example.org", "b.org", "c"]) {
        for (const info of [undefined, "joe", ""]) {
          subjects.push({ ip, host, info });
        }
      }
    }
    for (let without = 0; without <= rules.length; without++) {
      const stdin = rules.slice(without).map((rule, i) =>
        `${rule}:${i % 3 === 2 ? "deny" : "allow"},RULE="${rule}",N="${i}"\n`
      ).join("");
      const made = await run(
        [installed("tcprules")!, cdb, `${work.path}/tmp`],
        { stdin },
      );
      assertEquals(made.code, 0);
      const database = await Deno.readFile(cdb);
      for (const { ip, host, info } of subjects.slice(without % 3)) {
        const { text } = await run([installed("tcprulescheck")!, cdb], {
          env: {
            TCPREMOTEIP: ip,
            ...host !== undefined && { TCPREMOTEHOST: host },
            ...info !== undefined && { TCPREMOTEINFO: info },
          },
        });
        const { deny, variables } = judge(database, { ip, host, info });
        const told = [
          ...variables.map(([name, value]) =>
            `set environment variable ${name}=${value}\n`
          ),
          deny ? "deny connection\n" : "allow connection\n",
        ].join("");
        assertEquals(told, text.replace(/^(default|rule .*):\n/, ""));
      }
    }
  },
);

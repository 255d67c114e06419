/**
 * The blocks of README.md and RECIPES.md, run as they stand: in a folder of the
 * test's, on the loopback, and as a user that is there.
 */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import {
  folder,
  freePort,
  inCheckout,
  installed,
  killAll,
  listening,
  ours,
  processesIn,
  run,
  testWith,
  until,
} from "./tools.ts";
import {
  Client,
  DOCUMENTS,
  Kitchen,
  lines,
  sent,
  text,
} from "./recipes/_recipes.ts";
import { logLines } from "../scripts/demo/logs.ts";

const README = Deno.readTextFileSync(inCheckout("README.md"));

/** A fenced block. */
interface Block {
  /** The heading that it is under. */
  heading: string;
  /** What is in backquotes last before it: the name, when it is a file. */
  name: string | undefined;
  /** What is in it. */
  text: string;
}

function* blocksOf(documents: string): Generator<Block> {
  for (const section of documents.split(/^#{1,3} (?=[A-Z])/m)) {
    const heading = section.slice(0, section.indexOf("\n"));
    for (
      const [, before = "", text = ""] of section.matchAll(
        /(.*?)^```\w*\n(.*?)^```$/gms,
      )
    ) {
      const name = [...before.matchAll(/`([^`]+)`/g)].at(-1)?.[1];
      yield { heading, name, text };
    }
  }
}

const blocks = [...blocksOf(DOCUMENTS)];
const taken = new Set<Block>();

/** The one block under a heading that contains something. */
function find(heading: string, part: string): Block {
  const found = blocks.filter((block) =>
    block.heading === heading && block.text.includes(part)
  );
  assertEquals(found.length, 1, `${part} in README, under ${heading}`);
  return found[0]!;
}

/** Its text, for a test that is in this file. */
function take(heading: string, part: string): string {
  const block = find(heading, part);
  taken.add(block);
  return block.text;
}

/** Text with other text in the place of some, all of which must be there. */
function instead(text: string, places: Record<string, string>): string {
  for (const [shown, used] of Object.entries(places)) {
    assertStringIncludes(text, shown, "README says it no longer");
    text = text.replaceAll(shown, used);
  }
  return text;
}

const COPY = take("Installing", "cp -a dist/multilog");
const KEEP = take("Two commands", "demo --keep");
const RUN_SCRIPTS = {
  server: take("Run scripts", "envuidgid log socklog-tcp"),
  log: take("Run scripts", "multilog t /var/log/net"),
  queue: take("Run scripts", "multilog a60"),
  keeping: take("Run scripts", "multilog s4096"),
};
const STATUS = take("Looking", "--status");
const FOLLOW = take("Looking", "--follow");
const CAT = take("Looking", "--cat");
const LIBRARY = take("For other programs", "openLog");
const QUICK = "In five minutes";
const UNPACK = take(QUICK, "tar -xzf");
const SERVICES = take(QUICK, "kind=");
const LINK = take(QUICK, "/etc/service/");
const LINK_S6 = take(QUICK, "s6-svscanctl");
const UNITS = take(QUICK, "systemctl");
const HELLO = take(QUICK, "logger");
const ARRIVED = take(QUICK, "grep hello");
const AWAY = "Taking it away again";
const UNLINK_DAEMONTOOLS = take(AWAY, "svc -dx");
const UNLINK_RUNIT = take(AWAY, "/etc/service/client /etc/service/server");
const UNLINK_S6 = take(AWAY, "s6-svscanctl");
const UNLINK_SYSTEMD = take(AWAY, "systemctl disable");
const REMOVE = take(AWAY, "xargs rm");

/** Those that no test runs as they stand, and why that can't be. */
const NOT_RUN: [heading: string, part: string, why: string][] = [
  ["Two commands", "task test\n", "the second is what runs this"],
  ["Installing", "task compile", "made what is tested here"],
  [
    "Installing",
    "task package",
    "package_test.ts does it, twice",
  ],
];

/** The tests in recipes/ by the headings whose files they run. */
const RECIPES: Record<string, string> = {
  "Compression with gzip": "compression_test.ts",
  "Encryption and certificates with stunnel": "stunnel_test.ts",
  "Encryption and keys with ssh": "ssh_test.ts",
  "Relay to a second log server": "relay_test.ts",
  "Delivery to rsyslog": "rsyslog_test.ts",
  "More than one log server: RabbitMQ": "rabbitmq_test.ts",
  "Each line once: NATS JetStream": "nats_test.ts",
  "Kafka": "kafka_test.ts",
  "Silent hosts, and metrics": "metrics_test.ts",
  "A log server in a container": "container_test.ts",
  "Senders of other kinds: rsyslog, syslog-ng": "syslog_test.ts",
};

Deno.test("every block in README and RECIPES is run, or there is a reason", () => {
  const excused = new Set(
    NOT_RUN.map(([heading, part]) => find(heading, part)),
  );
  for (const block of blocks) {
    if (taken.has(block)) {
      assert(!excused.has(block), `run, and excused: ${block.text}`);
      continue;
    }
    if (excused.has(block)) continue;
    const { heading, name, text } = block;
    const file = RECIPES[heading];
    assert(file, `nothing runs this, under ${heading}: ${text}`);
    const test = Deno.readTextFileSync(inCheckout(`tests/recipes/${file}`));
    assertStringIncludes(test, `filesOf("${heading}")`, file);
    assert(test.includes(`get("${name}")`), `${file} doesn't run ${name}`);
  }
  for (const heading of Object.keys(RECIPES)) {
    assert(
      blocks.some((block) => block.heading === heading),
      `nothing is called ${heading}`,
    );
  }
});

Deno.test("README's program writes to a log", async () => {
  using at = folder();
  Deno.writeTextFileSync(`${at.path}/program.ts`, LIBRARY);
  const config = `--config=${inCheckout("deno.json")}`;
  const { code, stderr } = await run(
    [Deno.execPath(), "run", "-q", "--allow-ffi", config, "program.ts"],
    { cwd: at.path },
  );
  assertEquals([code, stderr], [0, ""]);
  assertEquals(
    Deno.readTextFileSync(`${at.path}/main/current`),
    "one line\n",
  );
});

// They are enabled as for another machine's disk. Here no systemd is to start
// them: services_test.ts runs what they start.
testWith(["systemctl"], "README's five minutes, with systemd", async () => {
  using place = folder();
  const examples = "usr/local/share/doc/logferry/examples";
  const units = `${place.path}/etc/systemd/system`;
  for (const name of [`${place.path}/${examples}`, units]) {
    Deno.mkdirSync(name, { recursive: true });
  }
  const script = instead(UNITS, {
    "/etc/systemd/system": units,
    "/usr/local/share": `${place.path}/usr/local/share`,
    "loghost": "192.0.2.99",
    "systemctl enable --now": `systemctl --root=${place.path} enable`,
  });
  const { code, stderr } = await run([
    "sh",
    "-euc",
    `cp -R '${inCheckout("scripts/examples/systemd")}' "$1"\n${script}`,
    "sh",
    `${place.path}/${examples}`,
  ]);
  assertEquals(code, 0, stderr);
  const wanted = Deno.readDirSync(`${units}/multi-user.target.wants`);
  assertEquals([...wanted].map(({ name }) => name).sort(), [
    "logferry-client.service",
    "logferry-server.service",
  ]);
  assertStringIncludes(
    Deno.readTextFileSync(`${units}/multilog@.service`),
    "send -a 192.0.2.99 10116",
  );

  // What isn't enabled is stopped by its name, and every unit is removed.
  const words = UNLINK_SYSTEMD.split(/\s+/);
  for (const { name } of Deno.readDirSync(units)) {
    if (!name.startsWith("multilog@")) continue;
    const unit = name.replace("@", "@client").replace(/\.service$/, "");
    assert(words.includes(unit), `${unit} isn't stopped`);
  }
  const away = instead(UNLINK_SYSTEMD, {
    "/etc/systemd/system": units,
    "systemctl disable --now": `systemctl --root=${place.path} disable`,
    "systemctl stop": ": no systemd runs here:",
  });
  const gone = await run(["sh", "-euc", away]);
  assertEquals(gone.code, 0, gone.stderr);
  // systemctl leaves no empty folder of links either.
  assertEquals([...Deno.readDirSync(units)], []);
});

Deno.test("README says how its services send at once", () => {
  const words = README.replaceAll("\n", " ");
  for (const { send } of Object.values(SUPERVISORS)) {
    assert(words.includes(`\`${send}\``), `README doesn't say ${send}`);
  }
});

Deno.test("README's demo --keep keeps its files", async () => {
  using place = folder();
  const { code, text } = await run(["sh", "-euc", KEEP], {
    cwd: inCheckout(""),
    env: { TMPDIR: place.path, NO_COLOR: "1" },
  });
  assertEquals(code, 0, text);
  const [kept] = [...Deno.readDirSync(place.path)]
    .filter(({ name }) => name.startsWith("logferry-demo-"));
  assert(kept, text);
  assertStringIncludes(text, kept.name);
});

testWith(
  [],
  "README's run scripts log, and --status and --follow show their logs",
  async () => {
    await using kitchen = new Kitchen();
    const port = freePort();
    const here = (other = port) => ({
      "192.0.2.1 10116": `127.0.0.1 ${other}`,
    });
    kitchen.cook("server/run", RUN_SCRIPTS.server, {
      " 0 10116 ": ` 127.0.0.1 ${port} `,
      "192.0.2.7": "127.0.0.2",
    });
    kitchen.cook("server/log/run", RUN_SCRIPTS.log, {});
    await kitchen.serve("server", port);
    const all = () => sent(logLines(kitchen.at("net/all")));
    const { queue, keeping } = RUN_SCRIPTS;

    const expected: string[] = [];
    for (const [name, script] of Object.entries({ queue, keeping })) {
      kitchen.cook("client/run", script, here());
      const client = new Client(kitchen);
      await client.send(text(lines(name)));
      await client.stop();
      expected.push(...lines(name).map((line) => `127.0.0.1: ${line}`));
      await until("the lines", () => all().length >= expected.length);
      assertEquals(all(), expected);
      Deno.removeSync(kitchen.at("client"), { recursive: true });
    }

    // What goes to the log of one client.
    const send = (line: string) =>
      run(
        [ours.socklogTcp, "send", "-i", "127.0.0.2", "127.0.0.1", `${port}`],
        { stdin: `${line}\n` },
      );
    assertEquals((await send("of its own")).code, 0);
    const own = "127.0.0.2: of its own";
    await until("its line", () => all().includes(own));
    assertEquals(sent(logLines(kitchen.at("net/127.0.0.2"))), [own]);

    kitchen.cook("look/follow", FOLLOW, {});
    kitchen.start("look", ["sh", "-eu", "./follow"]);
    await until("a line that is followed", async () => {
      await send("followed");
      return kitchen.messages("look").includes("127.0.0.2: followed");
    });
    await kitchen.stop("look");
    // Its lines have no timestamps: the files' names alone say which they are.
    kitchen.cook("look/cat", CAT, {
      "2026-11-27 02:30": "2000-01-01",
      "2026-11-27 03:00": "2100-01-01",
    });
    const printed = await run(["sh", "-eu", kitchen.at("look/cat")], {
      env: kitchen.environment("look"),
    });
    assertEquals([printed.code, printed.stderr], [0, ""]);
    assertEquals(sent(printed.text.split("\n").slice(0, -1)), all());
    kitchen.cook("look/status", STATUS, {});
    const looked = await run(["sh", "-eu", kitchen.at("look/status")], {
      env: kitchen.environment("look"),
    });
    assertEquals([looked.code, looked.stderr], [0, ""]);
    for (const log of ["all", "127.0.0.2"]) {
      assertStringIncludes(looked.text, kitchen.at(`net/${log}`));
    }
    await kitchen.stop("server");
  },
);

/** How README has a supervisor told what. */
interface Supervisor {
  /** What it takes to run the services. */
  needs: string[];
  /** What starts it on a folder of services. */
  start: string;
  /** The block that links the services. */
  link: string;
  /** Where that looks for services. */
  services: string;
  /** What README says for sending at once. */
  send: string;
  /** The block that takes the services away. */
  unlink: string;
}

const SUPERVISORS: Record<string, Supervisor> = {
  daemontools: {
    needs: ["svscan", "supervise", "svc", "setuidgid"],
    start: "svscan",
    link: LINK,
    services: "/etc/service",
    send: "svc -a /etc/service/client/log",
    unlink: UNLINK_DAEMONTOOLS,
  },
  runit: {
    needs: ["runsvdir", "runsv", "sv", "chpst"],
    start: "runsvdir",
    link: LINK,
    services: "/etc/service",
    send: "sv alarm /etc/service/client/log",
    unlink: UNLINK_RUNIT,
  },
  s6: {
    needs: ["s6-svscan", "s6-supervise", "s6-svc", "s6-setuidgid"],
    start: "s6-svscan",
    link: LINK_S6,
    services: "/run/service",
    send: "s6-svc -a /run/service/client/log",
    unlink: UNLINK_S6,
  },
};

/** What a supervisor's example is here, where there is no user named log. */
function adapt(file: string, work: string, port: number): void {
  const changed = Deno.readTextFileSync(file)
    .replace(/(uidgid|chpst -[uU]) log\b/, "$1 nobody")
    .replace(" 0 10116 ", ` 127.0.0.1 ${port} `)
    .replace("127.0.0.1 10116", `127.0.0.1 ${port}`)
    .replaceAll("/var/log", `${work}/var/log`);
  assert(!/10116|(uidgid|-[uU]) log| \/var/.test(changed), changed);
  Deno.writeTextFileSync(file, changed);
}

for (const [kind, supervisor] of Object.entries(SUPERVISORS)) {
  testWith(
    ["root", "tar", ...supervisor.needs],
    `README's five minutes, with ${kind}`,
    async () => {
      using folderOfTest = folder();
      const work = Deno.realPathSync(folderOfTest.path);
      // A service's user looks for its program there.
      Deno.chmodSync(work, 0o755);
      const services = `${work}${supervisor.services}`;
      const bin = `${work}/usr/local/bin`;
      const made = ["pack/bin", "pack/share/doc/logferry", "programs"];
      for (
        const name of [...made, "usr/local", "etc", "var/log"]
      ) Deno.mkdirSync(`${work}/${name}`, { recursive: true });
      Deno.mkdirSync(services, { recursive: true });
      const env = { PATH: `${bin}:${Deno.env.get("PATH")}` };
      const shell = async (script: string, cwd = work) => {
        const { code, text, stderr } = await run(["sh", "-euc", script], {
          cwd,
          env,
        });
        assertEquals(code, 0, `${script}: ${text}${stderr}`);
        return text;
      };

      // An archive of what package.ts packs, but with links to the executables,
      // which takes less time.
      await shell(
        instead(COPY, { "/usr/local/bin/": `${work}/programs/` }),
        inCheckout(""),
      );
      const examples = inCheckout("scripts/examples");
      await shell(`
        ln -s ${work}/programs/* pack/bin/
        cp -R '${examples}' pack/share/doc/logferry/
        cd pack
        find bin share ! -type d | tar -czf ../logferry-1.tar.gz -T -`);
      Deno.writeTextFileSync(`${work}/var/log/messages`, "of yesterday\n");

      await shell(instead(UNPACK, {
        "-C /usr/local": `-C ${work}/usr/local`,
        // The user that there is on every machine.
        "useradd -r log": "id nobody",
        "-o log": "-o nobody",
        "/var/log": `${work}/var/log`,
      }));
      await shell(instead(SERVICES, {
        "kind=runit": `kind=${kind}`,
        " /usr/local/share": ` ${work}/usr/local/share`,
        " /etc/logferry": ` ${work}/etc/logferry`,
        "loghost": "127.0.0.1",
      }));
      const port = freePort();
      for (const name of ["server", "server/log", "client", "client/log"]) {
        adapt(`${work}/etc/logferry/${name}/run`, work, port);
      }

      const client = `${work}/var/log/logferry/client`;
      const child = new Deno.Command(installed(supervisor.start)!, {
        args: [services],
        cwd: services,
        env,
        stdin: "null",
        stdout: "null",
        stderr: "null",
      }).spawn();
      try {
        if (kind === "s6") {
          await until("s6-svscan is there", async () => {
            const { code } = await run(["s6-svscanctl", "-a", services]);
            return code === 0;
          });
        }
        const { link } = supervisor;
        await shell(instead(link, {
          " /etc/logferry": ` ${work}/etc/logferry`,
          [` ${supervisor.services}`]: ` ${services}`,
        }));
        await listening(port);
        await until("the client runs", async () => {
          const tail = `tail -n 0 -F ${work}/var/log/messages`;
          return (await run(["pgrep", "-fx", tail])).code === 0;
        });

        const status = await shell(
          instead(HELLO, {
            "/var/log": `${work}/var/log`,
            // Nobody takes the machine's messages here.
            'logger "hello from $(uname -n)"':
              `echo "hello from $(uname -n)" >>${work}/var/log/messages`,
          }),
        );
        assertStringIncludes(status, client);
        await until(
          "the line is logged",
          () => /hello from/.test(Deno.readTextFileSync(`${client}/current`)),
        );
        await shell(
          instead(supervisor.send, { [supervisor.services]: services }),
        );
        const look = instead(ARRIVED, { "/var/log": `${work}/var/log` });
        let found = "";
        await until("the line has arrived", async () => {
          found = (await run(["sh", "-euc", look])).text;
          return found !== "";
        });

        assert(
          /^127\.0\.0\.1: @[0-9a-f]{24} hello from /.test(found) &&
            found.endsWith(` ${Deno.hostname()}\n`),
          found,
        );

        await shell(instead(supervisor.unlink, {
          [` ${supervisor.services}`]: ` ${services}`,
        }));
        await until(
          "the services have ended",
          () => processesIn(work).length === 1,
        );
        await shell(instead(REMOVE, {
          "/usr/local": `${work}/usr/local`,
          "/etc/logferry": `${work}/etc/logferry`,
        }));
        const { text: left } = await run(
          ["find", "usr/local", "etc", "!", "-type", "d"],
          { cwd: work },
        );
        // svscan and s6-svscan have their own beside the services.
        assert(!/usr|logferry|run$/m.test(left), left);
        assertStringIncludes(
          Deno.readTextFileSync(`${work}/var/log/logferry/all/current`),
          "hello",
        );
      } finally {
        child.kill("SIGTERM");
        try {
          await until(
            "everything has ended",
            () => processesIn(work).length === 0,
          );
        } finally {
          killAll(processesIn(work));
          await child.status;
        }
      }
    },
  );
}

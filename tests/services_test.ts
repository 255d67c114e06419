// The example services, each under its own supervisor: a line that a client's
// service writes arrives in the log server's log.
import { assert, assertEquals, assertMatch } from "@std/assert";
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
  Running,
  sleep,
  testWith,
  until,
} from "./tools.ts";

/** How a supervisor is told what. */
interface Supervisor {
  /** The folder of its examples. */
  name: string;
  /** What it takes to run them. */
  needs: string[];
  /** Starts it on a folder of services. */
  start: (services: string) => string[];
  /** Sends a service a signal. */
  alarm: (service: string) => string[];
  /** Restarts a service. */
  restart: (service: string) => string[];
  /** Ends it, and all that it has started. */
  stop: (services: string, pid: number) => string[][];
}

const SERVICES = ["client", "client/log", "server", "server/log"];

const SUPERVISORS: Supervisor[] = [
  {
    name: "daemontools",
    needs: ["svscan", "supervise", "svc", "setuidgid"],
    start: (services) => ["svscan", services],
    alarm: (service) => ["svc", "-a", service],
    restart: (service) => ["svc", "-t", service],
    stop: (services, pid) => [
      ["kill", `${pid}`],
      ["svc", "-dx", ...SERVICES.map((name) => `${services}/${name}`)],
    ],
  },
  {
    name: "runit",
    needs: ["runsvdir", "runsv", "sv", "chpst"],
    start: (services) => ["runsvdir", services],
    alarm: (service) => ["sv", "alarm", service],
    restart: (service) => ["sv", "term", service],
    stop: (_services, pid) => [["kill", "-HUP", `${pid}`]],
  },
  {
    name: "s6",
    needs: ["s6-svscan", "s6-supervise", "s6-svc", "s6-setuidgid"],
    start: (services) => ["s6-svscan", services],
    alarm: (service) => ["s6-svc", "-a", service],
    restart: (service) => ["s6-svc", "-t", service],
    stop: (services) => [["s6-svscanctl", "-t", services]],
  },
];

function read(path: string): string {
  try {
    return Deno.readTextFileSync(path);
  } catch {
    return "";
  }
}

/** What the examples say, and what it is here. */
function adapted(text: string, work: string, port: number): string {
  const changed = text
    .replace(/\b(setuidgid|envuidgid|chpst -[uU]) log\b/g, "$1 nobody")
    .replace("0 10116 ", `127.0.0.1 ${port} `)
    .replace("192.0.2.1 10116", `127.0.0.1 ${port}`)
    .replaceAll("/var/log/logferry", `${work}/logs`)
    .replaceAll("/var/log/messages", `${work}/messages`)
    .replace(
      "/usr/bin/journalctl -q -n 0 -f -o short",
      `/usr/bin/tail -n 0 -F ${work}/messages`,
    );
  assert(!/10116|(uidgid|-[uU]) log|\/var/.test(changed), changed);
  return changed;
}

async function layOut(work: string, name: string, port: number) {
  Deno.chmodSync(work, 0o755);
  Deno.mkdirSync(`${work}/logs`);
  const { uid, gid } = { uid: 65534, gid: 65534 };
  Deno.chownSync(`${work}/logs`, uid, gid);
  Deno.writeTextFileSync(`${work}/messages`, "not sent\n");
  // In the checkout they may be out of that user's reach.
  Deno.mkdirSync(`${work}/bin`);
  for (const program of Object.values(ours)) {
    const to = `${work}/bin/${program.slice(program.lastIndexOf("/") + 1)}`;
    await Deno.copyFile(program, to);
  }
  for (const service of SERVICES) {
    Deno.mkdirSync(`${work}/services/${service}`, { recursive: true });
    const file = inCheckout(`scripts/examples/${name}/${service}/run`);
    assert(Deno.statSync(file).mode! & 0o100, `${file} isn't executable`);
    const text = adapted(await Deno.readTextFile(file), work, port);
    const to = `${work}/services/${service}/run`;
    await Deno.writeTextFile(to, text, { mode: 0o755 });
  }
}

for (const supervisor of SUPERVISORS) {
  const { name, needs } = supervisor;
  testWith(
    ["root", ...needs],
    `a line gets from client to server under ${name}`,
    async () => {
      using folderOfTest = folder();
      const work = Deno.realPathSync(folderOfTest.path);
      const port = freePort();
      await layOut(work, name, port);
      const services = `${work}/services`;
      const command = supervisor.start(services);
      const env = { PATH: `${work}/bin:${Deno.env.get("PATH")}` };
      const child = new Deno.Command(installed(command[0]!)!, {
        args: command.slice(1),
        cwd: services,
        env,
        stdin: "null",
        stdout: "null",
        stderr: "null",
      }).spawn();
      const tell = async (words: string[]) => {
        const { code, text, stderr } = await run(words, { env });
        assertEquals(code, 0, `${words.join(" ")}: ${text}${stderr}`);
      };
      const status = async () => {
        const { text } = await run(
          [ours.multilog, "--status", "--json", `${work}/logs/client`],
        );
        return JSON.parse(text);
      };
      /** Has the client send; a signal in its first moment would end it. */
      const send = async () => {
        await until(
          "the client's log runs",
          async () => (await status()).running,
        );
        await tell(supervisor.alarm(`${services}/client/log`));
      };
      const received = () =>
        [
          ...read(`${work}/logs/all/current`).matchAll(
            /^127\.0\.0\.1: @[0-9a-f]{24} line (\d+)$/gm,
          ),
        ].map(([, number]) => Number(number));
      let next = 0;
      const messages = Deno.openSync(`${work}/messages`, { append: true });
      const log = () =>
        messages.writeSync(new TextEncoder().encode(
          `line ${next++}\n`,
        ));
      try {
        await until(
          "the server's log is open",
          () => read(`${work}/logs/server/current`).includes("status: 0/40"),
          30,
        );
        // The first lines may be there before tail is.
        await until("the client's log is written", () => {
          log();
          return read(`${work}/logs/client/current`) !== "";
        });
        const first = Number(
          /line (\d+)\n/.exec(read(`${work}/logs/client/current`))![1],
        );
        await send();
        await until("a line has arrived", () => received().includes(first));
        assertEquals(received()[0], first);

        // Whoever is started anew in between, no line is lost.
        for (const service of ["client/log", "server/log", "server"]) {
          await tell(supervisor.restart(`${services}/${service}`));
          for (let i = 0; i < 10; i++) {
            log();
          }
        }
        await until("the server serves again", async () => {
          log();
          await send();
          await sleep(200);
          return received().at(-1)! > first + 30;
        });
        const last = next - 1;
        await until("the last line has arrived", async () => {
          await send();
          await sleep(200);
          return received().at(-1) === last;
        });
        const everywhere = new Set(received());
        for (let n = first; n <= last; n++) {
          assert(everywhere.has(n), `line ${n} is lost`);
        }

        const { running, limit } = await status();
        assertEquals([running, limit], [true, 999999]);
      } finally {
        messages.close();
        for (const words of supervisor.stop(services, child.pid)) {
          await run(words, { env });
        }
        await child.status;
        try {
          await until(
            "everything has ended",
            () => processesIn(work).length === 0,
          );
        } finally {
          killAll(processesIn(work));
        }
      }
    },
  );
}

for (const { name } of SUPERVISORS) {
  testWith(
    ["logger"],
    `a client under ${name} logs what comes to /dev/log where no other file or journal is there`,
    async () => {
      using work = folder();
      const file = inCheckout(`scripts/examples/${name}/client/run`);
      const places: [string, string][] = [
        ["/var/log/messages", `${work.path}/none`],
        ["/run/systemd/journal", `${work.path}/none`],
        ["socklog-tcp unix", `socklog-tcp unix ${work.path}/socket`],
      ];
      let script = Deno.readTextFileSync(file);
      for (const [shown, used] of places) {
        assert(script.includes(shown), `${shown} in ${file}`);
        script = script.replaceAll(shown, used);
      }
      await using client = new Running(["sh", "-c", script], {
        env: { PATH: `${inCheckout("dist")}:${Deno.env.get("PATH")}` },
      });
      const socket = `${work.path}/socket`;
      const log = ["logger", "-u", socket, "-t", "test", "-p", "user.info"];
      // What comes before there is a socket goes nowhere, and logger exits 0.
      await until("it logs", async () => {
        await run([...log, "hello"]);
        return client.output.includes("hello\n");
      }, 20);
      assertMatch(
        client.output,
        /^listening on [^\n]*\nuser\.info: [^\n]*hello\n/,
      );
      assertEquals(await client.stop(), 0);
    },
  );
}

/** The command that a unit starts, as a shell's words. */
function execStart(unit: string): string {
  const text = unit.replaceAll("\\\n", " ");
  return /^ExecStart=(.*)$/m.exec(text)![1]!;
}

testWith(
  ["mkfifo"],
  "a line gets from client to server through systemd's units",
  async () => {
    using folderOfTest = folder();
    const work = Deno.realPathSync(folderOfTest.path);
    const port = freePort();
    const names = [
      "logferry-client.service",
      "logferry-server.service",
      "multilog@.service",
      "multilog@.socket",
    ];
    Deno.mkdirSync(`${work}/units`);
    Deno.mkdirSync(`${work}/logs`);
    Deno.writeTextFileSync(`${work}/messages`, "not sent\n");
    const units: Record<string, string> = {};
    for (const name of names) {
      const file = inCheckout(`scripts/examples/systemd/${name}`);
      const unit = adapted(Deno.readTextFileSync(file), work, port)
        .replaceAll("/usr/local/bin/", inCheckout("dist/"))
        .replace("=/usr/local/bin:", `=${inCheckout("dist")}:`)
        .replaceAll("%i", "client");
      units[name] = unit;
      Deno.writeTextFileSync(`${work}/units/${name}`, unit);
    }
    if (installed("systemd-analyze")) {
      const { stderr } = await run([
        "systemd-analyze",
        "verify",
        ...names.map((name) => `${work}/units/${name}`),
      ]);
      // It may say more, of the machine's own units.
      const ofOurs = stderr.split("\n").filter((line) =>
        /logferry|multilog|client/.test(line)
      );
      assertEquals(ofOurs, []);
    }

    // What systemd does: it holds both ends of the pipe, and starts the rest.
    const path = `${work}/multilog-client`;
    assertEquals((await run(["mkfifo", path])).code, 0);
    const pipe = Deno.openSync(path, { read: true, write: true });
    assert(units["multilog@.socket"]!.includes("/run/multilog-client"));
    const children: Deno.ChildProcess[] = [];
    const start = (unit: string): Deno.ChildProcess => {
      const text = units[unit]!;
      const out = /^StandardOutput=file:\/run\/(.*)$/m.exec(text)?.[1];
      const into = /^StandardInput=socket$/m.test(text)
        ? "multilog-client"
        : undefined;
      const child = new Deno.Command("sh", {
        args: [
          "-c",
          `exec ${execStart(text)}` +
          (out ? ` >${work}/${out} 2>&1` : "") +
          // For reading and writing, as systemd opens it.
          (into ? ` <>${work}/${into}` : ""),
        ],
        cwd: work,
        env: { PATH: `${inCheckout("dist")}:${Deno.env.get("PATH")}` },
        stdin: "null",
        stdout: "null",
        stderr: "null",
      }).spawn();
      children.push(child);
      return child;
    };
    const messages = Deno.openSync(`${work}/messages`, { append: true });
    const log = (text: string) =>
      messages.writeSync(new TextEncoder().encode(`${text}\n`));
    const all = () => read(`${work}/logs/all/current`);
    const client = () => read(`${work}/logs/client/current`);
    try {
      start("logferry-server.service");
      const logger = start("multilog@.service");
      start("logferry-client.service");
      await listening(port);
      await until("a line is logged", () => {
        log("first");
        return client().includes("first\n");
      });
      logger.kill("SIGTERM");
      assertEquals((await logger.status).code, 0);
      // What comes now stays in the pipe.
      log("second");
      const next = start("multilog@.service");
      await until("the pipe is read on", () => client().includes("second\n"));
      next.kill("SIGALRM");
      await until(
        "both have arrived",
        () =>
          /^127\.0\.0\.1: @[0-9a-f]{24} first$/m.test(all()) &&
          /^127\.0\.0\.1: @[0-9a-f]{24} second$/m.test(all()),
      );
    } finally {
      messages.close();
      for (const child of children.reverse()) {
        try {
          child.kill("SIGTERM");
        } catch {
          // It has ended.
        }
        await child.status;
      }
      pipe.close();
    }
  },
);

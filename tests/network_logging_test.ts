// The concept of network logging as a whole, under daemontools' svscan, where
// nothing else of the originals can be reached: from /dev/log, with the real
// logger, through an outage, to the host's own log on the server.
import { assert, assertEquals, assertMatch } from "@std/assert";
import {
  folder,
  freePort,
  installed,
  killAll,
  listening,
  listensAt,
  ours,
  processesIn,
  run,
  testWith,
  until,
} from "./tools.ts";
import { mode, oldFiles, text } from "./multilog/harness.ts";

/** What the services need beside our programs. */
const TOOLS = ["svscan", "supervise", "readproctitle", "setuidgid", "envuidgid"]
  .concat("sh", "cat", "sleep");
const ORIGINALS = ["tcpserver", "tcpclient", "socklog"];

/** The run scripts of a client and a server. */
interface Scripts {
  client: string;
  "client/log": string;
  server: string;
  "server/log": string;
}

/** Those of socklog's page, but for `softlimit -m`: our names are links. */
function originals(port: number, logs: string): Scripts {
  return {
    client: "exec 2>&1\nexec socklog unix /dev/log",
    "client/log": `exec setuidgid nobody multilog s4096 n20 \\
      !"tryto -pv tcpclient -v 127.0.0.1 ${port} sh -c 'cat >&7'" \\
      ${logs}/client`,
    server: `exec 2>&1
      exec envuidgid nobody tcpserver -vUHR -l0 127.0.0.1 ${port} \\
        socklog ucspi TCPREMOTEIP`,
    "server/log": `exec setuidgid nobody multilog ${logs}/all \\
      -* +'127.0.0.1*' ${logs}/hosts/127.0.0.1`,
  };
}

/** The same in our own words. */
function own(port: number, logs: string): Scripts {
  return {
    client: "exec 2>&1\nexec socklog-tcp unix",
    "client/log": `exec setuidgid nobody multilog s4096 n20 \\
      '!tryto -v -n2 socklog-tcp send -a 127.0.0.1 ${port}' ${logs}/client`,
    server: `exec 2>&1
      exec envuidgid nobody socklog-tcp -a -vUHR -l0 127.0.0.1 ${port} \\
        TCPREMOTEIP multilog ${logs}/all @${logs}/hosts`,
    "server/log": `exec setuidgid nobody multilog ${logs}/server`,
  };
}

function layOut(work: string, scripts: Scripts): void {
  Deno.chmodSync(work, 0o755);
  Deno.mkdirSync(`${work}/logs/hosts`, { recursive: true });
  for (const name of ["logs", "logs/hosts"]) {
    Deno.chownSync(`${work}/${name}`, 65534, 65534);
  }
  // In the checkout they may be out of that user's reach.
  const bin = `${work}/bin`;
  Deno.mkdirSync(bin);
  for (const program of Object.values(ours)) {
    Deno.copyFileSync(program, `${bin}/${program.replace(/.*\//, "")}`);
  }
  for (const name of ORIGINALS) {
    Deno.symlinkSync(`${bin}/socklog-tcp`, `${bin}/${name}`);
  }
  for (const tool of TOOLS) {
    Deno.symlinkSync(installed(tool)!, `${bin}/${tool}`);
  }
  for (const [service, script] of Object.entries(scripts)) {
    const at = `${work}/services/${service}`;
    Deno.mkdirSync(at, { recursive: true });
    const shebang = `#!${bin}/sh\n`;
    Deno.writeTextFileSync(`${at}/run`, `${shebang}${script}\n`, {
      mode: 0o755,
    });
  }
}

/** Services that run in a mount namespace with a `/dev` of its own. */
class Machine implements AsyncDisposable {
  readonly #work: string;
  readonly #svscan: Deno.ChildProcess;

  constructor(work: string) {
    this.#work = work;
    const line = `
      touch "$0/null" && mount --bind /dev/null "$0/null"
      mount --bind "$0" /dev
      exec env -i PATH="$1" svscan "$2" </dev/null >/dev/null 2>&1`;
    Deno.mkdirSync(`${work}/dev`);
    this.#svscan = new Deno.Command("unshare", {
      args: ["-m", "sh", "-ec", line, `${work}/dev`, `${work}/bin`]
        .concat(`${work}/services`),
      cwd: work,
    }).spawn();
  }

  /** Logs lines as any program of that machine does. */
  async log(...lines: string[]): Promise<void> {
    for (const line of lines) {
      const { code, stderr } = await run(
        ["nsenter", "-m", "-t", `${this.#svscan.pid}`]
          .concat(installed("logger")!, "-p", "mail.err", "-t", "me", line),
      );
      assertEquals([code, stderr], [0, ""]);
    }
  }

  /** Tells a service something. */
  async tell(letter: string, service: string): Promise<void> {
    const words = ["svc", `-${letter}`, `${this.#work}/services/${service}`];
    const { code, text, stderr } = await run(words);
    assertEquals([code, text, stderr], [0, "", ""]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#svscan.kill("SIGTERM");
    await this.#svscan.status;
    for (const service of ["client", "server", "client/log", "server/log"]) {
      await run(["svc", "-dx", `${this.#work}/services/${service}`]);
    }
    try {
      await until(
        "everything has ended",
        () => processesIn(this.#work).length === 0,
      );
    } finally {
      killAll(processesIn(this.#work));
    }
  }
}

/** What logger's lines have said that are in a log, in their order. */
function logged(log: string): string[] {
  // A host's is made when its first line comes.
  const names = mode(log) === "" ? [] : oldFiles(log);
  const lines = [...names, "current"].map((name) => text(`${log}/${name}`));
  return [...lines.join("").matchAll(/^.*mail\.err: .*me: (.*)\n/gm)]
    .map(([, line]) => line!);
}

for (
  const [name, scripts, kept] of [
    ["socklog's own words, and links", originals, true],
    ["our words", own, false],
  ] as const
) {
  testWith(
    ["root", "unshare", "nsenter", "logger", "svc", ...TOOLS],
    `in ${name}, a line gets from /dev/log to its host's log on the server`,
    async () => {
      using folderOfTest = folder();
      const work = Deno.realPathSync(folderOfTest.path);
      const port = freePort();
      const logs = `${work}/logs`;
      layOut(work, scripts(port, logs));
      const client = `${logs}/client`;
      const host = `${logs}/hosts/127.0.0.1`;
      const said = () =>
        kept ? text(`${logs}/all/current`) : text(`${logs}/server/current`);
      {
        await using machine = new Machine(work);
        await listening(port);
        await until(
          "the client's service listens",
          () => text(`${client}/current`).includes("listening on /dev/log"),
        );
        await machine.log("one", "two");
        await until("they are logged", () => logged(client).length === 2);
        await machine.tell("a", "client/log");
        await until("they are there", () => logged(host).length === 2);
        assertEquals(logged(host), ["one", "two"]);
        assertMatch(
          text(`${host}/current`),
          /^127\.0\.0\.1: mail\.err: .*me: one$/m,
        );

        // The server is away, and what its machine logs goes on.
        await machine.tell("d", "server");
        await until("nobody listens", () => !listensAt(port));
        await machine.log("three");
        await until("it is logged", () => logged(client).includes("three"));
        await machine.tell("a", "client/log");
        // tryto -p notes what it keeps for the next transmission; without it
        // the file waits.
        const note = `${client}/${kept ? "state" : "failure"}`;
        await until("it can't be sent", () => text(note).includes("refused"));
        await machine.log("four");
        await until("it is logged", () => logged(client).includes("four"));
        await machine.tell("u", "server");
        await listening(port);
        await machine.tell("a", "client/log");
        await until("it has arrived", () => logged(host).includes("four"));
        if (kept) {
          assertEquals(logged(host), ["one", "two", "four"]);
          await until(
            "only what is kept is left",
            () => logged(client).join() === "three",
          );
          // What was kept is told in the next transmission.
          assertMatch(text(`${host}/current`), /^127.*tryto: .*(keep|kept)/m);
        } else assertEquals(logged(host), ["one", "two", "three", "four"]);
        assert(said().includes("status: 0/40"), said());
      }
      for (const log of [client, host, `${logs}/all`]) {
        assertEquals(mode(`${log}/current`), "744", log);
      }
    },
  );
}

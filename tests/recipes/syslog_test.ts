/** RECIPES.md's recipe of rsyslog and syslog-ng as senders, with the real ones. */
import { assertEquals, assertMatch } from "@std/assert";
import { linesOf } from "../../scripts/demo/logs.ts";
import { ASIDE } from "../../scripts/test/packages.ts";
import { DatagramSender } from "../socklog/_datagrams.ts";
import { freePort, installed, ours, run, testWith, until } from "../tools.ts";
import { filesOf, Kitchen, lines, sent, text } from "./_recipes.ts";

const FILES = filesOf("Senders of other kinds: rsyslog, syslog-ng");
const UNPACKED = `${ASIDE}/usr/sbin/syslog-ng`;

/** A log server for all senders, and a syslog daemon that sends to it. */
class Senders {
  readonly port = freePort();
  readonly #kitchen: Kitchen;

  constructor(kitchen: Kitchen) {
    this.#kitchen = kitchen;
    kitchen.cook("syslog/run", FILES.get("syslog/run"), {
      " 0 10514 ": ` 127.0.0.1 ${this.port} `,
    });
    const scripts = filesOf("Run scripts");
    kitchen.cook("syslog/log/run", scripts.get("socklog-tcp/log/run"));
  }

  async start(): Promise<void> {
    await this.#kitchen.serve("syslog", this.port);
  }

  /** The lines of all, and those of one host. */
  lines(log = "hosts/127.0.0.1"): string[] {
    return sent(linesOf(this.#kitchen.at(`net/${log}/current`)));
  }

  /**
   * Has a daemon send messages, while others send lines to the same port.
   *
   * @param socket The daemon's
   * @returns What came of the daemon's messages, and of the others' lines
   */
  async send(socket: string): Promise<{ daemon: string[]; plain: string[] }> {
    // Until it listens there is nothing to be connected to.
    await until("the daemon's socket", () => {
      try {
        return Deno.statSync(socket).isSocket === true;
      } catch {
        return false;
      }
    });
    const others = [1, 2, 3].map((n) =>
      run(
        [ours.socklogTcp, "send", "-a", "-i", `127.0.0.1${n}`]
          .concat("127.0.0.1", `${this.port}`),
        { stdin: text(lines(`${n} is no length:`, 2000)) },
      )
    );
    {
      using sender = DatagramSender.unix(socket);
      for (const message of MESSAGES) sender.send(message);
    }
    for (const { code, stderr } of await Promise.all(others)) {
      assertEquals([code, stderr], [0, ""]);
    }
    await until(
      "the last message",
      () => this.lines().some((line) => line.endsWith("the last one")),
    );
    return {
      daemon: this.lines(),
      plain: [1, 2, 3].flatMap((n) => this.lines(`hosts/127.0.0.1${n}`)),
    };
  }
}

const FORGED = "192.0.2.9: kern.emerg: forged";
const MESSAGES = [
  "<13>Nov 27 10:00:00 me: one line",
  `<11>Nov 27 10:00:00 me: first\n${FORGED}\nthird`,
  `<14>Nov 27 10:00:00 me: long ${"x".repeat(3000)}`,
  "<13>Nov 27 10:00:00 me: the last one",
];

/** What is expected, but for how the daemon writes a message's beginning. */
function check({ daemon, plain }: { daemon: string[]; plain: string[] }): void {
  const own = daemon.map((line) =>
    line.replace(
      /^(127\.0\.0\.1: user\.\w+: ).* me\b.*? (?=one|first|long|the)/,
      "$1",
    )
  ).filter((line) => !/ (rsyslogd|syslog-ng)\b/.test(line));
  assertEquals(own, [
    "127.0.0.1: user.notice: one line",
    "127.0.0.1: user.err: first",
    `127.0.0.1: user.err: ${FORGED}`,
    "127.0.0.1: user.err: third",
    `127.0.0.1: user.info: long ${"x".repeat(3000)}`,
    "127.0.0.1: user.notice: the last one",
  ]);
  assertEquals(
    plain,
    [1, 2, 3].flatMap((n) => lines(`127.0.0.1${n}: ${n} is no length:`, 2000)),
  );
}

testWith(["rsyslogd"], "recipe: rsyslog sends to a log server", async () => {
  await using kitchen = new Kitchen();
  const senders = new Senders(kitchen);
  kitchen.cook(
    "etc/send.conf",
    FILES.get("/etc/rsyslog.d/send.conf"),
    {
      'target="192.0.2.1" port="10514"':
        `target="127.0.0.1" port="${senders.port}"`,
    },
  );
  const socket = kitchen.at("rsyslog.socket");
  // What Debian's own file has, of which the test needs one line.
  kitchen.write(
    "etc/rsyslog.conf",
    `module(load="imuxsock" SysSock.Name="${socket}")\n` +
      `include(file="${kitchen.at("etc/send.conf")}")\n`,
  );
  await senders.start();
  kitchen.start("rsyslog", [
    installed("rsyslogd")!,
    ...["-n", "-f", kitchen.at("etc/rsyslog.conf"), "-i", kitchen.at("pid")],
  ]);
  const result = await senders.send(socket);
  check(result);
  assertMatch(
    result.daemon.find((line) => line.endsWith(" one line"))!,
    /^127\.0\.0\.1: user\.notice: \w{3} [ \d]\d [\d:]{8} \S+ me: one line$/,
  );
});

testWith(
  [installed("syslog-ng") ? "syslog-ng" : UNPACKED],
  "recipe: syslog-ng sends to a log server",
  async () => {
    await using kitchen = new Kitchen();
    const senders = new Senders(kitchen);
    kitchen.cook(
      "etc/send.conf",
      FILES.get("/etc/syslog-ng/conf.d/send.conf"),
      { '"192.0.2.1" port(10514)': `"127.0.0.1" port(${senders.port})` },
    );
    const socket = kitchen.at("syslog-ng.socket");
    const unpacked = installed("syslog-ng") === undefined;
    const program = unpacked ? UNPACKED : installed("syslog-ng")!;
    const libraries = `${ASIDE}/usr/lib/syslog-ng`;
    const architecture = `${Deno.build.arch}-linux-gnu`;
    const env: Record<string, string> = unpacked
      ? {
        LD_LIBRARY_PATH: `${libraries}:${ASIDE}/lib/${architecture}:` +
          `${ASIDE}/usr/lib/${architecture}`,
      }
      : {};
    const { text: version } = await run([program, "--version"], { env });
    const [number] = /\d+\.\d+/.exec(version)!;
    kitchen.write(
      "etc/syslog-ng.conf",
      `@version: ${number}\n` +
        `source s_src { unix-dgram("${socket}"); };\n` +
        `@include "${kitchen.at("etc/send.conf")}"\n`,
    );
    await senders.start();
    kitchen.start("syslog-ng", [
      program,
      ...["-F", "--no-caps", "-f", kitchen.at("etc/syslog-ng.conf")],
      ...["--persist-file", kitchen.at("persist")],
      ...["--pidfile", kitchen.at("pid"), "--control", kitchen.at("control")],
      ...(unpacked ? ["--module-path", `${libraries}/${number}`] : []),
    ], { env });
    const result = await senders.send(socket);
    check(result);
    assertMatch(
      result.daemon.find((line) => line.endsWith(" one line"))!,
      /^127\.0\.0\.1: user\.notice: 1 \d{4}-\S+ \S+ me - - .*one line$/,
    );
  },
);

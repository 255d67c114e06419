/** `send -z`: TLS, with the real stunnel and rsyslog at the other end. */
import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { LogferryError, send, type SendTlsOptions } from "../../lib/send.ts";
// What it loads from the C library would be found as a leak of the first test.
import "../../src/socklog/tls.ts";
import { bothWays, sender } from "../inside/_ways.ts";
import {
  folder,
  freePort,
  installed,
  inTime,
  latin1,
  listening,
  ours,
  run,
  Running,
  testWith,
  until,
  withHosts,
} from "../tools.ts";
import { type Server, startOurs } from "./servers.ts";

const HOST = "127.0.0.1";

/** Makes an authority, and what it certifies: a key and a certificate each. */
async function makeKeys(at: string): Promise<void> {
  const script = `set -e
new='openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes'
for ca in ca others; do
  $new -x509 -days 9 -subj /CN=$ca -keyout $ca.key -out $ca.pem
done
certify() { # name, authority, days, subject's other name
  $new -subj /CN=$1 -addext subjectAltName=$4 -keyout $1.key -out $1.csr
  openssl x509 -req -days $3 -in $1.csr -out $1.pem -copy_extensions copy \\
    -CA $2.pem -CAkey $2.key -CAcreateserial
}
certify server ca 9 IP:127.0.0.1,DNS:loghost
certify elsewhere ca 9 DNS:elsewhere
certify expired ca -1 IP:127.0.0.1
certify web1 ca 9 DNS:web1
certify stranger others 9 DNS:web1
`;
  const made = await run(["sh", "-c", script], { cwd: at });
  assertEquals(made.code, 0, made.stderr);
}

/** A place with keys, and servers that are ended with it. */
class Place implements AsyncDisposable {
  readonly #folder = folder();
  readonly path = this.#folder.path;
  /** What was started here. */
  readonly running: Running[] = [];

  static async make(): Promise<Place> {
    const place = new Place();
    await makeKeys(place.path);
    return place;
  }

  /** A file in the place. */
  at(name: string): string {
    return `${this.path}/${name}`;
  }

  /** The options of a sender that has a certificate. */
  options(key = "web1", authority = "ca"): string[] {
    const files = ["-C", `${authority}.pem`, "-k", `${key}.key`]
      .concat("-e", `${key}.pem`);
    const named = files.map((word) =>
      word.startsWith("-") ? word : this.at(word)
    );
    return ["-z", ...named];
  }

  /** Starts stunnel before a server; who has no certificate isn't let in. */
  async tunnelTo(port: number, key = "server"): Promise<number> {
    const front = freePort();
    const conf = this.at(`${key}.conf`);
    Deno.writeTextFileSync(
      conf,
      `foreground = yes
pid =
syslog = no
[logs]
accept = ${HOST}:${front}
connect = ${HOST}:${port}
cert = ${this.at(key)}.pem
key = ${this.at(key)}.key
CAfile = ${this.at("ca.pem")}
verifyChain = yes
requireCert = yes
`,
    );
    this.start([installed("stunnel")!, conf]);
    await listening(front);
    return front;
  }

  start(words: readonly string[]): Running {
    const running = new Running(words, { cwd: this.path });
    this.running.push(running);
    return running;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const one of this.running) await one[Symbol.asyncDispose]();
    this.#folder[Symbol.dispose]();
  }
}

const STUNNEL = ["stunnel", "openssl"] as const;

bothWays("send -z -a delivers through stunnel, and knows it", async () => {
  await using place = await Place.make();
  await using server = await startOurs(["-aRHl0", "@"]);
  const port = await place.tunnelTo(server.port);
  const long = "a line of some length, as lines are\n".repeat(200_000);
  let expected = "";
  for (const stdin of ["", "x\n", long]) {
    const { code, stderr } = await run(
      [...sender(), "send", "-a", "-v", ...place.options(), HOST, `${port}`],
      { stdin },
    );
    const connected = `socklog-tcp: connected to ${HOST} port ${port}\n`;
    assertEquals({ code, stderr }, { code: 0, stderr: connected });
    expected += stdin;
    assert(server.data === expected);
  }
}, STUNNEL);

/** What is wrong, and what a sender says of it. */
const WRONG: [
  what: string,
  message: RegExp,
  server: string,
  options: (place: Place) => string[],
][] = [
  [
    "the server's name is another",
    /^socklog-tcp: unable to connect to 127\.0\.0\.1 port \d+: its certificate is for another name\n$/,
    "elsewhere",
    (place) => place.options(),
  ],
  [
    "the server's certificate has expired",
    /^socklog-tcp: unable to connect to 127\.0\.0\.1 port \d+: its certificate has expired\n$/,
    "expired",
    (place) => place.options(),
  ],
  [
    "the server is certified by strangers",
    /^socklog-tcp: unable to connect to 127\.0\.0\.1 port \d+: its certificate is of no authority that is trusted here\n$/,
    "server",
    (place) => place.options("web1", "others"),
  ],
  [
    "the server isn't known to this machine's authorities",
    /^socklog-tcp: unable to connect to 127\.0\.0\.1 port \d+: its certificate is of no authority that is trusted here\n$|^socklog-tcp: fatal: unable to read /,
    "server",
    () => ["-z"],
  ],
  [
    "the client has no certificate",
    /^socklog-tcp: fatal: unable to send: it wants a certificate \(-k and -e\)\n$/,
    "server",
    (place) => ["-z", "-C", place.at("ca.pem")],
  ],
  [
    "the client is certified by strangers",
    /^socklog-tcp: fatal: unable to send: it doesn't take this certificate\n$/,
    "server",
    (place) => place.options("stranger"),
  ],
];

bothWays(
  "send -z sends nothing when a certificate is another's, expired or not trusted, on either side",
  async (t) => {
    await using place = await Place.make();
    await using server = await startOurs(["-aRHl0", "@"]);
    const ports = new Map<string, number>();
    for (const [what, message, key, options] of WRONG) {
      await t.step(what, async () => {
        const port = ports.get(key) ?? await place.tunnelTo(server.port, key);
        ports.set(key, port);
        // Whatever the environment says, only what is named by -C is trusted.
        const env = {
          DENO_TLS_CA_STORE: "system",
          SSL_CERT_FILE: place.at("ca.pem"),
        };
        const { code, stderr } = await run(
          [...sender(), "send", "-a", ...options(place), HOST, `${port}`],
          { stdin: "secret\n", env },
        );
        assertMatch(stderr, message);
        assertEquals([code, server.data], [111, ""]);
      });
    }
  },
  STUNNEL,
);

bothWays(
  "send -z sends nothing to a server that doesn't speak TLS",
  async () => {
    await using place = await Place.make();
    const to = `unable to connect to ${HOST} port`;
    const send = async (port: number, ...more: string[]) => {
      const { code, stderr } = await run(
        [...sender(), "send", ...more, ...place.options(), HOST, `${port}`],
        { stdin: "secret\n" },
      );
      assertEquals(code, 111);
      return stderr;
    };
    // A server that greets, as a mail server does.
    await using greeting = await startOurs(["-RHl0", "-B220 hello\r\n", "@"]);
    assertEquals(
      await send(greeting.port),
      `socklog-tcp: ${to} ${greeting.port}: it doesn't speak TLS\n`,
    );
    assert(!greeting.data.includes("secret"));

    using listener = Deno.listen({ hostname: HOST, port: 0 });
    const { port } = listener.addr as Deno.NetAddr;
    // One that closes.
    const closing = (async () => {
      using conn = await listener.accept();
      await conn.read(new Uint8Array(4096));
    })();
    assertMatch(
      await send(port),
      /port \d+: (it cut the connection off|connection reset)\n$/,
    );
    await closing;
    // One that says nothing, ever.
    const held = listener.accept();
    const { seconds } = await inTime(5, async () => {
      assertEquals(
        await send(port, "-T1+1"),
        `socklog-tcp: ${to} ${port}: timed out\n`,
      );
    });
    assert(seconds >= 2, `${seconds} s`);
    (await held).close();

    assertEquals(
      await send(1),
      `socklog-tcp: ${to} 1: connection refused\n`,
    );
  },
  ["openssl"],
);

/** What `ss` says of the connections to a port. */
async function connectionsTo(port: number): Promise<string> {
  const { text } = await run(["ss", "-Htn", "dport", "=", `:${port}`]);
  return text;
}

bothWays(
  "send -z -a fails when the server is killed after the tunnel has all",
  async () => {
    await using place = await Place.make();
    await using server = await startOurs(["-aRHl0", "@"]);
    const port = await place.tunnelTo(server.port);
    server.kill("SIGSTOP");
    const sending = run(
      [...sender(), "send", "-a", ...place.options(), HOST, `${port}`],
      { stdin: "x\n" },
    );
    await until("stunnel has connected", async () => {
      return await connectionsTo(server.port) !== "";
    });
    server.kill("SIGKILL");
    const { code, stderr } = await sending;
    assertEquals(code, 111);
    assertMatch(stderr, /^socklog-tcp: fatal: [^\n]+\n$/);
  },
  [...STUNNEL, "ss"],
);

bothWays(
  "send -z fails when the tunnel is killed before it has read everything",
  async () => {
    await using place = await Place.make();
    await using server = await startOurs(["-RHl0", "@"]);
    server.kill("SIGSTOP");
    const port = await place.tunnelTo(server.port);
    const tunnel = place.running.at(-1)!;
    const sending = run(
      [...sender(), "send", ...place.options(), HOST, `${port}`],
      { stdin: new Uint8Array(50_000_000).fill(0x78) },
    );
    await until("everything is full", async () => {
      const row = await connectionsTo(server.port);
      return Number(row.split(/ +/)[2]) > 100_000;
    });
    tunnel.signal("SIGKILL");
    const { code, stderr } = await sending;
    assertEquals(code, 111);
    assertMatch(stderr, /^socklog-tcp: fatal: [^\n]+\n$/);
  },
  [...STUNNEL, "ss"],
);

testWith(
  ["root", "unshare", ...STUNNEL],
  "send -z checks the name that it was given",
  async () => {
    await using place = await Place.make();
    await using server = await startOurs(["-aRHl0", "@"]);
    const port = await place.tunnelTo(server.port);
    const words = withHosts(place.path, `${HOST} loghost\n${HOST} web1\n`);
    const send = (host: string) =>
      run(
        [...words, ours.socklogTcp, "send", "-a", ...place.options()]
          .concat(host, `${port}`),
        { stdin: "x\n" },
      );
    assertEquals((await send("loghost")).stderr, "");
    assertEquals(server.data, "x\n");
    assertEquals(
      (await send("web1")).stderr,
      `socklog-tcp: unable to connect to web1 port ${port}: its certificate is for another name\n`,
    );
    assertEquals(server.data, "x\n");
  },
);

Deno.test("send -z says which file it can't use", async () => {
  using at = folder();
  Deno.writeTextFileSync(`${at.path}/empty.pem`, "nothing\n");
  const send = async (...options: string[]) => {
    const { code, stderr } = await run(
      [ours.socklogTcp, "send", ...options, HOST, "1"],
      { cwd: at.path },
    );
    return [code, stderr.split("\n")[0]];
  };
  const fatal = "socklog-tcp: fatal: unable to read";
  assertEquals(await send("-z", "-Cnone.pem"), [
    111,
    `${fatal} none.pem: file does not exist`,
  ]);
  assertEquals(await send("-z", "-Cempty.pem"), [
    111,
    `${fatal} empty.pem: no certificate in PEM`,
  ]);
  for (
    const [options, message] of [
      [["-Cempty.pem"], "-C, -k and -e are for -z"],
      [["-z", "-kempty.pem"], "-k and -e belong together"],
      [["-z", `-i${HOST}`], "-z has no use for -i and -p"],
    ] as const
  ) {
    assertEquals(await send(...options), [100, `socklog-tcp: ${message}`]);
  }
});

testWith(
  STUNNEL,
  "multilog sends through TLS inside, to the second server while the first is down",
  async () => {
    await using place = await Place.make();
    await using server: Server = await startOurs(["-aRHl0", "@"]);
    const port = await place.tunnelTo(server.port);
    const list = `${HOST}:1,${HOST}:${port}`;
    const options = place.options().join(" ");
    await using multilog = new Running(
      [ours.multilog, "s4096", "n20"].concat(
        `!tryto -n1 socklog-tcp send -a ${options} ${list} 9`,
        "./log",
      ),
      {
        cwd: place.path,
        stdin: "piped",
        env: { PATH: ours.multilog.replace(/\/[^/]*$/, "") },
      },
    );
    let expected = "";
    for (let n = 0; n < 3; n++) {
      const line = `line ${n}`.padEnd(3000) + "\n";
      await multilog.write(line);
      expected += line;
      await until("it arrives", () => server.data === expected);
    }
    assertEquals(await multilog.finish(), 0);
    assertEquals(
      multilog.said,
      `socklog-tcp: warning: unable to connect to ${HOST} port 1: connection refused\n`,
    );
  },
);

/** Where Debian has rsyslog's modules. */
const MODULES = `/usr/lib/${Deno.build.arch}-linux-gnu/rsyslog`;

for (const driver of ["gtls", "ossl"]) {
  testWith(
    ["rsyslogd", "openssl", `${MODULES}/lmnsd_${driver}.so`],
    `send -z delivers to rsyslog's TLS (${driver}), which knows the client`,
    async () => {
      await using place = await Place.make();
      const port = freePort();
      Deno.writeTextFileSync(
        place.at("rsyslog.conf"),
        `global(
  DefaultNetstreamDriver="${driver}"
  DefaultNetstreamDriverCAFile="${place.at("ca.pem")}"
  DefaultNetstreamDriverCertFile="${place.at("server.pem")}"
  DefaultNetstreamDriverKeyFile="${place.at("server.key")}"
)
module(load="imtcp" StreamDriver.Name="${driver}" StreamDriver.Mode="1"
  StreamDriver.AuthMode="x509/name" PermittedPeer=["web1"])
template(name="line" type="string" string="%rawmsg%\\n")
ruleset(name="net" queue.type="direct") {
  action(type="omfile" file="${place.at("lines")}" template="line")
}
input(type="imtcp" address="${HOST}" port="${port}" ruleset="net")
`,
      );
      place.start([installed("rsyslogd")!, "-n"].concat(
        ["-f", place.at("rsyslog.conf"), "-i", place.at("pid")],
      ));
      await listening(port);
      const stdin = Array.from({ length: 20_000 }, (_, n) => `<13>line ${n}\n`)
        .join("");
      const send = (options: string[]) =>
        run([ours.socklogTcp, "send", ...options, HOST, `${port}`], { stdin });
      const { code, stderr } = await send(place.options());
      assertEquals([code, stderr], [0, ""]);
      const lines = () => latin1(Deno.readFileSync(place.at("lines")));
      await until("all is written", () => lines().length === stdin.length);
      assertEquals(lines(), stdin);
      const refused = await send(place.options("stranger"));
      assertEquals(refused.code, 111);
      assertMatch(refused.stderr, /^socklog-tcp: fatal: [^\n]+\n$/);
      assertEquals(lines(), stdin);
    },
  );
}

testWith(
  [...STUNNEL],
  "the library's send goes through TLS, of a stream that is slow too, and says why it doesn't",
  async () => {
    await using place = await Place.make();
    await using server = await startOurs(["-aRHl0", "@"]);
    const port = await place.tunnelTo(server.port);
    const read = (name: string) => Deno.readTextFileSync(place.at(name));
    const certificate = { key: read("web1.key"), cert: read("web1.pem") };
    const tls = { ...certificate, caCerts: [read("ca.pem")] };
    const to = { hostname: HOST, port, acknowledge: true };
    await send(new TextEncoder().encode("one\n"), { ...to, tls });
    const { readable, writable } = new TransformStream<Uint8Array>();
    const writer = writable.getWriter();
    const sending = send(readable, { ...to, tls });
    for (const line of ["two\n", "three\n"]) {
      await writer.write(new TextEncoder().encode(line));
      await until("it has come", () => server.data.endsWith(line));
    }
    await writer.close();
    await sending;
    assertEquals(server.data, "one\ntwo\nthree\n");
    for (
      const [wrong, why] of [
        [certificate, /of no authority that is trusted here/],
        [{ caCerts: [read("ca.pem")] }, /wants a certificate/],
      ] as const
    ) {
      const { code, message } = await assertRejects(
        () => send(new Uint8Array(1), { ...to, tls: wrong as SendTlsOptions }),
        LogferryError,
      );
      assertEquals(code, "EPROTO");
      assertMatch(message, why);
    }
    assertEquals(Deno.env.has("DENO_TLS_CA_STORE"), false);
  },
);

/**
 * RECIPES.md's recipe of NATS, with a real cluster: three nodes on this machine,
 * and a stream that each line is in on at least two of them.
 */
import { assert, assertEquals } from "@std/assert";
import {
  freePort,
  installed,
  killAll,
  listening,
  processesNaming,
  testWith,
  until,
} from "../tools.ts";
import { Client, filesOf, Kitchen, lines, text } from "./_recipes.ts";

const HOST = "127.0.0.1";
const NODES = ["a", "b", "c"];

/** The nodes of one cluster. */
class Cluster {
  readonly ports = NODES.map(() => freePort());
  readonly #routes = NODES.map(() => freePort());
  readonly #kitchen: Kitchen;

  constructor(kitchen: Kitchen, conf: string) {
    this.#kitchen = kitchen;
    NODES.forEach((name, i) => {
      const places: Record<string, string> = {
        "server_name: a": `server_name: ${name}`,
        "listen: 192.0.2.1:4222": `listen: ${HOST}:${this.ports[i]}`,
        "listen: 192.0.2.1:6222": `listen: ${HOST}:${this.#routes[i]}`,
        "/var/lib/nats": kitchen.at(`store-${name}`),
      };
      this.#routes.forEach((port, j) => {
        places[`nats://192.0.2.${j + 1}:6222`] = `nats://${HOST}:${port}`;
      });
      kitchen.cook(`etc/${name}.conf`, conf, places);
    });
  }

  async start(...names: string[]): Promise<void> {
    for (const name of names) {
      const conf = this.#kitchen.at(`etc/${name}.conf`);
      this.#kitchen.start(name, [installed("nats-server")!, "-c", conf]);
    }
    for (const name of names) {
      await listening(this.ports[NODES.indexOf(name)]!);
    }
  }

  /** The servers of the recipe, and what stands for them here. */
  get servers(): Record<string, string> {
    return Object.fromEntries(
      this.ports.map((port, i) => [`192.0.2.${i + 1}:4222`, `${HOST}:${port}`]),
    );
  }
}

/** A connection that asks for what is in the stream. */
class Reader {
  readonly #conn: Deno.TcpConn;
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  #text = "";

  static async open(port: number): Promise<Reader> {
    return new Reader(await Deno.connect({ hostname: HOST, port }));
  }

  constructor(conn: Deno.TcpConn) {
    this.#conn = conn;
    this.#reader = conn.readable.getReader();
  }

  async say(text: string): Promise<void> {
    const bytes = new TextEncoder().encode(text);
    for (let at = 0; at < bytes.length;) {
      at += await this.#conn.write(bytes.subarray(at));
    }
  }

  async #more(): Promise<void> {
    const { value, done } = await this.#reader.read();
    if (done) throw new Error("the node has closed the connection");
    this.#text += Array.from(value, (byte) => String.fromCharCode(byte))
      .join("");
  }

  /** The next message's text, without its headers. */
  async message(): Promise<string> {
    while (true) {
      let end: number;
      while ((end = this.#text.indexOf("\r\n")) < 0) await this.#more();
      const words = this.#text.slice(0, end).split(" ");
      this.#text = this.#text.slice(end + 2);
      if (words[0] === "PING") await this.say("PONG\r\n");
      if (words[0] !== "MSG" && words[0] !== "HMSG") continue;
      const [head, all] = words[0] === "MSG"
        ? [0, Number(words.at(-1))]
        : [Number(words.at(-2)), Number(words.at(-1))];
      while (this.#text.length < all + 2) await this.#more();
      const text = this.#text.slice(head, all);
      this.#text = this.#text.slice(all + 2);
      return text;
    }
  }

  /** Asks the servers' own interface. */
  // deno-lint-ignore no-explicit-any
  async ask(what: string): Promise<any> {
    await this.say(`PUB $JS.API.${what} in 0\r\n\r\n`);
    return JSON.parse(await this.message());
  }

  close(): void {
    this.#conn.close();
  }
}

async function opened(port: number): Promise<Reader> {
  const reader = await Reader.open(port);
  await reader.say('CONNECT {"verbose":false,"headers":true}\r\nSUB in 1\r\n');
  return reader;
}

/** All messages of the stream. */
async function taken(port: number): Promise<string[]> {
  const reader = await opened(port);
  try {
    const { state } = await reader.ask("STREAM.INFO.logs");
    const about = JSON.stringify({
      stream_name: "logs",
      config: {
        deliver_subject: "in",
        ack_policy: "none",
        replay_policy: "instant",
      },
    });
    await reader.say(
      `PUB $JS.API.CONSUMER.CREATE.logs in ${about.length}\r\n${about}\r\n`,
    );
    const found: string[] = [];
    while (found.length < state.messages) {
      const message = await reader.message();
      // The answer comes when it likes.
      if (message.startsWith("@")) found.push(message);
    }
    return found;
  } finally {
    reader.close();
  }
}

testWith(
  ["--all", "nats-server", "/usr/bin/python3"],
  "recipe: a cluster of NATS has each line once, whichever program is killed half-way",
  async () => {
    await using kitchen = new Kitchen();
    const files = filesOf("Each line once: NATS JetStream");
    const cluster = new Cluster(kitchen, files.get("nats.conf")!);
    kitchen.cook("bin/to-nats", files.get("/usr/local/bin/to-nats"));
    kitchen.cook("client/run", files.get("log/run"), {
      ...cluster.servers,
      "tryto -v": "tryto -n 5 -t 60 -v",
    });
    await cluster.start(...NODES);
    const client = new Client(kitchen);
    await client.send(text(lines("first")), 60);

    // A file of lines of 100 bytes, timed.
    const many = Array.from(
      { length: 5000 },
      (_, n) => `many ${n} `.padEnd(99, "x"),
    );
    const begin = performance.now();
    await client.send(text(many), 60);
    const seconds = (performance.now() - begin) / 1000;
    console.log(
      `${Math.round(many.length / seconds)} lines of 100 bytes a second`,
    );

    // The leader and the sender are killed half-way.
    const reader = await opened(cluster.ports[2]!);
    const { cluster: { leader } } = await reader.ask("STREAM.INFO.logs");
    const half = lines("half", 9000);
    await client.begin(text(half));
    const before = 100 + many.length;
    const counted = async () =>
      (await reader.ask("STREAM.INFO.logs")).state.messages - before;
    await until("some are there", async () => await counted() > 500, 60);
    killAll(processesNaming(kitchen.at("bin/to-nats")));
    await kitchen.kill(leader);
    reader.close();
    await client.delivered(120);
    await cluster.start(leader);

    // One of three is no majority.
    for (const name of ["a", "b"]) await kitchen.kill(name);
    const alone = text(lines("alone"));
    await client.begin(alone);
    await cluster.start("a", "b");
    await client.delivered(120);
    await client.stop();

    const found = (await taken(cluster.ports[1]!))
      // After its timestamp.
      .map((line) => line.slice(26));
    const expected = [...lines("first"), ...many, ...half, ...lines("alone")];
    assertEquals(found.length, new Set(found).size, "a line came twice");
    assertEquals(found.toSorted(), expected.toSorted());
    assert(kitchen.messages("client").includes("child crashed"));
  },
);

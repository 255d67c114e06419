/**
 * RECIPES.md's recipe of RabbitMQ, with a real cluster: three nodes on this
 * machine, and a queue that each line is in on at least two of them.
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { linesOf } from "../../scripts/demo/logs.ts";
import { encode } from "../../src/bytes.ts";
import {
  freePort,
  installed,
  listening,
  run,
  testWith,
  until,
} from "../tools.ts";
import { Client, filesOf, Kitchen, lines, text } from "./_recipes.ts";

/** What the package has for every user; on `PATH` it has it for its own. */
const SERVER = "/usr/lib/rabbitmq/bin/rabbitmq-server";
const CONTROL = "/usr/lib/rabbitmq/bin/rabbitmqctl";
const PIKA = "/usr/lib/python3/dist-packages/pika/__init__.py";

/** `count file number` waits for so many messages, `take file` takes all. */
const LOOK = `
import sys, time, pika
what, file, *number = sys.argv[1:]
nodes = [pika.URLParameters(url) for url in open(file).read().split()]
channel = pika.BlockingConnection(nodes).channel()
if what == "count":
    while channel.queue_declare("logs", passive=True).method.message_count < int(number[0]):
        time.sleep(0.02)
else:
    for method, _, body in channel.consume("logs", auto_ack=True, inactivity_timeout=3):
        if method is None:
            break
        sys.stdout.buffer.write(body + b"\\n")
`;

/** The nodes of one cluster. */
class Cluster {
  readonly names = ["a", "b", "c"];
  readonly #ports = this.names.map(() => freePort());
  readonly #kitchen: Kitchen;
  readonly #epmd = freePort();

  constructor(kitchen: Kitchen) {
    this.#kitchen = kitchen;
    const nodes = this.names.map((name, i) =>
      `cluster_formation.classic_config.nodes.${i + 1} = ${name}@localhost\n`
    );
    kitchen.write(
      "etc/rabbitmq.conf",
      "cluster_formation.peer_discovery_backend = classic_config\n" +
        `${nodes.join("")}log.console = true\nlog.file = false\n`,
    );
    kitchen.write("home/.erlang.cookie", crypto.randomUUID(), 0o400);
  }

  /** The nodes' addresses, as the recipe has them. */
  get urls(): Record<string, string> {
    return Object.fromEntries(this.#ports.map((port, i) => [
      `log:secret@192.0.2.${i + 1}:5672`,
      `guest:guest@127.0.0.1:${port}`,
    ]));
  }

  #environment(name: string): Record<string, string> {
    const { path } = this.#kitchen;
    return {
      HOME: `${path}/home`,
      ERL_EPMD_ADDRESS: "127.0.0.1",
      ERL_EPMD_PORT: `${this.#epmd}`,
      RABBITMQ_CONF_ENV_FILE: "/dev/null",
      RABBITMQ_CONFIG_FILE: `${path}/etc/rabbitmq.conf`,
      RABBITMQ_DIST_PORT: `${freePort()}`,
      RABBITMQ_ENABLED_PLUGINS_FILE: "/dev/null",
      RABBITMQ_LOG_BASE: `${path}/${name}`,
      RABBITMQ_MNESIA_BASE: `${path}/${name}`,
      RABBITMQ_NODE_IP_ADDRESS: "127.0.0.1",
      RABBITMQ_NODE_PORT: `${this.#ports[this.names.indexOf(name)]}`,
      RABBITMQ_NODENAME: `${name}@localhost`,
      RABBITMQ_PLUGINS_EXPAND_DIR: `${path}/${name}/plugins`,
      RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS:
        "-kernel inet_dist_use_interface {127,0,0,1}",
    };
  }

  /** Starts nodes, and waits until they serve. */
  async start(...names: string[]): Promise<void> {
    for (const name of names) {
      this.#kitchen.start(name, [SERVER], { env: this.#environment(name) });
    }
    for (const name of names) {
      await until(
        `node ${name}`,
        () => this.#kitchen.messages(name).includes("startup complete"),
        150,
      );
      // For the next start.
      Deno.removeSync(this.#kitchen.at(`${name}/messages`));
    }
  }

  /** Starts all of it. */
  async begin(): Promise<void> {
    // Otherwise the first node would start one that outlives everything.
    const epmd = ["-port", `${this.#epmd}`, "-address", "127.0.0.1"];
    this.#kitchen.start("epmd", [installed("epmd")!, ...epmd]);
    await listening(this.#epmd);
    await this.start(...this.names);
  }

  /** Asks a node. */
  async ask(name: string, ...words: string[]): Promise<string> {
    const { code, text, stderr } = await run(
      [CONTROL, "-q", "-n", `${name}@localhost`, ...words],
      {
        env: {
          ...this.#kitchen.environment("ask"),
          ...this.#environment(name),
        },
      },
    );
    assertEquals(code, 0, stderr);
    return text;
  }
}

testWith(
  ["--all", "rabbitmq-server", "epmd", PIKA],
  "recipe: a cluster of RabbitMQ",
  async () => {
    await using kitchen = new Kitchen();
    const files = filesOf("More than one log server: RabbitMQ");
    const cluster = new Cluster(kitchen);
    const urls = kitchen.at("etc/rabbitmq");
    kitchen.cook("etc/rabbitmq", files.get("/etc/logs/rabbitmq"), cluster.urls);
    kitchen.cook(
      "bin/to-rabbitmq",
      files.get("/usr/local/bin/to-rabbitmq"),
    );
    kitchen.cook("client/run", files.get("log/run"), {
      "tryto -v": "tryto -n 5 -v",
      "-t 600": `-t $(cat ${kitchen.at("etc/limit")})`,
    });
    const look = (...words: string[]) =>
      run(["/usr/bin/python3", "-c", LOOK, words[0]!, urls, ...words.slice(1)]);
    await cluster.begin();

    kitchen.write("etc/limit", "120");
    const client = new Client(kitchen);
    await client.send(text(lines("first")), 150);
    const queue = JSON.parse(
      await cluster.ask(
        "b",
        ...["list_queues", "--formatter", "json", "name", "type", "members"],
      ),
    );
    assertEquals(queue.length, 1);
    assertEquals(queue[0].type, "quorum");
    assertEquals(queue[0].members.length, 3);

    // Lines of 100 bytes, timed: while all is well, while a node dies that
    // isn't talked to, and while the one dies that is, the queue's leader too.
    const publish = async (
      word: string,
      victim?: string,
    ): Promise<string[]> => {
      const name = `to-rabbitmq-${word}`;
      const many = lines(word, 60_000).map((line) => line.padEnd(99, "x"));
      const begin = performance.now();
      const sender = kitchen.start(
        name,
        [kitchen.at("bin/to-rabbitmq"), "logs", urls],
        { stdin: "piped" },
      );
      const input = sender.stdin.getWriter();
      await input.write(encode(text(many.slice(0, 30_000))));
      // At least 9,000 are confirmed: the rest is in the pipe, or on its way.
      const killed = victim === undefined || kitchen.kill(victim);
      await input.write(encode(text(many.slice(30_000))));
      await input.close();
      const { code } = await sender.status;
      const seconds = (performance.now() - begin) / 1000;
      await killed;
      assertEquals(code, 0, kitchen.messages(name));
      console.log(`${word}: ${Math.round(60_000 / seconds)} lines a second`);
      return many;
    };
    const well = await publish("well");
    const follower = await publish("follower", "c");
    assertEquals(kitchen.messages("to-rabbitmq-follower"), "");
    await cluster.start("c");
    const leader = await publish("leader", "a");
    const lost = /^to-rabbitmq: 127\.0\.0\.1: StreamLostError/;
    assertMatch(kitchen.messages("to-rabbitmq-leader"), lost);

    // One of three is no majority.
    await kitchen.kill("b");
    kitchen.write("etc/limit", "8");
    const alone = text(lines("alone"));
    await client.sendInVain(alone, 60);
    assertEquals(client.waiting(), alone);

    await cluster.start("b");
    kitchen.write("etc/limit", "120");
    await client.send(text(lines("again")), 150);
    await client.stop();

    const taken = await look("take");
    assertEquals(taken.code, 0, taken.stderr);
    const found = taken.text.split("\n").slice(0, -1);
    const distinct = new Set(found);
    for (const word of ["first", "alone", "again"]) {
      const missing = lines(word).filter((line) => !distinct.has(line));
      assertEquals(missing, [], word);
    }
    for (const all of [well, follower, leader]) {
      assertEquals(all.filter((line) => !distinct.has(line)), []);
    }
    // Only what wasn't confirmed when a node was lost is there twice.
    for (const word of ["well", "follower", "leader"]) {
      const copies = found.filter((line) =>
        line.startsWith(`${word} `)
      ).length -
        60_000;
      const losses = linesOf(kitchen.at(`to-rabbitmq-${word}/messages`)).length;
      assert(copies <= 20_000 * losses, `${copies} copies of ${word}`);
    }
  },
);

/**
 * RECIPES.md's recipe of Kafka, with the real kcat; the brokers are those that
 * its library plays.
 */
import { assertEquals } from "@std/assert";
import { freePort, installed, run, testWith, until } from "../tools.ts";
import { Client, filesOf, Kitchen, lines, text } from "./_recipes.ts";

testWith(["kcat"], "recipe: Kafka by kcat", async () => {
  await using kitchen = new Kitchen();
  const kcat = installed("kcat")!;
  kitchen.cook("client/run", filesOf("Kafka").get("log/run"), {
    "192.0.2.1,192.0.2.2": `$(cat ${kitchen.at("etc/brokers")})`,
    "message.timeout.ms=30000": "message.timeout.ms=2000",
  });
  const talkTo = (brokers: string) => kitchen.write("etc/brokers", brokers);
  // It plays brokers as long as it waits for lines of its own.
  const playing = kitchen.start("brokers", [
    ...[kcat, "-P", "-b", "played", "-t", "none"],
    ...["-X", "test.mock.num.brokers=3", "-d", "mock"],
  ], { stdin: "piped" });
  let brokers: string | undefined;
  await until("the brokers", () => {
    const said = kitchen.messages("brokers");
    brokers = /bootstrap.servers=([\d.:,]+)/.exec(said)?.[1];
    return brokers !== undefined;
  });
  const arrived = async () => {
    const consume = ["-C", "-b", brokers!, "-t", "logs", "-e", "-q"];
    const { text } = await run([kcat, ...consume]);
    return text.split("\n").slice(0, -1).sort();
  };
  const client = new Client(kitchen);

  talkTo(brokers!);
  await client.send(text(["", " a line", ...lines("first", 5000)]));
  const expected = [" a line", ...lines("first", 5000)];
  assertEquals(await arrived(), expected.sort());

  talkTo(`127.0.0.1:${freePort()}`);
  await client.sendInVain(text(lines("refused")));

  // Nobody accepts; the system does, and nothing is answered.
  using silent = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  talkTo(`127.0.0.1:${silent.addr.port}`);
  await client.sendInVain(text(lines("unheard")));
  const waiting = [...lines("refused"), ...lines("unheard")];
  assertEquals(client.waiting(), text(waiting));

  talkTo(brokers!);
  await client.delivered();
  expected.push(...waiting);
  assertEquals(await arrived(), expected.sort());
  await client.stop();
  await playing.stdin.close();
});

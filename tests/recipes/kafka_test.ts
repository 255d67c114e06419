/**
 * README.md's recipe of Kafka, with the real kcat; the brokers are those that
 * its library plays.
 */
import { assertEquals } from "@std/assert";
import { freePort, installed, run, testWith, until } from "../tools.ts";
import {
  Client,
  filesOf,
  Kitchen,
  lines,
  text,
  withoutDetails,
} from "./_recipes.ts";

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
  assertEquals(
    await client.send(text(["", " a line", ...lines("first", 5000)])),
    "",
  );
  const first = [" a line", ...lines("first", 5000)].sort();
  assertEquals(await arrived(), first);

  talkTo(`127.0.0.1:${freePort()}`);
  const refused = text(lines("refused"));
  assertEquals(await client.send(refused), refused);

  // Nobody accepts; the system does, and nothing is answered.
  using silent = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  talkTo(`127.0.0.1:${silent.addr.port}`);
  const unheard = text(lines("unheard"));
  assertEquals(await client.send(unheard), unheard);

  talkTo(brokers!);
  assertEquals(await client.send(text(lines("second"))), "");
  const second = (await arrived()).filter((line) => !first.includes(line));
  const told = (line: string) => line.startsWith("tryto: fatal: ");
  assertEquals(withoutDetails(second).filter(told), [
    "tryto: fatal: child crashed, giving up.",
  ]);
  assertEquals(
    second.filter((line) => line.startsWith("second")),
    lines("second").sort(),
  );
  await client.stop();
  await playing.stdin.close();
});

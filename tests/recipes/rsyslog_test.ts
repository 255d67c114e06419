/** RECIPES.md's recipe of delivery to rsyslog, with the real one. */
import { assertEquals } from "@std/assert";
import { linesOf } from "../../scripts/demo/logs.ts";
import { freePort, installed, listening, run, testWith } from "../tools.ts";
import { Client, filesOf, Kitchen, lines, text } from "./_recipes.ts";

testWith(["rsyslogd"], "recipe: delivery to rsyslog", async () => {
  await using kitchen = new Kitchen();
  const files = filesOf("Delivery to rsyslog");
  const port = freePort();
  kitchen.cook("etc/net.conf", files.get("/etc/rsyslog.d/net.conf"), {
    'port="10514"': `address="127.0.0.1" port="${port}"`,
  });
  kitchen.cook("client/run", files.get("log/run"), {
    "192.0.2.1 10514": `127.0.0.1 ${port}`,
    "tryto -v": "tryto -n 1 -t 3 -v",
  });
  let starts = 0;
  const start = async () => {
    const pid = kitchen.at(`pid${++starts}`);
    const conf = kitchen.at("etc/net.conf");
    const rsyslogd = installed("rsyslogd")!;
    kitchen.start("rsyslog", [rsyslogd, "-n", "-f", conf, "-i", pid]);
    await listening(port);
  };
  const arrived = () => linesOf(kitchen.at("net/all"));
  const client = new Client(kitchen);
  const odd = [
    "12 begins with a number",
    "<13>begins with a priority",
    "  begins with spaces\tand has a tab",
    "Nov 23 10:11:12 host program: is one of syslog's",
    "long ".repeat(10_000).trim(),
    "kein ASCII: äöü",
    ...lines("first"),
  ];

  await start();
  await client.send(text(odd));
  assertEquals(arrived(), latin1(odd).map((line) => `127.0.0.1: ${line}`));

  // What was delivered is in the file, whatever happens to rsyslog now.
  const many = lines("one of very many", 40_000);
  await client.send(text(many));
  await kitchen.kill("rsyslog");
  const before = odd.length + many.length;
  assertEquals(arrived().length, before);

  // It can't write just now: its file is a pipe that nobody reads.
  const all = kitchen.at("net/all");
  Deno.renameSync(all, `${all}.away`);
  await run(["/usr/bin/mkfifo", all]);
  kitchen.start("holder", ["sh", "-c", `exec sleep 99 <>${all}`]);
  await start();
  const blocked = lines("blocked ".repeat(10), 3000);
  await client.sendInVain(text(blocked));
  await kitchen.kill("rsyslog");
  Deno.renameSync(`${all}.away`, all);

  const refused = lines("refused");
  await client.sendInVain(text(refused));
  assertEquals(client.waiting(), text([...blocked, ...refused]));

  await start();
  await client.delivered();
  assertEquals(
    arrived().slice(before),
    [...blocked, ...refused].map((line) => `127.0.0.1: ${line}`),
  );
  await client.stop();
});

/** Lines as they are read, a character for each byte. */
function latin1(lines: string[]): string[] {
  return lines.map((line) =>
    String.fromCharCode(...new TextEncoder().encode(line))
  );
}

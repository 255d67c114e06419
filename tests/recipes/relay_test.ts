/** RECIPES.md's recipe of a log server that sends on to a second one. */
import { assertEquals } from "@std/assert";
import { logLines } from "../../scripts/demo/logs.ts";
import { freePort, ours, run, testWith, until } from "../tools.ts";
import { filesOf, Kitchen, lines, LogServer, text } from "./_recipes.ts";

testWith([], "recipe: a relay to a second log server", async () => {
  await using kitchen = new Kitchen();
  const second = new LogServer(kitchen);
  const port = freePort();
  const files = filesOf("Relay to a second log server");
  const main = kitchen.at("relayed");
  const messages = kitchen.at("messages");
  const scripts = filesOf("Run scripts");
  kitchen.cook("relay/log/run", scripts.get("socklog-tcp/log/run"), {
    "/var/log/net/messages": messages,
  });
  kitchen.cook("relay/run", files.get("socklog-tcp/run"), {
    " 0 10116 ": ` 127.0.0.1 ${port} `,
    "198.51.100.1 10116": `127.0.0.1 ${second.port}`,
    "/var/log/net/all": main,
    // Every second, instead of every minute.
    "a60": "a1",
  });
  await kitchen.serve("relay", port);
  const send = async (from: string, words: string[]) => {
    const command = [ours.socklogTcp, "send", "-a", "-i", from];
    const { code } = await run([...command, "127.0.0.1", `${port}`], {
      stdin: text(words),
    });
    assertEquals(code, 0);
  };

  // Nobody is there yet: it waits at the relay.
  await send("127.0.0.2", lines("early"));
  await until("a failure", () => {
    return logLines(messages).some((line) => line.includes("tryto: fatal: "));
  });

  await second.start();
  await send("127.0.0.2", lines("two"));
  await send("127.0.0.3", lines("three"));
  const expected = [
    ...lines("early").map((line) => `127.0.0.1: 127.0.0.2: ${line}`),
    ...lines("two").map((line) => `127.0.0.1: 127.0.0.2: ${line}`),
    ...lines("three").map((line) => `127.0.0.1: 127.0.0.3: ${line}`),
  ];
  const ofClients = () =>
    second.lines().filter((line) => / 127\.0\.0\.[23]: /.test(line));
  await until("the lines", () => ofClients().length >= expected.length);
  assertEquals(ofClients(), expected);
});

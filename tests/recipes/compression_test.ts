/** RECIPES.md's recipe of compression, with the real gzip. */
import { assertEquals } from "@std/assert";
import { freePort, installed, testWith } from "../tools.ts";
import {
  Client,
  filesOf,
  Kitchen,
  lines,
  LogServer,
  text,
} from "./_recipes.ts";

testWith(["gzip"], "recipe: compression with gzip", async () => {
  await using kitchen = new Kitchen();
  const files = filesOf("Compression with gzip");
  const port = freePort();
  kitchen.cook("bin/put-gz", files.get("/usr/local/bin/put-gz"), {
    "127.0.0.1 10116": "127.0.0.1 $PORT",
  });
  kitchen.cook("gz/run", files.get("socklog-gz/run"), {
    " 0 10117 ": ` 127.0.0.1 ${port} `,
  });
  kitchen.cook("client/run", files.get("log/run"), {
    "192.0.2.1 10117": `127.0.0.1 ${port}`,
  });
  const server = new LogServer(kitchen);
  await server.start();
  kitchen.start("gz", ["sh", "./run"], { env: { PORT: `${server.port}` } });
  const client = new Client(kitchen);
  const arrived = () =>
    server.lines().map((line) => line.replace(/^127.0.0.1: 127.0.0.1: /, ""));

  const gzip = installed("gzip")!;
  /** Has the client pack with a script, and the server unpack as ever. */
  const pack = (script: string) =>
    kitchen.write(
      "bin/gzip",
      `#!/bin/sh\ncase $1 in -d*) exec ${gzip} "$@" ;; esac\n${script}\n`,
      0o755,
    );

  await client.send(text(lines("first")));
  const expected = lines("first");
  assertEquals(arrived(), expected);

  const asEver = () => Deno.removeSync(kitchen.at("bin/gzip"));
  const failures: [
    name: string,
    fail: () => void | Promise<void>,
    mend: () => void | Promise<void>,
  ][] = [
    ["half of the stream", () => pack(`${gzip} | head -c 60; exit 1`), asEver],
    ["nothing", () => pack("exit 1"), asEver],
    ["no log server", () => server.stop(), () => server.start()],
  ];
  for (const [name, fail, mend] of failures) {
    await fail();
    const log = text(lines(name));
    await client.sendInVain(log);
    assertEquals(client.waiting(), log, name);
    assertEquals(arrived(), expected, name);
    await mend();
    await client.delivered();
    expected.push(...lines(name));
    assertEquals(arrived(), expected, name);
  }
  await client.stop();
});

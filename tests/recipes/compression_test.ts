/** README.md's recipe of compression, with the real gzip. */
import { assertEquals } from "@std/assert";
import { freePort, installed, testWith, until } from "../tools.ts";
import {
  Client,
  filesOf,
  Kitchen,
  lines,
  LogServer,
  text,
  withoutDetails,
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

  assertEquals(await client.send(text(lines("first"))), "");
  const all = lines("first").length;
  await until("all have arrived", () => arrived().length >= all);
  assertEquals(arrived(), lines("first"));

  const failures: [string, () => void | Promise<void>][] = [
    ["half of the stream", () => pack(`${gzip} | head -c 60; exit 1`)],
    ["nothing", () => pack("exit 1")],
    [
      "no log server",
      async () => {
        Deno.removeSync(kitchen.at("bin/gzip"));
        await server.stop();
      },
    ],
  ];
  for (const [name, fail] of failures) {
    await fail();
    const log = text(lines(name));
    assertEquals(await client.send(log), log, name);
    assertEquals(arrived(), lines("first"), name);
  }

  await server.start();
  assertEquals(await client.send(text(lines("second"))), "");
  assertEquals(withoutDetails(arrived()), [
    ...lines("first"),
    "tryto: fatal: child crashed, giving up.",
    ...lines("second"),
  ]);
  await client.stop();
});

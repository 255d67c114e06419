/** RECIPES.md's recipe of encryption with stunnel, with the real one. */
import { assertEquals, assertMatch } from "@std/assert";
import { freePort, installed, listening, run, testWith } from "../tools.ts";
import {
  Client,
  filesOf,
  Kitchen,
  lines,
  LogServer,
  text,
} from "./_recipes.ts";

testWith(
  ["stunnel", "openssl"],
  "recipe: encryption and certificates with stunnel",
  async () => {
    await using kitchen = new Kitchen();
    const files = filesOf("Encryption and certificates with stunnel");
    const port = freePort();
    const server = new LogServer(kitchen);
    const address = { "192.0.2.1": "127.0.0.1" };
    kitchen.cook(
      "etc/server.conf",
      files.get("stunnel /etc/logs/server.conf"),
      { "accept = 10119": `accept = 127.0.0.1:${port}` },
    );
    kitchen.cook("bin/put-tls", files.get("/usr/local/bin/put-tls"), {
      "127.0.0.1 10116": `127.0.0.1 ${server.port}`,
    });
    kitchen.cook("client/run", files.get("log/run"), {
      "192.0.2.1 10119": `127.0.0.1 ${port}`,
    });
    kitchen.cook("bin/make-keys", files.get("make-keys"), address);
    // The second is of an authority that nobody knows here.
    for (const folder of ["etc", "etc/others"]) {
      Deno.mkdirSync(kitchen.at(folder), { recursive: true });
      const made = await run([kitchen.at("bin/make-keys")], {
        cwd: kitchen.at(folder),
      });
      assertEquals(made.code, 0, made.stderr);
    }
    const arrived = () => server.lines();
    const named = (line: string) => `127.0.0.1: web1: ${line}`;

    await server.start();
    const stunnel = installed("stunnel")!;
    kitchen.start("tunnel", [stunnel, kitchen.at("etc/server.conf")]);
    await listening(port);
    const client = new Client(kitchen);
    await client.send(text(lines("first", 5000)));
    const expected = lines("first", 5000).map(named);
    assertEquals(arrived(), expected);

    const wrong: [what: string, files: string[], said: RegExp][] = [
      [
        "a client of others",
        ["web1.key", "web1.pem"],
        /doesn't take this certificate/,
      ],
      ["a server of others", ["ca.pem"], /of no authority that is trusted/],
    ];
    for (const [what, names, said] of wrong) {
      const exchange = () => {
        for (const name of names) {
          const [own, other] = [`etc/${name}`, `etc/others/${name}`]
            .map((path) => kitchen.at(path)) as [string, string];
          Deno.renameSync(own, `${own}.away`);
          Deno.renameSync(other, own);
          Deno.renameSync(`${own}.away`, other);
        }
      };
      exchange();
      await client.sendInVain(text(lines(what)));
      assertMatch(kitchen.messages("client"), said);
      assertEquals(client.waiting(), text(lines(what)));
      assertEquals(arrived(), expected, what);

      exchange();
      await client.delivered();
      expected.push(...lines(what).map(named));
      assertEquals(arrived(), expected, what);
    }

    // The tunnel is there, but no log server after it.
    await server.stop();
    await client.sendInVain(text(lines("unheard")));
    await server.start();
    await client.delivered();
    assertEquals(arrived(), [...expected, ...lines("unheard").map(named)]);
    await client.stop();
  },
);

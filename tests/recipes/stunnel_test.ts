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
    const [near, far] = [freePort(), freePort()];
    const server = new LogServer(kitchen);
    const clientFile = files.get("stunnel /etc/logs/client.conf");
    const places = {
      "127.0.0.1:10118": `127.0.0.1:${near}`,
      "192.0.2.1:10119": `127.0.0.1:${far}`,
    };
    kitchen.cook("etc/client.conf", clientFile, places);
    kitchen.cook(
      "etc/server.conf",
      files.get("stunnel /etc/logs/server.conf"),
      { "accept = 10119": `accept = 127.0.0.1:${far}` },
    );
    kitchen.cook("bin/put-tls", files.get("/usr/local/bin/put-tls"), {
      "127.0.0.1 10116": `127.0.0.1 ${server.port}`,
    });
    kitchen.cook("client/run", files.get("log/run"), {
      "127.0.0.1 10118": `127.0.0.1 ${near}`,
    });
    kitchen.cook("bin/make-keys", files.get("make-keys"));
    // The second is of an authority that nobody knows here.
    for (const folder of ["etc", "etc/others"]) {
      Deno.mkdirSync(kitchen.at(folder), { recursive: true });
      const made = await run([kitchen.at("bin/make-keys")], {
        cwd: kitchen.at(folder),
      });
      assertEquals(made.code, 0, made.stderr);
    }
    const tunnel = async (name: string, conf: string, port: number) => {
      kitchen.start(name, [installed("stunnel")!, kitchen.at(`etc/${conf}`)]);
      await listening(port);
    };
    const arrived = () => server.lines();
    const named = (line: string) => `127.0.0.1: web1: ${line}`;

    await server.start();
    await tunnel("server-tunnel", "server.conf", far);
    await tunnel("tunnel", "client.conf", near);
    const client = new Client(kitchen);
    await client.send(text(lines("first", 5000)));
    const expected = lines("first", 5000).map(named);
    assertEquals(arrived(), expected);

    const wrong: [what: string, shown: RegExp, used: string, said: RegExp][] = [
      [
        "no certificate",
        /^(cert|key) = .*\n/gm,
        "",
        /peer did not return a certificate/,
      ],
      [
        "a certificate of others",
        /logs\/web1/g,
        "logs/others/web1",
        /certificate verify failed|unable to get local issuer/,
      ],
      [
        "another server",
        /^checkHost = loghost/gm,
        "checkHost = web2",
        /alert|reset/,
      ],
    ];
    for (const [what, shown, used, said] of wrong) {
      await kitchen.stop("tunnel");
      assertMatch(clientFile!, shown);
      kitchen.cook(
        "etc/wrong.conf",
        clientFile!.replaceAll(shown, used),
        places,
      );
      await tunnel("tunnel", "wrong.conf", near);
      await client.sendInVain(text(lines(what)));
      assertMatch(kitchen.messages("server-tunnel"), said);
      assertEquals(client.waiting(), text(lines(what)));
      assertEquals(arrived(), expected, what);

      await kitchen.stop("tunnel");
      await tunnel("tunnel", "client.conf", near);
      await client.delivered();
      expected.push(...lines(what).map(named));
      assertEquals(arrived(), expected, what);
    }

    // The tunnels are there, but no log server after them.
    await server.stop();
    await client.sendInVain(text(lines("unheard")));
    await server.start();
    await client.delivered();
    assertEquals(arrived(), [...expected, ...lines("unheard").map(named)]);
    await client.stop();
  },
);

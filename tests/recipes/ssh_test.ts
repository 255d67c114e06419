/** RECIPES.md's recipe of encryption with ssh, with the real ssh and sshd. */
import { assertEquals } from "@std/assert";
import { logLines } from "../../scripts/demo/logs.ts";
import {
  freePort,
  installed,
  listening,
  ours,
  run,
  sleep,
  testWith,
} from "../tools.ts";
import { Client, filesOf, Kitchen, lines, text } from "./_recipes.ts";

/** Where sshd, run by root, insists on a folder; its service makes it. */
const SEPARATION = "/run/sshd";

testWith(
  ["ssh", "sshd", "ssh-keygen"],
  "recipe: encryption and keys with ssh",
  async () => {
    await using kitchen = new Kitchen();
    const files = filesOf("Encryption and keys with ssh");
    const port = freePort();
    const user = (await run(["/usr/bin/id", "-un"])).text.trim();
    const key = async (name: string) => {
      const made = await run([
        installed("ssh-keygen")!,
        ...["-q", "-t", "ed25519", "-N", "", "-f", kitchen.at(`etc/${name}`)],
      ]);
      assertEquals(made.code, 0, made.stderr);
      return Deno.readTextFileSync(kitchen.at(`etc/${name}.pub`)).split(" ")
        .slice(0, 2).join(" ");
    };
    await key("host");
    await key("stranger");
    kitchen.cook("etc/make-keys", files.get("make-keys"), {
      "ed25519 192.0.2.1": `ed25519 -p ${port} 127.0.0.1`,
    });
    // The port is the only thing that a recipe's ssh can't know.
    kitchen.cook("client/run", files.get("log/run"), {
      "ssh -T": `ssh -p ${port} -T`,
      "log@192.0.2.1": `${user}@127.0.0.1`,
    });
    kitchen.write(
      "etc/sshd_config",
      [
        `ListenAddress 127.0.0.1:${port}`,
        `HostKey ${kitchen.at("etc/host")}`,
        `AuthorizedKeysFile ${kitchen.at("etc/authorized_keys")}`,
        "PidFile none",
        "PasswordAuthentication no",
        "PermitRootLogin forced-commands-only",
        // The folder is below one that everybody may write to.
        "StrictModes no",
        "",
      ].join("\n"),
    );
    using _separation = await separation();
    const start = async () => {
      const sshd = installed("sshd")!;
      const config = kitchen.at("etc/sshd_config");
      kitchen.start("sshd", [sshd, "-D", "-e", "-f", config]);
      await listening(port);
    };
    const arrived = () => logLines(kitchen.at("net/web1"));

    await start();
    const made = await run([kitchen.at("etc/make-keys")]);
    assertEquals(made.code, 0, made.stderr);
    const { text: own } = await run(
      [installed("ssh-keygen")!, "-lf", kitchen.at("etc/host.pub")],
    );
    // The same key, whatever it is called.
    assertEquals(made.text.split(" ")[1], own.split(" ")[1]);
    const web1 = Deno.readTextFileSync(kitchen.at("etc/web1.pub"));
    kitchen.cook("etc/authorized_keys", files.get(".ssh/authorized_keys"), {
      "/usr/local/bin/multilog": ours.multilog,
      "ssh-ed25519 AAAA…": web1.split(" ").slice(0, 2).join(" "),
    });

    const client = new Client(kitchen);
    await client.send(text(lines("first", 5000)));
    assertEquals(arrived(), lines("first", 5000));

    // Another log server has its address.
    const known = kitchen.at("etc/known_hosts");
    const [address] = Deno.readTextFileSync(known).split(" ");
    const stranger = Deno.readTextFileSync(kitchen.at("etc/stranger.pub"));
    Deno.renameSync(known, `${known}.away`);
    Deno.writeTextFileSync(known, `${address} ${stranger}`);
    await client.sendInVain(text(lines("unknown")));
    Deno.renameSync(`${known}.away`, known);
    await client.delivered();

    // A stranger's key.
    const [mine, strangers] = [
      kitchen.at("etc/web1"),
      kitchen.at("etc/stranger"),
    ];
    Deno.renameSync(mine, `${mine}.away`);
    Deno.copyFileSync(strangers, mine);
    await client.sendInVain(text(lines("refused")));
    Deno.renameSync(`${mine}.away`, mine);
    await client.delivered();

    // The log is in use at the other side.
    const other = kitchen.start("other", [
      ours.multilog,
      kitchen.at("net/web1"),
    ], {
      stdin: "piped",
    });
    await sleep(300);
    await client.sendInVain(text(lines("locked")));
    await other.stdin.close();
    await other.status;
    await client.delivered();

    await kitchen.stop("sshd");
    await client.sendInVain(text(lines("unheard")));
    await start();
    await client.delivered();
    assertEquals(arrived(), [
      ...lines("first", 5000),
      ...["unknown", "refused", "locked", "unheard"].flatMap((word) =>
        lines(word)
      ),
    ]);
    await client.stop();
  },
);

/**
 * Makes that folder, where it is missing and would be missed, and has it to
 * itself: another run of this test must not remove it, since sshd looks for it
 * at each connection.
 */
async function separation(): Promise<Disposable> {
  if (Deno.uid() !== 0) return { [Symbol.dispose]() {} };
  while (true) {
    const made = await makeFolder();
    const folder = await unlessMissing(Deno.open(SEPARATION));
    if (folder === undefined) continue;
    await folder.lock(true);
    // Who had it before may have removed it.
    const now = await unlessMissing(Deno.stat(SEPARATION));
    if (now?.ino === (await folder.stat()).ino) {
      return {
        [Symbol.dispose]() {
          if (made) Deno.removeSync(SEPARATION);
          folder.close();
        },
      };
    }
    folder.close();
  }
}

/** Makes the folder, and tells whether it was missing. */
async function makeFolder(): Promise<boolean> {
  try {
    await Deno.mkdir(SEPARATION, { mode: 0o755 });
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.AlreadyExists) return false;
    throw error;
  }
}

async function unlessMissing<T>(found: Promise<T>): Promise<T | undefined> {
  try {
    return await found;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** README.md's recipe of encryption with ssh, with the real ssh and sshd. */
import { assertEquals } from "@std/assert";
import { logLines } from "../../scripts/demo/logs.ts";
import {
  freePort,
  installed,
  listening,
  ours,
  run,
  testWith,
} from "../tools.ts";
import {
  Client,
  filesOf,
  Kitchen,
  lines,
  text,
  withoutDetails,
} from "./_recipes.ts";

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
    const host = await key("host");
    const web1 = await key("web1");
    await key("stranger");
    kitchen.cook("etc/authorized_keys", files.get(".ssh/authorized_keys"), {
      "/usr/local/bin/multilog": ours.multilog,
      "ssh-ed25519 AAAA…": web1,
    });
    kitchen.cook("client/run", files.get("log/run"), {
      "ssh -T": `ssh -F ${kitchen.at("etc/ssh_config")} -T`,
      "log@192.0.2.1": `${user}@127.0.0.1`,
    });
    kitchen.write("etc/known_hosts", `[127.0.0.1]:${port} ${host}\n`);
    kitchen.write(
      "etc/ssh_config",
      `Port ${port}\nUserKnownHostsFile ${kitchen.at("etc/known_hosts")}\n`,
    );
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
    using _separation = separation();
    const start = async () => {
      const sshd = installed("sshd")!;
      const config = kitchen.at("etc/sshd_config");
      kitchen.start("sshd", [sshd, "-D", "-e", "-f", config]);
      await listening(port);
    };
    const arrived = () => logLines(kitchen.at("net/web1"));

    await start();
    const client = new Client(kitchen);
    assertEquals(await client.send(text(lines("first", 5000))), "");
    assertEquals(arrived(), lines("first", 5000));

    // A stranger's key.
    const [mine, strangers] = [
      kitchen.at("etc/web1"),
      kitchen.at("etc/stranger"),
    ];
    Deno.renameSync(mine, `${mine}.away`);
    Deno.copyFileSync(strangers, mine);
    const refused = text(lines("refused"));
    assertEquals(await client.send(refused), refused);
    Deno.renameSync(`${mine}.away`, mine);

    // The log is in use at the other side.
    const other = kitchen.start("other", [
      ours.multilog,
      kitchen.at("net/web1"),
    ], {
      stdin: "piped",
    });
    await new Promise((resolve) => setTimeout(resolve, 300));
    const locked = text(lines("locked"));
    assertEquals(await client.send(locked), locked);
    await other.stdin.close();
    await other.status;

    await kitchen.stop("sshd");
    const unheard = text(lines("unheard"));
    assertEquals(await client.send(unheard), unheard);

    await start();
    assertEquals(await client.send(text(lines("second"))), "");
    assertEquals(withoutDetails(arrived().slice(5000)).slice(-101), [
      "tryto: fatal: child crashed, giving up.",
      ...lines("second"),
    ]);
    await client.stop();
  },
);

/** Makes that folder, where it is missing and would be missed. */
function separation(): Disposable {
  let made = false;
  if (Deno.uid() === 0) {
    try {
      Deno.mkdirSync(SEPARATION, { mode: 0o755 });
      made = true;
    } catch (error) {
      if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
    }
  }
  return {
    [Symbol.dispose]() {
      if (made) Deno.removeSync(SEPARATION);
    },
  };
}

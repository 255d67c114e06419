/** RECIPES.md's container: its root folder, and its image where there is a builder. */
import { assertEquals, assertMatch } from "@std/assert";
import {
  freePort,
  inCheckout,
  installed,
  listening,
  ours,
  run,
  testWith,
  until,
} from "../tools.ts";
import { filesOf, Kitchen } from "./_recipes.ts";

/** The words of the image's program, at a port of the test's. */
function entrypoint(dockerfile: string, port: number): string[] {
  const [, words] = /^ENTRYPOINT (\[.*\])$/m.exec(dockerfile)!;
  return JSON.parse(words!.replaceAll("10116", `${port}`));
}

/** Has the recipe's script make the root folder. */
async function makeRoot(kitchen: Kitchen): Promise<string> {
  const files = filesOf("A log server in a container");
  kitchen.cook("bin/make-root", files.get("make-root"));
  const made = await run([kitchen.at("bin/make-root")], {
    cwd: kitchen.path,
    env: { PATH: `${inCheckout("dist")}:${Deno.env.get("PATH")}` },
  });
  assertEquals([made.code, made.stderr], [0, ""]);
  const dockerfile = files.get("Dockerfile")!;
  Deno.writeTextFileSync(kitchen.at("Dockerfile"), dockerfile);
  return dockerfile;
}

async function sendsAndStops(
  kitchen: Kitchen,
  port: number,
  child: Deno.ChildProcess,
  log: string,
) {
  const { code, stderr } = await run(
    [ours.socklogTcp, "send", "-a", "127.0.0.1", `${port}`],
    { stdin: "hello\n" },
  );
  assertEquals([code, stderr], [0, ""]);
  assertEquals(
    Deno.readTextFileSync(`${log}/all/current`),
    "127.0.0.1: hello\n",
  );
  assertMatch(kitchen.messages("server"), /^socklog-tcp: status: 0\/40$/m);
  child.kill("SIGTERM");
  assertEquals((await child.status).code, 0);
  // It has left its log well.
  assertEquals(Deno.statSync(`${log}/all/current`).mode! & 0o777, 0o744);
}

testWith(
  ["root", "unshare", "setpriv", "chroot", "ldd"],
  "recipe: a log server runs in a root folder with nothing but its C library",
  async () => {
    await using kitchen = new Kitchen();
    const port = freePort();
    const words = entrypoint(await makeRoot(kitchen), port);
    const root = kitchen.at("root");
    // As in a container: user 1000, /proc, and an environment of its own.
    Deno.mkdirSync(`${root}/proc`);
    const child = kitchen.start(
      "server",
      ["unshare", "-m", "sh", "-c"].concat(
        'mount --rbind /proc "$0/proc"; exec env -i "$(command -v chroot)" --userspec=1000:1000 "$0" "$@"',
        root,
        words,
      ),
    );
    await listening(port);
    await sendsAndStops(kitchen, port, child, `${root}/log`);
  },
);

/** Whether there is somebody who builds images. */
const hasBuilder = installed("docker") !== undefined &&
  (await run([installed("docker")!, "info"])).code === 0;

Deno.test({
  name: "recipe: a log server's image is built and runs",
  ignore: !hasBuilder,
  async fn() {
    await using kitchen = new Kitchen();
    const docker = installed("docker")!;
    await makeRoot(kitchen);
    const name = `logferry-test-${Deno.pid}`;
    const tell = async (...words: string[]) => {
      const outcome = await run([docker, ...words], { cwd: kitchen.path });
      assertEquals(outcome.code, 0, outcome.stderr);
      return outcome.text;
    };
    await tell("build", "-q", "-t", name, ".");
    try {
      await tell("run", "-d", "--name", name, "-p", "127.0.0.1::10116", name);
      const port = (await tell("port", name, "10116")).trim().split(":").at(
        -1,
      )!;
      await until("it serves", async () => {
        const { code } = await run(
          [ours.socklogTcp, "send", "-a", "127.0.0.1", port],
          { stdin: "hello\n" },
        );
        return code === 0;
      });
      await tell("stop", name);
      assertEquals(
        (await tell("inspect", "-f", "{{.State.ExitCode}}", name)).trim(),
        "0",
      );
    } finally {
      await run([docker, "rm", "-fv", name]);
      await run([docker, "rmi", "-f", name]);
    }
  },
});

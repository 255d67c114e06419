/**
 * Faults on purpose in what runs inside multilog: each is its processor's
 * failure, and multilog goes on.
 */
import { assertEquals, assertMatch } from "@std/assert";
import { compileChanged } from "../faults/variants.ts";
import { finished, look, start, text, waiting } from "../multilog/harness.ts";
import { folder, until } from "../tools.ts";

/** Where the sender has which fault, while there is a file `fault`. */
const BROKEN_SENDER = {
  from: `  let { servers } = options;
  while (true) {`,
  to: `  const { stat } = await import("../sys/files.ts");
  if (stat("fault") !== undefined) {
    const fault = () => {
      throw new TypeError("broken on purpose\\nin two lines");
    };
    const later = () => new Promise((resolve) => setTimeout(resolve, 10));
    const never = () => new Promise(() => {});
    const { host } = options.servers[0]!;
    if (host === "127.0.0.1") fault();
    if (host === "127.0.0.2") await later().then(fault);
    if (host === "127.0.0.3") await never(setTimeout(fault, 10));
    if (host === "127.0.0.4") await never(queueMicrotask(fault));
    if (host === "127.0.0.5") await never(later().then(fault));
    if (host === "127.0.0.6") setTimeout(fault, 300);
  }
  let { servers } = options;
  while (true) {`,
};

const KINDS: [host: string, what: string][] = [
  ["127.0.0.1", "throws at once"],
  ["127.0.0.2", "throws later"],
  ["127.0.0.3", "throws from a timer"],
  ["127.0.0.4", "throws from a microtask"],
  ["127.0.0.5", "leaves a rejection to nobody"],
  ["127.0.0.6", "throws when it has long succeeded"],
];

Deno.test("an error thrown inside is the processor's failure: its file waits, and lines are logged as before", async (t) => {
  using built = folder();
  const bin = await compileChanged(built.path, BROKEN_SENDER);
  using listener = Deno.listen({ hostname: "0.0.0.0", port: 0 });
  const { port } = listener.addr as Deno.NetAddr;
  const received: string[] = [];
  const serving = (async () => {
    for await (const one of listener) {
      received.push(await new Response(one.readable).text());
    }
  })();
  for (const way of ["", "tryto -n1 "]) {
    for (const [host, what] of KINDS) {
      const step = `${way}socklog-tcp send that ${what}`;
      const passed = await t.step(step, async () => {
        using at = folder();
        const log = `${at.path}/log`;
        Deno.writeTextFileSync(`${at.path}/fault`, "");
        const sender = `!${way}socklog-tcp send ${host} ${port}`;
        await using multilog = await start(["s4096", sender, "./log"], {
          cwd: at.path,
          under: ["env", `PATH=${bin}:${Deno.env.get("PATH")}`],
          program: `${bin}/multilog`,
        });
        const sent = `${"x".repeat(3000)}\n`;
        await multilog.write(sent);
        const succeeds = host === "127.0.0.6";
        await multilog.says(
          succeeds
            ? "multilog: warning: trouble inside: "
            : "; waiting: 1 file, 3001",
        );
        if (!succeeds) {
          assertEquals(waiting(log).map((name) => look(log)[name]!.text), [
            sent,
          ]);
        }
        await multilog.write("and on\n");
        await until("it is written", () => text(`${log}/current`) !== "");
        Deno.removeSync(`${at.path}/fault`);
        multilog.signal("SIGALRM");
        await until("both are sent", () => {
          return waiting(log).length === 0 && finished(log).length === 2;
        });
        assertEquals(received.splice(0).join(""), `${sent}and on\n`);
        assertEquals(await multilog.finish(), 0);
        const said = multilog.said.trimEnd().split("\n");
        assertMatch(said.join("\n"), /: broken on purpose(; waiting: .*)?$/m);
        for (const line of said) {
          assertMatch(line, /^[\w-]+: (warning|fatal): /);
        }
      });
      // Each of the others would wait in vain, too.
      if (!passed) return;
    }
  }
  listener.close();
  await serving;
});

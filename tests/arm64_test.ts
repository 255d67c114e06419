/**
 * The package for arm64, made on x86_64 of what npm has, and run under qemu.
 */
import { assert, assertEquals } from "@std/assert";
import { linesOf } from "../scripts/demo/logs.ts";
import { VERSION } from "../src/version.ts";
import {
  folder,
  inCheckout,
  installed,
  run,
  Running,
  testWith,
  until,
} from "./tools.ts";

const TARGET = "aarch64-unknown-linux-gnu";
/** Where Debian has the C library of arm64 (libc6-arm64-cross, libgcc-s1-…). */
const ROOT = "/usr/aarch64-linux-gnu";
const NEEDS = ["--all", "npm", "qemu-aarch64", `${ROOT}/lib/libgcc_s.so.1`]
  .concat(Deno.build.arch === "x86_64" ? [] : ["an x86_64 machine"]);

/** The emulator takes a while to start the runtime. */
const PATIENCE = 120;

testWith(
  NEEDS,
  "arm64: the package is made from npm, and takes lines from client to server",
  async () => {
    using work = folder();
    const made = await run(
      [inCheckout("scripts/deno"), "task", "package", "--target", TARGET],
      { cwd: inCheckout("") },
    );
    assertEquals(made.code, 0, made.stderr);
    const archive = inCheckout(`dist/logferry-${VERSION}-${TARGET}.tar.gz`);
    const { code } = await run(["tar", "-xzf", archive, "-C", work.path]);
    assertEquals(code, 0);
    const qemu = installed("qemu-aarch64")!;
    const emulated = (
      name: string,
    ) => [qemu, "-L", ROOT, `${work.path}/bin/${name}`];
    for (const name of ["multilog", "tryto", "socklog-tcp"]) {
      const { text } = await run([...emulated(name), "--version"]);
      assertEquals(text, `${name} ${VERSION}\n`);
    }
    // To the kernel the emulator is the program. So names that lead to it lead to
    // "this program", and what multilog finds under them runs inside it.
    Deno.mkdirSync(`${work.path}/names`);
    for (const name of ["tryto", "socklog-tcp"]) {
      Deno.symlinkSync(qemu, `${work.path}/names/${name}`);
    }
    await using server = new Running(
      [...emulated("socklog-tcp"), "-1aRHl0", "127.0.0.1", "0", "TCPREMOTEIP"],
    );
    await until("it listens", () => server.output.includes("\n"), PATIENCE);
    const port = server.output.trim();
    const lines = Array.from({ length: 2000 }, (_, n) => `line ${n}\n`);
    const log = `${work.path}/log`;
    const client = await run(
      [...emulated("multilog"), "t", "s4096", "n20"].concat(
        `!tryto -n1 socklog-tcp send -a 127.0.0.1 ${port}`,
        log,
      ),
      { stdin: lines.join(""), env: { PATH: `${work.path}/names` } },
    );
    assertEquals([client.code, client.stderr], [0, ""]);
    const current = Deno.readTextFileSync(`${log}/current`);
    const rotated = [...Deno.readDirSync(log)].filter(({ name }) =>
      /^@4[0-9a-f]{23}\.s$/.test(name)
    );
    assert(rotated.length > 10, `${rotated.length} files`);
    const sent = server.output.trimEnd().split("\n").slice(1)
      .map((line) => line.replace(/^127\.0\.0\.1: /, ""));
    const all = [...sent, ...current.trimEnd().split("\n")];
    assertEquals(
      all.map((line) => line.slice(26)),
      lines.map((line) => line.trimEnd()),
    );
    assert(all.every((line) => /^@4[0-9a-f]{23} /.test(line)));
    assertEquals(await server.stop(), 0);

    // Its runtime, another version, would hear of what `nohup` had ignored.
    await using ignoring = new Running(
      ["sh", "-c", 'trap "" HUP INT; exec "$@"', "sh"].concat(
        emulated("multilog"),
        `${work.path}/kept`,
      ),
      { stdin: "piped" },
    );
    const kept = () => linesOf(`${work.path}/kept/current`).join();
    await ignoring.write("before\n");
    await until("the first line", () => kept() === "before", PATIENCE);
    for (const name of ["SIGHUP", "SIGINT"] as const) ignoring.signal(name);
    await ignoring.write("after\n");
    await until("the second line", () => kept() === "before,after", PATIENCE);
    assertEquals(await ignoring.finish(), 0);
  },
);

import { assert, assertEquals, assertMatch } from "@std/assert";
import { existsSync } from "@std/fs";
import { VERSION } from "../src/version.ts";
import { debName } from "../scripts/package/deb.ts";
import { rpmName } from "../scripts/package/rpm.ts";
import { copyTo, script } from "./checkouts.ts";
import {
  folder,
  howMany,
  inCheckout,
  installed,
  run,
  testWith,
  until,
} from "./tools.ts";

const { arch } = Deno.build;
const NAME = `logferry-${VERSION}-${Deno.build.target}.tar.gz`;

async function sha256(path: string): Promise<string> {
  return (await run(["sha256sum", path])).text.split(" ")[0]!;
}

testWith(
  ["tar", "sha256sum"],
  "the package is the same wherever it is made, and runs from where it is unpacked",
  async (t) => {
    using work = folder();
    const elsewhere = `${work.path}/a clone`;
    const here = await script(inCheckout(""), "package");
    assertEquals([here.code, here.stderr], [0, ""]);
    const archive = inCheckout(`dist/${NAME}`);
    // A whole compilation for it: with --all.
    await t.step({
      name: "it is the same",
      ignore: howMany(0, 1) === 0,
      fn: async () => {
        await copyTo(elsewhere);
        const there = await script(elsewhere, "package");
        assertEquals([there.code, there.stderr], [0, ""]);
        for (
          const name of [NAME, debName(VERSION, arch), rpmName(VERSION, arch)]
        ) {
          assertEquals(
            await sha256(inCheckout(`dist/${name}`)),
            await sha256(`${elsewhere}/dist/${name}`),
          );
        }
      },
    });

    const root = `${work.path}/usr/local`;
    Deno.mkdirSync(root, { recursive: true });
    // What is there keeps its mode.
    Deno.mkdirSync(`${root}/bin`, { mode: 0o700 });
    const { code, stderr } = await run(["tar", "-xzf", archive, "-C", root]);
    assertEquals([code, stderr], [0, ""]);
    assertEquals(Deno.statSync(`${root}/bin`).mode! & 0o777, 0o700);

    await t.step("tar lists nothing of whoever made it", async () => {
      const { text } = await run(["tar", "-tvzf", archive], {
        env: { TZ: "UTC" },
      });
      const lines = text.trimEnd().split("\n");
      assert(lines.length > 20);
      for (const line of lines) {
        assert(
          /^[-h]rw(xr-x|-r--)r-[x-] root\/root +\d+ 2020-01-01 00:00 (bin|share)\//
            .test(line),
          line,
        );
      }
      const names = lines.map((line) =>
        line.split(" link to ")[0]!.split(" ").at(-1)!
      );
      assertEquals(names, names.toSorted());
    });

    await t.step("the programs are one file", () => {
      const inodes = ["logferry", "multilog", "tryto", "socklog-tcp"].map(
        (name) => Deno.statSync(`${root}/bin/${name}`).ino,
      );
      assertEquals(new Set(inodes).size, 1);
    });

    await t.step("its sums are right", async () => {
      const { code, text } = await run(
        ["sha256sum", "-c", "share/doc/logferry/SHA256SUMS"],
        { cwd: root },
      );
      assertEquals(code, 0, text);
      assert(text.includes("bin/multilog: OK\n"));
      const { text: found } = await run(["find", ".", "-type", "f"], {
        cwd: root,
      });
      // All but the sums themselves.
      assertEquals(text.split("\n").length, found.split("\n").length - 1);
    });

    await t.step("no text names a folder of whoever made it", async () => {
      const { code } = await run(
        ["grep", "-rqF", inCheckout(""), `${root}/share`],
      );
      assertEquals(code, 1);
    });

    await t.step("the programs take a line from client to server", async () => {
      const env = { PATH: `${root}/bin:${Deno.env.get("PATH")}` };
      for (const name of ["multilog", "tryto", "socklog-tcp"]) {
        const { text } = await run([name, "--version"], { env });
        assertEquals(text, `${name} ${VERSION}\n`);
      }
      const server = new Deno.Command("sh", {
        args: [
          "-c",
          "exec socklog-tcp -1aHR -l0 127.0.0.1 0 TCPREMOTEIP >lines",
        ],
        cwd: work.path,
        env,
        stdin: "null",
      }).spawn();
      try {
        const lines = () => Deno.readTextFileSync(`${work.path}/lines`);
        await until("it listens", () => {
          try {
            return lines().endsWith("\n");
          } catch {
            return false;
          }
        });
        const port = lines().trim();
        const { code, stderr } = await run([
          "multilog",
          `!tryto -pv socklog-tcp send -a 127.0.0.1 ${port}`,
          "s4096",
          "./main",
        ], { cwd: work.path, env, stdin: `${"x".repeat(3000)}\n` });
        assertEquals([code, stderr], [0, ""]);
        // Settings before the directory; the file was big enough.
        assertEquals(lines(), `${port}\n127.0.0.1: ${"x".repeat(3000)}\n`);
      } finally {
        server.kill("SIGTERM");
        assertEquals((await server.status).code, 0);
      }
    });

    if (installed("man") && installed("groff")) {
      await t.step("man finds the pages", async () => {
        for (const name of ["multilog", "tryto", "socklog-tcp"]) {
          const { text, code } = await run(
            [installed("man")!, "-M", `${root}/share/man`, name],
            { env: { MANPAGER: "cat", LC_ALL: "C" } },
          );
          assertEquals(code, 0);
          assert(text.includes(`Logferry ${VERSION}`), name);
        }
      });
    }
  },
);

Deno.test("packing for another machine without its runtime fails, and says so", async () => {
  using work = folder();
  const checkout = `${work.path}/clone`;
  await copyTo(checkout);
  const other = Deno.build.arch === "x86_64" ? "aarch64" : "x86_64";
  const target = `${other}-unknown-linux-gnu`;
  Deno.mkdirSync(`${work.path}/bin`);
  Deno.writeTextFileSync(
    `${work.path}/bin/npm`,
    "#!/bin/sh\necho 'npm error it is away' >&2\nexit 1\n",
    { mode: 0o755 },
  );
  // No network, whatever there is.
  const env = {
    HTTPS_PROXY: "http://127.0.0.1:9",
    DENO_DIR: `${work.path}/deno`,
    XDG_CACHE_HOME: `${work.path}/cache`,
    PATH: `${work.path}/bin:${Deno.env.get("PATH")}`,
  };
  for (const name of ["package", "compile"]) {
    // With a Deno of its own, and with one from npm.
    for (const runtime of ["", "/a/runtime"]) {
      const { code, stderr } = await run(
        ["env", ...(runtime ? [`DENORT_BIN=${runtime}`] : ["-u", "DENORT_BIN"])]
          .concat(Deno.execPath(), "run", "-A")
          .concat(`${checkout}/scripts/${name}.ts`, "--target", target),
        { cwd: checkout, env },
      );
      assertEquals(code, 1);
      assertMatch(
        stderr,
        runtime === ""
          ? /^\w+: no runtime for \S+: dl\.deno\.land does not answer\n$/
          : /^\w+: no runtime for \S+: (npm could not fetch the toolchain: it is away|no Deno for .*|install .*)\n$/,
      );
    }
    const unknown = await script(checkout, name, ["--target", "pdp11"]);
    assertEquals(unknown.code, 1);
    assert(unknown.stderr.startsWith(`${name}: no such target: pdp11 (`));
  }
  assertEquals([...Deno.readDirSync(`${checkout}/dist`)], []);
});

/** Starts compiling a checkout, with temporary files in a folder. */
function startCompiling(clone: string, temporary: string): Deno.ChildProcess {
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", `${clone}/scripts/compile.ts`],
    env: { TMPDIR: temporary },
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
}

Deno.test("compiling that is ended by a signal while it copies leaves nothing behind", async () => {
  using work = folder();
  const clone = `${work.path}/clone`;
  const temporary = `${work.path}/tmp`;
  await copyTo(clone);
  Deno.mkdirSync(temporary);
  for (const program of ["multilog", "tryto", "socklog-tcp", "main"]) {
    const child = startCompiling(clone, temporary);
    let copied: boolean;
    do {
      copied = [...Deno.readDirSync(temporary)].some(({ name }) => {
        return existsSync(`${temporary}/${name}/${program}`);
      });
      await new Promise((resolve) => setTimeout(resolve, 0));
    } while (!copied);
    child.kill("SIGINT");
    assertEquals((await child.status).code, 130);
    assertEquals([...Deno.readDirSync(temporary)], []);
    assert(!existsSync(`${clone}/dist`));
  }
});

Deno.test("compiling that is ended by a signal leaves nothing behind", async () => {
  using work = folder();
  const clone = `${work.path}/clone`;
  const temporary = `${work.path}/tmp`;
  await copyTo(clone);
  Deno.mkdirSync(temporary);
  const child = startCompiling(clone, temporary);
  const names = (path: string) =>
    [...Deno.readDirSync(path)].map(({ name }) => name);
  // It writes beside its goal then.
  await until("it compiles", () => {
    return names(clone).includes("dist") &&
      names(`${clone}/dist`).some((name) => name.includes(".tmp-"));
  });
  child.kill("SIGTERM");
  assertEquals((await child.status).code, 143);
  assertEquals(names(temporary), []);
  await until("its compilers are gone", async () => {
    return (await run(["pgrep", "-f", clone])).code === 1;
  });
  assert(!names(clone).includes("dist"));
});

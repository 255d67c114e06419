/**
 * `scripts/deno`, where there is no Deno: what it says when the toolchain can't
 * be had, that nothing of a wrong one runs, and that a first run leaves a whole
 * cache or none. Whole first runs with the real npm are what whoever types the
 * README's commands on a fresh machine does.
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import {
  folder,
  inCheckout,
  installed,
  type Outcome,
  run,
  testWith,
  until,
} from "./tools.ts";

const TOOLS = ("sh sed head find id mkdir uname cksum tar gzip mv chmod rm " +
  "readlink tr sleep cat ln touch ls date").split(" ");

/** What it says before it does what takes long. */
const FETCHING =
  "scripts/deno: fetching Deno and the @std modules from npm (up to 300 MB, once)\n";

/** A machine of its own, as far as `$PATH` and `$HOME` make one. */
class Machine implements Disposable {
  readonly #folder = folder();
  readonly path = this.#folder.path;
  readonly cache = `${this.path}/home/.cache/logferry`;

  constructor(npm?: string) {
    Deno.mkdirSync(`${this.path}/home`);
    Deno.mkdirSync(`${this.path}/bin`);
    for (const tool of [...TOOLS, "node"]) {
      const found = installed(tool);
      if (found) Deno.symlinkSync(found, `${this.path}/bin/${tool}`);
    }
    // `npm pack` is all that is asked of it.
    if (npm !== undefined) this.program("npm", npm);
    // A checkout of its own, whose vendor folder may be filled.
    Deno.mkdirSync(`${this.path}/checkout/scripts`, { recursive: true });
    for (const file of ["deno", "toolchain.ts", "toolchain.txt"]) {
      Deno.copyFileSync(
        inCheckout(`scripts/${file}`),
        `${this.path}/checkout/scripts/${file}`,
      );
    }
  }

  program(name: string, script: string): void {
    const file = `${this.path}/bin/${name}`;
    Deno.writeTextFileSync(file, `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  }

  get options() {
    return {
      clearEnv: true,
      env: { PATH: `${this.path}/bin`, HOME: `${this.path}/home` },
      cwd: this.path,
    };
  }

  deno(...args: string[]): Promise<Outcome> {
    return run(["checkout/scripts/deno", ...args], this.options);
  }

  /** What is in the cache folder. */
  cached(): string[] {
    try {
      return [...Deno.readDirSync(this.cache)].map(({ name }) => name);
    } catch {
      return [];
    }
  }

  [Symbol.dispose](): void {
    this.#folder[Symbol.dispose]();
  }
}

Deno.test("front door: without Deno and npm one line says what to install", async () => {
  using machine = new Machine();
  const { code, text, stderr } = await machine.deno("--version");
  assertEquals([code, text], [1, ""]);
  assertMatch(stderr, /^scripts\/deno: install Deno 2\.4 or newer .*npm\n$/);
});

testWith(
  ["node"],
  "front door: one line says that npm has failed",
  async () => {
    using machine = new Machine(
      "echo 'npm error code ENOTFOUND' >&2; " +
        "echo 'npm error network is down' >&2; exit 1",
    );
    const { code, text, stderr } = await machine.deno("--version");
    assertEquals([code, text], [1, ""]);
    assertEquals(
      stderr,
      `${FETCHING}scripts/deno: npm could not fetch the toolchain: network is down\n`,
    );
    assertEquals(machine.cached(), []);
  },
);

testWith(
  ["node"],
  "front door: nothing with a wrong hash is run or kept",
  async () => {
    // Each tarball has a Deno that would tell that it was run.
    using machine = new Machine(
      `mkdir package && echo 'touch "$HOME/ran"' >package/deno
      chmod 755 package/deno && tar -czf one package
      while read -r arch package version integrity; do
        name=$(printf '%s' "$package" | sed -e 's/^@//' -e 's,/,-,')
        cat one >"$name-$version.tgz"
      done <"$HOME/../checkout/scripts/toolchain.txt"`,
    );
    const { code, text, stderr } = await machine.deno("--version");
    assertEquals([code, text], [1, ""]);
    assertMatch(
      stderr,
      /^scripts\/deno: fetching [^\n]*\nscripts\/deno: \S+\.tgz from npm is not the expected file \(wrong hash\); nothing of it was used\n$/,
    );
    assertEquals(machine.cached(), []);
    assertEquals([...Deno.readDirSync(`${machine.path}/home`)].length, 1);
  },
);

testWith(
  ["node"],
  "front door: a first run that is ended leaves nothing, a killed one nothing that stays",
  async () => {
    using machine = new Machine('touch "$HOME/npm"; sleep 60');
    const start = async () => {
      const child = new Deno.Command("checkout/scripts/deno", {
        args: ["--version"],
        ...machine.options,
        stdout: "null",
        stderr: "null",
      }).spawn();
      await until("npm runs", () => {
        return [...Deno.readDirSync(`${machine.path}/home`)].some(({ name }) =>
          name === "npm"
        );
      });
      Deno.removeSync(`${machine.path}/home/npm`);
      return child;
    };
    const endNpm = (pid: number) =>
      run(["pkill", "-P", `${pid}`]).then(() =>
        run(["pkill", "-f", `${machine.path}/bin/npm`])
      );
    const ended = await start();
    ended.kill("SIGTERM");
    await endNpm(ended.pid);
    assertEquals((await ended.status).code, 143);
    assertEquals(machine.cached(), []);
    const killed = await start();
    killed.kill("SIGKILL");
    await endNpm(killed.pid);
    await killed.status;
    assert(machine.cached().some((name) => name.startsWith("fill.")));
    machine.program("npm", "exit 1");
    await machine.deno("--version");
    assertEquals(machine.cached(), []);
  },
);

Deno.test("front door: two that start at once install Deno from a full cache, and don't ask npm", async () => {
  using machine = new Machine('touch "$HOME/npm"; exit 1');
  // Named as scripts/deno names it: for the sum of what it is made of.
  const { text } = await run(["sh", "-c", 'echo "$(uname -m)-$(cksum)"'], {
    stdin: Deno.readFileSync(inCheckout("scripts/toolchain.txt")),
  });
  const toolchain = `${machine.cache}/${text.split(" ")[0]}`;
  Deno.mkdirSync(`${toolchain}/std/cli/1.0.24`, { recursive: true });
  Deno.symlinkSync(Deno.execPath(), `${toolchain}/deno`);
  Deno.writeTextFileSync(`${toolchain}/denort`, "");
  const names = "assert fs path internal fmt cli streams".split(" ");
  const pins = Deno.readTextFileSync(inCheckout("scripts/toolchain.ts"));
  const versions = names.map((name) =>
    new RegExp(`\\["${name}", "([^"]+)"`).exec(pins)![1]!
  );
  names.forEach((name, i) => {
    const at = `${toolchain}/std/${name}`;
    Deno.mkdirSync(`${at}/${versions[i]}`, { recursive: true });
    Deno.writeTextFileSync(`${at}/${versions[i]}/mod.ts`, `// ${name}\n`);
    Deno.writeTextFileSync(`${at}/${versions[i]}_meta.json`, "{}");
    Deno.writeTextFileSync(`${at}/meta.json`, '{"versions":{}}');
  });
  const runs = await Promise.all(
    [1, 2].map(() =>
      machine.deno("eval", "console.log(Deno.args.join())", "a b")
    ),
  );
  for (const { code, text, stderr } of runs) {
    assertEquals({ code, text, stderr }, {
      code: 0,
      text: "a b\n",
      stderr: "",
    });
  }
  const vendor = `${machine.path}/checkout/vendor/jsr.io/@std`;
  names.forEach((name, i) => {
    assertEquals(
      Deno.readTextFileSync(`${vendor}/${name}/${versions[i]}/mod.ts`),
      `// ${name}\n`,
    );
    assertEquals(
      [...Deno.readDirSync(`${vendor}/${name}`)].map((one) => one.name).sort(),
      [versions[i], `${versions[i]}_meta.json`, "meta.json"],
    );
  });
  assertEquals([...Deno.readDirSync(`${machine.path}/home`)].length, 1);
  assertEquals((await machine.deno("eval", "Deno.exit(7)")).code, 7);
  // Somebody tidies up there: it is filled again, which fails here.
  Deno.removeSync(`${toolchain}/std`, { recursive: true });
  const { code, stderr } = await machine.deno("--version");
  assertEquals(code, 1);
  assertMatch(stderr, /^scripts\/deno: (npm could not fetch|install Deno)/m);
  assertEquals(machine.cached(), []);
});

Deno.test("front door: a deno on PATH that leads back to it is passed over", async () => {
  using machine = new Machine();
  machine.program("deno", 'exec "$HOME/../checkout/scripts/deno" "$@"');
  const { code, stderr } = await machine.deno("--version");
  assertEquals(code, 1);
  assertMatch(stderr, /^scripts\/deno: install Deno/);
});

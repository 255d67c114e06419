/**
 * What CONTRIBUTING.md and ARCHITECTURE.md say of the checkout is there, and
 * the hook that CONTRIBUTING.md has git use lets nothing unchecked pass.
 */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { folder, inCheckout, run, testWith } from "./tools.ts";

const CONTRIBUTING = Deno.readTextFileSync(inCheckout("CONTRIBUTING.md"));
const ARCHITECTURE = Deno.readTextFileSync(inCheckout("ARCHITECTURE.md"));

Deno.test("every file and folder that ARCHITECTURE.md names is there", () => {
  const names = ARCHITECTURE.match(
    /\b(?:cmd|lib|src|tests)\/[\w/]*(?:\.ts)?/g,
  )!;
  assert(names.length > 20);
  for (const name of names) Deno.statSync(inCheckout(name));
});

Deno.test("every task and every variable is in CONTRIBUTING.md", () => {
  const { tasks } = JSON.parse(
    Deno.readTextFileSync(inCheckout("deno.json")),
  ) as { tasks: Record<string, unknown> };
  for (const task of Object.keys(tasks)) {
    assertStringIncludes(CONTRIBUTING, `scripts/deno task ${task}`);
  }
  const told = [...CONTRIBUTING.matchAll(/^\| `([A-Z_]+)`/gm)]
    .map(([, name]) => name!);
  assertEquals(told, [
    "LOGFERRY_DENO",
    "LOGFERRY_SEED",
    "LOGFERRY_RECIPES",
    "DENO_JOBS",
    "LOGFERRY_CASES",
  ]);
});

testWith(
  ["git"],
  "a commit that doesn't pass the check is refused by the hook",
  async () => {
    using work = folder();
    const clone = `${work.path}/clone`;
    const git = (words: string[], cwd = clone) =>
      run(["git", ...words], {
        cwd,
        env: {
          LOGFERRY_DENO: Deno.execPath(),
          GIT_CONFIG_GLOBAL: "/dev/null",
          GIT_AUTHOR_NAME: "a",
          GIT_AUTHOR_EMAIL: "a@example.org",
          GIT_COMMITTER_NAME: "a",
          GIT_COMMITTER_EMAIL: "a@example.org",
        },
      });
    // A small repository, since the whole one takes a while to check.
    Deno.mkdirSync(`${clone}/scripts`, { recursive: true });
    for (
      const name of [
        "deno.json",
        "scripts/hooks",
        "scripts/deno",
        "scripts/toolchain.txt",
        "scripts/toolchain.ts",
      ]
    ) {
      const copied = await run([
        ...["cp", "-R", inCheckout(name), `${clone}/${name}`],
      ]);
      assertEquals([copied.code, copied.stderr], [0, ""]);
    }
    // Of which only this module is there.
    const config = JSON.parse(Deno.readTextFileSync(`${clone}/deno.json`));
    Deno.writeTextFileSync(
      `${clone}/deno.json`,
      JSON.stringify({ ...config, exports: "./mod.ts" }, null, 2) + "\n",
    );
    const module = "/**\n * Nothing.\n *\n * @module\n */\nexport {};\n";
    Deno.writeTextFileSync(`${clone}/mod.ts`, module);
    const [setting] = /git config core\.hooksPath .*/.exec(CONTRIBUTING)!;
    for (const words of [["git", "init", "-q"], setting.split(" ")]) {
      assertEquals((await git(words.slice(1))).code, 0);
    }
    const commit = async () => {
      assertEquals((await git(["add", "deno.json", "mod.ts"])).code, 0);
      return await git(["commit", "-qm", "One"]);
    };
    const good = await commit();
    assertEquals(good.code, 0, good.text + good.stderr);
    Deno.writeTextFileSync(`${clone}/mod.ts`, `${module}  export {};\n`);
    const bad = await commit();
    assertEquals(bad.code, 1, bad.text + bad.stderr);
    assertStringIncludes(bad.text + bad.stderr, "mod.ts");
    const { text } = await git(["log", "--format=%s"]);
    assertEquals(text, "One\n");
  },
);

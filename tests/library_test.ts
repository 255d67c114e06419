import { assert, assertEquals } from "@std/assert";
import { inCheckout, run } from "./tools.ts";

interface Doc {
  readonly nodes: readonly {
    readonly name: string;
    readonly kind: string;
    readonly jsDoc?: { readonly tags?: readonly { readonly kind: string }[] };
  }[];
}

Deno.test("every export of mod.ts has an example, which the doc tests run", async () => {
  const { text, code } = await run(
    [Deno.execPath(), "doc", "--json", inCheckout("mod.ts")],
    { env: { NO_COLOR: "1" } },
  );
  assertEquals(code, 0);
  const { nodes } = JSON.parse(text) as Doc;
  assert(nodes.length > 15);
  const bare = nodes.filter(({ jsDoc }) =>
    !jsDoc?.tags?.some(({ kind }) => kind === "example")
  );
  assertEquals(bare.map(({ name }) => name), []);
});

Deno.test("the library can be published", async () => {
  const { code, stderr } = await run(
    [Deno.execPath(), "publish", "--dry-run", "--allow-dirty"],
    { cwd: inCheckout(""), env: { NO_COLOR: "1" } },
  );
  assertEquals(code, 0, stderr);
  // Slow types and the like are warnings.
  assert(!/warning/i.test(stderr), stderr);
});

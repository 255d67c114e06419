import { assertEquals } from "@std/assert";
import { environ, getenv } from "../../src/sys/environment.ts";
import { fromLatin1, latin1 } from "../../src/bytes.ts";
import { denoCommand, output } from "./_programs.ts";

Deno.test("getenv tells a value, an empty one, and none", () => {
  const name = "LOGFERRY_TEST_VARIABLE";
  assertEquals(getenv(name), undefined);
  Deno.env.set(name, "value=é");
  assertEquals(getenv(name), new TextEncoder().encode("value=é"));
  Deno.env.set(name, "");
  assertEquals(getenv(name), new Uint8Array(0));
  Deno.env.delete(name);
  assertEquals(getenv(name), undefined);
});

Deno.test("environ shows variables as they are set and deleted", () => {
  const name = "LOGFERRY_TEST_VARIABLE";
  const texts = () => environ().map(latin1);
  const before = texts();
  Deno.env.set(name, "1");
  assertEquals(texts().toSorted(), [...before, `${name}=1`].toSorted());
  Deno.env.delete(name);
  assertEquals(texts().toSorted(), before.toSorted());
});

Deno.test("values and names that are no UTF-8 come whole", async () => {
  const odd = ["ODD=\xff\xfe\x80=x", "\xe9=1", "EMPTY="];
  const code = `
    const hex = (bytes) =>
      Array.from(bytes, (b) => b.toString(16).padStart(2, "0")).join("");
    console.log(hex(environment.getenv("ODD")));
    for (const entry of environment.environ()) console.log(hex(entry));`;
  const { output: text } = await output({
    args: denoCommand(code),
    env: [...environ(), ...odd.map(fromLatin1)],
  });
  const [value, ...entries] = text.trim().split("\n").map((line) =>
    latin1(Uint8Array.from(line.match(/../g) ?? [], (d) => parseInt(d, 16)))
  );
  assertEquals(value, "\xff\xfe\x80=x");
  assertEquals(odd.filter((entry) => !entries.includes(entry)), []);
});

Deno.test("an empty environment is empty", async () => {
  const code = `for (const entry of environment.environ()) {
    console.log(String.fromCharCode(...entry));
  }`;
  const { output: text } = await output({ args: denoCommand(code), env: [] });
  // Newer runtimes put two of their own into it.
  const own = /^(PATH=.*node_compat_bin|DENO_NODE_SHIM_ACTIVE=1)$/;
  const given = text.split("\n").filter((line) => line && !own.test(line));
  assertEquals(given, []);
});

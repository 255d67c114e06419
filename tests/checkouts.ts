/**
 * Other checkouts than the one that is tested.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { inCheckout, type Outcome, run } from "./tools.ts";

/**
 * Runs a script of a checkout.
 *
 * @param checkout The checkout's folder
 * @param name The script's name
 * @param words Its arguments
 * @param env Variables
 */
export async function script(
  checkout: string,
  name: string,
  words: string[] = [],
  env: Record<string, string> = {},
): Promise<Outcome> {
  return await run(
    [Deno.execPath(), "run", "-A", `${checkout}/scripts/${name}.ts`, ...words],
    { cwd: checkout, env },
  );
}

/**
 * Makes what a clone has, in another place, at another time.
 *
 * @param checkout The folder, which is made
 */
export async function copyTo(checkout: string) {
  Deno.mkdirSync(checkout);
  const names = ["cmd", "scripts", "src", "vendor", "deno.json", "mod.ts"];
  const texts = [...Deno.readDirSync(inCheckout(""))].map(({ name }) => name)
    .filter((name) => name === "LICENSE" || name.endsWith(".md"));
  const { code, stderr } = await run([
    "cp",
    "-R",
    ...[...names, ...texts].map(inCheckout),
    checkout,
  ]);
  assertEquals([code, stderr], [0, ""]);
}

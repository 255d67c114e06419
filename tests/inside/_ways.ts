/**
 * The two ways in which tryto and the sender are carried out: as a program of
 * their own, and inside multilog's process. Tests that run both ways find no
 * difference.
 */
import { inCheckout, type Need, ours, testWith } from "../tools.ts";

/** How a program of ours is carried out. */
export type Way = "as a program" | "inside";

/** The way of the test that runs; a file's tests run one after the other. */
let way: Way = "as a program";
let driver: string | undefined;

/**
 * Defines a test that runs both ways.
 *
 * @param name What holds, either way
 * @param fn The test
 * @param needs What must be there for it
 */
export function bothWays(
  name: string,
  fn: (t: Deno.TestContext, way: Way) => Promise<void> | void,
  needs: readonly Need[] = [],
): void {
  for (const one of ["as a program", "inside"] as const) {
    testWith(needs, `${name} (${one})`, async (t) => {
      if (one === "inside") driver ??= await compileDriver();
      way = one;
      try {
        await fn(t, one);
      } finally {
        way = "as a program";
      }
    });
  }
}

/**
 * What is put before a program's name, and the folder that the program is
 * found in.
 *
 * @param program The program's path
 */
export function carriedOut(program: string): { by: string[]; in: string } {
  return way === "inside" && program.startsWith(inCheckout("dist/"))
    ? { by: [`${driver}/driver`], in: driver! }
    : { by: [], in: program.replace(/\/[^/]*$/, "") };
}

/** The words that carry out a sender. */
export function sender(): string[] {
  const { by } = carriedOut(ours.socklogTcp);
  return by.length === 0 ? [ours.socklogTcp] : [...by, "socklog-tcp"];
}

async function compileDriver(): Promise<string> {
  const folder = Deno.makeTempDirSync({ prefix: "logferry-" });
  Deno.chmodSync(folder, 0o755);
  globalThis.addEventListener(
    "unload",
    () => Deno.removeSync(folder, { recursive: true }),
  );
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      ...["compile", "--quiet", "--no-check", "--no-code-cache"],
      ...["--allow-ffi", "--allow-net", "--output", `${folder}/driver`],
      "tests/inside/_driver.ts",
    ],
    cwd: inCheckout(""),
    stdout: "null",
  }).output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
  for (const name of ["tryto", "socklog-tcp"]) {
    Deno.linkSync(`${folder}/driver`, `${folder}/${name}`);
  }
  return folder;
}

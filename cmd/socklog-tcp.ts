/**
 * The `socklog-tcp` program.
 *
 * @module
 */
import { run } from "../src/program.ts";
import { socklogTcp } from "../src/socklog/main.ts";
import type { ScriptReader } from "../src/socklog/output.ts";

/** Loads the module that reads scripts only for a server that has a script. */
const readScript: ScriptReader = async (...args) => {
  const { readScript } = await import("../src/script_output.ts");
  return await readScript(...args);
};

/** Runs it, and ends this process. */
export function start(args: readonly string[], name: string): Promise<never> {
  return run(
    (args, name) => socklogTcp(args, name, readScript),
    args,
    name,
  );
}

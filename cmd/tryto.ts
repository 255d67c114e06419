/**
 * The `tryto` program.
 *
 * @module
 */
import { run } from "../src/program.ts";
import { tryto } from "../src/tryto/main.ts";

/** Runs it, and ends this process. */
export function start(args: readonly string[], name: string): Promise<never> {
  return run(tryto, args, name);
}

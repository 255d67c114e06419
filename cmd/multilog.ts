/**
 * The `multilog` program.
 *
 * @module
 */
import { multilog } from "../src/multilog/main.ts";
import { run } from "../src/program.ts";

/** Runs it, and ends this process. */
export function start(args: readonly string[], name: string): Promise<never> {
  return run(
    async (args, name) => {
      // Only a script with a processor can have one that runs inside: for other
      // scripts those modules aren't loaded.
      const inside = args.some((arg) => arg.startsWith("!"))
        ? await import("../src/inside.ts")
        : undefined;
      return await multilog(args, name, inside?.findProcessor);
    },
    args,
    name,
  );
}

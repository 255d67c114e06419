/**
 * What the programs' starts and ends have in common.
 *
 * @module
 */
import { Diagnostics } from "./diagnostics.ts";

/**
 * A program: from its arguments and the name that it was started under to its
 * exit code.
 */
export type Program = (
  args: readonly string[],
  name: string,
) => number | Promise<number>;

/** The exit code for trouble. */
export const TROUBLE = 111;

/** Those that what nobody has caught is told. */
const takers = new Set<(error: unknown) => boolean>();

/**
 * Takes what nobody has caught from now on: it doesn't end the program then.
 * For those that run what mustn't end it.
 *
 * @param take Told what was thrown; answers whether it may be the cause of
 * that, and says so itself
 * @returns Ends that
 */
export function takeUncaught(take: (error: unknown) => boolean): () => void {
  takers.add(take);
  return () => takers.delete(take);
}

/**
 * The first line of an error's message. What a program doesn't expect is told
 * by this; where it came from is of no use to the reader of a log.
 *
 * @param error What was thrown
 * @returns One line
 */
export function inOneLine(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.split("\n")[0]!;
}

/**
 * Runs a program, and ends this process with its exit code: 111, and a message
 * of one line, where it didn't expect what happened.
 *
 * @param program The program
 * @param args Its arguments
 * @param name The name that it was started under
 */
export async function run(
  program: Program,
  args: readonly string[],
  name: string,
): Promise<never> {
  function unexpected(error: unknown): never {
    new Diagnostics(name).say("fatal: ", inOneLine(error));
    Deno.exit(TROUBLE);
  }
  function uncaught(event: Event, error: unknown): void {
    event.preventDefault();
    if (takers.size === 0) unexpected(error);
    const taken = [...takers].filter((take) => take(error)).length > 0;
    if (taken) return;
    new Diagnostics(name).warn("trouble inside: ", inOneLine(error));
  }
  globalThis.addEventListener(
    "unhandledrejection",
    (event) => uncaught(event, event.reason),
  );
  globalThis.addEventListener("error", (event) => uncaught(event, event.error));
  try {
    Deno.exit(await program(args, name));
  } catch (error) {
    return unexpected(error);
  }
}

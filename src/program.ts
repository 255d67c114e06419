/**
 * How every program starts and ends.
 *
 * @module
 */
import { Diagnostics } from "./diagnostics.ts";

/**
 * A program: a function of its arguments, and the name that it was started
 * under, which returns its exit code.
 */
export type Program = (
  args: readonly string[],
  name: string,
) => number | Promise<number>;

/** The exit code for trouble. */
export const TROUBLE = 111;

/** The handlers of errors that nothing has caught. */
const uncaughtHandlers = new Set<(error: unknown) => boolean>();

/**
 * Adds a handler of errors that nothing has caught. As long as there is one,
 * such an error doesn't end the program. This is for callers that run a
 * processor inside this process, where a fault of it mustn't end everything.
 *
 * @param handle Gets what was thrown; returns whether the error may come from
 * what its owner runs. If so, the owner reports it
 * @returns A function that removes the handler
 */
export function handleUncaught(
  handle: (error: unknown) => boolean,
): () => void {
  uncaughtHandlers.add(handle);
  return () => uncaughtHandlers.delete(handle);
}

/**
 * The first line of an error's message, which is how a program reports an error
 * that it didn't expect. The stack trace would be of no use to the reader of a
 * log.
 */
export function inOneLine(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.split("\n")[0]!;
}

/**
 * Runs a program, and ends this process with the program's exit code. After an
 * error that the program didn't expect, that is 111, with a message of one line.
 *
 * @param name The name that the program was started under
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
    if (uncaughtHandlers.size === 0) unexpected(error);
    // Every handler gets it: more than one processor may run inside.
    const handled =
      [...uncaughtHandlers].filter((handle) => handle(error)).length > 0;
    if (handled) return;
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

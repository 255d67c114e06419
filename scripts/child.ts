/**
 * The program that a script runs now, and shows nothing of unless it fails.
 *
 * @module
 */

let running: Deno.ChildProcess | undefined;

/**
 * Runs a program to its end.
 *
 * @param program Its path, or its name in `$PATH`
 * @param options Its arguments, and so on; it has no input and no output
 * @returns What it wrote to standard error when it failed
 */
export async function run(
  program: string,
  options: Deno.CommandOptions,
): Promise<string | undefined> {
  running = new Deno.Command(program, {
    ...options,
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  const { success, stderr } = await running.output();
  running = undefined;
  return success ? undefined : new TextDecoder().decode(stderr).trim();
}

/**
 * Ends the program that runs, if one does, and waits for that.
 *
 * @param signal The signal that it is sent
 */
export async function endRunning(signal: Deno.Signal): Promise<void> {
  try {
    running?.kill(signal);
  } catch (error) {
    // It has ended already: Ctrl-C goes to all processes of a terminal.
    if (!(error instanceof TypeError)) throw error;
  }
  await running?.status;
}

/**
 * Compiling programs to compare ours with, and running some in turn.
 *
 * @module
 */
import { cost, median, ratio } from "./report.ts";

/**
 * Compiles a program as ours are compiled.
 *
 * @param folder Where it goes
 * @param name Its name
 * @param text Its source
 * @returns Its path
 * @throws {Error} When it can't be compiled
 */
export async function compileSource(
  folder: string,
  name: string,
  text: string,
): Promise<string> {
  const source = `${folder}/${name}.ts`;
  await Deno.writeTextFile(source, text);
  return await compileModule(`${folder}/${name}`, source);
}

/**
 * Compiles a module as ours are compiled.
 *
 * @param path Where the program goes
 * @param source The module
 * @returns The program's path
 * @throws {Error} When it can't be compiled
 */
export async function compileModule(
  path: string,
  source: string,
): Promise<string> {
  const { success } = await new Deno.Command(Deno.execPath(), {
    args: [
      "compile",
      "--quiet",
      "--no-check",
      "--no-code-cache",
      "--unstable-raw-imports",
      "--allow-all",
      "--output",
      path,
      source,
    ],
    stdout: "null",
  }).output();
  if (!success) throw new Error(`unable to compile ${source}`);
  return path;
}

/**
 * Runs some commands in turn, round by round.
 *
 * @param rounds How often
 * @param commands The commands, and the files that they read
 * @param measure What is measured: time, or processor time
 * @returns How many milliseconds each took, in each round
 */
export async function inTurn(
  rounds: number,
  commands: Record<string, { command: string[]; input: string }>,
  measure: "seconds" | "cpu" = "seconds",
): Promise<Record<string, number[]>> {
  const times: Record<string, number[]> = {};
  // The first round finds files on the disk that later ones have in memory.
  for (let round = -1; round < rounds; round++) {
    for (const [name, { command, input }] of Object.entries(commands)) {
      const taken = await cost(command, input);
      if (round >= 0) (times[name] ??= []).push(1000 * taken[measure]);
    }
  }
  return times;
}

/**
 * The median of some times.
 *
 * @param taken The times, in milliseconds
 * @returns It, with its unit
 */
export function milliseconds(taken: readonly number[]): string {
  return `${median(taken).toFixed(1)} ms`;
}

/**
 * How many times as long something takes.
 *
 * @param of Its times
 * @param than The times of what it is compared with, taken in turn
 * @returns The median of the ratios
 */
export function times(of: readonly number[], than: readonly number[]): string {
  return `${ratio(of, than).toFixed(2)}x`;
}

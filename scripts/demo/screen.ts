/**
 * What the demonstration looks like: plain lines of 80 columns at most.
 *
 * @module
 */
import { fromLatin1 } from "../../src/bytes.ts";

const WIDTH = 80;

/** Colours are for people, and for those of them who want any. */
const coloured = Deno.stdout.isTerminal() && !Deno.noColor;

function paint(on: number, off: number): (text: string) => string {
  return (text) => coloured ? `\x1b[${on}m${text}\x1b[${off}m` : text;
}

/** Makes text stand out. */
export const bold = paint(1, 22);
/** Makes text stand back. */
export const dim = paint(2, 22);
/** What has gone well. */
export const green = paint(32, 39);
/** What has not, but is taken care of. */
export const yellow = paint(33, 39);
/** What is wrong. */
export const red = paint(31, 39);

/**
 * Writes a line.
 *
 * @param text The line
 */
export function say(text = ""): void {
  console.log(text);
}

/**
 * Begins a part of the story.
 *
 * @param title What it is
 * @param explanation Lines that say what to watch for
 */
export function part(title: string, ...explanation: string[]): void {
  say();
  say(bold(title));
  for (const line of explanation) say(`  ${line}`);
  say();
}

/** Tells what happens when it happens. */
export class Clock {
  readonly #start = performance.now();

  /**
   * Tells that something has happened.
   *
   * @param who Who did it
   * @param what What it is
   */
  tell(who: string, what: string): void {
    const seconds = (performance.now() - this.#start) / 1000;
    say(
      `  ${dim(`${seconds.toFixed(1).padStart(5)} s`)}  ${
        who.padEnd(9)
      }${what}`,
    );
  }

  /**
   * How long it has run.
   *
   * @returns Seconds
   */
  seconds(): number {
    return (performance.now() - this.#start) / 1000;
  }
}

/**
 * Shows a line of a log, safe to be shown, at its full length or cut.
 *
 * @param line The line, a character for each byte
 * @param left What stands before it
 * @returns The text
 */
export function excerpt(line: string, left: string): string {
  const text = plain(line);
  const room = WIDTH - left.length;
  return left + (text.length > room ? `${text.slice(0, room - 3)}...` : text);
}

/**
 * Shows a line of a log, safe to be shown, all of it.
 *
 * @param line The line, a character for each byte
 * @param left What stands before it
 * @returns The text, in as many lines as it takes
 */
export function wrapped(line: string, left: string): string[] {
  const lines = [left];
  for (const word of plain(line).split(" ")) {
    const last = lines.at(-1)!;
    const begun = last.trim() !== "";
    if (begun && last.length + 1 + word.length > WIDTH) {
      lines.push(`${left}  ${word}`);
    } else lines[lines.length - 1] = last + (begun ? " " : "") + word;
  }
  return lines;
}

/** What is no plain letter may be of any width, or do things to a terminal. */
function plain(line: string): string {
  return new TextDecoder().decode(fromLatin1(line)).replace(
    /[^\x20-\x7e]/g,
    "?",
  );
}

/**
 * Lays text out in columns.
 *
 * @param rows The rows; a number is set to the right
 * @param indent How far from the left
 * @returns The lines
 */
export function columns(
  rows: readonly (readonly (string | number)[])[],
  indent = 2,
): string[] {
  const widths: number[] = [];
  for (const row of rows) {
    row.forEach((cell, i) => {
      widths[i] = Math.max(widths[i] ?? 0, String(cell).length);
    });
  }
  return rows.map((row) =>
    (" ".repeat(indent) +
      row.map((cell, i) =>
        typeof cell === "number"
          ? String(cell).padStart(widths[i]!)
          : cell.padEnd(widths[i]!)
      ).join("  ")).trimEnd()
  );
}

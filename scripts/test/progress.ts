/**
 * How it goes, for whoever watches: a line for each job that is done, and on a
 * terminal one more at the bottom, of what is being done.
 *
 * @module
 */

const terminal = Deno.stdout.isTerminal();
const encoder = new TextEncoder();

function write(text: string): void {
  const bytes = encoder.encode(text);
  for (let at = 0; at < bytes.length;) {
    at += Deno.stdout.writeSync(bytes.subarray(at));
  }
}

function width(): number {
  try {
    return Deno.consoleSize().columns;
  } catch {
    return 80;
  }
}

/**
 * Prints lines that stay.
 *
 * @param text The lines, the last without its newline
 */
export function say(text: string): void {
  write(`${terminal ? "\r\x1b[K" : ""}${text}\n`);
}

/**
 * Shows what is being done, in place of what was shown before.
 *
 * @param text One line
 */
export function show(text: string): void {
  if (terminal) write(`\r\x1b[K${text.slice(0, width() - 1)}`);
}

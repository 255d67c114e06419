/**
 * What `-a` adds to the wire.
 *
 * Without it the end of a transmission is the server's close, and that looks
 * the same whether the server closed in peace or was killed when it had read
 * everything and written nothing. With it, on both sides:
 *
 * The sender sends its bytes and closes its side, as ever. When the server has
 * read that end, and has handed every line of the connection to its standard
 * output with a write that succeeded, it sends the number of bytes that it
 * has received over this connection (line ends and dropped empty lines
 * included, not what it puts before lines) in decimal digits, and a
 * newline, and closes. The sender succeeds when exactly that arrived, the
 * number is the one that it has sent, and the server closed.
 *
 * A sender without `-a` reads the answer and thinks nothing of it, as do
 * tcpclient and nc; a server without `-a` sends none, and a sender with `-a`
 * fails. What is in a pipe after the server is not its business: the kernel
 * keeps it as long as a reader, or a supervisor that holds the pipe, lives.
 *
 * @module
 */
import { type Bytes, encode } from "../bytes.ts";

/** No answer is longer than this, in bytes. */
export const LONGEST_ANSWER = 32;

/**
 * What the server answers.
 *
 * @param received How many bytes it has received, and written the lines of
 * @returns The bytes to send
 */
export function acknowledgement(received: number): Bytes {
  return encode(`${received}\n`);
}

/**
 * What is wrong with an answer.
 *
 * @param text All that the server sent
 * @param sent How many bytes were sent to it
 * @returns A message, or `undefined` when the transmission succeeded
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(complaint("4096\n", 4096), undefined);
 * assertEquals(
 *   complaint("1024\n", 4096),
 *   "1024 bytes were acknowledged, and 4096 sent",
 * );
 * ```
 */
export function complaint(text: string, sent: number): string | undefined {
  if (text === `${sent}\n`) return undefined;
  // No server has received more than a number can say exactly.
  return /^\d{1,15}\n$/.test(text)
    ? `${Number(text)} bytes were acknowledged, and ${sent} sent`
    : "no acknowledgement: a server gives it with -a, when all went well";
}

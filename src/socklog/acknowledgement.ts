/**
 * What `-a` adds to the protocol.
 *
 * Without `-a` the server ends a transmission by closing the connection. That
 * looks the same whether the server has written every line or was killed after
 * it had read everything and written nothing. With `-a` on both sides:
 *
 * The sender sends its bytes and closes its side, as without `-a`. When the
 * server has read that end of input, and has written every line of the
 * connection (to its standard output; with a script to its logs, and synced
 * them), it sends one line and closes the connection. The line is the number of
 * bytes received over this connection, in decimal digits; line ends and dropped
 * empty lines count, the prefixes that the server adds don't. The sender
 * succeeds when that line is all that arrives, its number is the number of
 * bytes that were sent, and the server has closed the connection.
 *
 * A sender without `-a` ignores the line, as do tcpclient and nc. A server
 * without `-a` sends no line, and a sender with `-a` then fails. When standard
 * output is a pipe, lines that are in it count as written: the kernel keeps
 * them as long as a reader, or a supervisor that holds the pipe open, lives.
 *
 * @module
 */
import { type Bytes, encode } from "../bytes.ts";

/** More bytes than any acknowledgement has. */
export const LONGEST_ANSWER = 32;

/**
 * Makes the line that acknowledges a transmission.
 *
 * @param received How many bytes the server has received over the connection
 * @returns The line's bytes
 */
export function acknowledgement(received: number): Bytes {
  return encode(`${received}\n`);
}

/**
 * Checks an acknowledgement.
 *
 * @param text All that the server sent
 * @param sent How many bytes were sent to the server
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
  // At most 15 digits: larger numbers aren't exact.
  return /^\d{1,15}\n$/.test(text)
    ? `${Number(text)} bytes were acknowledged, and ${sent} sent`
    : "no acknowledgement: a server gives it with -a, when all went well";
}

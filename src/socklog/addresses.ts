/**
 * The host and port of a command line, for servers and clients.
 *
 * @module
 */
import { getaddrinfo, parsePort, TemporaryNameError } from "../sys/names.ts";
import {
  type Endpoint,
  loopbackAddress,
  wildcardAddress,
} from "../sys/sockets.ts";
import { LogferryError } from "../logferry_error.ts";

/**
 * After this many seconds without a byte the kernel asks the other side of a
 * connection whether it is still there.
 */
export const KEEP_ALIVE_SECONDS = 300;

/**
 * The addresses that a command line's host and port stand for.
 *
 * @param host A name, an address, or `0`
 * @param port A name or a number
 * @param zero What host `0` stands for: `"any"` address of this machine (to
 * listen at), or its `"own"`, 127.0.0.1 (to connect to)
 * @returns At least one endpoint
 * @throws {LogferryError} When there is no such host or port
 */
export async function resolve(
  host: string,
  port: string,
  zero: "any" | "own",
): Promise<Endpoint[]> {
  const number = parsePort(port);
  if (number === undefined) {
    throw new LogferryError(`unable to figure out port number for ${port}`);
  }
  if (host === "0") {
    return [zero === "any" ? wildcardAddress(number) : loopbackAddress(number)];
  }
  try {
    const found = await getaddrinfo(host, number);
    if (found.length > 0) return found;
  } catch (error) {
    if (!(error instanceof TemporaryNameError)) throw error;
    throw new LogferryError(
      `temporarily unable to figure out IP address for ${host}`,
      { code: "EAI_AGAIN" },
    );
  }
  throw new LogferryError(`no IP address for ${host}`, { code: "EAI_NONAME" });
}

/**
 * What servers and clients have in common before there is a connection.
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

/** After how many silent seconds the other end is asked whether it is there. */
export const KEEP_ALIVE_SECONDS = 300;

/**
 * The addresses that a command line's host and port stand for.
 *
 * @param host A name, a number, or `0`
 * @param port A name or a number
 * @param zero What `0` stands for: any address, or the machine's own
 * @returns At least one endpoint
 * @throws {LogferryError} When there is none
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

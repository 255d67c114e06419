/**
 * Several log servers, to one of which a sender sends.
 *
 * They are tried in turn. A server that hasn't answered, or to which a
 * transmission has failed, is tried last for a minute. So, inside multilog, the
 * next files don't wait for it again.
 *
 * @module
 */
import { UsageError } from "../getopt.ts";

/** For how long a server that has failed is tried last, in milliseconds. */
const LAST_FOR = 60_000;

/** A log server, as the command line names it. */
export interface Server {
  /** Its host: a name, an address, or `0` for this machine. */
  host: string;
  /** Its port: a number or a name. */
  port: string;
}

/**
 * Reads a list of servers.
 *
 * @param list Hosts with commas between them, each with a port if it has its
 * own: `loghost,192.0.2.2:10117,[2001:db8::1]:10116`
 * @param port The port of the hosts without one
 * @returns At least one server
 * @throws {UsageError} When a host is missing
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(parseServers("::1,loghost:514", "10116"), [
 *   { host: "::1", port: "10116" },
 *   { host: "loghost", port: "514" },
 * ]);
 * ```
 */
export function parseServers(list: string, port: string): Server[] {
  return list.split(",").map((word) => {
    const match = /^(?:\[([^\]]+)\]|([^:[\]]+))(?::([^:]+))?$/.exec(word);
    // A word with more than one colon is an IPv6 address without a port.
    const host = match?.[1] ?? match?.[2] ?? word;
    const isAddress = /^[^[\]]*:[^[\]]*:[^[\]]*$/.test(word);
    if (match === null && !isAddress) {
      throw new UsageError(`a host, or host:port, is missing in ${list}`);
    }
    return { host, port: match?.[3] ?? port };
  });
}

/** Until when each server that has failed is tried last. */
const failedUntil = new Map<string, number>();

function key({ host, port }: Server): string {
  return `${host} ${port}`;
}

/** Notes that a server has failed. */
export function noteFailure(server: Server): void {
  failedUntil.set(key(server), performance.now() + LAST_FOR);
}

/** Notes that a server has received everything. */
export function noteSuccess(server: Server): void {
  failedUntil.delete(key(server));
}

/**
 * The servers in the order in which to try them now: those that have just
 * failed come last.
 *
 * @param servers The servers, in the order that was asked for
 */
export function inTurn(servers: readonly Server[]): Server[] {
  const now = performance.now();
  const failed = (one: Server) => (failedUntil.get(key(one)) ?? 0) > now;
  return [
    ...servers.filter((one) => !failed(one)),
    ...servers.filter(failed),
  ];
}

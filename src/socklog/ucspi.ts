/**
 * What a UCSPI tool tells of a connection: the variables of tcp-environ(5),
 * and the fields of the `ok` line of `-v`.
 *
 * @module
 */
import { fromLatin1 } from "../bytes.ts";
import type { Endpoint } from "../sys/sockets.ts";

/** A connection, as far as it is known. Names are text, a byte a character. */
export interface Peers {
  /** This end. */
  local: Endpoint;
  /** The other end. */
  remote: Endpoint;
  /** This host's name. */
  localHost: string | undefined;
  /** The other host's name. */
  remoteHost: string | undefined;
  /** Whose connection the other host says it is. */
  remoteInfo: string | undefined;
  /** Variables that the access rules set. */
  rules: readonly (readonly [name: string, value: string])[];
}

/**
 * A connection of which only the ends are known.
 *
 * @param local This end
 * @param remote The other end
 * @param localHost This host's name, where it was given
 * @returns The connection
 */
export function peersOf(
  local: Endpoint,
  remote: Endpoint,
  localHost: string | undefined,
): Peers {
  return {
    local,
    remote,
    localHost,
    remoteHost: undefined,
    remoteInfo: undefined,
    rules: [],
  };
}

/**
 * The fields of an `ok` or `deny` line.
 *
 * @param peers The connection
 * @returns The local host, address and port; the remote host, address, user
 * and port
 */
export function describe(peers: Peers): string {
  const { local, remote, localHost, remoteHost, remoteInfo } = peers;
  return tame(
    `${localHost ?? ""}:${local.ip}:${local.port} ` +
      `${remoteHost ?? ""}:${remote.ip}:${remoteInfo ?? ""}:${remote.port}`,
  );
}

/**
 * The variables of a connection.
 *
 * @param peers The connection
 * @returns The variables; those without a value are taken out of an
 * environment that has them
 */
export function variables(peers: Peers): Map<string, string | undefined> {
  return new Map<string, string | undefined>([
    ["PROTO", "TCP"],
    ["TCPLOCALIP", peers.local.ip],
    ["TCPLOCALPORT", String(peers.local.port)],
    ["TCPLOCALHOST", peers.localHost],
    ["TCPREMOTEIP", peers.remote.ip],
    ["TCPREMOTEPORT", String(peers.remote.port)],
    ["TCPREMOTEHOST", peers.remoteHost],
    ["TCPREMOTEINFO", peers.remoteInfo],
    ...peers.rules,
  ]);
}

/**
 * Text without what could pass for something else in a log.
 *
 * @param text The text, from a stranger
 * @returns The text, with a `?` for each control character
 */
export function tame(text: string): string {
  // deno-lint-ignore no-control-regex
  return text.replace(/[\x00-\x1f\x7f]/g, "?");
}

/**
 * Puts variables into an environment.
 *
 * @param environment The environment's entries
 * @param changes The variables, and those to take out
 * @returns The new environment's entries
 */
export function withVariables(
  environment: readonly Uint8Array[],
  changes: ReadonlyMap<string, string | undefined>,
): Uint8Array[] {
  const kept = environment.filter((entry) => {
    const equals = entry.indexOf(0x3d, 1);
    const name = String.fromCharCode(...entry.subarray(0, equals));
    return equals < 0 || !changes.has(name);
  });
  const made = [...changes].filter(([, value]) => value !== undefined)
    .map(([name, value]) => fromLatin1(`${name}=${value}`));
  return [...kept, ...made];
}

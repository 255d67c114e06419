/**
 * What a UCSPI program says about a connection: the variables of
 * tcp-environ(5), and the fields of the `ok` line that `-v` prints.
 *
 * @module
 */
import { type Bytes, fromLatin1, latin1 } from "../bytes.ts";
import type { Endpoint } from "../sys/sockets.ts";

/**
 * What is known of a connection so far. Names may hold any bytes; they are
 * texts with a character for each byte (Latin-1).
 */
export interface ConnectionInfo {
  /** The local address and port. */
  local: Endpoint;
  /** The remote address and port. */
  remote: Endpoint;
  /** This host's name. */
  localHost: string | undefined;
  /** The remote host's name. */
  remoteHost: string | undefined;
  /** The user that the remote host names as the connection's (RFC 1413). */
  remoteInfo: string | undefined;
  /** Variables that the access rules set. */
  rules: readonly (readonly [name: string, value: string])[];
}

/**
 * Describes a connection of which only the two ends are known.
 *
 * @param local The local end
 * @param remote The remote end
 * @param localHost This host's name, if the command line gives it
 */
export function connectionInfo(
  local: Endpoint,
  remote: Endpoint,
  localHost: string | undefined,
): ConnectionInfo {
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
 * The fields of an `ok` or `deny` line: the local host, address and port; the
 * remote host, address, user and port.
 *
 * @param info The connection
 */
export function describe(info: ConnectionInfo): string {
  const { local, remote, localHost, remoteHost, remoteInfo } = info;
  return printable(
    `${localHost ?? ""}:${local.ip}:${local.port} ` +
      `${remoteHost ?? ""}:${remote.ip}:${remoteInfo ?? ""}:${remote.port}`,
  );
}

/** The variables that a connection may have, other than those of the rules. */
export const VARIABLES = [
  "PROTO",
  "TCPLOCALIP",
  "TCPLOCALPORT",
  "TCPLOCALHOST",
  "TCPREMOTEIP",
  "TCPREMOTEPORT",
  "TCPREMOTEHOST",
  "TCPREMOTEINFO",
] as const;

/**
 * The variables of a connection. A variable whose value is `undefined` is to be
 * removed from the environment.
 */
export function variables(
  info: ConnectionInfo,
): Map<string, string | undefined> {
  const { local, remote } = info;
  const values: Record<typeof VARIABLES[number], string | undefined> = {
    PROTO: "TCP",
    TCPLOCALIP: local.ip,
    TCPLOCALPORT: String(local.port),
    TCPLOCALHOST: info.localHost,
    TCPREMOTEIP: remote.ip,
    TCPREMOTEPORT: String(remote.port),
    TCPREMOTEHOST: info.remoteHost,
    TCPREMOTEINFO: info.remoteInfo,
  };
  return new Map([...Object.entries(values), ...info.rules]);
}

/**
 * Replaces each control character by `?`, so that text from another machine
 * can't pass for another line in a log.
 */
export function printable(text: string): string {
  // deno-lint-ignore no-control-regex
  return text.replace(/[\x00-\x1f\x7f]/g, "?");
}

/**
 * Sets and removes variables of an environment.
 *
 * @param environment The environment's entries, each `NAME=value`
 * @param changes The variables with their new values; `undefined` removes one
 * @returns The new environment's entries
 */
export function withVariables(
  environment: readonly Uint8Array[],
  changes: ReadonlyMap<string, string | undefined>,
): Uint8Array[] {
  const kept = environment.filter((entry) => {
    const equals = entry.indexOf(0x3d, 1);
    return equals < 0 || !changes.has(latin1(entry.subarray(0, equals)));
  });
  const made = [...changes].filter(([, value]) => value !== undefined)
    .map(([name, value]) => fromLatin1(`${name}=${value}`));
  return [...kept, ...made];
}

/** How many of the NAMEs that are set are used. */
const MOST_NAMES = 8;

/**
 * Makes the prefix of a connection's lines: `$NAME: ` for each NAME that is
 * set, in the connection's own variables or else in the environment. A newline
 * or NUL in a value, which would end the line, becomes a `?`.
 *
 * @param names The NAMEs
 * @param getenv Looks up a variable in the environment
 * @param info The connection, unless its variables are in the environment
 */
export function prefixOf(
  names: readonly string[],
  getenv: (name: string) => Uint8Array | undefined,
  info?: ConnectionInfo,
): Bytes {
  const own = info && variables(info);
  const prefix = names.map((name) => {
    if (own?.has(name)) return own.get(name);
    const value = getenv(name);
    return value && latin1(value);
  })
    .filter((value) => value !== undefined).slice(0, MOST_NAMES)
    .map((value) => `${value}: `).join("");
  return fromLatin1(prefix.replace(/[\n\0]/g, "?"));
}

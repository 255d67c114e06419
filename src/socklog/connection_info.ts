/**
 * What a UCSPI tool tells of a connection: the variables of tcp-environ(5),
 * and the fields of the `ok` line of `-v`.
 *
 * @module
 */
import { type Bytes, fromLatin1, latin1 } from "../bytes.ts";
import type { Endpoint } from "../sys/sockets.ts";

/**
 * A connection, as far as it is known. Names are any bytes, as text with a
 * character for each byte (Latin-1).
 */
export interface ConnectionInfo {
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

/** The variables that every connection may have. */
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
 * The variables of a connection. Those without a value are taken out of an
 * environment that has them.
 *
 * @param info The connection
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
 * Text without what could pass for something else in a log: a `?` stands for
 * each control character.
 *
 * @param text The text, from a stranger
 */
export function printable(text: string): string {
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
    return equals < 0 || !changes.has(latin1(entry.subarray(0, equals)));
  });
  const made = [...changes].filter(([, value]) => value !== undefined)
    .map(([name, value]) => fromLatin1(`${name}=${value}`));
  return [...kept, ...made];
}

/** How many NAMEs count. */
const MOST_NAMES = 8;

/**
 * What each line of a connection begins with: `$NAME: ` for each NAME that is
 * set, of the connection's variables or else of the environment. Its bytes are
 * what the variable has, but a `?` for what would end a line.
 *
 * @param names The NAMEs
 * @param getenv What looks a variable up in the environment
 * @param info The connection, where its variables aren't in the environment
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

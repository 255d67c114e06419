/**
 * What has to be asked of others about a connection.
 *
 * @module
 */
import { addressesOf, nameOf } from "../sys/names.ts";
import type { Endpoint } from "../sys/sockets.ts";
import type { ServerArguments } from "./arguments.ts";
import { identify } from "./ident.ts";
import type { Peers } from "./ucspi.ts";

/** Lets only so many things be done at once. */
class Gate {
  #free: number;
  readonly #waiting: (() => void)[] = [];

  constructor(most: number) {
    this.#free = most;
  }

  async through<T>(what: () => Promise<T>): Promise<T> {
    if (this.#free > 0) this.#free--;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    try {
      return await what();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#free++;
      else next();
    }
  }
}

/**
 * Each of these occupies a thread, of which there are 512: some must be left
 * for the main loop, or slow name servers would stop everything.
 */
const names = new Gate(128);
const identities = new Gate(256);

/** What is asked about each connection. */
export interface Questions {
  /** This host's name. */
  localHost: boolean;
  /** The other host's name. */
  remoteHost: boolean;
  /** Whose connection the other host says it is. */
  remoteInfo: boolean;
}

/**
 * What a server has to ask, given its command line: not what nobody would see
 * the answer of.
 *
 * @param args The command line
 * @returns What is asked about each connection, or `undefined` for nothing
 */
export function questions(args: ServerArguments): Questions | undefined {
  const { task } = args;
  const shown = (name: string) =>
    "program" in task || args.verbosity === 2 || task.names.includes(name);
  const wanted = {
    localHost: args.localName === undefined && shown("TCPLOCALHOST"),
    remoteHost: args.lookUpHost &&
      (args.rules !== undefined || shown("TCPREMOTEHOST")),
    remoteInfo: args.askIdentity &&
      (args.rules !== undefined || shown("TCPREMOTEINFO")),
  };
  return Object.values(wanted).includes(true) ? wanted : undefined;
}

/**
 * Asks for the name of an endpoint's host.
 *
 * @param of The endpoint
 * @param paranoid Whether the name must lead back to the address
 * @returns The name, or `undefined`
 */
export async function hostName(
  of: Endpoint,
  paranoid = false,
): Promise<string | undefined> {
  return await names.through(async () => {
    const name = await nameOf(of);
    if (name === undefined || !paranoid) return name;
    try {
      const found = await addressesOf(name, 0);
      return found.some(({ ip }) => ip === of.ip) ? name : undefined;
    } catch {
      // No answer now is no proof.
      return undefined;
    }
  });
}

/**
 * Asks the other host whose connection it is.
 *
 * @param local This end
 * @param remote The other end
 * @param seconds How long it may take
 * @returns The user, or `undefined`
 */
export async function identity(
  local: Endpoint,
  remote: Endpoint,
  seconds: number,
): Promise<string | undefined> {
  return await identities.through(() => identify(local, remote, seconds));
}

/**
 * Asks all of it, at the same time.
 *
 * @param peers The connection; the answers go there
 * @param asked What is asked
 * @param args The command line
 */
export async function lookUp(
  peers: Peers,
  asked: Questions,
  args: ServerArguments,
): Promise<void> {
  const { local, remote } = peers;
  const [localHost, remoteHost, remoteInfo] = await Promise.all([
    asked.localHost ? hostName(local) : args.localName,
    asked.remoteHost ? hostName(remote, args.paranoid) : undefined,
    asked.remoteInfo
      ? identity(local, remote, args.identityTimeout)
      : undefined,
  ]);
  peers.localHost = localHost;
  peers.remoteHost = remoteHost;
  peers.remoteInfo = remoteInfo;
}

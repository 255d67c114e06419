/**
 * What has to be asked of others about a connection.
 *
 * @module
 */
import { getaddrinfo, getnameinfo, TemporaryNameError } from "../sys/names.ts";
import type { Endpoint } from "../sys/sockets.ts";
import type { ClientArguments, ServerArguments } from "./arguments.ts";
import { identify } from "./ident.ts";
import { Verbosity } from "./messages.ts";
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
 * Each of these occupies a thread, of which there are 32: some must be left
 * for the main loop, or slow name servers would stop everything.
 */
const names = new Gate(8);
const identities = new Gate(16);

/** What is asked about a connection. */
export interface Questions {
  /** This host's name. */
  localHost: boolean;
  /** The other host's name. */
  remoteHost: boolean;
  /** Whether that name must lead back to the address. */
  paranoid: boolean;
  /** Whose connection the other host says it is. */
  remoteInfo: boolean;
  /** For how many seconds it may think about that. */
  timeout: number;
}

/**
 * What has to be asked, given the command line: not what nobody would see the
 * answer of.
 *
 * @param args The command line
 * @returns What is asked about each connection, or `undefined` for nothing
 */
export function questions(
  args: ServerArguments | ClientArguments,
): Questions | undefined {
  const server = args.mode === "server" ? args : undefined;
  const names = server !== undefined && "names" in server.task
    ? server.task.names
    : undefined;
  const shown = (name: string) =>
    names === undefined || args.verbosity === Verbosity.Everything ||
    names.includes(name);
  const ruled = server?.rules !== undefined;
  const localHost = args.localName === undefined && shown("TCPLOCALHOST");
  const remoteHost = args.lookUpHost && (ruled || shown("TCPREMOTEHOST"));
  const remoteInfo = args.askIdentity && (ruled || shown("TCPREMOTEINFO"));
  if (!localHost && !remoteHost && !remoteInfo) return undefined;
  return {
    localHost,
    remoteHost,
    paranoid: server?.paranoid ?? false,
    remoteInfo,
    timeout: args.identityTimeout,
  };
}

async function hostName(
  of: Endpoint,
  paranoid: boolean,
): Promise<string | undefined> {
  return await names.through(async () => {
    const name = await getnameinfo(of);
    if (name === undefined || !paranoid) return name;
    try {
      const found = await getaddrinfo(name, 0);
      return found.some(({ ip }) => ip === of.ip) ? name : undefined;
    } catch (error) {
      if (!(error instanceof TemporaryNameError)) throw error;
      // No answer now is no proof.
      return undefined;
    }
  });
}

/**
 * Asks all of it, at the same time.
 *
 * @param peers The connection; the answers go there
 * @param asked What is asked
 */
export async function lookUp(peers: Peers, asked: Questions): Promise<void> {
  const { local, remote } = peers;
  // Who has to wait for the others' answers has as much less time: as many as
  // come at once are kept waiting no longer than one.
  const end = performance.now() + asked.timeout * 1000;
  const left = () => (end - performance.now()) / 1000;
  const [localHost, remoteHost, remoteInfo] = await Promise.all([
    asked.localHost ? hostName(local, false) : peers.localHost,
    asked.remoteHost ? hostName(remote, asked.paranoid) : undefined,
    asked.remoteInfo
      ? identities.through(() => identify(local, remote, left()))
      : undefined,
  ]);
  peers.localHost = localHost;
  peers.remoteHost = remoteHost;
  peers.remoteInfo = remoteInfo;
}

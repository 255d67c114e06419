/**
 * Connecting to a host, whichever of its addresses answers.
 *
 * @module
 */
import { close } from "../sys/descriptors.ts";
import { errorNumber, SysError } from "../sys/errors.ts";
import { portOf } from "../sys/names.ts";
import { Poller, WRITABLE } from "../sys/poll.ts";
import {
  bind,
  connect,
  dontDelay,
  type Endpoint,
  endpoint,
  keepAlive,
  openSocket,
  socketError,
} from "../sys/sockets.ts";
import type { ClientArguments } from "./arguments.ts";
import { Fatal } from "./fatal.ts";
import { attempt, KEEP_ALIVE_SECONDS, resolve } from "./listener.ts";
import type { Messages } from "./messages.ts";

const EINPROGRESS = errorNumber("EINPROGRESS");
const ETIMEDOUT = errorNumber("ETIMEDOUT");

/** A connection that was made. */
export interface Dialled {
  /** Its descriptor, which doesn't wait. */
  readonly fd: number;
  /** Where it leads. */
  readonly remote: Endpoint;
}

/** The local end for a remote one that `-i` and `-p` ask for. */
async function localEnds(
  args: ClientArguments,
): Promise<(remote: Endpoint) => Endpoint | undefined> {
  const { localHost, localPort = "0" } = args;
  if (localHost !== undefined) {
    const found = await resolve(localHost, localPort, "any");
    // One of the same family, which is what the lengths tell.
    return ({ bytes }) =>
      found.find((one) => one.bytes.length === bytes.length) ?? found[0];
  }
  const port = portOf(localPort);
  if (port === undefined) {
    throw new Fatal(`unable to figure out port number for ${localPort}`);
  }
  if (port === 0) return () => undefined;
  // Behind the port there is nothing but the address.
  return ({ bytes }) => endpoint(bytes.slice().fill(0, 4), port);
}

/**
 * Tries one address.
 *
 * @returns The connection, or the error
 */
function tryOne(
  remote: Endpoint,
  local: Endpoint | undefined,
  seconds: number,
): number | SysError {
  const fd = attempt("create socket", () => openSocket(remote));
  let connected = false;
  try {
    if (local !== undefined) attempt("bind socket", () => bind(fd, local));
    const errno = -connect(fd, remote);
    if (errno !== 0) {
      if (errno !== EINPROGRESS) return new SysError(errno);
      const poller = new Poller(1);
      try {
        const end = performance.now() + seconds * 1000;
        while (true) {
          poller.set(0, fd, WRITABLE);
          const left = Math.ceil(end - performance.now());
          if (poller.look(Math.max(0, Math.min(left, 0x7fffffff)))) break;
          if (left <= 0) return new SysError(ETIMEDOUT);
        }
      } finally {
        poller.close();
      }
      const error = socketError(fd);
      if (error !== undefined) return error;
    }
    connected = true;
    return fd;
  } finally {
    if (!connected) close(fd);
  }
}

/**
 * Tries each address in turn, and then those that didn't answer in time once
 * more, with more patience.
 *
 * @param addresses The addresses
 * @param timeouts How many seconds to wait for each, the first time and then
 * @param localFor The local end to use for a remote one
 * @returns The connection, or each address's last error
 */
export function dialFirst(
  addresses: readonly Endpoint[],
  timeouts: readonly number[],
  localFor: (remote: Endpoint) => Endpoint | undefined,
): Dialled | Map<Endpoint, SysError> {
  const errors = new Map<Endpoint, SysError>();
  let untried = addresses;
  for (const seconds of timeouts) {
    for (const remote of untried) {
      const outcome = tryOne(remote, localFor(remote), seconds);
      if (!(outcome instanceof SysError)) return { fd: outcome, remote };
      errors.set(remote, outcome);
    }
    untried = untried.filter((one) => errors.get(one)?.code === "ETIMEDOUT");
  }
  return errors;
}

/**
 * Connects to what the command line says.
 *
 * @param args The command line
 * @param messages Where to say that it is connected, and what went wrong
 * @returns The connection
 * @throws {Fatal} When no address answers
 */
export async function connectTo(
  args: ClientArguments,
  messages: Messages,
): Promise<Dialled> {
  const addresses = await resolve(args.host, args.port, "own");
  const outcome = dialFirst(
    addresses,
    args.timeouts,
    await localEnds(args),
  );
  if (!(outcome instanceof Map)) {
    const { fd, remote } = outcome;
    keepAlive(fd, KEEP_ALIVE_SECONDS);
    if (args.dontDelay) dontDelay(fd);
    messages.status(`connected to ${remote.ip} port ${remote.port}`);
    return outcome;
  }
  for (const [{ ip, port }, error] of outcome) {
    messages.error(`unable to connect to ${ip} port ${port}: ${error.message}`);
  }
  messages.flush();
  throw new Unreachable();
}

/** No address answered, and that has been said already. */
export class Unreachable extends Fatal {
  /** The class's name. */
  override name = "Unreachable";

  /** Makes it. */
  constructor() {
    super("");
  }
}

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

/** The local end that `-i` and `-p` ask for. */
async function localFor(
  args: ClientArguments,
  remote: Endpoint,
): Promise<Endpoint | undefined> {
  const { localHost, localPort } = args;
  if (localHost === undefined && localPort === undefined) return undefined;
  const port = localPort ?? "0";
  if (localHost !== undefined) {
    const found = await resolve(localHost, port, "any");
    const { length } = remote.bytes;
    return found.find((one) => one.bytes.length === length) ?? found[0];
  }
  const number = portOf(port);
  if (number === undefined) {
    throw new Fatal(`unable to figure out port number for ${port}`);
  }
  const any = remote.bytes.slice();
  // Behind the port there is nothing but the address.
  any.fill(0, 4);
  return endpoint(any, number);
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
 * Connects: tries each address in turn, and then those that didn't answer in
 * time once more, with more patience.
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
  let addresses = await resolve(args.host, args.port, "own");
  const errors = new Map<Endpoint, SysError>();
  for (const seconds of args.timeouts) {
    for (const remote of addresses) {
      const local = await localFor(args, remote);
      const outcome = tryOne(remote, local, seconds);
      if (outcome instanceof SysError) {
        errors.set(remote, outcome);
        continue;
      }
      keepAlive(outcome, KEEP_ALIVE_SECONDS);
      if (args.dontDelay) dontDelay(outcome);
      messages.status(`connected to ${remote.ip} port ${remote.port}`);
      return { fd: outcome, remote };
    }
    addresses = addresses.filter((one) =>
      errors.get(one)?.code === "ETIMEDOUT"
    );
  }
  for (const [{ ip, port }, error] of errors) {
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

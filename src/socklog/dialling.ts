/**
 * Connecting to a host, whichever of its addresses answers.
 *
 * @module
 */
import { close } from "../sys/descriptors.ts";
import { errorNumber, SysError } from "../sys/errors.ts";
import { parsePort } from "../sys/names.ts";
import { Poller, WRITABLE } from "../sys/poll.ts";
import {
  bind,
  connect,
  type Endpoint,
  endpoint,
  setKeepAlive,
  setNoDelay,
  socket,
  socketError,
} from "../sys/sockets.ts";
import { KEEP_ALIVE_SECONDS, resolve } from "./addresses.ts";
import { attempt, Fatal } from "./fatal.ts";
import type { Messages } from "./messages.ts";

const EINPROGRESS = errorNumber("EINPROGRESS");
const ETIMEDOUT = errorNumber("ETIMEDOUT");

/** Where to connect to, and how. */
export interface DialOptions {
  /** The host: a name, a number, or `0` for this one. */
  host: string;
  /** The port: a number or a name. */
  port: string;
  /** The local address (`-i`). */
  localHost: string | undefined;
  /** The local port (`-p`). */
  localPort: string | undefined;
  /** For how many seconds to try each address, first and then again (`-T`). */
  timeouts: readonly number[];
  /** Whether small writes are sent at once (`-D`). */
  noDelay: boolean;
}

/** A connection that was made. */
export interface Dialled {
  /** Its descriptor, which doesn't wait. */
  readonly fd: number;
  /** Where it leads. */
  readonly remote: Endpoint;
}

/** A way that a connection may take. */
export interface Route {
  /** Where it leads. */
  readonly remote: Endpoint;
  /** Where it begins, when that is asked for. */
  readonly local?: Endpoint;
}

/** The ways to a host, from the local end that `-i` and `-p` ask for. */
async function routes(options: DialOptions): Promise<Route[]> {
  const remotes = await resolve(options.host, options.port, "own");
  const { localHost, localPort = "0" } = options;
  if (localHost !== undefined) {
    const locals = await resolve(localHost, localPort, "any");
    const found = remotes.flatMap((remote) => {
      // One of the same family, which is what the lengths tell.
      const { length } = remote.bytes;
      const local = locals.find(({ bytes }) => bytes.length === length);
      return local === undefined ? [] : [{ remote, local }];
    });
    if (found.length > 0) return found;
    throw new Fatal(`no IP address for ${options.host} is ${localHost}'s kind`);
  }
  const port = parsePort(localPort);
  if (port === undefined) {
    throw new Fatal(`unable to figure out port number for ${localPort}`);
  }
  if (port === 0) return remotes.map((remote) => ({ remote }));
  return remotes.map((remote) => ({
    remote,
    // Behind the port there is nothing but the address.
    local: endpoint(remote.bytes.slice().fill(0, 4), port),
  }));
}

/** A socket, or the error where this machine hasn't that kind of address. */
function socketFor(remote: Endpoint): number | SysError {
  try {
    return socket(remote);
  } catch (error) {
    if (!(error instanceof SysError)) throw error;
    if (error.code === "EAFNOSUPPORT") return error;
    throw new Fatal(`unable to create socket: ${error.message}`);
  }
}

/**
 * Tries one way.
 *
 * @returns The connection, or the error
 */
function tryOne(
  { remote, local }: Route,
  seconds: number,
): number | SysError {
  const fd = socketFor(remote);
  if (fd instanceof SysError) return fd;
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
 * Tries each way in turn, and then those that didn't answer in time once
 * more, with more patience.
 *
 * @param routes The ways
 * @param timeouts How many seconds to wait for each, the first time and then
 * @returns The connection, or each address's last error
 */
export function dialFirst(
  routes: readonly Route[],
  timeouts: readonly number[],
): Dialled | Map<Endpoint, SysError> {
  const errors = new Map<Endpoint, SysError>();
  let untried = routes;
  for (const seconds of timeouts) {
    for (const route of untried) {
      const { remote } = route;
      const outcome = tryOne(route, seconds);
      if (!(outcome instanceof SysError)) return { fd: outcome, remote };
      errors.set(remote, outcome);
    }
    untried = untried.filter(({ remote }) =>
      errors.get(remote)?.code === "ETIMEDOUT"
    );
  }
  return errors;
}

/**
 * Connects.
 *
 * @param options Where to, and how
 * @param messages Where to say that it is connected, and what went wrong
 * @returns The connection
 * @throws {Fatal} When no address answers
 */
export async function connectTo(
  options: DialOptions,
  messages: Messages,
): Promise<Dialled> {
  const outcome = dialFirst(await routes(options), options.timeouts);
  if (!(outcome instanceof Map)) {
    const { fd, remote } = outcome;
    setKeepAlive(fd, KEEP_ALIVE_SECONDS);
    if (options.noDelay) setNoDelay(fd);
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

/**
 * Connecting to the first address of a host that answers.
 *
 * @module
 */
import { close } from "../sys/descriptors.ts";
import { SysError } from "../sys/errors.ts";
import { parsePort } from "../sys/names.ts";
import { Poller, WRITABLE } from "../sys/poll.ts";
import {
  bind,
  connectAndWait,
  type Endpoint,
  endpoint,
  setKeepAlive,
  setNoDelay,
  socket,
} from "../sys/sockets.ts";
import { KEEP_ALIVE_SECONDS, resolve } from "./addresses.ts";
import { LogferryError } from "../logferry_error.ts";
import { attempt } from "./attempt.ts";
import type { Messages } from "./messages.ts";
import { inTurn, noteFailure, type Server } from "./servers.ts";

/** How to connect. */
export interface DialManner {
  /** The local address (`-i`). */
  localHost: string | undefined;
  /** The local port (`-p`). */
  localPort: string | undefined;
  /** For how many seconds to try each address, in each round (`-T`). */
  timeouts: readonly number[];
  /** Whether small writes are sent at once (`-D`). */
  noDelay: boolean;
}

/** Where to connect to, and how. */
export interface DialOptions extends DialManner, Server {}

/** The other side of a connection. */
export type RemoteEnd = Pick<Endpoint, "ip" | "port">;

/** A connection that was made. */
export interface Dialled {
  /** Its descriptor, which is nonblocking. */
  readonly fd: number;
  /** The remote address and port. */
  readonly remote: Endpoint;
}

/** An address to connect to, and possibly one to connect from. */
export interface Route {
  /** The remote address and port. */
  readonly remote: Endpoint;
  /** The local address and port, when `-i` or `-p` asks for them. */
  readonly local?: Endpoint;
}

/** How many look-ups may run at the same time; each takes a thread. */
const MOST_LOOKUPS = 8;

/** The look-ups that are running, by host, port and `zero`. */
const lookUps = new Map<string, Promise<Endpoint[]>>();

/**
 * Looks up a host. When `signal` ends the wait, the look-up itself goes on in
 * its thread until the name servers have answered or timed out. So that such
 * look-ups don't take all threads, the same one isn't begun twice, and only a
 * few run at the same time.
 *
 * @param host The host
 * @param port The port
 * @param zero What host `0` stands for; see {@linkcode resolve}
 * @param signal Ends the wait
 * @returns At least one endpoint
 * @throws {LogferryError} When there is none
 * @throws The signal's reason
 */
export async function lookUp(
  host: string,
  port: string,
  zero: "any" | "own",
  signal?: AbortSignal,
): Promise<Endpoint[]> {
  const key = `${zero} ${port} ${host}`;
  while (!lookUps.has(key) && lookUps.size >= MOST_LOOKUPS) {
    await orAborted(
      Promise.race([...lookUps.values()]).catch(() => {}),
      signal,
    );
  }
  let found = lookUps.get(key);
  if (found === undefined) {
    found = resolve(host, port, zero).finally(() => lookUps.delete(key));
    lookUps.set(key, found);
  }
  return await orAborted(found, signal);
}

/** Waits for a promise, but only until the signal aborts. */
async function orAborted<T>(
  promise: Promise<T>,
  signal?: AbortSignal,
): Promise<T> {
  if (signal === undefined) return await promise;
  signal.throwIfAborted();
  // After an abort its failure would be an unhandled rejection.
  promise.catch(() => {});
  const aborted = Promise.withResolvers<never>();
  const abort = () => aborted.reject(signal.reason);
  signal.addEventListener("abort", abort);
  try {
    return await Promise.race([promise, aborted.promise]);
  } finally {
    signal.removeEventListener("abort", abort);
  }
}

/**
 * Waits until a poller finds an event, or the time is over.
 *
 * @param milliseconds How long; -1 for as long as it takes
 * @param signal Ends the wait
 * @throws The signal's reason
 */
export async function waitOn(
  poller: Poller,
  milliseconds: number,
  signal?: AbortSignal,
): Promise<void> {
  signal?.throwIfAborted();
  // First without waiting: often an event is there already, and a wait in
  // another thread takes longer.
  if (poller.look()) return;
  const wake = () => poller.wake();
  signal?.addEventListener("abort", wake);
  try {
    await poller.wait(milliseconds);
  } finally {
    signal?.removeEventListener("abort", wake);
  }
  signal?.throwIfAborted();
}

/** The routes to a host, from the local address that `-i` and `-p` ask for. */
async function routes(
  options: DialOptions,
  signal?: AbortSignal,
): Promise<Route[]> {
  const remotes = await lookUp(options.host, options.port, "own", signal);
  const { localHost, localPort = "0" } = options;
  if (localHost !== undefined) {
    const locals = await lookUp(localHost, localPort, "any", signal);
    const found = remotes.flatMap((remote) => {
      // One of the same family: IPv4 and IPv6 addresses differ in length.
      const { length } = remote.bytes;
      const local = locals.find(({ bytes }) => bytes.length === length);
      return local === undefined ? [] : [{ remote, local }];
    });
    if (found.length > 0) return found;
    throw new LogferryError(
      `no IP address for ${options.host} is ${localHost}'s kind`,
    );
  }
  const port = parsePort(localPort);
  if (port === undefined) {
    throw new LogferryError(
      `unable to figure out port number for ${localPort}`,
    );
  }
  if (port === 0) return remotes.map((remote) => ({ remote }));
  return remotes.map((remote) => ({
    remote,
    // The family stays, and the address becomes 0, "any": it comes after the
    // port.
    local: endpoint(remote.bytes.slice().fill(0, 4), port),
  }));
}

/** Makes a socket; returns the error when this machine has no such family. */
function socketFor(remote: Endpoint): number | SysError {
  try {
    return socket(remote);
  } catch (error) {
    if (!(error instanceof SysError)) throw error;
    if (error.code === "EAFNOSUPPORT") return error;
    throw new LogferryError(`unable to create socket: ${error.message}`, {
      cause: error,
    });
  }
}

/**
 * Tries one route.
 *
 * @returns The connection, or the error
 */
async function tryOne(
  { remote, local }: Route,
  seconds: number,
  signal?: AbortSignal,
): Promise<number | SysError> {
  const fd = socketFor(remote);
  if (fd instanceof SysError) return fd;
  let connected = false;
  try {
    if (local !== undefined) {
      const where = `${local.ip} port ${local.port}`;
      attempt(`bind socket to ${where}`, () => bind(fd, local));
    }
    const failure = await connectAndWait(
      fd,
      remote,
      () => isWritableWithin(fd, seconds, signal),
    );
    connected = failure === undefined;
    return failure ?? fd;
  } finally {
    if (!connected) close(fd);
  }
}

async function isWritableWithin(
  fd: number,
  seconds: number,
  signal?: AbortSignal,
): Promise<boolean> {
  const poller = new Poller(1);
  try {
    poller.set(0, fd, WRITABLE);
    const end = performance.now() + seconds * 1000;
    for (let left = seconds * 1000; left > 0; left = end - performance.now()) {
      await waitOn(poller, left, signal);
      if (poller.found(0) !== 0) return true;
    }
    return false;
  } finally {
    poller.close();
  }
}

/**
 * Tries each route in turn. Those that didn't answer in time are tried again in
 * the next round, with that round's timeout.
 *
 * @param routes The routes
 * @param timeouts For how many seconds to try a route, in each round
 * @param signal Ends the attempt
 * @returns The connection, or the last error of each address
 * @throws The signal's reason
 */
export async function dialFirst(
  routes: readonly Route[],
  timeouts: readonly number[],
  signal?: AbortSignal,
): Promise<Dialled | Map<Endpoint, SysError>> {
  const errors = new Map<Endpoint, SysError>();
  let untried = routes;
  for (const seconds of timeouts) {
    for (const route of untried) {
      const { remote } = route;
      const outcome = await tryOne(route, seconds, signal);
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
 * Connects to a server.
 *
 * @param options Where to, and how
 * @param signal Ends the attempt
 * @returns The connection
 * @throws {Unreachable} When no address answers
 * @throws {LogferryError} When the host has no address, or the local address
 * can't be used
 * @throws The signal's reason
 */
export async function dial(
  options: DialOptions,
  signal?: AbortSignal,
): Promise<Dialled> {
  const ways = await routes(options, signal);
  const outcome = await dialFirst(ways, options.timeouts, signal);
  if (outcome instanceof Map) {
    const errors = [...outcome.values()];
    const cause = errors.at(-1)!;
    throw new Unreachable(
      Array.from(
        outcome,
        ([{ ip, port }, error]) =>
          `unable to connect to ${ip} port ${port}: ${error.message}`,
      ),
      errors.some(({ code }) => code === "ETIMEDOUT"),
      { cause, code: cause.code },
    );
  }
  const { fd } = outcome;
  try {
    setKeepAlive(fd, KEEP_ALIVE_SECONDS);
    if (options.noDelay) setNoDelay(fd);
    return outcome;
  } catch (error) {
    close(fd);
    throw error;
  }
}

/**
 * Connects to the first of several servers that answers. The timeouts are
 * divided among the servers.
 *
 * @param servers The servers
 * @param manner How to connect
 * @param connect Connects to one server
 * @param messages Takes the messages that say which server it is, and what is
 * wrong with the others; the caller writes them
 * @param signal Ends the attempt
 * @returns The connection, and the server that it leads to
 * @throws {LogferryError} When none answers
 * @throws The signal's reason
 */
export async function connectToOneOf<T extends { remote: RemoteEnd }>(
  servers: readonly Server[],
  manner: DialManner,
  connect: (options: DialOptions, signal?: AbortSignal) => Promise<T>,
  messages: Messages,
  signal?: AbortSignal,
): Promise<[T, Server]> {
  const alone = servers.length === 1;
  const passes = alone
    ? [manner.timeouts]
    : manner.timeouts.map((seconds) => [seconds / servers.length]);
  const reasons = new Map<Server, readonly string[]>();
  let last: LogferryError | undefined;
  let untried = inTurn(servers);
  for (const timeouts of passes) {
    const silent: Server[] = [];
    for (const server of untried) {
      const options = { ...manner, ...server, timeouts };
      try {
        if (!alone) await lookUpWithin(options, signal);
        const connection = await connect(options, signal);
        for (const reason of [...reasons.values()].flat()) {
          messages.warn(reason);
        }
        const { ip, port } = connection.remote;
        messages.report(`connected to ${ip} port ${port}`);
        return [connection, server];
      } catch (error) {
        if (!(error instanceof LogferryError)) throw error;
        const unreachable = error instanceof Unreachable;
        // With a single server, a wrong name or option is an error of its own.
        if (alone && !unreachable) throw error;
        noteFailure(server);
        last = error;
        reasons.set(server, unreachable ? error.reasons : [error.message]);
        if (unreachable && error.timedOut) silent.push(server);
      }
    }
    untried = silent;
  }
  const all = [...reasons.values()].flat();
  for (const reason of all) messages.error(reason);
  throw new Unreachable(all, false, last);
}

/**
 * Looks up a server's name within its timeout, so that a name server that
 * doesn't answer takes no time from the other log servers.
 */
async function lookUpWithin(
  { host, port, timeouts }: DialOptions,
  signal?: AbortSignal,
): Promise<void> {
  const late = AbortSignal.timeout(timeouts[0]! * 1000);
  const either = signal === undefined ? late : AbortSignal.any([signal, late]);
  try {
    await lookUp(host, port, "own", either);
  } catch (error) {
    if (error !== late.reason) throw error;
    throw new Unreachable(
      [`unable to figure out IP address for ${host}: timed out`],
      true,
    );
  }
}

/** No address has answered. */
export class Unreachable extends LogferryError {
  /** A message for each address. */
  readonly reasons: readonly string[];
  /** Whether an address has timed out, and so might still answer. */
  readonly timedOut: boolean;

  /**
   * Makes the error.
   *
   * @param reasons A message for each address
   * @param timedOut Whether an address has timed out
   * @param last The cause and the code of the last address's error
   */
  constructor(
    reasons: readonly string[],
    timedOut: boolean,
    last: { cause?: unknown; code: string } = { code: "ETIMEDOUT" },
  ) {
    super(reasons.join("; "), last);
    this.reasons = reasons;
    this.timedOut = timedOut;
  }
}

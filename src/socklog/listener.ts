/**
 * The socket at which a server listens.
 *
 * @module
 */
import { encode } from "../bytes.ts";
import { close } from "../sys/descriptors.ts";
import {
  bind,
  type Endpoint,
  getsockname,
  listen,
  setKeepAlive,
  setNoDelay,
  socket,
} from "../sys/sockets.ts";
import { setgid, setuid } from "../sys/users.ts";
import { writeAll } from "../sys/write_all.ts";
import { attempt } from "./attempt.ts";
import { KEEP_ALIVE_SECONDS, resolve } from "./addresses.ts";

/** Where to listen, and how. */
export interface ListenOptions {
  /** The host: a name, a number, or `0` for any address. */
  host: string;
  /** The port: a number or a name; 0 for any free one. */
  port: string;
  /** How many connections may wait to be accepted (`-b`). */
  backlog: number;
  /** Whether small writes are sent at once (`-D`). */
  noDelay: boolean;
  /** The group to become (`-g`, `-U`). */
  gid: number | undefined;
  /** The user to become (`-u`, `-U`). */
  uid: number | undefined;
  /** Whether the port is printed on standard output (`-1`). */
  printPort: boolean;
}

/** A listening socket. */
export interface Listener {
  /** Its descriptor. */
  readonly fd: number;
  /** The address and port that it listens at. */
  readonly local: Endpoint;
}

/**
 * Listens for connections, and then becomes the user and group of `-u` and
 * `-g`.
 *
 * @param options Where to listen, and how
 * @returns The listening socket
 * @throws {LogferryError} When any step fails
 */
export async function openListener(
  options: ListenOptions,
): Promise<Listener> {
  const [address] = await resolve(options.host, options.port, "any") as [
    Endpoint,
  ];
  const where = `${address.ip} port ${address.port}`;
  const fd = attempt("create socket", () => socket(address));
  try {
    attempt(`bind to ${where}`, () => bind(fd, address));
    const local = attempt("get local address", () => getsockname(fd));
    // Connections take over both from this socket: nothing to do for each.
    setKeepAlive(fd, KEEP_ALIVE_SECONDS);
    if (options.noDelay) setNoDelay(fd);
    attempt(`listen at ${where}`, () => listen(fd, options.backlog));
    const { gid, uid } = options;
    if (gid !== undefined) attempt("set gid", () => setgid(gid));
    if (uid !== undefined) attempt("set uid", () => setuid(uid));
    return { fd, local };
  } catch (error) {
    close(fd);
    throw error;
  }
}

/**
 * Prints the port if `-1` asks for that. Whoever reads the port may rely on the
 * server, so call this only when nothing can keep it from serving any more.
 *
 * @param options How it listens
 * @param listener Its listening socket
 */
export function printPort(options: ListenOptions, listener: Listener): void {
  if (options.printPort) writeAll(1, encode(`${listener.local.port}\n`));
}

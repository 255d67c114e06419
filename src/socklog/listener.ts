/**
 * The socket at which a server's connections come in.
 *
 * @module
 */
import { encode } from "../bytes.ts";
import { close } from "../sys/descriptors.ts";
import { SysError } from "../sys/errors.ts";
import { getaddrinfo, parsePort, TemporaryNameError } from "../sys/names.ts";
import {
  bind,
  type Endpoint,
  getsockname,
  listen,
  loopbackAddress,
  setKeepAlive,
  setNoDelay,
  socket,
  wildcardAddress,
} from "../sys/sockets.ts";
import { setgid, setuid } from "../sys/users.ts";
import { writeAll } from "../sys/write_all.ts";
import type { ServerArguments } from "./arguments.ts";
import { Fatal } from "./fatal.ts";

/** After how many silent seconds the other side is asked whether it is there. */
export const KEEP_ALIVE_SECONDS = 300;

/**
 * The addresses that a command line's host and port stand for.
 *
 * @param host A name, a number, or `0`
 * @param port A name or a number
 * @param zero What `0` stands for: any address, or the machine's own
 * @returns At least one endpoint
 * @throws {Fatal} When there is none
 */
export async function resolve(
  host: string,
  port: string,
  zero: "any" | "own",
): Promise<Endpoint[]> {
  const number = parsePort(port);
  if (number === undefined) {
    throw new Fatal(`unable to figure out port number for ${port}`);
  }
  if (host === "0") {
    return [zero === "any" ? wildcardAddress(number) : loopbackAddress(number)];
  }
  try {
    const found = await getaddrinfo(host, number);
    if (found.length > 0) return found;
  } catch (error) {
    if (!(error instanceof TemporaryNameError)) throw error;
    throw new Fatal(
      `temporarily unable to figure out IP address for ${host}`,
    );
  }
  throw new Fatal(`no IP address for ${host}`);
}

/**
 * Does one step of many, and says which when it fails.
 *
 * @param what What is being done: `bind`
 * @param step The step
 * @returns What the step returns
 * @throws {Fatal} `unable to bind: address already used`
 */
export function attempt<T>(what: string, step: () => T): T {
  try {
    return step();
  } catch (error) {
    if (!(error instanceof SysError)) throw error;
    throw new Fatal(`unable to ${what}: ${error.message}`);
  }
}

/** An open listener. */
export interface Listener {
  /** Its socket. */
  readonly fd: number;
  /** Its local end. */
  readonly local: Endpoint;
}

/**
 * Prepares to receive connections, tells the port where that is asked for,
 * and gives up root.
 *
 * @param args The command line
 * @returns The listener
 * @throws {Fatal} When anything of that fails
 */
export async function openListener(args: ServerArguments): Promise<Listener> {
  const [address] = await resolve(args.host, args.port, "any");
  const fd = attempt("create socket", () => socket(address!));
  try {
    attempt("bind", () => bind(fd, address!));
    const local = attempt("get local address", () => getsockname(fd));
    // Connections inherit both from the listener, at no cost for each.
    setKeepAlive(fd, KEEP_ALIVE_SECONDS);
    if (args.dontDelay) setNoDelay(fd);
    attempt("listen", () => listen(fd, args.backlog));
    const { gid, uid } = args;
    if (gid !== undefined) attempt("set gid", () => setgid(gid));
    if (uid !== undefined) attempt("set uid", () => setuid(uid));
    if (args.printPort) writeAll(1, encode(`${local.port}\n`));
    return { fd, local };
  } catch (error) {
    close(fd);
    throw error;
  }
}

/**
 * The socket at which a server's connections come in.
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
import type { ServerArguments } from "./arguments.ts";
import { attempt } from "./fatal.ts";
import { KEEP_ALIVE_SECONDS, resolve } from "./addresses.ts";

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
    if (args.noDelay) setNoDelay(fd);
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

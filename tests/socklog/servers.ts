/**
 * Servers to test with, ours and the originals', and clients that can do what
 * well-behaved ones can't.
 *
 * @module
 */
import { close, setNonblocking } from "../../src/sys/descriptors.ts";
import {
  bind,
  closeWithReset,
  connect,
  type Endpoint,
  getsockname,
  listen,
  loopbackAddress,
  socket,
} from "../../src/sys/sockets.ts";
import {
  bytes,
  installed,
  latin1,
  ours,
  peakMemory,
  Running,
  until,
} from "../tools.ts";

/** Whether this machine has IPv6; what needs it is ignored where it hasn't. */
export const hasIPv6: boolean = (() => {
  try {
    Deno.listen({ hostname: "::1", port: 0 }).close();
    return true;
  } catch {
    return false;
  }
})();

/**
 * The kernel's table of connections over IPv4, as far as it is about a port of
 * this machine.
 *
 * @param port The port
 * @returns The rows' words: number, local end, remote end, state, queues, timer
 */
export function tableOf(port: number): string[][] {
  const at = `:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  return Deno.readTextFileSync("/proc/net/tcp").split("\n")
    .map((line) => line.trim().split(/ +/))
    .filter(([, local, remote]) => local?.endsWith(at) || remote?.endsWith(at));
}

/** A server that runs. */
export class Server extends Running {
  /** The port that it listens at. */
  port = 0;

  /** What it has written to standard output, after the port. */
  get data(): string {
    return this.output.slice(this.output.indexOf("\n") + 1);
  }

  /** What it has written to standard error. */
  get messages(): string {
    return this.said;
  }

  /** How much memory it has had at the most, in MB. */
  peak(): number {
    return peakMemory(this.pid);
  }

  /** Sends it a signal. */
  kill(signal: Deno.Signal): void {
    this.signal(signal);
  }
}

/** How to start a server. */
export interface ServerOptions {
  env?: Record<string, string>;
  cwd?: string;
  /** As for {@linkcode Running}. */
  redirections?: string;
}

async function start(
  command: readonly string[],
  options: ServerOptions,
): Promise<Server> {
  const server = new Server(command, options);
  let ended = false;
  server.status.then(() => ended = true);
  await until("it listens", () => ended || server.output.includes("\n"));
  if (!server.output.includes("\n")) {
    await server.code();
    throw new Error(`ended after ${server.output}: ${server.said}`);
  }
  server.port = parseInt(server.output);
  return server;
}

/**
 * Starts ours on a free port.
 *
 * @param args Its arguments; `-1` is there already, and `@` stands for host
 * and port
 * @returns The server, ready to be connected to
 */
export async function startOurs(
  args: readonly string[],
  options: ServerOptions & { through?: readonly string[]; name?: string } = {},
): Promise<Server> {
  const { through = [], name = ours.socklogTcp, ...rest } = options;
  return await start([...through, name, "-1", ...place(args)], rest);
}

/**
 * Starts the original on a free port.
 *
 * @param args Its arguments, as for {@linkcode startOurs}
 * @returns The server, ready to be connected to
 */
export async function startOriginal(
  args: readonly string[],
  options: ServerOptions = {},
): Promise<Server> {
  return await start(
    [installed("tcpserver")!, "-1", ...place(args)],
    options,
  );
}

function place(args: readonly string[]): string[] {
  return args.flatMap((arg) => arg === "@" ? ["127.0.0.1", "0"] : [arg]);
}

/** A connection that waits for nothing but what it is told to. */
export type Connection = Deno.TcpConn;

/**
 * Connects.
 *
 * @param port The port
 * @param hostname The host
 * @returns The connection
 */
export async function dial(
  port: number,
  hostname = "127.0.0.1",
): Promise<Connection> {
  return await Deno.connect({ hostname, port });
}

/**
 * Writes all of something.
 *
 * @param connection The connection
 * @param text What
 */
export async function say(
  connection: Connection,
  text: string | Uint8Array,
): Promise<void> {
  const all = bytes(text);
  for (let at = 0; at < all.length;) {
    at += await connection.write(all.subarray(at));
  }
}

/**
 * Says that nothing more will come, and waits for the other side.
 *
 * @param connection The connection, which is closed
 * @returns What the other side said
 * @throws {Error} When it is reset
 */
export async function finish(connection: Connection): Promise<string> {
  try {
    await connection.closeWrite();
    return await hear(connection);
  } finally {
    connection.close();
  }
}

/**
 * Reads until the end.
 *
 * @param connection The connection
 * @returns What the other side said
 * @throws {Error} When it is reset
 */
export async function hear(connection: Connection): Promise<string> {
  const buffer = new Uint8Array(65536);
  let text = "";
  while (true) {
    const n = await connection.read(buffer);
    if (n === null) return text;
    text += latin1(buffer.subarray(0, n));
  }
}

/**
 * Sends something, and waits until the server has closed.
 *
 * @param port The server's port
 * @param text What
 * @returns What the server said
 */
export async function transmit(
  port: number,
  text: string | Uint8Array,
): Promise<string> {
  const connection = await dial(port);
  try {
    await say(connection, text);
  } catch (error) {
    connection.close();
    throw error;
  }
  return await finish(connection);
}

/** A socket that can be reset, and costs next to nothing. */
export class RawSocket implements Disposable {
  readonly fd: number;
  #open = true;

  /** Connects to a port of this machine. */
  constructor(port: number) {
    const to = loopbackAddress(port);
    this.fd = socket(to);
    setNonblocking(this.fd, false);
    const errno = -connect(this.fd, to);
    if (errno !== 0) {
      this[Symbol.dispose]();
      throw new Error(`connect: error ${errno}`);
    }
  }

  reset(): void {
    if (this.#open) closeWithReset(this.fd);
    this.#open = false;
  }

  [Symbol.dispose](): void {
    if (this.#open) close(this.fd);
    this.#open = false;
  }
}

/** A port whose backlog is full, so that nobody ever answers a new caller. */
export function silent(): { end: Endpoint } & Disposable {
  const fd = socket(loopbackAddress(0));
  bind(fd, loopbackAddress(0));
  listen(fd, 0);
  const end = getsockname(fd);
  const callers = [new RawSocket(end.port)];
  return {
    end,
    [Symbol.dispose]: () => {
      for (const caller of callers) caller[Symbol.dispose]();
      close(fd);
    },
  };
}

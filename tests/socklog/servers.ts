/**
 * Servers to test with, ours and the originals', and clients that can do what
 * well-behaved ones can't.
 *
 * @module
 */
import { close, setNonblocking } from "../../src/sys/descriptors.ts";
import {
  closeWithReset,
  connect,
  loopbackAddress,
  socket,
} from "../../src/sys/sockets.ts";
import { bytes, installed, latin1, ours } from "../tools.ts";

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
export class Server implements AsyncDisposable {
  /** The port that it listens at. */
  readonly port: number;
  readonly #child: Deno.ChildProcess;
  readonly #out: Collector;
  readonly #err: Collector;

  constructor(
    child: Deno.ChildProcess,
    port: number,
    out: Collector,
    err: Collector,
  ) {
    this.#child = child;
    this.port = port;
    this.#out = out;
    this.#err = err;
  }

  /** Its process id. */
  get pid(): number {
    return this.#child.pid;
  }

  /** What it has written to standard output, behind the port. */
  get data(): string {
    return this.#out.text;
  }

  /** What it has written to standard error. */
  get messages(): string {
    return this.#err.text;
  }

  /** How it ended. */
  get status(): Promise<Deno.CommandStatus> {
    return this.#child.status;
  }

  /** Whether its output is read on; it is from the start. */
  set reading(on: boolean) {
    this.#out.reading(on);
  }

  /** Reads no more of its output, ever. */
  async closeOutput(): Promise<void> {
    await this.#out.cancel();
  }

  /** How much memory it has had at the most, in MB. */
  peak(): number {
    const status = Deno.readTextFileSync(`/proc/${this.pid}/status`);
    return Number(/VmHWM:\s+(\d+)/.exec(status)![1]) / 1024;
  }

  kill(signal: Deno.Signal): void {
    this.#child.kill(signal);
  }

  /** Ends it with SIGTERM, and returns its exit code when all is read. */
  async stop(): Promise<number> {
    try {
      this.#child.kill("SIGTERM");
    } catch {
      // It has ended by itself.
    }
    const { code } = await this.#child.status;
    await this.#out.done;
    await this.#err.done;
    return code;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.reading = true;
    try {
      this.#child.kill("SIGKILL");
    } catch {
      // It has ended.
    }
    await this.#child.status;
    await this.#out.cancel();
    await this.#err.done;
  }
}

class Collector {
  text = "";
  readonly done: Promise<void>;
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  #going = Promise.withResolvers<void>();
  #ended = false;

  constructor(stream: ReadableStream<Uint8Array>) {
    this.#reader = stream.getReader();
    this.#going.resolve();
    this.done = this.#collect();
  }

  async #collect(): Promise<void> {
    while (true) {
      await this.#going.promise;
      const { value, done } = await this.#reader.read();
      if (done) break;
      this.text += latin1(value);
    }
    this.#ended = true;
  }

  reading(on: boolean): void {
    if (on) this.#going.resolve();
    else this.#going = Promise.withResolvers();
  }

  async cancel(): Promise<void> {
    if (!this.#ended) await this.#reader.cancel();
  }

  /** Takes the first line away. */
  async firstLine(): Promise<string> {
    while (!this.text.includes("\n")) {
      if (this.#ended) throw new Error(`ended after ${this.text}`);
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    const end = this.text.indexOf("\n");
    const line = this.text.slice(0, end);
    this.text = this.text.slice(end + 1);
    return line;
  }
}

/** How to start a server. */
export interface ServerOptions {
  env?: Record<string, string>;
  cwd?: string;
}

async function start(
  command: readonly string[],
  options: ServerOptions,
): Promise<Server> {
  const child = new Deno.Command(command[0]!, {
    args: command.slice(1),
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
    ...options,
  }).spawn();
  const out = new Collector(child.stdout);
  const err = new Collector(child.stderr);
  let line;
  try {
    line = await out.firstLine();
  } catch (error) {
    await child.status;
    await err.done;
    throw new Error(`${(error as Error).message}: ${err.text}`);
  }
  return new Server(child, Number(line), out, err);
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
  await say(connection, text);
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

/**
 * A log server, which does what `socklog-tcp` does.
 *
 * This calls the C library, so it needs `--allow-ffi`, on Linux.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { openLog } from "@logferry/logferry/log";
 * import { send } from "@logferry/logferry/send";
 * import { serve } from "@logferry/logferry/serve";
 *
 * const dir = await Deno.makeTempDir();
 * {
 *   await using log = await openLog(`${dir}/all`);
 *   await using server = await serve(log, {
 *     hostname: "127.0.0.1",
 *     port: 0,
 *     acknowledge: true,
 *   });
 *   const { hostname, port } = server.addr;
 *   const lines = new TextEncoder().encode("<13>one\n<13>two\n");
 *   await send(lines, { hostname, port, acknowledge: true });
 *   // Acknowledged means on the disk.
 *   assertEquals(
 *     await Deno.readTextFile(`${dir}/all/current`),
 *     "127.0.0.1: user.notice: one\n127.0.0.1: user.notice: two\n",
 *   );
 * }
 * await Deno.remove(dir, { recursive: true });
 * ```
 *
 * @module
 */
import type { Bytes } from "../src/bytes.ts";
import { LogferryError } from "../src/logferry_error.ts";
import type { FramerOptions } from "../src/socklog/framing.ts";
import { openListener } from "../src/socklog/listener.ts";
import { Messages, Verbosity } from "../src/socklog/messages.ts";
import type { Output } from "../src/socklog/output.ts";
import { LogServer as Server } from "../src/socklog/server.ts";
import { warnOnConsole } from "./_open_log.ts";
import type { Log } from "./log.ts";

export { type FramerOptions, type Log, LogferryError };

/**
 * Where to serve, and how.
 *
 * @example
 * ```ts
 * // The client's address and port before each line; routers may send.
 * const options: ServeOptions = {
 *   port: 10116,
 *   names: ["TCPREMOTEIP", "TCPREMOTEPORT"],
 *   octetCounting: true,
 *   limit: 1000,
 * };
 * ```
 */
export interface ServeOptions extends FramerOptions {
  /** The address to listen at; `0.0.0.0` unless given. */
  hostname?: string;
  /** The port; 0 for any free one. */
  port: number;
  /**
   * The names of variables, of tcp-environ(5) or of the environment; each line
   * begins with their values. `["TCPREMOTEIP"]` unless given. The remote host's
   * name, or its user, is looked up when `TCPREMOTEHOST`, or `TCPREMOTEINFO`, is
   * among them.
   */
  names?: readonly string[];
  /**
   * Whether to acknowledge to senders how many of their bytes were written; with
   * a {@linkcode Log}, how many were synced.
   */
  acknowledge?: boolean;
  /** How many connections there may be at once; 40 unless given. */
  limit?: number;
  /**
   * After how many seconds without a byte a connection is ended; 0, the default,
   * for never.
   */
  idle?: number;
  /** The name of a file of access rules made by tcprules; no rules unless given. */
  rules?: string;
  /** Ends the server, as {@linkcode LogServer.shutdown} does. */
  signal?: AbortSignal;
  /** Called with each warning; `console.warn` unless given. */
  onWarning?: (message: string) => void;
}

/**
 * A log server at work, which ends when its scope does (`await using`).
 *
 * @example
 * ```ts
 * const log = new WritableStream<Uint8Array>();
 * const server: LogServer = await serve(log, { hostname: "127.0.0.1", port: 0 });
 * await server.shutdown();
 * ```
 */
export interface LogServer extends AsyncDisposable {
  /** Where it listens. */
  readonly addr: Deno.NetAddr;
  /**
   * A promise that is kept when the server has ended.
   *
   * @throws {LogferryError} When lines can't be written. They were acknowledged to
   * no sender
   */
  readonly finished: Promise<void>;
  /**
   * Ends the server: writes the lines that it has read, and ends the connections
   * in a way that the senders notice.
   *
   * @returns {@linkcode LogServer.finished}
   */
  shutdown(): Promise<void>;
}

/**
 * Starts a log server, which accepts connections, and writes their lines.
 *
 * @param output Where lines go: a log, or a stream, which gets whole lines in
 * each chunk
 * @param options Where to listen, and how
 * @returns The server
 * @throws {LogferryError} When it can't listen: `EADDRINUSE`, `EACCES`
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
 * const server = await serve(writable, { hostname: "127.0.0.1", port: 0 });
 * const { hostname, port } = server.addr;
 * const connection = await Deno.connect({ hostname, port });
 * await connection.write(new TextEncoder().encode("<13>up\n"));
 * const lines = readable.pipeThrough(new TextDecoderStream()).getReader();
 * const { value } = await lines.read();
 * assertEquals(value, "127.0.0.1: user.notice: up\n");
 * connection.close();
 * await server.shutdown();
 * ```
 */
export async function serve(
  output: Log | WritableStream<Uint8Array>,
  options: ServeOptions,
): Promise<LogServer> {
  const {
    hostname = "0.0.0.0",
    port,
    names = ["TCPREMOTEIP"],
    form = "cooked",
    octetCounting = false,
    acknowledge = false,
    limit = 40,
    idle = 0,
    rules,
    signal,
    onWarning = warnOnConsole,
  } = options;
  signal?.throwIfAborted();
  const lines = new LineOutput(output);
  const listener = await openListener({
    host: hostname,
    port: String(port),
    backlog: 1024,
    noDelay: false,
    gid: undefined,
    uid: undefined,
    printPort: false,
  }).catch((error) => {
    lines.close();
    throw error;
  });
  const server = new Server(
    {
      names,
      framing: { form, octetCounting },
      acknowledge,
      descriptors: 0,
      limit,
      idle,
      rules,
      rulesMayBeMissing: false,
      banner: new Uint8Array(0),
      keepOptions: false,
      localName: names.includes("TCPLOCALHOST") ? undefined : "",
      lookUpHost: names.includes("TCPREMOTEHOST"),
      askIdentity: names.includes("TCPREMOTEINFO"),
      paranoid: false,
      identityTimeout: 26,
    },
    listener,
    lines,
    new Warnings(onWarning),
  );
  const stop = () => server.stop();
  signal?.addEventListener("abort", stop);
  const finished = server.serve().finally(() => {
    signal?.removeEventListener("abort", stop);
    lines.close();
  });
  const shutdown = () => {
    stop();
    return finished;
  };
  const { ip, port: bound } = listener.local;
  return {
    addr: { transport: "tcp", hostname: ip, port: bound },
    finished,
    shutdown,
    [Symbol.asyncDispose]: shutdown,
  };
}

/** A server's messages, of which only the warnings are passed on. */
class Warnings extends Messages {
  readonly #warn: (message: string) => void;

  constructor(warn: (message: string) => void) {
    super("", Verbosity.Quiet);
    this.#warn = warn;
  }

  override warn(text: string): void {
    this.#warn(text);
  }
}

/** A log or a stream as the output of a server. */
class LineOutput implements Output {
  readonly fd = -1;
  readonly turns = true;
  readonly #log: Log | undefined;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array> | undefined;

  constructor(output: Log | WritableStream<Uint8Array>) {
    if ("sync" in output) this.#log = output;
    else this.#writer = output.getWriter();
  }

  async write(lines: Bytes): Promise<number> {
    await failing(
      this.#log?.write(lines) ?? this.#writer!.write(lines.slice()),
    );
    return lines.length;
  }

  async sync(): Promise<boolean> {
    try {
      await this.#log?.sync();
      return true;
    } catch (error) {
      // The log has warned, and the next lines' sync tries again.
      if (error instanceof LogferryError && error.code === "EIO") return false;
      return await failing(Promise.reject(error));
    }
  }

  stop(): void {}

  gone(): LogferryError {
    return new LogferryError("unable to write lines");
  }

  close(): Promise<void> {
    this.#writer?.releaseLock();
    return Promise.resolve();
  }
}

async function failing<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (cause) {
    const { message, code } = cause as Partial<LogferryError>;
    const reason = { cause, code: code ?? "EIO" };
    throw new LogferryError(
      `unable to write lines: ${message ?? cause}`,
      reason,
    );
  }
}

/**
 * Sending log lines to a log server, as `socklog-tcp send` does.
 *
 * This calls the C library, so it needs `--allow-ffi`, on Linux.
 *
 * @example
 * ```ts
 * import { send } from "@logferry/logferry/send";
 * import { serve } from "@logferry/logferry/serve";
 *
 * const file = await Deno.makeTempFile();
 * await Deno.writeTextFile(file, "one\ntwo\n");
 * {
 *   const log = new WritableStream<Uint8Array>();
 *   await using server = await serve(log, { hostname: "127.0.0.1", port: 0 });
 *   const { readable } = await Deno.open(file);
 *   await send(readable, server.addr);
 * }
 * await Deno.remove(file);
 * ```
 *
 * @module
 */
import type { Bytes } from "../src/bytes.ts";
import { LogferryError } from "../src/logferry_error.ts";
import { Messages, Verbosity } from "../src/socklog/messages.ts";
import { LATER, NOW, type Source, transmit } from "../src/socklog/sender.ts";

export { LogferryError };

/**
 * A log server.
 *
 * @example
 * ```ts
 * const server: LogServerAddress = { hostname: "loghost", port: 10116 };
 * ```
 */
export interface LogServerAddress {
  /** Its name or address. */
  hostname: string;
  /** Its port. */
  port: number;
}

/**
 * What TLS needs, as `Deno.connectTls` has it: texts in PEM.
 *
 * @example
 * ```ts
 * const read = (path: string) => Deno.readTextFile(path);
 * const options = async (): Promise<SendTlsOptions> => ({
 *   caCerts: [await read("ca.pem")],
 *   key: await read("web1.key"),
 *   cert: await read("web1.pem"),
 * });
 * ```
 */
export interface SendTlsOptions {
  /**
   * The authorities that are trusted beside those that the runtime trusts;
   * `DENO_TLS_CA_STORE` says which these are.
   */
  caCerts?: string[];
  /** The sender's own key, where the server wants to know who it is. */
  key?: string;
  /** The certificate for that key. */
  cert?: string;
}

/**
 * Where to send, and how.
 *
 * @example
 * ```ts
 * const options: SendOptions = {
 *   hostname: "loghost",
 *   port: 10116,
 *   fallbacks: [{ hostname: "loghost2", port: 10116 }],
 *   tls: true,
 *   acknowledge: true,
 *   signal: AbortSignal.timeout(180_000),
 * };
 * ```
 */
export interface SendOptions extends LogServerAddress {
  /**
   * The log servers that are tried when that one doesn't answer, in their
   * order; one is enough. One that has failed is tried last for a minute. When
   * a transmission fails that has begun, bytes are sent to the next one from
   * the first; a stream can't be read again, so that is its end.
   */
  fallbacks?: readonly LogServerAddress[];
  /**
   * Whether to send through TLS, and with which certificates. The runtime makes
   * such a connection, so it takes `--allow-net`, too.
   */
  tls?: boolean | SendTlsOptions;
  /**
   * Whether only the server's acknowledgement of every byte is success; the
   * server gives one with `-a`.
   */
  acknowledge?: boolean;
  /**
   * For how many seconds to try each of the server's addresses, and then those
   * that didn't answer once more; `[2, 58]` unless given. Several servers share
   * them.
   */
  timeouts?: readonly number[];
  /** Ends it: {@linkcode send} throws the signal's reason. */
  signal?: AbortSignal;
}

/**
 * Sends lines to a log server, and waits until the server has closed the
 * connection: only that is success.
 *
 * @param body The lines; of a stream, all until its end
 * @param options Where to, and how
 * @throws {LogferryError} When they haven't arrived, as far as is known: for
 * example `ECONNREFUSED`, `ETIMEDOUT`, `EAI_NONAME` where there is no such host,
 * `EPROTO` where TLS fails, `EBADMSG` without the right acknowledgement. Some of
 * the lines may have arrived nevertheless
 * @throws What the stream or the signal fails with
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
 * const { hostname, port } = listener.addr;
 * const sending = send(new TextEncoder().encode("a line\n"), { hostname, port });
 * const connection = await listener.accept();
 * assertEquals(await new Response(connection.readable).text(), "a line\n");
 * await sending;
 * listener.close();
 * ```
 */
export async function send(
  body: ReadableStream<Uint8Array> | Uint8Array,
  options: SendOptions,
): Promise<void> {
  const { fallbacks = [], tls = false, signal } = options;
  const source = body instanceof Uint8Array
    ? new BytesSource(body)
    : new StreamSource(body);
  try {
    await transmit(
      {
        servers: [options, ...fallbacks].map(({ hostname, port }) => ({
          host: hostname,
          port: String(port),
        })),
        localHost: undefined,
        localPort: undefined,
        timeouts: options.timeouts ?? [2, 58],
        noDelay: false,
        tls: tls === false
          ? undefined
          : { caCerts: [], ...(tls === true ? {} : tls) },
        acknowledge: options.acknowledge ?? false,
      },
      { source, ...(signal && { signal }) },
      new Messages("", Verbosity.Quiet),
    );
  } finally {
    source.close();
  }
}

/** Bytes that are all there. */
class BytesSource implements Source {
  readonly waits = NOW;
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  read(buffer: Bytes): number {
    const piece = this.#bytes.subarray(this.#at, this.#at + buffer.length);
    buffer.set(piece);
    this.#at += piece.length;
    return piece.length;
  }

  rewind(): void {
    this.#at = 0;
  }

  close(): void {}
}

/** What comes out of a stream, one chunk after the other. */
class StreamSource implements Source {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  /** What of the last chunk is still to be sent. */
  #rest: Uint8Array = new Uint8Array(0);
  #ended = false;
  #failure: { reason: unknown } | undefined;
  #wake = () => {};

  constructor(stream: ReadableStream<Uint8Array>) {
    this.#reader = stream.getReader();
  }

  attach(wake: () => void): void {
    this.#wake = wake;
    this.#next();
  }

  get waits(): number {
    const known = this.#rest.length > 0 || this.#ended || this.#failure;
    return known ? NOW : LATER;
  }

  read(buffer: Bytes): number {
    if (this.#failure) throw this.#failure.reason;
    const piece = this.#rest.subarray(0, buffer.length);
    buffer.set(piece);
    this.#rest = this.#rest.subarray(piece.length);
    if (this.#rest.length === 0 && !this.#ended) this.#next();
    return piece.length;
  }

  async #next(): Promise<void> {
    try {
      do {
        const { value, done } = await this.#reader.read();
        this.#ended = done;
        this.#rest = value ?? this.#rest;
      } while (this.#rest.length === 0 && !this.#ended);
    } catch (reason) {
      this.#failure = { reason };
    }
    this.#wake();
  }

  /** Nobody will read on. */
  close(): void {
    this.#reader.cancel().catch(() => {});
  }
}

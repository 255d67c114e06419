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
   * The log servers that are tried in this order when the first one doesn't
   * answer; the lines are sent to only one server. A server that has failed is
   * tried last for a minute. When a transmission fails after it has begun, an
   * array is sent to the next server from its first byte. A stream can't be read
   * again, so then {@linkcode send} fails.
   */
  fallbacks?: readonly LogServerAddress[];
  /**
   * Whether to send through TLS, and with which certificates. This takes
   * `--allow-net`, too, since Deno itself makes such a connection.
   */
  tls?: boolean | SendTlsOptions;
  /**
   * Whether {@linkcode send} succeeds only when the server has acknowledged every
   * byte, as `socklog-tcp -a` does.
   */
  acknowledge?: boolean;
  /**
   * For how many seconds to try each of the server's addresses, and then, once
   * more, those that didn't answer; `[2, 58]` unless given. Several servers share
   * that time.
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

/** An array as a source. */
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

/** A stream as a source. */
class StreamSource implements Source {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  /** The part of the last chunk that is still to be sent. */
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

  /** Cancels the stream: no more is read from it. */
  close(): void {
    this.#reader.cancel().catch(() => {});
  }
}

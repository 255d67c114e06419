/**
 * Turning a connection's syslog messages into lines for a log, each with its
 * priority in words. This needs no permission.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { SyslogLineStream } from "@logferry/logferry/syslog";
 *
 * const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
 * const client = await Deno.connect({ port: listener.addr.port });
 * await client.write(new TextEncoder().encode("<13>one\n<14>two"));
 * client.close();
 * const connection = await listener.accept();
 * const lines = connection.readable
 *   .pipeThrough(new SyslogLineStream({ prefix: "192.0.2.7: " }));
 * assertEquals(
 *   await new Response(lines).text(),
 *   "192.0.2.7: user.notice: one\n192.0.2.7: user.info: two\n",
 * );
 * listener.close();
 * ```
 *
 * @module
 */
import { encode } from "../src/bytes.ts";
import {
  Framer,
  type FramerOptions,
  LineBuffer,
} from "../src/socklog/framing.ts";

export type { FramerOptions };
export { priorityName } from "../src/socklog/priorities.ts";

/**
 * How a connection's messages become lines.
 *
 * @example
 * ```ts
 * // Octet-counted, as routers send them, with the router's name before each.
 * const options: SyslogLineOptions = {
 *   prefix: "router7: ",
 *   octetCounting: true,
 * };
 * ```
 */
export interface SyslogLineOptions extends FramerOptions {
  /** What each line begins with; at most 32768 bytes of this are used. */
  prefix?: string;
}

/**
 * Makes lines of what a connection sends. A chunk that comes out holds whole
 * lines.
 *
 * A line ends with a newline, a NUL, or its connection; empty ones are dropped.
 * It comes out as the prefix, `facility.priority: ` where it begins with a
 * known `<n>`, the line, and a newline. A line longer than 65536 bytes comes
 * out in pieces of that length, each with the same prefix and priority.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * const lines = ReadableStream.from(["<13>up\n<8", "6>so\0so long"])
 *   .pipeThrough(new TextEncoderStream())
 *   .pipeThrough(new SyslogLineStream());
 * assertEquals(
 *   await new Response(lines).text(),
 *   "user.notice: up\nauthpriv.info: so\nso long\n",
 * );
 * ```
 */
export class SyslogLineStream extends TransformStream<Uint8Array, Uint8Array> {
  /**
   * Makes a stream for one connection.
   *
   * @param options How its messages become lines
   */
  constructor(options: SyslogLineOptions = {}) {
    const framer = new Framer(options);
    const lines = new LineBuffer(encode(options.prefix ?? ""));
    const put = (
      controller: TransformStreamDefaultController<Uint8Array>,
    ) => {
      if (framer.size === 0) return;
      controller.enqueue(framer.output().slice());
      framer.taken(framer.size);
    };
    super({
      transform(chunk, controller) {
        const most = framer.input.length;
        for (let at = 0; at < chunk.length; at += most) {
          const piece = chunk.subarray(at, at + most);
          framer.input.set(piece);
          for (let taken = 0; taken < piece.length;) {
            taken = framer.take(lines, taken, piece.length);
            put(controller);
          }
        }
      },
      flush(controller) {
        framer.end(lines);
        put(controller);
      },
    });
  }
}

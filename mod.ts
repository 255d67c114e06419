/**
 * Logferry's parts for other programs: logs that are rotated and never lose a
 * line, lines cut out of streams of bytes, multilog's patterns, and TAI64N.
 *
 * They call the C library, so a program that uses them needs `--allow-ffi`.
 *
 * @example Write a rotated log
 * ```ts
 * import { LogDirectory, Retrier } from "./mod.ts";
 *
 * const dir = Deno.makeTempDirSync();
 * const settings = { size: 4096, keep: 5, processor: "", age: 0 };
 * const log = LogDirectory.open(`${dir}/log`, settings, new Retrier(console.error));
 * await log.append(new TextEncoder().encode("one line\n"));
 * await log.close();
 * Deno.removeSync(dir, { recursive: true });
 * ```
 *
 * @example Serve log lines
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { Framer, LineBuffer } from "./mod.ts";
 *
 * async function* linesOf(listener: Deno.TcpListener) {
 *   // One for each connection, since a read that waits has its memory.
 *   const framer = new Framer();
 *   using connection = await listener.accept();
 *   const lines = new LineBuffer(new TextEncoder().encode("192.0.2.7: "));
 *   let n: number | null;
 *   while ((n = await connection.read(framer.input)) !== null) {
 *     for (let at = 0; at < n;) {
 *       at = framer.take(lines, at, n);
 *       yield framer.output();
 *       framer.taken(framer.size);
 *     }
 *   }
 *   framer.end(lines);
 *   yield framer.output();
 *   framer.taken(framer.size);
 * }
 *
 * const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
 * const client = await Deno.connect({ port: listener.addr.port });
 * await client.write(new TextEncoder().encode("<13>one\n<14>two"));
 * client.close();
 * let text = "";
 * for await (const lines of linesOf(listener)) {
 *   text += new TextDecoder().decode(lines);
 * }
 * listener.close();
 * assertEquals(
 *   text,
 *   "192.0.2.7: user.notice: one\n192.0.2.7: user.info: two\n",
 * );
 * ```
 *
 * @module
 */
export type { Bytes } from "./src/bytes.ts";
export { LogDirectory } from "./src/log/log_directory.ts";
export { matches } from "./src/multilog/matching.ts";
export {
  type Pattern,
  pattern,
  PATTERN_SIGHT,
  type PatternLanguage,
} from "./src/multilog/pattern.ts";
export {
  KEEP_DEFAULT,
  KEEP_MIN,
  type LogSettings,
  SIZE_DEFAULT,
  SIZE_MAX,
  SIZE_MIN,
} from "./src/log/settings.ts";
export { logStream } from "./src/multilog/log_stream.ts";
export { Retrier, StartError } from "./src/log/retrier.ts";
export {
  Framer,
  type FramerOptions,
  LineBuffer,
} from "./src/socklog/framing.ts";
export type { Priority } from "./src/socklog/priorities.ts";
export {
  label,
  LABEL_LENGTH,
  type Moment,
  parseLabel,
  putLabel,
} from "./src/tai64n.ts";

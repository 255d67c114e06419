/**
 * Logferry's parts for other programs: logs that are rotated and never lose a
 * line, lines cut out of streams of bytes, multilog's patterns, and TAI64N.
 *
 * They call the C library, so a program that uses them needs `--allow-ffi`.
 *
 * @example Write a rotated log
 * ```ts
 * import { LogDirectory, Trouble } from "./mod.ts";
 *
 * const dir = Deno.makeTempDirSync();
 * const settings = { size: 4096, keep: 5, processor: "", age: 0 };
 * const log = LogDirectory.open(`${dir}/log`, settings, new Trouble(console.error));
 * await log.append(new TextEncoder().encode("one line\n"));
 * await log.close();
 * Deno.removeSync(dir, { recursive: true });
 * ```
 *
 * @module
 */
export type { Bytes } from "./src/bytes.ts";
export { LogDirectory } from "./src/multilog/directory.ts";
export {
  matches,
  type Pattern,
  pattern,
  PATTERN_SIGHT,
} from "./src/multilog/pattern.ts";
export {
  KEEP_DEFAULT,
  KEEP_MIN,
  type LogSettings,
  SIZE_DEFAULT,
  SIZE_MAX,
  SIZE_MIN,
} from "./src/multilog/script.ts";
export { logStream } from "./src/multilog/stream.ts";
export { StartError, Trouble } from "./src/multilog/trouble.ts";
export { Framer, type FramerOptions, Stream } from "./src/socklog/framing.ts";
export type { Priority } from "./src/socklog/priorities.ts";
export {
  label,
  LABEL_LENGTH,
  type Moment,
  parseLabel,
  putLabel,
} from "./src/tai64n.ts";

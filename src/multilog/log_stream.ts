/**
 * multilog for other programs: a stream that lines are written to.
 *
 * @module
 */
import { Diagnostics } from "../diagnostics.ts";
import { ScriptRunner } from "./script_runner.ts";
import { parseScript } from "./script.ts";
import { Retrier } from "../log/retrier.ts";

/**
 * Makes a stream whose lines go through a script of multilog's. A chunk has
 * been written to the logs when its write is done; trouble with the disk makes
 * it wait, as long as it takes. Ages (`a`, `k`) are looked at when lines come.
 *
 * @param script The script: one action each, as on multilog's command line
 * @param warn Where warnings go; standard error unless given
 * @returns The stream. It fails at the first write when a log can't be opened
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * const dir = Deno.makeTempDirSync();
 * const stream = logStream(["-*", "+*fatal*", `${dir}/log`]);
 * const lines = ReadableStream.from(["starting\n", "fatal: no ", "disk\n"]);
 * await lines.pipeThrough(new TextEncoderStream()).pipeTo(stream);
 * assertEquals(
 *   Deno.readTextFileSync(`${dir}/log/current`),
 *   "fatal: no disk\n",
 * );
 * Deno.removeSync(dir, { recursive: true });
 * ```
 */
export function logStream(
  script: readonly string[],
  warn: (message: string) => void = (message) =>
    new Diagnostics("multilog").warn(message),
): WritableStream<Uint8Array> {
  let lines: ScriptRunner;
  return new WritableStream<Uint8Array>({
    async start() {
      const parsed = parseScript(script);
      parsed.warnings.forEach(warn);
      lines = await ScriptRunner.open(parsed, new Retrier(warn));
    },
    async write(chunk) {
      if (!(chunk instanceof Uint8Array)) {
        // Neither `close` nor `abort` comes behind a failure.
        await lines.close();
        throw new TypeError("a chunk must be a Uint8Array");
      }
      for (const log of lines.logs) {
        if (log.due()) await log.rotate();
        if (log.hasExpired()) await log.expire();
      }
      const space = lines.engine.space();
      for (let at = 0; at < chunk.length; at += space.length) {
        const piece = chunk.subarray(at, at + space.length);
        space.set(piece);
        await lines.engine.push(piece.length);
      }
    },
    async close() {
      await lines.close();
    },
    async abort() {
      await lines.close();
    },
  });
}

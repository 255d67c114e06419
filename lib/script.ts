/**
 * multilog's scripts for other programs: lines that are selected, stamped, and
 * written to several logs.
 *
 * They call the C library, so this needs `--allow-ffi`, on Linux.
 *
 * @example
 * ```ts
 * import { openScript } from "@logferry/logferry/script";
 *
 * const dir = await Deno.makeTempDir();
 * {
 *   await using log = await openScript(["t", "-*: debug: *", `${dir}/main`]);
 *   await log.write(new TextEncoder().encode("app: debug: one\napp: two\n"));
 * }
 * await Deno.remove(dir, { recursive: true });
 * ```
 *
 * @module
 */
import { Retrier } from "../src/log/retrier.ts";
import { LogferryError } from "../src/logferry_error.ts";
import { parseScript } from "../src/multilog/script.ts";
import { ScriptRunner } from "../src/multilog/script_runner.ts";
import { OpenLog, warnOnConsole } from "./_open_log.ts";
import type { Log } from "./log.ts";

export { type Log, LogferryError };

/**
 * How to carry out a script.
 *
 * @example
 * ```ts
 * const warnings: string[] = [];
 * const options: ScriptOptions = {
 *   onWarning: (message) => warnings.push(message),
 * };
 * ```
 */
export interface ScriptOptions {
  /**
   * Called with a message when a log has to wait, since the disk or its processor
   * fails; `console.warn` unless given.
   */
  onWarning?: (message: string) => void;
}

/**
 * Opens the logs of a script. If the last line has no newline, it gets one when
 * they are closed.
 *
 * @param script The script's actions, as on multilog's command line
 * @param options How to carry it out
 * @returns All its logs as one
 * @throws {LogferryError} When a log can't be opened; `EINVAL` when the script
 * has a fault for which multilog would only warn, such as an action that it
 * would ignore
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * const dir = await Deno.makeTempDir();
 * const log = await openScript(["-*", "+*fatal*", `${dir}/log`]);
 * const lines = ReadableStream.from(["starting\n", "fatal: no ", "disk\n"]);
 * await lines.pipeThrough(new TextEncoderStream()).pipeTo(log.writable);
 * assertEquals(
 *   await Deno.readTextFile(`${dir}/log/current`),
 *   "fatal: no disk\n",
 * );
 * await Deno.remove(dir, { recursive: true });
 * ```
 */
export function openScript(
  script: readonly string[],
  options: ScriptOptions = {},
): Promise<Log> {
  const { onWarning = warnOnConsole } = options;
  return OpenLog.make(async (wake) => {
    const parsed = parseScript(script);
    if (parsed.warnings.length > 0) {
      throw new LogferryError(parsed.warnings.join("; "));
    }
    const runner = await ScriptRunner.open(
      parsed,
      new Retrier(onWarning),
      wake,
    );
    return {
      name: "the script's log",
      logs: runner.logs,
      append: (bytes) => push(runner, bytes),
      close: () => runner.close(),
    };
  }, onWarning);
}

async function push(
  { engine }: ScriptRunner,
  bytes: Uint8Array,
): Promise<void> {
  const space = engine.space();
  for (let at = 0; at < bytes.length; at += space.length) {
    const piece = bytes.subarray(at, at + space.length);
    space.set(piece);
    await engine.push(piece.length);
  }
}

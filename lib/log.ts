/**
 * Rotated logs that lose no line: a program writes its own lines to a directory
 * as multilog would.
 *
 * Logs call the C library, so this needs `--allow-ffi`, on Linux.
 *
 * @example
 * ```ts
 * import { openLog } from "@logferry/logferry/log";
 *
 * const dir = await Deno.makeTempDir();
 * {
 *   // Finished at 1 MB or when a line in it is an hour old, and compressed.
 *   await using log = await openLog(`${dir}/main`, {
 *     size: 1_000_000,
 *     age: 3600,
 *     processor: "gzip",
 *   });
 *   await log.write(new TextEncoder().encode("one line\n"));
 * }
 * await Deno.remove(dir, { recursive: true });
 * ```
 *
 * @module
 */
import { LogDirectory } from "../src/log/log_directory.ts";
import { Retrier } from "../src/log/retrier.ts";
import {
  KEEP_DEFAULT,
  type LogSettings,
  SIZE_DEFAULT,
} from "../src/log/settings.ts";
import { OpenLog, warnOnConsole } from "./_open_log.ts";

export { LogferryError } from "../src/logferry_error.ts";
export type { LogSettings };

/**
 * How to open a log. The defaults are multilog's: 10 files of up to 99999 bytes,
 * no processor, and no limit on age.
 *
 * @example
 * ```ts
 * const options: LogOptions = {
 *   size: 1_000_000,
 *   keep: 100,
 *   onWarning: (message) => console.error(`log: ${message}`),
 * };
 * ```
 */
export interface LogOptions extends Partial<LogSettings> {
  /**
   * Called with a message when the log has to wait, since the disk or the
   * processor fails: `unable to write to ./main/current, pausing: no space left
   * on device`. `console.warn` unless given.
   */
  onWarning?: (message: string) => void;
}

/**
 * An open log, which is closed when its scope ends (`await using`).
 *
 * When the disk or the processor fails, the log calls `onWarning`, and tries
 * again for as long as it takes; no line is lost.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * const dir = await Deno.makeTempDir();
 * const log: Log = await openLog(`${dir}/main`);
 * const lines = ReadableStream.from(["one\n", "two\n"]);
 * await lines.pipeThrough(new TextEncoderStream()).pipeTo(log.writable);
 * assertEquals(await Deno.readTextFile(`${dir}/main/current`), "one\ntwo\n");
 * await Deno.remove(dir, { recursive: true });
 * ```
 */
export interface Log extends AsyncDisposable {
  /**
   * The log as a stream: closing it is {@linkcode Log.close}, aborting it
   * {@linkcode Log.terminate}. A chunk that isn't a `Uint8Array` ends it.
   */
  readonly writable: WritableStream<Uint8Array>;

  /**
   * Appends bytes to `current`, and finishes it when it is big enough, at the end
   * of a line if there is one. Calls are carried out one after the other.
   *
   * @param bytes The bytes. Their memory isn't shared between threads, and they
   * mustn't be changed before the promise is kept
   * @returns A promise that is kept when the bytes are written, though perhaps
   * not synced. That may take long while all files wait for the processor
   * @throws {LogferryError} `EBADF` once the log is closed
   */
  write(bytes: Uint8Array): Promise<void>;

  /**
   * Finishes `current` now, unless it is empty. If `current` ends inside a line,
   * it is finished at the end of that line.
   *
   * @throws {LogferryError} `EBADF` once the log is closed
   */
  rotate(): Promise<void>;

  /**
   * Waits until all bytes written so far are on the disk.
   *
   * @throws {LogferryError} `EIO` when the disk fails, and bytes that were written
   * since the last sync may be lost; `EBADF` once the log is closed
   */
  sync(): Promise<void>;

  /**
   * Ends the log well, as multilog does at the end of its input: all waiting files
   * are processed, and everything is synced. A second call changes nothing.
   */
  close(): Promise<void>;

  /**
   * Ends the log well within five seconds, as multilog does on TERM. Files that
   * wait for the processor are processed when the log is next opened.
   */
  terminate(): Promise<void>;
}

/**
 * Opens a log: makes the directory when there is none, takes its lock, and tidies
 * up after a run that was cut off.
 *
 * @param path The directory
 * @param options How large its files are, how many there are, and so on
 * @returns The open log
 * @throws {LogferryError} When the directory can't be used: `EAGAIN` when
 * another process, a multilog for example, is writing to it
 * @throws {RangeError} When a multilog script couldn't give these settings
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * const dir = await Deno.makeTempDir();
 * const log = await openLog(`${dir}/main`, { keep: 5 });
 * await log.write(new TextEncoder().encode("one\n"));
 * await log.rotate();
 * await log.write(new TextEncoder().encode("two\n"));
 * await log.close();
 * assertEquals(await Deno.readTextFile(`${dir}/main/current`), "two\n");
 * const names = Array.from(Deno.readDirSync(`${dir}/main`), ({ name }) => name);
 * assertEquals(names.filter((name) => name.startsWith("@")).length, 1);
 * await Deno.remove(dir, { recursive: true });
 * ```
 */
export function openLog(path: string, options: LogOptions = {}): Promise<Log> {
  const {
    size = SIZE_DEFAULT,
    keep = KEEP_DEFAULT,
    processor = "",
    age = 0,
    onWarning = warnOnConsole,
    ...others
  } = options;
  const settings: LogSettings = { ...others, size, keep, processor, age };
  return OpenLog.make((wake) => {
    const retrier = new Retrier(onWarning);
    const log = LogDirectory.open(path, settings, retrier, wake);
    return {
      name: path,
      logs: [log],
      append: (bytes) => log.append(bytes),
      close: () => log.close(),
    };
  }, onWarning);
}

/**
 * A log for other programs. It does itself what multilog's main loop does for
 * its logs: it has a timer, and carries out one call after the other.
 *
 * @module
 */
import { DueTimer } from "../src/log/due.ts";
import { InTurn } from "../src/log/in_turn.ts";
import type { AnyLog } from "../src/log/log_directory.ts";
import { LogferryError } from "../src/logferry_error.ts";
import type { Log } from "./log.ts";

/** The parts that a log is made of. */
export interface Parts {
  /** The log's name in messages. */
  readonly name: string;
  /** The directories that it writes to. */
  readonly logs: readonly AnyLog[];
  /** Appends bytes; called again only when the promise is kept. */
  append(bytes: Uint8Array): Promise<void> | undefined;
  /** Closes all directories well. */
  close(): Promise<void>;
}

/** Takes a log's warnings when the caller gave no `onWarning`. */
export function warnOnConsole(message: string): void {
  console.warn(message);
}

/** See {@linkcode Log}. */
export class OpenLog implements Log {
  readonly writable: WritableStream<Uint8Array>;
  readonly #warn: (message: string) => void;
  readonly #parts: Parts;
  readonly #timer: DueTimer;
  readonly #steps = new InTurn();
  #closing: Promise<void> | undefined;

  /**
   * Opens a log.
   *
   * @param open Opens the log's parts. They call the function that they are given
   * when a file was finished, or has left a queue
   * @param warn Where warnings go
   * @throws What `open` throws
   */
  static async make(
    open: (wake: () => void) => Parts | Promise<Parts>,
    warn: (message: string) => void,
  ): Promise<Log> {
    let wake = () => {};
    const parts = await open(() => wake());
    const log = new OpenLog(parts, warn);
    wake = () => void log.#attend();
    return log;
  }

  private constructor(parts: Parts, warn: (message: string) => void) {
    this.#parts = parts;
    this.#warn = warn;
    this.#timer = new DueTimer(parts.logs, () => this.#attend());
    this.writable = new WritableStream({
      write: async (chunk) => {
        try {
          await this.write(chunk);
        } catch (error) {
          // After a failed write the stream calls neither `close` nor `abort`.
          await this.terminate();
          throw error;
        }
      },
      close: () => this.close(),
      abort: () => this.terminate(),
    });
    this.#attend();
  }

  async write(bytes: Uint8Array): Promise<void> {
    if (!(bytes instanceof Uint8Array)) {
      throw new TypeError("what is written to a log must be a Uint8Array");
    }
    await this.#inTurn(async () => {
      await this.#parts.append(bytes);
      await this.#rotateDue();
    });
  }

  async rotate(): Promise<void> {
    await this.#inTurn(async () => {
      await this.#forEach((log) => log.rotate());
      this.#timer.set();
    });
  }

  async sync(): Promise<void> {
    await this.#inTurn(() =>
      this.#forEach(async (log) => {
        if (await log.sync()) return;
        const message = `unable to write ${log.path} to disk`;
        throw new LogferryError(message, { code: "EIO" });
      })
    );
  }

  close(): Promise<void> {
    return this.#closing ??= this.#steps.take(() => {
      this.#timer.stop();
      return this.#parts.close();
    });
  }

  terminate(): Promise<void> {
    for (const log of this.#parts.logs) log.terminate();
    return this.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #inTurn(step: () => Promise<void>): Promise<void> {
    if (this.#closing) {
      const message = `${this.#parts.name} is closed`;
      throw new LogferryError(message, { code: "EBADF" });
    }
    return this.#steps.take(step);
  }

  async #forEach(step: (log: AnyLog) => Promise<void>): Promise<void> {
    await Promise.all(this.#parts.logs.map(step));
  }

  async #rotateDue(): Promise<void> {
    await this.#forEach(async (log) => {
      if (log.due()) await log.attend();
      if (log.hasExpired()) await log.expire();
    });
    this.#timer.set();
  }

  /**
   * Finishes what is due after the timer rang, or a file left a queue. Since no
   * caller waits for this, its failure is a warning.
   */
  async #attend(): Promise<void> {
    if (this.#closing) return;
    try {
      await this.#steps.take(() => this.#rotateDue());
    } catch (error) {
      if (!(error instanceof LogferryError)) throw error;
      this.#warn(error.message);
    }
  }
}

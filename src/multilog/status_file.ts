/**
 * A file that always shows the newest selected line.
 *
 * @module
 */
import type { Bytes } from "../bytes.ts";
import { close, seek, write } from "../sys/descriptors.ts";
import { SysError } from "../sys/errors.ts";
import { open } from "../sys/files.ts";
import { type Retrier, startStep } from "../log/retrier.ts";

/** A status file that is open for being written over. */
export class StatusFile {
  readonly #path: string;
  readonly #fd: number;
  readonly #retrier: Retrier;

  private constructor(path: string, fd: number, retrier: Retrier) {
    this.#path = path;
    this.#fd = fd;
    this.#retrier = retrier;
  }

  /**
   * Opens a status file, making it (mode 0600) where there is none.
   *
   * @param path Its name
   * @param retrier Where warnings go from now on
   * @returns The open file
   * @throws {StartError} When it can't be opened
   */
  static open(path: string, retrier: Retrier): StatusFile {
    const fd = startStep(
      () => open(path, "overwrite", 0o600),
      `unable to create ${path}`,
    );
    return new StatusFile(path, fd, retrier);
  }

  /**
   * Writes over the beginning of the file.
   *
   * @param bytes The bytes; as many each time, so that all of them change
   * @returns A promise when it couldn't be done at once
   */
  replace(bytes: Bytes): Promise<void> | undefined {
    const failure = this.#tryToReplace(bytes);
    return failure === undefined
      ? undefined
      : this.#replaceLater(bytes, failure);
  }

  #tryToReplace(bytes: Bytes): string | undefined {
    try {
      seek(this.#fd, 0);
    } catch (error) {
      if (!(error instanceof SysError)) throw error;
      return `unable to move to beginning of ${this.#path}, pausing: ${error.message}`;
    }
    for (let at = 0; at < bytes.length;) {
      const n = write(this.#fd, at === 0 ? bytes : bytes.subarray(at));
      if (n < 0) {
        return `unable to write ${this.#path}, pausing: ${
          new SysError(-n).message
        }`;
      }
      at += n;
    }
    return undefined;
  }

  async #replaceLater(
    bytes: Bytes,
    failure: string | undefined,
  ): Promise<void> {
    while (failure !== undefined) {
      await this.#retrier.pause(failure);
      failure = this.#tryToReplace(bytes);
    }
  }

  /** Closes the file. */
  close(): void {
    close(this.#fd);
  }
}

/**
 * Where a log server's lines go.
 *
 * @module
 */
import { type Bytes, NEWLINE } from "../bytes.ts";
import {
  EAGAIN,
  PIPE_BUF,
  roomInPipe,
  setPipeSize,
  write,
} from "../sys/descriptors.ts";
import { errorNumber, SysError } from "../sys/errors.ts";
import { mayHaveBeenClosed, open, stat } from "../sys/files.ts";
import { Poller, Readiness, WRITABLE } from "../sys/poll.ts";
import { sendNonblocking } from "../sys/sockets.ts";
import { LogferryError } from "../logferry_error.ts";
import type { Messages } from "./messages.ts";

/** `multilog script…` that was read, and of which nothing is open. */
export interface ReadScript {
  /** How many descriptors its logs can't do without. */
  readonly descriptors: number;
  /** How many they make use of: logs of hosts are closed for want of more. */
  readonly usefulDescriptors: number;

  /**
   * Opens where it has lines go. The caller has become the user that is to
   * write them.
   *
   * @param others How many descriptors are for others than its logs
   * @throws {LogferryError} When something of it can't be opened
   */
  open(others: number): Promise<Output>;
}

/**
 * Reads `multilog script…`.
 *
 * @param script The script
 * @param messages Where to tell what is wrong with it, and later with a log
 * @param program The name that other messages begin with
 */
export type ScriptReader = (
  script: readonly string[],
  messages: Messages,
  program: string,
) => Promise<ReadScript>;

/** Where lines go. */
export interface Output {
  /**
   * What hangs up when nobody will ever take another line, to be watched for
   * that; -1 where that can't happen.
   */
  readonly fd: number;

  /**
   * Whether something of it goes on that only a turn of the event loop sees:
   * whoever waits for input has to let it turn.
   */
  readonly turns: boolean;

  /**
   * Writes lines, as many as it takes.
   *
   * @param lines Whole lines, at least one, or the rest of them that an earlier
   * call has left; they aren't changed before the promise is kept
   * @returns How many bytes were taken, at least one; a promise where that has
   * to be waited for
   * @throws {LogferryError} When nothing can be written any more
   */
  write(lines: Bytes): number | Promise<number>;

  /**
   * Makes all that was written as safe as it gets here, before that is
   * acknowledged. More may be written meanwhile.
   *
   * @returns Whether it is; otherwise nothing that was written since the last
   * success may be acknowledged
   * @throws {LogferryError} When nothing can be written any more
   */
  sync(): boolean | Promise<boolean>;

  /**
   * Says that the end is near: from now on it isn't waited for trouble to
   * pass.
   */
  stop(): void;

  /** What to die of when `fd` has hung up. */
  gone(): LogferryError;

  /**
   * Ends it well. Nothing is written afterwards.
   *
   * @throws {LogferryError} When that can't be done in time
   */
  close(): Promise<void>;
}

/**
 * Does something that writes, and ends the output well, whatever comes of it.
 *
 * @param output The output
 * @param work What writes
 * @throws {LogferryError} What that throws; else what the end does
 */
export async function writingTo(
  output: Output,
  work: () => Promise<void>,
): Promise<void> {
  try {
    await work();
  } catch (error) {
    await output.close().catch(() => {});
    throw error;
  }
  await output.close();
}

const EPIPE = errorNumber("EPIPE");

/** How long to wait when it can't be written, in milliseconds. */
const PAUSE = 5000;

/**
 * Errors that somebody may put right while the server waits; all others end
 * it.
 */
const PASSING = ["ENOSPC", "EDQUOT", "EFBIG", "EIO", "ENOMEM", "ENOBUFS"];

const WHAT = "unable to write to standard output";

/** The size that a pipe on standard output is given, in bytes. */
const WIDE_PIPE = 256 * 1024;

/**
 * What of lines to write at once, to a pipe say, so that it takes whole ones. A
 * full pipe takes a part of what it is given; a server that is killed then has
 * written half a line, and the next one's first, which is acknowledged, would
 * stand after that half.
 *
 * @param bytes The lines
 * @param room How many bytes can be taken
 */
export function wholeLines(bytes: Bytes, room: number): Bytes {
  if (bytes.length <= room) return bytes;
  const end = bytes.lastIndexOf(NEWLINE, room - 1) + 1;
  // A line longer than that has to go in parts.
  return bytes.subarray(0, end > 0 ? end : room);
}

/**
 * Finds the way to write to a descriptor without waiting. `O_NONBLOCK` on the
 * descriptor itself would be seen by everyone who shares it, so a pipe is
 * opened once more for ourselves.
 */
function wayTo(fd: number): (bytes: Bytes) => number {
  const info = stat("", fd);
  if (info?.isFile) return (bytes) => write(fd, bytes);
  if (info?.isSocket) return (bytes) => sendNonblocking(fd, bytes);
  if (info?.isFifo) {
    try {
      const own = open(`/proc/self/fd/${fd}`, "append");
      setPipeSize(own, WIDE_PIPE);
      return (bytes) => write(own, wholeLines(bytes, roomInPipe(own)));
    } catch (error) {
      if (!(error instanceof SysError)) throw error;
      // Made by another user, or no /proc here, or its reader is gone: then
      // the first write tells.
    }
  }
  const writable = new Readiness(fd, WRITABLE);
  return (bytes) => {
    if (!writable.ready()) return -EAGAIN;
    return write(fd, wholeLines(bytes, PIPE_BUF));
  };
}

/**
 * A descriptor, such as standard output, that is written without ever
 * standing still in a write. What it has taken is the reader's, or the
 * kernel's: there is nothing to sync.
 */
export class DescriptorOutput implements Output {
  readonly fd: number;
  readonly turns = false;
  readonly #write: (bytes: Bytes) => number;
  readonly #messages: Messages;
  readonly #poller = new Poller(1);
  #stopping = false;

  private constructor(fd: number, messages: Messages) {
    this.fd = fd;
    this.#messages = messages;
    this.#write = wayTo(fd);
  }

  /**
   * Looks at what a descriptor is.
   *
   * @param fd The descriptor
   * @param messages Where to tell that it has to be waited for
   * @throws {LogferryError} When it is closed
   */
  static async open(fd: number, messages: Messages): Promise<DescriptorOutput> {
    if (mayHaveBeenClosed(fd)) {
      throw new LogferryError("standard output is closed");
    }
    const output = new DescriptorOutput(fd, messages);
    // The first wait takes descriptors, which connections may use up later.
    await output.#poller.wait(0);
    return output;
  }

  write(lines: Bytes): number | Promise<number> {
    const n = this.#write(lines);
    return n > 0 ? n : this.#retry(lines, n);
  }

  async #retry(lines: Bytes, result: number): Promise<number> {
    for (let n = result; true; n = this.#write(lines)) {
      if (n > 0) return n;
      if (n === 0 || -n === EAGAIN) {
        this.#poller.set(0, this.fd, WRITABLE);
        await this.#poller.wait();
      } else {
        // One that has hung up would end the pause at once.
        this.#poller.set(0, -1, 0);
        await this.#pause(new SysError(-n));
      }
    }
  }

  /** Waits for somebody to make room; not when the end is being waited for. */
  async #pause(error: SysError): Promise<void> {
    if (this.#stopping || !PASSING.includes(error.code)) {
      throw new LogferryError(`${WHAT}: ${error.message}`);
    }
    this.#messages.warn(`${WHAT}, pausing: ${error.message}`);
    this.#messages.flush();
    await this.#poller.wait(PAUSE);
  }

  sync(): boolean {
    return true;
  }

  stop(): void {
    this.#stopping = true;
    this.#poller.wake();
  }

  gone(): LogferryError {
    return new LogferryError(`${WHAT}: ${new SysError(EPIPE).message}`);
  }

  async close(): Promise<void> {}
}

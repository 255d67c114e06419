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

/** A script of multilog's that was read, and whose logs aren't open yet. */
export interface ReadScript {
  /** How many descriptors its logs need at least. */
  readonly descriptors: number;
  /**
   * How many descriptors its logs can use. With fewer, logs of hosts are closed
   * earlier.
   */
  readonly usefulDescriptors: number;

  /**
   * Opens its logs. The caller has already become the user that is to write to
   * them.
   *
   * @param others How many descriptors to leave for everything but its logs
   * @throws {LogferryError} When a log can't be opened
   */
  open(others: number): Promise<Output>;
}

/**
 * Reads the script of `multilog script…`.
 *
 * @param script The script
 * @param messages Takes warnings about the script, and later about its logs
 * @param program The name that all other messages begin with
 */
export type ScriptReader = (
  script: readonly string[],
  messages: Messages,
  program: string,
) => Promise<ReadScript>;

/** Where a log server writes its lines to. */
export interface Output {
  /**
   * A descriptor that shows `FAILED` or `HUNG_UP` when no further line can ever
   * be written; -1 when that can't happen.
   */
  readonly fd: number;

  /**
   * Whether work goes on in it for which the event loop must turn, so that the
   * caller mustn't block this thread while it waits for input.
   */
  readonly turns: boolean;

  /**
   * Writes as much of some lines as it can.
   *
   * @param lines Whole lines, at least one, or what an earlier call has left of
   * them. The caller mustn't change them before the promise is fulfilled
   * @returns How many bytes were written, at least one; a promise when the
   * output has to wait
   * @throws {LogferryError} When nothing can be written any more
   */
  write(lines: Bytes): number | Promise<number>;

  /**
   * Makes everything written so far as safe as this output can, so that it can
   * be acknowledged. More may be written meanwhile.
   *
   * @returns Whether that succeeded; if not, nothing that was written since the
   * last success may be acknowledged
   * @throws {LogferryError} When nothing can be written any more
   */
  sync(): boolean | Promise<boolean>;

  /**
   * Announces the end: from now on the output throws on trouble, instead of
   * waiting until it has passed.
   */
  stop(): void;

  /** The error to end with when `fd` has failed or hung up. */
  gone(): LogferryError;

  /**
   * Closes the output in good order. Nothing may be written afterwards.
   *
   * @throws {LogferryError} When that can't be done in time
   */
  close(): Promise<void>;
}

/**
 * Does work that writes to an output, and then closes the output in any case.
 *
 * @param output The output
 * @param work The work
 * @throws {LogferryError} When the work fails, or else closing does
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

/** How long to wait after a failed write, in milliseconds. */
const PAUSE = 5000;

/**
 * Errors after which the server waits and tries again, since they may pass. All
 * others end it.
 */
const PASSING = ["ENOSPC", "EDQUOT", "EFBIG", "EIO", "ENOMEM", "ENOBUFS"];

const WHAT = "unable to write to standard output";

/** The size to ask for of a pipe at standard output, in bytes. */
const WIDE_PIPE = 256 * 1024;

/**
 * Takes as many whole lines as fit into one write to a pipe. A nearly full pipe
 * takes only a part of what it is given. If the server is killed then, half a
 * line is in the pipe, and the next server's first line, which it acknowledges,
 * would be appended to that half.
 *
 * @param bytes The lines
 * @param room How many bytes the pipe takes
 * @returns The beginning of `bytes` to write
 */
export function wholeLines(bytes: Bytes, room: number): Bytes {
  if (bytes.length <= room) return bytes;
  const end = bytes.lastIndexOf(NEWLINE, room - 1) + 1;
  // A line longer than that can only be written in parts.
  return bytes.subarray(0, end > 0 ? end : room);
}

/**
 * Makes the function that writes to a descriptor without waiting. `O_NONBLOCK`
 * on the descriptor itself would change it for every process that shares it, so
 * a pipe is opened once more.
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
      // Another user has made the pipe, or there is no /proc; if its reader is
      // gone, the first write fails.
    }
  }
  const writable = new Readiness(fd, WRITABLE);
  return (bytes) => {
    if (!writable.ready()) return -EAGAIN;
    return write(fd, wholeLines(bytes, PIPE_BUF));
  };
}

/**
 * An output that is a descriptor, such as standard output. No write to it
 * blocks this thread. What was written is in the hands of the kernel or the
 * reader: there is nothing to sync.
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
   * Makes an output of a descriptor.
   *
   * @param fd The descriptor
   * @param messages Takes warnings about writes that fail
   * @throws {LogferryError} When the descriptor is closed
   */
  static async open(fd: number, messages: Messages): Promise<DescriptorOutput> {
    if (mayHaveBeenClosed(fd)) {
      throw new LogferryError("standard output is closed");
    }
    const output = new DescriptorOutput(fd, messages);
    // The first wait opens descriptors, so it comes now: connections may use up
    // all that are left.
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
        // Without the descriptor, which would end the pause at once when it has
        // hung up.
        this.#poller.set(0, -1, 0);
        await this.#pause(new SysError(-n));
      }
    }
  }

  /** Waits until the trouble may have passed; throws if that makes no sense. */
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

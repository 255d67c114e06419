/**
 * Standard output of a server: written without ever standing still in a write.
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
import { Readiness, WRITABLE } from "../sys/poll.ts";
import { sendNonblocking } from "../sys/sockets.ts";
import { Fatal } from "./fatal.ts";

const EPIPE = errorNumber("EPIPE");

/**
 * Errors that somebody may put right while the server waits; all others end
 * it.
 */
const PASSING = ["ENOSPC", "EDQUOT", "EFBIG", "EIO", "ENOMEM", "ENOBUFS"];

function outputError(error: SysError): Fatal {
  return new Fatal(`unable to write to standard output: ${error.message}`);
}

/** The size that a pipe on standard output is given, in bytes. */
const WIDE_PIPE = 256 * 1024;

/**
 * What of lines to write at once to a pipe, so that it takes whole ones. A
 * full pipe takes a part of what it is given; a server that is killed then has
 * written half a line, and the next one's first, which is acknowledged, would
 * stand behind that half.
 */
function wholeLines(bytes: Bytes, room: number): Bytes {
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

/** What became of a write. */
export type Written =
  /** So many bytes were taken. */
  | number
  /** None was: the error may pass, and a later try may succeed. */
  | SysError;

/** Standard output. */
export class Output {
  /** The descriptor. */
  readonly fd: number;
  readonly #write: (bytes: Bytes) => number;

  /**
   * Looks at what standard output is.
   *
   * @param fd The descriptor
   * @throws {Fatal} When it is closed
   */
  constructor(fd = 1) {
    this.fd = fd;
    if (mayHaveBeenClosed(fd)) throw new Fatal("standard output is closed");
    this.#write = wayTo(fd);
  }

  /**
   * Writes what can be written at once.
   *
   * @param bytes The bytes
   * @returns How many were taken, 0 when it is full, or the error when that
   * may pass
   * @throws {Fatal} When nothing can be written any more
   */
  write(bytes: Bytes): Written {
    const n = this.#write(bytes);
    if (n >= 0) return n;
    if (-n === EAGAIN) return 0;
    const error = new SysError(-n);
    if (PASSING.includes(error.code)) return error;
    throw outputError(error);
  }

  /**
   * What to die of when the reader has gone before there was anything to
   * write.
   *
   * @returns The error
   */
  gone(): Fatal {
    return outputError(new SysError(EPIPE));
  }
}

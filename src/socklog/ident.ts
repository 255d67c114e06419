/**
 * Asking the other host whose connection it is (RFC 1413).
 *
 * @module
 */
import { encode, latin1, NEWLINE } from "../bytes.ts";
import { close, EAGAIN, read, write } from "../sys/descriptors.ts";
import { errorNumber, SysError } from "../sys/errors.ts";
import { Poller, READABLE, WRITABLE } from "../sys/poll.ts";
import {
  bind,
  connect,
  type Endpoint,
  endpoint,
  socket,
  socketError,
} from "../sys/sockets.ts";
import { tame } from "./ucspi.ts";

const PORT = 113;
const LONGEST_ANSWER = 1000;
const EINPROGRESS = errorNumber("EINPROGRESS");

/**
 * What an answer says.
 *
 * @param answer The line: `port , port : USERID : system : user`
 * @returns The user, blanks left out, or `undefined` for any other answer
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(userOf("6193, 23 : USERID : UNIX : joe\r"), "joe");
 * assertEquals(userOf("6193, 23 : ERROR : NO-USER\r"), undefined);
 * ```
 */
export function userOf(answer: string): string | undefined {
  const [, , , ...user] = answer.replace(/[ \t\r]/g, "").split(":");
  return user.length > 0 ? tame(user.join(":")) : undefined;
}

/**
 * Asks.
 *
 * @param local This end of the connection
 * @param remote The other end
 * @param seconds How long it may take
 * @returns The user that the other host names, or `undefined` when it names
 * none, for whatever reason
 */
export async function identify(
  local: Endpoint,
  remote: Endpoint,
  seconds: number,
): Promise<string | undefined> {
  if (seconds <= 0) return undefined;
  const end = performance.now() + seconds * 1000;
  let fd: number | undefined;
  let poller: Poller | undefined;
  try {
    fd = socket(remote);
    poller = new Poller(1);
    bind(fd, endpoint(local.bytes, 0));
    const ready = async (events: number): Promise<boolean> => {
      const left = end - performance.now();
      if (left <= 0) return false;
      poller!.set(0, fd!, events);
      await poller!.wait(left);
      return poller!.found(0) !== 0;
    };
    const errno = -connect(fd, endpoint(remote.bytes, PORT));
    if (errno !== 0) {
      if (errno !== EINPROGRESS || !await ready(WRITABLE)) return undefined;
      if (socketError(fd) !== undefined) return undefined;
    }
    const question = encode(`${remote.port} , ${local.port}\r\n`);
    if (write(fd, question) !== question.length) return undefined;
    const buffer = new Uint8Array(LONGEST_ANSWER);
    let length = 0;
    while (length < buffer.length) {
      const n = read(fd, buffer.subarray(length));
      if (n === -EAGAIN) {
        if (!await ready(READABLE)) return undefined;
      } else if (n <= 0) return undefined;
      else {
        length += n;
        const line = buffer.subarray(0, length).indexOf(NEWLINE);
        if (line >= 0) return userOf(latin1(buffer.subarray(0, line)));
      }
    }
    return undefined;
  } catch (error) {
    // No descriptor left, no route: then nothing is known.
    if (error instanceof SysError) return undefined;
    throw error;
  } finally {
    poller?.close();
    if (fd !== undefined) close(fd);
  }
}

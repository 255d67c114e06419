/**
 * Asking the remote host which of its users has made a connection (RFC 1413).
 *
 * @module
 */
import { encode, latin1, NEWLINE } from "../bytes.ts";
import { close, EAGAIN, read, write } from "../sys/descriptors.ts";
import { Epoll } from "../sys/epoll.ts";
import { SysError } from "../sys/errors.ts";
import { Poller, READABLE, WRITABLE } from "../sys/poll.ts";
import {
  bind,
  connectAndWait,
  type Endpoint,
  endpoint,
  socket,
} from "../sys/sockets.ts";
import { printable } from "./connection_info.ts";

const PORT = 113;
const LONGEST_ANSWER = 1000;

/**
 * Reads an answer.
 *
 * @param answer The line, `port , port : USERID : system : user`
 * @returns The user without blanks, or `undefined` for any other answer
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
  return user.length > 0 ? printable(user.join(":")) : undefined;
}

/** A wait for one socket. */
interface Awaited {
  /** When it ends at the latest, on `performance.now()`'s clock. */
  readonly end: number;
  readonly resolve: (ready: boolean) => void;
}

/** The waits, by descriptor. One thread waits for all sockets. */
const awaited = new Map<number, Awaited>();
let watch: { epoll: Epoll; poller: Poller } | undefined;
let watching = false;
/** The descriptors that are in `watch.epoll`; closing one takes it out. */
const watched = new Set<number>();

/** Waits for an event at a socket; returns `false` when `end` comes first. */
async function ready(
  fd: number,
  events: number,
  end: number,
): Promise<boolean> {
  watch ??= { epoll: new Epoll(), poller: new Poller(1) };
  if (watched.has(fd)) watch.epoll.change(fd, events);
  else watch.epoll.add(fd, events);
  watched.add(fd);
  return await new Promise<boolean>((resolve) => {
    awaited.set(fd, { end, resolve });
    if (watching) watch!.poller.wake();
    else waitForAll(watch!);
  });
}

/** Waits for all sockets, until none is left to wait for. */
async function waitForAll(
  { epoll, poller }: { epoll: Epoll; poller: Poller },
): Promise<void> {
  watching = true;
  while (awaited.size > 0) {
    let next = Infinity;
    for (const { end } of awaited.values()) next = Math.min(next, end);
    poller.set(0, epoll.fd, READABLE);
    await poller.wait(Math.max(0, next - performance.now()));
    const found = epoll.poll();
    for (let i = 0; i < found; i++) settle(epoll.fdAt(i), true);
    const now = performance.now();
    for (const [fd, { end }] of awaited) if (end <= now) settle(fd, false);
  }
  watching = false;
}

function settle(fd: number, ready: boolean): void {
  awaited.get(fd)?.resolve(ready);
  awaited.delete(fd);
}

/**
 * Asks the remote host. Any number of calls run at the same time; none waits
 * for another.
 *
 * @param local The local end of the connection
 * @param remote The remote end
 * @param seconds How long to wait for the answer
 * @returns The user that the remote host names, a character for each byte, or
 * `undefined` when it names none, for whatever reason
 */
export async function identify(
  local: Endpoint,
  remote: Endpoint,
  seconds: number,
): Promise<string | undefined> {
  if (seconds <= 0) return undefined;
  const end = performance.now() + seconds * 1000;
  let fd: number | undefined;
  try {
    fd = socket(remote);
    bind(fd, endpoint(local.bytes, 0));
    const own = fd;
    const failure = await connectAndWait(
      fd,
      endpoint(remote.bytes, PORT),
      () => ready(own, WRITABLE, end),
    );
    if (failure !== undefined) return undefined;
    const question = encode(`${remote.port} , ${local.port}\r\n`);
    if (write(fd, question) !== question.length) return undefined;
    return await readAnswer(fd, end);
  } catch (error) {
    // No descriptor left, no route, and so on: then the user isn't known.
    if (error instanceof SysError) return undefined;
    throw error;
  } finally {
    if (fd !== undefined) {
      close(fd);
      watched.delete(fd);
    }
  }
}

async function readAnswer(
  fd: number,
  end: number,
): Promise<string | undefined> {
  const buffer = new Uint8Array(LONGEST_ANSWER);
  let length = 0;
  while (length < buffer.length) {
    const n = read(fd, buffer.subarray(length));
    if (n === -EAGAIN) {
      if (!await ready(fd, READABLE, end)) return undefined;
    } else if (n <= 0) return undefined;
    else {
      length += n;
      const line = buffer.subarray(0, length).indexOf(NEWLINE);
      if (line >= 0) return userOf(latin1(buffer.subarray(0, line)));
    }
  }
  return undefined;
}

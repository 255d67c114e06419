/**
 * TCP sockets: nonblocking descriptors.
 *
 * @module
 */
import type { Bytes } from "../bytes.ts";
import { close } from "./descriptors.ts";
import { check, isToBeRepeated, lastErrno } from "./errno.ts";
import { errorNumber, SysError } from "./errors.ts";
import { load } from "./libc.ts";

const lib = load({
  socket: { parameters: ["i32", "i32", "i32"], result: "i32" },
  bind: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  listen: { parameters: ["i32", "i32"], result: "i32" },
  accept4: { parameters: ["i32", "buffer", "buffer", "i32"], result: "i32" },
  connect: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  shutdown: { parameters: ["i32", "i32"], result: "i32" },
  getsockname: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
  getsockopt: {
    parameters: ["i32", "i32", "i32", "buffer", "buffer"],
    result: "i32",
  },
  setsockopt: {
    parameters: ["i32", "i32", "i32", "buffer", "u32"],
    result: "i32",
  },
  send: { parameters: ["i32", "buffer", "usize", "i32"], result: "i32" },
  ioctl: { parameters: ["i32", "usize", "buffer"], result: "i32" },
  inet_ntop: {
    parameters: ["i32", "buffer", "buffer", "u32"],
    result: "pointer",
  },
});

const AF_INET = 2;
const AF_INET6 = 10;
const SOCK_STREAM = 1;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
/** For recv(2) and send(2): this one call doesn't wait. */
export const MSG_DONTWAIT = 0x40;

/** The level of the options that every socket has. */
export const SOL_SOCKET = 1;
const SO_REUSEADDR = 2;
const SO_ERROR = 4;
const SO_KEEPALIVE = 9;
const SO_LINGER = 13;
const IPPROTO_IP = 0;
const IP_OPTIONS = 4;
const IPPROTO_TCP = 6;
const TCP_NODELAY = 1;
const TCP_KEEPIDLE = 4;
const IPPROTO_IPV6 = 41;
const IPV6_V6ONLY = 26;

const EALREADY = errorNumber("EALREADY");
const EINPROGRESS = errorNumber("EINPROGRESS");
const EISCONN = errorNumber("EISCONN");
const EIO = errorNumber("EIO");
const ETIMEDOUT = errorNumber("ETIMEDOUT");

/** One end of a connection: an address and a port. */
export interface Endpoint {
  /** The address as text; `::ffff:192.0.2.1` as `192.0.2.1`. */
  readonly ip: string;
  /** The port. */
  readonly port: number;
  /** Its `struct sockaddr_in` or `sockaddr_in6`. */
  readonly bytes: Bytes;
}

/** Room for any address's structure, and for its length. */
const scratch = new Uint8Array(128);
const scratchLength = new Uint32Array(1);
const scratchLengthBytes = new Uint8Array(scratchLength.buffer);
const text = new Uint8Array(64);

/** The address family with which a `struct sockaddr` begins. */
export function family(bytes: Uint8Array): number {
  return bytes[0]! | (bytes[1]! << 8);
}

function textOf(bytes: Uint8Array): string {
  if (family(bytes) === AF_INET) return bytes.subarray(4, 8).join(".");
  const address = bytes.subarray(8, 24);
  const mapped = address[10] === 0xff && address[11] === 0xff &&
    address.subarray(0, 10).every((byte) => byte === 0);
  if (mapped) return address.subarray(12).join(".");
  lib.inet_ntop(AF_INET6, address.slice(), text, text.length);
  const ip = new TextDecoder().decode(text.subarray(0, text.indexOf(0)));
  // A link-local address means nothing without its interface.
  const scope = new DataView(bytes.buffer, bytes.byteOffset)
    .getUint32(24, true);
  return scope > 0 ? `${ip}%${scope}` : ip;
}

/**
 * Makes an endpoint from a C structure.
 *
 * @param bytes A `struct sockaddr_in` or `sockaddr_in6`; it is copied
 * @param port A port to put into it
 */
export function endpoint(bytes: Uint8Array, port?: number): Endpoint {
  const copy = bytes.slice(0, family(bytes) === AF_INET ? 16 : 28) as Bytes;
  if (port !== undefined) {
    copy[2] = port >> 8;
    copy[3] = port & 255;
  }
  return {
    ip: textOf(copy),
    port: (copy[2]! << 8) | copy[3]!,
    bytes: copy,
  };
}

/**
 * The endpoint for any address of this machine.
 */
export function wildcardAddress(port: number): Endpoint {
  return address4([0, 0, 0, 0], port);
}

/**
 * The endpoint at which this machine reaches itself, 127.0.0.1.
 *
 * @param last The address's last number: on Linux all of 127.0.0.0/8 is local
 */
export function loopbackAddress(port: number, last = 1): Endpoint {
  return address4([127, 0, 0, last], port);
}

function address4(ip: readonly number[], port: number): Endpoint {
  const bytes = new Uint8Array(16);
  bytes[0] = AF_INET;
  bytes.set(ip, 4);
  return endpoint(bytes, port);
}

/**
 * Sets an option whose value is one number, or a few.
 *
 * @throws {SysError} When it can't be set
 */
export function setsockopt(
  fd: number,
  level: number,
  option: number,
  ...values: readonly number[]
): void {
  const value = new Uint8Array(new Int32Array(values).buffer);
  check(lib.setsockopt(fd, level, option, value, value.length));
}

/**
 * Reads an option whose value is one number, or a few.
 *
 * @param value Filled with the value
 * @returns Whether the kernel has the option
 */
export function getsockopt(
  fd: number,
  level: number,
  option: number,
  value: Uint32Array<ArrayBuffer>,
): boolean {
  const bytes = new Uint8Array(value.buffer);
  scratchLength[0] = bytes.length;
  return lib.getsockopt(fd, level, option, bytes, scratchLengthBytes) === 0;
}

/**
 * Makes a TCP socket of an endpoint's address family.
 *
 * @param like The endpoint
 * @returns The descriptor: nonblocking, and not inherited by other programs
 * @throws {SysError} `EMFILE`, `EAFNOSUPPORT`
 */
export function socket(like: Endpoint): number {
  return openSocket(family(like.bytes), SOCK_STREAM);
}

/**
 * Makes a socket.
 *
 * @param family Its address family, `AF_UNIX` for instance
 * @param type `SOCK_STREAM` or `SOCK_DGRAM`
 * @returns The descriptor: nonblocking, and not inherited by other programs
 * @throws {SysError} `EMFILE`, `EAFNOSUPPORT`
 */
export function openSocket(family: number, type: number): number {
  return check(lib.socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
}

/**
 * Gives a socket its local address and port. Bound to `::` it also takes IPv4
 * connections.
 *
 * @param local The endpoint; port 0 for any free port
 * @throws {SysError} `EADDRINUSE`, `EACCES`, `EADDRNOTAVAIL`
 */
export function bind(fd: number, local: Endpoint): void {
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, 1);
  if (family(local.bytes) === AF_INET6) {
    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
  }
  bindAddress(fd, local.bytes);
}

/**
 * Gives a socket a local address, and nothing else (bind(2)).
 *
 * @param address Its `struct sockaddr`
 * @throws {SysError} `EADDRINUSE`, `EACCES`, `EADDRNOTAVAIL`
 */
export function bindAddress(fd: number, address: Bytes): void {
  check(lib.bind(fd, address, address.length));
}

/**
 * Has a bound socket take connections.
 *
 * @param backlog How many may wait to be accepted
 * @throws {SysError} `EADDRINUSE`
 */
export function listen(fd: number, backlog: number): void {
  check(lib.listen(fd, backlog));
}

/** A connection that {@linkcode accept} took. */
export interface Accepted {
  /** Its descriptor, not inherited by other programs. */
  readonly fd: number;
  /** Its remote endpoint. */
  readonly remote: Endpoint;
}

/**
 * Takes the next connection. A failure is returned and not thrown, since a
 * server has to expect it.
 *
 * @param fd The listening socket
 * @param nonblocking Whether reads and writes of the connection return at once;
 * a program that gets the connection as its standard input expects them to wait
 * @returns The connection, or minus the error number: `EAGAIN` when there is
 * none
 */
export function accept(fd: number, nonblocking = true): Accepted | number {
  const flags = nonblocking ? SOCK_CLOEXEC | SOCK_NONBLOCK : SOCK_CLOEXEC;
  while (true) {
    scratchLength[0] = scratch.length;
    const connection = lib.accept4(fd, scratch, scratchLengthBytes, flags);
    if (connection >= 0) {
      return { fd: connection, remote: endpoint(scratch) };
    }
    const errno = lastErrno();
    if (!isToBeRepeated(errno)) return -errno;
  }
}

/**
 * Begins to connect.
 *
 * @returns 0 when it is connected, or minus the error number. After
 * `EINPROGRESS` the socket becomes writable when the attempt has ended, and
 * {@linkcode socketError} says how
 */
export function connect(fd: number, to: Endpoint): number {
  while (lib.connect(fd, to.bytes, to.bytes.length) < 0) {
    const errno = lastErrno();
    if (errno === EISCONN) return 0;
    // As begun by the call before.
    if (errno === EALREADY) return -EINPROGRESS;
    if (!isToBeRepeated(errno)) return -errno;
  }
  return 0;
}

/**
 * Connects, and waits until that has succeeded or failed.
 *
 * @param writable Waits until the socket is writable; returns `false` when that
 * takes too long
 * @returns `undefined` when it is connected; otherwise why it isn't:
 * `ETIMEDOUT` when `writable` returned `false`
 * @throws Whatever `writable` throws
 */
export async function connectAndWait(
  fd: number,
  to: Endpoint,
  writable: () => Promise<boolean>,
): Promise<SysError | undefined> {
  const errno = -connect(fd, to);
  if (errno === 0) return undefined;
  if (errno !== EINPROGRESS) return new SysError(errno);
  return await writable() ? socketError(fd) : new SysError(ETIMEDOUT);
}

/**
 * Takes the error that is pending at a socket (`SO_ERROR`, socket(7)).
 *
 * @returns The error, or `undefined` when there is none
 */
export function socketError(fd: number): SysError | undefined {
  const value = new Uint32Array(1);
  if (!getsockopt(fd, SOL_SOCKET, SO_ERROR, value)) check(-1);
  return value[0] === 0 ? undefined : new SysError(value[0]!);
}

/**
 * A socket's local address and port.
 *
 * @throws {SysError} When it is no socket
 */
export function getsockname(fd: number): Endpoint {
  scratchLength[0] = scratch.length;
  check(lib.getsockname(fd, scratch, scratchLengthBytes));
  return endpoint(scratch);
}

/**
 * Ends the sending half of a connection (shutdown(2)): the other side reads the
 * end of input.
 *
 * @throws {SysError} `ENOTCONN` when the connection is gone
 */
export function closeWrite(fd: number): void {
  check(lib.shutdown(fd, 1));
}

/**
 * How many of the bytes that were written the other side's kernel hasn't
 * acknowledged yet (`SIOCOUTQ`, tcp(7)). The end of input that
 * {@linkcode closeWrite} sends counts as one byte.
 */
export function unacknowledgedBytes(fd: number): number {
  const SIOCOUTQ = 0x5411n;
  const count = new Int32Array(1);
  lib.ioctl(fd, SIOCOUTQ, new Uint8Array(count.buffer));
  return count[0]!;
}

/**
 * Closes a connection with a reset, so that the other side's next read fails
 * instead of finding the end of input.
 */
export function closeWithReset(fd: number): void {
  const value = new Uint8Array(new Int32Array([1, 0]).buffer);
  lib.setsockopt(fd, SOL_SOCKET, SO_LINGER, value, value.length);
  close(fd);
}

/**
 * Sends small writes at once instead of collecting them for a moment.
 *
 * @param fd The socket; connections have this from their listening socket
 */
export function setNoDelay(fd: number): void {
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, 1);
}

/**
 * Has the kernel ask the other side of an idle connection whether it is still
 * there, so that a connection to a machine that has vanished fails.
 *
 * @param fd The socket; connections have this from their listening socket
 * @param seconds After how many seconds without a byte the kernel first asks
 */
export function setKeepAlive(fd: number, seconds: number): void {
  setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
  setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, seconds);
}

/**
 * Removes IP options, such as a source route, from a connection.
 */
export function dropOptions(fd: number): void {
  // This fails for an IPv6 socket, which has no such options.
  lib.setsockopt(fd, IPPROTO_IP, IP_OPTIONS, null, 0);
}

/**
 * Writes to a socket without waiting, and without making it nonblocking for
 * other programs that may share it.
 *
 * @returns How many bytes were written, or minus the error number
 */
export function sendNonblocking(fd: number, bytes: Bytes): number {
  const n = lib.send(fd, bytes, BigInt(bytes.length), MSG_DONTWAIT);
  if (n > 0 || (n === 0 && bytes.length === 0)) return n;
  // As in write(): what takes nothing and gives no reason would be tried for
  // ever.
  return n === 0 ? -EIO : -lastErrno();
}

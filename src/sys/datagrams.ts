/**
 * Datagram sockets, read many datagrams at a time.
 *
 * @module
 */
import type { Bytes } from "../bytes.ts";
import { close } from "./descriptors.ts";
import { isToBeRepeated, lastErrno } from "./errno.ts";
import { errorNumber, SysError } from "./errors.ts";
import { cString, load } from "./libc.ts";
import {
  bindAddress,
  type Endpoint,
  endpoint,
  family,
  getsockopt,
  MSG_DONTWAIT,
  openSocket,
  setsockopt,
  SOL_SOCKET,
} from "./sockets.ts";

const lib = load({
  recvmmsg: {
    parameters: ["i32", "buffer", "u32", "i32", "pointer"],
    result: "i32",
  },
});

const AF_UNIX = 1;
const SOCK_DGRAM = 2;
const SO_RCVBUF = 8;
const SO_RCVBUFFORCE = 33;
const SO_RXQ_OVFL = 40;
const SO_MEMINFO = 55;
/**
 * The index of the number of dropped datagrams in what `SO_MEMINFO` returns.
 */
const SK_MEMINFO_DROPS = 8;

/** How many bytes the path of a `struct sockaddr_un` has, its NUL included. */
const PATH_LENGTH = 108;

/**
 * Makes a datagram socket with a name in the file system. There must be no file
 * of that name; the socket's mode is 0777 without the bits of the umask.
 *
 * @param path The name
 * @returns The socket: nonblocking, and not inherited by other programs
 * @throws {SysError} `ENAMETOOLONG` beyond 107 bytes, `EADDRINUSE` where the
 * name is taken, `ENOENT` where its directory is missing, `EACCES`
 */
export function bindUnix(path: string): number {
  const name = cString(path);
  if (name.length > PATH_LENGTH) {
    throw new SysError(errorNumber("ENAMETOOLONG"));
  }
  const address = new Uint8Array(2 + PATH_LENGTH);
  address[0] = AF_UNIX;
  address.set(name, 2);
  return bound(AF_UNIX, address);
}

/**
 * Makes a UDP socket that counts the datagrams which the kernel drops.
 *
 * @param local Its address and port
 * @param buffer The size of its receive buffer in bytes; the kernel may allow
 * less
 * @returns The socket: nonblocking, and not inherited by other programs
 * @throws {SysError} `EADDRINUSE`, `EADDRNOTAVAIL`, `EACCES`
 */
export function bindUdp(local: Endpoint, buffer: number): number {
  const fd = bound(family(local.bytes), local.bytes);
  try {
    // Only root may go beyond the system's limit (net.core.rmem_max).
    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, buffer);
  } catch (error) {
    if (!(error instanceof SysError)) throw error;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, buffer);
  }
  setsockopt(fd, SOL_SOCKET, SO_RXQ_OVFL, 1);
  return fd;
}

function bound(family: number, address: Bytes): number {
  const fd = openSocket(family, SOCK_DGRAM);
  try {
    bindAddress(fd, address);
    return fd;
  } catch (error) {
    close(fd);
    throw error;
  }
}

/**
 * The size of a `struct mmsghdr`, and its fields' offsets, in bytes (64 bit).
 */
const HEADER = 64;
const NAME = 0;
const NAME_LENGTH = 8;
const VECTOR = 16;
const VECTOR_COUNT = 24;
const CONTROL = 32;
const CONTROL_LENGTH = 40;
const LENGTH = 56;
/** The size of a `struct iovec`. */
const IOVEC = 16;
/** Room for an address: a `sockaddr_in6` has 28 bytes. */
const ADDRESS = 32;
/** Room for a control message that holds one number, and where that is. */
const CONTROL_ROOM = 24;
const CONTROL_VALUE = 16;

/**
 * Receives a socket's datagrams, many in one call, into one block of memory.
 */
export class DatagramReader {
  /**
   * The block of memory. {@linkcode DatagramReader.start} says where in it a
   * datagram begins.
   */
  readonly bytes: Bytes;
  /** The largest number of datagrams that one call receives. */
  readonly most: number;
  readonly #fd: number;
  readonly #stride: number;
  readonly #headers: Bytes;
  readonly #words: Uint32Array<ArrayBuffer>;
  readonly #view: DataView;
  readonly #addresses: number;
  readonly #controls: number;
  readonly #data: number;
  readonly #info = new Uint32Array(SK_MEMINFO_DROPS + 1);
  #dropped = 0;

  /**
   * Allocates the memory.
   *
   * @param size How many bytes of a datagram are kept; the rest of it is lost
   * @param count How many datagrams one call may receive
   */
  constructor(fd: number, size: number, count = 256) {
    this.#fd = fd;
    this.most = count;
    // One unused byte after each datagram: the caller may mark its end there.
    this.#stride = size + 1;
    const vectors = count * HEADER;
    this.#addresses = vectors + count * IOVEC;
    this.#controls = this.#addresses + count * ADDRESS;
    this.#data = this.#controls + count * CONTROL_ROOM;
    this.bytes = new Uint8Array(this.#data + count * this.#stride);
    this.#headers = this.bytes.subarray(0, vectors);
    this.#words = new Uint32Array(this.bytes.buffer, 0, this.#data / 4);
    this.#view = new DataView(this.bytes.buffer);
    const base = Deno.UnsafePointer.value(
      Deno.UnsafePointer.of(this.bytes),
    );
    const point = (at: number, to: number) =>
      this.#view.setBigUint64(at, base + BigInt(to), true);
    for (let i = 0; i < count; i++) {
      const vector = vectors + i * IOVEC;
      point(i * HEADER + NAME, this.#addresses + i * ADDRESS);
      point(i * HEADER + VECTOR, vector);
      this.#words[(i * HEADER + VECTOR_COUNT) / 4] = 1;
      point(i * HEADER + CONTROL, this.#controls + i * CONTROL_ROOM);
      point(vector, this.start(i));
      this.#words[vector / 4 + 2] = size;
    }
  }

  /**
   * Receives the datagrams that have arrived, as many as there is room for.
   *
   * @returns How many datagrams, or minus the error number: `EAGAIN` when none
   * has arrived
   */
  receive(): number {
    const words = this.#words;
    for (let i = 0; i < this.most; i++) {
      // The last call has put the lengths of what it received there.
      words[(i * HEADER + NAME_LENGTH) / 4] = ADDRESS;
      words[(i * HEADER + CONTROL_LENGTH) / 4] = CONTROL_ROOM;
    }
    while (true) {
      const n = lib.recvmmsg(
        this.#fd,
        this.#headers,
        this.most,
        MSG_DONTWAIT,
        null,
      );
      const errno = n < 0 ? lastErrno() : 0;
      if (n > 0) this.#readDropped(n - 1);
      if (n < this.most) this.#askDropped();
      if (n >= 0) return n;
      if (!isToBeRepeated(errno)) return -errno;
    }
  }

  #readDropped(last: number): void {
    if (this.#words[(last * HEADER + CONTROL_LENGTH) / 4] === 0) return;
    const at = this.#controls + last * CONTROL_ROOM + CONTROL_VALUE;
    this.#dropped = this.#words[at / 4]!;
  }

  /**
   * Asks the kernel for the number of dropped datagrams. A received datagram
   * carries the count of those dropped before it, so those dropped after the
   * last one would stay unknown until another comes. Kernels before 4.12 have
   * no answer.
   */
  #askDropped(): void {
    const info = this.#info;
    if (getsockopt(this.#fd, SOL_SOCKET, SO_MEMINFO, info)) {
      this.#dropped = info[SK_MEMINFO_DROPS]!;
    }
  }

  /**
   * How many datagrams the kernel has dropped since the socket was made,
   * because its receive buffer was full; after 2^32 it starts again at 0. It is
   * complete when {@linkcode DatagramReader.receive} has just returned less
   * than `most`.
   */
  get dropped(): number {
    return this.#dropped;
  }

  /**
   * Where in {@linkcode DatagramReader.bytes} a datagram begins. The byte after
   * its last one is free for the caller's use.
   *
   * @param i Which of those that the last call received, from 0
   */
  start(i: number): number {
    return this.#data + i * this.#stride;
  }

  /**
   * A datagram's length in bytes.
   *
   * @param i Which of those that the last call received, from 0
   */
  length(i: number): number {
    return this.#words[(i * HEADER + LENGTH) / 4]!;
  }

  /**
   * A number that identifies a sender's IPv4 address. (For IPv6 use
   * {@linkcode DatagramReader.sender}.)
   *
   * @param i Which of those that the last call received, from 0
   */
  senderKey(i: number): number {
    return this.#words[(this.#addresses + i * ADDRESS) / 4 + 1]!;
  }

  /**
   * A datagram's sender.
   *
   * @param i Which of those that the last call received, from 0
   */
  sender(i: number): Endpoint {
    const at = this.#addresses + i * ADDRESS;
    return endpoint(this.bytes.subarray(at, at + ADDRESS));
  }
}

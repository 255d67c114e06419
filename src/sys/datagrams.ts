/**
 * Datagram sockets, read many datagrams at a time.
 *
 * @module
 */
import type { Bytes } from "../bytes.ts";
import { close } from "./descriptors.ts";
import { check, lastErrno } from "./errno.ts";
import { errorNumber, SysError } from "./errors.ts";
import { cString, load } from "./libc.ts";
import {
  type Endpoint,
  endpoint,
  family,
  openSocket,
  setsockopt,
  SOL_SOCKET,
} from "./sockets.ts";

const lib = load({
  bind: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  getsockopt: {
    parameters: ["i32", "i32", "i32", "buffer", "buffer"],
    result: "i32",
  },
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
/** Where in what it tells the number of dropped datagrams is. */
const SK_MEMINFO_DROPS = 8;
const MSG_DONTWAIT = 0x40;

const EINTR = errorNumber("EINTR");

/** How many bytes the path of a `struct sockaddr_un` has, its NUL included. */
const PATH_LENGTH = 108;

/**
 * Makes a datagram socket with a name in the file system. The name must be
 * free; its mode is what the umask leaves of 0777.
 *
 * @param path The name
 * @returns The socket, which doesn't wait and isn't inherited
 * @throws {SysError} `ENAMETOOLONG` beyond 107 bytes, `EADDRINUSE` where there
 * is a file, `ENOENT` where there is no folder, `EACCES`
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
 * Makes a UDP socket that counts what the kernel has to drop.
 *
 * @param local Its address and port
 * @param buffer How many bytes may wait in it; the kernel may allow less
 * @returns The socket, which doesn't wait and isn't inherited
 * @throws {SysError} `EADDRINUSE`, `EADDRNOTAVAIL`, `EACCES`
 */
export function bindUdp(local: Endpoint, buffer: number): number {
  const fd = bound(family(local.bytes), local.bytes);
  try {
    // Beyond the system's limit for others, which only root may.
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
    check(lib.bind(fd, address, address.length));
    return fd;
  } catch (error) {
    close(fd);
    throw error;
  }
}

/** Bytes of a `struct mmsghdr`, and where in it the fields are (64 bit). */
const HEADER = 64;
const NAME = 0;
const NAME_LENGTH = 8;
const VECTOR = 16;
const VECTOR_COUNT = 24;
const CONTROL = 32;
const CONTROL_LENGTH = 40;
const LENGTH = 56;
/** Bytes of a `struct iovec`. */
const IOVEC = 16;
/** Room for an address: a `sockaddr_in6` has 28 bytes. */
const ADDRESS = 32;
/** Room for a control message with one number in it, which is at its end. */
const CONTROL_ROOM = 24;
const CONTROL_VALUE = 16;

/** A socket's datagrams, received many in one call, into one memory. */
export class DatagramReader {
  /** What was received; see {@linkcode DatagramReader.start}. */
  readonly bytes: Bytes;
  /** How many datagrams one call receives at the most. */
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
   * Makes one.
   *
   * @param size How many bytes of a datagram are wanted; the rest of it is lost
   * @param count How many datagrams one call may receive
   */
  constructor(fd: number, size: number, count = 256) {
    this.#fd = fd;
    this.most = count;
    // A byte of its own after each, for whoever wants to mark its end.
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
   * Receives what is there, as far as there is room.
   *
   * @returns How many datagrams, or minus the error number: `EAGAIN` when there
   * is none
   */
  receive(): number {
    const words = this.#words;
    for (let i = 0; i < this.most; i++) {
      // The kernel has put the lengths of what it received there.
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
      if (errno !== EINTR) return -errno;
    }
  }

  #readDropped(last: number): void {
    if (this.#words[(last * HEADER + CONTROL_LENGTH) / 4] === 0) return;
    const at = this.#controls + last * CONTROL_ROOM + CONTROL_VALUE;
    this.#dropped = this.#words[at / 4]!;
  }

  /**
   * Those too that were dropped after the newest one that was received: nothing
   * may come any more to tell of them. Kernels before 4.12 don't know.
   */
  #askDropped(): void {
    const info = this.#info;
    const length = new Uint32Array([info.byteLength]);
    const result = lib.getsockopt(
      this.#fd,
      SOL_SOCKET,
      SO_MEMINFO,
      new Uint8Array(info.buffer),
      new Uint8Array(length.buffer),
    );
    if (result === 0) this.#dropped = info[SK_MEMINFO_DROPS]!;
  }

  /**
   * How many datagrams the kernel has dropped since the socket was made: its
   * buffer was full. It is the count after {@linkcode DatagramReader.receive}
   * has found less than there was room for. It begins again after 2^32.
   */
  get dropped(): number {
    return this.#dropped;
  }

  /**
   * Where in {@linkcode DatagramReader.bytes} a datagram begins. The byte after
   * its last one is nobody's.
   *
   * @param i Which of those that the last call received, from 0
   */
  start(i: number): number {
    return this.#data + i * this.#stride;
  }

  /**
   * How many bytes of it there are.
   *
   * @param i Which of those that the last call received, from 0
   */
  length(i: number): number {
    return this.#words[(i * HEADER + LENGTH) / 4]!;
  }

  /**
   * A number that is the same for the same IPv4 address. (An IPv6 sender's
   * address is asked for with {@linkcode DatagramReader.sender}.)
   *
   * @param i Which of those that the last call received, from 0
   */
  senderKey(i: number): number {
    return this.#words[(this.#addresses + i * ADDRESS) / 4 + 1]!;
  }

  /**
   * Who has sent it.
   *
   * @param i Which of those that the last call received, from 0
   */
  sender(i: number): Endpoint {
    const at = this.#addresses + i * ADDRESS;
    return endpoint(this.bytes.subarray(at, at + ADDRESS));
  }
}

/**
 * Senders of datagrams, for tests: what Deno's stable sockets can't do.
 *
 * @module
 */
import { encode } from "../../src/bytes.ts";

const lib = Deno.dlopen("libc.so.6", {
  socket: { parameters: ["i32", "i32", "i32"], result: "i32" },
  connect: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  send: { parameters: ["i32", "buffer", "usize", "i32"], result: "i32" },
  close: { parameters: ["i32"], result: "i32" },
}).symbols;

const AF_UNIX = 1;
const AF_INET = 2;
const SOCK_DGRAM = 2;
const MSG_DONTWAIT = 0x40;

/** A socket from which datagrams are sent to one place. */
export class DatagramSender implements Disposable {
  readonly #fd: number;

  private constructor(family: number, address: Uint8Array<ArrayBuffer>) {
    this.#fd = lib.socket(family, SOCK_DGRAM, 0);
    if (lib.connect(this.#fd, address, address.length) !== 0) {
      throw new Error("unable to connect");
    }
  }

  /** To a socket in the file system. */
  static unix(path: string): DatagramSender {
    const address = new Uint8Array(110);
    address[0] = AF_UNIX;
    address.set(encode(path), 2);
    return new DatagramSender(AF_UNIX, address);
  }

  /** To a UDP port of this machine. */
  static udp(port: number): DatagramSender {
    const address = new Uint8Array(16);
    address.set([AF_INET, 0, port >> 8, port & 255, 127, 0, 0, 1]);
    return new DatagramSender(AF_INET, address);
  }

  /**
   * Sends one datagram.
   *
   * @returns Whether the kernel took it
   */
  send(datagram: string | Uint8Array, wait = true): boolean {
    const bytes = typeof datagram === "string"
      ? encode(datagram)
      : Uint8Array.from(datagram);
    const n = BigInt(bytes.length);
    return lib.send(this.#fd, bytes, n, wait ? 0 : MSG_DONTWAIT) >= 0;
  }

  [Symbol.dispose](): void {
    lib.close(this.#fd);
  }
}

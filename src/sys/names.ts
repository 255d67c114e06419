/**
 * Names of hosts and services. What may ask a name server waits in a thread
 * of its own, or here where no thread can be had.
 *
 * @module
 */
import { type Bytes, latin1 } from "../bytes.ts";
import { cString, load } from "./libc.ts";
import { type Endpoint, endpoint } from "./sockets.ts";
import { hasThread, inThread } from "./runtime.ts";

const GETADDRINFO = {
  name: "getaddrinfo",
  parameters: ["buffer", "buffer", "buffer", "buffer"],
  result: "i32",
} as const;
const GETNAMEINFO = {
  name: "getnameinfo",
  parameters: ["buffer", "u32", "buffer", "u32", "buffer", "u32", "i32"],
  result: "i32",
} as const;

const lib = load({
  addresses: GETADDRINFO,
  addressesAside: { ...GETADDRINFO, nonblocking: true },
  name: GETNAMEINFO,
  nameAside: { ...GETNAMEINFO, nonblocking: true },
  freeaddrinfo: { parameters: ["pointer"], result: "void" },
  getservbyname: { parameters: ["buffer", "buffer"], result: "pointer" },
});

const STREAM = 1;
const AI_NUMERICHOST = 4;
const NI_NAMEREQD = 8;
const EAI_AGAIN = -3;

/** A name server didn't answer: asked later, it may. */
export class TemporaryNameError extends Error {
  override name = "TemporaryNameError";
}

/** What another thread reads, which the garbage collector doesn't know. */
const inUse = new Set<unknown>();

/** Keeps what a call in another thread uses until it is done. */
async function keeping<T>(
  args: unknown,
  call: () => T | Promise<T>,
): Promise<T> {
  inUse.add(args);
  try {
    return await call();
  } finally {
    inUse.delete(args);
  }
}

function hints(flags: number): Bytes {
  return new Uint8Array(
    new Int32Array([flags, 0, STREAM, 0, ...Array(8).fill(0)]).buffer,
  );
}

function endpoints(list: bigint, port: number): Endpoint[] {
  const first = Deno.UnsafePointer.create(list);
  const found: Endpoint[] = [];
  for (let at = first; at !== null;) {
    const info = new Deno.UnsafePointerView(at);
    const length = info.getUint32(16);
    const address = info.getPointer(24)!;
    const bytes = new Deno.UnsafePointerView(address).getArrayBuffer(length);
    found.push(endpoint(new Uint8Array(bytes), port));
    at = info.getPointer(40);
  }
  lib.freeaddrinfo(first);
  return found;
}

/**
 * The addresses of a host. One that is written as a number needs no name
 * server, and the machine's own file of hosts is asked before any.
 *
 * @param host Its name, or an IPv4 or IPv6 address
 * @param port The port for the endpoints
 * @returns Its endpoints, in the order in which to try them; none when there
 * is no such host
 * @throws {TemporaryNameError} When no name server answers
 */
export async function getaddrinfo(
  host: string,
  port: number,
): Promise<Endpoint[]> {
  if (host === "" || host.includes("\0")) return [];
  const name = cString(host);
  const out = new BigUint64Array(1);
  const list = new Uint8Array(out.buffer);
  if (lib.addresses(name, null, hints(AI_NUMERICHOST), list) === 0) {
    return endpoints(out[0]!, port);
  }
  const args = [name, null, hints(0), list] as const;
  const code = await keeping(
    args,
    () =>
      hasThread()
        ? inThread(() => lib.addressesAside(...args))
        : lib.addresses(...args),
  );
  if (code === EAI_AGAIN) throw new TemporaryNameError(host);
  return code === 0 ? endpoints(out[0]!, port) : [];
}

/**
 * The name of the host that has an address.
 *
 * @param of The address; its port doesn't matter
 * @returns The name, or `undefined` where it has none or nobody answers; what
 * isn't printable ASCII is none
 */
export async function getnameinfo(of: Endpoint): Promise<string | undefined> {
  const name = new Uint8Array(1025);
  const { length } = of.bytes;
  const args = [
    of.bytes,
    length,
    name,
    name.length,
    null,
    0,
    NI_NAMEREQD,
  ] as const;
  const code = await keeping(
    args,
    () =>
      hasThread() ? inThread(() => lib.nameAside(...args)) : lib.name(...args),
  );
  if (code !== 0) return undefined;
  const text = latin1(name.subarray(0, name.indexOf(0)));
  return /^[!-~]+$/.test(text) ? text : undefined;
}

/**
 * The number of a TCP port.
 *
 * @param name Its number or its name, such as `"syslog"`
 * @returns The number, or `undefined` where there is none
 */
export function parsePort(name: string): number | undefined {
  if (/^\d+$/.test(name)) {
    const port = Number(name);
    return port < 65536 ? port : undefined;
  }
  if (name.includes("\0")) return undefined;
  const entry = lib.getservbyname(cString(name), cString("tcp"));
  if (entry === null) return undefined;
  const port = new Deno.UnsafePointerView(entry).getUint16(16);
  return ((port & 255) << 8) | (port >> 8);
}

/**
 * Names of hosts and services. A call that may ask a name server runs in
 * another thread; only when the system starts no thread does this one wait.
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

/** No name server has answered; a later try may succeed. */
export class TemporaryNameError extends Error {
  override name = "TemporaryNameError";
}

/**
 * The arguments of calls in other threads. The garbage collector doesn't know
 * that these threads use them.
 */
const inUse = new Set<unknown>();

/** Keeps a call's arguments in memory until the call has returned. */
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
 * Looks up the addresses of a host (getaddrinfo(3)): an address needs no name
 * server, and `/etc/hosts` is read before one is asked.
 *
 * @param host Its name, or an IPv4 or IPv6 address
 * @param port The port for the endpoints
 * @returns Its endpoints, in the order in which to try them; an empty array
 * when there is no such host
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
 * Looks up the name of the host that has an address (getnameinfo(3)).
 *
 * @param of The address; its port doesn't matter
 * @returns The name, or `undefined` when the address has none, no name server
 * answers, or the name isn't printable ASCII
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
 * @param name Its number, or its name in `/etc/services`, such as `"smtp"`
 * @returns The number, or `undefined` when there is no such port
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

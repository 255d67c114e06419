/**
 * A network of two machines on this one: two network namespaces, and a wire
 * between them that does to packets what it is told: lose, delay, reorder,
 * slow down, swallow. It needs nothing of the kernel but namespaces and tun
 * devices, which take packets from, and give them to, a program: this one.
 *
 * @module
 */
import type { Bytes } from "../../src/bytes.ts";
import { close, read, write } from "../../src/sys/descriptors.ts";
import { cString } from "../../src/sys/libc.ts";
import { Poller, READABLE } from "../../src/sys/poll.ts";
import { installed } from "../tools.ts";

/** What a wire does to packets. */
export interface Conditions {
  /** How many of all packets are lost, 0 to 1. */
  loss: number;
  /** How long each way takes, in milliseconds. */
  delay: number;
  /** By how much that differs, so that packets overtake each other. */
  jitter: number;
  /** Bytes in a second, each way; 0 for as many as come. */
  rate: number;
  /** Which packets vanish: those to the server, those to the client. */
  swallow: "none" | "to server" | "to client" | "all";
}

/** One of the two machines. */
export interface Machine {
  /** Its network namespace. */
  readonly namespace: string;
  /** Its address. */
  readonly address: string;
}

/** More packets than these don't wait for a slow wire, but are lost. */
const QUEUE = 200;
const PACKET = 2048;
/** How long the event loop may be kept from turning, in packets. */
const BURST = 64;

/** `TUNSETIFF`: makes an open `/dev/net/tun` an interface. */
const TUNSETIFF = 0x400454ca;
const IFF_TUN = 0x0001;
const IFF_NO_PI = 0x1000;
const O_RDWR = 2;
const O_NONBLOCK = 0o4000;
const O_CLOEXEC = 0o2000000;

/** A packet on its way. */
interface Packet {
  due: number;
  to: number;
  bytes: Bytes;
}

function command(...words: string[]): void {
  const { success, stderr } = new Deno.Command(words[0]!, {
    args: words.slice(1),
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).outputSync();
  if (success) return;
  const said = new TextDecoder().decode(stderr).trim();
  throw new Error(`${words.join(" ")}: ${said}`);
}

function makeInterface(name: string): number {
  const libc = Deno.dlopen("libc.so.6", {
    open: { parameters: ["buffer", "i32"], result: "i32" },
    ioctl: { parameters: ["i32", "usize", "buffer"], result: "i32" },
  });
  const flags = O_RDWR | O_NONBLOCK | O_CLOEXEC;
  const fd = libc.symbols.open(cString("/dev/net/tun"), flags);
  if (fd < 0) throw new Error("unable to open /dev/net/tun");
  try {
    const request = new Uint8Array(40);
    new TextEncoder().encodeInto(name, request);
    new DataView(request.buffer).setUint16(16, IFF_TUN | IFF_NO_PI, true);
    if (libc.symbols.ioctl(fd, BigInt(TUNSETIFF), request) < 0) {
      throw new Error(`unable to make the interface ${name}`);
    }
    return fd;
  } catch (error) {
    close(fd);
    throw error;
  } finally {
    libc.close();
  }
}

let wires = 0;

/** A network of a client's and a server's machine. */
export class Wire implements AsyncDisposable {
  /** What it does to packets; to be changed at any time. */
  readonly conditions: Conditions = {
    loss: 0,
    delay: 0,
    jitter: 0,
    rate: 0,
    swallow: "none",
  };
  /** Where the clients are. */
  readonly client: Machine;
  /** Where the server is. */
  readonly server: Machine;
  /** How many packets have come, and how many have not gone on. */
  readonly packets = { seen: 0, lost: 0 };
  readonly #random: () => number;
  /** The interfaces: the client's, the server's. */
  readonly #fds: number[] = [];
  readonly #poller = new Poller(2);
  readonly #queue: Packet[] = [];
  /** Until when a slow wire is busy, each way. */
  readonly #busy = [0, 0];
  readonly #buffer: Bytes = new Uint8Array(PACKET);
  #pumping: Promise<void> = Promise.resolve();
  #closed = false;

  /**
   * Lays it. Only root may, and not everywhere.
   *
   * @param random What decides on lost packets
   */
  constructor(random: () => number = Math.random) {
    this.#random = random;
    // Every process has its own, and what one has left behind is found.
    const name = `logferry-${Deno.pid}-${++wires}`;
    this.client = { namespace: `${name}-c`, address: "10.99.0.1" };
    this.server = { namespace: `${name}-s`, address: "10.99.0.2" };
    try {
      for (const machine of [this.client, this.server]) {
        const { namespace, address } = machine;
        const device = `lf${Deno.pid}${machine === this.client ? "c" : "s"}` +
          wires;
        command("ip", "netns", "add", namespace);
        this.#fds.push(makeInterface(device));
        command("ip", "link", "set", device, "netns", namespace);
        const inside = ["ip", "-n", namespace];
        command(...inside, "addr", "add", `${address}/24`, "dev", device);
        command(...inside, "link", "set", "lo", "up");
        command(...inside, "link", "set", device, "up");
      }
    } catch (error) {
      this.#remove();
      throw error;
    }
    this.#fds.forEach((fd, i) => this.#poller.set(i, fd, READABLE));
    this.#pumping = this.#pump();
  }

  async #pump(): Promise<void> {
    while (!this.#closed) {
      const next = this.#queue[0]?.due;
      await this.#poller.wait(
        next === undefined ? -1 : Math.max(0, next - performance.now()),
      );
      let more = true;
      for (let i = 0; more && i < BURST; i++) {
        more = false;
        for (const from of [0, 1]) if (this.#take(from)) more = true;
        this.#deliver();
      }
    }
  }

  /** Takes one packet from a machine. */
  #take(from: number): boolean {
    const n = read(this.#fds[from]!, this.#buffer);
    if (n <= 0) return false;
    const { loss, delay, jitter, rate, swallow } = this.conditions;
    const now = performance.now();
    this.packets.seen++;
    const gone = swallow === "all" ||
      swallow === (from === 0 ? "to server" : "to client");
    if (
      gone || this.#random() < loss ||
      (this.#queue.length >= QUEUE && rate > 0)
    ) {
      this.packets.lost++;
      return true;
    }
    let due = now;
    if (rate > 0) {
      const free = Math.max(now, this.#busy[from]!) + 1000 * n / rate;
      this.#busy[from] = free;
      due = free;
    }
    due += delay + jitter * this.#random();
    const packet = { due, to: 1 - from, bytes: this.#buffer.slice(0, n) };
    // Nearly always the last: looked for from the end.
    let at = this.#queue.length;
    while (at > 0 && this.#queue[at - 1]!.due > due) at--;
    this.#queue.splice(at, 0, packet);
    return true;
  }

  #deliver(): void {
    const now = performance.now();
    while (this.#queue.length > 0 && this.#queue[0]!.due <= now) {
      const { to, bytes } = this.#queue.shift()!;
      // An interface that takes no more loses it, as real ones do.
      write(this.#fds[to]!, bytes);
    }
  }

  /** Makes it a good wire again. */
  heal(): void {
    Object.assign(this.conditions, {
      loss: 0,
      delay: 0,
      jitter: 0,
      rate: 0,
      swallow: "none",
    });
  }

  /**
   * Resets all connections between the two: the kernel aborts them, and tells
   * the other side.
   *
   * @param machine On which machine
   */
  reset(machine: Machine): void {
    try {
      command("ss", "-N", machine.namespace, "-K", "-t", "state", "connected");
    } catch {
      // There were none.
    }
  }

  /**
   * The words before a program that is to run on a machine.
   *
   * @param machine The machine
   * @returns The words; they become the program, and make no process
   */
  on(machine: Machine): string[] {
    return ["nsenter", `--net=/run/netns/${machine.namespace}`, "--"];
  }

  /** Removes it. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    this.#poller.wake();
    await this.#pumping;
    this.#poller.close();
    this.#remove();
  }

  #remove(): void {
    // The interfaces go with their descriptors.
    for (const fd of this.#fds) close(fd);
    for (const { namespace } of [this.client, this.server]) {
      try {
        command("ip", "netns", "del", namespace);
      } catch {
        // It was never made.
      }
    }
  }
}

/** Removes the namespaces of runs that were killed before they could. */
export function removeStaleWires(): void {
  let names: string[];
  try {
    names = [...Deno.readDirSync("/run/netns")].map(({ name }) => name);
  } catch {
    return;
  }
  for (const name of names) {
    const [, pid] = /^logferry-(\d+)-\d+-[cs]$/.exec(name) ?? [];
    if (pid === undefined) continue;
    try {
      Deno.statSync(`/proc/${pid}`);
    } catch {
      try {
        command("ip", "netns", "del", name);
      } catch {
        // Somebody else was faster.
      }
    }
  }
}

/**
 * Whether a wire can be laid here.
 */
export async function canWire(): Promise<boolean> {
  if (Deno.uid() !== 0 || Deno.build.os !== "linux") return false;
  if (!installed("ip") || !installed("nsenter")) return false;
  try {
    await using _wire = new Wire();
    return true;
  } catch {
    return false;
  }
}

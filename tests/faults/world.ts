/**
 * Both sides of a log's way: clients that log and send, and a server that
 * receives and logs, each kept running as by a supervisor, and what is between
 * them: a wire that can be cut, or the loopback interface.
 *
 *     client   feeder --pipe--> multilog --> tryto, socklog-tcp send
 *     server   socklog-tcp --pipe--> multilog
 *
 * The pipes are held open here, as svscan does: a program that is killed finds
 * its input where it was.
 *
 * @module
 */
import type { Bytes } from "../../src/bytes.ts";
import {
  close,
  pipe,
  roomInPipe,
  setNonblocking,
  setPipeSize,
  write,
} from "../../src/sys/descriptors.ts";
import { Disk } from "../disk.ts";
import {
  freePort,
  inCheckout,
  installed,
  killAll,
  type Process,
  processesIn,
  seeded,
  sleep,
} from "../tools.ts";
import {
  type Allowed,
  check,
  CLIENT_PIPE,
  type Findings,
  type LogFile,
} from "./checker.ts";
import { LineMaker } from "./lines.ts";
import { Service, SIGNALS } from "./service.ts";
import { Wire } from "./wire.ts";

/** Which programs are the originals. */
export interface Originals {
  /** The client's multilog. */
  clientLog?: boolean;
  /** tryto. */
  tryto?: boolean;
  /** tcpclient and cat in place of socklog-tcp send. */
  sender?: boolean;
  /** tcpserver and socklog in place of socklog-tcp. */
  server?: boolean;
  /** The server's multilog. */
  serverLog?: boolean;
}

/**
 * A client's processor: what it can't send is kept, and told of (`tryto -p`);
 * or it waits, with tryto's time limit or with none.
 */
export type Way = "tryto -p" | "tryto" | "send";

/** What a world is made of. */
export interface WorldOptions {
  /** Decides on lines, sizes and lost packets. */
  seed: number;
  /** How many clients there are. */
  clients: number;
  /** Whether a wire is laid, and the sides are machines of their own. */
  wired: boolean;
  /** Whether each side has a disk of its own, which can be full. */
  disks: boolean;
  /** Bytes of a client's file. */
  size: number;
  /** Bytes of a server's file. */
  serverSize: number;
  /** Whether the clients' lines have a time. */
  stamps: boolean;
  /** Bytes of the longest line. */
  longest: number;
  /** How many bytes each client's service writes in a second; 0: all it can. */
  rate: number;
  /** tryto's time limit, in seconds. */
  limit: number;
  /** Whether the server acknowledges, and the sender asks for it. */
  acknowledge: boolean;
  /** The first client's processor, the second one's, and so on. */
  ways: readonly Way[];
  /** Which programs are the originals. */
  originals: Originals;
  /** Whether multilog runs tryto and the sender inside itself, if it can. */
  inside: boolean;
  /** The folder of our executables. */
  executables: string;
  /** Lines after which a client's service has nothing more to say. */
  most: number;
}

/** What a world is made of unless it is said. */
export const USUAL: WorldOptions = {
  seed: 1,
  clients: 2,
  wired: false,
  disks: false,
  size: 16384,
  serverSize: 200000,
  stamps: false,
  longest: 1900,
  rate: 60000,
  limit: 5,
  acknowledge: true,
  ways: ["tryto -p"],
  originals: {},
  inside: true,
  executables: inCheckout("dist"),
  most: Infinity,
};

/** A client, or the server's half of it. */
export interface Side {
  /** The folder that it works in. */
  readonly folder: string;
  /** The folder of its log. */
  readonly log: string;
  /** Its disk, where it has one. */
  readonly disk: Disk | undefined;
}

/** A service that writes lines into a client's multilog. */
export interface Client extends Side {
  /** Its multilog. */
  readonly logger: Service;
  /** How many lines it has been given. */
  fed: number;
}

/** Who has been broken, for the checker. */
type Broken = Omit<Allowed, "clientKills"> & { clientKills: number[] };

const DISK = "24m";
/** How many bytes a client's service writes there, so that there is room. */
const MOST_ON_DISK = 5e6;
/** How many files may wait before a service that writes all it can pauses. */
const MOST_WAITING = 8;
/** How long an end may take, in seconds: two pauses, two tries, two limits. */
const PATIENCE = 60;

function link(from: string, to: string | undefined): void {
  if (to !== undefined) Deno.symlinkSync(to, from);
}

/** A file's size; `undefined` when there is none. */
function sizeOf(path: string): number | undefined {
  try {
    return Deno.statSync(path).size;
  } catch {
    return undefined;
  }
}

const worlds = new Set<World>();

/** Ends all worlds at once, for an end before the end. */
export async function closeAll(): Promise<void> {
  await Promise.all([...worlds].map((world) => world[Symbol.asyncDispose]()));
}

/** Both sides, running. */
export class World implements AsyncDisposable {
  readonly options: WorldOptions;
  /** The folder that everything is in. */
  readonly folder: string;
  readonly wire: Wire | undefined;
  readonly clients: Client[] = [];
  readonly server: Side & { receiver: Service; logger: Service };
  readonly lines: LineMaker;
  /** What has been broken so far. */
  readonly broken: Broken;
  /** How long a service has been kept waiting at the most, in seconds. */
  longestStall = 0;
  /** What was found besides lines that are not where they should be. */
  readonly violations: string[] = [];
  readonly #writers: number[] = [];
  #serverWriter: number;
  readonly #disks: Disk[] = [];
  readonly #feeding: Promise<void>[] = [];
  #feed = true;
  #closed = false;
  /** Whether what is in hand is never going to be read. */
  #unread = false;
  readonly #flushed: boolean[] = [];

  private constructor(options: WorldOptions, folder: string) {
    this.options = options;
    this.folder = folder;
    this.lines = new LineMaker(options.seed, options.longest);
    this.broken = {
      cuts: false,
      clientKills: new Array(options.clients).fill(0),
      serverLogKills: 0,
      unacknowledged: false,
      waits: Array.from(
        { length: options.clients },
        (_, number) => this.#wayOf(number) !== "tryto -p",
      ),
    };
    try {
      this.wire = options.wired
        ? new Wire(seeded(options.seed + 1))
        : undefined;
      this.#layPrograms();
      const port = this.wire ? 10116 : freePort();
      const address = this.wire ? this.wire.server.address : "127.0.0.1";
      this.#serverWriter = -1;
      const { server, writer } = this.#startServer(address, port);
      this.server = server;
      this.#serverWriter = writer;
      for (let i = 0; i < options.clients; i++) {
        this.#startClient(i, address, port);
      }
    } catch (error) {
      for (const disk of this.#disks) disk[Symbol.dispose]();
      throw error;
    }
  }

  /**
   * Makes a world, and waits until its server is there.
   *
   * @param options What it is made of
   * @returns The world
   */
  static async open(options: Partial<WorldOptions>): Promise<World> {
    const all = { ...USUAL, ...options };
    const folder = Deno.realPathSync(
      Deno.makeTempDirSync({ prefix: `logferry-faults-${Deno.pid}-` }),
    );
    let world: World;
    try {
      world = new World(all, folder);
    } catch (error) {
      killAll(processesIn(folder));
      Deno.removeSync(folder, { recursive: true });
      throw error;
    }
    worlds.add(world);
    await world.#listening();
    return world;
  }

  /** Programs have their usual names, whoever's they are. */
  #layPrograms(): void {
    const { originals, executables } = this.options;
    const bin = `${this.folder}/bin`;
    Deno.mkdirSync(bin);
    const ours = (name: string) => `${executables}/${name}`;
    link(`${bin}/socklog-tcp`, ours("socklog-tcp"));
    link(
      `${bin}/tryto`,
      originals.tryto ? installed("tryto") : ours("tryto"),
    );
    for (
      const [name, original] of [
        ["client", originals.clientLog],
        ["server", originals.serverLog],
      ] as const
    ) {
      Deno.mkdirSync(`${bin}/${name}`);
      link(
        `${bin}/${name}/multilog`,
        original ? installed("multilog") : ours("multilog"),
      );
    }
  }

  #env(): Record<string, string> {
    const path = Deno.env.get("PATH") ?? "/usr/bin:/bin";
    return { PATH: `${this.folder}/bin:${path}:/usr/sbin:/sbin` };
  }

  #makeSide(name: string): Side {
    const folder = `${this.folder}/${name}`;
    Deno.mkdirSync(folder);
    let disk: Disk | undefined;
    let log = `${folder}/main`;
    if (this.options.disks) {
      this.#disks.push(disk = new Disk(`${folder}/disk`, DISK));
      log = `${folder}/disk/main`;
    }
    return { folder, log, disk };
  }

  #startServer(address: string, port: number) {
    const { originals, acknowledge, serverSize } = this.options;
    const side = this.#makeSide("server");
    const { folder } = side;
    const on = this.wire ? this.wire.on(this.wire.server) : [];
    const { reader, writer } = pipe();
    const bin = `${this.folder}/bin`;
    const program = originals.server
      ? [
        installed("tcpserver")!,
        "-vHR",
        "-l0",
        address,
        `${port}`,
        "socklog",
        "ucspi",
      ]
      : [`${bin}/socklog-tcp`, "-vHR", "-l0"].concat(
        acknowledge ? ["-a"] : [],
        [address, `${port}`],
      );
    const logger = new Service("the server's multilog", {
      command: [
        `${bin}/server/multilog`,
        `s${serverSize}`,
        "n100000",
        side.log,
      ],
      folder,
      env: this.#env(),
      fds: new Map([[0, reader]]),
    });
    const receiver = new Service("the server", {
      command: [...on, ...program, "TCPREMOTEIP", "TCPREMOTEPORT"],
      folder,
      env: this.#env(),
      // The usual run script says `exec 2>&1`.
      fds: new Map([[1, writer], [2, writer]]),
    });
    this.#readers.push(reader);
    return { server: { ...side, receiver, logger }, writer };
  }

  readonly #readers: number[] = [];

  #wayOf(number: number): Way {
    const { ways } = this.options;
    return ways[number % ways.length]!;
  }

  #startClient(number: number, address: string, port: number): void {
    const { originals, acknowledge, stamps, size, limit, inside } =
      this.options;
    const side = this.#makeSide(`client-${number}`);
    const on = this.wire ? this.wire.on(this.wire.client) : [];
    const { reader, writer } = pipe();
    // What the services have said and nobody has read is not what is tested.
    setPipeSize(writer, CLIENT_PIPE);
    setNonblocking(writer, true);
    const sender = originals.sender
      ? `tcpclient -v -T 1+3 ${address} ${port} sh -c "cat >&7"`
      : `socklog-tcp send ${acknowledge ? "-a " : ""}-T 1+3 ${address} ${port}`;
    const way = this.#wayOf(number);
    const tries = way === "send" ? "" : `${way} -v -t${limit} -k1 -n2 `;
    const logger = new Service(`client ${"abcdefgh"[number]}'s multilog`, {
      command: [
        ...on,
        `${this.folder}/bin/client/multilog`,
        ...(stamps ? ["t"] : []),
        `s${size}`,
        "n100000",
        // A shell's own word leaves it to a shell, and to processes.
        `!${inside ? "" : "exec "}${tries}${sender}`,
        side.log,
      ],
      folder: side.folder,
      env: this.#env(),
      fds: new Map([[0, reader]]),
    });
    const client = { ...side, logger, fed: 0 };
    this.clients.push(client);
    this.#readers.push(reader);
    this.#writers.push(writer);
    this.#feeding.push(this.#feedClient(number));
  }

  /** Is the service: it writes whole lines, as much at once as there is room. */
  async #feedClient(number: number): Promise<void> {
    const client = this.clients[number]!;
    const writer = this.#writers[number]!;
    const { rate, longest, inside, disks } = this.options;
    const most = disks ? MOST_ON_DISK : Infinity;
    let total = 0;
    // Processes need seconds for what is sent inside in none.
    const mayPause = rate === 0 || !inside;
    const chunk: Bytes = new Uint8Array(32768);
    const begin = performance.now();
    let written = 0;
    let at = 0;
    let filled = 0;
    let moved = begin;
    while (
      !this.#closed && !this.#unread && (this.#feed || at < filled)
    ) {
      if (at === filled) {
        at = filled = 0;
        // Else the end of all would be a wait for megabytes.
        if (mayPause && waitingIn(client.log).length > MOST_WAITING) {
          await sleep(10);
          moved = performance.now();
          continue;
        }
        const allowed = rate > 0
          ? rate * (performance.now() - begin) / 1000 - written
          : Infinity;
        while (
          filled + longest < chunk.length && filled < allowed &&
          client.fed < this.options.most && total < most
        ) {
          const line = this.lines.line(number, client.fed++);
          chunk.set(line, filled);
          filled += line.length;
          total += line.length;
        }
        if (filled === 0) {
          if (client.fed >= this.options.most) return;
          await sleep(10);
          moved = performance.now();
          continue;
        }
      }
      const n = write(writer, chunk.subarray(at, filled));
      const now = performance.now();
      this.longestStall = Math.max(this.longestStall, (now - moved) / 1000);
      if (n > 0) {
        moved = now;
        at += n;
        written += n;
      } else await sleep(5);
      if (written > 4e6 && rate === 0) {
        written = 0;
        await sleep(0);
      }
    }
  }

  /** Waits until the server listens. */
  async #listening(): Promise<void> {
    const { folder, log } = this.server;
    for (let i = 0; i < 400; i++) {
      try {
        const text = Deno.readTextFileSync(`${log}/current`);
        if (/status: 0\//.test(text)) return;
      } catch {
        // Not yet.
      }
      await sleep(25);
    }
    const said = Deno.readTextFileSync(`${folder}/messages`);
    await this[Symbol.asyncDispose]();
    throw new Error(`the server doesn't listen: ${said}`);
  }

  /**
   * The processes of a client that come and go.
   *
   * @param client The client
   * @param what Which
   * @returns The processes, at this moment
   */
  passing(client: Client, what: "tryto" | "sender"): Process[] {
    return processesIn(client.folder).filter(({ words: [word = ""], name }) =>
      what === "tryto"
        ? /(^|\/)tryto$/.test(word)
        : /(^|\/)(socklog-tcp|tcpclient)$/.test(word) || name === "cat"
    );
  }

  /** How many lines there are so far. */
  fed(): number {
    return this.clients.reduce((sum, { fed }) => sum + fed, 0);
  }

  /**
   * Ends all in peace, and looks where every line is. All faults are over.
   *
   * @returns What was found
   */
  async finish(): Promise<Findings> {
    this.#feed = false;
    const late = Promise.withResolvers<void>();
    const timer = setTimeout(() => {
      this.violations.push("a client's multilog doesn't read any more");
      this.#unread = true;
      late.resolve();
    }, 1000 * PATIENCE);
    await Promise.race([Promise.all(this.#feeding), late.promise]);
    clearTimeout(timer);
    // What was killed comes back, and what was stopped goes on.
    await sleep(600);
    await Promise.all(this.clients.map((_, number) => this.#sendAll(number)));
    this.#writers.splice(0).forEach(close);
    for (const { logger, folder } of this.clients) {
      await this.#end(logger, folder);
    }
    await this.#orphans();
    this.#noneWaits();
    this.server.receiver.release();
    this.server.receiver.signal(SIGNALS.TERM);
    await this.#end(this.server.receiver, this.server.folder);
    close(this.#serverWriter);
    this.#serverWriter = -1;
    await this.#end(this.server.logger, this.server.folder);
    this.#readMessages();
    const findings = this.check();
    findings.violations.push(...this.violations);
    return findings;
  }

  /**
   * Has a client send what is in `current`, too, when it has read everything: it
   * may be pausing for a fault that is over, and what it reads later would be in
   * the next `current`.
   */
  async #sendAll(number: number): Promise<void> {
    const { logger, log } = this.clients[number]!;
    const end = performance.now() + 1000 * PATIENCE;
    while (!this.#unread && performance.now() < end) {
      const read = roomInPipe(this.#writers[number]!) >= CLIENT_PIPE;
      if (read && sizeOf(`${log}/current`) === 0) return;
      await logger.hears(SIGNALS.ALRM);
      if (read) logger.signal(SIGNALS.ALRM);
      await sleep(100);
    }
  }

  /** Waits for a program that has been told to end, and looks how it does. */
  async #end(service: Service, folder: string): Promise<void> {
    const { name } = service;
    if (!await service.gone(PATIENCE)) {
      const wchan = processesIn(folder).map(({ words }) => words.join(" "));
      this.violations.push(`${name} doesn't end; there is ${wchan.join("; ")}`);
      await service.destroy();
      return;
    }
    const ending = service.endings.at(-1);
    // The original server has no exit code of its own for TERM.
    if (ending === undefined || ending.code === 0) return;
    if (service === this.server.receiver && this.options.originals.server) {
      return;
    }
    this.violations.push(
      ending.signal === undefined
        ? `${name} ended with exit code ${ending.code}`
        : `${name} ended of signal ${ending.signal}`,
    );
  }

  /** All faults are over, so no file may be left that waits to be sent. */
  #noneWaits(): void {
    // The original leaves what it was killed with to whoever looks after it.
    if (this.options.originals.clientLog) return;
    for (const { logger, log } of this.clients) {
      const waiting = waitingIn(log);
      if (waiting.length === 0) continue;
      this.violations.push(
        `${logger.name} ended, and ${waiting.length} files wait: ${waiting[0]}`,
      );
    }
  }

  /** Waits for what a killed multilog has left behind. */
  async #orphans(): Promise<void> {
    const end = performance.now() + 1000 * PATIENCE;
    for (const { folder } of this.clients) {
      while (processesIn(folder).length > 0) {
        if (performance.now() > end) {
          const [one] = processesIn(folder);
          this.violations.push(`still there: ${one?.words.join(" ")}`);
          return;
        }
        await sleep(100);
      }
    }
  }

  /** Nobody may have said what only a programmer understands. */
  #readMessages(): void {
    const files = [this.server, ...this.clients].map(({ folder }) =>
      `${folder}/messages`
    );
    for (const path of files) {
      for (const line of Deno.readTextFileSync(path).split("\n")) {
        if (
          !/panicked|^\s+at .*:\d+|Uncaught|\.ts:\d|RUST_|Error: /.test(line)
        ) {
          continue;
        }
        this.violations.push(`it said: ${line}`);
      }
    }
  }

  /**
   * Looks where every line is, now.
   *
   * @returns What was found
   */
  check(): Findings {
    return check({
      lines: this.lines,
      fed: this.clients.map(({ fed }) => fed),
      address: this.wire?.client.address ?? "127.0.0.1",
      kept: this.clients.map(({ log }) => filesOf(log)),
      received: filesOf(this.server.log),
    }, this.broken);
  }

  /** Ends everything at once. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#feed = false;
    const services = [
      ...this.clients.map(({ logger }) => logger),
      this.server.receiver,
      this.server.logger,
    ];
    worlds.delete(this);
    await Promise.all(services.map((service) => service.destroy()));
    // A processor whose multilog was killed is in no session that is known.
    for (let i = 0; i < 50; i++) {
      const left = processesIn(this.folder);
      if (left.length === 0) break;
      killAll(left);
      await sleep(20);
    }
    await Promise.all(this.#feeding);
    this.#writers.splice(0).forEach(close);
    this.#readers.splice(0).forEach(close);
    if (this.#serverWriter >= 0) close(this.#serverWriter);
    await this.wire?.[Symbol.asyncDispose]();
    for (const disk of this.#disks) disk[Symbol.dispose]();
    Deno.removeSync(this.folder, { recursive: true });
  }
}

/** The files of a log that wait to be sent, if it is there. */
function waitingIn(log: string): string[] {
  try {
    return [...Deno.readDirSync(log)].map(({ name }) => name)
      .filter((name) => /^@.*\.u$/.test(name));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}

/** The files of a log with lines in them, in their order. */
function* filesOf(log: string): Generator<LogFile> {
  const names = [...Deno.readDirSync(log)].map(({ name }) => name);
  const old = names.filter((name) => name.startsWith("@")).sort();
  // What is in neither is there besides: the checker then finds it twice.
  const open = ["previous", "current"].filter((name) => names.includes(name));
  for (const name of [...old, ...open]) {
    yield { name, bytes: Deno.readFileSync(`${log}/${name}`) };
  }
}

/**
 * What is broken, and how.
 *
 * @module
 */
import { kill } from "../../src/sys/process.ts";
import { installed, type Process, sleep } from "../tools.ts";
import { SIGNALS } from "./service.ts";
import type { Client, World } from "./world.ts";

/** What a fault can't do without. */
export type Requirement = "wire" | "disks" | "strace" | "ss" | "pids" | "clock";

/** One way to break things. */
export interface Fault {
  /** What `--only` calls it. */
  readonly name: string;
  /** What it can't do without. */
  readonly needs: readonly Requirement[];
  /**
   * Breaks things, and mends them when the time is over. It tells the world
   * what that excuses, before it does it.
   *
   * @param world What is broken
   * @param random What decides on the details
   * @param milliseconds How long
   * @returns What was done, in a few words
   */
  run(
    world: World,
    random: () => number,
    milliseconds: number,
  ): Promise<string>;
}

/** The processes that can be killed or stopped, by the names they have here. */
const VICTIMS = [
  "server",
  "server-multilog",
  "multilog",
  "tryto",
  "sender",
] as const;
type Victim = typeof VICTIMS[number];

function some<T>(list: readonly T[], random: () => number): T {
  return list[Math.floor(random() * list.length)]!;
}

/** Sends a signal to whoever has a name now; who that was, or nobody. */
function send(
  world: World,
  victim: Victim,
  signal: keyof typeof SIGNALS,
  random: () => number,
): number[] {
  const number = SIGNALS[signal];
  const kills = signal === "KILL";
  const { broken, server, clients, options } = world;
  const client = some(clients, random);
  switch (victim) {
    case "server":
      broken.cuts = true;
      if (kills && !options.acknowledge) broken.unacknowledged = true;
      // The original is a process for each connection, and they go together.
      if (options.originals.server && server.receiver.pid > 0) {
        kill(-server.receiver.pid, number);
        return [server.receiver.pid];
      }
      return server.receiver.signal(number) ? [server.receiver.pid] : [];
    case "server-multilog":
      // The server waits for it, and a sender only as long as it may.
      if (signal !== "TERM") broken.cuts = true;
      if (!server.logger.signal(number)) return [];
      if (kills) broken.serverLogKills++;
      return [server.logger.pid];
    case "multilog":
      if (!client.logger.signal(number)) return [];
      if (kills) broken.clientKills[clients.indexOf(client)]!++;
      return [client.logger.pid];
    default: {
      broken.cuts = true;
      const there = clients.flatMap((one) => world.passing(one, victim));
      if (there.length === 0) return [];
      const { pid } = some<Process>(there, random);
      try {
        Deno.kill(pid, `SIG${signal}`);
      } catch {
        return [];
      }
      return [pid];
    }
  }
}

function times(n: number): string {
  return n === 1 ? "once" : `${n} times`;
}

function ending(victim: Victim, signal: "KILL" | "TERM"): Fault {
  return {
    name: `${signal.toLowerCase()} ${victim}`,
    needs: [],
    async run(world, random, milliseconds) {
      const end = performance.now() + milliseconds;
      let done = 0;
      while (performance.now() < end) {
        const hit = send(world, victim, signal, random);
        done += hit.length;
        await sleep(hit.length ? 200 + 800 * random() : 5);
      }
      return times(done);
    },
  };
}

function stopping(victim: Victim): Fault {
  return {
    name: `stop ${victim}`,
    needs: [],
    async run(world, random, milliseconds) {
      const end = performance.now() + milliseconds;
      let stopped: number[] = [];
      while (stopped.length === 0 && performance.now() < end) {
        stopped = send(world, victim, "STOP", random);
        await sleep(5);
      }
      await sleep(Math.max(end - performance.now(), 500));
      for (const pid of stopped) {
        // All of its group, where it leads one: the original server's children.
        if (!kill(-pid, SIGNALS.CONT)) kill(pid, SIGNALS.CONT);
      }
      return stopped.length ? "once" : "nobody was there";
    },
  };
}

/** Something about the network, for a while. */
function network(
  name: string,
  break_: (world: World, random: () => number) => void,
  mend: (world: World) => void,
): Fault {
  return {
    name,
    needs: ["wire"],
    async run(world, random, milliseconds) {
      world.broken.cuts = true;
      const { packets } = world.wire!;
      const before = packets.lost;
      break_(world, random);
      await sleep(milliseconds);
      mend(world);
      return `${packets.lost - before} packets lost`;
    },
  };
}

function full(side: "client" | "server"): Fault {
  return {
    name: `full disk ${side}`,
    needs: ["disks"],
    async run(world, random, milliseconds) {
      const of = side === "server" ? world.server : some(world.clients, random);
      if (side === "server") world.broken.cuts = true;
      of.disk!.fill("filler");
      await sleep(milliseconds);
      of.disk!.remove("filler");
      return "once";
    },
  };
}

/** A program that does something to another as long as it runs. */
async function during(
  words: readonly string[],
  milliseconds: number,
): Promise<void> {
  const child = new Deno.Command(words[0]!, {
    args: words.slice(1),
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
  const timer = setTimeout(() => {
    try {
      // It lets go of the other, and ends.
      child.kill("SIGTERM");
    } catch {
      // It has ended: the other has.
    }
  }, milliseconds);
  await child.status;
  clearTimeout(timer);
}

/** Lets a live multilog's calls on its log go wrong, by strace. */
function calls(
  name: string,
  side: "client" | "server",
  inject: string,
  which: string,
): Fault {
  return {
    name,
    needs: ["strace"],
    async run(world, random, milliseconds) {
      const of = side === "server" ? world.server : some(world.clients, random);
      if (side === "server") world.broken.cuts = true;
      const { pid } = of.logger;
      if (pid === 0) return "nobody was there";
      // Only what is in the log: the runtime's own pipes are nobody's disk.
      const paths = ["current", "previous", "processed", "state", "newstate"]
        .flatMap((file) => ["-P", `${of.log}/${file}`]);
      await during(
        ["strace", "-f", "-qq", "-o", "/dev/null", "-p", `${pid}`]
          .concat("-P", of.log, paths)
          .concat("-e", `trace=${which}`)
          .concat("-e", `inject=${which}:${inject}`),
        milliseconds,
      );
      return "once";
    },
  };
}

/** A program that has so many descriptors has begun its work. */
const STARTED = 16;

/** How many descriptors a process has; 0 when it isn't there. */
function openIn(pid: number): number {
  try {
    return [...Deno.readDirSync(`/proc/${pid}/fd`)].length;
  } catch {
    return 0;
  }
}

/** Lets a live process have no more descriptors than it has. */
function descriptors(victim: "server" | "multilog"): Fault {
  return {
    name: `descriptors ${victim}`,
    needs: [],
    async run(world, random, milliseconds) {
      const service = victim === "server"
        ? world.server.receiver
        : some(world.clients, random).logger;
      if (victim === "server") world.broken.cuts = true;
      const { pid } = service;
      const limit = (n: string) =>
        new Deno.Command("prlimit", {
          args: ["--pid", `${pid}`, `--nofile=${n}:`],
          stderr: "null",
        }).outputSync();
      if (pid === 0) return "nobody was there";
      const open = openIn(pid);
      let before = "1024";
      try {
        const limits = Deno.readTextFileSync(`/proc/${pid}/limits`);
        before = /^Max open files\s+(\d+)/m.exec(limits)![1]!;
      } catch {
        return "nobody was there";
      }
      // One that is still starting is the runtime alone.
      if (open < STARTED) return "nobody was there";
      limit(`${open}`);
      await sleep(milliseconds);
      limit(before);
      return `not more than ${open}`;
    },
  };
}

/** Where control groups that limit processes are made. */
export const PIDS = "/sys/fs/cgroup/pids";

/** Lets a live multilog start nothing: no process, no thread. */
const processes: Fault = {
  name: "processes multilog",
  needs: ["pids"],
  async run(world, random, milliseconds) {
    const { pid } = some(world.clients, random).logger;
    // One that is still starting is the runtime alone, and 0 is ourselves.
    if (pid === 0 || openIn(pid) < STARTED) return "nobody was there";
    const group = `${PIDS}/logferry-${Deno.pid}-${Math.floor(random() * 1e9)}`;
    Deno.mkdirSync(group);
    const set = (file: string, text: string) =>
      Deno.writeTextFileSync(file, text);
    try {
      set(`${group}/cgroup.procs`, `${pid}`);
      set(
        `${group}/pids.max`,
        Deno.readTextFileSync(`${group}/pids.current`).trim(),
      );
      await sleep(milliseconds);
    } catch {
      return "nobody was there";
    } finally {
      set(`${group}/pids.max`, "max");
      for (let i = 0; i < 100; i++) {
        const members = Deno.readTextFileSync(`${group}/cgroup.procs`).trim();
        if (members === "") break;
        for (const member of members.split("\n")) {
          try {
            set(`${PIDS}/cgroup.procs`, member);
          } catch {
            // It has ended.
          }
        }
      }
      Deno.removeSync(group);
    }
    return "once";
  },
};

/** Takes a service away, and brings it back. */
function down(victim: "server" | "server-multilog"): Fault {
  return {
    name: `without ${victim}`,
    needs: [],
    async run(world, _random, milliseconds) {
      const { server } = world;
      const service = victim === "server" ? server.receiver : server.logger;
      world.broken.cuts = true;
      service.down();
      service.signal(SIGNALS.TERM);
      // One that was stopped goes on first.
      service.signal(SIGNALS.CONT);
      await sleep(milliseconds);
      await service.up();
      return "once";
    },
  };
}

/** Sets the clock of the multilogs that have one of their own to set. */
const clock: Fault = {
  name: "clock",
  needs: ["clock"],
  async run(world, random, milliseconds) {
    const end = performance.now() + milliseconds;
    let steps = 0;
    const sides = [...world.clients, world.server];
    while (performance.now() < end) {
      const { folder } = some(sides, random);
      const hours = some([-48, -1, 0, 1, 1000], random);
      Deno.writeTextFileSync(`${folder}/clock`, `${3600 * hours}\n`);
      steps++;
      await sleep(100 + 400 * random());
    }
    for (const { folder } of sides) {
      Deno.writeTextFileSync(`${folder}/clock`, "0\n");
    }
    return times(steps);
  },
};

/** The server's log stands still, and then the server dies with what it has. */
const killBehindFullPipe: Fault = {
  name: "kill at a full pipe",
  needs: [],
  async run(world, random, milliseconds) {
    const { server } = world;
    const end = performance.now() + milliseconds;
    let done = 0;
    do {
      world.broken.cuts = true;
      server.logger.signal(SIGNALS.STOP);
      await sleep(500 + 500 * random());
      done += send(world, "server", "KILL", random).length;
      await sleep(100);
      server.logger.signal(SIGNALS.CONT);
      await sleep(500);
    } while (performance.now() < end);
    return times(done);
  },
};

/** The server takes what the kernel takes for it, and then it is dead. */
const standAndDie: Fault = {
  name: "stop and kill server",
  needs: [],
  async run(world, random, milliseconds) {
    const stopped = send(world, "server", "STOP", random);
    await sleep(milliseconds);
    return times(
      stopped.length && send(world, "server", "KILL", random).length,
    );
  },
};

const rotate: Fault = {
  name: "alrm multilog",
  needs: [],
  async run(world, random, milliseconds) {
    const end = performance.now() + milliseconds;
    let sent = 0;
    while (performance.now() < end) {
      some(world.clients, random).logger.signal(SIGNALS.ALRM);
      world.server.logger.signal(SIGNALS.ALRM);
      sent++;
      await sleep(50 + 300 * random());
    }
    return times(sent);
  },
};

/** The client's machine loses its power, as far as the server can tell. */
const halfOpen: Fault = {
  name: "half-open",
  needs: ["wire"],
  async run(world, random, milliseconds) {
    const { broken, wire, clients } = world;
    broken.cuts = true;
    // Wait for a transmission, so that there is one to leave half done.
    const end = performance.now() + milliseconds;
    let there: Process[] = [];
    while (there.length === 0 && performance.now() < end) {
      there = world.passing(some<Client>(clients, random), "sender");
      await sleep(2);
    }
    wire!.conditions.swallow = "all";
    for (const { pid } of there) {
      try {
        Deno.kill(pid, "SIGKILL");
      } catch {
        // It was done.
      }
    }
    // The client's kernel must not tell it later either.
    wire!.reset(wire!.client);
    await sleep(Math.max(end - performance.now(), 500));
    wire!.conditions.swallow = "none";
    return there.length ? "once" : "nobody was there";
  },
};

const resetting: Fault = {
  name: "reset",
  needs: ["wire", "ss"],
  async run(world, random, milliseconds) {
    const wire = world.wire!;
    world.broken.cuts = true;
    // Slow, so that there is something to reset.
    const { delay } = wire.conditions;
    wire.conditions.delay = 20;
    const end = performance.now() + milliseconds;
    let done = 0;
    while (performance.now() < end) {
      wire.reset(random() < 0.5 ? wire.client : wire.server);
      done++;
      await sleep(20 + 200 * random());
    }
    wire.conditions.delay = delay;
    return times(done);
  },
};

/** All of them. */
export const FAULTS: readonly Fault[] = [
  {
    name: "nothing",
    needs: [],
    run: async (_w, _r, ms) => {
      await sleep(ms);
      return "";
    },
  },
  ...VICTIMS.map((victim) => ending(victim, "KILL")),
  ...VICTIMS.map((victim) => ending(victim, "TERM")),
  ...VICTIMS.map(stopping),
  rotate,
  killBehindFullPipe,
  standAndDie,
  down("server"),
  down("server-multilog"),
  full("client"),
  full("server"),
  calls(
    "disk errors client",
    "client",
    "error=EIO:when=1+2",
    "write,fsync,fchmod,fchmodat",
  ),
  calls(
    "disk errors server",
    "server",
    "error=EIO:when=1+2",
    "write,fsync,fchmod",
  ),
  calls(
    "directory errors client",
    "client",
    "error=EIO:when=1+2",
    "renameat,unlinkat,openat",
  ),
  calls("no descriptors client", "client", "error=ENFILE:when=1+2", "openat"),
  calls("slow disk client", "client", "delay_enter=200000", "fsync,write"),
  calls("slow disk server", "server", "delay_enter=200000", "fsync,write"),
  descriptors("server"),
  descriptors("multilog"),
  processes,
  network(
    "black hole",
    ({ wire }) => wire!.conditions.swallow = "all",
    ({ wire }) => wire!.conditions.swallow = "none",
  ),
  network(
    "black hole one way",
    ({ wire }, random) =>
      wire!.conditions.swallow = random() < 0.5 ? "to client" : "to server",
    ({ wire }) => wire!.conditions.swallow = "none",
  ),
  network(
    "30% loss",
    ({ wire }) => wire!.conditions.loss = 0.3,
    ({ wire }) => wire!.conditions.loss = 0,
  ),
  network(
    "200 ms delay",
    ({ wire }) => wire!.conditions.delay = 200,
    ({ wire }) => wire!.conditions.delay = 0,
  ),
  network(
    "10 kB/s",
    ({ wire }) => wire!.conditions.rate = 10000,
    ({ wire }) => wire!.conditions.rate = 0,
  ),
  network(
    "reordering",
    ({ wire }) => wire!.conditions.jitter = 30,
    ({ wire }) => wire!.conditions.jitter = 0,
  ),
  halfOpen,
  resetting,
  clock,
];

function traces(): boolean {
  return new Deno.Command("strace", {
    args: ["-qq", "-o", "/dev/null", "true"],
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).outputSync().success;
}

/**
 * What of all that faults can't do without is not to be had here.
 *
 * @param has What is known about the rest
 * @returns Why not, by name
 */
export function missing(
  has: { wire: boolean; disks: boolean },
): Map<Requirement, string> {
  const found = new Map<Requirement, string>();
  if (!has.wire) found.set("wire", "no network namespaces");
  if (!has.disks) found.set("disks", "no mounts");
  if (!installed("strace")) found.set("strace", "no strace");
  else if (!traces()) found.set("strace", "nobody may trace here");
  if (!installed("ss")) found.set("ss", "no ss");
  try {
    const group = `${PIDS}/logferry-${Deno.pid}`;
    Deno.mkdirSync(group);
    Deno.removeSync(group);
  } catch {
    found.set("pids", "no pids control group");
  }
  return found;
}

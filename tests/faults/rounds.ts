/**
 * A round: a world, a schedule of what is broken in it and when, and the count
 * at its end. The seed decides on all of it but on the moment that each thing
 * takes.
 *
 * @module
 */
import { existsSync } from "@std/fs";
import { canMount } from "../disk.ts";
import { killAll, processesIn, seeded, sleep } from "../tools.ts";
import type { Findings } from "./checker.ts";
import {
  type Fault,
  FAULTS,
  missing,
  PIDS,
  type Requirement,
} from "./faults.ts";
import { canWire, removeStaleWires } from "./wire.ts";
import { type Way, World, type WorldOptions } from "./world.ts";

/** What can be broken here. */
export interface Possible {
  /** The faults. */
  faults: Fault[];
  /** The others, and what each lacks. */
  skipped: { name: string; why: string }[];
  /** Whether worlds can be wired, and have disks. */
  wired: boolean;
  disks: boolean;
  /** Where there are programs with a clock to set, their folder. */
  clock: string | undefined;
}

/**
 * Looks what can be broken here.
 *
 * @param clock Where there are programs with a clock to set, their folder
 * @returns What can
 */
export async function possible(clock?: string): Promise<Possible> {
  const wired = await canWire();
  const disks = canMount();
  const lacks: Map<Requirement, string> = missing({ wire: wired, disks });
  if (clock === undefined) {
    lacks.set(
      "clock",
      "no program whose clock can be set; it has a test of its own",
    );
  }
  const faults: Fault[] = [];
  const skipped = [];
  for (const fault of FAULTS) {
    const need = fault.needs.find((need) => lacks.has(need));
    if (need === undefined) faults.push(fault);
    else skipped.push({ name: fault.name, why: lacks.get(need)! });
  }
  return { faults, skipped, wired, disks, clock };
}

/** One fault's place in a round. */
export interface Entry {
  fault: Fault;
  /** When it begins, and how long it lasts, in milliseconds. */
  at: number;
  lasts: number;
  /** The seed of its own choices. */
  seed: number;
}

/** A round before it is run. */
export interface Plan {
  /** What it is called. */
  name: string;
  seed: number;
  entries: Entry[];
  options: Partial<WorldOptions>;
}

/** A round that was run. */
export interface Round extends Findings {
  name: string;
  seed: number;
  /** What was done. */
  done: string[];
  seconds: number;
  /** How long a service was kept waiting at the most, in seconds. */
  stall: number;
}

/** Each client's is one of these. */
const WAYS: readonly Way[] = ["tryto -p", "tryto", "send"];

/** Whether a fault looks for a tryto or a sender that is a process. */
function needsProcesses({ name }: Fault): boolean {
  return /tryto|sender|half-open/.test(name);
}

function worldOf(
  random: () => number,
  seed: number,
  can: Possible,
): Partial<WorldOptions> {
  return {
    seed,
    wired: can.wired,
    disks: can.disks,
    stamps: random() < 0.5,
    size: [4096, 8192, 16384, 65536][Math.floor(random() * 4)]!,
    longest: random() < 0.5 ? 300 : 1900,
    limit: 3 + Math.floor(3 * random()),
    rate: [30000, 60000, 0][Math.floor(random() * 3)]!,
    inside: random() < 0.7,
    ways: [0, 1].map(() => WAYS[Math.floor(random() * WAYS.length)]!),
  };
}

/**
 * A round with one fault.
 *
 * @param fault The fault
 * @param seed The round's seed
 * @param can What is possible
 * @param milliseconds How long the fault lasts
 * @returns The plan
 */
export function alone(
  fault: Fault,
  seed: number,
  can: Possible,
  milliseconds: number,
): Plan {
  const random = seeded(seed);
  const options = worldOf(random, seed, can);
  if (needsProcesses(fault)) options.inside = false;
  if (fault.needs.includes("clock") && can.clock) {
    options.executables = can.clock;
  }
  return {
    name: fault.name,
    seed,
    options,
    entries: [{
      fault,
      at: 300 + 400 * random(),
      lasts: milliseconds,
      seed: seed + 1,
    }],
  };
}

/**
 * A round with faults at random, several at a time.
 *
 * @param seed The round's seed
 * @param can What is possible
 * @param milliseconds How long it lasts, without its end
 * @returns The plan
 */
export function mixed(
  seed: number,
  can: Possible,
  milliseconds: number,
): Plan {
  const random = seeded(seed);
  const options = worldOf(random, seed, can);
  const entries: Entry[] = [];
  const free = new Map<string, number>();
  let at = 300;
  while (at < milliseconds) {
    const fault = can.faults[Math.floor(random() * can.faults.length)]!;
    const lasts = 300 + 3000 * random();
    if ((free.get(fault.name) ?? 0) <= at) {
      entries.push({ fault, at, lasts, seed: seed + entries.length + 1 });
      free.set(fault.name, at + lasts + 500);
    }
    at += 200 + 1300 * random();
  }
  if (entries.some(({ fault }) => fault.needs.includes("clock")) && can.clock) {
    options.executables = can.clock;
  }
  return { name: `mixed ${seed}`, seed, entries, options };
}

/** Removes what runs have left that were killed before they could. */
export function removeStale(): void {
  removeStaleWires();
  const temporary = Deno.env.get("TMPDIR") ?? "/tmp";
  const stale = (folder: string, pattern: RegExp) => {
    try {
      return [...Deno.readDirSync(folder)].map(({ name }) => name)
        .filter((name) => {
          const [, pid] = pattern.exec(name) ?? [];
          return pid !== undefined && !existsSync(`/proc/${pid}`);
        }).map((name) => `${folder}/${name}`);
    } catch {
      return [];
    }
  };
  for (const folder of stale(temporary, /^logferry-faults-(\d+)-/)) {
    killAll(processesIn(folder));
    for (const { name } of Deno.readDirSync(folder)) {
      const disk = `${folder}/${name}/disk`;
      if (!existsSync(disk)) continue;
      new Deno.Command("umount", { args: ["-l", disk] }).outputSync();
    }
    Deno.removeSync(folder, { recursive: true });
  }
  for (const group of stale(PIDS, /^logferry-(\d+)-/)) Deno.removeSync(group);
}

/**
 * Runs a round.
 *
 * @param plan What is to be done
 * @returns What was done and found
 */
export async function play(plan: Plan): Promise<Round> {
  const start = performance.now();
  const done: string[] = [];
  await using world = await World.open(plan.options);
  await Promise.all(plan.entries.map(async (entry) => {
    const { fault, at, lasts, seed } = entry;
    await sleep(at);
    const what = await fault.run(world, seeded(seed), lasts);
    done.push(
      `${(at / 1000).toFixed(1)} s, for ${(lasts / 1000).toFixed(1)} s: ` +
        `${fault.name}${what && `, ${what}`}`,
    );
  }));
  await sleep(500);
  const findings = await world.finish();
  return {
    ...findings,
    name: plan.name,
    seed: plan.seed,
    done,
    seconds: (performance.now() - start) / 1000,
    stall: world.longestStall,
  };
}

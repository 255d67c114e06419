/**
 * The same faults with one of the originals in one place, so that it shows
 * which promises they break and ours keep.
 *
 * @module
 */
import { installed, seeded } from "../tools.ts";
import { type Fault, FAULTS } from "./faults.ts";
import { type Plan, play, type Round } from "./rounds.ts";
import type { Originals, WorldOptions } from "./world.ts";

/** A place, and who is in it. */
export interface Crossing {
  /** What it is called. */
  readonly name: string;
  readonly originals: Originals;
  /** What must be installed. */
  readonly needs: readonly string[];
}

/** All ours, and each of the originals in its place. */
export const CROSSINGS: readonly Crossing[] = [
  { name: "all ours", originals: {}, needs: [] },
  {
    name: "multilog on the client",
    originals: { clientLog: true },
    needs: ["multilog"],
  },
  { name: "tryto", originals: { tryto: true }, needs: ["tryto"] },
  {
    name: "tcpclient and cat",
    originals: { sender: true },
    needs: ["tcpclient"],
  },
  {
    name: "tcpserver and socklog",
    originals: { server: true },
    needs: ["tcpserver", "socklog"],
  },
  {
    name: "multilog on the server",
    originals: { serverLog: true },
    needs: ["multilog"],
  },
];

/** A promise, and the fault that it is tried by. */
export interface Promised {
  /** What is promised. */
  readonly name: string;
  readonly fault: string;
  readonly milliseconds: number;
  readonly options: Partial<WorldOptions>;
  /** What of a round breaks it, in a few words; nothing when it is kept. */
  broken(round: Round): string | undefined;
}

function lines(round: Round): string | undefined {
  const { count, violations } = round;
  const lost = count.lost + count.unacknowledged;
  if (lost > 0) return `${lost} lost`;
  const spoilt = violations.find((text) => /no whole line|within/.test(text));
  if (spoilt !== undefined) return "cut or mixed";
  return violations.length > 0 ? violations[0]!.slice(0, 30) : undefined;
}

function stalls(round: Round): string | undefined {
  return round.stall > 1.5
    ? `kept waiting ${round.stall.toFixed(0)} s`
    : lines(round);
}

/** What is tried. */
export const PROMISES: readonly Promised[] = [
  {
    name: "every line arrives, whole",
    fault: "nothing",
    milliseconds: 2500,
    options: {},
    broken: lines,
  },
  {
    name: "no client's lines are mixed with another's",
    fault: "nothing",
    milliseconds: 2500,
    options: { clients: 4, rate: 0, longest: 1900, size: 65536 },
    broken: lines,
  },
  {
    name: "server away: nothing lost",
    fault: "without server",
    milliseconds: 2500,
    options: {},
    broken: lines,
  },
  {
    name: "server stands still: the service isn't kept waiting",
    fault: "stop server",
    milliseconds: 9000,
    options: { clients: 1, rate: 16000, size: 65536, limit: 4 },
    broken: stalls,
  },
  {
    name: "server killed: nothing lost",
    fault: "kill server",
    milliseconds: 4000,
    options: { rate: 0, size: 65536 },
    broken: lines,
  },
  {
    name: "server killed at a full pipe: nothing lost",
    fault: "kill at a full pipe",
    milliseconds: 4000,
    options: { rate: 0, size: 65536 },
    broken: lines,
  },
  {
    name: "server stands still and dies: the limit holds, nothing lost",
    fault: "stop and kill server",
    milliseconds: 6000,
    options: { size: 100000, limit: 2, rate: 100000 },
    broken: lines,
  },
  {
    name: "sender killed: nothing lost",
    fault: "kill sender",
    milliseconds: 4000,
    options: { rate: 0, size: 65536, inside: false },
    broken: lines,
  },
  {
    name: "client's multilog killed: nothing but what it held",
    fault: "kill multilog",
    milliseconds: 3000,
    options: {},
    broken: lines,
  },
  {
    name: "client's disk full: nothing lost",
    fault: "full disk client",
    milliseconds: 2500,
    options: { disks: true },
    broken: lines,
  },
  {
    name: "server's disk full: nothing lost",
    fault: "full disk server",
    milliseconds: 2500,
    options: { disks: true },
    broken: lines,
  },
  {
    name: "SIGALRM: no line is cut",
    fault: "alrm multilog",
    milliseconds: 2500,
    options: { rate: 0 },
    broken: lines,
  },
];

/**
 * What one crossing makes of one promise.
 *
 * @param crossing Who is where
 * @param promised What is promised
 * @param seed The round's seed
 * @returns What breaks it; nothing when it is kept
 */
export async function cross(
  crossing: Crossing,
  promised: Promised,
  seed: number,
): Promise<string | undefined> {
  const fault = FAULTS.find(({ name }) => name === promised.fault) as Fault;
  const { originals } = crossing;
  // The others don't know it: what it is for is then not to be had.
  const acknowledge = !originals.server && !originals.sender;
  const random = seeded(seed);
  const plan: Plan = {
    name: promised.name,
    seed,
    options: {
      seed,
      // The original server takes longer lines for several.
      longest: 900,
      disks: false,
      wired: false,
      limit: 4,
      ...promised.options,
      acknowledge,
      originals,
    },
    entries: [{
      fault,
      at: 300 + 200 * random(),
      lasts: promised.milliseconds,
      seed,
    }],
  };
  return promised.broken(await play(plan));
}

/**
 * The crossings whose programs are here.
 *
 * @returns The crossings
 */
export function crossingsHere(): Crossing[] {
  return CROSSINGS.filter(({ needs }) =>
    needs.every((name) => installed(name) !== undefined)
  );
}

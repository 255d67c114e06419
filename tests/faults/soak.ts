/**
 * A day's work in minutes: many lines over loopback, a restart every few
 * thousand lines, and memory and descriptors looked at all the time.
 *
 * @module
 */
import { seeded, sleep } from "../tools.ts";
import type { Findings } from "./checker.ts";
import { type Service, SIGNALS } from "./service.ts";
import { World } from "./world.ts";

/** How large something was, early and late. */
export interface Growth {
  /** Whose. */
  name: string;
  /**
   * What it had once it was warm, and at the end: MB, descriptors; 0 where too
   * few lines passed for a look.
   */
  memory: [early: number, late: number];
  descriptors: [early: number, late: number];
}

/** What a soak has found. */
export interface Soaked extends Findings {
  growth: Growth[];
  restarts: number;
  seconds: number;
}

/** Milliseconds from one look to the next. */
const PAUSE = 20;

function look(pid: number): { memory: number; descriptors: number } {
  const status = Deno.readTextFileSync(`/proc/${pid}/status`);
  // What is the process's own: files and libraries are shared.
  const memory = Number(/^RssAnon:\s+(\d+)/m.exec(status)?.[1] ?? 0) / 1024;
  return {
    memory,
    descriptors: [...Deno.readDirSync(`/proc/${pid}/fd`)].length,
  };
}

/**
 * Soaks.
 *
 * @param lines How many lines, of all clients together
 * @param seed What decides on the rest
 * @param tell Told how it goes
 * @param every After how many of its lines the second client is restarted
 * @returns What was found
 */
export async function soak(
  lines: number,
  seed: number,
  tell: (text: string) => void,
  every = 100_000,
): Promise<Soaked> {
  const start = performance.now();
  const random = seeded(seed);
  const clients = 2;
  await using world = await World.open({
    seed,
    clients,
    size: 2000000,
    serverSize: 16000000,
    longest: 100,
    rate: 0,
    limit: 60,
    most: Math.ceil(lines / clients),
    ways: ["send", "tryto"],
  });
  const { server } = world;
  /** These are never restarted, so that they have time to grow. */
  const watched: [string, Service][] = [
    ["the server", server.receiver],
    ["the server's multilog", server.logger],
    ["client a's multilog", world.clients[0]!.logger],
  ];
  const growth: Growth[] = watched.map(([name]) => ({
    name,
    memory: [0, 0],
    descriptors: [0, 0],
  }));
  const sample = (when: 0 | 1) =>
    watched.forEach(([, { pid }], i) => {
      const { memory, descriptors } = look(pid);
      const one = growth[i]!;
      // What it needs between two collections comes and goes.
      one.memory[when] = Math.max(one.memory[when]!, memory);
      // So do those of what is being sent.
      one.descriptors[when] = Math.min(
        one.descriptors[when] || Infinity,
        descriptors,
      );
    });
  let restarts = 0;
  const second = world.clients[1]!;
  let restartAt = every * random();
  let told = 0;
  while (world.fed() < clients * Math.ceil(lines / clients)) {
    await sleep(PAUSE);
    const share = world.fed() / lines;
    if (share > 0.05 && share < 0.35) sample(0);
    if (share > 0.7) sample(1);
    if (Math.floor(share * 10) > told) {
      told = Math.floor(share * 10);
      tell(`${told * 10}%  ${world.fed()} lines, ${restarts} restarts`);
    }
    // By its lines, not by the clock: on a busy machine it would be ended again
    // before it has read or sent anything, for ever.
    if (second.fed < restartAt) continue;
    // One half by the book, one half not: tryto and the sender go with it.
    const killed = random() < 0.5;
    if (!second.logger.signal(killed ? SIGNALS.KILL : SIGNALS.TERM)) continue;
    restarts++;
    restartAt = second.fed + 2 * every * random();
    if (killed) {
      world.broken.cuts = true;
      world.broken.clientKills[1]!++;
    }
  }
  const findings = await world.finish();
  for (const { name, memory, descriptors } of growth) {
    if (memory[0] === 0) continue;
    if (memory[1] > 1.3 * memory[0] + 8) {
      findings.violations.push(
        `${name} grew from ${memory[0].toFixed(0)} to ${
          memory[1].toFixed(0)
        } MB`,
      );
    }
    if (descriptors[1] > descriptors[0] + 3) {
      findings.violations.push(
        `${name} had ${descriptors[0]}, then ${descriptors[1]} descriptors`,
      );
    }
  }
  return {
    ...findings,
    growth,
    restarts,
    seconds: (performance.now() - start) / 1000,
  };
}

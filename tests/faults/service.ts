/**
 * A program that is started again whenever it ends, as supervise does.
 *
 * @module
 */
import { type ExitStatus, kill, waitFor } from "../../src/sys/process.ts";
import { sleep, startService } from "../tools.ts";

/** The numbers of the signals that are sent here. */
export const SIGNALS = {
  KILL: 9,
  ALRM: 14,
  TERM: 15,
  CONT: 18,
  STOP: 19,
} as const;

/** Milliseconds from an end to the next start. */
const PAUSE = 300;

/** How to run a program. */
export interface ServiceOptions {
  /** Its words. */
  command: readonly string[];
  /** The folder to run it in; its messages go to the file `messages` there. */
  folder: string;
  /** Its environment. */
  env: Record<string, string>;
  /** Which of its descriptors is which of ours. */
  fds: ReadonlyMap<number, number>;
}

/** A program that is kept running. */
export class Service {
  /** What it is called. */
  readonly name: string;
  /** How it has ended so far. */
  readonly endings: ExitStatus[] = [];
  /** Its process; 0 while there is none. */
  pid = 0;
  /** Words before the command from the next start on. */
  under: readonly string[] = [];
  /** More of its environment from the next start on. */
  env: Record<string, string> = {};
  readonly #options: ServiceOptions;
  #wanted = true;
  #timer = 0;
  #current: Promise<void> = Promise.resolve();

  /**
   * Starts it.
   *
   * @param name What it is called
   * @param options How to run it
   */
  constructor(
    name: string,
    options: ServiceOptions,
    env: Record<string, string> = {},
  ) {
    this.name = name;
    this.#options = options;
    this.env = env;
    this.#start();
  }

  #start(): void {
    const { command, folder, env, fds } = this.#options;
    const words = [...this.under, ...command];
    this.pid = startService(words, folder, { ...env, ...this.env }, fds);
    this.#current = waitFor(this.pid).then((ending) => this.#over(ending));
  }

  #over(ending: ExitStatus): void {
    this.pid = 0;
    this.endings.push(ending);
    if (!this.#wanted) return;
    this.#timer = setTimeout(() => this.#start(), PAUSE);
  }

  /**
   * Sends it a signal.
   *
   * @param signal Its number
   * @returns Whether there was anybody to get it
   */
  signal(signal: number): boolean {
    return this.pid > 0 && kill(this.pid, signal);
  }

  /**
   * Waits until it would catch a signal: one that is only just starting, a
   * second time perhaps, would be ended by it.
   *
   * @param signal Its number
   * @param seconds How long at the most
   */
  async hears(signal: number, seconds = 10): Promise<void> {
    const bit = 1n << BigInt(signal - 1);
    const end = performance.now() + 1000 * seconds;
    while (performance.now() < end) {
      try {
        const status = Deno.readTextFileSync(`/proc/${this.pid}/status`);
        const [, caught] = /^SigCgt:\s*([0-9a-f]+)$/m.exec(status)!;
        if (BigInt(`0x${caught}`) & bit) return;
      } catch {
        // There is none.
      }
      await sleep(20);
    }
  }

  /** Starts it no more. */
  release(): void {
    this.#wanted = false;
    clearTimeout(this.#timer);
  }

  /**
   * Waits for its end; it is not started again.
   *
   * @param seconds How long at the most
   * @returns Whether it has ended
   */
  async gone(seconds: number): Promise<boolean> {
    this.release();
    const late = Promise.withResolvers<void>();
    const timer = setTimeout(late.resolve, 1000 * seconds);
    await Promise.race([this.#current, late.promise]);
    clearTimeout(timer);
    return this.pid === 0;
  }

  /** Keeps it from running for a while; the reverse of {@linkcode up}. */
  down(): void {
    this.#wanted = false;
    clearTimeout(this.#timer);
  }

  /** Keeps it running again. */
  async up(): Promise<void> {
    if (this.#wanted) return;
    await this.#current;
    this.#wanted = true;
    this.#start();
  }

  /** Ends it at once, with all that it has started and is in its session. */
  async destroy(): Promise<void> {
    this.release();
    const { pid } = this;
    if (pid > 0) kill(-pid, SIGNALS.KILL);
    await this.#current;
  }
}

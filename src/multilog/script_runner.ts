/**
 * A script that is carried out: the engine that lines go through, and the logs
 * and status files that they go to.
 *
 * @module
 */
import { type AnyLog, LogDirectory } from "../log/log_directory.ts";
import { type FindProcessor, PROCESSOR_DESCRIPTORS } from "../log/processor.ts";
import { Alerts } from "./alerts.ts";
import { LineEngine } from "./engine.ts";
import type { HostLogs } from "./host_logs.ts";
import type { Script } from "./script.ts";
import { StatusFile } from "./status_file.ts";
import { STAMP_MOST } from "../stamps.ts";
import { type Retrier, StartError } from "../log/retrier.ts";
import { spareDescriptors } from "../sys/limits.ts";
import { freeMore } from "../sys/unlink_aside.ts";

const STANDARD_ERROR = 2;
/**
 * So many bytes may be read whatever may come, since the original reads as
 * many: where lines are selected, and where a log may be about to stand still.
 */
const LEAST_READ = 1024;
/** What a disk keeps to itself for each log, in bytes. */
const KEPT_BY_DISK = 16 * 1024;
/** Nobody fills more of a disk in a millisecond, in bytes. */
const FILLED_AT_MOST = 8 * 1024 * 1024;
/** For how long a disk isn't looked at that can't be full by then, in ms. */
const AMPLE_FROM = 10;
const AMPLE_AT_MOST = 1000;
/** A log that gets less than so much of what is read gets nothing. */
const LEAST_SHARE = 1 / 1024;
/** How many logs are synced at once: each takes a thread. */
const SYNCS_AT_ONCE = 8;
/** How many times longer stamps make lines at most: empty ones. */
const STAMPED = STAMP_MOST + 1;

/** Descriptors beside those of logs: to wait, to list, to make and free files. */
const DESCRIPTORS = 6;
/** Those that a log has open, and those of files that are being synced. */
const LOG_DESCRIPTORS = 3 + 9;
/** Those with which a log finishes small files faster. */
const MORE_DESCRIPTORS = 8;
/** Those with which old files are freed faster. */
const MORE_TO_FREE = 8;
/** Those that are of use to logs of hosts, see `host_logs.ts`. */
const HOSTS_DESCRIPTORS = 1300;

/** How many descriptors a script needs, so that nothing of it has to wait. */
export function descriptorsFor({ actions }: Script): number {
  let sum = DESCRIPTORS;
  for (const action of actions) {
    if (action.kind === "status") sum++;
    if (action.kind !== "log") continue;
    sum += LOG_DESCRIPTORS;
    if (action.settings.processor !== "") sum += PROCESSOR_DESCRIPTORS;
  }
  return sum;
}

/**
 * How many it makes use of: with fewer, logs of hosts are closed early, and
 * small files are finished more slowly.
 */
export function usefulDescriptors(script: Script): number {
  const folders = script.actions
    .filter((action) => action.kind === "log" && action.hosts);
  return descriptorsFor(script) + moreDescriptors(script) +
    folders.length * HOSTS_DESCRIPTORS;
}

/** How many its logs take, and its files, that hosts' logs have to leave. */
function plainDescriptors(script: Script, ample: boolean): number {
  const plain = script.actions
    .filter((action) => action.kind !== "log" || !action.hosts);
  const rest = { ...script, actions: plain };
  return descriptorsFor(rest) - DESCRIPTORS +
    (ample ? moreDescriptors(script) : 0);
}

/** How many make files be finished faster; hosts' logs wait for each file. */
function moreDescriptors({ actions }: Script): number {
  const logs = actions
    .filter((action) => action.kind === "log" && !action.hosts);
  return MORE_TO_FREE + logs.length * MORE_DESCRIPTORS;
}

/** What a script's lines go through, and where they go. */
export class ScriptRunner {
  /** The engine, to put bytes into. */
  readonly engine: LineEngine;
  /** The logs, in the script's order. */
  readonly logs: readonly AnyLog[];
  /** Alerts that wait for whoever reads standard error. */
  readonly alerts: Alerts;
  readonly #hostLogs: readonly HostLogs[];
  readonly #files: readonly StatusFile[];
  readonly #growth: number;
  /** How many bytes each log was given, of those that were read last. */
  readonly #given: Float64Array;
  /** For each byte that is read, how many each log gets, as things go. */
  readonly #shares: Float64Array;
  /** How many bytes each log can get before it has to be looked at. */
  readonly #left: Float64Array;
  /** Whether what a log gets may make it due later, when time has passed. */
  readonly #timed: boolean;
  /** How many had been read. */
  #taken = 0;
  /** Until when no disk can be full. */
  #ampleUntil = -Infinity;

  private constructor(
    script: Script,
    engine: LineEngine,
    alerts: Alerts,
    logs: readonly AnyLog[],
    hostLogs: readonly HostLogs[],
    files: readonly StatusFile[],
    given: Float64Array,
  ) {
    this.#hostLogs = hostLogs;
    this.#growth = script.timestamp ? STAMPED : 1;
    this.#given = given;
    this.#shares = new Float64Array(logs.length).fill(this.#growth);
    this.#left = new Float64Array(logs.length);
    this.#timed = script.actions.some((action) =>
      action.kind === "log" && (action.hosts || action.settings.age > 0)
    );
    this.engine = engine;
    this.alerts = alerts;
    this.logs = logs;
    this.#files = files;
  }

  /**
   * Opens everything that a script names.
   *
   * @param script The script
   * @param retrier Where warnings go
   * @param wake Called when a file has left a queue: a log may be due now
   * @param find What carries out a processor; `sh -c` unless given
   * @param program The name that messages between alerts begin with
   * @param late Whether lines may wait for more, until
   * {@linkcode ScriptRunner.flush} is called
   * @param others How many descriptors are for others than its logs
   * @returns The script, ready for lines
   * @throws {StartError} When something can't be opened; then nothing is open
   */
  static async open(
    script: Script,
    retrier: Retrier,
    wake?: () => void,
    find?: FindProcessor,
    program = "multilog",
    late = false,
    others = 0,
  ): Promise<ScriptRunner> {
    const logs: AnyLog[] = [];
    const hostLogs: HostLogs[] = [];
    // Nobody shall read of a line that isn't in its log.
    const shown = script.actions.some(({ kind }) =>
      kind === "alert" || kind === "status"
    );
    const files: StatusFile[] = [];
    const alerts = new Alerts(STANDARD_ERROR, program);
    const count = script.actions.filter(({ kind }) => kind === "log").length;
    const given = new Float64Array(count);
    const many = descriptorsFor(script) + moreDescriptors(script) + others;
    const ample = spareDescriptors(many) === many;
    if (ample) freeMore(MORE_TO_FREE);
    let engine: LineEngine;
    try {
      engine = await LineEngine.make(script.timestamp, script.actions, {
        append: (log, bytes, from, to) => {
          given[log]! += to - from;
          return logs[log]!.append(bytes, from, to);
        },
        alert: (bytes) => alerts.put(bytes),
        status: (file, bytes) => files[file]!.replace(bytes),
      });
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
      throw new StartError(
        `unable to understand pattern ${error.message}`,
        { cause: error },
      );
    }
    try {
      for (const action of script.actions) {
        if (action.kind === "log") {
          const { path, settings } = action;
          if (!action.hosts) {
            const log = LogDirectory.open(path, settings, retrier, wake, find);
            if (ample) log.finishMore(MORE_DESCRIPTORS);
            logs.push(log);
            continue;
          }
          // Loaded where there is one, as is what it loads.
          const { HostLogs } = await import("./host_logs.ts");
          const lines = {
            timestamp: script.timestamp,
            late: late && !shown,
            others: others + plainDescriptors(script, ample),
          };
          const opened = HostLogs
            .open(lines, path, settings, retrier, wake, find);
          logs.push(opened);
          if (lines.late) hostLogs.push(opened);
        } else if (action.kind === "status") {
          files.push(StatusFile.open(action.file, retrier));
        }
      }
    } catch (error) {
      if (error instanceof StartError && error.path !== undefined) {
        // While those that are open still are.
        const { explain } = await import("./explain.ts");
        const reason = explain(error.path, error.cause);
        if (reason) error.message += `: ${reason}`;
      }
      for (const log of logs) {
        log.terminate();
        await log.close();
      }
      for (const file of files) file.close();
      throw error;
    }
    return new ScriptRunner(
      script,
      engine,
      alerts,
      logs,
      hostLogs,
      files,
      given,
    );
  }

  /** Whether there are lines that wait for {@linkcode ScriptRunner.flush}. */
  get waiting(): boolean {
    return this.#hostLogs.some((logs) => logs.waiting);
  }

  /** Has all lines so far written. */
  async flush(): Promise<void> {
    for (const logs of this.#hostLogs) await logs.flush();
  }

  /**
   * How many bytes may be read. What is read while a log is full, and no more
   * of its files may wait for the processor, for minutes perhaps, would wait in
   * memory, where a kill finds it, and the other logs' age and signals would
   * wait with it; unread, it stays in the pipe for the next run. So such a log
   * is filled to the byte.
   *
   * Where lines are selected, nobody knows which log the next ones are for, and
   * those for the others needn't wait: then it is never none.
   *
   * @returns Bytes; 0 for none before a processor has ended
   */
  room(): number {
    let room = Infinity;
    for (const log of this.logs) room = Math.min(room, log.room());
    const least = this.engine.selective ? LEAST_READ : Math.min(room, 1);
    return Math.max(Math.floor(room / this.#growth), least);
  }

  /**
   * How many bytes to read now. What is read while a log can't be written or
   * finished would wait in memory, too. So where that may come next, no more is
   * read than by the original.
   *
   * @returns Bytes
   */
  most(): number {
    const room = this.room();
    this.#left.fill(0);
    if (room <= LEAST_READ) return room;
    return Math.min(room, Math.max(this.#roomBeforeTrouble(), LEAST_READ));
  }

  /** How many bytes may be read so that no log is finished, and no disk full. */
  #roomBeforeTrouble(): number {
    this.#noteShares();
    const { logs } = this;
    let room = Infinity;
    let sum = 0;
    for (let i = 0; i < logs.length; i++) {
      const share = this.#shares[i]!;
      // What a log gets that hasn't got anything is seen at once.
      if (share === 0) continue;
      const left = this.#left[i] = logs[i]!.roomInCurrent();
      sum += share;
      room = Math.min(room, left / share);
    }
    if (sum === 0) return room;
    const now = performance.now();
    if (now >= this.#ampleUntil) {
      const free = Math.min(...logs.map((log) => log.roomOnDisk()));
      const ample = Math.min(free / FILLED_AT_MOST, AMPLE_AT_MOST);
      if (ample >= AMPLE_FROM) this.#ampleUntil = now + ample;
      room = Math.min(room, (free - KEPT_BY_DISK * logs.length) / sum);
    }
    return Math.floor(room);
  }

  /**
   * How many bytes may be read before anything has to be looked at again, when
   * fewer were read than {@linkcode ScriptRunner.most} has said.
   *
   * @param unread How many fewer
   * @returns The same; 0 where something waits already, where a log may be due
   * or a disk full sooner than was thought, or where so little isn't worth a read
   */
  rest(unread: number): number {
    if (this.#timed || this.alerts.waiting || unread < LEAST_READ) return 0;
    for (let i = 0; i < this.logs.length; i++) {
      const given = this.#given[i]!;
      if (given > 0 && given >= this.#left[i]!) return 0;
    }
    return performance.now() < this.#ampleUntil ? unread : 0;
  }

  #noteShares(): void {
    const read = this.engine.taken - this.#taken;
    if (read === 0) return;
    this.#taken = this.engine.taken;
    const shares = this.#shares;
    const given = this.#given;
    for (let i = 0; i < shares.length; i++) {
      // Slowly less, at once more.
      const share = Math.max(given[i]! / read, shares[i]! / 2);
      shares[i] = share < LEAST_SHARE ? 0 : share;
      given[i] = 0;
    }
  }

  /** Whether all lines that were selected are on the disk. */
  isSynced(): boolean {
    return this.logs.every((log) => log.isSynced());
  }

  /**
   * Waits until they are, in each log that got any; more lines may come
   * meanwhile.
   *
   * @returns Whether they surely are, as of {@linkcode LogDirectory.sync}
   */
  async sync(): Promise<boolean> {
    const unsynced = this.logs.filter((log) => !log.isSynced());
    let safe = true;
    let next = 0;
    const syncNext = async () => {
      while (next < unsynced.length) {
        if (!await unsynced[next++]!.sync()) safe = false;
      }
    };
    await Promise.all(Array.from({ length: SYNCS_AT_ONCE }, syncNext));
    return safe;
  }

  /** The program is to end: no log waits for its processor any more. */
  terminate(): void {
    for (const log of this.logs) log.terminate();
  }

  /** Gives the last line its newline, and ends all logs well. */
  async close(): Promise<void> {
    await this.engine.end();
    // At once: one may wait for its processor for minutes, and whoever loses
    // patience and kills the program shall find the others complete.
    const ends = await Promise.allSettled([
      ...this.logs.map((log) => log.close()),
      this.alerts.end(),
    ]);
    for (const file of this.#files) file.close();
    for (const end of ends) if (end.status === "rejected") throw end.reason;
  }
}

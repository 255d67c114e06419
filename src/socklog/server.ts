/**
 * The log server: writes the lines of all connections to one output.
 *
 * @module
 */
import { close, EAGAIN, isOpen, read, write } from "../sys/descriptors.ts";
import { getenv } from "../sys/environment.ts";
import { Epoll } from "../sys/epoll.ts";
import { SysError } from "../sys/errors.ts";
import { stat } from "../sys/files.ts";
import { raiseDescriptorLimit } from "../sys/limits.ts";
import {
  FAILED as POLL_FAILED,
  HUNG_UP,
  Poller,
  READABLE,
  WRITABLE,
  yieldToEventLoop,
} from "../sys/poll.ts";
import { closeWithReset } from "../sys/sockets.ts";
import { onTermination, settleSignals } from "../sys/signals.ts";
import { acknowledgement } from "./acknowledgement.ts";
import { prefixOf, VARIABLES } from "./connection_info.ts";
import { Framer, type FramerOptions, LineBuffer } from "./framing.ts";
import type { Listener } from "./listener.ts";
import type { Messages } from "./messages.ts";
import type { Output } from "./output.ts";
import {
  type Connection,
  ENDED,
  FAILED,
  Reception,
  type ReceptionOptions,
} from "./reception.ts";

/** The options of a log server. */
export interface LogServerOptions extends ReceptionOptions {
  /** The NAMEs: the variables whose values each line begins with. */
  names: readonly string[];
  /** How lines arrive, and what they become (`-r`, `-R`, `-f`). */
  framing: FramerOptions;
  /** After how many idle seconds a connection is ended (`-w`); 0 for never. */
  idle: number;
  /** Whether the bytes received are acknowledged (`-a`). */
  acknowledge: boolean;
  /** How many descriptors its output needs at least. */
  descriptors: number;
}

/** How often a busy server lets the event loop turn, in milliseconds. */
const TURN_EVERY = 5;
/** How many bytes to read in one round from all connections together. */
const ROUND = 256 * 1024;
/** How many bytes to read in one round from each of many connections. */
const SHARE = 16 * 1024;
/** How many bytes to read at least, even if they become many more. */
const LEAST_READ = 2048;
/** In place of a descriptor: the poller finds nothing there. */
const NOTHING = -1;
/** Descriptors for everything but connections. */
const OTHER_DESCRIPTORS = 64;

/** A connection that is served. */
interface Served extends Connection {
  readonly lines: LineBuffer;
  /** How many bytes were received from it. */
  received: number;
  /** How many bytes of output each byte became that was read last. */
  growth: number;
  /** When it last sent something, on the server's clock. */
  active: number;
  /** How it has ended; `undefined` before that. */
  ending: number | undefined;
}

/**
 * Raises the limit of descriptors to what a server may need, as far as this
 * process may.
 *
 * @param options The server's options
 * @param useful How many descriptors its output can use
 * @returns How many it needs, and how many of these it may have now
 */
export function raiseLimit(
  options: LogServerOptions,
  useful: number = options.descriptors,
): { needed: number; allowed: number } {
  // One more for each connection while its host is asked for the user.
  const each = options.askIdentity ? 2 : 1;
  const own = each * options.limit + OTHER_DESCRIPTORS;
  const needed = own + options.descriptors;
  const allowed = raiseDescriptorLimit(own + useful);
  return { needed, allowed: Math.min(allowed, needed) };
}

/**
 * Finds the variable that may be meant by a NAME that isn't set. A misspelt
 * NAME would otherwise go unnoticed until somebody reads the log.
 *
 * @param name The NAME
 * @returns A similar variable, or `undefined`
 */
export function meantName(name: string): string | undefined {
  const known: readonly string[] = VARIABLES;
  if (known.includes(name) || getenv(name) !== undefined) return undefined;
  return known.find((one) => distance(name.toUpperCase(), one) <= 2);
}

/** Whether two descriptors are open and lead to the same file. */
function isSameFile(a: number, b: number): boolean {
  if (!isOpen(a) || !isOpen(b)) return false;
  const identity = stat("", a)?.identity;
  return identity !== undefined && identity === stat("", b)?.identity;
}

/** The edit distance: how many letters to insert, remove or replace. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let k = 1; k <= b.length; k++) {
      const replaced = row[k - 1]! + (a[i - 1] === b[k - 1] ? 0 : 1);
      next.push(Math.min(replaced, row[k]! + 1, next[k - 1]! + 1));
    }
    row = next;
  }
  return row[b.length]!;
}

/**
 * A log server. One loop serves all its connections: look, read, make lines,
 * write, wait. What was read in one round is written before the next round
 * begins, so nothing is read while the output is full.
 */
export class LogServer {
  readonly #options: LogServerOptions;
  readonly #messages: Messages;
  readonly #listener: Listener;
  readonly #framer: Framer;
  readonly #output: Output;
  readonly #reception: Reception;
  readonly #watched = new Epoll(512);
  readonly #poller = new Poller(3);
  /** Whether messages and lines go to the same file or pipe. */
  readonly #together: boolean;

  /** The connections that are served, by descriptor. */
  readonly #served: (Served | undefined)[] = [];
  /** Connections that have ended, and whose lines may not be written yet. */
  #ended: Served[] = [];
  /** Connections whose lines are written, and wait for the next sync. */
  #written: Served[] = [];
  /** The sync that is under way. */
  #syncing: Promise<void> | undefined;
  /** The error of a sync after which nothing can be written any more. */
  #failure: unknown;
  /** Whether a sync has failed, so that lines already written may be lost. */
  #doubtful = false;
  #listening = true;
  #stopping = false;
  /** How long this has waited for the output in all, in milliseconds. */
  #stood = 0;
  /** The server's own clock, see `#readClock`. */
  #now = 0;
  #idleCheck = 0;
  #turned = 0;

  /**
   * Makes the server.
   *
   * @param options Its options
   * @param listener The socket that it listens at
   * @param output Where lines are written to
   * @param messages Takes the messages
   */
  constructor(
    options: LogServerOptions,
    listener: Listener,
    output: Output,
    messages: Messages,
  ) {
    this.#options = options;
    this.#messages = messages;
    this.#listener = listener;
    this.#framer = new Framer(options.framing);
    this.#output = output;
    this.#together = isSameFile(output.fd, messages.fd);
    const shown = (name: string) =>
      messages.verbose || options.names.includes(name);
    this.#reception = new Reception(options, listener, messages, {
      shown: {
        localHost: shown("TCPLOCALHOST"),
        remoteHost: shown("TCPREMOTEHOST"),
        remoteInfo: shown("TCPREMOTEINFO"),
      },
      numbering: true,
      wake: () => this.#poller.wake(),
    });
  }

  /**
   * Serves until SIGTERM, SIGINT or SIGHUP asks for the end. All three are
   * handled, since each would otherwise lose what was read.
   *
   * @throws {LogferryError} When the output fails; every connection is reset
   */
  async run(): Promise<void> {
    const stopListening = onTermination(() => this.stop());
    settleSignals();
    try {
      await this.serve();
    } finally {
      stopListening();
    }
  }

  /** Asks for the end; {@linkcode LogServer.serve} returns soon after. */
  stop(): void {
    this.#stopping = true;
    this.#output.stop();
    this.#poller.wake();
  }

  /**
   * Serves until {@linkcode LogServer.stop} asks for the end.
   *
   * @throws {LogferryError} When the output fails; every connection is reset
   */
  async serve(): Promise<void> {
    try {
      await this.#serveUntilStopped();
      await this.#writeRest();
    } catch (error) {
      // So that a sync that is still under way isn't followed by another.
      this.#failure ??= error;
      for (const connection of this.#served.splice(0)) {
        if (connection !== undefined) closeWithReset(connection.fd);
      }
      throw error;
    } finally {
      this.#reception.close();
      close(this.#watched.fd);
      this.#poller.close();
      await this.#messages.flushPatiently();
    }
  }

  async #serveUntilStopped(): Promise<void> {
    try {
      this.#warn();
      this.#watched.add(this.#listener.fd, READABLE);
      this.#poller.set(0, this.#watched.fd, READABLE);
      // Without asking for events: FAILED and HUNG_UP are reported all the same
      // when the reader is gone.
      this.#poller.set(1, this.#output.fd, 0);
      this.#messages.flush();
      // The first wait opens descriptors, so it comes now: connections may use
      // up all that are left.
      await this.#poller.wait(0);
      while (!this.#stopping && this.#failure === undefined) {
        await this.#round();
      }
      if (this.#failure !== undefined) throw this.#failure;
    } finally {
      close(this.#listener.fd);
    }
  }

  #warn(): void {
    const { limit, names } = this.#options;
    const { needed, allowed } = raiseLimit(this.#options);
    if (allowed < needed) {
      this.#messages.warn(
        `${limit} connections need ${needed} descriptors, but only ` +
          `${allowed} are allowed`,
      );
    }
    for (const name of names) {
      const meant = meantName(name);
      if (meant === undefined) continue;
      this.#messages.warn(`$${name} is not set; is $${meant} meant?`);
    }
  }

  /** Does what there is to do or, when there is nothing, waits. */
  async #round(): Promise<void> {
    const found = this.#watched.poll();
    if (found === 0 && !this.#reception.hasKnown) {
      const { fd, waiting } = this.#messages;
      this.#poller.set(2, waiting ? fd : NOTHING, WRITABLE);
      await this.#poller.wait(this.#untilNext());
      this.#turned = this.#now = this.#readClock();
      // When its reader is gone a pipe shows FAILED, a socket or terminal
      // HUNG_UP.
      if (this.#poller.found(1) & (POLL_FAILED | HUNG_UP)) {
        throw this.#output.gone();
      }
      this.#messages.flush();
      this.#checkListening();
      // Read first, before the check for idle connections: what arrived while
      // this process was stopped (SIGSTOP) or waited shows who isn't idle.
      if (this.#poller.found(0) !== 0) return;
    }
    this.#now = this.#readClock();
    // However much one connection sends, the others wait only until its share
    // has been read and written.
    const share = Math.max(SHARE, Math.floor(ROUND / Math.max(found, 1)));
    for (let i = 0; i < found; i++) {
      const fd = this.#watched.fdAt(i);
      if (fd === this.#listener.fd) {
        this.#reception.accept(this.#now, true);
        continue;
      }
      const connection = this.#served[fd];
      if (connection === undefined) continue;
      // On this hot path there is an `await` only if it has to wait.
      const waiting = this.#receive(connection, share);
      if (waiting !== undefined) await waiting;
    }
    for (const connection of this.#reception.admit()) {
      const served = this.#begin(connection);
      const waiting = served && this.#receive(served, share);
      if (waiting !== undefined) await waiting;
    }
    if (this.#options.idle > 0) await this.#checkIdle();
    if (this.#doubtful) {
      this.#doubtful = false;
      await this.#endAll();
    }
    await this.#write();
    this.#messages.flush();
    this.#checkListening();
    if (this.#now - this.#turned > TURN_EVERY) {
      await yieldToEventLoop();
      this.#turned = this.#readClock();
    }
  }

  /**
   * The server's clock, in milliseconds. It stands still while this waits for
   * the output, since a connection that isn't read meanwhile isn't idle.
   */
  #readClock(): number {
    return performance.now() - this.#stood;
  }

  /** How long the next wait may be, in milliseconds; -1 for no limit. */
  #untilNext(): number {
    let next = Infinity;
    const { pausedUntil, count } = this.#reception;
    if (pausedUntil > 0) next = pausedUntil;
    if (this.#options.idle > 0 && count > 0) {
      next = Math.min(next, this.#idleCheck);
    }
    return next === Infinity ? -1 : Math.max(0, next - this.#readClock());
  }

  /** Begins to serve a connection, unless the kernel can't watch one more. */
  #begin(connection: Connection): Served | undefined {
    try {
      this.#watched.add(connection.fd, READABLE);
    } catch (error) {
      if (!(error instanceof SysError)) throw error;
      this.#messages.warn(
        `dropping connection, unable to watch it: ${error.message}`,
      );
      this.#reception.drop(connection, FAILED);
      return undefined;
    }
    this.#reception.welcome(connection);
    const prefix = prefixOf(this.#options.names, getenv, connection.info);
    const served = Object.assign(connection, {
      lines: new LineBuffer(prefix),
      received: 0,
      // The worst case until something has been read: lines of one byte each.
      growth: 1 + prefix.length / 2,
      active: this.#now,
      ending: undefined,
    });
    this.#served[served.fd] = served;
    return served;
  }

  /**
   * Reads what a connection has sent, and makes lines of it.
   *
   * @param share How many bytes of lines this may make, roughly: with their
   * prefix, short lines become many times longer than they were sent
   * @returns A promise only when the output is full
   */
  #receive(connection: Served, share: number): Promise<void> | undefined {
    if (connection.ending !== undefined) return;
    const { input, size } = this.#framer;
    const most = Math.max(Math.floor(share / connection.growth), LEAST_READ);
    const n = read(
      connection.fd,
      most < input.length ? input.subarray(0, most) : input,
    );
    if (n > 0) {
      connection.received += n;
      connection.active = this.#now;
      const at = this.#framer.take(connection.lines, 0, n);
      const out = this.#framer.size - size;
      connection.growth = at > 0 ? Math.max(out / at, 1) : 1;
      return at === n ? undefined : this.#takeRest(connection.lines, at, n);
    }
    if (n === -EAGAIN) return;
    return this.#end(connection, n === 0 ? ENDED : FAILED);
  }

  async #takeRest(lines: LineBuffer, at: number, to: number): Promise<void> {
    while (at < to) {
      await this.#empty();
      at = this.#framer.take(lines, at, to);
    }
  }

  #end(connection: Served, ending: number): Promise<void> | undefined {
    connection.ending = ending;
    this.#ended.push(connection);
    const { lines } = connection;
    if (this.#framer.end(lines)) return;
    return this.#empty().then(() => void this.#framer.end(lines));
  }

  async #checkIdle(): Promise<void> {
    if (this.#now < this.#idleCheck) return;
    this.#idleCheck = this.#now + 1000;
    const oldest = this.#now - this.#options.idle * 1000;
    for (const connection of this.#served) {
      if (connection === undefined || connection.ending !== undefined) continue;
      if (connection.active > oldest) continue;
      this.#messages.report(`idle ${connection.id}`);
      const waiting = this.#end(connection, FAILED);
      if (waiting !== undefined) await waiting;
    }
  }

  /** Begins or stops to accept connections, by the limit and the pause. */
  #checkListening(): void {
    // While messages wait for their reader no connection is accepted, since
    // each would add messages. Those that are served go on.
    const wanted = !this.#messages.waiting &&
      this.#reception.accepts(this.#now);
    if (wanted === this.#listening) return;
    this.#listening = wanted;
    this.#watched.change(this.#listener.fd, wanted ? READABLE : 0);
  }

  /**
   * Writes all lines, and then closes the connections that have ended, or has
   * them acknowledged first.
   */
  async #write(): Promise<void> {
    if (this.#framer.size > 0) await this.#empty();
    if (this.#ended.length === 0) return;
    const ended = this.#ended;
    this.#ended = [];
    const waiting: Served[] = [];
    for (const connection of ended) {
      if (this.#options.acknowledge && connection.ending === ENDED) {
        waiting.push(connection);
      } else this.#close(connection);
    }
    if (waiting.length === 0) return;
    this.#written.push(...waiting);
    if (this.#syncing === undefined) this.#sync();
    if (this.#syncing === undefined) return;
    // Otherwise each round would find their end of input again.
    for (const { fd } of waiting) this.#watched.remove(fd);
  }

  /**
   * Syncs the output, and then acknowledges the connections whose lines are
   * written. One sync serves all of them, while other connections are read.
   * Those that end meanwhile wait for the next sync.
   */
  #sync(): void {
    if (this.#written.length === 0) return;
    const group = this.#written;
    this.#written = [];
    const safe = this.#output.sync();
    if (typeof safe === "boolean") return this.#acknowledge(group, safe);
    this.#syncing = safe.then(
      (safe) => this.#acknowledge(group, safe),
      (error) => this.#failure = error,
    ).finally(() => {
      this.#syncing = undefined;
      if (this.#failure === undefined) this.#sync();
      this.#poller.wake();
    });
  }

  #acknowledge(group: readonly Served[], safe: boolean): void {
    if (!safe) {
      this.#doubtful = true;
      for (const connection of this.#served) {
        if (connection?.ending === ENDED) connection.ending = FAILED;
      }
    }
    for (const connection of group) this.#close(connection);
  }

  #close(connection: Served): void {
    const { fd, ending = FAILED, received } = connection;
    // It was reset already; another connection may have its descriptor.
    if (this.#served[fd] !== connection) return;
    this.#served[fd] = undefined;
    if (ending === ENDED) {
      if (this.#options.acknowledge) write(fd, acknowledgement(received));
      close(fd);
    } else closeWithReset(fd);
    this.#reception.end(connection, ending);
  }

  /** Writes all lines that are finished, however long that takes. */
  async #empty(): Promise<void> {
    // Where both go to one pipe, the message about a connection comes before
    // its lines.
    this.#messages.flush();
    if (this.#together && this.#messages.waiting) {
      await this.#standing(this.#untilFlushed());
    }
    while (this.#framer.size > 0) {
      const written = this.#output.write(this.#framer.output());
      this.#framer.taken(
        typeof written === "number" ? written : await this.#standing(written),
      );
    }
  }

  /** Writes all messages, however long that takes. */
  async #untilFlushed(): Promise<void> {
    this.#poller.set(0, NOTHING, 0);
    this.#poller.set(2, this.#messages.fd, WRITABLE);
    while (this.#messages.waiting) {
      await this.#poller.wait();
      if (this.#poller.found(1) !== 0) throw this.#output.gone();
      this.#messages.flush();
    }
    this.#poller.set(0, this.#watched.fd, READABLE);
  }

  /** Waits for the output; see {@linkcode LogServer.#readClock}. */
  async #standing<T>(waiting: Promise<T>): Promise<T> {
    const since = performance.now();
    const result = await waiting;
    this.#stood += performance.now() - since;
    return result;
  }

  /** Writes what was read, and ends all connections. */
  async #writeRest(): Promise<void> {
    await this.#endAll();
    await this.#write();
    while (this.#syncing !== undefined) await this.#syncing;
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** Ends all connections as failed, so that their senders send again. */
  async #endAll(): Promise<void> {
    for (const connection of this.#served) {
      if (connection === undefined || connection.ending !== undefined) continue;
      const waiting = this.#end(connection, FAILED);
      if (waiting !== undefined) await waiting;
    }
  }
}

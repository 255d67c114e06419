/**
 * The log server: every connection's lines to standard output.
 *
 * @module
 */
import { fromLatin1 } from "../bytes.ts";
import { close, EAGAIN, read, write } from "../sys/descriptors.ts";
import { getenv } from "../sys/environment.ts";
import { errorNumber, SysError } from "../sys/errors.ts";
import { raiseDescriptorLimit } from "../sys/limits.ts";
import {
  FAILED,
  HUNG_UP,
  Poller,
  READABLE,
  WRITABLE,
  yieldToEventLoop,
} from "../sys/poll.ts";
import {
  accept,
  closeWithReset,
  dropOptions,
  getsockname,
} from "../sys/sockets.ts";
import { onTermination, settleSignals } from "../sys/signals.ts";
import { Epoll } from "../sys/epoll.ts";
import { answer } from "./acknowledgement.ts";
import type { ServerArguments } from "./arguments.ts";
import { Fatal } from "./fatal.ts";
import { Framer, type FramerOptions, Stream } from "./framing.ts";
import type { Listener } from "./listener.ts";
import { lookUp, type Questions, questions } from "./lookups.ts";
import type { Messages } from "./messages.ts";
import type { Output } from "./output.ts";
import { Rules } from "./rules.ts";
import { describe, type Peers, peersOf, variables } from "./ucspi.ts";

/** How often a busy server looks whether a signal has come, milliseconds. */
const TURN_EVERY = 5;
/** How many connections one round takes. */
const ACCEPTS = 128;
/** How long to accept nothing when there are no descriptors, milliseconds. */
const ACCEPT_PAUSE = 1000;
/** How long to wait when standard output can't be written, milliseconds. */
const OUTPUT_PAUSE = 5000;
/** How many NAMEs count. */
const MOST_NAMES = 8;
/** Descriptors that aren't connections. */
export const OTHER_DESCRIPTORS = 64;

/** Trouble of the moment, not of the server: it goes on after a pause. */
const SHORTAGES = ["EMFILE", "ENFILE", "ENOBUFS", "ENOMEM"].map(errorNumber);

/** What `end` lines say, as a program's exit status would be there. */
const ENDED = 0;
const DENIED = 100 << 8;
const FAILED_STATUS = 111 << 8;

/** One connection. */
interface Connection {
  fd: number;
  /** Its number, counted from 1; where the original has a process's. */
  id: number;
  peers: Peers;
  /** Its lines; none while names are looked up. */
  stream: Stream | undefined;
  /** How many bytes it has sent. */
  received: number;
  /** When it sent something last, in milliseconds. */
  active: number;
  /** Whether it has ended, and when it has, how. */
  status: number | undefined;
}

/**
 * A log server. All its connections live in one loop: look, read, put lines
 * together, write, wait. What was read in one round is written before the next
 * begins, so when standard output is full, nothing is read.
 */
export class LogServer {
  readonly #args: ServerArguments;
  readonly #messages: Messages;
  readonly #listener: Listener;
  readonly #names: string[];
  readonly #framer: Framer;
  readonly #output: Output;
  readonly #watcher = new Epoll(512);
  readonly #poller = new Poller(2);
  readonly #rules: Rules | undefined;
  readonly #questions: Questions | undefined;
  /** Whether this end's address differs from connection to connection. */
  readonly #manyLocals: boolean;

  /** By descriptor. */
  readonly #connections: (Connection | undefined)[] = [];
  #count = 0;
  #lastId = 0;
  /** Those whose look-ups are done. */
  #admitted: Connection[] = [];
  /** Those that have ended, to be closed when their lines are written. */
  #ended: Connection[] = [];
  #listening = true;
  /** Until when nothing is accepted. */
  #pausedUntil = 0;
  #stopping = false;
  /** For how long standard output has been waited for, milliseconds. */
  #stood = 0;
  /** The server's own clock, see `#readClock`. */
  #now = 0;
  #idleCheck = 0;
  #turned = 0;

  /**
   * Makes the server.
   *
   * @param args The command line
   * @param task Its NAMEs, and how lines come out
   * @param listener Its open listener
   * @param output Where lines go
   * @param messages Where to say what happens
   */
  constructor(
    args: ServerArguments,
    task: { names: string[]; form: NonNullable<FramerOptions["form"]> },
    listener: Listener,
    output: Output,
    messages: Messages,
  ) {
    this.#args = args;
    this.#messages = messages;
    this.#listener = listener;
    this.#names = task.names;
    this.#framer = new Framer({ form: task.form });
    this.#output = output;
    this.#rules = args.rules === undefined
      ? undefined
      : new Rules(args.rules, args.rulesMayBeMissing);
    this.#questions = questions(args);
    this.#manyLocals = ["0.0.0.0", "::"].includes(listener.local.ip);
  }

  /**
   * Serves until a signal asks for the end: SIGTERM, SIGINT or SIGHUP, since
   * all of them would lose what was read.
   *
   * @throws {Fatal} When standard output fails; every connection is reset
   */
  async run(): Promise<void> {
    const stopListening = onTermination(() => {
      this.#stopping = true;
      this.#poller.wake();
    });
    settleSignals();
    try {
      this.#raiseLimit();
      this.#watcher.add(this.#listener.fd, READABLE);
      this.#poller.set(0, this.#watcher.fd, READABLE);
      // Asked for nothing, it still tells when the reader is gone.
      this.#poller.set(1, this.#output.fd, 0);
      this.#reportStatus();
      this.#messages.flush();
      // The first wait takes descriptors, which connections may use up later.
      await this.#poller.wait(0);
      while (!this.#stopping) await this.#round();
      await this.#stop();
    } catch (error) {
      for (const connection of this.#connections) {
        if (connection !== undefined) closeWithReset(connection.fd);
      }
      throw error;
    } finally {
      this.#messages.flush();
      stopListening();
    }
  }

  #raiseLimit(): void {
    const wanted = this.#args.limit + OTHER_DESCRIPTORS;
    const allowed = raiseDescriptorLimit(wanted);
    if (allowed < wanted) {
      this.#messages.error(
        `warning: ${this.#args.limit} connections need ${wanted} ` +
          `descriptors, but only ${allowed} are allowed`,
      );
    }
  }

  #reportStatus(): void {
    if (!this.#messages.verbose) return;
    this.#messages.status(`status: ${this.#count}/${this.#args.limit}`);
  }

  /** Looks, and does what there is to be done; waits when there is nothing. */
  async #round(): Promise<void> {
    const found = this.#watcher.poll();
    if (found === 0 && this.#admitted.length === 0) {
      await this.#poller.wait(this.#untilNext());
      this.#turned = this.#now = this.#readClock();
      // A pipe fails when its reader is gone, a socket or terminal hangs up.
      if (this.#poller.found(1) & (FAILED | HUNG_UP)) throw this.#output.gone();
      // First what came while this server was stopped, or waited: who has sent
      // isn't idle.
      if (this.#poller.found(0) !== 0) return;
    }
    this.#now = this.#readClock();
    for (let i = 0; i < found; i++) {
      const fd = this.#watcher.fdAt(i);
      if (fd === this.#listener.fd) {
        this.#accept();
        continue;
      }
      const connection = this.#connections[fd];
      if (connection === undefined) continue;
      // Awaited only when there is something to wait for: this is the hot path.
      const waiting = this.#receive(connection);
      if (waiting !== undefined) await waiting;
    }
    for (const connection of this.#admitted.splice(0)) {
      this.#begin(connection);
      const waiting = this.#receive(connection);
      if (waiting !== undefined) await waiting;
    }
    if (this.#args.idle > 0) await this.#checkIdle();
    await this.#write();
    this.#messages.flush();
    this.#checkListening();
    if (this.#now - this.#turned > TURN_EVERY) {
      await yieldToEventLoop();
      this.#turned = this.#readClock();
    }
  }

  /**
   * The time in milliseconds, without the waits for standard output: what
   * nobody could do meanwhile, nobody is late with.
   */
  #readClock(): number {
    return performance.now() - this.#stood;
  }

  /** How long a wait may be, in milliseconds. */
  #untilNext(): number {
    const times = [];
    if (this.#pausedUntil > 0) times.push(this.#pausedUntil);
    if (this.#args.idle > 0 && this.#count > 0) times.push(this.#idleCheck);
    return times.length === 0
      ? -1
      : Math.max(0, Math.min(...times) - this.#readClock());
  }

  #accept(): void {
    const { limit, keepOptions, banner } = this.#args;
    for (let i = 0; i < ACCEPTS && this.#count < limit; i++) {
      const accepted = accept(this.#listener.fd);
      if (typeof accepted === "number") {
        if (-accepted === EAGAIN) return;
        // Whoever has given up while waiting is no trouble.
        if (!SHORTAGES.includes(-accepted)) continue;
        this.#messages.error(
          `warning: unable to accept a connection: ${
            new SysError(-accepted).message
          }`,
        );
        this.#pausedUntil = this.#now + ACCEPT_PAUSE;
        return;
      }
      const { fd, remote } = accepted;
      if (!keepOptions) dropOptions(fd);
      const local = this.#manyLocals ? getsockname(fd) : this.#listener.local;
      const connection: Connection = {
        fd,
        id: ++this.#lastId,
        peers: peersOf(local, remote, this.#args.localName),
        stream: undefined,
        received: 0,
        active: this.#now,
        status: undefined,
      };
      this.#connections[fd] = connection;
      this.#count++;
      this.#reportStatus();
      this.#messages.status(`pid ${connection.id} from ${remote.ip}`);
      if (banner.length > 0) write(fd, banner);
      if (this.#questions === undefined) this.#admitted.push(connection);
      else this.#lookUp(connection, this.#questions);
    }
  }

  #lookUp(connection: Connection, asked: Questions): void {
    lookUp(connection.peers, asked).then(() => {
      this.#admitted.push(connection);
      this.#poller.wake();
    });
  }

  /** Lets a connection in, or not, and begins to watch it. */
  #begin(connection: Connection): void {
    const { peers, fd, id } = connection;
    if (this.#rules !== undefined) {
      try {
        const { deny, variables } = this.#rules.judge({
          ip: peers.remote.ip,
          host: peers.remoteHost,
          info: peers.remoteInfo,
        });
        peers.rules = variables;
        if (deny) {
          this.#messages.status(`deny ${id} ${describe(peers)}`);
          this.#turnAway(connection, DENIED);
          return;
        }
      } catch (error) {
        if (!(error instanceof Fatal)) throw error;
        this.#messages.error(
          `warning: dropping connection, ${error.message}`,
        );
        this.#turnAway(connection, FAILED_STATUS);
        return;
      }
    }
    if (this.#messages.verbose) {
      this.#messages.status(`ok ${id} ${describe(peers)}`);
    }
    connection.stream = new Stream(this.#prefix(peers));
    this.#watcher.add(fd, READABLE);
  }

  /** Drops a connection. Without a banner to be read, it sees a failure. */
  #turnAway(connection: Connection, status: number): void {
    connection.status = status;
    if (this.#args.banner.length > 0) close(connection.fd);
    else closeWithReset(connection.fd);
    this.#forget(connection);
  }

  #prefix(peers: Peers): Uint8Array<ArrayBuffer> {
    const own = variables(peers);
    const parts: number[] = [];
    let set = 0;
    for (const name of this.#names) {
      const value = own.has(name) ? own.get(name) : getenv(name);
      if (value === undefined) continue;
      if (++set > MOST_NAMES) break;
      parts.push(...(typeof value === "string" ? fromLatin1(value) : value));
      parts.push(0x3a, 0x20);
    }
    return Uint8Array.from(parts);
  }

  /**
   * Reads what a connection has sent.
   *
   * @returns A promise only when the output is full
   */
  #receive(connection: Connection): Promise<void> | undefined {
    const { stream } = connection;
    if (stream === undefined || connection.status !== undefined) return;
    const n = read(connection.fd, this.#framer.input);
    if (n > 0) {
      connection.received += n;
      connection.active = this.#now;
      const at = this.#framer.take(stream, 0, n);
      return at === n ? undefined : this.#takeRest(stream, at, n);
    }
    if (n === -EAGAIN) return;
    return this.#end(connection, n === 0 ? ENDED : FAILED_STATUS);
  }

  async #takeRest(stream: Stream, at: number, to: number): Promise<void> {
    while (at < to) {
      await this.#empty();
      at = this.#framer.take(stream, at, to);
    }
  }

  #end(connection: Connection, status: number): Promise<void> | undefined {
    connection.status = status;
    this.#ended.push(connection);
    const { stream } = connection;
    if (stream === undefined || this.#framer.end(stream)) return;
    return this.#empty().then(() => void this.#framer.end(stream));
  }

  async #checkIdle(): Promise<void> {
    if (this.#now < this.#idleCheck) return;
    this.#idleCheck = this.#now + 1000;
    const oldest = this.#now - this.#args.idle * 1000;
    for (const connection of this.#connections) {
      if (connection?.stream === undefined) continue;
      if (connection.status !== undefined) continue;
      if (connection.active > oldest) continue;
      this.#messages.status(`idle ${connection.id}`);
      const waiting = this.#end(connection, FAILED_STATUS);
      if (waiting !== undefined) await waiting;
    }
  }

  /** Listens again after a pause, or when there is room for connections. */
  #checkListening(): void {
    if (this.#pausedUntil > 0 && this.#now >= this.#pausedUntil) {
      this.#pausedUntil = 0;
    }
    const wanted = this.#pausedUntil === 0 &&
      this.#count < this.#args.limit;
    if (wanted === this.#listening) return;
    this.#listening = wanted;
    this.#watcher.change(this.#listener.fd, wanted ? READABLE : 0);
  }

  /** Writes everything, then closes the connections that have ended. */
  async #write(): Promise<void> {
    if (this.#framer.size > 0) await this.#empty();
    if (this.#ended.length === 0) return;
    for (const connection of this.#ended) {
      const { fd, status, received } = connection;
      if (status === ENDED) {
        if (this.#args.acknowledge) write(fd, answer(received));
        close(fd);
      } else closeWithReset(fd);
      this.#forget(connection);
    }
    this.#ended.length = 0;
  }

  #forget({ fd, id, status }: Connection): void {
    this.#connections[fd] = undefined;
    this.#count--;
    this.#messages.status(`end ${id} status ${status}`);
    this.#reportStatus();
  }

  /** Writes everything that is finished, however long that takes. */
  async #empty(): Promise<void> {
    // Whose lines these are has been said before them, where both go one way.
    this.#messages.flush();
    while (this.#framer.size > 0) {
      const written = this.#output.write(this.#framer.output());
      if (typeof written === "number" && written > 0) {
        this.#framer.taken(written);
        continue;
      }
      const since = performance.now();
      this.#poller.set(0, -1, 0);
      if (written instanceof SysError) {
        // One that has hung up would end the pause at once.
        this.#poller.set(1, -1, 0);
        await this.#pause(written);
      } else {
        this.#poller.set(1, this.#output.fd, WRITABLE);
        await this.#poller.wait();
      }
      this.#poller.set(1, this.#output.fd, 0);
      this.#poller.set(0, this.#watcher.fd, READABLE);
      this.#stood += performance.now() - since;
    }
  }

  /** Waits for somebody to make room; not when the end is being waited for. */
  async #pause(error: SysError): Promise<void> {
    const what = `unable to write to standard output`;
    if (this.#stopping) throw new Fatal(`${what}: ${error.message}`);
    this.#messages.error(`warning: ${what}, pausing: ${error.message}`);
    this.#messages.flush();
    await this.#poller.wait(OUTPUT_PAUSE);
  }

  /** Writes what was read, and lets nobody believe that more was. */
  async #stop(): Promise<void> {
    close(this.#listener.fd);
    for (const connection of this.#connections) {
      if (connection === undefined || connection.status !== undefined) continue;
      const waiting = this.#end(connection, FAILED_STATUS);
      if (waiting !== undefined) await waiting;
    }
    await this.#write();
  }
}

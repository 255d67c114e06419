/**
 * What all servers do with a connection before and after they serve it: they
 * accept it, look up names, ask the access rules whether to let it in, and
 * report all of that in tcpserver's words.
 *
 * @module
 */
import type { Bytes } from "../bytes.ts";
import { close, EAGAIN, write } from "../sys/descriptors.ts";
import { errorNumber, SysError } from "../sys/errors.ts";
import {
  accept,
  closeWithReset,
  dropOptions,
  getsockname,
} from "../sys/sockets.ts";
import {
  type ConnectionInfo,
  connectionInfo,
  describe,
} from "./connection_info.ts";
import type { Listener } from "./listener.ts";
import { lookUp, type LookUpOptions, mayAsk, type Wanted } from "./lookups.ts";
import type { Messages } from "./messages.ts";
import { Rules, RulesError } from "./rules.ts";

/** How connections are received. */
export interface ReceptionOptions extends LookUpOptions {
  /** How many connections there may be at the same time (`-c`). */
  limit: number;
  /** The bytes to send to each connection first (`-B`). */
  banner: Bytes;
  /** Whether a connection's IP options are left as they are (`-o`). */
  keepOptions: boolean;
  /** The file with the access rules (`-x`). */
  rules: string | undefined;
  /** Whether that file may be missing (`-X`). */
  rulesMayBeMissing: boolean;
}

/** How many connections one call accepts at the most. */
const ACCEPTS = 128;
/** For how many milliseconds to accept nothing after a shortage. */
const ACCEPT_PAUSE = 1000;

/** Errors after which the server tries again to accept, after a pause. */
const SHORTAGES = ["EMFILE", "ENFILE", "ENOBUFS", "ENOMEM"].map(errorNumber);

/**
 * How a connection ended, as `end` lines report it: as the wait status of a
 * program. This one ended well.
 */
export const ENDED = 0;
/** The access rules haven't let it in. */
export const DENIED = 100 << 8;
/** It has failed. */
export const FAILED = 111 << 8;

/** A connection. */
export interface Connection {
  readonly fd: number;
  readonly info: ConnectionInfo;
  /** Its number in messages; 0 as long as it has none. */
  id: number;
}

/** Receives the connections of a server. */
export class Reception {
  readonly #options: ReceptionOptions;
  readonly #listener: Listener;
  readonly #messages: Messages;
  readonly #rules: Rules | undefined;
  /** The names that the server itself uses; rules may want more. */
  readonly #shown: Wanted;
  readonly #asks: boolean;
  readonly #numbering: boolean;
  readonly #wake: () => void;
  /** Whether connections may have different local addresses. */
  readonly #manyLocals: boolean;
  #count = 0;
  #lastId = 0;
  /**
   * The connections whose look-ups are done, and that nobody has judged yet.
   */
  #known: Connection[] = [];
  /** Which look-ups were made for each. */
  readonly #asked = new WeakMap<Connection, Wanted>();
  /** Until when nothing is accepted, on the server's clock; 0 for no pause. */
  #pausedUntil = 0;
  #closed = false;

  /**
   * Prepares to receive connections.
   *
   * @param options How connections are received
   * @param listener The socket to accept them from
   * @param messages Takes the messages about them
   * @param server `shown`: which names the server uses; `numbering`: whether
   * each connection gets the next number when it is accepted (otherwise the
   * server calls {@linkcode Reception.introduce} with a process id); `wake`:
   * called when a connection's look-ups are done
   */
  constructor(
    options: ReceptionOptions,
    listener: Listener,
    messages: Messages,
    server: { shown: Wanted; numbering: boolean; wake: () => void },
  ) {
    this.#options = options;
    this.#listener = listener;
    this.#messages = messages;
    this.#rules = options.rules === undefined
      ? undefined
      : new Rules(options.rules, options.rulesMayBeMissing);
    this.#shown = server.shown;
    this.#asks = mayAsk(options);
    this.#numbering = server.numbering;
    this.#wake = server.wake;
    this.#manyLocals = ["0.0.0.0", "::"].includes(listener.local.ip);
    this.#reportCount();
  }

  /** How many connections there are, served or not. */
  get count(): number {
    return this.#count;
  }

  /**
   * Whether one more connection can be accepted now.
   *
   * @param now The time in milliseconds, on the server's clock
   */
  accepts(now: number): boolean {
    if (now >= this.#pausedUntil) this.#pausedUntil = 0;
    return this.#pausedUntil === 0 && this.#count < this.#options.limit;
  }

  /** Until when nothing is accepted, on the server's clock; 0 for no pause. */
  get pausedUntil(): number {
    return this.#pausedUntil;
  }

  /** Whether there are connections for {@linkcode Reception.admit} to judge. */
  get hasKnown(): boolean {
    return this.#known.length > 0;
  }

  /**
   * Accepts the connections that wait, as many as the limit allows, and begins
   * their look-ups.
   *
   * @param now The time in milliseconds, on the server's clock
   * @param nonblocking Whether reads and writes of the connections return at
   * once
   */
  accept(now: number, nonblocking: boolean): void {
    const { limit, keepOptions, banner, localName } = this.#options;
    for (let i = 0; i < ACCEPTS && this.#count < limit; i++) {
      const accepted = accept(this.#listener.fd, nonblocking);
      if (typeof accepted === "number") {
        if (-accepted === EAGAIN) return;
        // Any other error is about a client that has given up already.
        if (!SHORTAGES.includes(-accepted)) continue;
        const { message } = new SysError(-accepted);
        this.#messages.warn(`unable to accept a connection: ${message}`);
        this.#pausedUntil = now + ACCEPT_PAUSE;
        return;
      }
      const { fd, remote } = accepted;
      if (!keepOptions) dropOptions(fd);
      const local = this.#manyLocals ? getsockname(fd) : this.#listener.local;
      const info = connectionInfo(local, remote, localName);
      const connection = { fd, info, id: 0 };
      this.#count++;
      this.#reportCount();
      if (this.#numbering) this.introduce(connection);
      if (banner.length > 0) write(fd, banner);
      if (!this.#asks) this.#known.push(connection);
      else this.#ask(connection, this.#wanted());
    }
  }

  /** Which look-ups the server itself or its present access rules want. */
  #wanted(): Wanted {
    const needs = this.#rules?.needs();
    const { localHost, remoteHost, remoteInfo } = this.#shown;
    return {
      localHost,
      remoteHost: remoteHost || needs?.host === true,
      remoteInfo: remoteInfo || needs?.info === true,
    };
  }

  #ask(connection: Connection, wanted: Wanted): void {
    const asked = lookUp(connection.info, this.#options, wanted);
    this.#asked.set(connection, wanted);
    if (asked === undefined) this.#known.push(connection);
    else {
      asked.then(() => {
        if (this.#closed) return closeWithReset(connection.fd);
        this.#known.push(connection);
        this.#wake();
      });
    }
  }

  /**
   * Begins the look-ups that the rules want only since they were replaced,
   * while a connection's first look-ups ran.
   */
  #askAgain(connection: Connection): boolean {
    const before = this.#asked.get(connection);
    if (before === undefined || this.#rules === undefined) return false;
    const now = this.#wanted();
    const more = {
      localHost: false,
      remoteHost: now.remoteHost && !before.remoteHost,
      remoteInfo: now.remoteInfo && !before.remoteInfo,
    };
    if (!more.remoteHost && !more.remoteInfo) return false;
    this.#ask(connection, more);
    this.#asked.set(connection, now);
    return true;
  }

  /**
   * Asks the access rules about the connections whose look-ups are done, and
   * drops those that they don't let in.
   *
   * @returns The connections to serve
   */
  admit(): Connection[] {
    const known = this.#known;
    this.#known = [];
    return known.filter((connection) =>
      !this.#askAgain(connection) && this.#letsIn(connection)
    );
  }

  #letsIn(connection: Connection): boolean {
    if (this.#rules === undefined) return true;
    const { info } = connection;
    try {
      const { deny, variables } = this.#rules.judge({
        ip: info.remote.ip,
        host: info.remoteHost,
        info: info.remoteInfo,
      });
      info.rules = variables;
      if (!deny) return true;
      if (connection.id === 0) this.introduce(connection);
      this.#messages.report(`deny ${connection.id} ${describe(info)}`);
      this.drop(connection, DENIED);
    } catch (error) {
      if (!(error instanceof RulesError)) throw error;
      this.#messages.warn(`dropping connection, ${error.message}`);
      this.drop(connection, FAILED);
    }
    return false;
  }

  /**
   * Drops a connection: with a reset, so that the client sees a failure, or,
   * when there is a banner for it to read, without.
   */
  drop(connection: Connection, ending: number): void {
    if (this.#options.banner.length > 0) close(connection.fd);
    else closeWithReset(connection.fd);
    this.end(connection, ending);
  }

  /**
   * Gives a connection its number, and reports where it comes from.
   *
   * @param connection The connection
   * @param id Its number: the process id of its program; without a program the
   * next number
   */
  introduce(connection: Connection, id: number = ++this.#lastId): void {
    connection.id = id;
    this.#messages.report(`pid ${id} from ${connection.info.remote.ip}`);
  }

  /** Reports that a connection is served. */
  welcome({ id, info }: Connection): void {
    if (this.#messages.verbose) {
      this.#messages.report(`ok ${id} ${describe(info)}`);
    }
  }

  /**
   * Reports that a connection has ended; another may take its place.
   *
   * @param connection The connection, which is closed already
   * @param ending How it ended, as a wait status
   */
  end(connection: Connection, ending: number): void {
    if (connection.id === 0) this.introduce(connection);
    this.#count--;
    this.#messages.report(`end ${connection.id} status ${ending}`);
    this.#reportCount();
  }

  /** Resets the connections that aren't served yet, also those to come. */
  close(): void {
    this.#closed = true;
    for (const { fd } of this.#known.splice(0)) closeWithReset(fd);
  }

  #reportCount(): void {
    this.#messages.report(`status: ${this.#count}/${this.#options.limit}`);
  }
}

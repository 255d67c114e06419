/**
 * What all servers do with a connection before they serve it, and after: they
 * accept it, ask who it is, and whether the rules let it in; and they tell of
 * that in tcpserver's words.
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
  /** How many there may be at once (`-c`). */
  limit: number;
  /** What each is greeted with (`-B`). */
  banner: Bytes;
  /** Whether IP options stay as they are (`-o`). */
  keepOptions: boolean;
  /** The file with the access rules (`-x`). */
  rules: string | undefined;
  /** Whether it may be missing (`-X`). */
  rulesMayBeMissing: boolean;
}

/** How many connections one call accepts. */
const ACCEPTS = 128;
/** How long to accept nothing when there are no descriptors, milliseconds. */
const ACCEPT_PAUSE = 1000;

/** Trouble of the moment, not of the server: it goes on after a pause. */
const SHORTAGES = ["EMFILE", "ENFILE", "ENOBUFS", "ENOMEM"].map(errorNumber);

/** How a connection ended, as a wait status: what `end` lines say. */
export const ENDED = 0;
/** The rules don't let it in. */
export const DENIED = 100 << 8;
/** It failed. */
export const FAILED = 111 << 8;

/** A connection. */
export interface Connection {
  readonly fd: number;
  readonly info: ConnectionInfo;
  /** Its number in messages; 0 while it has none. */
  id: number;
}

/** Receives the connections of a server. */
export class Reception {
  readonly #options: ReceptionOptions;
  readonly #listener: Listener;
  readonly #messages: Messages;
  readonly #rules: Rules | undefined;
  /** What the server itself shows of names. */
  readonly #shown: Wanted;
  readonly #asks: boolean;
  readonly #numbering: boolean;
  readonly #wake: () => void;
  /** Whether this end's address differs from connection to connection. */
  readonly #manyLocals: boolean;
  #count = 0;
  #lastId = 0;
  /** Those of which is known what can be. */
  #known: Connection[] = [];
  /** What was asked about each. */
  readonly #asked = new WeakMap<Connection, Wanted>();
  /** Until when nothing is accepted; 0 for no pause. */
  #pausedUntil = 0;
  #closed = false;

  /**
   * Opens it.
   *
   * @param options How connections are received
   * @param listener Where they come in
   * @param messages Where to tell of them
   * @param server `shown`: which names the server has a use for;
   * `numbering`: whether each gets a number as it comes, or else a program's
   * process id, by {@linkcode Reception.introduce}; `wake`: what is called
   * when answers have arrived
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
    this.#tellCount();
  }

  /** How many connections there are. */
  get count(): number {
    return this.#count;
  }

  /**
   * Whether one more can be accepted now.
   *
   * @param now The time, on the server's clock, in milliseconds
   */
  accepts(now: number): boolean {
    if (now >= this.#pausedUntil) this.#pausedUntil = 0;
    return this.#pausedUntil === 0 && this.#count < this.#options.limit;
  }

  /** Until when nothing is accepted, on the server's clock; 0 for no pause. */
  get pausedUntil(): number {
    return this.#pausedUntil;
  }

  /** Whether there are connections that {@linkcode Reception.admit} waits for. */
  get hasKnown(): boolean {
    return this.#known.length > 0;
  }

  /**
   * Accepts connections.
   *
   * @param now The time, on the server's clock, in milliseconds
   * @param nonblocking Whether reads and writes of them return at once
   */
  accept(now: number, nonblocking: boolean): void {
    const { limit, keepOptions, banner, localName } = this.#options;
    for (let i = 0; i < ACCEPTS && this.#count < limit; i++) {
      const accepted = accept(this.#listener.fd, nonblocking);
      if (typeof accepted === "number") {
        if (-accepted === EAGAIN) return;
        // Whoever has given up while waiting is no trouble.
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
      this.#tellCount();
      if (this.#numbering) this.introduce(connection);
      if (banner.length > 0) write(fd, banner);
      if (!this.#asks) this.#known.push(connection);
      else this.#ask(connection, this.#wanted());
    }
  }

  /** What has a use: for the server itself, or for the rules of this moment. */
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

  /** Asks what rules want to know that came while others were asked. */
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
   * Judges the connections of which is known what can be; who isn't let in is
   * dropped.
   *
   * @returns Those that are to be served
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

  /** Drops a connection. Without a banner to be read, it sees a failure. */
  drop(connection: Connection, ending: number): void {
    if (this.#options.banner.length > 0) close(connection.fd);
    else closeWithReset(connection.fd);
    this.end(connection, ending);
  }

  /**
   * Says that there is a connection, and gives it its number.
   *
   * @param connection The connection
   * @param id The number; where it has no process of its own, the next one
   */
  introduce(connection: Connection, id: number = ++this.#lastId): void {
    connection.id = id;
    this.#messages.report(`pid ${id} from ${connection.info.remote.ip}`);
  }

  /** Says that a connection is served. */
  welcome({ id, info }: Connection): void {
    if (this.#messages.verbose) {
      this.#messages.report(`ok ${id} ${describe(info)}`);
    }
  }

  /**
   * Says that a connection has ended, and makes room for the next.
   *
   * @param connection The connection, which is closed already
   * @param ending How it ended, as a wait status
   */
  end(connection: Connection, ending: number): void {
    if (connection.id === 0) this.introduce(connection);
    this.#count--;
    this.#messages.report(`end ${connection.id} status ${ending}`);
    this.#tellCount();
  }

  /** Lets nobody in any more who isn't served. */
  close(): void {
    this.#closed = true;
    for (const { fd } of this.#known.splice(0)) closeWithReset(fd);
  }

  #tellCount(): void {
    this.#messages.report(`status: ${this.#count}/${this.#options.limit}`);
  }
}

/**
 * A server that runs a program for each connection, as tcpserver does.
 *
 * @module
 */
import { latin1 } from "../bytes.ts";
import { close } from "../sys/descriptors.ts";
import { environ, getenv } from "../sys/environment.ts";
import { SysError } from "../sys/errors.ts";
import { stat } from "../sys/files.ts";
import { Poller, READABLE, WRITABLE } from "../sys/poll.ts";
import { spawn, waitForAny } from "../sys/process.ts";
import { listen, settleSignals } from "../sys/signals.ts";
import { variables, withVariables } from "./connection_info.ts";
import type { Listener } from "./listener.ts";
import type { Messages } from "./messages.ts";
import {
  type Connection,
  FAILED,
  Reception,
  type ReceptionOptions,
} from "./reception.ts";

/** Where execvp(3) looks for programs when `$PATH` isn't set. */
const DEFAULT_PATH = "/bin:/usr/bin";

/**
 * Whether a program exists and is executable.
 *
 * @param name Its path; or its name, which is searched for in `$PATH`
 */
export function canRun(name: string): boolean {
  const path = getenv("PATH");
  const folders = name.includes("/")
    ? [""]
    : (path === undefined ? DEFAULT_PATH : latin1(path)).split(":")
      .map((folder) => folder === "" ? "" : `${folder}/`);
  return folders.some((folder) => {
    try {
      const info = stat(`${folder}${name}`);
      return info?.isFile === true && (info.mode & 0o111) !== 0;
    } catch (error) {
      // No such directory, or one that this user may not search.
      if (error instanceof SysError) return false;
      throw error;
    }
  });
}

/** The options of a server that runs a program for each connection. */
export interface ProgramServerOptions extends ReceptionOptions {
  /** The program and its arguments. */
  program: readonly string[];
}

/** A server that runs a program for each connection. */
export class ProgramServer {
  readonly #program: readonly string[];
  readonly #listener: Listener;
  readonly #messages: Messages;
  readonly #reception: Reception;
  readonly #poller = new Poller(2);
  readonly #environment = environ();
  /** The connections whose programs are running, by process id. */
  readonly #running = new Map<number, Connection>();
  #stopping = false;

  /**
   * Makes the server.
   *
   * @param options Its options
   * @param listener The socket that it listens at
   * @param messages Takes the messages
   */
  constructor(
    options: ProgramServerOptions,
    listener: Listener,
    messages: Messages,
  ) {
    this.#program = options.program;
    this.#listener = listener;
    this.#messages = messages;
    this.#reception = new Reception(options, listener, messages, {
      // A program sees all variables, so everything is looked up.
      shown: { localHost: true, remoteHost: true, remoteInfo: true },
      numbering: false,
      wake: () => this.#poller.wake(),
    });
  }

  /** Serves until SIGTERM. Programs that are running then go on. */
  async run(): Promise<void> {
    const stop = () => {
      this.#stopping = true;
      this.#poller.wake();
    };
    const child = () => this.#poller.wake();
    listen("SIGTERM", stop);
    listen("SIGCHLD", child);
    settleSignals();
    try {
      // The first wait opens descriptors, so it comes now: connections may use
      // up all that are left.
      await this.#poller.wait(0);
      while (!this.#stopping) await this.#round();
    } finally {
      await this.#messages.flushPatiently();
      Deno.removeSignalListener("SIGTERM", stop);
      Deno.removeSignalListener("SIGCHLD", child);
    }
  }

  async #round(): Promise<void> {
    this.#messages.flush();
    const now = performance.now();
    const { fd, waiting } = this.#messages;
    const accepts = !waiting && this.#reception.accepts(now);
    const { pausedUntil, hasKnown } = this.#reception;
    this.#poller.set(0, accepts ? this.#listener.fd : -1, READABLE);
    this.#poller.set(1, waiting ? fd : -1, WRITABLE);
    if (hasKnown) this.#poller.look();
    else await this.#poller.wait(pausedUntil > 0 ? pausedUntil - now : -1);
    for (let one = waitForAny(); one !== undefined; one = waitForAny()) {
      // A child may be none of these programs: the process that became this
      // server by exec, or a child of ours, may have left it.
      const connection = this.#running.get(one.pid);
      this.#running.delete(one.pid);
      if (connection !== undefined) this.#reception.end(connection, one.status);
    }
    if (accepts && this.#poller.found(0) !== 0) {
      this.#reception.accept(performance.now(), false);
    }
    for (const connection of this.#reception.admit()) this.#start(connection);
  }

  #start(connection: Connection): void {
    const { fd, info } = connection;
    try {
      const pid = spawn({
        args: this.#program,
        env: withVariables(this.#environment, variables(info)),
        fds: new Map([[0, fd], [1, fd]]),
      });
      this.#running.set(pid, connection);
      this.#reception.introduce(connection, pid);
      this.#reception.welcome(connection);
    } catch (error) {
      if (!(error instanceof SysError)) throw error;
      this.#messages.warn(
        `dropping connection, unable to run ${this.#program[0]}: ` +
          error.message,
      );
      this.#reception.end(connection, FAILED);
    } finally {
      close(fd);
    }
  }
}

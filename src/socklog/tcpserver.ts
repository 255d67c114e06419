/**
 * A server that runs a program for each connection, as tcpserver does.
 *
 * @module
 */
import { latin1 } from "../bytes.ts";
import { close, EAGAIN, write } from "../sys/descriptors.ts";
import { environ, getenv } from "../sys/environment.ts";
import { SysError } from "../sys/errors.ts";
import { stat } from "../sys/files.ts";
import { Poller, READABLE } from "../sys/poll.ts";
import { spawn, waitForAny } from "../sys/process.ts";
import { accept, dropOptions, getsockname } from "../sys/sockets.ts";
import { settleSignals } from "../sys/signals.ts";
import type { ServerArguments } from "./arguments.ts";
import { Fatal } from "./fatal.ts";
import type { Listener } from "./listener.ts";
import { lookUp, type Questions, questions } from "./lookups.ts";
import type { Messages } from "./messages.ts";
import { Rules } from "./rules.ts";
import {
  describe,
  type Peers,
  peersOf,
  variables,
  withVariables,
} from "./ucspi.ts";

/** How long to accept nothing when a connection can't be had, milliseconds. */
const ACCEPT_PAUSE = 1000;
/** Where programs are looked for when the environment doesn't say. */
const DEFAULT_PATH = "/bin:/usr/bin";

/** What `end` lines say of a connection that no program was run for. */
const DENIED = 100 << 8;
const FAILED_STATUS = 111 << 8;

/**
 * Whether a program is there to be run.
 *
 * @param name Its path, or its name, to be found in `$PATH`
 * @returns Whether it is
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
      // Not a directory, or not for us to look into.
      if (error instanceof SysError) return false;
      throw error;
    }
  });
}

/** A server of programs. */
export class ProgramServer {
  readonly #args: ServerArguments;
  readonly #program: readonly string[];
  readonly #listener: Listener;
  readonly #messages: Messages;
  readonly #poller = new Poller(1);
  readonly #rules: Rules | undefined;
  readonly #questions: Questions | undefined;
  readonly #environment = environ();
  #count = 0;
  /** The programs' process ids. */
  readonly #running = new Set<number>();
  #lastId = 0;
  #stopping = false;
  #pausedUntil = 0;

  /**
   * Makes the server.
   *
   * @param args The command line
   * @param program The program and its arguments
   * @param listener Its open listener
   * @param messages Where to say what happens
   */
  constructor(
    args: ServerArguments,
    program: readonly string[],
    listener: Listener,
    messages: Messages,
  ) {
    this.#args = args;
    this.#program = program;
    this.#listener = listener;
    this.#messages = messages;
    this.#rules = args.rules === undefined
      ? undefined
      : new Rules(args.rules, args.rulesMayBeMissing);
    this.#questions = questions(args);
  }

  /** Serves until SIGTERM. Programs that run then go on. */
  async run(): Promise<void> {
    const stop = () => {
      this.#stopping = true;
      this.#poller.wake();
    };
    const child = () => this.#poller.wake();
    Deno.addSignalListener("SIGTERM", stop);
    Deno.addSignalListener("SIGCHLD", child);
    settleSignals();
    try {
      this.#reportStatus();
      // The first wait takes descriptors, which connections may use up later.
      await this.#poller.wait(0);
      while (!this.#stopping) {
        this.#messages.flush();
        const now = performance.now();
        const paused = now < this.#pausedUntil;
        const accepting = !paused && this.#count < this.#args.limit;
        this.#poller.set(0, accepting ? this.#listener.fd : -1, READABLE);
        await this.#poller.wait(paused ? this.#pausedUntil - now : -1);
        for (let one = waitForAny(); one !== undefined; one = waitForAny()) {
          // Whoever became this server, or is its child, may have left more.
          if (this.#running.delete(one.pid)) this.#end(one.pid, one.status);
        }
        if (accepting && this.#poller.found(0) !== 0) this.#accept();
      }
    } finally {
      this.#messages.flush();
      Deno.removeSignalListener("SIGTERM", stop);
      Deno.removeSignalListener("SIGCHLD", child);
    }
  }

  #reportStatus(): void {
    this.#messages.status(`status: ${this.#count}/${this.#args.limit}`);
  }

  #accept(): void {
    while (this.#count < this.#args.limit) {
      const accepted = accept(this.#listener.fd, false);
      if (accepted === -EAGAIN) return;
      if (typeof accepted === "number") {
        const error = new SysError(-accepted);
        if (error.code === "ECONNABORTED") continue;
        this.#messages.error(
          `warning: unable to accept a connection: ${error.message}`,
        );
        this.#pausedUntil = performance.now() + ACCEPT_PAUSE;
        return;
      }
      const { fd, remote } = accepted;
      if (!this.#args.keepOptions) dropOptions(fd);
      this.#count++;
      this.#reportStatus();
      const { banner, localName } = this.#args;
      if (banner.length > 0) write(fd, banner);
      const peers = peersOf(getsockname(fd), remote, localName);
      if (this.#questions === undefined) this.#start(fd, peers);
      else {
        lookUp(peers, this.#questions).then(() => {
          this.#start(fd, peers);
          this.#poller.wake();
        });
      }
    }
  }

  #start(fd: number, peers: Peers): void {
    try {
      if (this.#denied(peers)) {
        const id = ++this.#lastId;
        this.#messages.status(`pid ${id} from ${peers.remote.ip}`);
        this.#messages.status(`deny ${id} ${describe(peers)}`);
        this.#end(id, DENIED);
        return;
      }
      const pid = spawn({
        args: this.#program,
        env: withVariables(this.#environment, variables(peers)),
        fds: new Map([[0, fd], [1, fd]]),
      });
      this.#running.add(pid);
      this.#messages.status(`pid ${pid} from ${peers.remote.ip}`);
      this.#messages.status(`ok ${pid} ${describe(peers)}`);
    } catch (error) {
      if (!(error instanceof Fatal || error instanceof SysError)) throw error;
      const why = error instanceof Fatal
        ? error.message
        : `unable to run ${this.#program[0]}: ${error.message}`;
      const id = ++this.#lastId;
      this.#messages.status(`pid ${id} from ${peers.remote.ip}`);
      this.#messages.error(`warning: dropping connection, ${why}`);
      this.#end(id, FAILED_STATUS);
    } finally {
      close(fd);
    }
  }

  #denied(peers: Peers): boolean {
    if (this.#rules === undefined) return false;
    const { deny, variables } = this.#rules.judge({
      ip: peers.remote.ip,
      host: peers.remoteHost,
      info: peers.remoteInfo,
    });
    peers.rules = variables;
    return deny;
  }

  #end(id: number, status: number): void {
    this.#count--;
    this.#messages.status(`end ${id} status ${status}`);
    this.#reportStatus();
  }
}

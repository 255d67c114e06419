/**
 * Looking up what isn't known of a connection from itself: the names of both
 * hosts, and the user that the remote host names.
 *
 * The look-ups of all connections run at the same time, so that none waits for
 * the name server, or the host, that another one asks.
 *
 * @module
 */
import { latin1 } from "../bytes.ts";
import {
  close,
  EAGAIN,
  pipe,
  read,
  setNonblocking,
} from "../sys/descriptors.ts";
import { environ } from "../sys/environment.ts";
import { SysError } from "../sys/errors.ts";
import { getaddrinfo, getnameinfo, TemporaryNameError } from "../sys/names.ts";
import { kill, spawn, waitFor } from "../sys/process.ts";
import { Semaphore } from "../sys/semaphore.ts";
import { signals } from "../sys/signals.ts";
import type { Endpoint } from "../sys/sockets.ts";
import type { ConnectionInfo } from "./connection_info.ts";
import { identify } from "./ident.ts";

/** Which look-ups the command line allows. */
export interface LookUpOptions {
  /**
   * This host's name (`-l`), a character for each byte; without it the name is
   * looked up.
   */
  localName: string | undefined;
  /** Whether the remote host's name is looked up (not with `-H`). */
  lookUpHost: boolean;
  /** Whether an address of that name must be the remote one (`-p`). */
  paranoid: boolean;
  /** Whether the remote host is asked for the user (not with `-R`). */
  askIdentity: boolean;
  /** For how many seconds to wait for that answer (`-t`). */
  identityTimeout: number;
}

/** Which look-ups are of use, since somebody reads the answers. */
export interface Wanted {
  /** This host's name. */
  localHost: boolean;
  /** The remote host's name. */
  remoteHost: boolean;
  /** The user that the remote host names. */
  remoteInfo: boolean;
}

/** Whether the command line allows any look-up at all. */
export function mayAsk(options: LookUpOptions): boolean {
  return options.localName === undefined || options.lookUpHost ||
    options.askIdentity;
}

/**
 * Begins, all at the same time, the look-ups that are both allowed and wanted.
 *
 * @param info The connection; the answers are put there
 * @param options The look-ups that are allowed
 * @param wanted The look-ups that are of use
 * @returns A promise for the end of all, or `undefined` when there are none
 */
export function lookUp(
  info: ConnectionInfo,
  options: LookUpOptions,
  wanted: Wanted,
): Promise<unknown> | undefined {
  const { local, remote } = info;
  const asked: Promise<void>[] = [];
  if (wanted.localHost && options.localName === undefined) {
    asked.push(
      hostName(local, false).then((name) => {
        info.localHost = name;
      }),
    );
  }
  if (wanted.remoteHost && options.lookUpHost) {
    asked.push(
      hostName(remote, options.paranoid).then((name) => {
        info.remoteHost = name;
      }),
    );
  }
  if (wanted.remoteInfo && options.askIdentity) {
    asked.push(
      identify(local, remote, options.identityTimeout).then((user) => {
        info.remoteInfo = user;
      }),
    );
  }
  return asked.length === 0 ? undefined : Promise.all(asked);
}

/** The name of a host, or `undefined` where none is known. */
type Answer = string | undefined;

/** The look-ups that are running. The same one isn't begun a second time. */
const open = new Map<string, Promise<Answer>>();

function hostName(of: Endpoint, paranoid: boolean): Promise<Answer> {
  const question = `${of.ip} ${paranoid}`;
  let answer = open.get(question);
  if (answer === undefined) {
    answer = ask(of, paranoid).finally(() => open.delete(question));
    open.set(question, answer);
  }
  return answer;
}

/**
 * How many look-ups may run in threads. The runtime has 32 threads; with all of
 * them waiting for slow name servers the main loop couldn't wait any more.
 */
const MOST_IN_THREADS = 8;
const threads = new Semaphore(MOST_IN_THREADS);

async function ask(of: Endpoint, paranoid: boolean): Promise<Answer> {
  if (threads.free === 0) {
    try {
      return await askInProcess(of, paranoid);
    } catch (error) {
      // There is no getent here, or no process can be started: wait for a
      // thread.
      if (!(error instanceof SysError)) throw error;
    }
  }
  await threads.wait();
  try {
    return await askInThread(of, paranoid);
  } finally {
    threads.post();
  }
}

async function askInThread(of: Endpoint, paranoid: boolean): Promise<Answer> {
  const name = await getnameinfo(of);
  if (name === undefined || !paranoid) return name;
  try {
    const found = await getaddrinfo(name, 0);
    const ip = withoutZone(of.ip);
    return found.some((one) => withoutZone(one.ip) === ip) ? name : undefined;
  } catch (error) {
    if (!(error instanceof TemporaryNameError)) throw error;
    // No name server has answered, so the name isn't proved.
    return undefined;
  }
}

/**
 * Looks up in a process of its own, as tcpserver does: getent(1) asks the C
 * library, and so the same name servers.
 */
async function askInProcess(of: Endpoint, paranoid: boolean): Promise<Answer> {
  const ip = withoutZone(of.ip);
  const [, name = ""] = (await getent("hosts", ip)).split(/\s+/);
  if (!/^[!-~]+$/.test(name)) return undefined;
  if (!paranoid) return name;
  const found = (await getent("ahosts", name)).split("\n");
  return found.some((line) => line.split(/\s+/)[0] === ip) ? name : undefined;
}

function withoutZone(ip: string): string {
  return ip.replace(/%.*/, "");
}

/** For how many milliseconds getent may run. */
const GETENT_TIMEOUT = 180_000;

/**
 * Runs getent(1), and returns what it prints.
 *
 * @throws {SysError} When it can't be run
 */
async function getent(database: string, key: string): Promise<string> {
  const { reader, writer } = pipe();
  try {
    let pid: number;
    try {
      pid = spawn({
        args: ["getent", database, "--", key],
        env: environ(),
        fds: new Map([[1, writer]]),
      });
    } finally {
      close(writer);
    }
    const late = setTimeout(() => kill(pid, signals.SIGKILL), GETENT_TIMEOUT);
    try {
      await waitFor(pid);
    } catch (error) {
      // The server, which waits for any child, has collected this one first.
      if (!(error instanceof SysError)) throw error;
    } finally {
      clearTimeout(late);
    }
    setNonblocking(reader, true);
    return latin1(readRest(reader));
  } finally {
    close(reader);
  }
}

/** Reads what a program has written to a pipe before it ended. */
function readRest(fd: number): Uint8Array {
  const buffer = new Uint8Array(65536);
  let length = 0;
  while (length < buffer.length) {
    const n = read(fd, buffer.subarray(length));
    if (n <= 0) {
      if (n < 0 && n !== -EAGAIN) throw new SysError(-n);
      break;
    }
    length += n;
  }
  return buffer.subarray(0, length);
}

/**
 * What has to be asked of others about a connection.
 *
 * Nobody waits for the answers of those whom others ask: as many questions are
 * open at a time as there are connections.
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
import { signals } from "../sys/signals.ts";
import type { Endpoint } from "../sys/sockets.ts";
import type { ConnectionInfo } from "./connection_info.ts";
import { identify } from "./ident.ts";

/** Which questions may be asked. */
export interface LookUpOptions {
  /**
   * This host's name (`-l`), a character for each byte; looked up where there
   * is none.
   */
  localName: string | undefined;
  /** Whether the other host's name is looked up (not with `-H`). */
  lookUpHost: boolean;
  /** Whether that name must lead back to its address (`-p`). */
  paranoid: boolean;
  /** Whether the other host is asked whose connection it is (not with `-R`). */
  askIdentity: boolean;
  /** For how many seconds it may think about that (`-t`). */
  identityTimeout: number;
}

/** Which answers anybody would see. */
export interface Wanted {
  /** This host's name. */
  localHost: boolean;
  /** The other host's name. */
  remoteHost: boolean;
  /** Whose connection the other host says it is. */
  remoteInfo: boolean;
}

/** Whether anything may be asked about a connection at all. */
export function mayAsk(options: LookUpOptions): boolean {
  return options.localName === undefined || options.lookUpHost ||
    options.askIdentity;
}

/**
 * Asks, all at the same time, what may be asked, would be seen, and isn't known.
 *
 * @param info The connection; the answers go there
 * @param options What may be asked
 * @param wanted What would be seen
 * @returns A promise when there is anything to ask
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

/** Questions that are open: who asks the same gets the same answer. */
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
 * How many questions are asked in threads. The runtime has 32, and some must
 * be left for the main loop, or slow name servers would stop everything.
 */
const THREADS = 8;
let free = THREADS;
const queue: (() => void)[] = [];

async function ask(of: Endpoint, paranoid: boolean): Promise<Answer> {
  if (free === 0) {
    try {
      return await askInProcess(of, paranoid);
    } catch (error) {
      // No getent here, or no process to be had: then it takes longer.
      if (!(error instanceof SysError)) throw error;
    }
  }
  if (free > 0) free--;
  else await new Promise<void>((resolve) => queue.push(resolve));
  try {
    return await askInThread(of, paranoid);
  } finally {
    const next = queue.shift();
    if (next === undefined) free++;
    else next();
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
    // No answer now is no proof.
    return undefined;
  }
}

/**
 * A process for each question, as tcpserver has it: getent(1) asks what the C
 * library asks.
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

/** For how long a resolver may think, in milliseconds: some minutes. */
const PATIENCE = 180_000;

/** @throws {SysError} When it can't be run */
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
    const late = setTimeout(() => kill(pid, signals.SIGKILL), PATIENCE);
    try {
      await waitFor(pid);
    } catch (error) {
      // Somebody who waits for any child was faster.
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

/** What a program that has ended left in its pipe. */
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

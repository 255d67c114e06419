/**
 * socklog(8): two of its modes as `socklog-tcp unix` and `socklog-tcp inet`,
 * all of it under the name `socklog`.
 *
 * @module
 */
import { encode } from "../bytes.ts";
import { getopt, UsageError } from "../getopt.ts";
import { EAGAIN, read } from "../sys/descriptors.ts";
import { bindUdp, bindUnix } from "../sys/datagrams.ts";
import { getenv } from "../sys/environment.ts";
import { SysError } from "../sys/errors.ts";
import { lstat, umask, unlink } from "../sys/files.ts";

import { getaddrinfo } from "../sys/names.ts";
import { Poller, READABLE } from "../sys/poll.ts";
import { onTermination, settleSignals } from "../sys/signals.ts";
import { getsockname, wildcardAddress } from "../sys/sockets.ts";
import { writeAll } from "../sys/write_all.ts";
import { VERSION } from "../version.ts";
import { checkLimits } from "./attempt.ts";
import { prefixOf } from "./connection_info.ts";
import { DatagramServer, dropPermissions } from "./datagram_server.ts";
import { LogferryError } from "../logferry_error.ts";
import { Framer, type FramerOptions, LineBuffer } from "./framing.ts";
import { Messages, Verbosity } from "./messages.ts";
import { DescriptorOutput, type ScriptReader, writingTo } from "./output.ts";

/** The socket that syslog(3) sends to. */
const DEFAULT_PATH = "/dev/log";
const DEFAULT_PORT = "514";
/** The size of the receive buffer of the UDP socket, in bytes. */
const RECEIVE_BUFFER = 8 * 1024 * 1024;
/** Descriptors for everything but logs. */
const DESCRIPTORS = 8;

/** The usage line, in the original's words. */
export const SOCKLOG_USAGE = "[-rRU] [unix|inet|ucspi] [args]";

/** A mode of socklog, and its options. */
export type SocklogOptions =
  & {
    /** The form of the lines; see {@linkcode FramerOptions.form}. */
    readonly form: NonNullable<FramerOptions["form"]>;
    /** The script that writes them, if any (`multilog script…`). */
    readonly script?: readonly string[] | undefined;
  }
  & (
    | {
      readonly mode: "unix";
      /** The socket's name. */
      readonly path: string;
      /** Whether the umask is used (`-U`); otherwise every user may send. */
      readonly keepUmask: boolean;
    }
    | {
      readonly mode: "inet";
      /** The address; one that begins with `0` stands for any. */
      readonly ip: string;
      /** The port. */
      readonly port: string;
    }
    | {
      readonly mode: "ucspi";
      /** The variables that each line begins with. */
      readonly names: readonly string[];
    }
  );

/**
 * Reads socklog's command line.
 *
 * @param args The arguments, options first
 * @returns The mode and its options
 * @throws {UsageError} When the arguments are wrong
 */
export function parseSocklog(args: readonly string[]): SocklogOptions {
  const { options, rest } = getopt(args, "rRUV");
  const letters = options.map(({ letter }) => letter);
  if (letters.includes("V")) throw new UsageError(`version ${VERSION}`);
  // As in the original, the last one counts.
  const last = letters.findLast((letter) => letter !== "U");
  const form = last === "R" ? "raw" : last === "r" ? "both" : "cooked";
  const [mode = "unix", ...words] = rest;
  // As in the original, a mode's first letters are enough.
  if (mode.startsWith("uc")) return { mode: "ucspi", form, names: words };
  if (mode.startsWith("un") && words.length <= 1) {
    const [path = DEFAULT_PATH] = words;
    return { mode: "unix", form, path, keepUmask: letters.includes("U") };
  }
  if (mode.startsWith("i") && words.length <= 2) {
    const [ip = "0", port = DEFAULT_PORT] = words;
    return { mode: "inet", form, ip, port };
  }
  throw new UsageError("");
}

/**
 * Reads what comes after `socklog-tcp` when that is a mode of socklog.
 *
 * @param args `unix` or `inet`, options, and the mode's arguments
 * @returns The mode and its options
 * @throws {UsageError} When the arguments are wrong
 */
export function parseOwn(args: readonly string[]): SocklogOptions {
  const [mode = "", ...more] = args;
  const { rest } = getopt(more, "rRU");
  const options = more.slice(0, more.length - rest.length);
  const { before, script } = splitAtScript(rest);
  if (script !== undefined) checkScript(script);
  return { ...parseSocklog([...options, mode, ...before]), script };
}

/**
 * Finds `multilog script…` among the words of a command line.
 *
 * @param words The words
 * @returns The words before `multilog`, and the script after it; without a
 * `multilog`, all words and `undefined`
 */
export function splitAtScript(
  words: readonly string[],
): { before: readonly string[]; script: readonly string[] | undefined } {
  const at = words.findIndex((word) => /(^|\/)multilog$/.test(word));
  if (at < 0) return { before: words, script: undefined };
  return { before: words.slice(0, at), script: words.slice(at + 1) };
}

/**
 * Makes sure that a script has an action: otherwise every line would be thrown
 * away.
 *
 * @throws {UsageError} When it is empty
 */
export function checkScript(script: readonly string[]): void {
  if (script.length === 0) throw new UsageError("multilog wants a script");
}

/**
 * Runs socklog until a signal ends it or, for `ucspi`, its input ends.
 *
 * @param options The mode and its options
 * @param program The name that messages begin with
 * @param readScript Reads `multilog script…`
 * @throws {LogferryError} When it can't start, or can't go on
 */
export async function socklog(
  options: SocklogOptions,
  program: string,
  readScript: ScriptReader,
): Promise<void> {
  if (options.mode === "ucspi") return await readUcspi(options.names);
  const messages = new Messages(program, Verbosity.Errors);
  // Standard output may belong to root, so it is opened before this gives up
  // root; logs are opened afterwards, since they belong to the other user.
  const standard = options.script === undefined
    ? await DescriptorOutput.open(1, messages)
    : await readScript(options.script, messages, program);
  const logs = "open" in standard ? standard.descriptors : 0;
  checkLimits({ descriptors: DESCRIPTORS + logs, data: 0 });
  const { fd, where } = options.mode === "unix"
    ? openUnix(options.path, options.keepUmask)
    : await openInet(options.ip, options.port);
  const user = dropPermissions();
  const output = "open" in standard
    ? await standard.open(DESCRIPTORS)
    : standard;
  const server = new DatagramServer(fd, output, {
    form: options.form,
    prefixed: options.mode === "inet",
    warn: (message) => {
      messages.warn(message);
      messages.flush();
    },
  });
  const said = encode(`listening on ${where}, ${user}starting.\n`);
  await writingTo(output, () => server.run(() => void writeAll(2, said)));
}

function openUnix(
  path: string,
  keepUmask: boolean,
): { fd: number; where: string } {
  try {
    makeRoom(path);
    if (keepUmask) return { fd: bindUnix(path), where: path };
    const before = umask(0);
    try {
      return { fd: bindUnix(path), where: path };
    } finally {
      umask(before);
    }
  } catch (error) {
    if (!(error instanceof SysError)) throw error;
    throw new LogferryError(`unable to bind ${path}: ${error.message}`);
  }
}

/**
 * Removes a socket that an earlier run has left, or a symbolic link to another
 * program's socket. The original removes whatever has the name; here any other
 * file stays, and bind fails.
 */
function makeRoom(path: string): void {
  const found = lstat(path);
  if (found?.isSocket || found?.isSymlink) unlink(path);
}

async function openInet(
  ip: string,
  port: string,
): Promise<{ fd: number; where: string }> {
  const number = /^\d{1,5}$/.test(port) ? Number(port) : 65536;
  if (number > 65535) throw new LogferryError(`bad port number: ${port}`);
  const address = ip.startsWith("0")
    ? wildcardAddress(number)
    : /^[0-9a-f:.%]+$/i.test(ip)
    ? (await getaddrinfo(ip, number))[0]
    : undefined;
  if (address === undefined) throw new LogferryError(`bad IP address: ${ip}`);
  try {
    const fd = bindUdp(address, RECEIVE_BUFFER);
    const local = getsockname(fd);
    return { fd, where: `${local.ip}:${local.port}` };
  } catch (error) {
    if (!(error instanceof SysError)) throw error;
    throw new LogferryError(`unable to bind ${ip}:${port}: ${error.message}`);
  }
}

/**
 * Reads lines from standard input (a connection that a UCSPI server has
 * accepted, or `/proc/kmsg`) and writes them to standard error, since standard
 * output is the connection.
 */
async function readUcspi(names: readonly string[]): Promise<void> {
  const framer = new Framer();
  const lines = new LineBuffer(prefixOf(names, getenv));
  const poller = new Poller(1);
  let terminating = false;
  const stopListening = onTermination(() => {
    terminating = true;
    poller.wake();
  });
  settleSignals();
  const write = () => {
    const failure = writeAll(2, framer.output());
    if (failure) throw new LogferryError(`unable to write: ${failure.message}`);
    framer.taken(framer.size);
  };
  try {
    while (!terminating) {
      poller.set(0, 0, READABLE);
      await poller.waitHere();
      if (poller.found(0) === 0) continue;
      const n = read(0, framer.input);
      if (n === -EAGAIN) continue;
      if (n < 0) {
        throw new LogferryError(
          `unable to read standard input: ${new SysError(-n).message}`,
        );
      }
      if (n === 0) break;
      for (let at = 0; at < n; write()) at = framer.take(lines, at, n);
    }
    while (!framer.end(lines)) write();
    write();
  } finally {
    stopListening();
  }
}

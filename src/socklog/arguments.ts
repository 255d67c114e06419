/**
 * What the command line says.
 *
 * @module
 */
import { type Bytes, encode, latin1 } from "../bytes.ts";
import { getopt, UsageError } from "../getopt.ts";
import { getenv } from "../sys/environment.ts";
import type { FramerOptions } from "./framing.ts";
import { Verbosity } from "./messages.ts";
import {
  parseOwn,
  parseSocklog,
  SOCKLOG_USAGE,
  type SocklogOptions,
} from "./socklog.ts";

/** Options that server and sender share. */
export interface Common {
  /** `-q`, `-Q`, `-v`. */
  verbosity: Verbosity;
  /** Whether small writes are sent at once (`-D`). */
  noDelay: boolean;
  /** Whether the other host's name is looked up (not with `-H`). */
  lookUpHost: boolean;
  /** This host's name (`-l`); looked up where there is none. */
  localName: string | undefined;
  /** Whether the other host is asked whose connection it is (not with `-R`). */
  askIdentity: boolean;
  /** For how many seconds it may think about that (`-t`). */
  identityTimeout: number;
  /** Whether the bytes written are acknowledged (`-a`). */
  acknowledge: boolean;
  /** The host. */
  host: string;
  /** The port. */
  port: string;
}

/** What a server does with its connections. */
export type Task =
  /** It is the log server itself. */
  | {
    /** The variables that each line begins with. */
    names: string[];
    /** How lines come out. */
    form: NonNullable<FramerOptions["form"]>;
  }
  /** It runs a program for each. */
  | {
    /** The program and its arguments. */
    program: string[];
  };

/** A server to be. */
export interface ServerArguments extends Common {
  /** What it is. */
  mode: "server";
  /** How many connections there may be (`-c`). */
  limit: number;
  /** The file with the access rules (`-x`). */
  rules: string | undefined;
  /** Whether it may be missing (`-X`). */
  rulesMayBeMissing: boolean;
  /** What every connection is greeted with (`-B`). */
  banner: Bytes;
  /** The group to become (`-g`, `-U`). */
  gid: number | undefined;
  /** The user to become (`-u`, `-U`). */
  uid: number | undefined;
  /** Whether the port is told on standard output (`-1`). */
  printPort: boolean;
  /** How many connections may wait to be accepted (`-b`). */
  backlog: number;
  /** Whether IP options stay as they are (`-o`). */
  keepOptions: boolean;
  /** Whether a host's name must lead back to its address (`-p`). */
  paranoid: boolean;
  /** After how many idle seconds a connection is ended (`-w`); 0 for never. */
  idle: number;
  /** What it does. */
  task: Task;
}

/** A sender or a client to be. */
export interface ClientArguments extends Common {
  /** What it is. */
  mode: "send" | "connect";
  /** The local address (`-i`). */
  localHost: string | undefined;
  /** The local port (`-p`). */
  localPort: string | undefined;
  /** For how many seconds to try each address, first and then again (`-T`). */
  timeouts: readonly number[];
  /** The program and its arguments, of `connect`. */
  program: string[];
}

/** Everything that can be asked for. */
export type Arguments =
  | ServerArguments
  | ClientArguments
  | {
    /** What it is. */
    mode: "help" | "version";
  }
  | {
    /** What it is. */
    mode: "socklog";
    /** What socklog is to be. */
    options: SocklogOptions;
  };

/**
 * Many senders may come at once, on the full hour. The original lets 20 wait,
 * and the kernel has the others try again after seconds.
 */
const DEFAULT_BACKLOG = 1024;

const COMMON = "dDvqQhHrRt:l:";
const SERVER = `${COMMON}1UXx:u:g:b:B:c:pPoO`;
const CLIENT = `${COMMON}i:p:T:`;

/** How to use the server under its own name. */
export const SERVER_USAGE: string =
  "[ -1UXpPhHrRoOdDqQva ] [ -c limit ] [ -x rules.cdb ] [ -B banner ] " +
  "[ -g gid ] [ -u uid ] [ -b backlog ] [ -l localname ] [ -t timeout ] " +
  "[ -w idle ] host port [ socklog [ -rR ] ] [ ucspi ] NAME ...";

/** How to use the sender. */
export const SEND_USAGE: string =
  "send [ -hHrRdDqQva ] [ -i localip ] [ -p localport ] [ -T timeoutconn ] " +
  "[ -l localname ] [ -t timeoutinfo ] host port";

/** How to use it for datagrams. */
export const DATAGRAM_USAGE: string =
  "unix [ -rRU ] [ path ]   or   inet [ -rR ] [ ip [ port ] ]";

/** How to use `connect`. */
export const CONNECT_USAGE: string =
  "connect [ -hHrRdDqQv ] [ -i localip ] [ -p localport ] " +
  "[ -T timeoutconn ] [ -l localname ] [ -t timeoutinfo ] host port program";

/** How to use it as `tcpserver`, in the original's words. */
export const TCPSERVER_USAGE: string =
  "[ -1UXpPhHrRoOdDqQv ] [ -c limit ] [ -x rules.cdb ] [ -B banner ] " +
  "[ -g gid ] [ -u uid ] [ -b backlog ] [ -l localname ] [ -t timeout ] " +
  "host port program";

/** How to use it as `tcpclient`, in the original's words. */
export const TCPCLIENT_USAGE: string =
  "[ -hHrRdDqQv ] [ -i localip ] [ -p localport ] [ -T timeoutconn ] " +
  "[ -l localname ] [ -t timeoutinfo ] host port program";

/** Arguments that make no sense, and the usage line that belongs to them. */
export class ArgumentError extends UsageError {
  /** The class's name. */
  override name = "ArgumentError";
  /** The usage line. */
  readonly usage: string;

  /**
   * Makes it.
   *
   * @param usage The usage line
   * @param message What is wrong; empty where the usage line says it all
   */
  constructor(usage: string, message: string) {
    super(message);
    this.usage = usage;
  }
}

function number(
  letter: string,
  value: string,
  least: number,
  most = 999_999_999,
): number {
  const n = /^\d{1,10}$/.test(value) ? Number(value) : -1;
  if (n < least || n > most) {
    throw new UsageError(
      least > 0
        ? `-${letter} wants a positive number, not ${value}`
        : `-${letter} wants a number, not ${value}`,
    );
  }
  return n;
}

/** The largest number that a user or group has. */
const LAST_ID = 0xfffffffe;

/**
 * A number that the environment may have for `-U`: leading digits, as the
 * original reads it. Anything else would leave the server what it is, root.
 */
function numberOf(name: string): number | undefined {
  const value = latin1(getenv(name) ?? new Uint8Array(0));
  if (value === "") return undefined;
  const digits = /^\d+/.exec(value);
  if (digits === null || Number(digits[0]) > LAST_ID) {
    throw new UsageError(`-U wants a number in $${name}, not ${value}`);
  }
  return Number(digits[0]);
}

function common(): Common {
  return {
    verbosity: Verbosity.Errors,
    noDelay: false,
    lookUpHost: true,
    localName: undefined,
    askIdentity: true,
    identityTimeout: 26,
    acknowledge: false,
    host: "",
    port: "",
  };
}

function commonOption(to: Common, letter: string, value: string): void {
  switch (letter) {
    case "q":
      to.verbosity = Verbosity.Quiet;
      break;
    case "Q":
      to.verbosity = Verbosity.Errors;
      break;
    case "v":
      to.verbosity = Verbosity.Everything;
      break;
    case "d":
    case "D":
      to.noDelay = letter === "D";
      break;
    case "h":
    case "H":
      to.lookUpHost = letter === "h";
      break;
    case "r":
    case "R":
      to.askIdentity = letter === "r";
      break;
    case "t":
      to.identityTimeout = number(letter, value, 0);
      break;
    case "l":
      to.localName = value;
      break;
    case "a":
      to.acknowledge = true;
      break;
  }
}

/**
 * Finds out what the words behind host and port ask for. A program could have
 * any name, so what is built in comes first and has few forms: `socklog`
 * itself, `ucspi`, and words that can only be variables.
 *
 * @param words The words
 * @returns What they ask for
 * @throws {UsageError} For another mode of socklog, or a wrong option of it
 */
export function parseTask(words: readonly string[]): Task {
  const [first = ""] = words;
  if (first === "socklog" || first.endsWith("/socklog")) {
    const { options, rest } = getopt(words.slice(1), "rRUV");
    if (rest[0] !== "ucspi") {
      throw new UsageError(
        `${[first, ...rest].join(" ")}: socklog can only be ucspi here`,
      );
    }
    let form: "cooked" | "raw" | "both" = "cooked";
    for (const { letter } of options) {
      if (letter === "R") form = "raw";
      if (letter === "r" && form === "cooked") form = "both";
    }
    return { names: rest.slice(1), form };
  }
  if (first === "ucspi") return { names: words.slice(1), form: "cooked" };
  if (words.every((word) => /^[A-Z_][A-Z0-9_]*$/.test(word))) {
    return { names: [...words], form: "cooked" };
  }
  return { program: [...words] };
}

function parseServer(args: readonly string[], own: boolean): ServerArguments {
  const letters = own ? `${SERVER}aw:` : SERVER;
  const { options, rest } = getopt(args, letters);
  const server: ServerArguments = {
    ...common(),
    mode: "server",
    limit: 40,
    rules: undefined,
    rulesMayBeMissing: false,
    banner: new Uint8Array(0),
    gid: undefined,
    uid: undefined,
    printPort: false,
    backlog: DEFAULT_BACKLOG,
    keepOptions: false,
    paranoid: false,
    idle: 0,
    task: { names: [], form: "cooked" },
  };
  for (const { letter, value } of options) {
    switch (letter) {
      case "c":
        server.limit = number(letter, value, 1);
        break;
      case "x":
        server.rules = value;
        break;
      case "X":
        server.rulesMayBeMissing = true;
        break;
      case "B":
        server.banner = encode(value);
        break;
      case "g":
        server.gid = number(letter, value, 0, LAST_ID);
        break;
      case "u":
        server.uid = number(letter, value, 0, LAST_ID);
        break;
      case "U":
        server.gid = numberOf("GID");
        server.uid = numberOf("UID");
        break;
      case "1":
        server.printPort = true;
        break;
      case "b":
        server.backlog = number(letter, value, 0);
        break;
      case "o":
      case "O":
        server.keepOptions = letter === "o";
        break;
      case "p":
      case "P":
        server.paranoid = letter === "p";
        break;
      case "w":
        server.idle = number(letter, value, 0);
        break;
      default:
        commonOption(server, letter, value);
    }
  }
  const [host, port, ...words] = rest;
  if (host === undefined || port === undefined) throw new UsageError("");
  if (words.length === 0 && !own) throw new UsageError("");
  server.host = host;
  server.port = port;
  server.task = parseTask(words);
  if (server.acknowledge && server.banner.length > 0) {
    throw new UsageError("-a has no use for a banner: it would be the answer");
  }
  if ("program" in server.task) {
    if (server.acknowledge) throw new UsageError("-a has no use for a program");
    if (server.idle > 0) throw new UsageError("-w has no use for a program");
  }
  return server;
}

function parseTimeouts(value: string): number[] {
  const match = /^(\d{1,9})(?:\+(\d{1,9}))?$/.exec(value);
  if (match === null) {
    throw new UsageError(`-T wants seconds, as 2 or 2+58, not ${value}`);
  }
  return match.slice(1).filter((part) => part !== undefined).map(Number);
}

function parseClient(
  args: readonly string[],
  mode: "send" | "connect",
): ClientArguments {
  const letters = mode === "send" ? `${CLIENT}a` : CLIENT;
  const { options, rest } = getopt(args, letters);
  const client: ClientArguments = {
    ...common(),
    mode,
    localHost: undefined,
    localPort: undefined,
    timeouts: [2, 58],
    program: [],
  };
  for (const { letter, value } of options) {
    switch (letter) {
      case "i":
        client.localHost = value;
        break;
      case "p":
        client.localPort = value;
        break;
      case "T":
        client.timeouts = parseTimeouts(value);
        break;
      default:
        commonOption(client, letter, value);
    }
  }
  const [host, port, ...program] = rest;
  if (host === undefined || port === undefined) throw new UsageError("");
  if (mode === "connect" && program.length === 0) throw new UsageError("");
  if (mode === "send" && program.length > 0) {
    throw new UsageError(
      `send takes no program: ${program.join(" ")} (connect does)`,
    );
  }
  client.host = host;
  client.port = port;
  client.program = program;
  return client;
}

/**
 * Reads the command line.
 *
 * @param args The arguments
 * @param program The name that the program was started under
 * @returns What they ask for
 * @throws {ArgumentError} When they make no sense
 */
export function parseArguments(
  args: readonly string[],
  program = "socklog-tcp",
): Arguments {
  let usage = SERVER_USAGE;
  try {
    const own = program === "socklog-tcp";
    const mode = own && ["send", "connect"].includes(args[0]!) ? 1 : 0;
    if (args.length === mode + 1 && args[mode] === "--help") {
      return { mode: "help" };
    }
    if (args.length === 1 && args[0] === "--version") {
      return { mode: "version" };
    }
    switch (program) {
      case "tcpserver":
        usage = TCPSERVER_USAGE;
        return parseServer(args, false);
      case "socklog":
        usage = SOCKLOG_USAGE;
        return { mode: "socklog", options: parseSocklog(args) };
      case "tcpclient":
        usage = TCPCLIENT_USAGE;
        return parseClient(args, "connect");
    }
    switch (args[0]) {
      case "unix":
      case "inet":
        usage = DATAGRAM_USAGE;
        return { mode: "socklog", options: parseOwn(args) };
      case "send":
        usage = SEND_USAGE;
        return parseClient(args.slice(1), "send");
      case "connect":
        usage = CONNECT_USAGE;
        return parseClient(args.slice(1), "connect");
    }
    return parseServer(args, true);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    throw new ArgumentError(usage, error.message);
  }
}

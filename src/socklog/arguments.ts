/**
 * The command line of socklog-tcp, and of the names that it stands in for.
 *
 * @module
 */
import { encode, latin1 } from "../bytes.ts";
import { getopt, leadingNumber, parseNumber, UsageError } from "../getopt.ts";
import { getenv } from "../sys/environment.ts";
import type { DialManner } from "./dialling.ts";
import type { FramerOptions } from "./framing.ts";
import type { ListenOptions } from "./listener.ts";
import type { LookUpOptions } from "./lookups.ts";
import { Verbosity } from "./messages.ts";
import type { SendOptions, TlsFiles } from "./sender.ts";
import type { ReceptionOptions } from "./reception.ts";
import type { LogServerOptions } from "./server.ts";
import { parseServers } from "./servers.ts";
import type { ClientOptions } from "./tcpclient.ts";
import type { ProgramServerOptions } from "./tcpserver.ts";
import {
  checkScript,
  parseOwn,
  parseSocklog,
  SOCKLOG_USAGE,
  type SocklogOptions,
  splitAtScript,
} from "./socklog.ts";

/** Options that all modes have. */
interface Common extends LookUpOptions {
  /** `-q`, `-Q`, `-v`. */
  verbosity: Verbosity;
  /** Whether small writes are sent at once (`-D`). */
  noDelay: boolean;
  /** The host. */
  host: string;
  /** The port. */
  port: string;
}

/** A command line for the log server. */
export interface LogServerArguments
  extends Common, ListenOptions, LogServerOptions {
  /** What it is. */
  mode: "serve logs";
  /** Where lines go instead of standard output (`multilog script…`). */
  script: readonly string[] | undefined;
}

/** A command line for a server that runs a program for each connection. */
export interface ProgramServerArguments
  extends Common, ListenOptions, ProgramServerOptions {
  /** What it is. */
  mode: "serve programs";
}

/** A command line for the sender. */
export interface SendArguments extends Common, SendOptions {
  /** What it is. */
  mode: "send";
}

/** A command line for a client that connects and runs a program. */
export interface ClientArguments extends Common, ClientOptions {
  /** What it is. */
  mode: "connect";
}

/** Any command line. */
export type Arguments =
  | LogServerArguments
  | ProgramServerArguments
  | SendArguments
  | ClientArguments
  | {
    /** What it is. */
    mode: "help" | "version";
  }
  | {
    /** What it is. */
    mode: "socklog";
    /** The mode of socklog(8), and its options. */
    options: SocklogOptions;
  };

/**
 * How many connections may wait to be accepted. Many senders may connect in the
 * same moment, on the hour for instance. With the original's 20, the kernels of
 * all others would try again only after seconds.
 */
const DEFAULT_BACKLOG = 1024;

const COMMON = "dDvqQhHrRt:l:";
const SERVER = `${COMMON}1UXx:u:g:b:B:c:pPoO`;
const CLIENT = `${COMMON}i:p:T:`;

/** The usage line of the server under its own name. */
export const SERVER_USAGE: string =
  "[ -1UXpPhHrRoOdDqQvaf ] [ -c limit ] [ -x rules.cdb ] [ -B banner ] " +
  "[ -g gid ] [ -u uid ] [ -b backlog ] [ -l localname ] [ -t timeout ] " +
  "[ -w idle ] host port [ socklog [ -rR ] ] [ ucspi ] NAME ... " +
  "[ multilog script ... ]";

/** The usage line of the sender. */
export const SEND_USAGE: string =
  "send [ -hHrRdDqQvaz ] [ -C ca ] [ -k key ] [ -e cert ] [ -i localip ] " +
  "[ -p localport ] [ -T timeoutconn ] " +
  "[ -l localname ] [ -t timeoutinfo ] host[,host2[:port]...] port";

/** The usage line of the modes for datagrams. */
export const DATAGRAM_USAGE: string =
  "unix [ -rRU ] [ path ] [ multilog script ... ]   or   " +
  "inet [ -rR ] [ ip [ port ] ] [ multilog script ... ]";

/** The usage line of `connect`. */
export const CONNECT_USAGE: string =
  "connect [ -hHrRdDqQv ] [ -i localip ] [ -p localport ] " +
  "[ -T timeoutconn ] [ -l localname ] [ -t timeoutinfo ] host port program";

/** The usage line under the name `tcpserver`, in the original's words. */
export const TCPSERVER_USAGE: string =
  "[ -1UXpPhHrRoOdDqQv ] [ -c limit ] [ -x rules.cdb ] [ -B banner ] " +
  "[ -g gid ] [ -u uid ] [ -b backlog ] [ -l localname ] [ -t timeout ] " +
  "host port program";

/** The usage line under the name `tcpclient`, in the original's words. */
export const TCPCLIENT_USAGE: string =
  "[ -hHrRdDqQv ] [ -i localip ] [ -p localport ] [ -T timeoutconn ] " +
  "[ -l localname ] [ -t timeoutinfo ] host port program";

/** A command line is wrong; holds the usage line to print. */
export class ArgumentError extends UsageError {
  override name = "ArgumentError";
  /** The usage line. */
  readonly usage: string;

  /**
   * Makes the error.
   *
   * @param usage The usage line
   * @param message What is wrong; empty when the usage line alone is printed
   */
  constructor(usage: string, message: string) {
    super(message);
    this.usage = usage;
  }
}

/** The largest number that a user or group can have. */
const LAST_ID = 0xfffffffe;

/**
 * Reads `$UID` or `$GID` for `-U`: leading digits, as the original does. When
 * the variable has none or isn't set, the original goes on as root; this
 * throws.
 */
function numberOf(name: string): number {
  const found = getenv(name);
  if (found === undefined) throw new UsageError(`-U wants $UID and $GID`);
  const value = latin1(found);
  const id = leadingNumber(value);
  if (id !== undefined && id <= LAST_ID) return id;
  throw new UsageError(`-U wants a number in $${name}, not ${value}`);
}

function common(): Common {
  return {
    verbosity: Verbosity.Errors,
    noDelay: false,
    lookUpHost: true,
    localName: undefined,
    paranoid: false,
    askIdentity: true,
    identityTimeout: 26,
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
      to.identityTimeout = parseNumber(letter, value);
      break;
    case "l":
      to.localName = latin1(encode(value));
      break;
  }
}

/** What a server does with its connections. */
type Service =
  | {
    names: string[];
    form: NonNullable<FramerOptions["form"]>;
    script?: readonly string[];
  }
  | { program: string[] };

/** As {@linkcode parseService}, but takes `multilog script…` at the end. */
function parseServiceWithScript(words: readonly string[]): Service {
  const { before, script } = splitAtScript(words);
  if (script !== undefined) {
    const service = parseService(before);
    if ("names" in service) {
      checkScript(script);
      return { ...service, script };
    }
  }
  // `multilog` is one of a program's own arguments.
  return parseService(words);
}

/**
 * Reads the words after host and port. A program could have any name. So the
 * log server is meant only by these few forms, which are tried first: `socklog`
 * itself, `ucspi`, and words that look like names of variables.
 *
 * @throws {UsageError} For another mode of socklog, or a wrong option of it
 */
function parseService(words: readonly string[]): Service {
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

function parseServer(
  args: readonly string[],
  own: boolean,
): LogServerArguments | ProgramServerArguments {
  const letters = own ? `${SERVER}afw:` : SERVER;
  const { options, rest } = getopt(args, letters);
  const server: Common & ListenOptions & ReceptionOptions = {
    ...common(),
    limit: 40,
    rules: undefined,
    rulesMayBeMissing: false,
    banner: new Uint8Array(0),
    gid: undefined,
    uid: undefined,
    printPort: false,
    backlog: DEFAULT_BACKLOG,
    keepOptions: false,
  };
  let acknowledge = false;
  let octetCounting = false;
  let idle = 0;
  for (const { letter, value } of options) {
    switch (letter) {
      case "a":
        acknowledge = true;
        break;
      case "f":
        octetCounting = true;
        break;
      case "w":
        idle = parseNumber(letter, value);
        break;
      default:
        serverOption(server, letter, value);
    }
  }
  const [host, port, ...words] = rest;
  if (host === undefined || port === undefined) throw new UsageError("");
  if (words.length === 0 && !own) throw new UsageError("");
  server.host = host;
  server.port = port;
  if (acknowledge && server.banner.length > 0) {
    throw new UsageError("-a has no use for a banner: it would be the answer");
  }
  const service = own ? parseServiceWithScript(words) : parseService(words);
  if ("program" in service) {
    const useless = acknowledge
      ? "a"
      : idle > 0
      ? "w"
      : octetCounting
      ? "f"
      : undefined;
    if (useless !== undefined) {
      throw new UsageError(`-${useless} has no use for a program`);
    }
    return { ...server, mode: "serve programs", program: service.program };
  }
  const { names, form, script } = service;
  return {
    ...server,
    mode: "serve logs",
    names,
    framing: { form, octetCounting },
    descriptors: 0,
    idle,
    acknowledge,
    script,
  };
}

function serverOption(
  to: Common & ListenOptions & ReceptionOptions,
  letter: string,
  value: string,
): void {
  switch (letter) {
    case "c":
      to.limit = parseNumber(letter, value, 1);
      break;
    case "x":
      to.rules = value;
      break;
    case "X":
      to.rulesMayBeMissing = true;
      break;
    case "B":
      to.banner = encode(value);
      break;
    case "g":
      to.gid = parseNumber(letter, value, 0, LAST_ID);
      break;
    case "u":
      to.uid = parseNumber(letter, value, 0, LAST_ID);
      break;
    case "U":
      to.gid = numberOf("GID");
      to.uid = numberOf("UID");
      break;
    case "1":
      to.printPort = true;
      break;
    case "b":
      to.backlog = parseNumber(letter, value);
      break;
    case "o":
    case "O":
      to.keepOptions = letter === "o";
      break;
    case "p":
    case "P":
      to.paranoid = letter === "p";
      break;
    default:
      commonOption(to, letter, value);
  }
}

function parseTimeouts(value: string): number[] {
  const match = /^(\d{1,9})(?:\+(\d{1,9}))?$/.exec(value);
  if (match === null) {
    throw new UsageError(`-T wants seconds, as 2 or 2+58, not ${value}`);
  }
  return match.slice(1).filter((part) => part !== undefined).map(Number);
}

function checkTls(
  encrypt: boolean,
  { authorities, key, certificate }: TlsFiles,
  { localHost, localPort }: DialManner,
): void {
  if (!encrypt && (authorities ?? key ?? certificate) !== undefined) {
    throw new UsageError("-C, -k and -e are for -z");
  }
  if ((key === undefined) !== (certificate === undefined)) {
    throw new UsageError("-k and -e belong together");
  }
  // With TLS the runtime makes the connection, and chooses the local address.
  if (encrypt && (localHost ?? localPort) !== undefined) {
    throw new UsageError("-z has no use for -i and -p");
  }
}

function parseClient(
  args: readonly string[],
  mode: "send" | "connect",
): SendArguments | ClientArguments {
  const letters = mode === "send" ? `${CLIENT}azC:k:e:` : CLIENT;
  const { options, rest } = getopt(args, letters);
  const client: Common & DialManner = {
    ...common(),
    localHost: undefined,
    localPort: undefined,
    timeouts: [2, 58],
  };
  let acknowledge = false;
  let encrypt = false;
  const files: TlsFiles = {
    authorities: undefined,
    key: undefined,
    certificate: undefined,
  };
  for (const { letter, value } of options) {
    switch (letter) {
      case "a":
        acknowledge = true;
        break;
      case "z":
        encrypt = true;
        break;
      case "C":
        files.authorities = value;
        break;
      case "k":
        files.key = value;
        break;
      case "e":
        files.certificate = value;
        break;
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
  client.host = host;
  client.port = port;
  if (mode === "send") {
    if (program.length === 0) {
      const servers = parseServers(host, port);
      const tls = encrypt ? files : undefined;
      checkTls(encrypt, files, client);
      return { ...client, mode, acknowledge, servers, tls };
    }
    throw new UsageError(
      `send takes no program: ${program.join(" ")} (connect does)`,
    );
  }
  if (program.length === 0) throw new UsageError("");
  return { ...client, mode, program };
}

/**
 * Reads the command line.
 *
 * @param args The arguments
 * @param program The name that the program was started under
 * @returns The mode, and its options
 * @throws {ArgumentError} When they are wrong
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

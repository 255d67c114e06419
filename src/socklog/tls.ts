/**
 * Sending through TLS, by the runtime's own library. Nobody loads this module
 * who doesn't ask for it.
 *
 * The program trusts only the authorities of `-C`, or else those of this
 * machine: the runtime would add its own to them. And the runtime makes the
 * connection itself, so of a name with several addresses it tries the first.
 *
 * @module
 */
import { latin1 } from "../bytes.ts";
import { close, read } from "../sys/descriptors.ts";
import { setenv } from "../sys/environment.ts";
import { errorNumber, SysError } from "../sys/errors.ts";
import { open, openDirectory, readdir } from "../sys/files.ts";
import { Poller, READABLE } from "../sys/poll.ts";
import {
  getsockname,
  setKeepAlive,
  setNoDelay,
  unacknowledgedBytes,
} from "../sys/sockets.ts";
import { LONGEST_ANSWER } from "./acknowledgement.ts";
import { KEEP_ALIVE_SECONDS } from "./addresses.ts";
import {
  type DialOptions,
  lookUp,
  type RemoteEnd,
  Unreachable,
  waitOn,
} from "./dialling.ts";
import { LogferryError } from "../logferry_error.ts";
import { NOW, type Source, type TlsFiles, type TlsTexts } from "./sender.ts";

/** Where this machine's authorities may be: Debian's place, and Fedora's. */
const OWN_AUTHORITIES = [
  "/etc/ssl/certs/ca-certificates.crt",
  "/etc/pki/tls/certs/ca-bundle.crt",
];
const ETIMEDOUT = errorNumber("ETIMEDOUT");
const BUFFER = 256 * 1024;
/** What the runtime can be told in place of a store of its own. */
const NO_STORE = "";

/** A file of certificates or keys. */
function pem(path: string, what: string): string {
  const unreadable = (why: string) =>
    new LogferryError(`unable to read ${path}: ${why}`);
  const parts: string[] = [];
  try {
    const fd = open(path, "read");
    try {
      const buffer = new Uint8Array(65536);
      for (let n; (n = read(fd, buffer)) !== 0;) {
        if (n < 0) throw new SysError(-n);
        parts.push(latin1(buffer.subarray(0, n)));
      }
    } finally {
      close(fd);
    }
  } catch (error) {
    if (!(error instanceof SysError)) throw error;
    throw unreadable(error.message);
  }
  const text = parts.join("");
  if (new RegExp(`^-----BEGIN [A-Z0-9 ]*${what}-----`, "m").test(text)) {
    return text;
  }
  throw unreadable(`no ${what.toLowerCase()} in PEM`);
}

/**
 * Reads the files that the command line names. From then on this process's own
 * trust is in nothing else.
 *
 * @param files The files
 * @returns What is in them
 * @throws {LogferryError} When one can't be read
 */
export function readTexts(files: TlsFiles): TlsTexts {
  const { authorities, key, certificate } = files;
  const caCerts = [
    authorities === undefined
      ? ownAuthorities()
      : pem(authorities, "CERTIFICATE"),
  ];
  // Read when the first connection is made.
  setenv("DENO_TLS_CA_STORE", NO_STORE);
  if (key === undefined || certificate === undefined) return { caCerts };
  return {
    caCerts,
    key: pem(key, "PRIVATE KEY"),
    cert: pem(certificate, "CERTIFICATE"),
  };
}

function ownAuthorities(): string {
  for (const path of OWN_AUTHORITIES) {
    try {
      return pem(path, "CERTIFICATE");
    } catch (error) {
      if (!(error instanceof LogferryError)) throw error;
    }
  }
  throw new LogferryError(
    `unable to read ${OWN_AUTHORITIES[0]}: name an authority by -C`,
  );
}

/** What the library says, in words for whoever reads the log. */
const REASONS: [pattern: RegExp, reason: string][] = [
  // What the other side says of ours first: the words are alike.
  [/CertificateRequired/, "it wants a certificate (-k and -e)"],
  [
    /alert: \w*(Certificate|UnknownCA)\w*|DecryptError|AccessDenied/,
    "it doesn't take this certificate",
  ],
  [
    /certificate not valid for name|NotValidForName/,
    "its certificate is for another name",
  ],
  [/Expired|expired/, "its certificate has expired"],
  [/NotValidYet|not valid yet/, "its certificate isn't valid yet"],
  [
    /UnknownIssuer|BadSignature/,
    "its certificate is of no authority that is trusted here",
  ],
  [/InvalidContentType|corrupt message/, "it doesn't speak TLS"],
  [/end of file|eof|close_notify/, "it cut the connection off"],
];

/** Whether it is the runtime's network that has failed. */
function isRuntimes(error: unknown): boolean {
  return Object.values(Deno.errors).some((kind) => error instanceof kind);
}

/** Why the runtime's network has failed. */
interface Reason {
  /** In words. */
  readonly message: string;
  /** As {@linkcode LogferryError.code} has it. */
  readonly code: string;
  /** The error that says so. */
  readonly cause: unknown;
}

function reasonOf(error: unknown): Reason {
  const text = error instanceof Error ? error.message : String(error);
  const errno = /\(os error (\d+)\)/.exec(text)?.[1];
  if (errno !== undefined) {
    const cause = new SysError(Number(errno));
    return { message: cause.message, code: cause.code, cause };
  }
  const known = REASONS.find(([pattern]) => pattern.test(text));
  const message = known === undefined ? text.split("\n")[0]! : known[1];
  return { message, code: "EPROTO", cause: error };
}

/** A connection that is being made. */
class Opening {
  /** The connection, when the other side has shown who it is. */
  readonly done: Promise<Deno.TlsConn>;
  #conn: Deno.TlsConn | undefined;
  #closed = false;

  constructor(to: Deno.ConnectTlsOptions & Partial<Deno.TlsCertifiedKeyPem>) {
    this.done = this.#open(to);
    // It may fail when nobody waits for it any more.
    this.done.catch(() => {});
  }

  async #open(to: Deno.ConnectTlsOptions): Promise<Deno.TlsConn> {
    const conn = await Deno.connectTls(to);
    this.#conn = conn;
    if (this.#closed) conn.close();
    await conn.handshake();
    return conn;
  }

  /** What comes of it within a time; `undefined` when that is over. */
  async within(
    seconds: number,
    signal?: AbortSignal,
  ): Promise<Deno.TlsConn | undefined> {
    signal?.throwIfAborted();
    const end = Promise.withResolvers<undefined>();
    const abort = () => end.reject(signal!.reason);
    const timer = setTimeout(() => end.resolve(undefined), seconds * 1000);
    signal?.addEventListener("abort", abort);
    try {
      return await Promise.race([this.done, end.promise]);
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener("abort", abort);
    }
  }

  close(): void {
    this.#closed = true;
    this.#conn?.close();
  }
}

/**
 * Connects to a server, and knows then who it is.
 *
 * @param options Where to, and how
 * @param texts The certificates and the key
 * @param signal Ends the attempt
 * @returns The connection
 * @throws {Unreachable} When it doesn't answer, or isn't the one
 * @throws {LogferryError} When it has no address
 * @throws The signal's reason
 */
export async function dialTls(
  options: DialOptions,
  texts: TlsTexts,
  signal?: AbortSignal,
): Promise<TlsConnection> {
  const [end] = await lookUp(options.host, options.port, "own", signal);
  const hostname = options.host === "0" ? end!.ip : options.host;
  const to = { hostname, port: end!.port, ...texts };
  for (const seconds of options.timeouts) {
    const opening = new Opening(to);
    let conn: Deno.TlsConn | undefined;
    try {
      conn = await opening.within(seconds, signal);
    } catch (error) {
      opening.close();
      signal?.throwIfAborted();
      throw unreachable(reasonOf(error));
    }
    if (conn !== undefined) return connectionOf(conn, options.noDelay);
    opening.close();
  }
  const cause = new SysError(ETIMEDOUT);
  const { code, message } = cause;
  throw unreachable({ message, code, cause }, true);

  function unreachable(why: Reason, timedOut = false): Unreachable {
    const what = `unable to connect to ${hostname} port ${end!.port}`;
    return new Unreachable([`${what}: ${why.message}`], timedOut, why);
  }
}

/** A connection through TLS. */
export interface TlsConnection {
  /** The runtime's own, with its handshake done. */
  readonly conn: Deno.TlsConn;
  /** Its descriptor, where that can be found. */
  readonly fd: number | undefined;
  /** Where it leads. */
  readonly remote: RemoteEnd;
}

function connectionOf(conn: Deno.TlsConn, noDelay: boolean): TlsConnection {
  const { hostname: ip, port } = conn.remoteAddr as Deno.NetAddr;
  const fd = descriptorOf(conn.localAddr as Deno.NetAddr);
  if (fd !== undefined) {
    setKeepAlive(fd, KEEP_ALIVE_SECONDS);
    if (noDelay) setNoDelay(fd);
  }
  return { conn, fd, remote: { ip, port } };
}

/** The runtime keeps the descriptor to itself; the local end tells it. */
function descriptorOf({ hostname, port }: Deno.NetAddr): number | undefined {
  const folder = openDirectory("/proc/self/fd");
  try {
    return readdir(folder).map(Number).filter(Number.isInteger).find((fd) => {
      try {
        const own = getsockname(fd);
        return own.port === port && own.ip === hostname;
      } catch (error) {
        // No socket.
        if (error instanceof SysError) return false;
        throw error;
      }
    });
  } finally {
    close(folder);
  }
}

/**
 * Sends, and waits until the server has closed: only that is success.
 *
 * @param connection The connection; it is closed in the end
 * @param source What is sent
 * @param signal Ends it
 * @returns How many bytes were sent, and what the server said to that
 * @throws {LogferryError} When it fails
 * @throws What the source or the signal throws
 */
export async function transmitTls(
  { conn, fd }: TlsConnection,
  source: Source,
  signal?: AbortSignal,
): Promise<{ sent: number; answer: string }> {
  const poller = new Poller(1);
  const buffer = new Uint8Array(BUFFER);
  let heard = false;
  let sent = 0;
  const end = () => conn.close();
  signal?.addEventListener("abort", end);
  const hearing = hear(conn).finally(() => {
    heard = true;
    poller.wake();
  });
  // A failure is waited for below.
  hearing.catch(() => {});
  try {
    source.attach?.(() => poller.wake());
    for (let ended = false; !ended;) {
      const { waits } = source;
      poller.set(0, waits, READABLE);
      if (waits !== NOW) await waitOn(poller, -1, signal);
      if (heard) {
        await hearing;
        throw early();
      }
      const ready = waits >= 0 ? poller.found(0) !== 0 : source.waits === NOW;
      const n = ready ? source.read(buffer) : -1;
      for (let at = 0; at < n;) at += await conn.write(buffer.subarray(at, n));
      if (n > 0) sent += n;
      ended = n === 0;
    }
    await conn.closeWrite();
    const answer = await hearing;
    // As without TLS: what lay in its way when it closed met nobody.
    if (fd !== undefined && unacknowledgedBytes(fd) > 1) throw early();
    return { sent, answer };
  } catch (error) {
    signal?.throwIfAborted();
    if (!isRuntimes(error)) throw error;
    // Why a write failed is what the other side has said.
    const first = await hearing.then(() => error, (why) => why);
    const { message, code, cause } = reasonOf(first);
    throw new LogferryError(`unable to send: ${message}`, { cause, code });
  } finally {
    signal?.removeEventListener("abort", end);
    poller.close();
    if (!signal?.aborted) conn.close();
  }
}

/** Reads until the server has closed; the beginning of what it says is kept. */
async function hear(conn: Deno.TlsConn): Promise<string> {
  const buffer = new Uint8Array(4096);
  let text = "";
  try {
    for (let n; (n = await conn.read(buffer)) !== null;) {
      if (text.length < LONGEST_ANSWER) text += latin1(buffer.subarray(0, n));
    }
  } catch (error) {
    // Some, rsyslog with GnuTLS among them, never take leave as TLS wants it.
    // So anybody may forge this end; not the answer that `-a` expects.
    if (!(error instanceof Deno.errors.UnexpectedEof)) throw error;
  }
  return text;
}

function early(): LogferryError {
  return new LogferryError("connection closed before everything was sent", {
    code: "ECONNABORTED",
  });
}

/**
 * Sending through TLS, with the runtime's own library. This module is loaded
 * only with `-z`.
 *
 * The program trusts only the authorities of `-C` or, without `-C`, those of
 * this machine. The runtime has a list of its own, which is turned off. The
 * runtime itself also makes the connection; when a name has several addresses
 * it tries the first one.
 *
 * @module
 */
import { latin1 } from "../bytes.ts";
import { close } from "../sys/descriptors.ts";
import { setenv } from "../sys/environment.ts";
import { errorNumber, SysError } from "../sys/errors.ts";
import { open, openDirectory, readdir } from "../sys/files.ts";
import { Poller, READABLE } from "../sys/poll.ts";
import { readAll } from "../sys/read_all.ts";
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
import {
  closedEarly,
  NOW,
  type Source,
  type TlsFiles,
  type TlsTexts,
} from "./sender.ts";

/**
 * The files that may have this machine's authorities: Debian's, and Fedora's.
 */
const OWN_AUTHORITIES = [
  "/etc/ssl/certs/ca-certificates.crt",
  "/etc/pki/tls/certs/ca-bundle.crt",
];
const ETIMEDOUT = errorNumber("ETIMEDOUT");
const BUFFER = 256 * 1024;
/** The value of `$DENO_TLS_CA_STORE` for no list of authorities. */
const NO_STORE = "";

/** Reads a file of certificates or keys. */
function pem(path: string, what: string): string {
  const unreadable = (why: string) =>
    new LogferryError(`unable to read ${path}: ${why}`);
  let text: string;
  try {
    const fd = open(path, "read");
    try {
      text = latin1(readAll(fd));
    } finally {
      close(fd);
    }
  } catch (error) {
    if (!(error instanceof SysError)) throw error;
    throw unreadable(error.message);
  }
  if (new RegExp(`^-----BEGIN [A-Z0-9 ]*${what}-----`, "m").test(text)) {
    return text;
  }
  throw unreadable(`no ${what.toLowerCase()} in PEM`);
}

/**
 * Reads the files that the command line names. From then on this process trusts
 * no authorities but those.
 *
 * @param files The files' names
 * @returns The files' contents
 * @throws {LogferryError} When one can't be read
 */
export function readTexts(files: TlsFiles): TlsTexts {
  const { authorities, key, certificate } = files;
  const caCerts = [
    authorities === undefined
      ? ownAuthorities()
      : pem(authorities, "CERTIFICATE"),
  ];
  // The runtime reads this variable when it makes the first connection.
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

/** What the runtime's library says, and what our messages say instead. */
const REASONS: [pattern: RegExp, reason: string][] = [
  // First what the server says about our certificate: what the library says
  // about the server's is worded alike.
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

/** Whether an error comes from the runtime's network calls. */
function isRuntimes(error: unknown): boolean {
  return Object.values(Deno.errors).some((kind) => error instanceof kind);
}

/** Why a network call of the runtime has failed. */
interface Reason {
  /** The reason in our words. */
  readonly message: string;
  /** The code for {@linkcode LogferryError.code}. */
  readonly code: string;
  /** The error itself. */
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

/** A connection that the runtime is making. */
class Opening {
  /** The connection, after the handshake: the server's certificate is valid. */
  readonly done: Promise<Deno.TlsConn>;
  #conn: Deno.TlsConn | undefined;
  #closed = false;

  constructor(to: Deno.ConnectTlsOptions & Partial<Deno.TlsCertifiedKeyPem>) {
    this.done = this.#open(to);
    // After a timeout its failure would be an unhandled rejection.
    this.done.catch(() => {});
  }

  async #open(to: Deno.ConnectTlsOptions): Promise<Deno.TlsConn> {
    const conn = await Deno.connectTls(to);
    this.#conn = conn;
    if (this.#closed) conn.close();
    await conn.handshake();
    return conn;
  }

  /** Waits for the connection; returns `undefined` when the time is over. */
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
 * Connects to a server, and checks its certificate.
 *
 * @param options Where to, and how
 * @param texts The certificates and the key
 * @param signal Ends the attempt
 * @returns The connection
 * @throws {Unreachable} When the server doesn't answer, or its certificate
 * isn't valid
 * @throws {LogferryError} When the host has no address
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
  /** The runtime's connection, after the handshake. */
  readonly conn: Deno.TlsConn;
  /** Its descriptor; `undefined` when it can't be found. */
  readonly fd: number | undefined;
  /** The remote address and port. */
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

/**
 * Finds a connection's descriptor, which the runtime doesn't give away: the
 * socket that has its local address and port.
 */
function descriptorOf({ hostname, port }: Deno.NetAddr): number | undefined {
  const folder = openDirectory("/proc/self/fd");
  try {
    return readdir(folder).map(Number).filter(Number.isInteger).find((fd) => {
      try {
        const own = getsockname(fd);
        return own.port === port && own.ip === hostname;
      } catch (error) {
        // This descriptor is no socket.
        if (error instanceof SysError) return false;
        throw error;
      }
    });
  } finally {
    close(folder);
  }
}

/**
 * Sends everything, and waits until the server has closed the connection: only
 * then has it succeeded.
 *
 * @param connection The connection, which this closes
 * @param source Where the bytes come from
 * @param signal Ends the transmission
 * @returns How many bytes were sent, and what the server sent
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
  // A failure is dealt with below, where this is awaited.
  hearing.catch(() => {});
  try {
    source.attach?.(() => poller.wake());
    for (let ended = false; !ended;) {
      const { waits } = source;
      poller.set(0, waits, READABLE);
      if (waits !== NOW) await waitOn(poller, -1, signal);
      if (heard) {
        await hearing;
        throw closedEarly();
      }
      const ready = waits >= 0 ? poller.found(0) !== 0 : source.waits === NOW;
      const n = ready ? source.read(buffer) : -1;
      for (let at = 0; at < n;) at += await conn.write(buffer.subarray(at, n));
      if (n > 0) sent += n;
      ended = n === 0;
    }
    await conn.closeWrite();
    const answer = await hearing;
    // As without TLS: bytes that aren't acknowledged by now arrived at no
    // server.
    if (fd !== undefined && unacknowledgedBytes(fd) > 1) throw closedEarly();
    return { sent, answer };
  } catch (error) {
    signal?.throwIfAborted();
    if (!isRuntimes(error)) throw error;
    // Why a write has failed is known only from what the server has sent.
    const first = await hearing.then(() => error, (why) => why);
    const { message, code, cause } = reasonOf(first);
    throw new LogferryError(`unable to send: ${message}`, { cause, code });
  } finally {
    signal?.removeEventListener("abort", end);
    poller.close();
    if (!signal?.aborted) conn.close();
  }
}

/** Reads until the server has closed; returns the beginning of what it sent. */
async function hear(conn: Deno.TlsConn): Promise<string> {
  const buffer = new Uint8Array(4096);
  let text = "";
  try {
    for (let n; (n = await conn.read(buffer)) !== null;) {
      if (text.length < LONGEST_ANSWER) text += latin1(buffer.subarray(0, n));
    }
  } catch (error) {
    // Some servers, such as rsyslog with GnuTLS, end without TLS's
    // close_notify. So anybody on the way may forge this end, but not the
    // acknowledgement that `-a` expects.
    if (!(error instanceof Deno.errors.UnexpectedEof)) throw error;
  }
  return text;
}

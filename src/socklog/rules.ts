/**
 * Access rules, as tcprules(1) compiles them: a cdb database.
 *
 * A rule's key is its address. The data is `D` when the rule denies, and then
 * `+`, `NAME=value` and a NUL for each variable that the rule sets.
 *
 * @module
 */
import { fromLatin1, latin1 } from "../bytes.ts";
import { close, seek, waitForWrite } from "../sys/descriptors.ts";
import { SysError } from "../sys/errors.ts";
import { type FileInfo, open, stat } from "../sys/files.ts";
import { readAll } from "../sys/read_all.ts";
import { CdbError, find, keysOf, sameBytes } from "./cdb.ts";

const AT = 0x40;
const EQUALS = 0x3d;

/** What the rules go by: a client. */
export interface Subject {
  /** The client's address. */
  ip: string;
  /** Its host's name (`$TCPREMOTEHOST`). */
  host: string | undefined;
  /** The user that its host names (`$TCPREMOTEINFO`). */
  info: string | undefined;
}

/** What the rules say about a client. */
export interface Ruling {
  /** Whether to drop the connection. */
  deny: boolean;
  /** The variables to set. */
  variables: [name: string, value: string][];
}

/** Which look-ups must be done before the rules can be asked. */
export interface Needs {
  /** That of the client's name. */
  host: boolean;
  /** That of the user that its host names. */
  info: boolean;
}

/** What the rules have to know: whatever occurs in at least one of the keys. */
function needsOf(database: Uint8Array): Needs {
  const needs = { host: false, info: false };
  for (const key of keysOf(database)) {
    const at = key.lastIndexOf(AT);
    if (at >= 0) needs.info = true;
    if (key[at + 1] === EQUALS) needs.host = true;
    if (needs.host && needs.info) break;
  }
  return needs;
}

/** All prefixes of an address that end with its separator, longest first. */
function* prefixes(ip: string): Generator<string> {
  const separator = ip.includes(":") ? ":" : ".";
  for (let i = ip.length - 1; i > 0; i--) {
    if (ip[i] === separator) yield ip.slice(0, i + 1);
  }
}

/**
 * The keys to look for, in the order of tcprules(1).
 *
 * @param subject The client
 * @returns The keys; the first one that is in the rules decides
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(
 *   [...keys({ ip: "10.0.0.9", host: "a.b", info: undefined })],
 *   ["10.0.0.9", "=a.b", "10.0.0.", "10.0.", "10.", "=.b", "=", ""],
 * );
 * ```
 */
export function* keys(subject: Subject): Generator<string> {
  const { host, info } = subject;
  // Without the zone of a link-local address: the number that this machine has
  // given to a network can't be in a rule.
  const [ip] = subject.ip.split("%") as [string];
  if (info !== undefined) {
    yield `${info}@${ip}`;
    if (host !== undefined) yield `${info}@=${host}`;
  }
  yield ip;
  if (host !== undefined) yield `=${host}`;
  yield* prefixes(ip);
  if (host !== undefined) {
    for (let i = 1; i < host.length; i++) {
      if (host[i] === ".") yield `=${host.slice(i)}`;
    }
    yield "=";
  }
  yield "";
}

/**
 * Asks rules about a client.
 *
 * @param database The compiled rules
 * @param subject The client
 * @returns What the rules say; a client that no rule is about is let in
 * @throws {CdbError} When the bytes aren't a complete database
 */
export function judge(database: Uint8Array, subject: Subject): Ruling {
  const ruling: Ruling = { deny: false, variables: [] };
  for (const key of keys(subject)) {
    const data = find(database, fromLatin1(key));
    if (data === undefined) continue;
    let text = latin1(data);
    while (text !== "") {
      if (text[0] === "D") {
        ruling.deny = true;
        text = text.slice(1);
      } else if (text[0] === "+") {
        const end = text.indexOf("\0");
        if (end < 0) break;
        const equals = text.indexOf("=");
        if (equals < 0 || equals > end) break;
        ruling.variables.push([
          text.slice(1, equals),
          text.slice(equals + 1, end),
        ]);
        text = text.slice(end + 1);
      } else break;
    }
    return ruling;
  }
  return ruling;
}

/** The access rules can't be read, so the connection must be dropped. */
export class RulesError extends Error {
  override name = "RulesError";
}

/**
 * Two changes of a file may get the same time when they are this close, in
 * seconds. On some disks a time has only whole seconds, even ones.
 */
const CLOCK_GRAIN = 2;
/**
 * The same for a disk with this system's clock: 100 ticks a second, or more.
 */
const TICK = 0.012;
/** How many times to read a file that changes before giving up. */
const READINGS = 4;

/** The rules' file, which may be replaced while the server runs. */
export class Rules {
  readonly #path: string;
  readonly #mayBeMissing: boolean;
  /**
   * The {@linkcode appearance} of the file that was read last; `undefined` when
   * the file may have changed since without its appearance changing.
   */
  #seen: string | undefined;
  #database: Uint8Array | undefined;
  #needs: Needs = { host: false, info: false };

  /**
   * Names the file.
   *
   * @param path Its path
   * @param mayBeMissing Whether every client is let in when the file is missing
   */
  constructor(path: string, mayBeMissing: boolean) {
    this.#path = path;
    this.#mayBeMissing = mayBeMissing;
  }

  /**
   * Which look-ups the present rules need.
   *
   * @returns The look-ups; all of them when the rules can't be read
   */
  needs(): Needs {
    try {
      this.#refresh();
      return this.#needs;
    } catch (error) {
      if (!(error instanceof RulesError)) throw error;
      return { host: true, info: true };
    }
  }

  /**
   * Asks the present rules about a client.
   *
   * @param subject The client
   * @returns What they say
   * @throws {RulesError} When they can't be read
   */
  judge(subject: Subject): Ruling {
    this.#refresh();
    if (this.#database === undefined) return { deny: false, variables: [] };
    try {
      return judge(this.#database, subject);
    } catch (error) {
      throw this.#problem(error);
    }
  }

  #problem(error: unknown): unknown {
    return error instanceof SysError || error instanceof CdbError
      ? new RulesError(`unable to read ${this.#path}: ${error.message}`)
      : error;
  }

  /** Reads the file, unless it surely hasn't changed since it was read last. */
  #refresh(): void {
    try {
      const found = stat(this.#path);
      if (found !== undefined && this.#seen === appearance(found)) return;
      this.#seen = this.#database = undefined;
      this.#needs = { host: false, info: false };
      if (found === undefined && this.#mayBeMissing) return;
      this.#read();
    } catch (error) {
      throw this.#problem(error);
    }
  }

  #read(): void {
    const fd = open(this.#path, "read");
    try {
      let last: Uint8Array | undefined;
      for (let i = 0; i < READINGS; i++) {
        // New rules may just be being written over the old ones in place. A
        // mixture of both could let in a client that neither lets in. This
        // waits for a write that is under way. One that begins later changes
        // the file's times, unless the last change was in the same tick of the
        // clock. The clock is read before the wait, since this process may be
        // held up after it for longer than a tick.
        const now = Date.now() / 1000;
        waitForWrite(fd);
        const before = stat("", fd)!;
        const age = Date.now() / 1000 - before.ctime;
        if (age >= 0 && before.ctime > now - TICK) {
          // A millisecond more, since Date.now() counts whole ones.
          sleep(Math.max(TICK - age, 0) + 0.001);
          continue;
        }
        seek(fd, 0);
        const database = readAll(fd, before.size);
        if (appearance(stat("", fd)!) !== appearance(before)) continue;
        // A time in the future comes from another clock, so the age isn't
        // known; then two readings have to agree.
        if (age >= 0 || last !== undefined && sameBytes(database, last)) {
          this.#database = database;
          this.#needs = needsOf(database);
          this.#seen = age > CLOCK_GRAIN ? appearance(before) : undefined;
          return;
        }
        last = database;
      }
      throw new RulesError(
        `unable to read ${this.#path}: it changes all the time`,
      );
    } finally {
      close(fd);
    }
  }
}

/** Blocks this thread for some seconds. */
function sleep(seconds: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1000 * seconds);
}

/**
 * A text that changes when the file does. `cp -p` can put other contents of the
 * same size and with the same `mtime` into the same inode, but it can't keep
 * `ctime` from changing.
 */
function appearance({ identity, size, mtime, ctime }: FileInfo): string {
  return `${identity} ${size} ${mtime} ${ctime}`;
}

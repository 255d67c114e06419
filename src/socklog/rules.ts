/**
 * Access rules, as tcprules(1) compiles them.
 *
 * The data of an address is `D` for deny, or nothing, and then for each
 * variable a `+`, `NAME=value` and a NUL.
 *
 * @module
 */
import { fromLatin1, latin1 } from "../bytes.ts";
import { close, read, seek, waitForWrite } from "../sys/descriptors.ts";
import { SysError } from "../sys/errors.ts";
import { type FileInfo, open, stat } from "../sys/files.ts";
import { CdbError, find, keysOf } from "./cdb.ts";

const AT = 0x40;
const EQUALS = 0x3d;

/** Of whom the rules are asked. */
export interface Subject {
  /** The other end's address. */
  ip: string;
  /** Its host's name. */
  host: string | undefined;
  /** Whose connection its host says it is. */
  info: string | undefined;
}

/** What the rules say. */
export interface Ruling {
  /** Whether the connection is to be dropped. */
  deny: boolean;
  /** The variables to set. */
  variables: [name: string, value: string][];
}

/** What has to be known of a connection before the rules can be asked. */
export interface Needs {
  /** The other end's name. */
  host: boolean;
  /** Whose connection its host says it is. */
  info: boolean;
}

/** What rules want to know: what at least one of their keys speaks of. */
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
 * The addresses to look for, in their order.
 *
 * @param subject Of whom
 * @returns The addresses; the first that is in the rules counts
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
  // The zone of a link-local address is this machine's own number for a
  // network, which no rule can know.
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
 * Asks the rules.
 *
 * @param database The compiled rules
 * @param subject Of whom
 * @returns What they say; where they say nothing, the connection is welcome
 * @throws {CdbError} When they aren't compiled rules
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

/** The access rules can't be read: the connection is to be dropped. */
export class RulesError extends Error {
  override name = "RulesError";
}

/**
 * For how long, in seconds, a change may not show in a file's times: on any
 * disk, and on one that goes by this system's clock, which ticks at least 100
 * times a second.
 */
const CLOCK_GRAIN = 2;
const TICK = 0.012;
/** How often a file that changes is looked at before the connection goes. */
const READINGS = 4;

/** The rules' file, which may be replaced while the server runs. */
export class Rules {
  readonly #path: string;
  readonly #mayBeMissing: boolean;
  /** What the file looked like that was read, if a change of it would show. */
  #seen: string | undefined;
  #database: Uint8Array | undefined;
  #needs: Needs = { host: false, info: false };

  /**
   * Names the file.
   *
   * @param path Its path
   * @param mayBeMissing Whether everybody is welcome when it isn't there
   */
  constructor(path: string, mayBeMissing: boolean) {
    this.#path = path;
    this.#mayBeMissing = mayBeMissing;
  }

  /**
   * What the rules that are there now want to know.
   *
   * @returns Everything where they can't be read
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
   * Asks the rules that are there now.
   *
   * @param subject Of whom
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

  /** Reads the file, unless it surely is the one that was read last. */
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
        // A part of what is written over the old rules may be there already,
        // and a mixture lets in whom neither the old nor the new do. No write
        // goes on now; one that begins from now on shows, unless the last one
        // was in this tick of the clock.
        waitForWrite(fd);
        const before = stat("", fd)!;
        const age = Date.now() / 1000 - before.ctime;
        if (age >= 0 && age < TICK) {
          // The clock that is read has whole milliseconds.
          sleep(TICK - age + 0.001);
          continue;
        }
        seek(fd, 0);
        const database = readAll(fd, before.size);
        if (appearance(stat("", fd)!) !== appearance(before)) continue;
        // By another clock nobody knows how long ago it was.
        if (age >= 0 || last !== undefined && isSame(database, last)) {
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

/** Does nothing else for some seconds. */
function sleep(seconds: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1000 * seconds);
}

function isSame(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}

/**
 * What changes with a file. Contents of the same size can come with the same
 * modification time into the same inode (`cp -p`), but not without the time of
 * the change itself.
 */
function appearance({ identity, size, mtime, ctime }: FileInfo): string {
  return `${identity} ${size} ${mtime} ${ctime}`;
}

function readAll(fd: number, size: number): Uint8Array {
  let buffer = new Uint8Array(size + 1);
  let length = 0;
  while (true) {
    const n = read(fd, buffer.subarray(length));
    if (n < 0) throw new SysError(-n);
    if (n === 0) return buffer.subarray(0, length);
    length += n;
    if (length < buffer.length) continue;
    // It has grown meanwhile.
    const larger = new Uint8Array(2 * length);
    larger.set(buffer);
    buffer = larger;
  }
}

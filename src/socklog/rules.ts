/**
 * Access rules, as tcprules(1) compiles them.
 *
 * The data of an address is `D` for deny, or nothing, and then for each
 * variable a `+`, `NAME=value` and a NUL.
 *
 * @module
 */
import { fromLatin1, latin1 } from "../bytes.ts";
import { close, read } from "../sys/descriptors.ts";
import { SysError } from "../sys/errors.ts";
import { open, stat } from "../sys/files.ts";
import { CdbError, find } from "./cdb.ts";
import { Fatal } from "./fatal.ts";

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
  const { ip, host, info } = subject;
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

/** The rules' file, which may be replaced while the server runs. */
export class Rules {
  readonly #path: string;
  readonly #mayBeMissing: boolean;
  #seen = "";
  #database: Uint8Array = new Uint8Array(0);

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
   * Asks the rules that are there now.
   *
   * @param subject Of whom
   * @returns What they say
   * @throws {Fatal} When they can't be read; the connection is to be dropped
   */
  judge(subject: Subject): Ruling {
    try {
      if (!this.#refresh()) return { deny: false, variables: [] };
      return judge(this.#database, subject);
    } catch (error) {
      if (!(error instanceof SysError || error instanceof CdbError)) {
        throw error;
      }
      throw new Fatal(`unable to read ${this.#path}: ${error.message}`);
    }
  }

  /** Reads the file when it isn't the one that was read last. */
  #refresh(): boolean {
    const found = stat(this.#path);
    if (found === undefined && this.#mayBeMissing) return false;
    const seen = found === undefined
      ? ""
      : `${found.identity} ${found.size} ${found.mtime}`;
    if (seen !== "" && seen === this.#seen) return true;
    const fd = open(this.#path, "read");
    try {
      const database = new Uint8Array((found?.size ?? 0) + 1);
      let length = 0;
      while (length < database.length) {
        const n = read(fd, database.subarray(length));
        if (n < 0) throw new SysError(-n);
        if (n === 0) break;
        length += n;
      }
      this.#database = database.subarray(0, length);
      this.#seen = seen;
    } finally {
      close(fd);
    }
    return true;
  }
}

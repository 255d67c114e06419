/**
 * Knows for every line that was fed in where it may be, and that nothing else
 * is anywhere.
 *
 * A line has to be in one of two places: on the server, or in the logs of its
 * client. What is allowed beyond that depends on what was broken, see
 * {@linkcode Allowed}; everything else is a violation: a line that is nowhere,
 * one that is cut or mixed with another, one that nobody wrote, one more copy,
 * and an order that isn't the client's.
 *
 * On the server each line stands after its connection's address and port, and
 * what came over one connection has to be a run of one client's lines without
 * a gap: the beginning of one of its files, or all of it.
 *
 * @module
 */
import { type Bytes, encode, latin1, NEWLINE } from "../../src/bytes.ts";
import { type LineMaker, numberAt, ownerAt } from "./lines.ts";

/** A file of a log. */
export interface LogFile {
  /** Its name. */
  readonly name: string;
  /** What is in it. */
  readonly bytes: Bytes;
}

/** What was fed in, and what is there at the end. */
export interface Outcome {
  /** Who knows the lines. */
  readonly lines: LineMaker;
  /** For each client how many lines it was given. */
  readonly fed: readonly number[];
  /** For each client its log's files, in their order. */
  readonly kept: readonly Iterable<LogFile>[];
  /** What the server knows the clients by. */
  readonly address: string;
  /** The server's log's files, in their order. */
  readonly received: Iterable<LogFile>;
}

/** What was broken, so far as it excuses anything. */
export interface Allowed {
  /**
   * Transmissions may have been cut: then a line may be on the server more
   * than once, and also be kept; a cut transmission's last line may be there
   * in part, as long as all of it is somewhere; and what was on its way when
   * the sender gave up may come late.
   */
  cuts: boolean;
  /** How often each client's multilog was killed with SIGKILL. */
  clientKills: readonly number[];
  /** How often the server's multilog was. */
  serverLogKills: number;
  /**
   * A transmission may be taken for complete that isn't: nobody acknowledges,
   * and the server was killed.
   */
  unacknowledged: boolean;
  /**
   * Which clients' files wait until they are sent. All is mended at the end,
   * so that each of their lines has to be on the server then.
   */
  waits: readonly boolean[];
}

/** Nothing was broken. */
export const NOTHING_BROKEN: Allowed = {
  cuts: false,
  clientKills: [],
  serverLogKills: 0,
  unacknowledged: false,
  waits: [],
};

/** What was counted. */
export interface Count {
  /** Lines fed in. */
  fed: number;
  /** Lines that are on the server. */
  server: number;
  /** Lines that are in their client's logs. */
  client: number;
  /** Lines that are in both. */
  both: number;
  /** Further copies on the server. */
  copies: number;
  /** Lines on the server of which a cut transmission left a part. */
  parts: number;
  /** Transmissions that came late. */
  late: number;
  /** Lines whose two halves are in two files, one after the other. */
  split: number;
  /** Lines that tell the server what went wrong. */
  notices: number;
  /** Lines that a killed multilog had read and not yet written. */
  inHand: number;
  /** Lines lost in a transmission that nobody acknowledged. */
  unacknowledged: number;
  /** Lines that are nowhere, and nothing excuses it. */
  lost: number;
}

/** What the checker says. */
export interface Findings {
  /** What it counted. */
  count: Count;
  /** What must not be. */
  violations: string[];
}

/** The most that a client's multilog reads at once: what its pipe holds. */
export const CLIENT_PIPE = 16 * 1024;
/** The most that the server's reads at once, and so may have in hand. */
const IN_HAND = 256 * 1024;
/** How many violations are told one by one. */
const TOLD = 25;

const SPACE = 0x20;
const COLON = 0x3a;
const STAMP = 26;

/** What tryto and the sender tell the server with the next file. */
const NOTICE = new RegExp(
  "^((tryto|socklog-tcp|tcpclient): )?(warning: |fatal: |info: )?(" +
    'child ("[^"]*" |)(crashed|terminated|timed out|not terminated|' +
    "has no input|interrupted by \\w+|killed by signal \\d+( \\(\\w+\\))?)" +
    "(, giving up)?\\.( sending \\w+\\.\\.\\.| \\(exit code \\d+\\))?|" +
    "stopped by \\w+, giving up\\.|" +
    "kept \\d+ bytes of .+ @4[0-9a-f]{23}, not sent since [\\dT:-]+Z: .+|" +
    "\\d+ bytes of notices left out|" +
    "\\d+ bytes were acknowledged, and \\d+ sent|" +
    "no acknowledgement: a server gives it with -a, when all went well|" +
    "connection closed before everything was sent|" +
    'unable to [\\w /".:-]+: [\\w ]+|connected to [\\w .]+)$|' +
    "^cat: .*: [\\w ]+$",
);
/** What a server says on standard error. */
const MESSAGE =
  /^(socklog-tcp|tcpserver): ((status: |pid \d+ from |ok \d+ |end \d+ status |deny |idle )[\w.:\-/ ]*|(warning|fatal): [\x20-\x7e]+)$/;

function startsSome(piece: string): boolean {
  return ["tryto: ", "socklog-tcp: ", "tcpserver: ", "tcpclient: ", "cat: "]
    .some((word) => word.startsWith(piece) || piece.startsWith(word));
}

/** A run of one client's lines that came over one connection. */
interface Block {
  client: number;
  first: number;
  last: number;
  /** Whether lines before it may have been lost with a killed multilog. */
  torn: boolean;
}

/** A connection that the server's log tells of. */
interface Stream {
  block: Block | undefined;
  /** Whether its last line came in part, so that nothing may follow. */
  over: boolean;
  /** A killed multilog's file has ended since its last line. */
  torn: boolean;
  /** A first line that may be the second half of one. */
  half: Uint8Array | undefined;
  /** Notices that have come, and no line after them yet. */
  notices: number;
}

/** A piece of a line that a killed multilog left. */
interface Piece {
  bytes: Bytes;
  where: string;
}

class Checker {
  readonly #outcome: Outcome;
  readonly #allowed: Allowed;
  readonly #violations: string[] = [];
  #unspoken = 0;
  /** For each client the lines that are nowhere, with an excuse. */
  readonly #excused: Set<number>[];
  readonly #onServer: Uint8Array[];
  readonly #onClient: Uint8Array[];
  readonly #blocks: Block[][];
  /** For each client the last line of the first file that it kept for good. */
  readonly #firstKept: (number | undefined)[];
  /** For each client how many notices came before lines of its own. */
  readonly #told: number[];
  /** For each client the runs of lines in its files. */
  readonly #runs: { first: number; last: number }[][];
  /** Lines of which there is a part that needs a whole somewhere. */
  readonly #parts: { client: number; number: number; length: number }[] = [];
  readonly #tails: Piece[] = [];
  /** Second halves that came to the server: which, and how long. */
  readonly #halves: { client: number; number: number; length: number }[] = [];
  readonly count: Count = {
    fed: 0,
    server: 0,
    client: 0,
    both: 0,
    copies: 0,
    parts: 0,
    late: 0,
    split: 0,
    notices: 0,
    inHand: 0,
    unacknowledged: 0,
    lost: 0,
  };

  constructor(outcome: Outcome, allowed: Allowed) {
    this.#outcome = outcome;
    this.#allowed = allowed;
    this.#onServer = outcome.fed.map((n) => new Uint8Array(n));
    this.#onClient = outcome.fed.map((n) => new Uint8Array(n));
    this.#blocks = outcome.fed.map(() => []);
    this.#firstKept = outcome.fed.map(() => undefined);
    this.#told = outcome.fed.map(() => 0);
    this.#runs = outcome.fed.map(() => []);
    this.#excused = outcome.fed.map(() => new Set());
  }

  run(): Findings {
    const { kept, received, fed } = this.#outcome;
    kept.forEach((files, client) => this.#readClient(files, client));
    this.#readServer(received);
    fed.forEach((_, client) => this.#judge(client));
    this.#judgeParts();
    const violations = this.#violations;
    if (this.#unspoken > 0) violations.push(`… and ${this.#unspoken} more`);
    return { count: this.count, violations };
  }

  #violation(text: string): void {
    if (this.#violations.length < TOLD) this.#violations.push(text);
    else this.#unspoken++;
  }

  /**
   * Goes through the lines of a log. At the end of a file that was cut off, a
   * line may be in two pieces, or its end may be missing.
   *
   * @param files The log's files
   * @param kills How often its multilog was killed
   * @param take Told each line; answers whether it is one
   * @param torn Called where a killed multilog's file ends
   */
  #readLines(
    files: Iterable<LogFile>,
    kills: number,
    where: string,
    take: (
      bytes: Bytes,
      from: number,
      to: number,
      where: string,
      tries?: boolean,
    ) => boolean,
    torn: () => void,
  ): void {
    let piece: Piece | undefined;
    /** Whether the file before was cut off. */
    let cut = false;
    let cuts = 0;
    let pieces = 0;
    /** Whether a file may have been cut off, and been sent in vain since. */
    const wasCut = (name: string) =>
      kills > 0 && where.startsWith("client") && name.endsWith(".s");
    for (const { name, bytes } of files) {
      const at = `${where}/${name}`;
      let from = 0;
      while (from < bytes.length) {
        let to = bytes.indexOf(NEWLINE, from);
        if (to < 0) {
          if (!name.endsWith(".u") && !wasCut(name)) {
            this.#violation(`${at}: ends within a line`);
          }
          to = bytes.length;
          piece = { bytes: bytes.slice(from, to), where: at };
          if (wasCut(name)) pieces++;
          break;
        }
        if (from === 0 && (piece || cut)) {
          this.#join(piece, bytes.subarray(0, to) as Bytes, at, take);
          piece = undefined;
        } else if (!take(bytes, from, to, at)) {
          this.#violation(`${at}: ${excerpt(bytes.subarray(from, to))}`);
        }
        cut = false;
        from = to + 1;
      }
      if (name.endsWith(".u")) {
        cut = true;
        cuts++;
        torn();
      } else if (wasCut(name)) {
        // It may have been cut off where a line ended.
        cut = true;
        torn();
      }
    }
    if (piece) this.#tails.push(piece);
    if (pieces > kills) {
      this.#violation(`${where}: ${pieces} files end within a line`);
    }
    if (kills === 0 && cuts > 0) {
      this.#violation(`${where}: a file was cut off, and nobody was killed`);
    }
  }

  /** What stands on both sides of a killed multilog's end. */
  #join(
    piece: Piece | undefined,
    rest: Bytes,
    where: string,
    take: (
      bytes: Bytes,
      from: number,
      to: number,
      where: string,
      tries?: boolean,
    ) => boolean,
  ): void {
    if (piece === undefined) {
      if (!take(rest, 0, rest.length, where)) {
        // The beginning of it was in the hands of the one that was killed.
        this.#tails.push({ bytes: bare(rest), where });
      }
      return;
    }
    const bareRest = bare(rest);
    const joined = new Uint8Array(piece.bytes.length + bareRest.length);
    joined.set(piece.bytes);
    joined.set(bareRest, piece.bytes.length);
    if (take(joined, 0, joined.length, where, true)) {
      this.count.split++;
      return;
    }
    this.#tails.push(piece);
    if (!take(rest, 0, rest.length, where)) {
      this.#tails.push({ bytes: bareRest, where });
    }
  }

  #readClient(files: Iterable<LogFile>, client: number): void {
    const { fed } = this.#outcome;
    const seen = this.#onClient[client]!;
    const runs = this.#runs[client]!;
    let last = -1;
    let run: { first: number; last: number } | undefined;
    let file = "";
    let torn = false;
    const name = String.fromCharCode(0x61 + client);
    this.#readLines(
      files,
      this.#allowed.clientKills[client] ?? 0,
      `client ${name}`,
      (bytes, from, to, where) => {
        const start = from + stampLength(bytes, from, to);
        const owner = ownerAt(bytes, start, to);
        if (owner < 0) return false;
        const number = numberAt(bytes, start);
        if (owner !== client || number >= fed[client]!) {
          this.#violation(`${where}: invented ${label(owner, number)}`);
          return true;
        }
        if (seen[number]! > 0) {
          this.#violation(`${where}: ${label(client, number)} once more`);
        } else if (number <= last) {
          this.#violation(
            `${where}: ${label(client, number)} after ${label(client, last)}`,
          );
        } else if (
          run && file === where && number !== run.last + 1 && !torn
        ) {
          this.#violation(
            `${where}: from ${label(client, run.last)} to ` +
              `${label(client, number)} within a file`,
          );
        }
        seen[number] = 1;
        if (run && file === where && number === run.last + 1) run.last = number;
        else runs.push(run = { first: number, last: number });
        if (where.endsWith(".s")) this.#firstKept[client] ??= number;
        file = where;
        torn = false;
        last = Math.max(last, number);
        return true;
      },
      () => torn = true,
    );
  }

  #readServer(files: Iterable<LogFile>): void {
    const streams = new Map<string, Stream>();
    const address = encode(this.#outcome.address);
    const portOf = new Map<string, string>();
    const message = (text: string) => {
      const [, id, address] =
        /^\S+ ok (\d+) .*:([\d.]*:[\d.]*:\d+)$/.exec(text) ?? [];
      if (id) portOf.set(id, address!.split(":").at(-1)!);
      const [, ended] = /^\S+ end (\d+) /.exec(text) ?? [];
      if (ended && portOf.has(ended)) streams.delete(portOf.get(ended)!);
      // A server that has just been started.
      if (/^\S+ status: 0\//.test(text)) streams.clear();
    };
    this.#readLines(
      files,
      this.#allowed.serverLogKills,
      "server",
      (bytes, from, to, where, tries = false) => {
        const colon = address.every((byte, i) => byte === bytes[from + i])
          ? from + address.length
          : -1;
        const second = colon < 0 ? -1 : bytes.indexOf(COLON, colon + 1);
        const isDigit = (at: number) => bytes[at]! >= 0x30 && bytes[at]! < 0x3a;
        if (
          bytes[colon] !== COLON || second < 0 || second + 1 >= to ||
          second - from > 30 || !isDigit(colon + 2) ||
          bytes[second + 1] !== SPACE
        ) {
          const text = latin1(bytes.subarray(from, to));
          if (!MESSAGE.test(text)) return false;
          message(text);
          return true;
        }
        const port = latin1(bytes.subarray(colon + 2, second));
        const start = second + 2 + stampLength(bytes, second + 2, to);
        let stream = streams.get(port);
        if (stream === undefined) {
          streams.set(
            port,
            stream = {
              block: undefined,
              over: false,
              torn: false,
              half: undefined,
              notices: 0,
            },
          );
        }
        const owner = ownerAt(bytes, start, to);
        if (owner < 0) {
          return this.#readOther(bytes.subarray(start, to), stream, tries);
        }
        this.#receive(owner, numberAt(bytes, start), stream, where);
        return true;
      },
      () => {
        for (const stream of streams.values()) stream.torn = true;
      },
    );
  }

  /** A line of a connection that is none of its client's. */
  #readOther(bytes: Uint8Array, stream: Stream, tries: boolean): boolean {
    const text = latin1(bytes);
    if (stream.over) return false;
    if (NOTICE.test(text)) {
      if (stream.block) return false;
      this.count.notices++;
      stream.notices++;
      return true;
    }
    if (tries) return false;
    const { block } = stream;
    if (!block && this.#allowed.clientKills.some((kills) => kills > 0)) {
      // The second half of a line, whose first one is in its client's logs; or
      // the beginning of one: what comes after it tells.
      stream.half = bytes.slice();
    }
    const { cuts, clientKills } = this.#allowed;
    const kills = block
      ? clientKills[block.client] ?? 0
      : Math.max(0, ...clientKills);
    if (!cuts && kills === 0) return stream.half !== undefined;
    // A cut transmission's last line, so far as it came; or that of a file
    // that ends with its multilog, all of which was sent.
    if (/^@[0-9a-f]{0,24} ?$/.test(text)) {
      // Of the line nothing has come but a part of its time.
    } else if (block) {
      if (
        !this.#outcome.lines.begins(bytes, block.client, block.last + 1)
      ) return false;
      const { length } = bytes;
      this.#parts.push({
        client: block.client,
        number: block.last + 1,
        length,
      });
    } else if (bytes.length >= 10) {
      const client = bytes[0]! - 0x61;
      const number = numberAt(bytes, 0);
      const known = client >= 0 && number >= 0 &&
        number < (this.#outcome.fed[client] ?? 0);
      if (known && this.#outcome.lines.begins(bytes, client, number)) {
        this.#parts.push({ client, number, length: bytes.length });
      } else if (!startsSome(text)) return stream.half !== undefined;
    } else if (!/^[a-z]?( \d*)?$/.test(text) && !startsSome(text)) {
      return stream.half !== undefined;
    }
    stream.over = true;
    this.count.parts++;
    return true;
  }

  #receive(
    client: number,
    number: number,
    stream: Stream,
    where: string,
  ): void {
    const counts = this.#onServer[client];
    const name = label(client, number);
    if (counts === undefined || number >= counts.length) {
      this.#violation(`${where}: invented ${name}`);
      return;
    }
    const { block } = stream;
    if (stream.half) {
      const { half } = stream;
      stream.half = undefined;
      stream.over = false;
      if (this.#outcome.lines.ends(half, client, number - 1)) {
        this.#halves.push({ client, number: number - 1, length: half.length });
      } else {
        this.#violation(`${where}: before ${name}, ${excerpt(half)}`);
      }
    }
    if (stream.over) {
      this.#violation(`${where}: ${name} after the end of its connection`);
    } else if (
      block && block.client === client && number === block.last + 1
    ) {
      block.last = number;
    } else if (block && !stream.torn) {
      this.#violation(
        `${where}: from ${label(block.client, block.last)} to ${name} ` +
          "within a connection",
      );
      stream.block = undefined;
    } else {
      if (block) stream.block = undefined;
    }
    if (stream.block === undefined) {
      stream.block = { client, first: number, last: number, torn: stream.torn };
      this.#blocks[client]!.push(stream.block);
    }
    stream.torn = false;
    this.#told[client]! += stream.notices;
    stream.notices = 0;
    if (counts[number]! < 255) counts[number]!++;
  }

  #judge(client: number): void {
    const { count } = this;
    const allowed = this.#allowed;
    const server = this.#onServer[client]!;
    const kept = this.#onClient[client]!;
    const fed = server.length;
    const mayRepeat = allowed.cuts || (allowed.clientKills[client] ?? 0) > 0;
    let from = -1;
    let before = 1;
    let unsent = -1;
    const lost: [first: number, last: number][] = [];
    count.fed += fed;
    for (let i = 0; i < fed; i++) {
      const there = server[i]!;
      if (there > 0) count.server++;
      if (kept[i]! > 0) count.client++;
      if (there > 0 && kept[i]! > 0) count.both++;
      if (there === 0 && kept[i]! > 0 && unsent < 0) unsent = i;
      if (there > 1) count.copies += there - 1;
      const times = there + kept[i]!;
      if (!mayRepeat && times > 1 && times !== before) {
        this.#violation(`${label(client, i)} and on: there ${times} times`);
      }
      before = times;
      const gone = times === 0;
      if (gone && from < 0) from = i;
      if (!gone && from >= 0) {
        lost.push([from, i - 1]);
        from = -1;
      }
    }
    if (from >= 0) lost.push([from, fed - 1]);
    if (unsent >= 0 && allowed.waits[client]) {
      this.#violation(`${label(client, unsent)} and on: not on the server`);
    }
    this.#judgeLost(client, lost);
    this.#judgeOrder(client);
    this.#judgeNotices(client);
  }

  /** A file that was kept is told of with one that is sent later. */
  #judgeNotices(client: number): void {
    const { clientKills, serverLogKills, unacknowledged } = this.#allowed;
    // An unclean end takes the notices with it, and a lost line may be one.
    if ((clientKills[client] ?? 0) + serverLogKills > 0) return;
    if (unacknowledged || this.#told[client]! > 0) return;
    const kept = this.#firstKept[client];
    if (kept === undefined) return;
    const later = this.#blocks[client]!.find(({ first, last }) =>
      first > kept && this.#onClient[client]![last] === 0
    );
    if (later === undefined) return;
    this.#violation(
      `${label(client, kept)} was kept, and ${label(client, later.first)} ` +
        "came without a notice of it",
    );
  }

  /** Lines that are nowhere: who may have had them in hand. */
  #judgeLost(client: number, lost: [first: number, last: number][]): void {
    const { lines } = this.#outcome;
    const excuses = [
      { left: this.#allowed.clientKills[client] ?? 0, most: CLIENT_PIPE },
      { left: this.#allowed.serverLogKills, most: IN_HAND },
    ];
    for (const range of lost) {
      if (this.#isSplit(client, range[0])) {
        this.count.split++;
        this.count.both++;
        this.#excused[client]!.add(range[0]);
        range[0]++;
      }
      const [first, last] = range;
      if (first > last) continue;
      let bytes = 0;
      for (let i = first; i <= last && bytes <= IN_HAND; i++) {
        bytes += lines.line(client, i).length;
      }
      const excuse = excuses.find(({ left, most }) =>
        left > 0 && bytes <= most + 2 * lines.longest
      );
      if (excuse) {
        excuse.left--;
        this.count.inHand += last - first + 1;
        for (let i = first; i <= last; i++) this.#excused[client]!.add(i);
      } else if (this.#allowed.unacknowledged) {
        this.count.unacknowledged += last - first + 1;
        for (let i = first; i <= last; i++) this.#excused[client]!.add(i);
      } else {
        this.count.lost += last - first + 1;
        const name = label(client, first);
        this.#violation(
          first === last
            ? `${name} is lost`
            : `${name} to ${label(client, last)} are lost`,
        );
      }
    }
  }

  /**
   * Whether a line's halves are in two files: the first one in its client's
   * logs, or on the server as the end of a file, and the second one there.
   */
  #isSplit(client: number, number: number): boolean {
    const { lines } = this.#outcome;
    const whole = lines.line(client, number).length - 1;
    const heads = this.#tails.filter(({ bytes }) =>
      lines.begins(bare(bytes), client, number)
    ).map(({ bytes }) => bare(bytes).length);
    for (const part of this.#parts) {
      if (part.client !== client || part.number !== number) continue;
      heads.push(part.length);
    }
    return this.#halves.some((half) =>
      half.client === client && half.number === number &&
      heads.includes(whole - half.length)
    );
  }

  /** Each connection begins where a file does, and they come in turn. */
  #judgeOrder(client: number): void {
    const blocks = this.#blocks[client]!;
    let most = -1;
    const mayBeLate = this.#allowed.cuts ||
      (this.#allowed.clientKills[client] ?? 0) > 0;
    for (const { first, last, torn } of blocks) {
      if (first >= most || torn) {
        most = Math.max(most, first);
        continue;
      }
      this.count.late++;
      const name = label(client, first);
      if (!mayBeLate) {
        this.#violation(`${name} came after ${label(client, most)}`);
        continue;
      }
      for (let i = first; i <= last; i++) {
        if (this.#onServer[client]![i]! + this.#onClient[client]![i]! < 2) {
          this.#violation(`${label(client, i)} came late, and only so`);
          break;
        }
      }
    }
    const runs = this.#runs[client]!;
    const sorted = [...blocks].sort((a, b) =>
      a.first - b.first || b.last - a.last
    );
    // The longest of those that begin with the same line.
    let a = sorted[0];
    for (const b of sorted) {
      if (b.first === a!.first) continue;
      const within = b.first <= a!.last;
      a = b;
      if (within && !b.torn) {
        this.#violation(
          `${label(client, b.first)} begins a transmission, and is within ` +
            "another",
        );
      }
    }
    let k = 0;
    for (const run of runs) {
      while (k < sorted.length && sorted[k]!.last < run.first) k++;
      const block = sorted[k];
      if (
        block && block.first <= run.last && block.first !== run.first &&
        !block.torn && this.#allowed.clientKills[client] === 0
      ) {
        this.#violation(
          `${label(client, run.first)} begins a file that was sent from ` +
            `${label(client, block.first)} on`,
        );
      }
    }
  }

  /** A part of a line is none the less a loss when the whole is nowhere. */
  #judgeParts(): void {
    for (const { client, number } of this.#parts) {
      const server = this.#onServer[client]![number] ?? 0;
      if (server + (this.#onClient[client]![number] ?? 0) > 0) continue;
      // A killed multilog had the whole in hand, or both halves are there.
      if (this.#excused[client]!.has(number)) continue;
      this.#violation(`${label(client, number)} is there only in part`);
    }
    for (const { bytes, where } of this.#tails) {
      const text = latin1(bytes);
      if (bytes.length === 0 || startsSome(text) || NOTICE.test(text)) continue;
      if (/^[\d.]*:? ?\d*:? ?([a-z]( \d*)?)?$/.test(text)) continue;
      // What the one that was killed had begun, and a copy is whole.
      const known = endsWithPiece(bytes, (piece) => {
        const client = piece[0]! - 0x61;
        const number = piece.length < 10 ? -1 : numberAt(piece, 0);
        return number >= 0 && number < (this.#outcome.fed[client] ?? 0) &&
          this.#outcome.lines.begins(piece, client, number);
      });
      if (known || this.#isTail(bytes)) continue;
      this.#violation(`${where}: ${excerpt(bytes)}`);
    }
  }

  /** Whether bytes end a line beside which a multilog was killed. */
  #isTail(bytes: Uint8Array): boolean {
    const { fed, lines } = this.#outcome;
    return fed.some((n, client) => {
      for (let i = 0; i < n; i++) if (lines.ends(bytes, client, i)) return true;
      return false;
    });
  }
}

/** Whether some end of a piece, its connection's prefix left out, is right. */
function endsWithPiece(
  bytes: Uint8Array,
  right: (piece: Uint8Array) => boolean,
): boolean {
  const prefix = /^(@[0-9a-f]{24} |[\d.]+: \d+: )?/.exec(
    latin1(bytes.subarray(0, 60)),
  )![0];
  return right(bytes.subarray(prefix.length));
}

/** How long the time before a line is. */
function stampLength(bytes: Uint8Array, from: number, to: number): number {
  if (bytes[from] !== 0x40 || to - from < STAMP) return 0;
  return bytes[from + STAMP - 1] === SPACE ? STAMP : 0;
}

function bare(bytes: Bytes): Bytes {
  return bytes.subarray(stampLength(bytes, 0, bytes.length)) as Bytes;
}

function label(client: number, number: number): string {
  return `line ${String.fromCharCode(0x61 + client)} ${number}`;
}

function excerpt(bytes: Uint8Array): string {
  const text = latin1(bytes.subarray(0, 90)).replace(/[^\x20-\x7e]/g, "?");
  const more = bytes.length > 90 ? `… (${bytes.length} bytes)` : "";
  return `no whole line: ${text}${more}`;
}

/**
 * Looks where every line is.
 *
 * @param outcome What was fed in, and what is there
 * @param allowed What was broken
 * @returns What was counted, and what must not be
 */
export function check(
  outcome: Outcome,
  allowed: Allowed = NOTHING_BROKEN,
): Findings {
  return new Checker(outcome, allowed).run();
}

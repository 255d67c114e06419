/**
 * Whatever is read is read wrong one day: every parser, on bytes and words that
 * nobody would write. None may crash, hang, show a stack trace or take memory
 * without bound, and where there is an original, both have to agree.
 *
 * @module
 */
import { encode, fromLatin1, latin1 } from "../../src/bytes.ts";
import { matches } from "../../src/multilog/matching.ts";
import { pattern } from "../../src/multilog/pattern.ts";
import { KEEP_MIN, SIZE_MAX, SIZE_MIN } from "../../src/log/settings.ts";
import { parseScript } from "../../src/multilog/script.ts";
import { UsageError } from "../../src/getopt.ts";
import { complaint } from "../../src/socklog/acknowledgement.ts";
import { parseArguments } from "../../src/socklog/arguments.ts";
import { CdbError, find } from "../../src/socklog/cdb.ts";
import { Framer, LineBuffer } from "../../src/socklog/framing.ts";
import { judge } from "../../src/socklog/rules.ts";
import { parseArguments as parseTryto } from "../../src/tryto/arguments.ts";
import { type Folder, installed, ours, run } from "../tools.ts";

type Random = () => number;

/** One fuzzer. */
export interface Fuzzer {
  /** What it feeds. */
  readonly name: string;
  /** Programs that it can't do without. */
  readonly needs: readonly string[];
  /**
   * Tries one case.
   *
   * @param random What decides on it
   * @param at A folder to work in
   * @throws {Error} When a promise was broken; the message has the case
   */
  once(random: Random, at: Folder): Promise<void> | void;
}

/** How long one case of a parser may take, in milliseconds. */
const SLOW = 1000;

function below(random: Random, n: number): number {
  return Math.floor(random() * n);
}

function pick<T>(random: Random, list: readonly T[]): T {
  return list[below(random, list.length)]!;
}

function bytes(random: Random, length: number): Uint8Array<ArrayBuffer> {
  return Uint8Array.from({ length }, () => below(random, 256));
}

/** Words of arguments: sensible ones, their pieces, and nonsense. */
function word(random: Random): string {
  const known =
    "t e s4096 s99 n1 n20 a5 !cat ./log /log -* +* =x ++* -v -pv -t -t5 -k1 -n2 -P --help --version -- - send connect -a -T 2+58 -T1 -x -1 -c -c0 -l0 -u -g socklog ucspi TCPREMOTEIP 0 127.0.0.1 99999 -B -w3 -Z -b4"
      .split(" ");
  const kind = random();
  if (kind < 0.5) return pick(random, known);
  if (kind < 0.7) return pick(random, known) + pick(random, known);
  if (kind < 0.8) return pick(random, known).slice(below(random, 3));
  if (kind < 0.9) {
    return `${pick(random, [..."snatkcTwugb"])}${
      pick(random, ["", "-", "9".repeat(30), "0", "1e9", "0x10", "½"])
    }`;
  }
  return latin1(bytes(random, below(random, kind > 0.99 ? 5000 : 20)))
    .replaceAll("\0", "");
}

function words(random: Random, most: number): string[] {
  return Array.from({ length: below(random, most + 1) }, () => word(random));
}

function fail(what: string, input: unknown): never {
  throw new Error(`${what}: ${JSON.stringify(input).slice(0, 2000)}`);
}

function quickly<T>(input: unknown, work: () => T): T {
  const start = performance.now();
  const result = work();
  if (performance.now() - start < SLOW) return result;
  // It may have been the machine that stood still.
  const again = performance.now();
  work();
  if (performance.now() - again > SLOW) fail("too slow", input);
  return result;
}

/** multilog's rule for patterns, in its simplest words. */
function matchesPlainly(pattern: string, text: string): boolean {
  if (pattern === "") return text === "";
  if (pattern === "*") return true;
  if (pattern[0] !== "*") {
    return pattern[0] === text[0] && text !== "" &&
      matchesPlainly(pattern.slice(1), text.slice(1));
  }
  const at = text.indexOf(pattern[1]!);
  return at >= 0 && matchesPlainly(pattern.slice(1), text.slice(at));
}

/** Makes a constant database. */
function makeCdb(records: [key: Uint8Array, data: Uint8Array][]): Uint8Array {
  const out: number[] = new Array(2048).fill(0);
  const put = (n: number) =>
    out.push(n & 255, n >>> 8 & 255, n >>> 16 & 255, n >>> 24);
  const tables: [hash: number, at: number][][] = Array.from(
    { length: 256 },
    () => [],
  );
  for (const [key, data] of records) {
    let h = 5381;
    for (const byte of key) h = ((Math.imul(h, 33) >>> 0) ^ byte) >>> 0;
    tables[h & 255]!.push([h, out.length]);
    put(key.length);
    put(data.length);
    out.push(...key, ...data);
  }
  const head = new DataView(new ArrayBuffer(2048));
  tables.forEach((table, i) => {
    const slots = 2 * table.length;
    head.setUint32(8 * i, out.length, true);
    head.setUint32(8 * i + 4, slots, true);
    const placed: [number, number][] = Array.from(
      { length: slots },
      () => [0, 0],
    );
    for (const [h, at] of table) {
      let slot = (h >>> 8) % slots;
      while (placed[slot]![1] !== 0) slot = (slot + 1) % slots;
      placed[slot] = [h, at];
    }
    for (const [h, at] of placed) {
      put(h);
      put(at);
    }
  });
  const made = Uint8Array.from(out);
  made.set(new Uint8Array(head.buffer));
  return made;
}

/** All that comes out of a framer, fed in pieces. */
function frame(input: Uint8Array, piece: () => number): string {
  const framer = new Framer();
  const stream = new LineBuffer(encode("ip: "));
  let out = "";
  const empty = () => {
    out += latin1(framer.output());
    framer.taken(framer.size);
  };
  for (let at = 0; at < input.length;) {
    const n = Math.min(piece(), input.length - at, framer.input.length);
    framer.input.set(input.subarray(at, at + n));
    for (let taken = 0; taken < n;) {
      taken = framer.take(stream, taken, n);
      if (taken < n) empty();
    }
    if (framer.held > 200000) fail("too much is held", framer.held);
    at += n;
  }
  while (!framer.end(stream)) empty();
  empty();
  return out;
}

/** Lines as a client might send them, and as it might not. */
function wire(random: Random): Uint8Array {
  let text = "";
  for (let i = below(random, 40); i >= 0; i--) {
    const kind = random();
    if (kind < 0.5) {
      text += `<${
        pick(random, [
          `${below(random, 200)}`,
          "",
          "-1",
          "007",
          "13 ",
          "9".repeat(12),
          "1".repeat(300),
          "x",
          "<13",
        ])
      }${pick(random, [">", "", ">>"])}`;
    }
    text += latin1(bytes(random, below(random, 60)));
    text += pick(random, ["\n", "\n", "\0", "\n\n", "\n\0"]);
  }
  return fromLatin1(text);
}

const TRACE =
  /panicked|Uncaught|^\s+at .*:\d+|\.ts:\d|RUST_BACKTRACE|TypeError/m;

/** All of them. */
export const FUZZERS: readonly Fuzzer[] = [
  {
    name: "multilog's script",
    needs: [],
    once(random) {
      const args = words(random, 12);
      const { actions, warnings } = quickly(args, () => parseScript(args));
      // Two of a word, and one of the script as a whole.
      const most = 2 * args.length + 1;
      if (actions.length > args.length || warnings.length > most) {
        fail("more than there was", args);
      }
      for (const action of actions) {
        if (action.kind !== "log") continue;
        const { size, keep, age } = action.settings;
        const right = size >= SIZE_MIN && size <= SIZE_MAX &&
          keep >= KEEP_MIN && Number.isSafeInteger(keep) &&
          age >= 0 && Number.isSafeInteger(age);
        if (!right) fail("out of range", args);
      }
    },
  },
  {
    name: "patterns",
    needs: [],
    once(random) {
      const some = () =>
        Array.from(
          { length: below(random, 12) },
          () => pick(random, [..."aab: *"]),
        ).join("");
      const one = random() < 0.02 ? "*a".repeat(2000) : some();
      const text = random() < 0.02
        ? "a".repeat(1000)
        : some().replaceAll("*", random() < 0.5 ? "*" : "b");
      const line = encode(`xx${text}yy`);
      const ours = quickly(
        [one, text],
        () => matches(pattern(one), line, 2, line.length - 2),
      );
      if (ours !== matchesPlainly(one, text)) fail("no match", [one, text]);
    },
  },
  {
    name: "options of tryto and socklog-tcp",
    needs: [],
    once(random) {
      const args = words(random, 10);
      const name = pick(random, ["socklog-tcp", "tcpserver", "tcpclient", ""]);
      for (
        const parse of [
          () => parseTryto(args),
          () => parseArguments(args, name),
        ]
      ) {
        try {
          quickly<unknown>(args, parse);
        } catch (error) {
          if (!(error instanceof UsageError)) fail(`${error}`, args);
        }
      }
    },
  },
  {
    name: "lines and priorities, in any pieces",
    needs: [],
    once(random) {
      const input = random() < 0.05 ? bytes(random, 200000) : wire(random);
      const whole = quickly(latin1(input), () => frame(input, () => Infinity));
      const pieces = frame(input, () => 1 + below(random, 30));
      if (whole !== pieces) fail("depends on the pieces", latin1(input));
      for (const line of whole.split("\n").slice(0, -1)) {
        if (!line.startsWith("ip: ")) fail("no prefix", [line, latin1(input)]);
      }
      if (!/^(|[^]*\n)$/.test(whole)) fail("no end", latin1(input));
    },
  },
  {
    name: "priorities beside socklog's",
    needs: ["socklog"],
    async once(random, at) {
      // What it reads at once is 1024 bytes, and a priority that comes in two
      // pieces is none for it; that isn't what is compared here.
      const input = latin1(wire(random)).replace(/[^\x20-\x7e\n]/g, "?")
        .slice(0, 1000).replace(/\n?$/, "\n");
      const { stderr } = await run([installed("socklog")!, "ucspi", "WHO"], {
        cwd: at.path,
        stdin: input,
        env: { WHO: "ip" },
      });
      const theirs = stderr.split("\n").filter((line) =>
        !/^(listening|socklog)/.test(line)
      ).join("\n");
      const mine = frame(fromLatin1(input), () => Infinity);
      if (mine === theirs) return;
      const ours = mine.split("\n");
      const other = theirs.split("\n");
      const i = ours.findIndex((line, i) => line !== other[i]);
      fail("ours, theirs, input", [ours[i], other[i], input]);
    },
  },
  {
    name: "cdb files",
    needs: [],
    once(random) {
      const records = Array.from(
        { length: below(random, 30) },
        (_, i): [Uint8Array, Uint8Array] => [
          encode(pick(random, ["10.0.", "=.a", "", `k${i}`]) + i),
          encode(pick(random, ["", "D", "+A=b\0", "D+X=\0+", "+=", "junk"])),
        ],
      );
      const good = makeCdb(records);
      for (const [key, data] of records) {
        const found = find(good, key);
        if (!found || latin1(found) !== latin1(data)) {
          fail("not found", records.map(([key]) => latin1(key)));
        }
      }
      let bad = good.slice();
      for (let i = below(random, 20); i >= 0; i--) {
        bad[below(random, bad.length)] = below(random, 256);
      }
      if (random() < 0.5) bad = bad.slice(0, below(random, bad.length));
      if (random() < 0.1) bad = bytes(random, below(random, 5000));
      for (const [key] of [...records, [encode("none")] as const]) {
        try {
          quickly([...bad.subarray(0, 100)], () => find(bad, key));
          judge(bad, { ip: latin1(key), host: undefined, info: undefined });
        } catch (error) {
          if (!(error instanceof CdbError)) fail(`${error}`, latin1(bad));
        }
      }
    },
  },
  {
    name: "acknowledgements",
    needs: [],
    once(random) {
      const sent = below(random, 1e6);
      const text = pick(random, [
        `${sent}`,
        `${sent}\n\n`,
        `${sent}\n0`,
        ` ${sent}\n`,
        `0${sent}\n`,
        `+${sent}\n`,
        `${sent}.0\n`,
        `${sent + 1}\n`,
        "",
        latin1(bytes(random, below(random, 40))),
      ]);
      if (complaint(`${sent}\n`, sent) !== undefined) fail("right", sent);
      const said = complaint(text, sent);
      if (said === undefined || said.length > 200) fail("accepted", text);
    },
  },
  {
    name: "acknowledgements, by a server that says anything",
    needs: [],
    async once(random, at) {
      const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
      const { port } = listener.addr as Deno.NetAddr;
      const junk = bytes(random, pick(random, [0, 1, 31, 32, 33, 100000]));
      const serving = (async () => {
        const connection = await listener.accept();
        try {
          if (random() < 0.7) await connection.write(junk);
          const buffer = new Uint8Array(65536);
          if (random() < 0.7) {
            while (await connection.read(buffer) !== null);
          }
          await connection.write(junk);
        } catch {
          // It has gone.
        }
        connection.close();
      })();
      try {
        const { code, stderr } = await run(
          [
            "timeout",
            "20",
            ours.socklogTcp,
            "send",
            "-a",
            "127.0.0.1",
            `${port}`,
          ],
          { cwd: at.path, stdin: "one\ntwo\n" },
        );
        await serving;
        if (code !== 111 || !/^socklog-tcp: fatal: .+\n$/.test(stderr)) {
          fail(`${code} ${stderr}`, latin1(junk));
        }
      } finally {
        listener.close();
      }
    },
  },
  {
    name: "all three with any words",
    needs: ["timeout"],
    async once(random, at) {
      const program = pick(random, Object.values(ours));
      const args = words(random, 6).map((word) =>
        // Nothing outside the folder, and no server that waits for ever.
        word.replace(/^\/+/, "./").replace(/^!.*/, "!cat").slice(0, 2000)
      ).filter((word) => !/^-x|^-u|^-g/.test(word));
      if (program !== ours.multilog) args.splice(below(random, 3), 0, "false");
      // Its input ends, and so does it, unless the disk stands still.
      const patience = program === ours.multilog ? "60" : "2";
      const { code, stderr, text } = await run(
        ["timeout", "-k", "5", patience, program, ...args],
        { cwd: at.path, stdin: bytes(random, below(random, 5000)) },
      );
      const input = [program, args, code, stderr];
      if (TRACE.test(stderr) || TRACE.test(text)) fail("a stack trace", input);
      // A server waits for connections, and tryto for the next try.
      const waits = program !== ours.multilog && code === 124;
      if (!waits && ![0, 1, 100, 111, 126, 127].includes(code)) {
        fail("an exit code that means nothing", input);
      }
    },
  },
];

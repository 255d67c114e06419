/**
 * Access rules that change while clients come.
 */
import { assertEquals } from "@std/assert";
import {
  folder,
  howMany,
  inParallel,
  installed,
  run,
  Running,
  sleep,
  testWith,
  until,
} from "../tools.ts";
import { startOurs, transmit } from "./servers.ts";

/** What a client found. */
interface Visit {
  /** Its line, and the rules that it has seen at its beginning. */
  readonly line: string;
  readonly allowed: boolean;
  /** Whether the rules were the same from its beginning to its end. */
  readonly settled: boolean;
}

/** The ways in which a file can be replaced by another. */
const WAYS = {
  "cp": "cp $from $to",
  "cp -p": "cp -p $from $to",
  "mv": "cp -p $from $from.new && mv -f $from.new $to",
  "in place": "cat $from 1<>$to",
};

/**
 * How often. Few changes would hit the moment in which a file is read, so
 * many clients come meanwhile.
 */
const CHANGES = howMany(60, 1000);
/** How many clients come at the same time. */
const CLIENTS = 6;
/** Before these changes so long a pause that the file counts as known. */
const PAUSES = [20, 21];
const PAUSE = 2500;

async function rulesAt(path: string, rules: string): Promise<void> {
  const made = await run([installed("tcprules")!, path, `${path}.tmp`], {
    stdin: rules,
  });
  assertEquals(made.code, 0);
  // Of the same size and time: nothing but its bytes tells it from the other.
  await Deno.utime(path, 1e9, 1e9);
}

/** Changes the rules again and again while clients come. */
async function replaceUnderLoad(way: string): Promise<void> {
  using work = folder();
  const at = (name: string) => `${work.path}/${name}`;
  // More than a page, in which reads and writes don't meet.
  const many = Array.from(
    { length: 500 },
    (_, i) => `10.0.${i >> 8}.${i & 255}:allow\n`,
  ).join("");
  await rulesAt(at("open"), `127.0.0.1:allow\n${many}:deny\n`);
  await rulesAt(at("shut"), `127.0.0.1:deny\n${many}:allow\n`);
  await run(["cp", "-p", at("open"), at("cdb")]);
  await using server = await startOurs(["-RHl0", "-x", at("cdb"), "@"]);
  let allowed = true;
  /** Goes up at the beginning and at the end of each change. */
  let edges = 0;
  let settledVisits = 0;
  let changing = true;
  const visits: Visit[] = [];
  const visit = async () => {
    while (changing) {
      const line = `${visits.length}`;
      const before = edges;
      const place = visits.push({ line, allowed, settled: false }) - 1;
      await transmit(server.port, `${line}\n`).catch(() => {});
      if (before !== edges || before % 2 > 0) continue;
      visits[place] = { ...visits[place]!, settled: true };
      settledVisits++;
    }
  };
  const change = async () => {
    try {
      for (let i = 0; i < CHANGES; i++) {
        if (PAUSES.includes(i)) await sleep(PAUSE);
        edges++;
        const { code, stderr } = await run(["sh", "-c", way], {
          env: { from: at(allowed ? "shut" : "open"), to: at("cdb") },
        });
        assertEquals([code, stderr], [0, ""]);
        allowed = !allowed;
        edges++;
        const seen = settledVisits;
        await until("clients have come", () => settledVisits > seen + 2);
      }
    } finally {
      changing = false;
    }
  };
  await Promise.all([change(), ...Array.from({ length: CLIENTS }, visit)]);
  await server.stop();
  const arrived = new Set(server.data.split("\n"));
  const wrong = visits.filter(({ line, allowed, settled }) =>
    settled && arrived.has(line) !== allowed
  );
  assertEquals(wrong, [], `${way}: ${visits.length} clients`);
}

testWith(
  ["tcprules", "cp", "mv"],
  `rules replaced under load, ${CHANGES} times each way: nobody gets in whom the rules of the moment deny`,
  async () => {
    await inParallel(Object.values(WAYS), replaceUnderLoad, 2);
  },
);

testWith(
  ["tcprules"],
  "while rules are written over without a pause, only clients that the old or the new rules admit get in",
  async () => {
    using work = folder();
    const at = (name: string) => `${work.path}/${name}`;
    const many = (net: number) =>
      Array.from(
        { length: 10_000 },
        (_, i) => `10.${net}.${i >> 8}.${i & 255}:allow\n`,
      ).join("");
    // A mixture has the address in neither of the two places.
    await rulesAt(at("one"), `127.0.0.1:deny\n${many(0)}:allow\n`);
    await rulesAt(at("two"), `${many(1)}127.0.0.1:deny\n:allow\n`);
    Deno.copyFileSync(at("one"), at("cdb"));
    await using server = await startOurs(["-RHl0", "-x", at("cdb"), "@"]);
    await using writer = new Running([Deno.execPath(), "eval"].concat(
      `const [one, two] = ["one", "two"].map((name) =>
        Deno.readFileSync(\`${work.path}/\${name}\`));
      const cdb = Deno.openSync("${at("cdb")}", { write: true });
      for (let i = 0; true; i++) {
        cdb.seekSync(0, Deno.SeekMode.Start);
        cdb.writeSync(i % 2 ? one : two);
        if (i === 0) console.log("it writes");
      }`,
    ));
    await writer.prints("it writes");
    await inParallel(
      Array.from({ length: 300 }),
      () => transmit(server.port, "in\n").catch(() => {}),
      6,
    );
    await server.stop();
    assertEquals(server.data, "");
  },
);

testWith(
  ["tcprules", "strace"],
  "rules that are written over while they are read are read again",
  async () => {
    using work = folder();
    const at = (name: string) => `${work.path}/${name}`;
    await rulesAt(at("old"), ":allow\n");
    await rulesAt(at("new"), "127.0.0.1:deny\n");
    Deno.copyFileSync(at("old"), at("cdb"));
    await using server = await startOurs(["-RHl0", "-x", at("cdb"), "@"], {
      through: ["strace", "-f", "-o", at("trace"), "-P", at("cdb"), "-e"]
        .concat("trace=read", "-e", "inject=read:delay_exit=1000000"),
    });
    const visiting = transmit(server.port, "in\n").catch(() => {});
    await until(
      "it is read",
      () => Deno.readTextFileSync(at("trace")).includes("read"),
    );
    Deno.copyFileSync(at("new"), at("cdb"));
    await visiting;
    await server.stop();
    assertEquals(server.data, "");
  },
);

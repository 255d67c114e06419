// Shows a log on its way from a service to a log server: while the server is
// there, while it is not, and when it is back. Then counts the lines.
//
//   deno task demo [--keep] [file]
import { parseArgs } from "@std/cli/parse-args";
import { fromLatin1 } from "../src/bytes.ts";
import { writeAll } from "../src/sys/write_all.ts";
import { close, pipe } from "../src/sys/descriptors.ts";
import { kill } from "../src/sys/process.ts";
import { signals } from "../src/sys/signals.ts";
import { freePort } from "../tests/programs.ts";
import { onEndingSignal } from "./clean_up.ts";
import { compileAll, CompileError } from "./compile.ts";
import {
  linesOf,
  listing,
  type LogFile,
  logFiles,
  logLines,
  Watch,
} from "./demo/logs.ts";
import { type Material, material } from "./demo/material.ts";
import { type Program, Supervisor } from "./demo/programs.ts";
import {
  bold,
  Clock,
  columns,
  dim,
  excerpt,
  green,
  part,
  red,
  say,
  wrapped,
  yellow,
} from "./demo/screen.ts";
import { connectionsOf, judge, type Verdict } from "./demo/verdict.ts";

const HOST = "127.0.0.1";
/** How many bytes make a file of the client big enough: see `s` in its script. */
const FILE = 2096;
/** How much the service writes in each part: two files, and some lines more. */
const PART = 2.5 * FILE;
/**
 * How many seconds in which nothing happens at all are the end of waiting:
 * more than multilog's pause after two failures.
 */
const PATIENCE = 12;
/** What the client says while the server is down, as is right. */
const EXPECTED =
  /^(socklog-tcp: unable to connect|tryto: (warning|fatal): child crashed|multilog: warning: processor failed)/;

const USAGE = "usage: deno task demo [--keep] [file of lines]";

/** Something that ends the demonstration before its end. */
class DemoError extends Error {}

/** Where everything is. */
interface Places {
  /** The folder that all of this is in. */
  readonly folder: string;
  /** The client's log. */
  readonly main: string;
  /** The server's log of everything. */
  readonly all: string;
  /** The server's log of this one client. */
  readonly host: string;
}

/** The run scripts, by their folders. */
function runScripts(port: number): Record<string, string> {
  return {
    "server": `\
exec 2>&1
exec socklog-tcp -a -vHR -l0 ${HOST} ${port} TCPREMOTEIP
`,
    "server/log": `\
exec multilog ./all '-*' '+${HOST}: *' ./${HOST}
`,
    "client/log": `\
exec multilog s4096 n20 \\
  '!tryto -v -n2 socklog-tcp send -a ${HOST} ${port}' ./main
`,
  };
}

function layOut(folder: string, scripts: Record<string, string>): Places {
  for (const [name, script] of Object.entries(scripts)) {
    Deno.mkdirSync(`${folder}/${name}`, { recursive: true });
    Deno.writeTextFileSync(`${folder}/${name}/run`, `#!/bin/sh\n${script}`);
  }
  const places = {
    folder,
    main: `${folder}/client/log/main`,
    all: `${folder}/server/log/all`,
    host: `${folder}/server/log/${HOST}`,
  };
  // multilog would make them. They are here so early to be watched.
  for (const path of [places.main, places.all, places.host]) {
    Deno.mkdirSync(path, { mode: 0o700 });
  }
  return places;
}

/** The demonstration, once everything is laid out. */
class Demonstration {
  readonly #places: Places;
  readonly #port: number;
  readonly #supervisor: Supervisor;
  readonly #clock = new Clock();
  readonly #watch: Watch;
  /** What the service has written so far. */
  readonly #input: string[] = [];
  /** The client's finished files that were told of. */
  readonly #told = new Set<string>();
  /** Those that were sent, while the server's word on them isn't there yet. */
  readonly #sent: string[] = [];
  /** Those that had to wait for the server. */
  readonly #waited = new Set<string>();
  /** Whether files that aren't sent have to wait. */
  #down = false;
  /** How many connections of the server's log were told of. */
  #connections = 0;
  /** How many of the client's messages were told of. */
  #messages = 0;
  /** How many of the tries to send the file in hand were told of. */
  #tries = 0;

  constructor(places: Places, port: number, supervisor: Supervisor) {
    this.#places = places;
    this.#port = port;
    this.#supervisor = supervisor;
    this.#watch = new Watch(places.folder, () => this.#look());
  }

  /** Ends all waiting. */
  close(): void {
    this.#watch[Symbol.dispose]();
  }

  async play({ lines }: Material): Promise<Verdict> {
    const third = Math.ceil(lines.length / 3);

    part(
      "1  The log server is up",
      "multilog finishes a file when it has about 2 KB (s4096; that is little, so",
      "that there is more to see), and tryto runs the sender. What the server has",
      "acknowledged (-a) leaves an empty file on the client.",
    );
    let server = await this.#startServer();
    const { reader, writer } = pipe();
    const client = this.#supervisor.start(
      `${this.#places.folder}/client/log`,
      [[0, reader]],
    );
    close(reader);
    this.#write(writer, lines.slice(0, third));
    await this.#settle();
    await this.#finish(client);
    this.#showOneLine();

    part(
      "2  The log server is down",
      "The service goes on writing, and is not kept waiting. tryto tries twice",
      "(-n2), a second apart; then multilog pauses. The files wait in a queue.",
    );
    await this.#stopServer(server);
    this.#down = true;
    this.#write(writer, lines.slice(third, 2 * third));
    await this.#untilPausing();
    this.#showQueue();

    part(
      "3  The log server is up again",
      "The service writes on. After its pause, multilog sends what waits, the",
      "oldest file first. Nobody has to do anything.",
    );
    server = await this.#startServer();
    this.#write(writer, lines.slice(2 * third));
    await this.#settle();
    this.#down = false;
    await this.#finish(client);
    close(writer);
    await this.#ends(client, "client/log");
    this.#tell("client", "input has ended: nothing is left to send");
    await this.#stopServer(server);

    const { host, all, main } = this.#places;
    const cut = this.#clientSays().filter((line) =>
      line.startsWith("socklog-tcp: ") && !EXPECTED.test(line)
    );
    return judge({
      input: this.#input,
      host: logLines(host),
      all: logLines(all),
      kept: logLines(main),
      waited: this.#waited.size,
      cut: cut.length,
      prefix: `${HOST}: `,
    });
  }

  seconds(): number {
    return this.#clock.seconds();
  }

  #tell(who: string, what: string): void {
    this.#clock.tell(who, what);
  }

  async #startServer(): Promise<{ program: Program; logger: Program }> {
    const { folder, all } = this.#places;
    const ready = () =>
      logLines(all).filter((line) => line === "socklog-tcp: status: 0/40")
        .length;
    const before = ready();
    const pair = this.#supervisor.startPair(`${folder}/server`);
    if (!await this.#watch.until(() => ready() > before, PATIENCE)) {
      throw new DemoError("the server doesn't listen");
    }
    this.#tell("server", `listens on ${HOST} port ${this.#port}`);
    return pair;
  }

  async #stopServer(
    pair: { program: Program; logger: Program },
  ): Promise<void> {
    kill(pair.program.pid, signals.SIGTERM);
    await this.#ends(pair.program, "server");
    // The end of the one is the end of the other's input.
    await this.#ends(pair.logger, "server/log");
    this.#tell("server", "TERM: writes what it has read, and is gone");
  }

  async #ends({ ended }: Program, name: string): Promise<void> {
    const late = Promise.withResolvers<undefined>();
    const timer = setTimeout(() => late.resolve(undefined), 1000 * PATIENCE);
    const ending = await Promise.race([ended, late.promise]);
    clearTimeout(timer);
    if (ending === undefined) throw new DemoError(`${name}/run doesn't end`);
    if (ending.code === 0) return;
    throw new DemoError(
      `${name}/run: ` +
        (ending.signal === undefined
          ? `exit code ${ending.code}`
          : `ended by signal ${ending.signal}`),
    );
  }

  /** Is the service: writes lines. */
  #write(writer: number, lines: readonly string[]): void {
    const bytes = fromLatin1(lines.join("\n") + "\n");
    this.#input.push(...lines);
    this.#tell(
      "service",
      `writes ${lines.length} lines (${bytes.length} bytes)`,
    );
    if (writeAll(writer, bytes) !== undefined) {
      throw new DemoError("client/log/run doesn't read");
    }
  }

  /** Makes the client finish the rest, and waits until that is sent. */
  async #finish({ pid }: Program): Promise<void> {
    this.#tell("client", "gets ALRM: what is in current is enough, too");
    kill(pid, signals.SIGALRM);
    const current = `${this.#places.main}/current`;
    // In this order: when `current` is empty, its lines are in an old file.
    await this.#until(() =>
      linesOf(current).length === 0 && this.#queue().length === 0 &&
      this.#settled()
    );
  }

  /** Waits until nothing waits, and the server has all but `current`. */
  async #settle(): Promise<void> {
    await this.#until(() => this.#settled());
  }

  #settled(): boolean {
    this.#look();
    return this.#queue().length === 0 && this.#sent.length === 0 &&
      this.#inFiles();
  }

  /** Waits until multilog has read all, and pauses, since it can't be sent. */
  async #untilPausing(): Promise<void> {
    await this.#until(() => {
      this.#look();
      return this.#inFiles() &&
        this.#clientSays().some((line) => line.startsWith("multilog: "));
    });
  }

  async #until(condition: () => boolean): Promise<void> {
    if (await this.#watch.until(condition, PATIENCE)) return;
    this.#tell("demo", red("nothing more happens, but lines are missing"));
  }

  /** Whether each line is on the server or in a file of the client. */
  #inFiles(): boolean {
    const { main, host } = this.#places;
    return logLines(host).length + logLines(main).length >= this.#input.length;
  }

  /** The client's files that are to be sent, from the oldest to the newest. */
  #queue(): LogFile[] {
    return logFiles(this.#places.main).filter(({ name }) =>
      name.endsWith(".u")
    );
  }

  /** What the client's programs have said. */
  #clientSays(): string[] {
    return linesOf(`${this.#places.folder}/client/log/messages`);
  }

  /** Tells what is new in the folders. */
  #look(): void {
    this.#lookForMessages();
    for (const { name, lines } of logFiles(this.#places.main)) {
      if (name === "current" || this.#told.has(name)) continue;
      if (lines.length === 0) {
        this.#told.add(name);
        if (name.endsWith(".s")) this.#sent.push(name);
      } else if (this.#down) {
        this.#told.add(name);
        this.#waited.add(name);
        const count = `${lines.length} lines`;
        this.#tell("client", `${name}  ${yellow("waits")}  ${count}`);
      }
    }
    const arrived = connectionsOf(logLines(this.#places.all), `${HOST}: `);
    while (this.#sent.length > 0 && this.#connections < arrived.ended) {
      const { length } = arrived.connections[this.#connections++]!;
      this.#tell(
        "client",
        `${this.#sent.shift()}  ${green("sent")}   ${length} lines`,
      );
    }
  }

  #lookForMessages(): void {
    const said = this.#clientSays();
    while (this.#messages < said.length) {
      const line = said[this.#messages++]!;
      const reason = line.split(": ").at(-1);
      if (line.startsWith("socklog-tcp: ")) {
        this.#tell("tryto", `try ${++this.#tries}: ${reason}`);
      } else if (line.startsWith("multilog: warning: processor failed")) {
        this.#tries = 0;
        this.#tell("multilog", `pauses; waiting: ${reason}`);
      }
    }
  }

  #showQueue(): void {
    const files = this.#queue();
    say();
    say(`  The queue, from the oldest to the newest: ${files.length} files`);
    say();
    const rows = files.map(({ name, lines }) => [name, lines.length]);
    for (const row of columns(rows, 4)) say(yellow(`${row} lines`));
    say();
    say("  What multilog and tryto say about it:");
    say();
    for (const line of this.#clientSays()) {
      for (const piece of wrapped(line, "    ")) say(yellow(piece));
    }
  }

  #showOneLine(): void {
    const [received] = logLines(this.#places.host);
    const [written] = this.#input;
    if (received === undefined || written === undefined) return;
    say();
    say("  The first line as the service wrote it, and as the server has it:");
    say();
    say(excerpt(written, "    "));
    say(excerpt(received, "    "));
  }
}

function introduce(scripts: Record<string, string>, { lines, from }: Material) {
  say(bold("Logferry: how a log gets to a log server, and what if it can't"));
  say(`
  client   service --> multilog --> files --> tryto --> socklog-tcp send
                                     ^          |              |
                                     +----------+              | TCP
                                    when it fails              v
  server                   files <-- multilog <-- socklog-tcp --'

  A service's lines first go to files on its own machine, the client.
  Each file that is big enough is sent to the server, as one connection.
  When that fails, the file waits there, and all that come after it, until
  the server is back. The service needn't know.`);
  part("The run scripts, as a supervisor has them");
  for (const [name, script] of Object.entries(scripts)) {
    say(`  ${bold(`${name}/run`)}`);
    for (const line of script.trimEnd().split("\n")) say(`    ${line}`);
  }
  say();
  say(`  The service has ${lines.length} lines to write. They are real ones:`);
  say(`  ${from}`);
}

async function showFiles({ main, all, host }: Places): Promise<void> {
  part(
    "What there is now",
    "-rwxr--r-- says that a file is complete, and is on the disk.",
  );
  const shown = {
    "client/log/main": main,
    "server/log/all": all,
    [`server/log/${HOST}`]: host,
  };
  for (const [title, path] of Object.entries(shown)) {
    const files = await listing(path);
    const rows = files.map(({ name, size, mode, isDirectory }) => {
      if (isDirectory) return [title, "", mode, ""];
      const old = name[0] === "@";
      return [`  ${name}`, size, mode, !old ? "" : size > 0 ? "waits" : "sent"];
    });
    // Wide enough for all, so that they stand in line.
    const [, ...lines] = columns([["@".padEnd(29), 99999, ""], ...rows]);
    lines.forEach((line, i) => say(i === 0 ? line : dim(line)));
  }
}

function showVerdict(verdict: Verdict, input: number): void {
  const { arrived, repeated, waited, lost, faults } = verdict;
  part("Where the lines are");
  const rows = columns([
    ["lines in", input, "what the service wrote"],
    ["lines on the server", arrived, "each counted once"],
    ["lines repeated", repeated, "by transmissions that were cut"],
    ["files that waited", waited, "while the server was down, and after"],
    ["lines lost", lost, ""],
  ]);
  const last = rows.pop()!;
  for (const row of rows) say(row);
  say((lost === 0 ? green : red)(last));
  say();
  if (faults.length === 0) {
    say(green("  Every line is on the server, in its order, byte for byte."));
  } else for (const fault of faults) say(red(`  wrong: ${fault}`));
}

/** What the programs have said where nobody listens otherwise. */
function showMessages(folder: string): void {
  for (const line of linesOf(`${folder}/server/log/all/current`)) {
    if (/^socklog-tcp: (fatal|warning): /.test(line)) say(red(`  ${line}`));
  }
  for (const name of ["server", "server/log", "client/log"]) {
    for (const line of linesOf(`${folder}/${name}/messages`)) {
      if (!EXPECTED.test(line)) say(red(excerpt(line, `  ${name}: `)));
    }
  }
}

/** Ends with a signal's exit code when one comes. */
function interruption(): { promise: Promise<never>; [Symbol.dispose](): void } {
  const { promise, reject } = Promise.withResolvers<never>();
  const stopListening = onEndingSignal((code) => {
    reject(new Interrupted(code));
  });
  return { promise, [Symbol.dispose]: stopListening };
}

/** A signal came. */
class Interrupted extends Error {
  readonly code: number;

  constructor(code: number) {
    super("interrupted");
    this.code = code;
  }
}

async function demonstrate(
  keep: boolean,
  file: string | undefined,
): Promise<boolean> {
  const text = await material(3 * PART, file).catch((error) => {
    throw new DemoError(`no lines from ${file}: ${error.message}`);
  });
  const port = freePort();
  const scripts = runScripts(port);
  const folder = Deno.makeTempDirSync({ prefix: "logferry-demo-" });
  const supervisor = new Supervisor(`${Deno.cwd()}/dist`);
  let demonstration: Demonstration | undefined;
  // Before anything runs that a signal now could leave behind.
  using interrupted = interruption();
  try {
    const places = layOut(folder, scripts);
    introduce(scripts, text);
    demonstration = new Demonstration(places, port, supervisor);
    const verdict = await Promise.race([
      demonstration.play(text),
      interrupted.promise,
    ]);
    await showFiles(places);
    showVerdict(verdict, text.lines.length);
    if (keep) say(`\n  The files are in ${folder}`);
    if (verdict.faults.length === 0) {
      say(
        dim(
          "\n  With machines of your own: scripts/deno task package, and then",
        ),
      );
      say(dim('  README.md, "In five minutes".'));
    }
    const paint = verdict.kept === 0 ? green : red;
    say(paint(`\nlines still on the client: ${verdict.kept}`));
    return verdict.faults.length === 0;
  } finally {
    demonstration?.close();
    await supervisor.close();
    showMessages(folder);
    if (!keep) Deno.removeSync(folder, { recursive: true });
  }
}

async function main(args: string[]): Promise<number> {
  try {
    const { _: [file], keep } = parseArgs(args, {
      boolean: ["keep"],
      string: ["_"],
      unknown(arg, key) {
        if (key === undefined) return;
        throw new DemoError(`unknown option: ${arg}\n${USAGE}`);
      },
    });
    const from = Deno.env.get("INIT_CWD") ?? Deno.cwd();
    const path = file === undefined || file.startsWith("/")
      ? file
      : `${from}/${file}`;
    await compileAll();
    say();
    return await demonstrate(keep, path) ? 0 : 1;
  } catch (error) {
    if (error instanceof Interrupted) return error.code;
    if (!(error instanceof DemoError || error instanceof CompileError)) {
      throw error;
    }
    console.error(`demo: ${error.message}`);
    return 1;
  }
}

if (import.meta.main) Deno.exit(await main(Deno.args));

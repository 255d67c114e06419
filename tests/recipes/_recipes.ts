/**
 * What the tests of the recipes share: the files that RECIPES.md and README.md
 * show, put where a test can run them, and everything that runs ended in the end.
 */
import { encode, latin1 } from "../../src/bytes.ts";
import { linesOf, logLines } from "../../scripts/demo/logs.ts";
import {
  folder,
  freePort,
  inCheckout,
  killAll,
  listening,
  type Process,
  processesNaming,
  processOf,
  until,
} from "../tools.ts";

/** The documents whose files are run. */
export const DOCUMENTS = ["README.md", "RECIPES.md"]
  .map((name) => Deno.readTextFileSync(inCheckout(name))).join("\n");

/**
 * The files that a section of the documents shows: a fenced block is the file
 * whose name is the last one in backquotes before it.
 *
 * @param heading The section's heading, without what leads it
 * @returns The files' texts by their names
 */
export function filesOf(heading: string): Map<string, string> {
  const sections = DOCUMENTS.split(/^#{2,3} (?=[A-Z])/m);
  const section = sections.find((text) => text.startsWith(`${heading}\n`));
  if (section === undefined) throw new Error(`nothing is called ${heading}`);
  const files = new Map<string, string>();
  const blocks = section.matchAll(/(.*?)^```\w*\n(.*?)^```$/gms);
  for (const [, before = "", text = ""] of blocks) {
    const name = [...before.matchAll(/`([^`]+)`/g)].at(-1)?.[1];
    if (name !== undefined) files.set(name, text);
  }
  return files;
}

/** A folder in which a recipe is tried, and the programs that run for it. */
export class Kitchen implements AsyncDisposable {
  /** The folder. */
  readonly path: string;
  readonly #folder = folder();
  readonly #children = new Map<string, Deno.ChildProcess[]>();

  constructor() {
    this.path = this.#folder.path;
    // What a service's user may do with it is not what is tried here.
    Deno.chmodSync(this.path, 0o755);
    for (const name of ["bin", "etc", "net"]) Deno.mkdirSync(this.at(name));
  }

  /** A path in the folder. */
  at(name: string): string {
    return `${this.path}/${name}`;
  }

  /**
   * Writes a recipe's file into the folder.
   *
   * @param name Where to
   * @param text Its text in the documents
   * @param instead What stands there for what in the text; it must be there
   */
  cook(
    name: string,
    text: string | undefined,
    instead: Record<string, string> = {},
  ): void {
    if (text === undefined) throw new Error(`nothing shows ${name}`);
    for (const [shown, used] of Object.entries(instead)) {
      if (!text.includes(shown)) {
        throw new Error(`nothing says ${shown} in ${name}: ${text}`);
      }
      text = text.replaceAll(shown, used);
    }
    const everywhere: [string, string][] = [
      ["setuidgid log ", ""],
      ["envuidgid log ", ""],
      ["chown log ", "chown $(id -u) "],
      ["-vUHR", "-vHR"],
      ["/usr/local/bin/", this.at("bin/")],
      ["/etc/logs", this.at("etc")],
      ["/var/log/net", this.at("net")],
      // Failing five times is as good as failing once, and takes longer.
      ["tryto -v", "tryto -n1 -v"],
      ["tryto -pv", "tryto -n1 -pv"],
    ];
    for (const [shown, used] of everywhere) text = text.replaceAll(shown, used);
    this.write(name, text, 0o755);
  }

  /** Writes a file into the folder. */
  write(name: string, text: string, mode = 0o644): void {
    const path = this.at(name);
    Deno.mkdirSync(path.replace(/\/[^/]*$/, ""), { recursive: true });
    Deno.writeTextFileSync(path, text);
    Deno.chmodSync(path, mode);
  }

  /** The environment that programs get here. */
  environment(name: string): Record<string, string> {
    const path = `${this.at("bin")}:${inCheckout("dist")}`;
    return {
      PATH: `${path}:${Deno.env.get("PATH")}:/usr/sbin:/sbin`,
      LOGFERRY_TEST: this.#mark(name),
    };
  }

  #mark(name: string): string {
    return `${this.path}/${name}/`;
  }

  /**
   * Starts a program.
   *
   * @param name Its name here, and the folder that it runs in
   * @param command The program and its arguments
   * @param more Its input, and variables
   * @returns The program; what it says is in the file `messages`
   */
  start(
    name: string,
    command: readonly string[],
    more: { stdin?: "piped"; env?: Record<string, string> } = {},
  ): Deno.ChildProcess {
    Deno.mkdirSync(this.at(name), { recursive: true });
    const child = new Deno.Command("sh", {
      args: ["-c", 'exec "$@" >>messages 2>&1', "sh", ...command],
      cwd: this.at(name),
      stdin: more.stdin ?? "null",
      env: { ...this.environment(name), ...more.env },
    }).spawn();
    this.#children.set(name, [...this.#children.get(name) ?? [], child]);
    return child;
  }

  /**
   * Starts the service in a folder, its output going to the service in `log`.
   *
   * @param name The folder's name
   * @param port The port at which it will listen
   */
  async serve(name: string, port: number): Promise<void> {
    this.start(name, ["sh", "-c", "sh ./run | { cd log; exec sh ./run; }"]);
    await listening(port);
  }

  /** Ends what {@linkcode start} or {@linkcode serve} started, all of it. */
  async stop(name: string): Promise<void> {
    killAll(this.#left(name), "SIGTERM");
    try {
      await until(`the end of ${name}`, () => !this.#left(name).length, 10);
    } finally {
      killAll(this.#left(name));
    }
    await this.#reap(name);
  }

  /** Kills what {@linkcode start} started, all of it. */
  async kill(name: string): Promise<void> {
    killAll(this.#left(name));
    await until(`the end of ${name}`, () => !this.#left(name).length);
    await this.#reap(name);
  }

  #left(name: string): Process[] {
    const children = this.#children.get(name) ?? [];
    return [
      ...processesNaming(this.#mark(name)),
      ...children.flatMap(({ pid }) => processOf(pid) ?? []),
    ];
  }

  async #reap(name: string): Promise<void> {
    for (const child of this.#children.get(name) ?? []) await child.status;
    this.#children.delete(name);
  }

  /** What a program said. */
  messages(name: string): string {
    return linesOf(this.at(`${name}/messages`)).join("\n");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      // What was started last may stand on what was started first.
      const names = [...this.#children.keys()].reverse();
      for (const name of names) await this.kill(name);
      const left = processesNaming(this.path);
      killAll(left);
      if (left.length > 0) {
        throw new Error(`left running: ${left[0]!.words.join(" ")}`);
      }
    } finally {
      this.#folder[Symbol.dispose]();
    }
  }
}

/** The log server that most recipes end in, with all that comes in one log. */
export class LogServer {
  readonly port = freePort();
  readonly #kitchen: Kitchen;

  constructor(kitchen: Kitchen) {
    this.#kitchen = kitchen;
    const files = filesOf("Run scripts");
    kitchen.cook("socklog-tcp/run", files.get("socklog-tcp/run"), {
      " 0 10116 ": ` 127.0.0.1 ${this.port} `,
    });
    kitchen.cook("socklog-tcp/log/run", files.get("socklog-tcp/log/run"));
  }

  async start(): Promise<void> {
    await this.#kitchen.serve("socklog-tcp", this.port);
  }

  async stop(): Promise<void> {
    await this.#kitchen.stop("socklog-tcp");
  }

  /** The lines that have arrived, as they are in its log. */
  lines(): string[] {
    return sent(logLines(this.#kitchen.at("net/all")));
  }
}

/** Leaves out what a log server says itself. */
export function sent(lines: string[]): string[] {
  return lines.filter((line) => !/^(socklog-tcp|multilog): /.test(line));
}

/** A client: the `log/run` of a recipe, and what is written to it. */
export class Client {
  readonly #kitchen: Kitchen;
  readonly #multilog: Deno.ChildProcess;
  readonly #input: WritableStreamDefaultWriter<Uint8Array>;

  /**
   * Starts it.
   *
   * @param kitchen Where `client/run` is
   */
  constructor(kitchen: Kitchen) {
    this.#kitchen = kitchen;
    this.#multilog = kitchen.start("client", ["sh", "./run"], {
      stdin: "piped",
    });
    this.#input = this.#multilog.stdin.getWriter();
  }

  /** Writes lines, and has them sent. */
  async begin(text: string): Promise<void> {
    const bytes = encode(text);
    await this.#input.write(bytes);
    await until("the lines in current", () => {
      // Whether they have timestamps is the recipe's choice.
      return this.#read("current").replace(/^@[0-9a-f]{24} /gm, "")
        .endsWith(latin1(bytes));
    });
    this.#multilog.kill("SIGALRM");
  }

  /** Waits until nothing is left on the client; ALRM ends its pauses. */
  async delivered(seconds = 120): Promise<void> {
    let next = performance.now() + 1000;
    await until("the delivery", () => {
      if (performance.now() > next) {
        this.#multilog.kill("SIGALRM");
        next = performance.now() + 1000;
      }
      return this.waiting() === "";
    }, seconds);
  }

  /** Writes lines, and waits until they are delivered. */
  async send(text: string, seconds = 120): Promise<void> {
    await this.begin(text);
    await this.delivered(seconds);
  }

  /** Writes lines, and waits until they couldn't be delivered. */
  async sendInVain(text: string, seconds = 120): Promise<void> {
    const failures = () =>
      [...this.#kitchen.messages("client").matchAll(/^tryto: fatal: /gm)]
        .length;
    const before = failures();
    await this.begin(text);
    await until("a failure", () => failures() > before, seconds);
  }

  /** The lines that aren't delivered, in their order. */
  waiting(): string {
    // In the order in which a file changes its name, so that none is missed.
    const current = this.#read("current");
    const previous = this.#read("previous");
    const old = [...Deno.readDirSync(this.#kitchen.at("client/main"))]
      .map(({ name }) => name).filter((name) => name.startsWith("@")).sort();
    return old.map((name) => this.#read(name)).join("") + previous + current;
  }

  #read(name: string): string {
    try {
      const path = this.#kitchen.at(`client/main/${name}`);
      return latin1(Deno.readFileSync(path));
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
      return "";
    }
  }

  /** Ends it as a supervisor does. */
  async stop(): Promise<void> {
    await this.#input.close();
    const { code } = await this.#multilog.status;
    if (code !== 0) throw new Error(`multilog: exit ${code}`);
  }
}

/** Lines with a word of their own, each different. */
export function lines(word: string, count = 100): string[] {
  return Array.from({ length: count }, (_, i) => `${word} ${i}`);
}

/** Lines as a log. */
export function text(lines: readonly string[]): string {
  return lines.map((line) => `${line}\n`).join("");
}

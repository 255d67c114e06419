/**
 * The programs that tests start, and what they look up about processes: one
 * that runs to its end ({@linkcode run}), one that is talked to while it runs
 * ({@linkcode Running}), and those that a test's programs have started
 * ({@linkcode processesIn}, {@linkcode processesNaming}).
 *
 * @module
 */
import { type Bytes, encode, latin1 } from "../src/bytes.ts";
import { close } from "../src/sys/descriptors.ts";
import { open } from "../src/sys/files.ts";
import { spawn } from "../src/sys/process.ts";
import { sleep, soon, until } from "./waiting.ts";

/** How to start a program. */
export interface StartOptions {
  /** Its working directory. */
  cwd?: string;
  /** Variables added to its environment. */
  env?: Record<string, string>;
  /** Whether it gets only those variables. */
  clearEnv?: boolean;
  /**
   * Where its descriptors lead, in a shell's words: `"<log 4<state 5>newstate"`.
   * What isn't named there stays as it would be.
   */
  redirections?: string;
}

/** How to run a program to its end. */
export interface RunOptions extends StartOptions {
  /** Its standard input, which is empty otherwise; text goes as UTF-8. */
  stdin?: string | Uint8Array;
  /** Seconds after which SIGKILL ends it; its code is then 137. */
  patience?: number;
  /** Called with its process id once it has been started. */
  meanwhile?: (pid: number) => Promise<void>;
}

/** What a program did. */
export interface Outcome {
  /** Its exit code; 128 and the signal's number when a signal ended it. */
  code: number;
  /** Its standard output. */
  stdout: Uint8Array;
  /** Its standard error, as text. */
  stderr: string;
  /** Its standard output, as text, a character for each byte. */
  text: string;
}

function command(
  words: readonly string[],
  { redirections, ...options }: StartOptions,
  streams: Deno.CommandOptions,
): Deno.Command {
  const [program, ...args] = redirections
    ? ["sh", "-c", `exec "$@" ${redirections}`, "sh", ...words]
    : words;
  return new Deno.Command(program!, { args, ...streams, ...options });
}

/**
 * Runs a program to its end.
 *
 * @param words Its path, or its name in `$PATH`, and its arguments
 * @param options How
 * @returns What it did
 */
export async function run(
  words: readonly string[],
  options: RunOptions = {},
): Promise<Outcome> {
  const { stdin, patience, meanwhile, ...how } = options;
  const child = command(words, how, {
    stdin: stdin === undefined ? "null" : "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const timer = patience === undefined
    ? undefined
    : setTimeout(() => child.kill("SIGKILL"), patience * 1000);
  const feeding = stdin === undefined ? undefined : feed(child.stdin, stdin);
  const done = child.output();
  await meanwhile?.(child.pid);
  const { code, stdout, stderr } = await done;
  clearTimeout(timer);
  await feeding;
  return {
    code,
    stdout,
    stderr: new TextDecoder().decode(stderr),
    text: latin1(stdout),
  };
}

async function feed(
  stdin: WritableStream<Uint8Array>,
  input: string | Uint8Array,
): Promise<void> {
  const writer = stdin.getWriter();
  try {
    await writer.write(bytes(input));
    await writer.close();
  } catch {
    // It ended without reading all: its exit code tells.
  }
}

/**
 * The bytes of a text.
 *
 * @param text The text, or bytes already
 * @returns Its bytes in UTF-8
 */
export function bytes(text: string | Uint8Array): Bytes {
  return typeof text === "string" ? encode(text) : text as Bytes;
}

/** How to start a program that is talked to while it runs. */
export interface RunningOptions extends StartOptions {
  /** What is at the other end of its standard input: the test, or nothing. */
  stdin?: "piped" | "null";
  /** Whether its standard output is read, or thrown away. */
  stdout?: "piped" | "null";
}

/** A program that is running; it is killed when its scope ends. */
export class Running implements AsyncDisposable {
  /** Its process id; with strace, strace's. */
  readonly pid: number;
  readonly #child: Deno.ChildProcess;
  readonly #traced: boolean;
  readonly #input: WritableStreamDefaultWriter<Uint8Array> | undefined;
  readonly #output: Collector | undefined;
  readonly #errors: Collector;

  /**
   * Starts it.
   *
   * @param words Its path, or its name in `$PATH`, and its arguments
   * @param options How
   */
  constructor(words: readonly string[], options: RunningOptions = {}) {
    const { stdin = "null", stdout = "piped", ...how } = options;
    this.#traced = words[0] === "strace";
    this.#child = command(words, how, { stdin, stdout, stderr: "piped" })
      .spawn();
    this.pid = this.#child.pid;
    this.#input = stdin === "piped" ? this.#child.stdin.getWriter() : undefined;
    this.#output = stdout === "piped"
      ? new Collector(this.#child.stdout)
      : undefined;
    this.#errors = new Collector(this.#child.stderr);
  }

  /** What it has written to standard output so far, a character for a byte. */
  get output(): string {
    return this.#output?.text ?? "";
  }

  /** What it has written to standard error so far, a character for a byte. */
  get said(): string {
    return this.#errors.text;
  }

  /** How it ended, once it has. */
  get status(): Promise<Deno.CommandStatus> {
    return this.#child.status;
  }

  /** Whether its output is read on; it is from the start. */
  set reading(on: boolean) {
    this.#output?.read(on);
  }

  /** Closes the pipe that its output goes to. */
  async closeOutput(): Promise<void> {
    await this.#output?.cancel();
  }

  /** Writes to its standard input. */
  async write(text: string | Uint8Array): Promise<void> {
    await soon("it reads what is written", this.#input!.write(bytes(text)));
  }

  /** Ends its standard input. */
  async end(): Promise<void> {
    await this.#input!.close();
  }

  /** Sends it a signal; with strace, what is traced gets it. */
  signal(name: Deno.Signal): void {
    if (!this.#traced) return this.#child.kill(name);
    // strace ends with what it traces, and with its exit code.
    for (const child of childrenOf(this.pid)) Deno.kill(child, name);
  }

  /** Waits until it has ended and all that it wrote is read; its exit code. */
  async code(): Promise<number> {
    const { code } = await soon("it ends", this.#child.status);
    this.reading = true;
    await soon("its standard output ends", this.#output?.done ?? ended);
    await soon("its standard error ends", this.#errors.done);
    return code;
  }

  /** Ends its input, and waits until it has ended. */
  async finish(): Promise<number> {
    await this.end();
    return await this.code();
  }

  /** Ends it with SIGTERM, unless it has ended by itself; its exit code. */
  async stop(): Promise<number> {
    try {
      this.signal("SIGTERM");
    } catch {
      // It has ended by itself.
    }
    return await this.code();
  }

  /** Waits until it has written something to its standard output. */
  async prints(what: string): Promise<void> {
    await until(
      `${JSON.stringify(what)} is printed; it said ${this.said}`,
      () => this.output.includes(what),
    );
  }

  /** Waits until it has written something to its standard error. */
  async says(what: string, times = 1): Promise<void> {
    await until(
      `${JSON.stringify(what)} ${times} times; it said ${this.said}`,
      () => this.said.split(what).length > times,
    );
  }

  /**
   * Sends a signal to one that is waiting, and waits until it has been noticed:
   * until it has woken up and waits again, or has ended.
   */
  async notices(name: Deno.Signal): Promise<void> {
    const before = wakeUps(this.pid);
    this.signal(name);
    await until("a signal is noticed", () => wakeUps(this.pid) > before);
    await this.waits();
  }

  /** Waits until it waits itself, or has ended. */
  async waits(): Promise<void> {
    let before;
    do {
      before = wakeUps(this.pid);
      await sleep(20);
    } while (wakeUps(this.pid) > before || isBusy(this.pid));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.signal("SIGKILL");
    } catch {
      // It has ended.
    }
    await this.#child.status;
    // What it has started may go on holding these.
    this.reading = true;
    await this.#output?.cancel();
    await this.#errors.cancel();
    try {
      await this.#input?.abort();
    } catch {
      // Closed before, or nobody there to read.
    }
  }
}

/**
 * Starts a program as a supervisor does: in its folder, in a session of its
 * own, so that whatever it starts can be ended with it. What it writes to its
 * standard output and error goes to a file `messages` there.
 *
 * @param words Its path, or its name in `$PATH`, and its arguments
 * @param folder The folder
 * @param env Its environment
 * @param fds Which of its descriptors is which of ours instead
 * @returns Its process id
 */
export function startService(
  words: readonly string[],
  folder: string,
  env: Record<string, string>,
  fds: Iterable<readonly [theirs: number, ours: number]>,
): number {
  const directory = open(folder, "read");
  const nothing = open("/dev/null", "overwrite");
  const messages = open(`${folder}/messages`, "append", 0o600);
  try {
    return spawn({
      args: words,
      env: Object.entries(env).map(([name, value]) => `${name}=${value}`),
      fds: new Map([[0, nothing], [1, messages], [2, messages], ...fds]),
      directory,
      session: true,
    });
  } finally {
    for (const fd of [directory, nothing, messages]) close(fd);
  }
}

const ended = Promise.resolve();

/** What comes out of a pipe. */
class Collector {
  text = "";
  /** Fulfilled when the pipe has ended. */
  readonly done: Promise<void>;
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  #going = Promise.withResolvers<void>();

  constructor(stream: ReadableStream<Uint8Array>) {
    this.#reader = stream.getReader();
    this.#going.resolve();
    this.done = this.#collect();
  }

  async #collect(): Promise<void> {
    while (true) {
      await this.#going.promise;
      const { value, done } = await this.#reader.read();
      if (done) return;
      this.text += latin1(value);
    }
  }

  read(on: boolean): void {
    if (on) this.#going.resolve();
    else this.#going = Promise.withResolvers();
  }

  async cancel(): Promise<void> {
    await this.#reader.cancel();
    this.read(true);
    await this.done;
  }
}

/**
 * How often a process has waited for something so far, in all its threads.
 *
 * @param pid Its process id
 * @returns How often; infinitely often once it has ended
 */
export function wakeUps(pid: number): number {
  let sum = 0;
  try {
    for (const { name } of Deno.readDirSync(`/proc/${pid}/task`)) {
      const status = Deno.readTextFileSync(`/proc/${pid}/task/${name}/status`);
      sum += Number(/^voluntary_ctxt_switches:\s*(\d+)$/m.exec(status)![1]);
    }
  } catch (error) {
    // A process that has ended, and nobody has waited for, can't be read.
    if (!(error instanceof Error)) throw error;
    return Infinity;
  }
  return sum === 0 ? Infinity : sum;
}

/**
 * Whether a process is at work, or wants to be, or waits for the disk; for what
 * has to wait for a processor of this machine no wake-ups are counted.
 *
 * @param pid Its process id
 * @returns Whether one of its threads is; not once it has ended
 */
export function isBusy(pid: number): boolean {
  try {
    return [...Deno.readDirSync(`/proc/${pid}/task`)].some(({ name }) =>
      /^State:\s*[RDt]/m.test(
        Deno.readTextFileSync(`/proc/${pid}/task/${name}/status`),
      )
    );
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    return false;
  }
}

/**
 * How much memory a process has had at the most.
 *
 * @param pid Its process id
 * @returns How much, in MB
 */
export function peakMemory(pid: number): number {
  const status = Deno.readTextFileSync(`/proc/${pid}/status`);
  return Number(/^VmHWM:\s+(\d+)/m.exec(status)![1]) / 1024;
}

/**
 * The children of a process: of strace, for example, what it traces.
 *
 * @param pid The process
 * @returns Their process ids; none when it is gone
 */
export function childrenOf(pid: number): number[] {
  try {
    return Deno.readTextFileSync(`/proc/${pid}/task/${pid}/children`)
      .match(/\d+/g)?.map(Number) ?? [];
  } catch {
    return [];
  }
}

/** A process, as `/proc` shows it. */
export interface Process {
  pid: number;
  parent: number;
  /** What it runs, as the kernel names it. */
  name: string;
  /** Its path and arguments. */
  words: string[];
}

/**
 * A process that may be there.
 *
 * @param pid Its process id
 * @returns The process; none when it has ended, or is a zombie
 */
export function processOf(pid: number): Process | undefined {
  try {
    const stat = latin1(Deno.readFileSync(`/proc/${pid}/stat`));
    const [, name, state, parent] = /^\d+ \((.*)\) (\w) (\d+)/s.exec(stat)!;
    if (state === "Z" || state === "X") return undefined;
    const words = latin1(Deno.readFileSync(`/proc/${pid}/cmdline`));
    return {
      pid,
      parent: Number(parent),
      name: name!,
      words: words.split("\0"),
    };
  } catch {
    // It has gone.
    return undefined;
  }
}

/**
 * Whether a process is there and no zombie.
 *
 * @param pid Its process id
 */
export function runs(pid: number): boolean {
  return processOf(pid) !== undefined;
}

function processesThat(match: (path: string) => boolean): Process[] {
  return [...Deno.readDirSync("/proc")].flatMap(({ name }) => {
    if (!/^\d+$/.test(name)) return [];
    try {
      if (!match(`/proc/${name}`)) return [];
    } catch {
      // It has gone, or it is somebody else's.
      return [];
    }
    return processOf(Number(name)) ?? [];
  });
}

/**
 * The processes that work in a folder.
 *
 * @param folder The folder, without symbolic links
 * @returns The processes
 */
export function processesIn(folder: string): Process[] {
  return processesThat((path) =>
    `${Deno.readLinkSync(`${path}/cwd`)}/`.startsWith(`${folder}/`)
  );
}

/**
 * The processes that have something in their environment or among their words:
 * a mark that a test gives to all that it starts.
 *
 * @param mark What
 * @returns The processes
 */
export function processesNaming(mark: string): Process[] {
  return processesThat((path) =>
    ["environ", "cmdline"].some((file) =>
      latin1(Deno.readFileSync(`${path}/${file}`)).includes(mark)
    )
  );
}

/**
 * Kills processes; one that has ended meanwhile is none.
 *
 * @param processes The processes
 * @param signal Another signal than SIGKILL
 */
export function killAll(
  processes: readonly { pid: number }[],
  signal: Deno.Signal = "SIGKILL",
): void {
  for (const { pid } of processes) {
    try {
      Deno.kill(pid, signal);
    } catch {
      // It has gone.
    }
  }
}

/**
 * A port that nobody listens on, below those that outgoing connections get:
 * one to such a port, while nobody listens there, may connect to itself.
 *
 * @returns The port
 */
export function freePort(): number {
  while (true) {
    const port = 10117 + Math.floor(Math.random() * 20000);
    try {
      Deno.listen({ hostname: "127.0.0.1", port }).close();
      return port;
    } catch (error) {
      if (!(error instanceof Deno.errors.AddrInUse)) throw error;
    }
  }
}

/**
 * Whether something listens at a port of this machine, over IPv4. It is looked
 * up, not tried: a connection would be a log for some of them.
 *
 * @param port The port
 */
export function listensAt(port: number): boolean {
  const local = `:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  return ["0100007F", "00000000"].some((address) =>
    Deno.readTextFileSync("/proc/net/tcp")
      .includes(` ${address}${local} 00000000:0000 0A `)
  );
}

/**
 * Waits until something listens at a port of this machine.
 *
 * @param port The port
 * @param seconds How long at the most
 */
export async function listening(port: number, seconds = 20): Promise<void> {
  await until(`a listener at ${port}`, () => listensAt(port), seconds);
}

/**
 * What is put before a command for which the machine's file of hosts is to be
 * another one; only root may, with `unshare`.
 *
 * @param at A folder, where the file is made
 * @param hosts What is in it
 * @returns The words
 */
export function withHosts(at: string, hosts: string): string[] {
  const file = `${at}/hosts`;
  Deno.writeTextFileSync(file, hosts);
  return ["unshare", "-m", "sh", "-c"]
    .concat('mount --bind "$0" /etc/hosts; exec "$@"', file);
}

/** Before a command, they run it as nobody; for root, with `setpriv`. */
export const AS_NOBODY: readonly string[] = [
  "setpriv",
  "--reuid=65534",
  "--regid=65534",
  "--clear-groups",
];

/**
 * What the tests of multilog share: one that is running, and looking at the
 * directories that it leaves.
 *
 * @module
 */
import { assert } from "@std/assert";
import { bytes, childrenOf, latin1, ours, until } from "../tools.ts";

/** The program that ours is held to. */
export const ORIGINAL = "multilog";

/** How to start a multilog. */
export interface StartOptions {
  /** Its working directory. */
  cwd: string;
  /** The program; ours unless given. */
  program?: string;
  /** Words in front of the program, to start it through another one. */
  under?: readonly string[];
  /** A fifo for its standard input, relative to `cwd`; a pipe unless given. */
  fifo?: string;
}

/** Waits for something that must happen before long: no test hangs. */
async function soon<T>(what: string, promise: Promise<T>): Promise<T> {
  let timer: number | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new Error(`never happened: ${what}`)),
      300_000,
    );
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** A multilog that is running; it is killed when its scope ends. */
export class Running implements AsyncDisposable {
  /** Its process id. */
  readonly pid: number;
  /** What it has said on standard error so far. */
  said = "";
  readonly #child: Deno.ChildProcess;
  readonly #traced: boolean;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array> | undefined;
  readonly #errors: ReadableStreamDefaultReader<Uint8Array>;
  readonly #listening: Promise<void>;

  constructor(script: readonly string[], options: StartOptions) {
    const { cwd, program = ours.multilog, under = [], fifo } = options;
    const command = [...under, program, ...script];
    this.#traced = under[0] === "strace";
    if (fifo !== undefined) {
      command.unshift("sh", "-c", `exec "$@" <${fifo}`, "sh");
    }
    this.#child = new Deno.Command(command[0]!, {
      args: command.slice(1),
      cwd,
      stdin: fifo === undefined ? "piped" : "null",
      stdout: "null",
      stderr: "piped",
    }).spawn();
    this.pid = this.#child.pid;
    this.#writer = fifo === undefined
      ? this.#child.stdin.getWriter()
      : undefined;
    this.#errors = this.#child.stderr.getReader();
    this.#listening = this.#listen();
  }

  async #listen(): Promise<void> {
    const decoder = new TextDecoder();
    while (true) {
      const { value, done } = await this.#errors.read();
      if (done) return;
      this.said += decoder.decode(value, { stream: true });
    }
  }

  /** Writes to its standard input. */
  async write(text: string | Uint8Array): Promise<void> {
    const writing = this.#writer!.write(bytes(text));
    await soon("it reads what is written", writing);
  }

  /** Ends its standard input. */
  async end(): Promise<void> {
    await this.#writer!.close();
  }

  /** Sends it a signal. */
  signal(name: Deno.Signal): void {
    if (!this.#traced) return this.#child.kill(name);
    // strace ends with what it traces, and with its exit code.
    for (const child of childrenOf(this.pid)) Deno.kill(child, name);
  }

  /** Waits until it has ended; its exit code. */
  async code(): Promise<number> {
    const { code } = await soon("it ends", this.#child.status);
    await soon("its standard error ends", this.#listening);
    return code;
  }

  /** Ends its input, and waits until it has ended. */
  async finish(): Promise<number> {
    await this.end();
    return await this.code();
  }

  /** Waits until it has said something. */
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
    let before = wakeUps(this.pid);
    this.signal(name);
    await until("a signal is noticed", () => wakeUps(this.pid) > before);
    do {
      before = wakeUps(this.pid);
      await new Promise((resolve) => setTimeout(resolve, 20));
    } while (wakeUps(this.pid) > before || isBusy(this.pid));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.signal("SIGKILL");
    } catch {
      // It has ended.
    }
    await this.#child.status;
    // A processor that it left behind may go on holding its standard error.
    await this.#errors.cancel();
    await this.#listening;
    try {
      await this.#writer?.abort();
    } catch {
      // Closed before, or nobody there to read.
    }
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
 * Starts a multilog, and waits until it is ready to read.
 *
 * @param script Its script; the last word is a directory
 * @param options How
 * @returns The running program
 */
export async function start(
  script: readonly string[],
  options: StartOptions,
): Promise<Running> {
  const running = new Running(script, options);
  const current = `${options.cwd}/${script.at(-1)!}/current`;
  try {
    await until(`${current} is open; it said ${running.said}`, () => {
      return mode(current) === "644";
    });
  } catch (error) {
    await running[Symbol.asyncDispose]();
    throw error;
  }
  return running;
}

/** One file of a log directory. */
export interface Entry {
  /** Its permission bits, in octal. */
  mode: string;
  /** Its bytes, a character for each. */
  text: string;
}

/**
 * Looks at all files of a directory.
 *
 * @param path The directory
 * @returns Its files, in the order of their names
 */
export function look(path: string): Record<string, Entry> {
  const names = [...Deno.readDirSync(path)].map(({ name }) => name).sort();
  const entries: Record<string, Entry> = {};
  for (const name of names) {
    entries[name] = {
      mode: mode(`${path}/${name}`),
      text: text(`${path}/${name}`),
    };
  }
  return entries;
}

/**
 * A file's permission bits.
 *
 * @param path The file
 * @returns They, in octal; empty where there is none
 */
export function mode(path: string): string {
  try {
    return (Deno.statSync(path).mode! & 0o7777).toString(8);
  } catch {
    return "";
  }
}

/**
 * The names of a log's old files, the oldest first.
 *
 * @param path The directory
 * @returns The names
 */
export function oldFiles(path: string): string[] {
  return [...Deno.readDirSync(path)].map(({ name }) => name)
    .filter((name) => name.startsWith("@")).sort();
}

/**
 * Everything that a log holds, in order. Not while it is being rotated.
 *
 * @param path The directory
 * @returns The old files, `previous` and `current`, one behind the other
 */
export function whole(path: string): string {
  const entries = look(path);
  return [...Object.keys(entries).filter((name) => name.startsWith("@"))]
    .concat("previous", "current")
    .map((name) => entries[name]?.text ?? "").join("");
}

/**
 * A file's contents.
 *
 * @param path The file
 * @returns Its bytes, a character for each; empty where there is none
 */
export function text(path: string): string {
  try {
    return latin1(Deno.readFileSync(path));
  } catch {
    return "";
  }
}

/**
 * Numbered lines.
 *
 * @param from The first number
 * @param to The number behind the last
 * @returns The lines
 */
export function numbered(from: number, to: number): string {
  let text = "";
  for (let i = from; i < to; i++) text += `${i}\n`;
  return text;
}

/**
 * Checks that a text is numbered lines, none of them lost or doubled.
 *
 * @param text The text
 * @param from The first number
 * @returns The number behind the last
 */
export function inOrder(text: string, from = 0): number {
  assert(text === "" || text.endsWith("\n"), "the last line is cut");
  let next = from;
  for (const line of text.split("\n").slice(0, -1)) {
    assert(line === `${next}`, `${line} where ${next} should be`);
    next++;
  }
  return next;
}

/**
 * Makes a fifo and holds it open, so that what nobody has read stays in it.
 *
 * @param path Where
 * @returns The open fifo
 */
export async function makeFifo(path: string): Promise<Deno.FsFile> {
  await new Deno.Command("mkfifo", { args: [path] }).output();
  return Deno.openSync(path, { read: true, write: true });
}

/**
 * Empties a fifo that nobody reads any more.
 *
 * @param fifo The fifo
 * @returns What was left in it
 */
export function drain(fifo: Deno.FsFile): string {
  const end = "\0end of what was left\0";
  fifo.writeSync(bytes(end));
  let left = "";
  const buffer = new Uint8Array(65536);
  while (!left.endsWith(end)) {
    left += latin1(buffer.subarray(0, fifo.readSync(buffer)!));
  }
  return left.slice(0, -end.length);
}

/** A small disk; it goes when its scope ends. */
export class Disk implements Disposable {
  /** Where it is. */
  readonly path: string;

  /** Mounts one; only root may. */
  constructor(path: string, size: string) {
    Deno.mkdirSync(path);
    const { success, stderr } = new Deno.Command("mount", {
      args: ["-t", "tmpfs", "-o", `size=${size}`, "tmpfs", path],
    }).outputSync();
    assert(success, latin1(stderr));
    this.path = path;
  }

  /** Fills it to the last byte with a file. */
  fill(name: string): void {
    using file = Deno.openSync(`${this.path}/${name}`, {
      write: true,
      create: true,
    });
    const block = new Uint8Array(4096);
    try {
      while (file.writeSync(block) > 0);
    } catch {
      // It is full.
    }
  }

  /** Removes a file. */
  remove(name: string): void {
    Deno.removeSync(`${this.path}/${name}`);
  }

  [Symbol.dispose](): void {
    // Lazily, since a test that failed may have left something running.
    new Deno.Command("umount", { args: ["-l", this.path] }).outputSync();
  }
}

/**
 * Whether a small disk can be mounted here: root in a container may not.
 *
 * @returns Whether it can
 */
export function canMount(): boolean {
  if (Deno.uid() !== 0) return false;
  const path = Deno.makeTempDirSync();
  try {
    using _disk = new Disk(`${path}/disk`, "64k");
    return true;
  } catch {
    return false;
  } finally {
    Deno.removeSync(path, { recursive: true });
  }
}

/**
 * A processor's words for waiting until the test makes a file. It ends with the
 * test's folder.
 *
 * @param name The file, relative to the folder that the log directory is in
 * @returns The words
 */
export function waitFor(name: string): string {
  return `until test -e ../${name}; do test -e previous || exit 1; ` +
    "sleep 0.01; done";
}

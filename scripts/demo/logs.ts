/**
 * Looking into log directories while others write to them.
 *
 * @module
 */
import { walk } from "@std/fs";
import { latin1 } from "../../src/bytes.ts";

/** A file in a log directory. */
export interface LogFile {
  /** Its name. */
  name: string;
  /** Its lines, a character for each byte; none while it can't be read. */
  lines: string[];
}

/**
 * The lines of a file.
 *
 * @param path Its path
 * @returns The lines; a part of one at the end is one too. None when the file
 * isn't there: it may be getting another name just now
 */
export function linesOf(path: string): string[] {
  try {
    const lines = latin1(Deno.readFileSync(path)).split("\n");
    if (lines.at(-1) === "") lines.pop();
    return lines;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}

/**
 * The files of a log that have lines: the old ones from the oldest to the
 * newest, and `current`.
 *
 * @param directory The log directory
 * @returns The files
 */
export function logFiles(directory: string): LogFile[] {
  const names = [...Deno.readDirSync(directory)].map(({ name }) => name)
    .filter((name) => name.startsWith("@")).sort();
  return [...names, "current"].map((name) => ({
    name,
    lines: linesOf(`${directory}/${name}`),
  }));
}

/**
 * All lines of a log.
 *
 * @param directory The log directory
 * @returns The lines
 */
export function logLines(directory: string): string[] {
  return logFiles(directory).flatMap(({ lines }) => lines);
}

/** A line of a listing. */
export interface Listed {
  /** The name. */
  name: string;
  /** Whether it is the directory itself. */
  isDirectory: boolean;
  /** How many bytes it has. */
  size: number;
  /** Its mode, as `ls` shows it. */
  mode: string;
}

/**
 * Lists a log directory.
 *
 * @param directory The directory
 * @returns Itself, and what is in it, by name
 */
export async function listing(directory: string): Promise<Listed[]> {
  const listed: Listed[] = [];
  for await (const { path, name, isDirectory } of walk(directory)) {
    const { size, mode } = await Deno.stat(path);
    const bits = [..."rwxrwxrwx"].map((letter, i) =>
      (mode ?? 0) & (0o400 >> i) ? letter : "-"
    );
    listed.push({
      name,
      isDirectory,
      size,
      mode: (isDirectory ? "d" : "-") + bits.join(""),
    });
  }
  return listed.sort((a, b) =>
    Number(b.isDirectory) - Number(a.isDirectory) || (a.name < b.name ? -1 : 1)
  );
}

/** Tells when something in a folder has changed. */
export class Watch implements Disposable {
  readonly #watcher: Deno.FsWatcher;
  #changed = Promise.withResolvers<void>();
  #over = false;

  /**
   * Begins to watch.
   *
   * @param folder The folder, with all that is in it
   * @param look Called after each change
   */
  constructor(folder: string, look: () => void) {
    this.#watcher = Deno.watchFs(folder);
    this.#run(look);
  }

  async #run(look: () => void): Promise<void> {
    try {
      for await (const _event of this.#watcher) {
        look();
        this.#changed.resolve();
        this.#changed = Promise.withResolvers();
      }
    } catch (error) {
      // Whoever waits hears of it; if nobody does, it's of no interest.
      this.#changed.promise.catch(() => {});
      this.#changed.reject(error);
    }
  }

  /**
   * Waits until something is true.
   *
   * @param condition Whether it is
   * @param patience How many seconds without any change are too many
   * @returns Whether it became true
   */
  async until(condition: () => boolean, patience: number): Promise<boolean> {
    while (!condition()) {
      const quiet = Promise.withResolvers<"quiet">();
      const timer = setTimeout(() => quiet.resolve("quiet"), patience * 1000);
      const what = await Promise.race([this.#changed.promise, quiet.promise]);
      clearTimeout(timer);
      if (this.#over) throw new Error("the demonstration is over");
      if (what === "quiet") return condition();
    }
    return true;
  }

  /** Ends it. */
  [Symbol.dispose](): void {
    if (this.#over) return;
    this.#over = true;
    this.#watcher.close();
    this.#changed.resolve();
  }
}

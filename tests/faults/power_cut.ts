/**
 * What a disk may hold after the power went: the calls of a run are recorded
 * by strace, and played on a model of a file system that forgets as much as
 * POSIX lets it.
 *
 * What was written is safe when `fsync` of the file has returned; a name when
 * `fsync` of its directory has. Of everything else any part may be there: each
 * change of a name for itself, in any order, and a file's new bytes or not.
 *
 * @module
 */
import { type Bytes, latin1 } from "../../src/bytes.ts";
import { tracing } from "../tools.ts";

/** The calls that the model knows; all others change nothing on a disk. */
export const CALLS =
  "open,openat,creat,write,writev,pwrite64,fsync,fdatasync,sendto,rename," +
  "renameat,renameat2,unlink,unlinkat,mkdir,mkdirat,rmdir,ftruncate,close," +
  "dup,dup2,dup3,fcntl,clone,clone3,fork,vfork,chdir,fchdir,lseek,link,linkat," +
  "symlink,symlinkat,truncate,copy_file_range,sendfile,splice,accept,accept4," +
  "chmod,fchmod,fchmodat";

/** What goes before a program so that its calls are recorded. */
export function recording(file: string): string[] {
  return tracing(CALLS, file, "-xx", "-s", "1000000", "-e", "signal=none");
}

/** A file or a directory, now and as far as it is safe. */
class Node {
  readonly isDirectory: boolean;
  /** Where `..` leads. */
  readonly parent: Node;
  bytes = "";
  safeBytes = "";
  mode: number;
  safeMode: number;
  readonly names = new Map<string, Node>();
  safeNames: ReadonlyMap<string, Node> = new Map<string, Node>();
  /** What has been done to its names since it was synced, in order. */
  changes: Change[] = [];
  /** How many syncs have begun, and the last of them that has returned. */
  #begun = 0;
  #returned = 0;

  constructor(isDirectory: boolean, mode = 0o644, parent?: Node) {
    this.isDirectory = isDirectory;
    this.parent = parent ?? this;
    this.mode = this.safeMode = mode;
  }

  /**
   * Remembers how it is now.
   *
   * @returns What makes that safe
   */
  sync(): () => void {
    const { bytes, mode } = this;
    const names = new Map(this.names);
    const done = new Set(this.changes);
    const order = ++this.#begun;
    return () => {
      // One that began later has made more safe.
      if (order < this.#returned) return;
      this.#returned = order;
      this.safeBytes = bytes;
      this.safeMode = mode;
      this.safeNames = names;
      this.changes = this.changes.filter((change) => !done.has(change));
    };
  }
}

/** A change of names: what goes, and what comes. */
interface Change {
  gone?: string;
  come?: { name: string; node: Node };
}

/** An open file. */
interface Open {
  node: Node | undefined;
  offset: number;
  appends: boolean;
}

/** What a process has, which threads share. */
interface Process {
  fds: Map<number, Open>;
  cwd: Node | undefined;
}

/** A call, as recorded. */
export interface Call {
  /** Where in the record it began. */
  readonly at: number;
  readonly pid: number;
  readonly name: string;
  readonly args: string[];
  readonly result: number;
}

/** A file on a disk. */
export interface OnDisk {
  bytes: string;
  mode: number;
}

/** What a disk holds: files, by path; an empty directory's ends in a slash. */
export type Disk = Map<string, OnDisk>;

const AT_FDCWD = "AT_FDCWD";

/** A file system as a recorded run sees it that begins in an empty directory. */
export class Model {
  readonly #root = new Node(true);
  readonly #base: string;
  readonly #processes = new Map<number, Process>();
  /** What a sync that goes on makes safe, by who waits for it. */
  readonly #syncing = new Map<number, (() => void) | undefined>();

  /**
   * Makes it.
   *
   * @param base The directory that the run began in; nothing outside of it is
   * looked at
   */
  constructor(base: string) {
    this.#base = base;
  }

  /**
   * Plays a record.
   *
   * @param record What strace has written
   * @returns Each call, right after it
   */
  *play(record: string): Generator<Call> {
    for (const call of callsOf(record)) {
      this.#apply(call);
      yield call;
    }
  }

  /** All that is safe in the files that there are, whatever their names. */
  safe(): string[] {
    const found: string[] = [];
    const walk = (node: Node) => {
      if (!node.isDirectory) found.push(node.safeBytes);
      for (const child of node.names.values()) walk(child);
    };
    walk(this.#root);
    return found;
  }

  /**
   * What the disk may hold if the power goes now: all that is unsafe gone, all
   * of it there, only names, and some at random.
   *
   * @param random Numbers from 0 to 1
   * @param more How many at random
   */
  disks(random: () => number, more: number): Disk[] {
    const ways: (() => boolean)[][] = [
      [() => false, () => false],
      [() => true, () => true],
      [() => true, () => false],
      [() => false, () => true],
    ];
    for (let i = 0; i < more; i++) {
      const often = random();
      ways.push([() => random() < often, () => random() < 0.5]);
    }
    const disks = new Map<string, Disk>();
    for (const [names, bytes] of ways) {
      const disk = this.#disk(names!, bytes!);
      disks.set(JSON.stringify([...disk].sort()), disk);
    }
    return [...disks.values()];
  }

  #disk(named: () => boolean, written: () => boolean): Disk {
    const disk: Disk = new Map();
    const walk = (node: Node, path: string) => {
      if (!node.isDirectory) {
        disk.set(path, {
          bytes: written() ? node.bytes : node.safeBytes,
          mode: named() ? node.mode : node.safeMode,
        });
        return;
      }
      const names = new Map(node.safeNames);
      for (const { gone, come } of node.changes) {
        if (!named()) continue;
        if (gone !== undefined) names.delete(gone);
        if (come !== undefined) names.set(come.name, come.node);
      }
      if (path !== "" && names.size === 0) {
        disk.set(`${path}/`, { bytes: "", mode: 0o700 });
      }
      for (const [name, child] of names) {
        walk(child, path === "" ? name : `${path}/${name}`);
      }
    };
    walk(this.#root, "");
    return disk;
  }

  #process(pid: number): Process {
    let process = this.#processes.get(pid);
    if (process === undefined) {
      process = { fds: new Map(), cwd: this.#root };
      this.#processes.set(pid, process);
    }
    return process;
  }

  /** The directory and the last name of a path; none outside of the base. */
  #find(
    { fds, cwd }: Process,
    dir: string,
    path: string,
  ): { parent: Node; name: string } | undefined {
    let at = dir === AT_FDCWD ? cwd : fds.get(parseInt(dir))?.node;
    if (path.startsWith("/")) {
      if (path !== this.#base && !path.startsWith(`${this.#base}/`)) return;
      at = this.#root;
      path = path.slice(this.#base.length);
    }
    const names = path.split("/").filter((name) => name !== "" && name !== ".");
    const name = names.pop() ?? ".";
    for (const one of names) {
      at = one === ".." ? at?.parent : at?.names.get(one);
    }
    if (name === "..") return at && { parent: at.parent, name: "." };
    return at?.isDirectory ? { parent: at, name } : undefined;
  }

  #lookUp(process: Process, dir: string, path: string): Node | undefined {
    const found = this.#find(process, dir, path);
    if (found === undefined) return undefined;
    return found.name === "."
      ? found.parent
      : found.parent.names.get(found.name);
  }

  #change(parent: Node, change: Change): void {
    parent.changes.push(change);
    if (change.gone !== undefined) parent.names.delete(change.gone);
    if (change.come !== undefined) {
      parent.names.set(change.come.name, change.come.node);
    }
  }

  #apply({ pid, name, args, result }: Call): void {
    const process = this.#process(pid);
    const { fds } = process;
    const fd = parseInt(args[0] ?? "");
    switch (name) {
      case "clone":
      case "clone3":
      case "fork":
      case "vfork": {
        const shares = args.join().includes("CLONE_FILES");
        if (result > 0) {
          this.#processes.set(
            result,
            shares ? process : { fds: new Map(fds), cwd: process.cwd },
          );
        }
        break;
      }
      case "open":
        return this.#open(
          process,
          AT_FDCWD,
          args[0]!,
          args[1]!,
          result,
          args[2],
        );
      case "creat":
        return this.#open(
          process,
          AT_FDCWD,
          args[0]!,
          "O_CREAT|O_TRUNC",
          result,
        );
      case "openat":
        return this.#open(
          process,
          args[0]!,
          args[1]!,
          args[2]!,
          result,
          args[3],
        );
      case "accept":
      case "accept4":
        fds.delete(result);
        break;
      case "close":
        fds.delete(fd);
        break;
      case "dup":
      case "dup2":
      case "dup3": {
        const open = fds.get(fd);
        if (open) fds.set(result, open);
        else fds.delete(result);
        break;
      }
      case "fcntl": {
        const open = fds.get(fd);
        if (args[1]!.startsWith("F_DUPFD") && open) fds.set(result, open);
        break;
      }
      case "chdir":
        process.cwd = this.#lookUp(process, AT_FDCWD, text(args[0]!));
        break;
      case "fchdir":
        process.cwd = fds.get(fd)?.node;
        break;
      case "lseek": {
        const open = fds.get(fd);
        if (open) open.offset = result;
        break;
      }
      case "write":
        this.#write(fds.get(fd), text(args[1]!).slice(0, result));
        break;
      case "writev":
        this.#write(
          fds.get(fd),
          [...args[1]!.matchAll(/iov_base="([^"]*)"/g)]
            .map(([, bytes]) => text(`"${bytes}"`)).join("").slice(0, result),
        );
        break;
      case BEGINS:
        this.#syncing.set(pid, fds.get(fd)?.node?.sync());
        break;
      case "fsync":
      case "fdatasync": {
        const sync = this.#syncing.get(pid) ?? fds.get(fd)?.node?.sync();
        this.#syncing.delete(pid);
        sync?.();
        break;
      }
      case "fchmod": {
        const node = fds.get(fd)?.node;
        if (node) node.mode = parseInt(args[1]!, 8);
        break;
      }
      case "fchmodat": {
        const node = this.#lookUp(process, args[0]!, text(args[1]!));
        if (node) node.mode = parseInt(args[2]!, 8);
        break;
      }
      case "mkdir":
        return this.#mkdir(process, AT_FDCWD, args[0]!);
      case "mkdirat":
        return this.#mkdir(process, args[0]!, args[1]!);
      case "unlink":
      case "rmdir":
        return this.#unlink(process, AT_FDCWD, args[0]!);
      case "unlinkat":
        return this.#unlink(process, args[0]!, args[1]!);
      case "rename":
        return this.#rename(process, AT_FDCWD, args[0]!, AT_FDCWD, args[1]!);
      case "renameat":
      case "renameat2":
        return this.#rename(process, args[0]!, args[1]!, args[2]!, args[3]!);
      case "ftruncate": {
        const node = fds.get(fd)?.node;
        if (node) node.bytes = node.bytes.slice(0, parseInt(args[1]!));
        break;
      }
      case "sendto":
        break;
      default:
        // Of a file that the model knows it would have to know this, too.
        if (args.some((arg) => fds.get(parseInt(arg))?.node !== undefined)) {
          throw new Error(`${name}(${args}) isn't known`);
        }
    }
  }

  #open(
    process: Process,
    dir: string,
    quoted: string,
    flags: string,
    result: number,
    mode = "0644",
  ): void {
    const path = text(quoted);
    const found = this.#find(process, dir, path);
    let node = this.#lookUp(process, dir, path);
    if (found && node === undefined && flags.includes("O_CREAT")) {
      node = new Node(false, parseInt(mode, 8) & ~0o022);
      this.#change(found.parent, { come: { name: found.name, node } });
    }
    if (node && flags.includes("O_TRUNC")) node.bytes = "";
    const appends = flags.includes("O_APPEND");
    process.fds.set(result, { node, offset: 0, appends });
  }

  #write(open: Open | undefined, bytes: string): void {
    if (open?.node === undefined) return;
    const { node } = open;
    if (open.appends) open.offset = node.bytes.length;
    node.bytes = node.bytes.slice(0, open.offset) + bytes +
      node.bytes.slice(open.offset + bytes.length);
    open.offset += bytes.length;
  }

  #mkdir(process: Process, dir: string, quoted: string): void {
    const found = this.#find(process, dir, text(quoted));
    if (found === undefined) return;
    const { parent, name } = found;
    this.#change(parent, {
      come: { name, node: new Node(true, 0o700, parent) },
    });
  }

  #unlink(process: Process, dir: string, quoted: string): void {
    const found = this.#find(process, dir, text(quoted));
    if (found) this.#change(found.parent, { gone: found.name });
  }

  #rename(
    process: Process,
    from: string,
    quotedFrom: string,
    to: string,
    quotedTo: string,
  ): void {
    const old = this.#find(process, from, text(quotedFrom));
    const next = this.#find(process, to, text(quotedTo));
    const node = old?.parent.names.get(old.name);
    if (!old || !next || !node) return;
    if (old.parent !== next.parent) {
      throw new Error("a rename from one directory to another isn't known");
    }
    this.#change(old.parent, {
      gone: old.name,
      come: { name: next.name, node },
    });
  }
}

/** A sync that others see at work before it has returned. */
const BEGINS = "sync_begins";

/** A quoted string's bytes, a character for each. */
export function text(quoted: string): string {
  return quoted.replace(/^"|"(\.\.\.)?$/g, "").replace(
    /\\x(..)/g,
    (_, hex) => String.fromCharCode(parseInt(hex, 16)),
  );
}

/**
 * The calls of a record that succeeded. One that took a while has its place
 * where it began, but an `fsync`, which has done nothing until it returned.
 */
function* callsOf(record: string): Generator<Call> {
  const lines = record.split("\n");
  const begun = new Map<string, { at: number; start: string }>();
  /** What began before, and is known only by a later line. */
  const ends = new Map<number, string>();
  lines.forEach((line, at) => {
    const [, pid = "", rest = ""] = /^(\d+) +(.*)$/.exec(line) ?? [];
    const resumed = /^<\.\.\. (\w+) resumed>(.*)$/.exec(rest);
    if (rest.endsWith("<unfinished ...>")) {
      const start = rest.slice(0, -"<unfinished ...>".length).trimEnd();
      begun.set(pid, { at, start });
      const [, fd] = /^f(?:data)?sync\((\d+)/.exec(start) ?? [];
      if (fd !== undefined) ends.set(at, `${pid} ${BEGINS}(${fd}) = 0`);
    } else if (resumed) {
      const began = begun.get(pid);
      begun.delete(pid);
      if (began === undefined) return;
      const whole = `${began.start}${resumed[2]}`;
      const late = resumed[1] === "fsync" || resumed[1] === "fdatasync";
      ends.set(late ? at : began.at, `${pid} ${whole}`);
    }
  });
  for (const [at, line] of lines.entries()) {
    const call = callOf(ends.get(at) ?? line, at);
    if (call !== undefined && call.result >= 0) yield call;
  }
}

const LINE = /^(\d+) +(\w+)\((.*)\) += (-?\d+|0x[0-9a-f]+)/;

function callOf(line: string, at: number): Call | undefined {
  const [, pid, name, rest, result] = LINE.exec(line) ?? [];
  if (name === undefined) return undefined;
  return {
    at,
    pid: Number(pid),
    name,
    args: argumentsOf(rest!),
    result: Number(result),
  };
}

/** Arguments; the strings have no commas, since all of them is in hex. */
function argumentsOf(list: string): string[] {
  const found: string[] = [];
  let depth = 0;
  let one = "";
  for (const part of list.split(/([,[\]{}])/)) {
    if (part === "," && depth === 0) {
      found.push(one.trim());
      one = "";
      continue;
    }
    if (part === "[" || part === "{") depth++;
    if (part === "]" || part === "}") depth--;
    one += part;
  }
  found.push(one.trim());
  return found;
}

/**
 * Makes a disk real.
 *
 * @param disk What it holds
 * @param base The directory to put it into
 */
export function putOnDisk(disk: Disk, base: string): void {
  for (const [path, { bytes, mode }] of disk) {
    const folder = path.slice(0, path.lastIndexOf("/") + 1);
    if (folder !== "") Deno.mkdirSync(`${base}/${folder}`, { recursive: true });
    if (path.endsWith("/")) continue;
    const data = Uint8Array.from(bytes, (c) => c.charCodeAt(0));
    Deno.writeFileSync(`${base}/${path}`, data);
    Deno.chmodSync(`${base}/${path}`, mode);
  }
}

/**
 * The whole lines in all files below a directory, each as often as it is there.
 *
 * @param base The directory
 */
export function linesBelow(base: string): string[] {
  const found: string[] = [];
  for (const entry of Deno.readDirSync(base)) {
    const path = `${base}/${entry.name}`;
    if (entry.isDirectory) found.push(...linesBelow(path));
    else if (entry.isFile) found.push(...wholeLines(latin1(read(path))));
  }
  return found;
}

/** The lines of a text that have their newline. */
export function wholeLines(all: string): string[] {
  return all.split("\n").slice(0, -1);
}

/** A file's bytes; one that is being renamed may be gone. */
function read(path: string): Bytes {
  try {
    return Deno.readFileSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return new Uint8Array(0);
    throw error;
  }
}

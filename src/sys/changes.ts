/**
 * Being told by the kernel of changes in a directory, instead of polling it.
 *
 * @module
 */
import { close, read } from "./descriptors.ts";
import { check } from "./errno.ts";
import { cString, load } from "./libc.ts";

const lib = load({
  inotify_init1: { parameters: ["i32"], result: "i32" },
  inotify_add_watch: { parameters: ["i32", "buffer", "u32"], result: "i32" },
});

const IN_NONBLOCK = 0o4000;
const IN_CLOEXEC = 0o2000000;
const IN_MODIFY = 0x2;
const IN_MOVED_FROM = 0x40;
const IN_MOVED_TO = 0x80;
const IN_CREATE = 0x100;
const IN_DELETE = 0x200;
const IN_MOVE_SELF = 0x800;
const IN_Q_OVERFLOW = 0x4000;
/** How many bytes of a `struct inotify_event` come before the name. */
const HEADER = 16;

/** Something that happened to a file of a directory. */
export interface Change {
  /**
   * The file's name, a character for each byte (Latin-1); empty when `what` is
   * `"unknown"` or `"moved"`.
   */
  readonly name: string;
  /**
   * `"gone"`: the file with this name was removed or renamed; `"come"`: a file
   * was made or renamed to this name; `"written"`: its bytes changed;
   * `"unknown"`: more happened than the kernel's queue holds; `"moved"`: the
   * directory itself was renamed.
   */
  readonly what: "gone" | "come" | "written" | "unknown" | "moved";
}

/** A directory that is watched (inotify(7)). */
export class Changes implements Disposable {
  /** Readable while there are changes to take. */
  readonly fd: number;
  readonly #buffer = new Uint8Array(64 * 1024);

  /**
   * Begins to watch.
   *
   * @param path The directory
   * @throws {SysError} `ENOENT`, `EACCES`; `EMFILE` or `ENOSPC` when the user
   * watches too much already
   */
  constructor(path: string | Uint8Array) {
    this.fd = check(lib.inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
    const mask = IN_MODIFY | IN_MOVED_FROM | IN_MOVED_TO | IN_CREATE |
      IN_DELETE | IN_MOVE_SELF;
    try {
      check(lib.inotify_add_watch(this.fd, cString(path), mask));
    } catch (error) {
      close(this.fd);
      throw error;
    }
  }

  /**
   * Takes the changes since the last call.
   *
   * @returns The changes, oldest first
   */
  take(): Change[] {
    const changes: Change[] = [];
    while (true) {
      const n = read(this.fd, this.#buffer);
      if (n <= 0) return changes;
      const view = new DataView(this.#buffer.buffer, 0, n);
      for (let at = 0; at < n;) {
        const mask = view.getUint32(at + 4, true);
        const length = view.getUint32(at + 12, true);
        const name = this.#buffer.subarray(at + HEADER, at + HEADER + length);
        at += HEADER + length;
        const what = kindOf(mask);
        if (what === undefined) continue;
        // Names are padded with NULs.
        const text = String.fromCharCode(...name).replace(/\0+$/, "");
        changes.push({ name: text, what });
      }
    }
  }

  /** Stops watching. */
  [Symbol.dispose](): void {
    close(this.fd);
  }
}

function kindOf(mask: number): Change["what"] | undefined {
  if (mask & IN_Q_OVERFLOW) return "unknown";
  if (mask & IN_MOVE_SELF) return "moved";
  if (mask & (IN_MOVED_FROM | IN_DELETE)) return "gone";
  if (mask & (IN_MOVED_TO | IN_CREATE)) return "come";
  return mask & IN_MODIFY ? "written" : undefined;
}

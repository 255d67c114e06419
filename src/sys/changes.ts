/**
 * Hearing of changes in a directory instead of looking for them.
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
/** The bytes of an event before its name. */
const HEADER = 16;

/** Something that happened to a file of a directory. */
export interface Change {
  /** Its name, a byte for each character; empty for the last two. */
  readonly name: string;
  /**
   * `"gone"`: nothing, or another file, has this name now; `"come"`: a file
   * has got it; `"written"`: its bytes changed; `"unknown"`: more happened
   * than the kernel kept; `"moved"`: the directory itself has another name.
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
   * @throws {SysError} When it isn't there, can't be read, or the user watches
   * too much already
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
   * Takes what has happened since the last time.
   *
   * @returns The changes, in their order
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

/**
 * Hearing of changes in a directory instead of looking for them.
 *
 * @module
 */
import { close, read } from "./descriptors.ts";
import { check, SysError } from "./errors.ts";
import { cString, darwin, load } from "./libc.ts";

const inotify = darwin ? undefined : load({
  inotify_init1: { parameters: ["i32"], result: "i32" },
  inotify_add_watch: { parameters: ["i32", "buffer", "u32"], result: "i32" },
});

const NONBLOCK = 0o4000;
const CLOEXEC = 0o2000000;
const MODIFY = 0x2;
const MOVED_FROM = 0x40;
const MOVED_TO = 0x80;
const CREATE = 0x100;
const DELETE = 0x200;
const MOVE_SELF = 0x800;
const OVERFLOW = 0x4000;
/** The bytes of an event in front of its name. */
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

/** A directory that is watched; inotify on Linux. */
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
    if (inotify === undefined) throw new SysError(0);
    this.fd = check(inotify.inotify_init1(NONBLOCK | CLOEXEC));
    const mask = MODIFY | MOVED_FROM | MOVED_TO | CREATE | DELETE | MOVE_SELF;
    try {
      check(inotify.inotify_add_watch(this.fd, cString(path), mask));
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
  if (mask & OVERFLOW) return "unknown";
  if (mask & MOVE_SELF) return "moved";
  if (mask & (MOVED_FROM | DELETE)) return "gone";
  if (mask & (MOVED_TO | CREATE)) return "come";
  return mask & MODIFY ? "written" : undefined;
}

/**
 * Small disks, which can be full.
 *
 * @module
 */
import { assert } from "@std/assert";
import { latin1 } from "../src/bytes.ts";

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

/**
 * Changing from root to another user.
 *
 * @module
 */
import { check } from "./errno.ts";
import { load } from "./libc.ts";

const lib = load({
  setgroups: { parameters: ["usize", "buffer"], result: "i32" },
  setgid: { parameters: ["u32"], result: "i32" },
  setuid: { parameters: ["u32"], result: "i32" },
  getuid: { parameters: [], result: "u32" },
});

/**
 * Makes a group the only one of this process.
 *
 * @throws {SysError} `EPERM` for anyone but root
 */
export function setgid(gid: number): void {
  const one = new Uint32Array([gid]);
  check(lib.setgroups(1n, new Uint8Array(one.buffer)));
  check(lib.setgid(gid));
}

/**
 * Changes to a user, for good.
 *
 * @throws {SysError} `EPERM` for anyone but root
 */
export function setuid(uid: number): void {
  check(lib.setuid(uid));
}

/**
 * The number of the user that this process runs as.
 */
export function getuid(): number {
  return lib.getuid();
}

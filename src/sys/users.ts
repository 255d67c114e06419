/**
 * Giving up root.
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
 * Switches to a group, and leaves all others.
 *
 * @throws {SysError} `EPERM` for anyone but root
 */
export function setgid(gid: number): void {
  const one = new Uint32Array([gid]);
  check(lib.setgroups(1n, new Uint8Array(one.buffer)));
  check(lib.setgid(gid));
}

/**
 * Switches to a user. There is no way back.
 *
 * @throws {SysError} `EPERM` for anyone but root
 */
export function setuid(uid: number): void {
  check(lib.setuid(uid));
}

/**
 * Who this process is.
 *
 * @returns The user's number
 */
export function getuid(): number {
  return lib.getuid();
}

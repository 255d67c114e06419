/**
 * The environment, as bytes: a value may hold any byte but NUL.
 *
 * @module
 */
import { check } from "./errno.ts";
import { bytesAt } from "./invocation.ts";
import { cString, load } from "./libc.ts";

const lib = load({
  getenv: { parameters: ["buffer"], result: "pointer" },
  setenv: { parameters: ["buffer", "buffer", "i32"], result: "i32" },
});

/**
 * The address of the C library's variable `environ`. The variable itself is
 * read each time, since setenv(3) may make it point elsewhere.
 */
const pointerToEnviron = load({ environ: { type: "pointer" } }).environ;

/**
 * The value of an environment variable.
 *
 * @returns Its bytes, or `undefined` where it isn't set
 */
export function getenv(name: string): Uint8Array<ArrayBuffer> | undefined {
  const pointer = lib.getenv(cString(name));
  return pointer === null ? undefined : bytesAt(pointer);
}

/**
 * Sets an environment variable, for the runtime and for programs that are
 * started from now on.
 *
 * @throws {SysError} `ENOMEM`
 */
export function setenv(name: string, value: string): void {
  check(lib.setenv(cString(name), cString(value), 1));
}

/**
 * The whole environment, for programs that this one starts.
 *
 * @returns Its entries, each `NAME=value`
 */
export function environ(): Uint8Array<ArrayBuffer>[] {
  const list = pointerToEnviron &&
    new Deno.UnsafePointerView(pointerToEnviron).getPointer(0);
  if (!list) return [];
  const view = new Deno.UnsafePointerView(list);
  const entries: Uint8Array<ArrayBuffer>[] = [];
  for (let i = 0;; i += 8) {
    const pointer = view.getPointer(i);
    if (pointer === null) return entries;
    entries.push(bytesAt(pointer));
  }
}

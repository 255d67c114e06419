/**
 * The name that this process was started under. It has a module of its own, so
 * that the name is known before any other module of a program is loaded.
 *
 * @module
 */
import { load } from "./libc.ts";

/**
 * Copies a string of the C library's.
 *
 * @param pointer Where it is
 * @returns Its bytes, without the NUL
 */
export function bytesAt(
  pointer: Deno.PointerObject,
): Uint8Array<ArrayBuffer> {
  const view = new Deno.UnsafePointerView(pointer);
  let length = 0;
  while (view.getUint8(length) !== 0) length++;
  return new Uint8Array(view.getArrayBuffer(length).slice(0));
}

/**
 * The last part of the name that this process was started under, `argv[0]`,
 * through a link too (program_invocation_short_name(3)). Neither `/proc` nor a
 * free descriptor is needed to know it.
 *
 * @returns That part, a character for each byte
 */
export function invokedName(): string {
  const { program_invocation_short_name: where } = load({
    program_invocation_short_name: { type: "pointer" },
  });
  const name = where && new Deno.UnsafePointerView(where).getPointer(0);
  return name ? String.fromCharCode(...bytesAt(name)) : "";
}

/**
 * What a program does about signals besides listening for some.
 *
 * @module
 */
import { darwin, load } from "./libc.ts";

const lib = load({
  sigprocmask: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
});

const SETMASK = darwin ? 3 : 2;
/** A set without a signal in it; the system's has at most so many bytes. */
const NONE = new Uint8Array(128);

/**
 * Lets all signals through. Whoever started this program may have blocked
 * some, and it would wait for them in vain.
 */
export function unblockSignals(): void {
  lib.sigprocmask(SETMASK, NONE, null);
}

/**
 * Gets a program that listens for its signals ready for all others: none is
 * blocked, and a limit of a file's size is trouble with that file, which a
 * write tells of, not the end.
 */
export function settleSignals(): void {
  Deno.addSignalListener("SIGXFSZ", () => {});
  unblockSignals();
}

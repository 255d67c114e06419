/**
 * Signals: their names, listening for them, and what a program inherits.
 *
 * @module
 */
import { load } from "./libc.ts";
import { settleEventLoop } from "./poll.ts";

const lib = load({
  sigaction: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
  kill: { parameters: ["i32", "i32"], result: "i32" },
  sigprocmask: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
});

const SIG_SETMASK = 2;
/** `SIG_IGN`, where a `struct sigaction` otherwise begins with a handler. */
const IGNORE = 1n;
/** Room for a `struct sigaction`, in 8-byte words. */
const ACTION_WORDS = 32;
/** An empty `sigset_t`. */
const NONE = new Uint8Array(128);

/**
 * Unblocks all signals. The program that started this one may have blocked
 * some, which would then never arrive.
 */
export function unblockSignals(): void {
  lib.sigprocmask(SIG_SETMASK, NONE, null);
}

/** Signals that may be ignored at the start and that the runtime may handle. */
const TAKEN_OVER = ["SIGINT", "SIGHUP"] as const;
/** The numbers of those that were ignored when this program was started. */
let ignored: number[] | undefined;

/**
 * Listens for a signal. All of this program's listeners must be added here:
 * with the first listener, of whatever signal, the runtime (2.7, not 2.4) also
 * installs handlers for SIGINT and SIGHUP, even when they were ignored at the
 * start, as `nohup` has it. This has them ignored again.
 *
 * @param name The signal's name
 * @param listener Called each time it comes
 */
export function listen(name: Deno.Signal, listener: () => void): void {
  ignored ??= TAKEN_OVER.map((name) => signals[name]).filter(isIgnored);
  Deno.addSignalListener(name, listener);
  const action = new BigUint64Array(ACTION_WORDS);
  action[0] = IGNORE;
  for (const signal of ignored) {
    lib.sigaction(signal, new Uint8Array(action.buffer), null);
  }
}

/**
 * Deals with the signals that a program doesn't listen for itself: none is
 * blocked, and at the limit of a file's size (`RLIMIT_FSIZE`) a write fails
 * with `EFBIG` instead of SIGXFSZ ending the program.
 */
export function settleSignals(): void {
  listen("SIGXFSZ", () => {});
  unblockSignals();
}

/** A signal that nobody else sends us, and that is ignored by default. */
const SIGURG = 23;
/** For how many milliseconds to wait for it. */
const SIGURG_TIMEOUT = 1000;

/**
 * Waits until each signal that has arrived is handled.
 *
 * The runtime receives signals in another thread, which may not have run since
 * they arrived, and passes them on in their order. So this process sends itself
 * one more signal, which comes after all others, and waits for that.
 */
export async function seeSignals(): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  listen("SIGURG", resolve);
  const timer = setTimeout(resolve, SIGURG_TIMEOUT);
  lib.kill(Deno.pid, SIGURG);
  await promise;
  clearTimeout(timer);
  Deno.removeSignalListener("SIGURG", resolve);
  await settleEventLoop();
}

/** The numbers of the signals that the programs send, handle, or name. */
export const signals = {
  SIGHUP: 1,
  SIGINT: 2,
  SIGQUIT: 3,
  SIGILL: 4,
  SIGABRT: 6,
  SIGFPE: 8,
  SIGKILL: 9,
  SIGSEGV: 11,
  SIGPIPE: 13,
  SIGALRM: 14,
  SIGTERM: 15,
  SIGCHLD: 17,
} as const;

/**
 * The name of a signal.
 *
 * @param signal Its number
 * @returns The name, such as `"SIGTERM"`, or `undefined` where it isn't one of
 * {@linkcode signals}
 */
export function signalName(signal: number): string | undefined {
  return Object.entries(signals).find(([, one]) => one === signal)?.[0];
}

/**
 * Describes a signal, for a message.
 *
 * @param signal Its number
 * @returns A text such as `signal 9 (KILL)`
 */
export function describeSignal(signal: number): string {
  const name = signalName(signal);
  return `signal ${signal}${name === undefined ? "" : ` (${name.slice(3)})`}`;
}

/** The signals that ask a program to end. */
const TERMINATION = ["SIGTERM", "SIGINT", "SIGHUP"] as const;

/**
 * Whether a signal is ignored, as those are that `nohup` or a shell's `&` has
 * set so for the programs that it starts. Listening for it would undo that.
 */
export function isIgnored(signal: number): boolean {
  const action = new BigUint64Array(ACTION_WORDS);
  lib.sigaction(signal, null, new Uint8Array(action.buffer));
  return action[0] === IGNORE;
}

/**
 * Listens for the signals that ask a program to end: SIGTERM, and SIGINT and
 * SIGHUP unless these were ignored when it was started, as `nohup` and a
 * shell's `&` have it.
 *
 * @param handler Called with the signal's name
 * @returns A function that stops listening
 */
export function onTermination(handler: (name: string) => void): () => void {
  const listeners = TERMINATION
    .filter((name) => name === "SIGTERM" || !isIgnored(signals[name]))
    .map((name) => ({ name, listener: () => handler(name) }));
  for (const { name, listener } of listeners) {
    listen(name, listener);
  }
  return () => {
    for (const { name, listener } of listeners) {
      Deno.removeSignalListener(name, listener);
    }
  };
}

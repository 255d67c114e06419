/**
 * What a program does about signals besides listening for some.
 *
 * @module
 */
import { load } from "./libc.ts";
import { yieldToEventLoop } from "./poll.ts";

const lib = load({
  sigaction: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
  kill: { parameters: ["i32", "i32"], result: "i32" },
  sigprocmask: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
});

const SIG_SETMASK = 2;
/** A signal's action: the handler, or this, comes first. */
const IGNORE = 1n;
/** How many words are more than a `struct sigaction` has. */
const ACTION_WORDS = 32;
/** A set without a signal in it; the system's has at most so many bytes. */
const NONE = new Uint8Array(128);

/**
 * Lets all signals through. Whoever started this program may have blocked
 * some, and it would wait for them in vain.
 */
export function unblockSignals(): void {
  lib.sigprocmask(SIG_SETMASK, NONE, null);
}

/** What else ends a program, and the runtime may take over. */
const TAKEN = ["SIGINT", "SIGHUP"] as const;
/** Those of them that this program was started with as ignored. */
let ignored: number[] | undefined;

/**
 * Listens for a signal; nothing else adds listeners. With its first one, of
 * any signal, the runtime (2.7, not 2.4) handles the signals that end a program
 * itself, also where whoever started it has had them ignored, as `nohup` does.
 *
 * @param name The signal's name
 * @param listener Called each time it comes
 */
export function listen(name: Deno.Signal, listener: () => void): void {
  ignored ??= TAKEN.map((name) => signals[name]).filter(isIgnored);
  Deno.addSignalListener(name, listener);
  const action = new BigUint64Array(ACTION_WORDS);
  action[0] = IGNORE;
  for (const signal of ignored) {
    lib.sigaction(signal, new Uint8Array(action.buffer), null);
  }
}

/**
 * Gets a program that listens for its signals ready for all others: none is
 * blocked, and a limit of a file's size is trouble with that file, which a
 * write tells of, not the end.
 */
export function settleSignals(): void {
  listen("SIGXFSZ", () => {});
  unblockSignals();
}

/** A signal that nobody sends us, and that does nothing by itself. */
const SIGURG = 23;
/** After how many milliseconds it isn't waited for any more. */
const PATIENCE = 1000;
/** In how many turns of the event loop a signal is surely handled. */
const TURNS = 5;

/**
 * Waits until each signal that has arrived is handled.
 *
 * The runtime hears of signals in a thread of its own, which may not have run
 * since, and hands them on in their order. So one more that this process sends
 * itself comes after them.
 */
export async function seeSignals(): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  listen("SIGURG", resolve);
  const timer = setTimeout(resolve, PATIENCE);
  lib.kill(Deno.pid, SIGURG);
  await promise;
  clearTimeout(timer);
  Deno.removeSignalListener("SIGURG", resolve);
  for (let i = 0; i < TURNS; i++) await yieldToEventLoop();
}

/** The signals that this program sends, hears of, or tells of: their numbers. */
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
 * A signal in words.
 *
 * @param signal Its number
 * @returns Such as `signal 9 (KILL)`
 */
export function describeSignal(signal: number): string {
  const name = signalName(signal);
  return `signal ${signal}${name === undefined ? "" : ` (${name.slice(3)})`}`;
}

/** The signals that ask a program to end. */
const TERMINATION = ["SIGTERM", "SIGINT", "SIGHUP"] as const;

/**
 * Whether this program was started with a signal ignored, as `nohup` and a
 * shell's `&` do; a program that then listens for it undoes what they did.
 */
export function isIgnored(signal: number): boolean {
  const action = new BigUint64Array(ACTION_WORDS);
  lib.sigaction(signal, null, new Uint8Array(action.buffer));
  return action[0] === IGNORE;
}

/**
 * Listens for the signals that ask a program to end: SIGTERM, and SIGINT and
 * SIGHUP where whoever started it hasn't had those ignored, as `nohup` and a
 * shell's `&` do.
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

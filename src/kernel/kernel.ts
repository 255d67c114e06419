/**
 * The kernel: what is done to every byte of every line, in WebAssembly, with
 * 16 bytes at a time.
 *
 * Its source is `assembly.ts`; `deno task kernel` makes `module.ts` of it,
 * which is all that is in an executable. It is loaded by those who need it.
 *
 * @module
 */
import { MODULE } from "./module.ts";

/** How many bytes may be written after each area, and read after the last. */
export const MARGIN = 64;
/** How many bytes a stamp has that is a label and a space. */
export const LABEL_STAMP = 26;
/** How many bytes an alert has at the most. */
export const ALERT_LENGTH = 204;

/**
 * What {@linkcode Kernel.passLines}, {@linkcode Kernel.pickLines} and
 * {@linkcode Kernel.splitLines} say: they need more of a line.
 */
export const DONE = 0;
/** They need room: what has been handed over must be delivered. */
export const FULL = 1;
/** They need the automaton's next state, or a name's record. */
export const UNKNOWN = 2;

/** How many bytes the kernel notes the ends of lines in, and lines. */
export const ENDS = (4 + 8) * (2048 + 64 + 4);

type Cell = { value: number };

/** What the kernel exports; `assembly.ts` says what each of them does. */
export interface Kernel {
  readonly setStamp: (at: number, length: number) => void;
  readonly setClock: (seconds: number, nanoseconds: number) => void;
  readonly stampLines: (
    from: number,
    to: number,
    out: number,
    limit: number,
    within: number,
  ) => number;
  readonly stampedTo: Cell;
  readonly setSelection: (
    classes: number,
    endClass: number,
    gatherRoom: number,
    alerts: number,
    alertRoom: number,
    ends: number,
  ) => void;
  readonly passLines: (to: number) => number;
  readonly pickLines: (to: number, limit: number) => number;
  readonly pickTo: Cell;
  readonly line: Cell;
  readonly decided: Cell;
  readonly start: Cell;
  readonly unknownState: Cell;
  readonly unknownClass: Cell;
  readonly known: Cell;
  readonly alerted: Cell;
  readonly findNewline: (at: number) => number;
  readonly setNames: (
    allowed: number,
    others: number,
    table: number,
    slots: number,
    seed: number,
    runs: number,
    runBytes: number,
  ) => void;
  readonly addName: (name: number) => void;
  readonly splitLines: (to: number, skip: number) => number;
  readonly named: Cell;
  readonly nameAt: Cell;
  readonly nameLength: Cell;
  readonly nameHash: Cell;
  readonly crowded: Cell;
  readonly putTogether: (name: number, out: number) => number;
  readonly startNames: () => void;
  readonly setFraming: (
    priorities: number,
    prefix: number,
    raw: number,
    cooked: number,
    longest: number,
  ) => void;
  readonly setPrefix: (length: number) => void;
  readonly findLineEnd: (at: number) => number;
  readonly frameLines: (
    from: number,
    to: number,
    out: number,
    limit: number,
  ) => number;
  readonly framedTo: Cell;
  readonly putLine: (
    from: number,
    to: number,
    out: number,
    priority: number,
  ) => number;
  readonly priority: Cell;
}

const PAGE = 64 * 1024;
let compiled: WebAssembly.Module | undefined;

/**
 * Makes a kernel with a memory of its own.
 *
 * @param size How many bytes of memory it needs
 * @returns It, and all of its memory
 */
export function makeKernel(
  size: number,
): { kernel: Kernel; memory: Uint8Array<ArrayBuffer> } {
  compiled ??= new WebAssembly.Module(
    Uint8Array.from(atob(MODULE), (character) => character.charCodeAt(0)),
  );
  const pages = Math.ceil(size / PAGE);
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
  const { exports } = new WebAssembly.Instance(compiled, { env: { memory } });
  return {
    kernel: exports as unknown as Kernel,
    memory: new Uint8Array(memory.buffer as ArrayBuffer),
  };
}

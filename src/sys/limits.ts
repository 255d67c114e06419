/**
 * The limits of this process: how many descriptors and how much data it may
 * have (getrlimit(2)).
 *
 * @module
 */
import { close, dup } from "./descriptors.ts";
import { SysError } from "./errors.ts";
import { load } from "./libc.ts";

const lib = load({
  getrlimit: { parameters: ["i32", "buffer"], result: "i32" },
  setrlimit: { parameters: ["i32", "buffer"], result: "i32" },
});

const RLIMIT_DATA = 2;
const RLIMIT_NOFILE = 7;

/** A `struct rlimit`: the soft and the hard limit. */
const limits = new BigUint64Array(2);
const limitBytes = new Uint8Array(limits.buffer);
/** Larger than any limit that somebody sets: `RLIM_INFINITY`, for instance. */
const UNLIMITED = 0x7fffffffn;

/** Asks for a limit; 0 on a failure. */
function getrlimit(resource: number): { soft: bigint; hard: bigint } {
  limits.fill(0n);
  lib.getrlimit(resource, limitBytes);
  return { soft: limits[0]!, hard: limits[1]! };
}

function setrlimit(resource: number, soft: bigint, hard: bigint): boolean {
  limits[0] = soft;
  limits[1] = hard;
  return lib.setrlimit(resource, limitBytes) === 0;
}

/**
 * How many bytes of data this process may have (`softlimit -d`).
 *
 * @returns The limit; without one, a number larger than any memory
 */
export function dataLimit(): number {
  return Number(getrlimit(RLIMIT_DATA).soft);
}

/**
 * How many descriptors this process can still open, found by opening them.
 *
 * @param wanted How many to try
 * @returns How many it can open, `wanted` at the most
 */
export function spareDescriptors(wanted: number): number {
  const opened: number[] = [];
  try {
    while (opened.length < wanted) opened.push(dup(0));
  } catch (error) {
    if (!(error instanceof SysError)) throw error;
  } finally {
    for (const fd of opened) close(fd);
  }
  return opened.length;
}

/**
 * Says which limit is too low. Programs ask at their start, before they have
 * begun anything.
 *
 * @param needs How many more descriptors, and how many bytes of data in all,
 * the program needs
 * @returns A message, or `undefined` when the limits are high enough
 */
export function shortage(
  needs: { descriptors: number; data: number },
): string | undefined {
  const data = dataLimit();
  if (data < needs.data) {
    return `unable to go on with ${data} bytes of data, ` +
      `${needs.data} are needed (softlimit -d)`;
  }
  const missing = needs.descriptors - spareDescriptors(needs.descriptors);
  if (missing === 0) return undefined;
  return `unable to go on with so few descriptors, ${missing} are missing ` +
    "(softlimit -o)";
}

/**
 * How many descriptors this process may have.
 *
 * @returns The limit; `Infinity` for none
 */
export function descriptorLimit(): number {
  const { soft } = getrlimit(RLIMIT_NOFILE);
  return soft > UNLIMITED ? Infinity : Number(soft);
}

/**
 * Raises the limit of open descriptors as far as this process may: root to any
 * number, other users to the hard limit.
 *
 * @param wanted How many are needed
 * @returns How many may be open now; `wanted` when the limit suffices
 */
export function raiseDescriptorLimit(wanted: number): number {
  const { soft, hard } = getrlimit(RLIMIT_NOFILE);
  const need = BigInt(wanted);
  if (soft >= need) return wanted;
  if (setrlimit(RLIMIT_NOFILE, need, hard > need ? hard : need)) return wanted;
  return Number(setrlimit(RLIMIT_NOFILE, hard, hard) ? hard : soft);
}

/**
 * The limits of this process: how many descriptors, and how much data.
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

/**
 * How many bytes of data a process may have (`softlimit -d`).
 *
 * @returns The limit; much more than there is memory where there is none
 */
export function dataLimit(): number {
  const words = new BigUint64Array(2);
  lib.getrlimit(RLIMIT_DATA, new Uint8Array(words.buffer));
  return Number(words[0]);
}

/**
 * How many descriptors can still be opened.
 *
 * @param wanted How many are looked for
 * @returns As many, or those that there are
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
 * What is too little to go on with, found out before anything is begun.
 *
 * @param needs How many more descriptors are needed, and how many bytes of data
 * @returns A message, or `undefined` where there is enough
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
  const words = new BigUint64Array(2);
  if (lib.getrlimit(RLIMIT_NOFILE, new Uint8Array(words.buffer)) < 0) return 0;
  return words[0]! > 0x7fffffffn ? Infinity : Number(words[0]);
}

/**
 * Raises the limit of open descriptors, as far as that is allowed: for root
 * without a bound, for others to the hard limit.
 *
 * @param wanted How many are needed
 * @returns How many there may be now
 */
export function raiseDescriptorLimit(wanted: number): number {
  const words = new BigUint64Array(2);
  const bytes = new Uint8Array(words.buffer);
  lib.getrlimit(RLIMIT_NOFILE, bytes);
  const [soft, hard] = words as unknown as [bigint, bigint];
  const need = BigInt(wanted);
  if (soft >= need) return wanted;
  words[0] = need;
  words[1] = hard > need ? hard : need;
  if (lib.setrlimit(RLIMIT_NOFILE, bytes) === 0) return wanted;
  words[0] = words[1] = hard;
  return Number(lib.setrlimit(RLIMIT_NOFILE, bytes) === 0 ? hard : soft);
}

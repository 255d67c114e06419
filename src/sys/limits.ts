/**
 * How many descriptors a process may have.
 *
 * @module
 */
import { load } from "./libc.ts";

const lib = load({
  getrlimit: { parameters: ["i32", "buffer"], result: "i32" },
  setrlimit: { parameters: ["i32", "buffer"], result: "i32" },
});

const RLIMIT_NOFILE = 7;

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

/**
 * Lengths of time for people.
 *
 * @module
 */

/**
 * A length of time in one number.
 *
 * @param seconds How many seconds
 * @returns Such as `12s`, `3m`, `20h`, `4d`
 */
export function duration(seconds: number): string {
  if (seconds < 120) return `${Math.floor(seconds)}s`;
  if (seconds < 2 * 3600) return `${Math.floor(seconds / 60)}m`;
  if (seconds < 2 * 86400) return `${Math.floor(seconds / 3600)}h`;
  return `${Math.floor(seconds / 86400)}d`;
}

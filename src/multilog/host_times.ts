/**
 * When time makes something due in one of many logs of hosts.
 *
 * @module
 */
import type { LogDirectory } from "../log/log_directory.ts";
import { type Host, REFUSED } from "./host_pool.ts";

/** The times that hosts' logs wait for. */
export class HostTimes {
  readonly #expires: boolean;
  /** When something is due in a log, on this process's own clock. */
  #due = Infinity;
  /** When an old file is too old, in seconds since 1970. */
  #expiry = Infinity;

  /**
   * Makes it.
   *
   * @param expires Whether old files get too old
   */
  constructor(expires: boolean) {
    this.#expires = expires;
  }

  /** When something is due in a log, on this process's own clock. */
  get due(): number {
    return this.#due;
  }

  /** When an old file is too old, in seconds since 1970. */
  get expiry(): number {
    return this.#expiry;
  }

  /** Notes when something is due in a host's log, unless that is known. */
  noteDue(host: Host, log: LogDirectory): void {
    if (host.due !== Infinity) return;
    const until = log.untilDue();
    if (until < 0) return;
    host.due = performance.now() + until;
    this.#due = Math.min(this.#due, host.due);
  }

  /**
   * The hosts in whose logs something is due, each once; where a write waits,
   * that sees to it.
   *
   * @param hosts All hosts
   * @param now The time, on this process's own clock
   */
  takeDue(hosts: readonly Host[], now: number): Host[] {
    const due: Host[] = [];
    if (now < this.#due) return due;
    this.#due = Infinity;
    for (const host of hosts) {
      if (host.due <= now) {
        // Unless it can be opened before.
        host.due = now + REFUSED;
        if (host.writes === 0) due.push(host);
      }
      this.#due = Math.min(this.#due, host.due);
    }
    return due;
  }

  /**
   * Notes when the next old file of a host's log is too old. It is called when
   * that may have changed: when the log is opened or closed, which tells of the
   * files that were finished.
   */
  noteExpiry(host: Host, log: LogDirectory): void {
    if (!this.#expires) return;
    host.expiry = Math.min(host.expiry, log.expiry() ?? Infinity);
    this.#expiry = Math.min(this.#expiry, host.expiry);
  }

  /** Finds out anew when the next old file of all hosts is too old. */
  refreshExpiry(hosts: readonly Host[]): void {
    this.#expiry = Infinity;
    for (const { expiry } of hosts) {
      this.#expiry = Math.min(this.#expiry, expiry);
    }
  }
}

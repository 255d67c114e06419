/**
 * What `--status` tells, in Prometheus' text format.
 *
 * @module
 */
import type { LogStatus } from "./status.ts";

/** A figure: its name, what it is, and its value, where there is one. */
type Metric = readonly [
  name: string,
  help: string,
  value: (log: LogStatus, now: number) => number | boolean | null,
];

/**
 * When something was, for what is read later than it was found out.
 *
 * @param age How long ago, in seconds
 */
function before(now: number, age: number | null): number | null {
  return age === null ? null : Math.round(1000 * (now - age)) / 1000;
}

const METRICS: readonly Metric[] = [
  ["current_bytes", "Size of current.", (log) => log.current],
  [
    "current_limit_bytes",
    "Size at which current is finished.",
    (log) => log.limit,
  ],
  ["old_files", "Old files.", (log) => log.oldFiles],
  ["old_bytes", "Bytes of old files.", (log) => log.oldBytes],
  [
    "newest_line_timestamp_seconds",
    "When the newest line came.",
    (log, now) => before(now, log.newest),
  ],
  ["running", "Whether somebody writes to the log.", (log) => log.running],
  ["writer_pid", "The writer's process number.", (log) => log.writer],
  ["cut_off", "Whether the last writer was cut off.", (log) => log.cutOff],
  [
    "waiting_files",
    "Finished files that wait for the processor.",
    (log) => log.waitingFiles,
  ],
  [
    "waiting_bytes",
    "Bytes of files that wait for the processor.",
    (log) => log.waitingBytes,
  ],
  [
    "waiting_since_timestamp_seconds",
    "Since when the first file has waited for the processor.",
    (log, now) => before(now, log.processing),
  ],
  [
    "failing_since_timestamp_seconds",
    "Since when the processor has failed.",
    (log, now) => before(now, log.failing),
  ],
  [
    "kept_files",
    "Files kept unsent since one was sent.",
    (log) => log.keptFiles,
  ],
  [
    "kept_bytes",
    "Bytes of files kept unsent since one was sent.",
    (log) => log.keptBytes,
  ],
];

/**
 * Shows directories as gauges, each with its directory as a label.
 *
 * @param logs The directories
 * @param now Seconds since 1970, when they were looked at
 * @returns The text
 */
export function metrics(logs: readonly LogStatus[], now: number): string {
  let text = "";
  for (const [name, help, valueOf] of METRICS) {
    let samples = "";
    for (const log of logs) {
      const value = valueOf(log, now);
      if (value === null) continue;
      const labels = `{directory="${escaped(log.directory)}"}`;
      samples += `multilog_${name}${labels} ${Number(value)}\n`;
    }
    if (samples === "") continue;
    text += `# HELP multilog_${name} ${help}\n` +
      `# TYPE multilog_${name} gauge\n${samples}`;
  }
  return text;
}

/** A label's value as the format wants it. */
function escaped(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll('"', '\\"')
    .replaceAll("\n", "\\n");
}

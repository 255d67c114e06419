/**
 * tryto beside the original: what a log of several sizes takes on its way to
 * `cat >/dev/null`, what a start takes beside an empty program's, and memory.
 *
 * @module
 */
import { installed, ours } from "../../tests/tools.ts";
import { compileSource, inTurn, milliseconds, times } from "./programs.ts";
import { type BenchOptions, cost, median, table } from "./report.ts";

const PROG = ["/bin/sh", "-c", "cat >/dev/null"];
const SIZES = [["4 KB", 4096], ["100 KB", 100_000], ["16 MB", 16e6]] as const;

/** Throughput, of what a run takes longer than one with an empty log. */
function throughput(
  size: number,
  whole: readonly number[],
  empty: readonly number[],
): string {
  const rates = whole.map((time, i) => size / 1000 / (time - empty[i]!));
  return `${median(rates).toFixed(0)} MB/s`;
}

/**
 * Measures tryto.
 *
 * @param options How often, and how large the largest log is
 */
export async function bench(options: BenchOptions): Promise<void> {
  const { megabytes } = options;
  const rounds = Math.max(options.rounds, 5);
  const folder = await Deno.makeTempDir({ prefix: "logferry-" });
  try {
    const original = installed("tryto");
    const trytos = { ours: ours.tryto, ...(original && { original }) };
    const file = (size: number) => `${folder}/${size}`;
    const sizes = [...SIZES, [`${megabytes} MB`, megabytes * 1e6] as const];
    const block = new Uint8Array(1e6).map((_, i) => i % 80 ? 97 : 10);
    for (const [, size] of sizes) {
      using log = Deno.openSync(file(size), { write: true, create: true });
      for (let left = size; left > 0; left -= block.length) {
        log.writeSync(block.subarray(0, left));
      }
    }

    const rows = [["log", "ours", "original", "ratio", "ours", "original"]];
    for (const [title, size] of sizes) {
      const commands: Parameters<typeof inTurn>[1] = {};
      for (const [name, path] of Object.entries(trytos)) {
        const command = [path, ...PROG];
        commands[name] = { command, input: file(size) };
        commands[`${name}, empty`] = { command, input: "/dev/null" };
      }
      const found = await inTurn(
        size > 1e8 ? options.rounds : rounds,
        commands,
      );
      const large = size > 1e6;
      const rate = (name: string) =>
        large && found[name]
          ? throughput(size, found[name], found[`${name}, empty`]!)
          : "";
      rows.push([
        title,
        milliseconds(found.ours!),
        found.original ? milliseconds(found.original) : "-",
        found.original ? times(found.original, found.ours!) : "-",
        rate("ours"),
        rate("original"),
      ]);
    }
    console.log(
      "\ntryto: to `cat >/dev/null`; the rates are without the start",
    );
    console.log(table(rows));

    const empty = await compileSource(folder, "empty", "");
    const nothing = "/dev/null";
    const starts = await inTurn(4 * rounds, {
      "an empty program": { command: [empty], input: nothing },
      "tryto --version": { command: [ours.tryto, "--version"], input: nothing },
      "tryto true": { command: [ours.tryto, "true"], input: nothing },
    });
    const base = starts["an empty program"]!;
    console.log("\ntryto: to start, and to run `true`");
    console.log(table(
      Object.entries(starts).map((
        [name, found],
      ) => [name, milliseconds(found), times(found, base)]),
    ));

    const peaks = [["log", "ours", "original"]];
    for (const [title, size] of sizes) {
      const row: string[] = [title];
      for (const path of Object.values(trytos)) {
        const { peak } = await cost([path, ...PROG], file(size), true);
        row.push(peak === 0 ? "-" : `${peak.toFixed(1)} MiB`);
      }
      peaks.push(row);
    }
    const { peak } = await cost([empty], nothing, true);
    console.log(
      `\ntryto: the most memory; an empty program's is ${peak.toFixed(1)} MiB`,
    );
    console.log(table(peaks));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

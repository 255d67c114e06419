/**
 * Logferry for other programs: rotated logs that lose no line, multilog's scripts
 * and patterns, sending to a log server, running one, turning syslog messages
 * into lines, and TAI64N.
 *
 * Each has a module of its own, too: `/log`, `/script`, `/pattern`, `/send`,
 * `/serve`, `/syslog` and `/tai64n`. `/pattern`, `/syslog` and `/tai64n` need no
 * permission; the others call the C library, so a program that uses them, or
 * this module, needs `--allow-ffi`, and Linux.
 *
 * @example A log whose files are sent to a log server, by the program itself
 * ```ts
 * import { openLog, send, serve } from "@logferry/logferry";
 *
 * const dir = await Deno.makeTempDir();
 * {
 *   await using all = await openLog(`${dir}/all`);
 *   await using server = await serve(all, { hostname: "127.0.0.1", port: 0 });
 *   await using log = await openLog(`${dir}/main`);
 *   await log.write(new TextEncoder().encode("one line\n"));
 *   await log.rotate();
 *   for await (const { name } of Deno.readDir(`${dir}/main`)) {
 *     if (!name.startsWith("@")) continue;
 *     const { readable } = await Deno.open(`${dir}/main/${name}`);
 *     await send(readable, server.addr);
 *   }
 * }
 * await Deno.remove(dir, { recursive: true });
 * ```
 *
 * @module
 */
export * from "./lib/log.ts";
export * from "./lib/pattern.ts";
export * from "./lib/script.ts";
export * from "./lib/send.ts";
export * from "./lib/serve.ts";
export * from "./lib/syslog.ts";
export * from "./src/tai64n.ts";

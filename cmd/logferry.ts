/**
 * The executable: all programs, each by the name that it is started under, or
 * by the first argument. Each is loaded when it is asked for, so that a start
 * costs no more than that program's.
 *
 * @module
 */
import { invokedName } from "../src/sys/invocation.ts";

/** A program's module. */
interface Loaded {
  /**
   * Runs the program, and ends this process.
   *
   * @param args Its arguments
   * @param name The name that it was started under
   */
  start(args: readonly string[], name: string): Promise<never>;
}

const multilog = (): Promise<Loaded> => import("./multilog.ts");
const tryto = (): Promise<Loaded> => import("./tryto.ts");
const socklogTcp = (): Promise<Loaded> => import("./socklog-tcp.ts");
const overview = (): Promise<Loaded> => import("./overview.ts");

/** How to load each program, by the names that it may be started under. */
const programs: ReadonlyMap<string, () => Promise<Loaded>> = new Map([
  ["multilog", multilog],
  ["tryto", tryto],
  ["socklog-tcp", socklogTcp],
  ["tcpserver", socklogTcp],
  ["tcpclient", socklogTcp],
  ["socklog", socklogTcp],
]);

const invoked = invokedName();
const byName = programs.get(invoked);
const [first = "", ...rest] = Deno.args;
const byArgument = programs.get(first);
if (byName) await (await byName()).start(Deno.args, invoked);
else if (byArgument) await (await byArgument()).start(rest, first);
else await (await overview()).start(Deno.args, "logferry");

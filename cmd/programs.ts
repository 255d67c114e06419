/**
 * The programs by their names. Each is loaded when it is asked for, so that a
 * start costs no more than that program's.
 *
 * @module
 */
import type { Program } from "../src/program.ts";
import type { ScriptReader } from "../src/socklog/output.ts";

const multilog = async (): Promise<Program> => {
  const { multilog } = await import("../src/multilog/main.ts");
  return async (args, name) => {
    // What may run inside is loaded where there is a processor at all.
    const inside = args.some((arg) => arg.startsWith("!"))
      ? await import("../src/inside.ts")
      : undefined;
    return await multilog(args, name, inside?.findProcessor);
  };
};

const tryto = async (): Promise<Program> => {
  const { tryto } = await import("../src/tryto/main.ts");
  return tryto;
};

/** Loaded when it is asked for: a server that has no script has no use for it. */
const readScript: ScriptReader = async (...args) => {
  const { readScript } = await import("../src/script_output.ts");
  return await readScript(...args);
};

const socklogTcp = async (): Promise<Program> => {
  const { socklogTcp } = await import("../src/socklog/main.ts");
  return (args, name) => socklogTcp(args, name, readScript);
};

/** How to load each program, by the names that it may be started under. */
export const programs: ReadonlyMap<string, () => Promise<Program>> = new Map([
  ["multilog", multilog],
  ["tryto", tryto],
  ["socklog-tcp", socklogTcp],
  ["tcpserver", socklogTcp],
  ["tcpclient", socklogTcp],
  ["socklog", socklogTcp],
]);

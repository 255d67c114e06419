/**
 * What the executable does when it isn't told which program to run: it shows its
 * help, its version or its usage.
 *
 * @module
 */
import { Diagnostics } from "../src/diagnostics.ts";
import { run } from "../src/program.ts";
import { VERSION } from "../src/version.ts";

const HELP = `usage: logferry program [argument ...]

  multilog      read lines, and write them to rotated logs
  tryto         run a program with a time limit and a number of tries
  socklog-tcp   the log server, and the log sender

Each is also run by its own name, through a link to this file say, and takes
--help. By the names tcpserver, tcpclient and socklog it takes their places.
`;
/** The exit code for wrong usage. */
const WRONG_USAGE = 100;

function tell([first]: readonly string[], name: string): number {
  const diagnostics = new Diagnostics(name);
  if (first === "--help") return diagnostics.print(HELP);
  if (first === "--version") return diagnostics.print(`${name} ${VERSION}\n`);
  if (first !== undefined) {
    diagnostics.say(`fatal: no such program: ${first}; see --help`);
  } else diagnostics.say("usage: logferry program [argument ...]");
  return WRONG_USAGE;
}

/** Prints it, and ends this process. */
export function start(args: readonly string[], name: string): Promise<never> {
  return run(tell, args, name);
}

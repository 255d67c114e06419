/**
 * The executable: all programs, each by the name that it is started under, or
 * by the first argument.
 *
 * @module
 */
import { Diagnostics } from "../src/diagnostics.ts";
import { invokedName, type Program, run } from "../src/program.ts";
import { VERSION } from "../src/version.ts";
import { programs } from "./programs.ts";

const OWN_NAME = "logferry";
const HELP = `usage: logferry program [argument ...]

  multilog      read lines, and write them to rotated logs
  tryto         run a program with a time limit and a number of tries
  socklog-tcp   the log server, and the log sender

Each is also run by its own name, through a link to this file say, and takes
--help. By the names tcpserver, tcpclient and socklog it takes their places.
`;
/** The exit code for wrong usage. */
const WRONG_USAGE = 100;

/** What is none of the programs, or the wish to know what they are. */
const logferry: Program = (args) => {
  const diagnostics = new Diagnostics(OWN_NAME);
  const [first] = args;
  if (first === "--help") return diagnostics.print(HELP);
  if (first === "--version") {
    return diagnostics.print(`${OWN_NAME} ${VERSION}\n`);
  }
  if (first !== undefined) {
    diagnostics.say(`fatal: no such program: ${first}; see --help`);
  } else diagnostics.say("usage: logferry program [argument ...]");
  return WRONG_USAGE;
};

const invoked = invokedName();
const byName = programs.get(invoked);
const [first = "", ...rest] = Deno.args;
const byArgument = programs.get(first);
if (byName !== undefined) await run(await byName(), Deno.args, invoked);
else if (byArgument !== undefined) await run(await byArgument(), rest, first);
else await run(logferry, Deno.args, OWN_NAME);

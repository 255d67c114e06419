/**
 * socklog-tcp: the log server, the log sender, and what tcpserver, tcpclient
 * and socklog do.
 *
 * @module
 */
import { Diagnostics } from "../diagnostics.ts";
import { VERSION } from "../version.ts";
import {
  ArgumentError,
  type Arguments,
  type LogServerArguments,
  parseArguments,
  type ProgramServerArguments,
} from "./arguments.ts";
import { connectFor } from "./tcpclient.ts";
import { Unreachable } from "./dialling.ts";
import { LogferryError } from "../logferry_error.ts";
import { TROUBLE } from "../program.ts";
import { HELP } from "./help.ts";
import { checkLimits } from "./attempt.ts";
import { openListener, printPort } from "./listener.ts";
import { Messages, Verbosity } from "./messages.ts";
import { DescriptorOutput, type ScriptReader, writingTo } from "./output.ts";
import { canRun, ProgramServer } from "./tcpserver.ts";
import { send, sourceOf } from "./sender.ts";
import { socklog } from "./socklog.ts";
import { LogServer, raiseLimit } from "./server.ts";

const OWN_NAME = "socklog-tcp";
/** The exit code for wrong usage. */
const WRONG_USAGE = 100;

/** The word after host and port names neither a variable nor a program. */
class NothingToRun extends LogferryError {}
/** How many bytes of data a log server may need, its runtime included. */
const DATA = 900_000_000;
/** Descriptors to listen with, and to serve a few connections. */
const DESCRIPTORS = 16;

async function servePrograms(
  args: ProgramServerArguments,
  messages: Messages,
  program: string,
): Promise<void> {
  // Otherwise a misspelt NAME would show only when the first sender connects.
  // Under the name tcpserver this isn't checked: its programs may come and go.
  if (program === OWN_NAME && !canRun(args.program[0]!)) {
    throw new NothingToRun(
      `${args.program[0]}: neither NAMEs, nor ucspi, nor a program to run`,
    );
  }
  const listener = await openListener(args);
  printPort(args, listener);
  await new ProgramServer(args, listener, messages).run();
}

async function serveLogs(
  args: LogServerArguments,
  messages: Messages,
  program: string,
  readScript: ScriptReader,
): Promise<void> {
  // Opening the listener gives up root, so these come first: standard output
  // may belong to root, and only root may raise the limit of descriptors beyond
  // the hard one. The script's logs are opened after it, since they belong to
  // the user that the server becomes.
  const standard = args.script === undefined
    ? await DescriptorOutput.open(1, messages)
    : await readScript(args.script, messages, program);
  const script = "open" in standard ? standard : undefined;
  const { descriptors = 0 } = script ?? {};
  const options = { ...args, descriptors };
  raiseLimit(options, script?.usefulDescriptors);
  checkLimits({ descriptors: DESCRIPTORS + descriptors, data: DATA });
  const listener = await openListener(args);
  const output = "open" in standard
    ? await standard.open(raiseLimit(options).needed - descriptors)
    : standard;
  const server = new LogServer(options, listener, output, messages);
  printPort(args, listener);
  await writingTo(output, () => server.run());
}

async function carryOut(
  args: Arguments,
  program: string,
  diagnostics: Diagnostics,
  readScript: ScriptReader,
): Promise<number> {
  switch (args.mode) {
    case "help":
      return diagnostics.print(HELP);
    case "version":
      return diagnostics.print(`${OWN_NAME} ${VERSION}\n`);
  }
  if (args.mode === "socklog") {
    await socklog(args.options, program, readScript);
    return 0;
  }
  const messages = new Messages(program, args.verbosity);
  switch (args.mode) {
    case "send":
      return await send(args, { source: sourceOf(0), errors: 2 });
    case "connect":
      try {
        await connectFor(args, messages);
      } finally {
        await messages.flushPatiently();
      }
      break;
    case "serve programs":
      await servePrograms(args, messages, program);
      break;
    case "serve logs":
      await serveLogs(args, messages, program, readScript);
  }
  return 0;
}

/**
 * Runs socklog-tcp, tcpserver, tcpclient or socklog.
 *
 * @param args Its arguments
 * @param program Which of them: the name that it was started under
 * @param readScript Reads `multilog script…`
 * @returns Its exit code
 */
export async function socklogTcp(
  args: readonly string[],
  program: string,
  readScript: ScriptReader,
): Promise<number> {
  const diagnostics = new Diagnostics(program);
  let quiet = false;
  try {
    const parsed = parseArguments(args, program);
    quiet = "verbosity" in parsed && parsed.verbosity === Verbosity.Quiet;
    return await carryOut(parsed, program, diagnostics, readScript);
  } catch (error) {
    if (error instanceof ArgumentError) {
      if (error.message !== "") diagnostics.say(error);
      diagnostics.say(`usage: ${program} ${error.usage}`);
      return program === "socklog" ? 1 : WRONG_USAGE;
    }
    if (error instanceof Unreachable) return TROUBLE;
    if (error instanceof LogferryError) {
      if (!quiet) diagnostics.say("fatal: ", error);
      return error instanceof NothingToRun ? WRONG_USAGE : TROUBLE;
    }
    throw error;
  }
}

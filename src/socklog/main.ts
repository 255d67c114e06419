/**
 * From the command line to the exit code.
 *
 * @module
 */
import { Diagnostics } from "../diagnostics.ts";
import { SysError } from "../sys/errors.ts";
import { VERSION } from "../version.ts";
import { ArgumentError, type Arguments, parseArguments } from "./arguments.ts";
import { Unreachable } from "./dialling.ts";
import { Fatal } from "./fatal.ts";
import { openListener } from "./listener.ts";
import { Messages, Verbosity } from "./messages.ts";
import { send } from "./sender.ts";
import { LogServer } from "./server.ts";

async function carryOut(args: Arguments, program: string): Promise<void> {
  switch (args.mode) {
    case "help":
    case "version":
      console.log(VERSION);
      return;
    case "send":
      await send(args, new Messages(program, args.verbosity));
      return;
    case "connect":
      return;
    case "server": {
      const messages = new Messages(program, args.verbosity);
      const listener = await openListener(args);
      if ("names" in args.task) {
        await new LogServer(args, args.task, listener, messages).run();
      }
      return;
    }
  }
}

/**
 * Runs the program.
 *
 * @param args Its arguments
 * @param program The name it was started under
 * @returns Its exit code
 */
export async function main(
  args: readonly string[],
  program = "socklog-tcp",
): Promise<number> {
  const diagnostics = new Diagnostics(program);
  let quiet = false;
  try {
    const parsed = parseArguments(args, program);
    quiet = "verbosity" in parsed && parsed.verbosity === Verbosity.Quiet;
    await carryOut(parsed, program);
    return 0;
  } catch (error) {
    if (error instanceof ArgumentError) {
      if (error.message !== "") diagnostics.say(error.message);
      diagnostics.say(`usage: ${program} ${error.usage}`);
      return 100;
    }
    if (error instanceof Unreachable) return error.exitCode;
    if (error instanceof Fatal) {
      if (!quiet) diagnostics.say("fatal: ", error);
      return error.exitCode;
    }
    // Nothing else is expected; what it is, is all that can be said.
    const text = error instanceof SysError ? error.message : String(error);
    diagnostics.say("fatal: ", text.split("\n")[0]);
    return 111;
  }
}

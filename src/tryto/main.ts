/**
 * tryto: runs a program with a time limit and a number of tries, and keeps the
 * log when it fails.
 *
 * @module
 */
import { encode } from "../bytes.ts";
import { Diagnostics, PatientDiagnostics } from "../diagnostics.ts";
import { UsageError } from "../getopt.ts";
import { inOneLine, TROUBLE } from "../program.ts";
import { dup2, isInherited, setCloseOnExec } from "../sys/descriptors.ts";
import { errorNumber, SysError } from "../sys/errors.ts";
import { mayHaveBeenClosed } from "../sys/files.ts";
import { setChildSubreaper } from "../sys/process.ts";
import { onTermination, settleSignals } from "../sys/signals.ts";
import { writeAll } from "../sys/write_all.ts";
import { VERSION } from "../version.ts";
import { HELP, parseArguments, USAGE } from "./arguments.ts";
import {
  Killed,
  Signals,
  type Surroundings,
  Tries,
  type TrytoOptions,
} from "./tries.ts";

const EBADF = errorNumber("EBADF");
/** The exit code for wrong usage, as in the original. */
const WRONG_USAGE = 1;

/** tryto as a program of its own. */
const OWN: Surroundings = {
  log: 0,
  output: 1,
  errors: 2,
  state: 4,
  newstate: 5,
  fds: new Map(),
  without: [],
  beforeGroupEnds: setChildSubreaper,
};

/**
 * Runs tryto.
 *
 * @param args Its arguments
 * @returns Its exit code
 */
export async function tryto(args: readonly string[]): Promise<number> {
  const diagnostics = new Diagnostics("tryto");
  if (args[0] === "--help" || args[0] === "--version") {
    const text = args[0] === "--help" ? HELP : `tryto ${VERSION}\n`;
    return diagnostics.print(text);
  }
  let options: TrytoOptions;
  try {
    options = parseArguments(args);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    if (error.message !== "") diagnostics.say(error.message);
    writeAll(2, encode(USAGE));
    return WRONG_USAGE;
  }
  try {
    if (options.processor) takeDescriptors();
    if (options.processor && mayHaveBeenClosed(1)) {
      throw new Error("standard output is closed");
    }
  } catch (error) {
    diagnostics.say("fatal: ", error);
    return TROUBLE;
  }
  const signals = new Signals();
  onTermination((name) => signals.add(name));
  settleSignals();
  return await tryOut(options, OWN, signals);
}

/** Makes 5 standard error, and keeps prog from inheriting 4 and 5. */
function takeDescriptors(): void {
  for (const fd of [4, 5]) {
    if (!isInherited(fd)) {
      throw new Error(
        `unable to use descriptor ${fd}: ${new SysError(EBADF).message}`,
      );
    }
    setCloseOnExec(fd);
  }
  dup2(5, 2);
}

/**
 * Makes all tries, and writes a message about trouble of tryto's own. When this
 * returns, every descriptor that it opened is closed, and nothing runs any more
 * but processes that prog itself has left.
 *
 * @param options The options, and the program
 * @param around The descriptors
 * @param signals Gets the signals that arrive meanwhile
 * @returns tryto's exit code
 * @throws {Killed} When tryto was killed, inside multilog
 */
export async function tryOut(
  options: TrytoOptions,
  around: Surroundings,
  signals: Signals,
): Promise<number> {
  try {
    using tries = new Tries(options, around, signals);
    return await tries.run();
  } catch (error) {
    if (error instanceof Killed) throw error;
    around.onFailure?.(inOneLine(error));
    const fd = options.processor ? around.newstate : around.errors;
    const diagnostics = new PatientDiagnostics("tryto", fd);
    await diagnostics.say("fatal: ", inOneLine(error));
    return TROUBLE;
  }
}

/**
 * Keeps a log without having run prog, and leaves a notice, as after a failure.
 *
 * @param options The options, and the program
 * @param around The descriptors
 * @param reason Why prog isn't run, for the notice
 * @throws {Error} When the log can't be kept, or the notice can't be written
 */
export async function keepUntried(
  options: TrytoOptions,
  around: Surroundings,
  reason: string,
): Promise<void> {
  using tries = new Tries(options, around, new Signals());
  await tries.keepUntried(reason);
}

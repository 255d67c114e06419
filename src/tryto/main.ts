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
import { HELP, parseArguments, type TrytoOptions, USAGE } from "./arguments.ts";
import { Attempts, Killed, Signals, type Surroundings } from "./tries.ts";

const EBADF = errorNumber("EBADF");
/** The exit code for wrong usage, as in the original. */
const WRONG_USAGE = 1;

/** What a program has. */
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

/** Makes 5 standard error; prog gets neither 4 nor 5. */
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
 * Does what tryto is asked to do, whatever happens, and tells of its own
 * trouble. What is opened is closed, and only what prog itself leaves running
 * runs on.
 *
 * @param options What it is asked to do
 * @param around The descriptors
 * @param signals Which signals arrive
 * @returns tryto's exit code
 * @throws {Killed} When it was killed
 */
export async function tryOut(
  options: TrytoOptions,
  around: Surroundings,
  signals: Signals,
): Promise<number> {
  try {
    using attempts = new Attempts(options, around, signals);
    return await attempts.run();
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
 * Keeps a log untried, as a failure would, and leaves a notice of it.
 *
 * @param options What it is asked to do
 * @param around The descriptors
 * @param reason Why it isn't tried
 * @throws {Error} When it can't be kept, or nobody would be told
 */
export async function keepUntried(
  options: TrytoOptions,
  around: Surroundings,
  reason: string,
): Promise<void> {
  using attempts = new Attempts(options, around, new Signals());
  await attempts.keepUntried(reason);
}

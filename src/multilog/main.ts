/**
 * multilog: the main loop. Everything that can happen, input, a signal, the
 * end of a processor, a file that got old enough, arrives at its one wait.
 *
 * @module
 */
import { Diagnostics } from "../diagnostics.ts";
import type { AlarmClock } from "../sys/alarm_clock.ts";
import { EAGAIN, isSeekable, read, setPipeSize } from "../sys/descriptors.ts";
import { SysError } from "../sys/errors.ts";
import { umask } from "../sys/files.ts";
import { shortage } from "../sys/limits.ts";
import { Poller, READABLE, WRITABLE } from "../sys/poll.ts";
import { listen, seeSignals, settleSignals } from "../sys/signals.ts";
import { VERSION } from "../version.ts";
import { nextExpiry, untilDue } from "../log/due.ts";
import type { FindProcessor } from "../log/processor.ts";
import { descriptorsFor, ScriptRunner } from "./script_runner.ts";
import { parseScript } from "./script.ts";
import { Retrier, StartError } from "../log/retrier.ts";

const INPUT = 0;
const STANDARD_ERROR = 2;
/** No descriptor: nothing is found there. */
const NOTHING = -1;
/** A read of so many bytes shows that the pipe was full. */
const FULL_PIPE = 64 * 1024;
/**
 * The size that a full pipe is given, in bytes: what is read at once. The kernel
 * gives each user 64 MiB for pipes, other programs' included.
 */
const WIDE_PIPE = 256 * 1024;

/** How long a processor may have to wait for lines that come, milliseconds. */
const TURN = 1;

/** How many bytes of data it may take, all that the runtime has included. */
const DATA = 650_000_000;
/** What the command line can ask for instead of a script. */
export const HELP = `usage: multilog script
       multilog --status dir... [--older sec] [--json | --metrics]
       multilog --follow dir... [-n lines] [--local]     what comes to them
       multilog --cat dir... [--since time] [--until time] [--local]

Reads lines from standard input and appends selected ones to rotated logs. Each
argument is one action; they are carried out in order for each line.

  t  T  i      (first) begin lines with TAI64N, seconds since 1970, ISO 8601
  -pattern     deselect lines that match     (a star matches anything up to
  +pattern     select lines that match        the character after it)
  F  R  S      patterns after it are fnmatch(3)'s, grep -E's, as above again
  e            print selected lines to standard error (200 bytes of each)
  =file        keep the newest selected line in file (1000 bytes of it)
  ./dir  /dir  append selected lines to the log in dir; @dir: in dir/host
for the directories that follow:
  ssize  asec  finish current at size bytes (99999), or when it is sec old
  nnum   d     keep num files (10); d: when all wait, remove the oldest
  bbytes  ksec  keep fewer bytes in old files, and none older than sec seconds
  wcode        names of finished files end in .code             (.s)
  !processor   filter each finished file through sh -c processor

TERM: finish the line in hand and exit. ALRM: finish each current now.
Exits 0 at the end of input or on TERM, 111 when it can't start.
`;

/**
 * Runs multilog.
 *
 * @param args Its arguments: the script
 * @param _name The name that it was started under
 * @param find What carries out a processor; `sh -c` unless given
 * @returns Its exit code
 */
export async function multilog(
  args: readonly string[],
  _name = "multilog",
  find?: FindProcessor,
): Promise<number> {
  const diagnostics = new Diagnostics("multilog");
  if (args.length === 1 && args[0] === "--help") {
    return diagnostics.print(HELP);
  }
  if (args.length === 1 && args[0] === "--version") {
    return diagnostics.print(`multilog ${VERSION}\n`);
  }
  // Loaded only now, since a log that starts has no use for them.
  if (args[0] === "--status") {
    const { showStatus } = await import("./status.ts");
    return showStatus(args.slice(1), diagnostics);
  }
  if (args[0] === "--cat") {
    const { cat } = await import("./cat.ts");
    return cat(args.slice(1), diagnostics);
  }
  if (args[0] === "--follow") {
    const { follow } = await import("./follow.ts");
    return await follow(args.slice(1), diagnostics);
  }
  umask(0o022);
  const script = parseScript(args);
  for (const warning of script.warnings) diagnostics.warn(warning);

  const poller = new Poller(3);
  const wake = () => poller.wake();
  const retrier = new Retrier((message) => diagnostics.warn(message));
  let terminating = false;
  let rotating = false;
  let runner: ScriptRunner | undefined;
  listen("SIGTERM", () => {
    terminating = true;
    retrier.hurry();
    runner?.terminate();
    poller.wake();
  });
  listen("SIGALRM", () => {
    rotating = true;
    retrier.hurry();
    poller.wake();
  });

  settleSignals();

  const carryOut = async (runner: ScriptRunner): Promise<number> => {
    const { engine, logs, alerts } = runner;
    const space = engine.space();
    const expires = script.actions.some((action) =>
      action.kind === "log" && action.settings.keepSeconds !== undefined
    );
    const alarm = expires ? await makeAlarm(diagnostics) : undefined;
    let wide = false;
    /** Until when lines may keep the event loop from turning. */
    let turnBy = 0;
    while (true) {
      if (rotating) {
        rotating = false;
        // At once: each may have to wait for its disk.
        await Promise.all(logs.map((log) => log.rotate()));
      }
      if (terminating && engine.atLineStart()) return 0;
      for (const log of logs) {
        if (log.due()) await log.attend();
        if (expires && log.hasExpired()) await log.expire();
      }
      alarm?.set(nextExpiry(logs));
      const due = untilDue(logs);
      poller.set(0, runner.room() > 0 ? INPUT : NOTHING, READABLE);
      poller.set(2, alarm?.fd ?? NOTHING, READABLE);
      poller.set(1, alerts.waiting ? STANDARD_ERROR : NOTHING, WRITABLE);
      if (runner.waiting && !poller.look()) await runner.flush();
      // A processor's end comes through the event loop, and so does that of a
      // sync; signals don't need it.
      const processing = logs.some((log) => log.processing());
      if (processing) {
        // A turn of it takes longer than many a line.
        if (performance.now() >= turnBy || !poller.look()) {
          await poller.wait(due);
          turnBy = performance.now() + TURN;
        }
      } else {
        const wait = poller.waitHere(due);
        if (wait) await wait;
      }
      if (poller.found(1) !== 0) alerts.flush();
      if (poller.found(2) !== 0) alarm?.take();
      // What came before ALRM is in the file that it finishes.
      if (poller.found(0) === 0) continue;
      if (terminating && engine.atLineStart()) continue;
      // After TERM the line in hand is finished, and not a byte more is taken.
      let most = terminating ? 1 : runner.most();
      while (most > 0) {
        const n = read(INPUT, space, most);
        if (n === 0) {
          // Who sends ALRM and then closes the pipe means it.
          await seeSignals();
          if (rotating) break;
          return 0;
        }
        if (n === -EAGAIN) break;
        if (n < 0) {
          diagnostics.say("fatal: unable to read input: ", new SysError(-n));
          return 111;
        }
        if (n >= FULL_PIPE && !wide) {
          wide = true;
          setPipeSize(INPUT, WIDE_PIPE);
        }
        let wait = engine.push(n);
        if (wait) await wait;
        if (wait || processing) break;
        // Lines that come one by one take less of the processor so.
        most = runner.rest(most - n);
        if (most === 0) break;
        wait = poller.waitHere();
        if (wait) await wait;
        if (wait || poller.found(0) === 0) break;
      }
    }
  };

  try {
    const descriptors = descriptorsFor(script);
    const little = shortage({ descriptors, data: DATA });
    if (little !== undefined) throw new StartError(little, { code: "EMFILE" });
    // What was read of a file, and is lost by a kill, nobody reads on after.
    const late = isSeekable(INPUT);
    runner = await ScriptRunner.open(
      script,
      retrier,
      wake,
      find,
      "multilog",
      late,
    );
    if (terminating) runner.terminate();
    const opened = runner;
    const code = await carryOut(opened).catch(async (error) => {
      // The others shall end well, and no processor go on beside the next run.
      opened.terminate();
      await opened.close().catch(() => {});
      throw error;
    });
    await opened.close();
    return code;
  } catch (error) {
    if (!(error instanceof StartError)) throw error;
    diagnostics.say("fatal: ", error);
    return 111;
  }
}

/** What wakes the main loop when an old file is too old. */
async function makeAlarm(
  diagnostics: Diagnostics,
): Promise<AlarmClock | undefined> {
  const { AlarmClock } = await import("../sys/alarm_clock.ts");
  try {
    return new AlarmClock();
  } catch (error) {
    if (!(error instanceof SysError)) throw error;
    // Whenever lines come, and files are finished, is often enough for most.
    diagnostics.warn("unable to wait for old files' age: ", error);
    return undefined;
  }
}

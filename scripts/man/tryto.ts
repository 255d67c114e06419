/**
 * The manual page of tryto.
 *
 * @module
 */
import { HELP } from "../../src/tryto/arguments.ts";
import type { Page } from "./page.ts";

/** The page. */
export const tryto: Page = {
  name: "tryto",
  part: 1,
  summary: "run a program with a time limit and a number of tries",
  help: HELP,
  sections: [
    {
      title: "DESCRIPTION",
      text: `
\`tryto\` runs _prog_ with its own standard input as its input. When _prog_ exits
with another code than 0, it sleeps for a second, and runs _prog_ again, with all
of the input. It takes the place of socklog's tryto(1). Where it differs, this
page says "Different from the original".

Different from the original: when standard input is a pipe, what was read of it
is kept for the next try, in memory at first and then in a file without a name;
the original tries again with what is left. _prog_'s exit code alone decides: the
original takes it for a failure (111) when _prog_ exits 0 without having read
everything.`,
    },
    {
      title: "OPTIONS",
      items: [
        {
          tag: "-t seconds",
          text: `The second between two tries counts, too.

Different from the original: the limit holds also for a _prog_ that has stopped
reading, for which the original waits for ever.`,
        },
        { tag: "-k kseconds", text: "" },
        {
          tag: "-n tries",
          text: "At least one try is made, also with `-n 0`.",
        },
        {
          tag: "-P",
          text: `So TERM and KILL reach what _prog_ has started, too.

Different from the original: a group that is still there when _prog_ itself has
ended on TERM gets KILL, too.`,
        },
        {
          tag: "-v",
          text:
            `Without it only the end is told: the time limit, or the last of the tries.

Different from the original: a _prog_ that a signal has ended is told without
\`-v\`, too.`,
        },
        { tag: "-p", text: "See below." },
        {
          tag: "-V",
          text: "Prints the version and the usage, and exits 1.",
        },
        { tag: "--help", text: "Different from the original: a summary." },
        { tag: "--version", text: "Different from the original: the version." },
      ],
      more: `
As in the original, 0 and what is no number are the default for \`-t\` and \`-k\`.`,
    },
    {
      title: "PROCESSORS",
      text: `
With \`-p\` it is a processor of multilog(8) or svlogd(8), in whose words
descriptor 0 is the log, 1 what becomes of it, 4 the state that the last run has
left, and 5 the one that this run leaves.

Descriptor 5 becomes standard error, for \`tryto\` and for _prog_. _prog_ reads all
of 4, and then all of 0: so the log server gets the notices of all files that were
kept since the last delivery, before the next file.

When _prog_ fails for good, everything on 0 goes to 1, the reason goes to 5, and
the exit code is 0: the file is kept as an old file, and tried no more. When
_prog_ succeeds, nothing goes to 1, and the old file is empty.

Without \`-p\` a failure is a failure of multilog's processor, so the file waits,
and is sent later: use \`-p\` only where files that can't be sent are to stay on
this machine.

Different from the original: the notices are those of all files that were kept
since the last delivery, each with its bytes, its directory and time, the reason,
and since when. Beyond 64 KiB the middle is left out and counted.

Different from the original: after any failure the _whole_ log is on 1. After a
time-out the original loses what _prog_ had read by then. Each try gets all of 4;
the original sends it with the first try only.`,
    },
    {
      title: "SIGNALS",
      text: `
Different from the original, which ends at once on TERM while _prog_ goes on:
on TERM, INT or HUP, _prog_ gets TERM, and \`-k\` seconds later KILL. With \`-p\` the
log goes to 1, unless there is a second signal. The exit code is 111, so that
multilog tries again.`,
    },
    {
      title: "EXIT CODES",
      text: `
0 when _prog_ exits 0, and with \`-p\` also when the log is kept. 100 for the time
limit. _prog_'s last exit code when the tries are used up; 128 and the signal's
number when a signal ended it. 111 for trouble of its own. 1 for wrong usage.`,
    },
    {
      title: "EXAMPLES",
      text: `
Send each finished file of a log to a log server, with five tries and three
minutes at the most before multilog pauses and starts again:

    multilog t n2000 '!tryto -v socklog-tcp send -a 192.0.2.1 10116' ./main`,
    },
    {
      title: "SEE ALSO",
      text: "multilog(8), socklog-tcp(8), svlogd(8)",
    },
  ],
};

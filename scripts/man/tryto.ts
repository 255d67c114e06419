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
          text: "One is made whatever is said.",
        },
        {
          tag: "-P",
          text: `So TERM and KILL reach what _prog_ has started, too.

Different from the original: a group that is still there when _prog_ itself has
ended on TERM gets KILL, too.`,
        },
        {
          tag: "-v",
          text: `The time limit, and that tries are used up, is always told.

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
of 4, and then all of 0: so the log server gets the notices of the last failure
together with the next log that it gets.

When _prog_ fails for good, everything on 0 goes to 1, the reason goes to 5, and
the exit code is 0: the log is kept, and tried no more. With one that succeeds,
nothing goes to 1, and the old file is empty.

Different from the original: after any failure the _whole_ log is on 1. After a
time-out the original loses what _prog_ had read by then. Each try gets all of 4;
the original sends it with the first try only.`,
    },
    {
      title: "SIGNALS",
      text: `
Different from the original, which ends at once on TERM and leaves _prog_ behind:
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
Send each finished file of a log to a log server, five times at the most, in
three minutes at the most:

    multilog t '!tryto -pv socklog-tcp send 192.0.2.1 10116' ./main`,
    },
    {
      title: "SEE ALSO",
      text: "multilog(8), socklog-tcp(8), svlogd(8)",
    },
  ],
};

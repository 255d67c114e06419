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
\`tryto\` runs _prog_ with standard input as _prog_'s input. When _prog_'s exit code
isn't 0, \`tryto\` sleeps for a second, and runs _prog_ again, with all of the input.
It takes the place of socklog's tryto(1). Where it differs, this page says
"Different from the original".

Different from the original: when standard input is a pipe, everything read from it
is kept for the next try, at first in memory and then in a file without a name; the
original tries again with what is left in the pipe. _prog_'s exit code alone decides:
when _prog_ exits 0 without having read everything, the original takes that for a
failure (111).`,
    },
    {
      title: "OPTIONS",
      items: [
        {
          tag: "-t seconds",
          alone: true,
          text:
            `The time limit for all tries together, the second between two tries
included. (180) Then _prog_ gets TERM.

Different from the original: the limit also holds when _prog_ has stopped reading;
the original then waits for ever.`,
        },
        {
          tag: "-k kseconds",
          alone: true,
          text: "KILL follows this many seconds after TERM. (5)",
        },
        {
          tag: "-n tries",
          text: "At least one try is made, also with `-n 0`.",
        },
        {
          tag: "-P",
          text:
            `So TERM and KILL also reach the processes that _prog_ has started.

Different from the original: if processes of the group still run after _prog_ itself
has ended on TERM, they get KILL, too.`,
        },
        {
          tag: "-v",
          text:
            `Without it there is a message only when \`tryto\` gives up, at the time limit
or after the last try.

Different from the original: without \`-v\` there is also a message when a signal has
ended _prog_.`,
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
As in the original, \`-t 0\` and \`-k 0\` stand for the default. Different from the
original: what isn't a number is refused.`,
    },
    {
      title: "PROCESSORS",
      text: `
With \`-p\`, \`tryto\` is a processor of multilog(8) or svlogd(8). These give it the log on
descriptor 0, what the last run has left on 4, and two files to write: on 1 what becomes
the old file, and on 5 what the next run finds on 4.

Descriptor 5 becomes standard error, for \`tryto\` and for _prog_. _prog_ reads all of
4, and then all of 0: so, before the next file, the log server gets a notice of each
file that was kept since the last file was sent.

When _prog_ fails for good, everything on 0 is copied to 1, the reason goes to 5, and
the exit code is 0: the file is kept as an old file, and not tried again. When _prog_
succeeds, nothing goes to 1, and the old file is empty.

Without \`-p\` a failure is a failure of multilog's processor, so the file waits, and is
sent later. Use \`-p\` only where files that can't be sent are to stay on this machine.

Different from the original: there are notices of all files that were kept since the
last file was sent, not only of the last one. Each says how many bytes of which
directory and file were kept, since when, and why. Of more than 64 KiB the middle is
left out, and its bytes are counted.

Different from the original: after any failure the _whole_ log is on 1. After a time-out
the original loses what _prog_ had read by then. Each try gets all of 4; in the original
only the first try does.`,
    },
    {
      title: "SIGNALS",
      text: `
On TERM, INT or HUP, _prog_ gets TERM and, \`-k\` seconds later, KILL. With \`-p\` the log
is then copied to 1, which a second signal stops. The exit code is 111, so that multilog
tries again. Different from the original, which ends at once on TERM, while _prog_ goes
on.`,
    },
    {
      title: "EXIT CODES",
      text: `
0 when _prog_ exits 0, and with \`-p\` also when the log is kept. 100 for the time
limit. _prog_'s last exit code when the tries are used up; when a signal ended it, 128
plus the signal's number. 111 for trouble of \`tryto\`'s own. 1 for wrong usage.`,
    },
    {
      title: "EXAMPLES",
      text: `
Send each finished file of a log to a log server. After five tries, or three minutes,
multilog pauses and starts \`tryto\` again:

    multilog t n2000 '!tryto -v socklog-tcp send -a 192.0.2.1 10116' ./main`,
    },
    {
      title: "SEE ALSO",
      text: "multilog(8), socklog-tcp(8), svlogd(8)",
    },
  ],
};

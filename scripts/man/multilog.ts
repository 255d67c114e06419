/**
 * The manual page of multilog.
 *
 * @module
 */
import { HELP } from "../../src/multilog/main.ts";
import type { Page } from "./page.ts";

/** The page. */
export const multilog: Page = {
  name: "multilog",
  part: 8,
  summary: "append selected lines to automatically rotated logs",
  help: HELP,
  sections: [
    {
      title: "DESCRIPTION",
      text: `
\`multilog\` reads lines from standard input and appends those that are selected
to any number of logs. It takes the place of daemontools' multilog(8): scripts,
files, messages and exit codes are the same. Where it differs, this page says
"Different from the original".

A _script_ is any number of arguments, and each of them is one action. For each
line all actions are carried out, in their order. In a shell, quote them.

A last line without a newline gets one.

Everything that was read has been written before \`multilog\` waits for more.`,
    },
    {
      title: "SELECTING LINES",
      text: "At first each line is selected.",
      items: [
        { tag: "-pattern", text: "Others stay as they are." },
        { tag: "+pattern", text: "Others stay as they are." },
        {
          tag: "F",
          text: `As in daemontools-encore, the patterns that follow are those of
fnmatch(3), without flags: \`*\` matches any string, \`?\` any byte, \`[a-z]\` one of
several, and a backslash takes the meaning from what follows it.`,
        },
        {
          tag: "R",
          text:
            `The patterns that follow are extended regular expressions, as in
grep(1) with \`-E\`, which may match anywhere in the line; there are no references
back, and braces hold at most 255.`,
        },
        { tag: "S", text: "The patterns that follow are simple again." },
      ],
      more: `
In a pattern, a star at the end matches anything; a star followed by a
character matches any string without that character; anything else matches
itself. The pattern must match the whole line, of which only the first 1000
bytes are looked at, the timestamp included.

    multilog t '-*' '+* fatal: *' ./main

logs the lines that begin, after the timestamp, with a word and \`fatal:\`.

All are of bytes, not of characters.

    multilog '-*' R '+(error|fatal): [0-9]+' ./main

Patterns are all matched at the same time, in one step for each byte of a line,
however many there are, and no line takes longer than its length.`,
    },
    {
      title: "TIMESTAMPS, ALERTS AND STATUS FILES",
      items: [
        {
          tag: "t",
          text:
            `As the first action only. The line begins with \`@\`, 24 hexadecimal digits of TAI64N, and
a space. tai64nlocal(8), or \`multilog --follow\` _dir_ \`--local\`, shows local time.

The timestamps of lines that are read at once may be only nanoseconds apart; none
is earlier than the one before it, unless the clock was set back.`,
        },
        {
          tag: "T",
          text:
            `As the first action only, and as in daemontools-encore. The line
begins with the seconds since 1970, a dot, six digits, and a space.`,
        },
        {
          tag: "i",
          text:
            `As the first action only. The line begins with the time in UTC as ISO
8601 has it, \`2026-11-27T02:36:15.123456Z\`, and a space. With \`T\` and \`i\`, lines
that are read at once have the same timestamp.

Different from the original, which has no such action, and ignores it.`,
        },
        {
          tag: "e",
          text: "Of a longer line the first 200 bytes are followed by `...`.",
        },
        {
          tag: "=file",
          text: `It is padded with newlines to 1001 bytes, and written over the
beginning of the file. The file isn't synced.

Different from the original: of lines that are read at once only the last one is
written.`,
        },
      ],
    },
    {
      title: "LOGS",
      items: [
        {
          tag: "./dir /dir",
          text: `Any name that begins with a dot or a slash. It is made where
there is none, with mode 0700. Only one process at a time may write to a log,
and only one action: the file \`lock\` in it is locked (flock(2)).`,
        },
        {
          tag: "@dir",
          alone: true,
          text:
            `A log for each host: each line goes to the log in _dir_\`/\`_name_,
which is made when the first such line comes. The _name_ is what stands before the
line's first \`: \` (a colon and a space), after the timestamp: with
socklog-tcp(8) the host. It has at most 128 bytes, letters, digits, \`.\`, \`-\`,
\`_\` and \`:\`, and doesn't begin with a dot; all other lines go to
_dir_\`/other\`. So do those of a _name_ whose log can't be opened, because it is a
file or another process writes to it: a warning says so, and it is tried again
after a minute. After 4096 names the lines of new ones do, with one warning.
No line takes longer for there being many logs.

Settings, rotation, age, waiting files and signals are as for one log each; what
an earlier run left of any _name_ is processed, too. At most 8 processors run at a
time. At most 500 logs are open at a time, with two descriptors each, or fewer
where the limit is lower (\`ulimit -n\`): a log that has had no line for 10 seconds
is closed, and is as after TERM. Where more than that get lines at the same time, a
log may also be left as KILL leaves it, until its next line or for those 10 seconds.

_dir_ itself is locked, so that only one process has logs for hosts in it.

Lines of a regular file, where the script has no \`e\` and \`=\`, are written when
there are 4 MiB of them.

Different from the original, which has no such action, and ignores it.`,
        },
        {
          tag: "ssize",
          text: `For the logs that follow. \`current\` is big enough when it has
_size_ bytes, 4096 to 16777215, or when it ends with a newline and has at most
2000 bytes less. It never has more. (99999)`,
        },
        {
          tag: "nnum",
          text:
            `For the logs that follow. There are at most _num_ files, \`current\`
included, 2 or more: when there are more old files, those with the smallest names
are removed, but none that waits for the processor. (10)

Different from the original: a file without a byte, which is what remains of one
that was sent, is removed before any that has lines.`,
        },
        {
          tag: "bbytes",
          text:
            `For the logs that follow. While the log's old files have _bytes_
bytes or more together, those that wait included, the one with the smallest name
is removed.

Different from the original, which has no such action, and ignores it.`,
        },
        {
          tag: "ksec",
          text:
            `For the logs that follow. An old file is removed when the time in its
name is more than _sec_ seconds ago. \`multilog\` looks for such files whenever it
finishes one, and otherwise once a minute while one is due.

With \`n\`, \`b\` and \`k\` together a file goes when any of them says so. \`current\`
and what waits for the processor never go. \`b\` and \`k\` without a number
greater than 0 are ignored, with a warning.

Different from the original, which has no such action, and ignores it.`,
        },
        {
          tag: "wcode",
          text:
            `For the logs that follow, and as in daemontools-encore. It may be
empty. It can't contain a slash, or end in \`.u\`, which is for files that wait.`,
        },
        {
          tag: "d",
          alone: true,
          text: `For the logs that follow. When all files wait for the
processor, remove the oldest, with a warning that says how many bytes, instead of
reading no more.

Different from the original, which has no such action, and ignores it.`,
        },
        {
          tag: "asec",
          text:
            `For the logs that follow. \`current\` is finished when its oldest
line is _sec_ seconds old. A log that is continued after a
restart keeps its age: the first line's timestamp tells it, or else the time
when the file was made.

Different from the original, which has no such action, and ignores it.`,
        },
      ],
      more: `
A log is a directory. In it,

\`current\` is the file that is written. Its mode is 0644 while \`multilog\` runs,
and 0744 when it was written to the disk and left complete.

\`@\`_timestamp_\`.s\` is an old file that is complete and on the disk. \`w\` has it
end otherwise.

\`@\`_timestamp_\`.u\` is a file that wasn't processed. It waits for the processor,
or, if there is none, it is being synced, or it wasn't yet when the last run was
cut off; then its end may be missing.

\`lock\`, \`state\`, and, while a processor runs, \`processed\` and \`newstate\` belong
to \`multilog\`. \`failure\` is there while a processor fails: when it failed first, as a
timestamp, and why it failed last.

When \`current\` is big enough it becomes \`@\`_timestamp_\`.u\`, and lines go on
into a new \`current\`, while the file is synced. Then it gets mode 0744, and
without a processor its last name, \`.s\`; and old files go while there are more
than \`n\`.

Different from the original: lines don't wait for that, unless four finished
files are being synced. The directory is synced, too, so that names survive a
power cut. A new name sorts after all that are there, also when the
clock was set back; the original then removes the newest file as the oldest.`,
    },
    {
      title: "PROCESSORS",
      items: [
        {
          tag: "!processor",
          text:
            `For the logs that follow; \`!\` alone is for none. A finished file
waits its turn. \`sh -c\` _processor_ is run in the directory on the oldest waiting
file, one at a time, with descriptor 0 reading that file, 1 writing \`processed\`,
4 reading \`state\`, and 5 writing \`newstate\`.

When it exits 0, \`processed\` becomes the old file, with the time of the one that
it was made of, and \`newstate\` becomes \`state\`. Otherwise \`multilog\` says how
many files and bytes wait, pauses for 5 seconds (up to 60 after repeated
failures; ALRM ends the pause), and runs it again with empty files, for as long
as it takes: see tryto(1).

When as many files wait as \`n\` allows, \`multilog\` reads no more, and the service
which is being logged has to wait; see \`d\`. If the processor is \`tryto -p\`, the
oldest is kept untried instead. Either happens only when the processor has failed,
or has been at a file for a second: a burst is no outage.

A _processor_ without any character that a shell would interpret is carried out
without a shell if it is \`tryto\` or \`socklog-tcp send\` of this same version, and in
\`multilog\`'s own process. Files, messages and limits are the same. \`exec tryto\`
has it run in a process of its own.

Different from the original, which reads nothing while the processor runs, so
that the service stands still. It doesn't process what an earlier run left as
\`.u\`, either.`,
        },
      ],
    },
    {
      title: "WHAT A START FINDS",
      text: `
When \`current\` has mode 0744, it is continued. Otherwise the last run was cut
off: \`state\` and \`newstate\` are removed, and \`current\` becomes an old file with
\`.u\`. If \`processed\` has mode 0744, it becomes an old file with \`.s\`, and the
file that it was made of is removed; else \`processed\` is removed. \`previous\`,
which the original leaves there when it is cut off, becomes an old file with
\`.u\`, unless \`processed\` was made of it. With a processor all \`.u\` files wait
for it, oldest first.`,
    },
    {
      title: "TROUBLE",
      text: `
When writing fails after the start, a full disk for example, \`multilog\` says so
on standard error, pauses for 5 seconds, and tries the same step again. Nothing
is lost or written twice; but nothing is read meanwhile.

Different from the original, which ignores what it doesn't know without a word:
words that are no action, settings that no log follows, and numbers out of range
are ignored or corrected with a warning. \`multilog t log\`, without \`./\`, throws
every line away in both, but here not in silence. It also says which process writes
to a log that is in use, and which directory a user may not enter, read or write
to.

Different from the original: arguments must be UTF-8 (exit code 101), and a
limit on the address space, such as \`softlimit -m\` sets, ends the program at its
start.`,
    },
    {
      title: "SIGNALS",
      text: `
TERM: \`multilog\` reads to the end of the line that it is in, and not a byte more;
then it syncs, and exits 0 within 5 seconds. A processor that runs has 3 of them to
finish. Then it gets TERM, a second later KILL, and its file waits for the next
start. What wasn't read stays in the pipe. Different from the original, which
waits for the processor.

ALRM: each \`current\` that isn't empty is big enough now, and the pauses of
processors end.`,
    },
    {
      title: "LOOKING AT LOGS",
      text: `
Different from the original, \`--status\`, \`--follow\` and \`--cat\` as the first
argument, and \`--help\` and \`--version\` as the only one, aren't patterns. To a
terminal they write control characters as \`\\x1b\`.`,
      items: [
        {
          tag: "--status dir...",
          text:
            `Prints a table of logs: the size of \`current\` and the size at which it
is big enough (\`?\` unless a \`multilog\` writes to it whose arguments the user may
see); how many old files there are, and their bytes; the age of the newest line; the writer's process number, or \`-\`, or \`cut off\`; and for how long a processor
has been \`running\`, \`failing\`, or is \`due\` at the next start. Below, where there is
any of that, stands how many files wait for the processor and their bytes, how
many \`tryto -p\` has kept since it has sent one, why the processor failed last, the
last line of its notes, and which file each of \`n\`, \`b\` and \`k\` removes next, and
when.

Why it failed: for a processor in \`multilog\`'s own process, its own words
(\`connection refused\`); for any other, its exit code or signal.

No lock is taken and no file written. Whether a processor fails is in the file
\`failure\`. The original writes none; there a processor that had to be run again has
failed. tryto(1) says in \`state\` that it kept the log; for how long it has done so
is told no further back than the oldest old file. The exit code is 111
when a directory couldn't be read, or is no log.

A log of \`@dir\` has a writer as long as there is one for _dir_.`,
        },
        {
          tag: "--older sec",
          text:
            `With \`--status\`: only logs whose newest line is older than _sec_ seconds,
or that have none. The exit code is 1 when there is one, and 0 when not.`,
        },
        {
          tag: "--json",
          text: `With \`--status\`: for each log one line of JSON instead, with
\`directory\`, \`current\`, \`limit\`, \`oldFiles\`, \`oldBytes\` (bytes), \`waitingFiles\`,
\`waitingBytes\`, \`keptFiles\` (by \`tryto -p\` since it has sent one),
\`keptBytes\`, \`newest\` (seconds), \`running\` (whether there is a writer), \`writer\` (its process number),
\`cutOff\`, \`processing\`, \`failing\` (seconds), \`cause\`, \`notice\` and \`next\`; \`null\` for what
there isn't, or what can't be known. \`next\` lists what is removed next: \`by\` which
letter, its \`limit\`, the \`file\`, and \`after\` how many more files (\`n\`), bytes (\`b\`)
or seconds (\`k\`).`,
        },
        {
          tag: "--metrics",
          text:
            `With \`--status\`: the same figures in Prometheus' text format, as
gauges that begin with \`multilog_\` and have the directory as a label. Ages are
given as the time that they count from, such as
\`multilog_newest_line_timestamp_seconds\`; what there isn't, or can't be known, is
left out.`,
        },
        {
          tag: "--follow dir...",
          text: `Prints the last 10 lines, and everything that comes, also
when files are finished, processed, or cut off, or when the writer is another
one, until INT or TERM, or until nobody reads it. Of several logs each line is
shown whole, after the name of its directory. Lines that come are shown as they
were written, also where a processor changes them later. When files were finished and removed faster than they could
be opened, it says how many.`,
        },
        {
          tag: "-n lines",
          text:
            `With \`--follow\`: how many lines from before are printed; \`all\`, or
a number. Old files are read, too, and unpacked.`,
        },
        {
          tag: "--cat dir...",
          text:
            `Prints all lines of logs: of the old files in the order of their
names, then of \`current\`. Files that gzip(1) or zstd(1) has compressed, whatever
their names end in, are unpacked by \`gzip -dc\` or \`zstd -dc\`; so

    multilog !gzip wgz ./main

has logs that other programs know, and that \`--cat\` and \`--follow\` read as any
others. What can't be read, or not to its end, is told, in a line each; the
others are read, and the exit code is 111.`,
        },
        {
          tag: "--since time",
          text: `With \`--cat\`: only lines from a time on, and`,
        },
        {
          tag: "--until time",
          text:
            `only lines up to a time, by their timestamps (of \`t\`, \`T\` or \`i\`).
A line without one goes with the line before it. Files whose names say that they
can't have any are not opened, and where lines have no timestamps, the names alone
decide. _time_ is a date, a time of day, or both (\`"2026-11-27 02:36:15"\`), in
local time or, with a \`Z\` at the end, in UTC; or a TAI64N label; or the seconds since
1970.`,
        },
        {
          tag: "--local",
          text:
            `With \`--follow\` and \`--cat\`: a timestamp at a line's beginning is
shown as local time, as tai64nlocal(8) shows it; those of \`T\` and \`i\`, too.
Different from that, anything else that begins with \`@\` stays as it is.`,
        },
        { tag: "--help", text: "Prints a summary." },
        { tag: "--version", text: "Prints the version." },
      ],
    },
    {
      title: "EXIT CODES",
      text: `
0 at the end of input, when what waits was processed, or on TERM. 111 when it can't start, because a log is in
use or can't be opened, without having read anything; or when standard input
can't be read. 100 for a wrong use of \`--status\`, \`--follow\` or \`--cat\`.`,
    },
    {
      title: "EXAMPLES",
      text: `
Log with timestamps; finish each file when it has nearly 1 MB, or is a minute old,
and send it to a log server; up to 2000 files wait when that is away, which is
more than a day's:

    multilog t a60 s999999 n2000 \\
      '!tryto -v socklog-tcp send -a 192.0.2.1 10116' ./main`,
    },
    {
      title: "SEE ALSO",
      text:
        "tryto(1), socklog-tcp(8), logferry-migrate(7), gzip(1), zstd(1), tai64nlocal(8), supervise(8), runsv(8), " +
        "s6-supervise(8)",
    },
  ],
};

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
"Different from the original"; where it has an action that the original doesn't
know, and ignores, it says "Not in the original".

A _script_ is any number of arguments, each of which is one action. For each
line all actions are carried out in order. In a shell, quote them.

If the last line has no newline, it gets one.

Before \`multilog\` waits for more input, it has written everything that it has
read.`,
    },
    {
      title: "SELECTING LINES",
      text: "Each line is selected until an action deselects it.",
      items: [
        { tag: "-pattern", text: "Other lines stay as they are." },
        { tag: "+pattern", text: "Other lines stay as they are." },
        {
          tag: "F",
          text: `As in daemontools-encore, the patterns that follow are those of
fnmatch(3), without flags: \`*\` matches any string, \`?\` any byte, \`[a-z]\` one of
several bytes, and a backslash takes its special meaning from the byte after it.`,
        },
        {
          tag: "R",
          text:
            `The patterns that follow are extended regular expressions, as in
grep(1) with \`-E\`, and may match anywhere in the line. There are no back
references, and a number in braces is at most 255. Not in the original.`,
        },
        { tag: "S", text: "The patterns that follow are simple again." },
      ],
      more: `
In a simple pattern, a star at the end matches anything; a star followed by a
character matches any string without that character; anything else matches
itself. The pattern must match the whole line, timestamp included, of which only
the first 1000 bytes are looked at. For example,

    multilog t '-*' '+* * fatal: *' ./main

logs the lines that have, after the timestamp, one word and then \`fatal:\`, and

    multilog '-*' R '+(error|fatal): [0-9]+' ./main

those that contain one of the two words and a number. Patterns of all kinds match
bytes, not characters.

All patterns are matched at the same time, in one step for each byte of a line: the
time doesn't depend on how many there are.`,
    },
    {
      title: "TIMESTAMPS, ALERTS AND STATUS FILES",
      items: [
        {
          tag: "t",
          text:
            `Only as the first action. Each line gets \`@\`, 24 hexadecimal digits of
TAI64N, and a space before it. tai64nlocal(8), or \`multilog --follow\` _dir_
\`--local\`, shows local time.

Lines that are read by one read(2) get timestamps that may be only nanoseconds
apart. No timestamp is earlier than the one before it, unless the clock was set
back.`,
        },
        {
          tag: "T",
          text:
            `Only as the first action. As in daemontools-encore, each line gets the
seconds since 1970, a dot, six digits, and a space before it.`,
        },
        {
          tag: "i",
          text:
            `Only as the first action. Each line gets the time in UTC, by ISO 8601,
and a space before it: \`2026-11-27T02:36:15.123456Z\`. With \`T\` and \`i\`, lines that
are read by one read(2) get the same timestamp. Not in the original.`,
        },
        {
          tag: "e",
          text: "After the first 200 bytes of a longer line it prints `...`.",
        },
        {
          tag: "=file",
          text:
            `The line is padded with newlines to 1001 bytes, and written over
the beginning of the file. The file isn't synced.

Different from the original: of lines that are read by one read(2), only the last
one is written.`,
        },
      ],
    },
    {
      title: "LOGS",
      items: [
        {
          tag: "./dir /dir",
          text: `Any name that begins with a dot or a slash. If there is no such
directory, it is made, with mode 0700. Only one process at a time can write to a
log, and only by one action: it locks the file \`lock\` in the directory (flock(2)).`,
        },
        {
          tag: "@dir",
          alone: true,
          text:
            `A log for each host. Each line goes to the log _dir_\`/\`_name_, which is
made when its first line comes. The _name_ is the text, after the timestamp, before
the line's first \`: \` (a colon and a space): with socklog-tcp(8), the host. A _name_
has at most 128 bytes, which are letters, digits, \`.\`, \`-\`, \`_\` and \`:\`, and doesn't
begin with a dot. All other lines go to _dir_\`/other\`. So do the lines of a _name_
whose log can't be opened, because it is a file or another process writes to it: a
warning says so, and a minute later it is tried again. After 4096 names the lines of
any new one go there, too, with one warning.

Each log has the settings that are in force; rotation, age, waiting files and signals
are those of any log. Files that an earlier run has left in the log of any _name_ are
processed, too. At most 8 processors run, and at most 500 logs are open, at the same
time; a processor needs ten descriptors, and a log two, so there are fewer where the
limit is low (\`ulimit -n\`). A log without a line for 10 seconds is closed, and is
then as after TERM. When more logs than can be open get lines at the same time, a log
may for up to 10 seconds, or until its next line, be as after KILL.

_dir_ itself is locked, so that only one process has logs for hosts in it.

When standard input is a regular file, and the script has neither \`e\` nor \`=\`,
lines are collected and written in blocks of 4 MiB.

The time for a line doesn't depend on the number of logs. Not in the original.`,
        },
      ],
      more: `
A log is a directory with these files:

\`current\`, which lines are appended to. Its mode is 0644 while \`multilog\` runs, and
0744 when it was left complete and synced to the disk.

\`@\`_timestamp_\`.s\`, an old file: complete, and synced to the disk. With \`w\` it has
another ending.

\`@\`_timestamp_\`.u\`, a file that waits for the processor. Without a processor it is
being synced; or the last run was cut off before it was, and its end may be missing.

\`lock\`, \`state\` and, while a processor runs, \`processed\` and \`newstate\`, which belong
to \`multilog\`.

\`failure\`, while a processor fails: when it first failed, as a timestamp, and why it
failed last.

When \`current\` is big enough it becomes \`@\`_timestamp_\`.u\`, and lines go on into a
new \`current\` while that file is synced. Then the file gets mode 0744 and, without a
processor, its last name, \`@\`_timestamp_\`.s\`; and old files are removed while there
are more than \`n\` allows.

Different from the original: lines don't wait for the sync, unless sixteen finished
files wait for theirs (eight, where the process may not have 8 more descriptors for
each log; four, if \`size\` is more than 1048576). The directory is synced, too, so
that names survive a power cut. A new name sorts after all names that are there, even when the clock was set
back; the original would then remove the newest file as the oldest.`,
    },
    {
      title: "SETTINGS OF LOGS",
      text: `
Each of these holds for the logs after it in the script. The number in parentheses
is the default.`,
      items: [
        {
          tag: "ssize",
          text:
            `\`current\` is big enough when it has _size_ bytes, or when it ends
with a newline and has at most 2000 bytes less. It never has more than _size_ bytes,
which is 4096 to 16777215. (99999)`,
        },
        {
          tag: "nnum",
          text:
            `There are at most _num_ files, \`current\` included; _num_ is 2 or more.
When there are more, the old files with the smallest names are removed, but never
one that waits for the processor. (10)

Different from the original: an empty file, which is what remains of a file that was
sent, is removed before any file with lines.`,
        },
        {
          tag: "bbytes",
          text:
            `While the log's old files, those that wait included, have _bytes_ bytes
or more together, the one with the smallest name is removed. Not in the original.`,
        },
        {
          tag: "ksec",
          text:
            `An old file is removed when the time in its name is more than _sec_
seconds ago. \`multilog\` looks for such files whenever it finishes one, and otherwise
once a minute while one is due. Not in the original.

With \`n\`, \`b\` and \`k\` together, a file is removed as soon as one of them says so.
\`current\` and files that wait for the processor are never removed. \`b\` and \`k\`
without a number greater than 0 are ignored, with a warning.`,
        },
        {
          tag: "wcode",
          text:
            `As in daemontools-encore. _code_ may be empty. It can't contain a slash,
or end in \`.u\`, the ending of files that wait.`,
        },
        {
          tag: "d",
          alone: true,
          text:
            `When as many files wait for the processor as \`n\` allows, remove the
oldest of them, with a warning that says how many bytes it had, instead of reading
no more. Not in the original.`,
        },
        {
          tag: "asec",
          text:
            `\`current\` is also big enough when its oldest line is _sec_ seconds old.
After a restart a log keeps its age, which the first line's timestamp tells or, if it
has none, the time when the file was made. Not in the original.`,
        },
      ],
    },
    {
      title: "PROCESSORS",
      items: [
        {
          tag: "!processor",
          text:
            `This is a setting, too; \`!\` alone stands for no processor. Each finished
file waits for its turn. \`multilog\` runs \`sh -c\` _processor_ in the directory for the
oldest waiting file, one at a time. Descriptor 0 reads that file, 1 writes
\`processed\`, 4 reads \`state\`, and 5 writes \`newstate\`.

When it exits 0, \`processed\` becomes an old file with the timestamp of the file that
it was made of, and \`newstate\` becomes \`state\`. Otherwise \`multilog\` says how many
files and bytes wait, pauses for 5 seconds (up to 60 after repeated failures; ALRM
ends the pause), and runs it again with empty \`processed\` and \`newstate\`, until it
succeeds: see tryto(1).

When as many files wait as \`n\` allows, \`multilog\` reads no more, and the service
that writes the lines has to wait; see \`d\`. If the processor is \`tryto -p\`, the oldest
file is kept untried instead. Neither happens in a mere burst: only when the
processor has failed, or has worked on one file for a second.

If the _processor_ is \`tryto\` or \`socklog-tcp send\` of this same version, and has no
character that a shell would interpret, \`multilog\` carries it out in its own process,
without a shell. Files, messages and limits are the same. With \`exec tryto\` it runs in
a process of its own.

Different from the original, which reads nothing while the processor runs, so that
the service stands still, and which doesn't process the \`.u\` files that an earlier
run has left.`,
        },
      ],
    },
    {
      title: "WHAT A START FINDS",
      text: `
If \`current\` has mode 0744, \`multilog\` appends to it. Otherwise the last run was cut
off: \`current\` becomes an old file with \`.u\`, and \`state\` and \`newstate\` are removed.
If \`processed\` has mode 0744, it becomes an old file with \`.s\`, and the file that it
was made of is removed; otherwise \`processed\` is removed. \`previous\`, which the
original leaves when it is cut off, becomes an old file with \`.u\`, unless
\`processed\` was made of it. With a processor all \`.u\` files wait for it, oldest
first.`,
    },
    {
      title: "TROUBLE",
      text: `
When a write fails after the start, because the disk is full for example, \`multilog\`
says so on standard error, pauses for 5 seconds, and tries the same step again.
Nothing is lost or written twice, but nothing is read meanwhile.

Different from the original, which ignores without a word what it doesn't know:
\`multilog\` warns of words that are no action, of settings that no log follows, and of
numbers out of range, and ignores or corrects them. Both throw every line away with
\`multilog t log\` (no \`./\`), but this one says so. \`multilog\` also says which process writes to
a log that is in use, and which directory the user may not enter, read or write to.

Different from the original: arguments must be UTF-8 (otherwise the exit code is
101), and the program can't start under a limit on the address space, such as
\`softlimit -m\` sets.`,
    },
    {
      title: "SIGNALS",
      text: `
TERM: \`multilog\` reads to the end of the line that it has begun to read, and not a
byte more; what comes after it stays in the pipe. Then it syncs its logs, and exits 0
within 5 seconds. A processor that is running has 3 of these to finish; then it gets
TERM and, a second later, KILL, and its file waits for the next start. Different from
the original, which waits for the processor. While the disk doesn't take what was
read, \`multilog\` doesn't end, since that would be lost.

ALRM: each \`current\` that isn't empty is big enough now, and the pauses of
processors end.`,
    },
    {
      title: "LOOKING AT LOGS",
      text: `
Different from the original: \`--status\`, \`--follow\` and \`--cat\` as the first
argument, and \`--help\` and \`--version\` as the only one, aren't patterns. On a
terminal, control characters are shown as \`\\x1b\`.`,
      items: [
        {
          tag: "--status dir...",
          text:
            `Prints a table of logs: the size of \`current\`, and the size at which it
is big enough (\`?\` unless a \`multilog\` writes to it whose arguments the user may
see); the number and bytes of old files; the age of the newest line; the process id of
the writer, or \`-\`, or \`cut off\`; and for how long a processor has been \`running\` or
\`failing\`, or \`due\` if it runs at the next start. Below each log stand, where there
are any: the number and bytes of files that wait for the processor; how many files
\`tryto -p\` has kept since it last sent one; why the processor failed last; the last
line of its notes; and which file each of \`n\`, \`b\` and \`k\` will remove next, and when.

The reason of a failure is, for a processor in \`multilog\`'s own process, its message
(\`connection refused\`); for any other, its exit code or signal.

No lock is taken, and no file is written. Whether a processor fails is known from the
file \`failure\`. The original writes none; there a processor counts as failing when it
had to be run again. That \`tryto -p\` has kept logs is known from its notices in
\`state\`; since when, only as far back as the oldest old file. The exit code is 111 when
a directory can't be read, or is no log.

A log below \`@dir\` has a writer as long as _dir_ has one.`,
        },
        {
          tag: "--older sec",
          text:
            `With \`--status\`: only the logs whose newest line is older than _sec_
seconds, or that have no line. The exit code is 1 if there is such a log, otherwise
0.`,
        },
        {
          tag: "--json",
          text: `With \`--status\`: one line of JSON for each log instead, with
\`directory\`; \`current\` and \`limit\` (bytes); \`oldFiles\` and \`oldBytes\`; \`waitingFiles\`
and \`waitingBytes\`; \`keptFiles\` and \`keptBytes\` (by \`tryto -p\` since it last sent a
file); \`newest\` (the newest line's age in seconds); \`running\` (whether there is a
writer); \`writer\` (its process id); \`cutOff\`; \`processing\` and \`failing\` (seconds);
\`cause\`; \`notice\`; and \`next\`. What doesn't exist, or can't be known, is \`null\`. \`next\`
lists which file is removed next: \`by\` which letter, its \`limit\`, the \`file\`, and
\`after\` how many more files (\`n\`), bytes (\`b\`) or seconds (\`k\`).`,
        },
        {
          tag: "--metrics",
          text:
            `With \`--status\`: the same figures in Prometheus' text format, as gauges
whose names begin with \`multilog_\`, with the directory as a label. In place of an age
there is the time from which it counts, such as
\`multilog_newest_line_timestamp_seconds\`. What doesn't exist, or can't be known, is
left out.`,
        },
        {
          tag: "--follow dir...",
          text: `Prints the last 10 lines, and then every new line, until INT or
TERM, or until nobody reads its output. It goes on when files are finished,
processed or cut off, and when another writer takes over. With several logs, each
line is printed whole, after the name of its directory. Lines are printed as they were
written, even if a processor changes them later. If files were finished and removed
before they could be opened, it says how many.`,
        },
        {
          tag: "-n lines",
          text:
            `With \`--follow\`: print this many old lines first; a number, or \`all\`. Old
files are read for that, too, and unpacked.`,
        },
        {
          tag: "--cat dir...",
          text:
            `Prints all lines of logs: those of the old files, in the order of their
names, and then those of \`current\`. Files that gzip(1) or zstd(1) has compressed,
whatever their names, are unpacked by \`gzip -dc\` or \`zstd -dc\`. So the old files of

    multilog !gzip wgz ./main

have names that other programs know, and \`--cat\` and \`--follow\` read them as they read
any others. For each file that can't be read, or not to its end, there is a message;
the other files are printed, and the exit code is 111.`,
        },
        {
          tag: "--since time",
          text: `With \`--cat\`: only lines from this time on.`,
        },
        {
          tag: "--until time",
          text: `With \`--cat\`: only lines up to this time.

Both go by the lines' timestamps (of \`t\`, \`T\` or \`i\`). A line without one belongs to
the line before it. Files whose names show that they have no such lines aren't
opened; when no line has a timestamp, the names alone decide. _time_ is a date, a
time of day, or both (\`"2026-11-27 02:36:15"\`), in local time or, with a \`Z\` at the
end, in UTC; or a TAI64N label; or the seconds since 1970.`,
        },
        {
          tag: "--local",
          text:
            `With \`--follow\` and \`--cat\`: a timestamp at a line's beginning is shown
as local time, in the form of tai64nlocal(8); those of \`T\` and \`i\`, too. Unlike
tai64nlocal(8), it changes nothing else that begins with \`@\`.`,
        },
        { tag: "--help", text: "Prints a summary." },
        { tag: "--version", text: "Prints the version." },
      ],
    },
    {
      title: "EXIT CODES",
      text: `
0 at the end of input, after all waiting files were processed, or on TERM. 111 when it
can't start, since a log is in use or can't be opened; nothing was read then. 111 also
when standard input can't be read. 100 for a wrong use of \`--status\`, \`--follow\` or
\`--cat\`.`,
    },
    {
      title: "EXAMPLES",
      text: `
Log with timestamps. Finish each file when it has nearly 1 MB, or is a minute old, and
send it to a log server. While the server is away up to 2000 files wait: those of more
than a day.

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

/**
 * The manual page for users of svlogd, s6-log or daemontools-encore.
 *
 * @module
 */
import type { Page } from "./page.ts";

/** The page. */
export const migrate: Page = {
  name: "logferry-migrate",
  part: 7,
  summary: "from svlogd, s6-log and daemontools-encore to multilog",
  sections: [
    {
      title: "DESCRIPTION",
      text: `
This page says what each line of svlogd's \`config\`, and each word of s6-log's script,
becomes in a script of multilog(8). \`share/doc/logferry/examples\` has run scripts to
compare: in \`svlogd\`, \`svlogd/run\` with its \`config\`, and \`run\`, which takes their
place; in \`s6-log\`, \`s6-log/run\` and \`run\`.

The log directories have the same files. When svlogd or s6-log has ended, \`multilog\`
goes on in the same directory, with the same \`current\`. It ignores a \`config\` there.

In a script of \`multilog\`, \`t\`, \`T\` or \`i\` is the first word, and patterns see the
timestamp. So put \`* \` before a simple pattern that matches from the beginning of the
line, and write \`^[^ ]* \` for the \`^\` of a regular expression.`,
    },
    {
      title: "FROM SVLOGD",
      text: `
\`svlogd\` _log_ \`...\` becomes \`multilog\` _script_ \`/log\`: each line of \`config\` becomes a
word before the directory. Before the words of a second log put \`+*\`, since the patterns
of the first one hold for it, too.`,
      items: [
        {
          tag: "ssize",
          text:
            `\`ssize\`. svlogd's default is \`s1000000\`. \`s0\`, no bound, becomes
\`s16777215\`, the largest.`,
        },
        {
          tag: "nnum",
          text:
            `\`n\` with a number greater by one, since \`current\` counts. \`n0\`, which keeps
all files, becomes a large number, such as \`n1000000\`.`,
        },
        {
          tag: "Nmin",
          text:
            `Nothing. On a full disk \`multilog\` waits, and removes no file to make room.
\`bbytes\` keeps a log small enough beforehand.`,
        },
        { tag: "ttimeout", text: "`asec`." },
        {
          tag: "!processor",
          text:
            `The same. The name of a file that waits ends in \`.u\` until it is processed;
none ends in \`.t\`. With \`!gzip\`, \`wgz\` gives old files the ending that gzip(1) knows.`,
        },
        {
          tag: "ua.b.c.d[:port]",
          text:
            `Not available, nor is \`U\`: nobody notices when a datagram is lost. Instead,
\`!tryto -v socklog-tcp send -a\` _host_ _port_ sends each finished file again and again until
the server has written it; with \`a60\`, a file is finished every minute. For \`U\`, which
keeps no log, use the same with a small \`n\`: a file that was sent leaves only an empty
file.`,
        },
        {
          tag: "pprefix",
          text:
            `Nothing: lines are logged as they were written. \`socklog-tcp\` puts the
sender's address before each line.`,
        },
        {
          tag: "-pattern +pattern",
          text:
            `The same, unless the pattern has a plus, with which svlogd means "one or
more". Then use a regular expression: \`R '+^a+b'\`.`,
        },
        {
          tag: "epattern Epattern",
          text:
            `\`e\` prints the lines that are selected at its place in the script. So write
first what goes to standard error, \`'-*' '+pattern' e\`, and then \`'+*'\` and what goes to
the log.`,
        },
        {
          tag: "-t",
          text: "`t`. With `-tt` and `-ttt`: `i`, ISO 8601 in UTC, too.",
        },
        {
          tag: "-r c -R xyz",
          text:
            `Nothing is replaced in a log. To a terminal, \`multilog --follow\`
and \`--cat\` write control characters as \`\\x1b\`.`,
        },
        {
          tag: "-l len -b buflen -v",
          text:
            `Nothing. Patterns see 1000 bytes, and lines of any length are whole.`,
        },
        {
          tag: "HUP",
          text:
            `Restart \`multilog\` to change its script: \`sv term\`. TERM loses no line.`,
        },
      ],
    },
    {
      title: "FROM S6-LOG",
      text: `
Put \`R\` before the first pattern. Both then use POSIX's extended regular expressions.`,
      items: [
        {
          tag: "+regexp -regexp",
          text: "The same, after `R`, except for the timestamp; see above.",
        },
        {
          tag: "f",
          text:
            `Select all lines, and deselect those that had an action already: \`+ '-first'
'-second'\`.`,
        },
        {
          tag: "nnumber",
          text:
            `\`n\` with a number greater by one, since \`current\` counts. The least is 2, so
\`n0\` becomes \`n2\`.`,
        },
        { tag: "sfilesize", text: "The same, up to 16777215." },
        {
          tag: "Stotalsize",
          text:
            "`b` with a number greater by one, since old files stay below it. Waiting files count.",
        },
        {
          tag: "ltolerance rcooldown",
          text: "Nothing: these are always 2000 bytes and 5 seconds.",
        },
        {
          tag: "Ealertsize ^statussize",
          text: "Nothing: these are always 200 and 1001 bytes.",
        },
        {
          tag: "?processor",
          text:
            `\`!processor\`: both run \`sh -c\`. s6-log gives its own \`!processor\` to
execlineb. If that has only plain words, write the same; otherwise \`!execlineb -Pc\` with
the processor in quotes.`,
        },
        {
          tag: "t",
          text:
            `\`t\`, but as the first word of the script, and for all actions. s6-log's \`T\`
becomes \`i\`, which is in UTC; \`multilog --follow --local\` and \`--cat --local\` show local
time.`,
        },
        {
          tag: "2 e",
          text: "`e`, which prints nothing before the line.",
        },
        {
          tag: "1",
          text: "Nothing: `multilog` writes nothing to standard output.",
        },
        {
          tag: "=statusfile",
          text:
            `The same, but the file is overwritten in place. Its name is relative to the
directory in which \`multilog\` was started.`,
        },
        {
          tag: "-b",
          text:
            "Nothing: \`multilog\` always does that. There is nothing for `-d`, `-p`, `-q`, `-v` and `-l`.",
        },
        {
          tag: "HUP TERM",
          text:
            "TERM does what both do: it ends after the line that it has begun to read.",
        },
      ],
    },
    {
      title: "FROM DAEMONTOOLS-ENCORE",
      text: `
Scripts stay as they are: \`F\`, \`S\`, \`T\` and \`wcode\` are the same. \`s\` is 16777215 at
most, and \`F\` and \`S\` hold for the patterns after them, for all lines.`,
    },
    {
      title: "SEE ALSO",
      text: "multilog(8), tryto(1), socklog-tcp(8), svlogd(8), sv(8)",
    },
  ],
};

/**
 * The manual page for those who come from svlogd, s6-log or daemontools-encore.
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
What a line of svlogd's \`config\`, or a word of s6-log's script, becomes in a
script of multilog(8). Run scripts of both kinds, side by side, are in
\`svlogd\` and \`s6-log\` of \`share/doc/logferry/examples\`: \`svlogd/run\` with its
\`config\`, or \`s6-log/run\`, and \`run\`, which takes its place.

The files of a log directory are alike: \`multilog\` goes on with a directory of
theirs, \`current\` included, once they have ended. A \`config\` in it is ignored.

In all scripts of \`multilog\`, \`t\`, \`T\` or \`i\` is the first word, and patterns see
the timestamp: put \`* \` before a simple pattern that begins with the line, and
\`^[^ ]* \` in place of the \`^\` of a regular expression.`,
    },
    {
      title: "FROM SVLOGD",
      text: `
\`svlogd\` _log_ \`...\` becomes \`multilog\` _script_ \`/log\`, the lines of \`config\` being
words before the directory. For a second log, begin with \`+*\`: what is selected
stays so.`,
      items: [
        {
          tag: "ssize",
          text:
            `\`ssize\`. Write \`s1000000\` for svlogd's default. \`s0\`, no bound,
becomes \`s16777215\`, the largest.`,
        },
        {
          tag: "nnum",
          text:
            `\`n\` with one more, since \`current\` counts. \`n0\`, which keeps all,
becomes a large number, \`n1000000\`.`,
        },
        {
          tag: "Nmin",
          text:
            `Nothing: on a full disk \`multilog\` waits, and removes nothing for it.
\`bbytes\` bounds a log beforehand.`,
        },
        { tag: "ttimeout", text: "`asec`." },
        {
          tag: "!processor",
          text:
            `The same. A file that waits is \`.u\` until it is processed; nothing
is named \`.t\`. \`wgz\` after \`!gzip\` gives the names that gzip(1) knows.`,
        },
        {
          tag: "ua.b.c.d[:port]",
          text:
            `Not taken over, nor \`U\`: a datagram that is lost is lost in silence.
\`!tryto -v socklog-tcp send -a\` _host port_ sends each finished file until the
server has written it; \`a60\` has that be once a minute. \`U\`, which writes no log, is
this with a small \`n\`: what was sent leaves an empty file.`,
        },
        {
          tag: "pprefix",
          text:
            `Nothing: lines are logged as they came. \`socklog-tcp\` puts the
sender's address before each line.`,
        },
        {
          tag: "-pattern +pattern",
          text: `The same, where the pattern has no plus. A plus in it, svlogd's
for "one or more", is a regular expression's: \`R '+^a+b'\`.`,
        },
        {
          tag: "epattern Epattern",
          text:
            `\`e\` prints what is selected where it stands. So first what goes to
standard error, \`'-*' '+pattern' e\`, then \`'+*'\` and what goes to the log.`,
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
            `A changed script is a restart, \`sv term\`: TERM loses no line.`,
        },
      ],
    },
    {
      title: "FROM S6-LOG",
      text: `
Put \`R\` before the first pattern: both have POSIX's extended regular expressions.`,
      items: [
        {
          tag: "+regexp -regexp",
          text: "The same, after `R`, but for the timestamp; see above.",
        },
        {
          tag: "f",
          text:
            `Select all, and take away what had an action: \`+ '-first' '-second'\`.`,
        },
        {
          tag: "nnumber",
          text:
            `\`n\` with one more, since \`current\` counts. It is 2 at least, so
\`n0\` becomes \`n2\`.`,
        },
        { tag: "sfilesize", text: "The same, up to 16777215." },
        {
          tag: "Stotalsize",
          text: "`b` with one more: files stay below it. Waiting files count.",
        },
        {
          tag: "ltolerance rcooldown",
          text: "Nothing: they are 2000 bytes, and 5 seconds.",
        },
        {
          tag: "Ealertsize ^statussize",
          text: "Nothing: they are 200 bytes, and 1001.",
        },
        {
          tag: "?processor",
          text:
            `\`!processor\`: both run \`sh -c\`. s6-log's \`!processor\` is one for
execlineb, which is the same where it has plain words, and otherwise \`!execlineb
-Pc\` with it in quotes.`,
        },
        {
          tag: "t",
          text:
            `\`t\`, but as the first word, and for all actions. Its \`T\` becomes
\`i\`, which is in UTC; \`multilog --follow --local\` and \`--cat --local\` show local
time.`,
        },
        {
          tag: "2 e",
          text: "`e`, which puts nothing before the line.",
        },
        {
          tag: "1",
          text: "Nothing: `multilog` writes nothing to standard output.",
        },
        {
          tag: "=statusfile",
          text:
            `The same; but it is written over in place. Its name is relative to
where \`multilog\` was started.`,
        },
        {
          tag: "-b",
          text:
            "As ever. There is nothing for `-d`, `-p`, `-q`, `-v` and `-l`.",
        },
        {
          tag: "HUP TERM",
          text: "TERM is both: the line in hand is finished.",
        },
      ],
    },
    {
      title: "FROM DAEMONTOOLS-ENCORE",
      text: `
Nothing changes: \`F\`, \`S\`, \`T\` and \`wcode\` are there. \`s\` is 16777215 at most, and
\`F\` and \`S\` hold for the patterns after them, in all lines.`,
    },
    {
      title: "SEE ALSO",
      text: "multilog(8), tryto(1), socklog-tcp(8), svlogd(8), sv(8)",
    },
  ],
};

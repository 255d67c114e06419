/**
 * The manual page of socklog-tcp.
 *
 * @module
 */
import { HELP } from "../../src/socklog/help.ts";
import type { Page } from "./page.ts";

/** The page. */
export const socklogTcp: Page = {
  name: "socklog-tcp",
  part: 8,
  summary: "take log lines from the network, or send them there",
  help: HELP,
  sections: [
    {
      title: "DESCRIPTION",
      text: `
The first form is the log server. It takes the place of

    tcpserver [options] host port socklog ucspi NAME...

and knows the same options: see tcpserver(1) and socklog(8). It writes each line
that it receives to standard output, or to logs of its own. The second form runs
_program_ for each connection, with descriptors 0 and 1 as the network, as
tcpserver(1) does. \`send\` sends standard input to a log server. \`connect\` runs
_program_ with descriptor 6 reading from the network and 7 writing to it, as
tcpclient(1) does.

Where it differs from those programs, this page says "Different from the original";
where it has something that they don't have, it says "Not in the original".

_host_ is a name or an address. For a server, 0 is any address of the machine, and
\`::\` any IPv4 or IPv6 address; for \`send\` and \`connect\`, 0 is 127.0.0.1. _port_ is a
number or a name from services(5); for a server, 0 is any free port.

Under the name \`tcpserver\`, \`tcpclient\` or \`socklog\`, by a link to it for example, it
takes that program's command line.`,
    },
    {
      title: "LINES",
      text: `
A line ends with a newline, with a NUL, or with the end of its connection; empty lines
are dropped. The server writes a line as

    $NAME: facility.priority: line

with the value of each _NAME_ that is set, eight of them at the most. The names of the
facility and the priority replace a \`<\`_number_\`>\` at the line's beginning, if it is a
known one. A _NAME_ is a variable of tcp-environ(5), such as TCPREMOTEIP, or of the
server's own environment. The words after _port_ are taken for a _program_ unless the
first is \`socklog\` or \`ucspi\`, or all are in capitals.`,
      items: [
        {
          tag: "socklog -r",
          text:
            "Write each line twice: first as it was sent, and then as above.",
        },
        {
          tag: "socklog -R",
          text: "Write each line only as it was sent.",
        },
      ],
      more: `
Different from the original, which mixes lines that are long or arrive in pieces:
lines are always whole. A line of more than 65536 bytes is written in pieces of that
length, each of them a line with the same names.

Different from the original: lines go to standard output, and messages to standard
error. With \`exec 2>&1\` in the run script both go to one pipe, as in the original.

Different from the original: one process serves all connections, and its memory is
bounded, whatever the clients send. While standard output takes nothing, nothing is
read, and the clients have to wait. A connection is closed only after its lines were
written.`,
    },
    {
      title: "LOGS",
      text: `
After the last _NAME_ may come \`multilog\` and a script of multilog(8). The server then
writes the lines to the script's logs itself: there is no pipe, and no other multilog.
Everything in the script works as in multilog(8): selection, timestamps, alerts,
rotation, and processors, also those that need no process. ALRM finishes each
\`current\`. Messages about the script and its logs are multilog's, but begin with this
program's name. If a log can't be opened, the exit code is 111. Not in the original.

The logs are opened after the server has become the user and group of \`-U\`, \`-u\` and
\`-g\`, and belong to that user. The directory that a log is made in must belong to that
user, too.

With \`-a\` a transmission is acknowledged when every log that got a line of it is
synced. One sync serves all transmissions that have ended while the sync before it ran;
meanwhile others are read. If a sync fails, all connections are reset, since what they
sent may be lost: their senders send it again.

While a log waits, for its disk or for room in its queue, the senders have to wait.
What can't be written within 3 seconds after TERM isn't acknowledged; the exit code is
then 111.

Under the name \`tcpserver\`, and among the words of a _program_, \`multilog\` is a program
like any other.`,
    },
    {
      title: "DATAGRAMS",
      text: `
\`socklog-tcp unix\` takes the datagrams that syslog(3) sends to the socket _path_, by
default \`/dev/log\`. \`socklog-tcp inet\` takes those of syslog over UDP at _ip_ and
_port_, by default any address and 514; each line then begins with the sender's
address. Both take \`multilog script...\` after their other words; see LOGS. Under the
name \`socklog\` it takes all of socklog(8)'s command line, \`ucspi\` included.

\`-r\` and \`-R\` are as in LINES; a line that is written as it was sent has no address
before it. With \`-U\` the umask applies to the socket; without it every user may send.
When the socket is open, the program becomes the user \`$UID\` and the group \`$GID\`, if
these are set. TERM, INT and HUP end it with exit code 0, after everything that had
arrived was written.

As in the original, only the first 1024 bytes of a datagram are read, and the line of a
longer one ends in \`...\`. Different from the original: every line of a datagram has
the address and the priority of its first line, so that no sender can forge another
host's line; a file that isn't a socket is not removed to make room for one; and there
is a warning that says how many UDP datagrams the kernel had to drop.`,
    },
    {
      title: "OPTIONS OF A SERVER",
      items: [
        { tag: "-c n", text: "More connections wait." },
        {
          tag: "-b n",
          text:
            `The kernel completes this many connections before the server accepts
them. (1024) Different from the original, whose default is 20.`,
        },
        {
          tag: "-x cdb",
          text: `The rules, which tcprules(1) compiles, deny connections or set
variables by a client's address or name. They may be replaced while the server runs.
A client's name is whatever its own name server says, so let nobody in by a name
without \`-p\`. tcprules(1) doesn't know IPv6 addresses, but a file made by cdbmake(1)
may have them: a key is the address, or a part of it that ends in a colon, and the data
is \`D\` to deny, or nothing.`,
        },
        {
          tag: "-X",
          alone: true,
          text:
            "With \`-x\`: when there is no such file, allow all connections.",
        },
        {
          tag: "-B text",
          text: "This is done before names are looked up.",
        },
        {
          tag: "-1",
          alone: true,
          text:
            "Print the port on standard output once the server is listening.",
        },
        {
          tag: "-g gid",
          text: "Become this group once the server is listening.",
        },
        {
          tag: "-u uid",
          text: "Become this user once the server is listening.",
        },
        {
          tag: "-U",
          text: "Like `-g $GID -u $UID`, which envuidgid(8) sets.",
        },
        {
          tag: "-o",
          text: "Replies then take the route that the client has chosen.",
        },
        { tag: "-O", text: "Remove IP options. This is the default." },
        {
          tag: "-p",
          text: `Be paranoid: drop the client's name unless one of the name's
addresses is the client's.`,
        },
        { tag: "-P", text: "Don't be paranoid. This is the default." },
        {
          tag: "-w n",
          text: `The beginning of a line that they have sent is written. Not in
the original.`,
        },
        {
          tag: "-f",
          alone: true,
          text:
            `Read octet-counted messages (RFC 6587), as syslog daemons and routers
send them, on connections whose first bytes are a length and a space before \`<\`.
Other connections are read as ever. Not in the original.`,
        },
        {
          tag: "-a",
          alone: true,
          text:
            `Acknowledge: when a client has closed its side, and all lines of the
connection were written (with a script: synced to the disk), send it the number of
bytes received. Clients that don't expect that ignore it. \`-a\` can't be used with
\`-B\`, whose text would be taken for the acknowledgement. Not in the original.`,
        },
      ],
    },
    {
      title: "OPTIONS OF ALL",
      items: [
        {
          tag: "-v",
          text:
            `Also report the beginning and end of each connection, on standard
error. Different from the original: connections are numbered from 1, where the original
shows process ids.`,
        },
        { tag: "-q", text: "Write no messages, not even about errors." },
        {
          tag: "-Q",
          text: "Write messages about errors. This is the default.",
        },
        {
          tag: "-h",
          text: `Look up the remote host's name, for TCPREMOTEHOST. This is the
default. Different from the original: a log server doesn't look up what no _NAME_, no
rule and no \`-v\` needs.`,
        },
        { tag: "-H", text: "Don't look up the remote host's name." },
        {
          tag: "-r",
          text:
            `Ask the remote host which of its users has made the connection (RFC
1413), for TCPREMOTEINFO. This is the default. Different from the original: a log server
doesn't ask when no _NAME_, no rule and no \`-v\` needs the answer.`,
        },
        { tag: "-R", text: "Don't ask the remote host for the user." },
        {
          tag: "-t n",
          text: "Wait _n_ seconds for the answer about the user. (26)",
        },
        {
          tag: "-l name",
          alone: true,
          text: "This host's name, for TCPLOCALHOST. It isn't looked up then.",
        },
        { tag: "-D", text: "This sets TCP_NODELAY." },
        {
          tag: "-d",
          text: "Let the kernel collect small writes. This is the default.",
        },
        {
          tag: "--help",
          text: "Different from the original: a summary.",
        },
        {
          tag: "--version",
          text: "Different from the original: the version.",
        },
      ],
    },
    {
      title: "OPTIONS OF SEND AND CONNECT",
      items: [
        {
          tag: "-T x+y",
          text:
            `Try each address of the host for _x_ seconds, and then once more,
for _y_ seconds, each that hasn't answered; without \`+\`_y_, only once. (2+58)`,
        },
        { tag: "-i address", text: "The connection's local address." },
        { tag: "-p port", text: "The connection's local port." },
        {
          tag: "-a",
          alone: true,
          text:
            `\`send\` only: fail unless the server acknowledges exactly the number of
bytes that were sent. The server needs \`-a\`, too.`,
        },
        {
          tag: "-z",
          alone: true,
          text:
            `\`send\` only: use TLS. The server's certificate must have _host_, as
it is given, as a subjectAltName, whether that is a name or an address; otherwise nothing
is sent. If _host_ has several addresses, only the first is tried. \`-i\` and \`-p\` can't
be used.`,
        },
        {
          tag: "-C file",
          alone: true,
          text:
            `With \`-z\`: trust only the authorities in this file, in PEM. By
default those in /etc/ssl/certs/ca-certificates.crt, or Fedora's file, are trusted.`,
        },
        {
          tag: "-k file",
          alone: true,
          text: "With `-z` and `-e`: the sender's own key, in PEM.",
        },
        {
          tag: "-e file",
          alone: true,
          text: "With `-z` and `-k`: the certificate for that key, in PEM.",
        },
      ],
      more: `
\`send\` sends all of its input, closes its side of the connection, and succeeds when the
server then closes the other side. It fails when the connection is refused, times out,
is reset, or is closed before everything was sent. Different from the original,
\`tcpclient\` with \`cat >&7\`, which succeeds as soon as the kernel has the bytes, though
they may never arrive.

Without \`-a\`, \`send\` can't know of lines that the server had read, but not yet written,
when it was killed.

The _host_ of \`send\` may be several log servers with commas between them, each with a
port if it has its own: \`192.0.2.1,192.0.2.2:10117\`, or \`[2001:db8::1]:10117\`. They are
tried in turn, each for its share of the time of \`-T\`; messages name the server that they
are about. If standard input is a file, and the transmission to one server fails, the
next server is tried. Inside multilog(8), a server that has failed is tried last for a
minute. Not in the original.`,
    },
    {
      title: "SIGNALS",
      text: `
TERM, INT or HUP: the log server stops listening, writes what it has read, resets the
connections, so that \`send\` fails, and exits 0 within 5 seconds, with its logs synced
and complete. Different from the original, where each connection has a process of its
own, which goes on. A server that runs programs ends on TERM alone, and its programs go
on, as in the original.

ALRM: with a script, the log server finishes each \`current\`.`,
    },
    {
      title: "EXIT CODES",
      text: `
100 for wrong usage, also when the word after _port_ is neither a program nor a _NAME_;
different from the original, where that shows when the first client connects. 111 for
trouble: an address in use, a connection that can't be made, a transmission that
failed, or a standard output that nobody reads. Otherwise 0. The exit code of
\`connect\` is that of _program_, which takes its place.`,
    },
    {
      title: "EXAMPLES",
      text: `
A log server's run script:

    exec envuidgid log socklog-tcp -a -UHR -l0 0 10116 TCPREMOTEIP \\
      multilog s999999 n50 /var/log/logferry/all

A client's log:

    exec setuidgid log multilog t a60 s999999 n2000 \\
      '!tryto -v socklog-tcp send -a 192.0.2.1 10116' ./main`,
    },
    {
      title: "SEE ALSO",
      text: "multilog(8), tryto(1), tcpserver(1), tcpclient(1), socklog(8), " +
        "tcprules(1), tcp-environ(5)",
    },
  ],
};

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
that it gets to standard output. The second form runs _program_ for each
connection, with descriptors 0 and 1 as the network, as tcpserver(1) does.
\`send\` sends standard input to a log server. \`connect\` runs _program_ with
descriptor 6 reading from the network and 7 writing to it, as tcpclient(1) does.

Where it differs from those, this page says "Different from the original".

_host_ is a name or an address; 0 is any address for a server, and 127.0.0.1 for
the others. \`::\` is any address of IPv6, too. _port_ is a number or a name from
services(5); 0 is any free one.

Started under the name \`tcpserver\`, \`tcpclient\` or \`socklog\`, by a link say, it has
that program's command line.`,
    },
    {
      title: "LINES",
      text: `
Lines end with a newline, with a NUL, or with the connection; empty ones are
dropped. A line comes out as

    $NAME: facility.priority: line

with the value of each _NAME_ that is set, eight of them at the most, and
with the names of the facility and the priority in place of a \`<\`_number_\`>\` at
its beginning, where they are known. A _NAME_ is a variable of tcp-environ(5),
such as TCPREMOTEIP, or of the server's own environment. The word after
_port_ is taken for a _program_ unless it is \`socklog\`, \`ucspi\`, or written in
capitals.`,
      items: [
        {
          tag: "socklog -r",
          text: "Write each line once more, as it came.",
        },
        {
          tag: "socklog -R",
          text: "Write each line only as it came.",
        },
      ],
      more: `
Different from the original, which mixes lines that are long or arrive in
pieces: lines are always whole. One of more than 65536 bytes comes out in pieces
of that length, each after the same names.

Different from the original: lines go to standard output, and messages to
standard error. With \`exec 2>&1\` in the run script both go one way, as ever.

Different from the original: all connections are served by one process, whose
memory is bounded, whatever the clients do. While standard output takes nothing,
nothing is read, and the clients have to wait. A connection is closed only after
its lines were written.`,
    },
    {
      title: "LOGS",
      text: `
The words after \`multilog\`, after the last _NAME_, are a script of multilog(8).
The lines go straight into its logs, in this process: there is no pipe, and no
other multilog. Everything that the script may say works as there: selection,
timestamps, alerts, rotation, processors, those inside included. ALRM finishes
each \`current\`. What is wrong with a script or a log is told as multilog tells
it, in this program's name, and where a log can't be opened the exit code is
111. Different from the original, which has no such thing.

The logs are opened after the server has become the user that \`-U\`, \`-u\` and
\`-g\` name, and belong to that user; so must the folder that they are made in.

With \`-a\` a transmission is acknowledged when every log that got a line of it is
synced. There is one sync for all that ended meanwhile, and others are read while
it goes on. Where a sync fails, the connections are reset, since what they sent
may be lost: their senders send it again.

A log that waits, for its disk or for room in its queue, holds the senders. What
still can't be written 3 seconds after TERM isn't acknowledged; the exit code is
then 111.

Under the name \`tcpserver\`, and among the words of a _program_, \`multilog\` is
a program like any other.`,
    },
    {
      title: "DATAGRAMS",
      text: `
\`socklog-tcp unix\` takes the datagrams that syslog(3) sends to the socket
_path_, \`/dev/log\` unless given; \`socklog-tcp inet\` those of syslog over UDP at
_ip_ and _port_, and each line then begins with the sender's address. Started
under the name \`socklog\` it has all of socklog(8)'s command line, \`ucspi\`
included. \`-r\` and \`-R\` are as for LINES; a line that is written as it came has
no address before it. Where
\`$UID\` or \`$GID\` is set, the user or the group becomes that one once the socket
is there. \`-U\` respects the umask; without it everybody may send.

As in the original, 1024 bytes of a datagram are read, and one that is longer
ends in \`...\`. Different from the original, every line of a datagram has the
address and the priority of its first, so that no sender can make up another
one's line; a file that isn't a socket is not removed for its name; and what the
kernel had to drop of UDP is counted and told. TERM, INT and HUP end it with
exit code 0, when what had arrived is written. Both take \`multilog script...\`
after their own words, see LOGS.`,
    },
    {
      title: "OPTIONS OF A SERVER",
      items: [
        { tag: "-c n", text: "Further ones wait." },
        {
          tag: "-b n",
          text:
            `The kernel completes so many connections before the server accepts
them. (1024) Different from the original, whose default is 20.`,
        },
        {
          tag: "-x cdb",
          text: `They are compiled by tcprules(1), may change while the server
runs, and set variables or deny connections, by address or name. A client's name
is what its own name server says, so let nobody in by it without \`-p\`. tcprules(1)
knows no IPv6 addresses; a file made by cdbmake(1) may: the key is the address,
or a part of it that ends in a colon, and the data \`D\`, or nothing.`,
        },
        {
          tag: "-X",
          alone: true,
          text:
            "With \`-x\`, allow all connections when there is no such file.",
        },
        {
          tag: "-B text",
          text: "It is sent first, before names are looked up.",
        },
        { tag: "-1", text: "On standard output, when it is listening." },
        { tag: "-g gid", text: "Become this group, when it is listening." },
        { tag: "-u uid", text: "Become this user, when it is listening." },
        {
          tag: "-U",
          text: "Like `-g $GID -u $UID`, which envuidgid(8) sets.",
        },
        {
          tag: "-o",
          text: "Answers then take the route that a client chose.",
        },
        { tag: "-O", text: "Remove IP options. This is the default." },
        {
          tag: "-p",
          text: `Be paranoid: forget the client's name unless it leads back to
the client's address.`,
        },
        { tag: "-P", text: "Don't. This is the default." },
        {
          tag: "-w n",
          text: `What they had sent of a line is written. Different from the
original, which has no such option.`,
        },
        {
          tag: "-f",
          alone: true,
          text:
            `Read lines that are octet-counted (RFC 6587), as syslog daemons and
routers send them, on connections whose first bytes are a length and a space
before \`<\`. Different from the original, which has no such option.`,
        },
        {
          tag: "-a",
          alone: true,
          text: `When the client has sent everything, and all lines of the
connection were written, with a script to the disk, tell it the number of bytes.
Clients that know nothing
of it take no notice. Not with \`-B\`, whose text would be the answer. Different
from the original, which has no such option.`,
        },
      ],
    },
    {
      title: "OPTIONS OF ALL",
      items: [
        {
          tag: "-v",
          text: `Say more: each connection's beginning and end, on standard
error. Different from the original: connections are numbered from 1, where it
shows process numbers.`,
        },
        { tag: "-q", text: "Say nothing, not even errors." },
        { tag: "-Q", text: "Say errors. This is the default." },
        {
          tag: "-h",
          text: `Look up the other host's name, for TCPREMOTEHOST. This is the
default. Different from the original: a log server looks nothing up that neither
a _NAME_, nor the rules, nor \`-v\` needs.`,
        },
        { tag: "-H", text: "Don't." },
        {
          tag: "-r",
          text: `Ask the other host whose connection it is, for TCPREMOTEINFO.
This is the default. Different from the original: a log server doesn't ask what
nobody wants to know.`,
        },
        { tag: "-R", text: "Don't." },
        { tag: "-t n", text: "Wait for that answer for _n_ seconds. (26)" },
        {
          tag: "-l name",
          alone: true,
          text: "This host's name, for TCPLOCALHOST; it isn't looked up.",
        },
        { tag: "-D", text: "That is, TCP_NODELAY." },
        { tag: "-d", text: "Let them wait a little. This is the default." },
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
          text: `Try each address of the host for _x_ seconds, and then those
that didn't answer for _y_ seconds each; without \`+\`_y_ only once. (2+58)`,
        },
        { tag: "-i address", text: "The connection's local address." },
        { tag: "-p port", text: "The connection's local port." },
        {
          tag: "-a",
          alone: true,
          text:
            `\`send\` only: succeed only when the server acknowledges exactly
the bytes that were sent. The server needs \`-a\`, too.`,
        },
        {
          tag: "-z",
          alone: true,
          text: `\`send\` only: speak TLS. The server's certificate must be for
_host_ as it is given, name or address (a subjectAltName), or nothing is sent.
Of a name with several addresses only the first is tried, and \`-i\` and \`-p\`
can't be used.`,
        },
        {
          tag: "-C file",
          alone: true,
          text: `With \`-z\`: trust only these authorities, in PEM. Without it
those in /etc/ssl/certs/ca-certificates.crt, or Fedora's, are.`,
        },
        {
          tag: "-k file",
          alone: true,
          text: "With `-z`: the sender's own key, in PEM, with `-e`.",
        },
        {
          tag: "-e file",
          alone: true,
          text: "With `-z`: the certificate for that key, in PEM.",
        },
      ],
      more: `
\`send\` sends all of its input, closes its side of the connection, and waits for
the server to close the other: only that is success. A connection that is refused,
that times out, is reset, or is closed before everything was sent, is a failure.

_host_ of \`send\` may be several log servers, with commas between them, each with
a port of its own where it has one: \`192.0.2.1,192.0.2.2:10117\`, or
\`[2001:db8::1]:10117\`. They are tried in turn, each for its share of the time
that \`-T\` gives, and each message names the one that was used. Standard input
that is a file goes to the next one also when a transmission has failed. Inside
multilog(8), a server that has failed is tried after the others for a minute.
Different from the original, which knows one.

Different from the original, \`tcpclient\` with \`cat >&7\`, which takes it for a
success when the kernel has the bytes, though they may never arrive.

Without \`-a\`, \`send\` can't know of lines that a server had read, but not yet
written, when it was killed.`,
    },
    {
      title: "SIGNALS",
      text: `
TERM, INT or HUP: the log server stops listening, writes what it has read, closes the
connections so that \`send\` knows that it failed, ends its logs well within 5
seconds, and exits 0. ALRM: with a script, it finishes each log. Different from the
original, which leaves connections to processes of their own. A server that runs
programs does it on TERM alone, and leaves those to themselves, as the original
does.`,
    },
    {
      title: "EXIT CODES",
      text: `
100 for wrong usage, also for a word after _port_ that is neither a program nor
a name: different from the original, which finds out when the first client
comes. 111 for trouble: an address in use, a connection that can't be made, a
transmission that failed, or a standard output that nobody reads. 0 otherwise;
\`connect\` becomes _program_.`,
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

/**
 * The text of `--help`: one screen.
 *
 * @module
 */

/** The text. */
export const HELP =
  `usage: socklog-tcp [options] host port [[socklog [-rR]] ucspi] NAME... [LOGS]
       socklog-tcp [options] host port program...            on 0 and 1
       socklog-tcp send [options] host port                  standard input
       socklog-tcp connect [options] host port program...    on 6 and 7
       socklog-tcp unix [-rRU] [path] [LOGS] | inet [-rR] [ip [port]] [LOGS]

The log server writes each line to standard output or, with "multilog
script..." as LOGS, to the script's logs, after "$NAME: " for each NAME that is
set, such as TCPREMOTEIP. host 0 is any address; for send, connect: 127.0.0.1.
  -c n      serve n connections at once (40)     -b n    n may queue
  -x cdb    obey the access rules in cdb         -X      cdb may be missing
  -B text   first send text to each client       -1      print the port
  -u uid  -g gid  -U   become this user, group; those in $UID and $GID
  -h -p -H  look up the client's name (paranoidly), or don't
  -r -t n -R  ask the client's host for its user, for n seconds (26), or don't
  -l name   this host's name                     -v -q   say more, nothing
  -D        send small writes at once            -o      keep IP options
  -w n      end connections idle for n seconds   -f      read RFC 6587, too
  -a        acknowledge what is written; with a script, what is synced

send and connect take -v -q -D -h -H -r -R -t -l, -i and -p (local address and
port) and -T x+y (seconds for the first and second try of each address: 2+58).
send takes -a (fail unless all is acknowledged), -z [-C ca] [-k key -e cert]
(TLS, with files in PEM), and servers to try in turn: host,host2:port port.
`;

/**
 * What `--help` says: one screen.
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

The log server writes each line it gets to standard output, or, with "multilog
script..." as LOGS, into the script's logs, after "$NAME: " for each NAME that
is set, such as TCPREMOTEIP. Logs are opened after -u and -g. Options:
  -c n      serve n connections at once (40)     -b n    n may queue
  -x cdb    follow access rules                  -X      which may be missing
  -B text   greet with text                      -1      print the port
  -u uid  -g gid  -U   become this user, group; those in $UID and $GID
  -h -p -H  look up the client's name (paranoidly), or don't
  -r -t n -R  ask who the client is, n seconds long (26), or don't
  -l name   is this host's name                  -v -q   say more, nothing
  -D        send small writes at once            -o      keep IP options
  -w n      end connections idle for n seconds     -f      read RFC 6587, too
  -a        acknowledge what is written; with a script, what is synced

send and connect know -v -q -D -h -H -r -R -t -l, -i and -p (local address and
port), and -T x+y (seconds to try each address, first and again: 2+58); send -a
(fail unless all is acknowledged), -z [-C ca] [-k key -e cert] (TLS, files in
PEM), and servers to try in turn: host,host2:port port. host 0: any, this one.
`;

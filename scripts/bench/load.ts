// Sends transmissions to a log server, as many at once as is asked for, from
// one process that does nothing else: raw sockets and epoll, like the server.
//
//   load.ts {"port":…,"transmissions":…,"atOnce":…,"bytes":…,"idle":…}
//
// Each line of its standard input, once it has connected the idle ones and
// said "ready", makes it send all of that; it says how many milliseconds it
// took until the server had closed every one of them.
import { latin1 } from "../../src/bytes.ts";
import {
  close,
  EAGAIN,
  read,
  setNonblocking,
  write,
} from "../../src/sys/descriptors.ts";
import { errorNumber, SysError } from "../../src/sys/errors.ts";
import { raiseDescriptorLimit } from "../../src/sys/limits.ts";
import { READABLE, Readiness, WRITABLE } from "../../src/sys/poll.ts";
import {
  bind,
  closeWrite,
  connect,
  loopbackAddress,
  socket,
} from "../../src/sys/sockets.ts";
import { Epoll } from "../../src/sys/epoll.ts";

/** What to send. */
export interface Load {
  port: number;
  /** How many connections carry something. */
  transmissions: number;
  /** How many of them there are at any time. */
  atOnce: number;
  /** What each carries, in bytes. */
  bytes: number;
  /** How many other connections are open, and silent. */
  idle: number;
  /** From how many hosts, 127.0.0.2 and so on; from 127.0.0.1 where none is said. */
  hosts?: number;
  /** Whether the server has to acknowledge each. */
  acknowledged?: boolean;
}

const LINE = "<13>Nov 23 10:15:42 host program[12345]: something happened, " +
  "and here is what there is to say about it\n";

/** Whole lines of about so many bytes. */
export function text(bytes: number): Uint8Array<ArrayBuffer> {
  const count = Math.max(Math.round(bytes / LINE.length), 1);
  return new TextEncoder().encode(LINE.repeat(count)) as Uint8Array<
    ArrayBuffer
  >;
}

/** How many lines that is. */
export function linesIn(bytes: number): number {
  return Math.max(Math.round(bytes / LINE.length), 1);
}

const EINPROGRESS = errorNumber("EINPROGRESS");

function send(load: Load): number {
  const content = text(load.bytes);
  const answer = new Uint8Array(64);
  const wanted = load.acknowledged ? `${content.length}\n` : "";
  const watcher = new Epoll();
  const waiting = new Readiness(watcher.fd);
  const to = loopbackAddress(load.port);
  /** How much of its content each has sent, by descriptor. */
  const sent: number[] = [];
  /** Whether the server has said what it has to. */
  const answered: boolean[] = [];
  let begun = 0;
  let ended = 0;
  const advance = (fd: number) => {
    if (sent[fd]! < content.length) {
      const n = write(
        fd,
        sent[fd] === 0 ? content : content.subarray(sent[fd]),
      );
      if (n === -EAGAIN) return;
      if (n < 0) throw new SysError(-n);
      sent[fd]! += n;
      if (sent[fd]! < content.length) return;
      closeWrite(fd);
      watcher.change(fd, READABLE);
    }
    const n = read(fd, answer);
    if (n === -EAGAIN) return;
    if (n > 0 && latin1(answer.subarray(0, n)) === wanted) {
      answered[fd] = true;
      return advance(fd);
    }
    if (n !== 0) throw new Error(`the server said ${n}`);
    if (wanted !== "" && !answered[fd]) throw new Error("not acknowledged");
    close(fd);
    ended++;
    begin();
  };
  const begin = () => {
    if (begun === load.transmissions) return;
    const fd = socket(to);
    const { hosts = 0 } = load;
    if (hosts > 0) bind(fd, loopbackAddress(0, 2 + begun % hosts));
    begun++;
    const errno = -connect(fd, to);
    if (errno !== 0 && errno !== EINPROGRESS) throw new SysError(errno);
    sent[fd] = 0;
    answered[fd] = false;
    watcher.add(fd, WRITABLE);
  };
  const start = performance.now();
  for (let i = 0; i < load.atOnce; i++) begin();
  while (ended < load.transmissions) {
    const found = watcher.poll();
    if (found === 0) waiting.ready(1000);
    for (let i = 0; i < found; i++) advance(watcher.fdAt(i));
  }
  const took = performance.now() - start;
  close(watcher.fd);
  return took;
}

if (import.meta.main) {
  const load: Load = JSON.parse(Deno.args[0]!);
  raiseDescriptorLimit(load.idle + load.atOnce + 100);
  for (let i = 0; i < load.idle; i++) {
    const to = loopbackAddress(load.port);
    const fd = socket(to);
    setNonblocking(fd, false);
    const errno = -connect(fd, to);
    if (errno !== 0) throw new SysError(errno);
    // Begun, so that the other end is up and holds a line.
    write(fd, new TextEncoder().encode("begun") as Uint8Array<ArrayBuffer>);
  }
  console.log("ready");
  const order = new Uint8Array(1024);
  while ((await Deno.stdin.read(order)) !== null) console.log(send(load));
}

import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  close,
  EAGAIN,
  read,
  setNonblocking,
  write,
} from "../../src/sys/descriptors.ts";
import { SysError } from "../../src/sys/errors.ts";
import { raiseDescriptorLimit } from "../../src/sys/limits.ts";
import { getaddrinfo, getnameinfo, parsePort } from "../../src/sys/names.ts";
import { Poller, READABLE, Readiness, WRITABLE } from "../../src/sys/poll.ts";
import {
  accept,
  type Accepted,
  bind,
  closeWithReset,
  closeWrite,
  connect,
  dropOptions,
  type Endpoint,
  getsockname,
  listen,
  loopbackAddress,
  sendNonblocking,
  setKeepAlive,
  setNoDelay,
  socket,
  socketError,
  wildcardAddress,
} from "../../src/sys/sockets.ts";
import { Epoll } from "../../src/sys/epoll.ts";
import { hasIPv6 } from "../socklog/servers.ts";
import { bytes, folder, latin1, run, testWith, withHosts } from "../tools.ts";
import { denoCommand } from "./_programs.ts";

function listener(
  at: Endpoint = loopbackAddress(0),
): { fd: number; end: Endpoint } {
  const fd = socket(at);
  bind(fd, at);
  listen(fd, 10);
  return { fd, end: getsockname(fd) };
}

/** The connection that is there to be accepted. */
function taken(fd: number): Accepted {
  const accepted = accept(fd);
  assert(typeof accepted === "object", String(accepted));
  return accepted;
}

/** Both ends of a connection. */
function pair(): { client: number; server: number } {
  const { fd, end } = listener();
  const client = socket(end);
  connect(client, end);
  assert(new Readiness(fd).ready(1000));
  const { fd: server } = taken(fd);
  close(fd);
  return { client, server };
}

const readable = (fd: number) => assert(new Readiness(fd).ready(1000));

Deno.test("sockets: a connection from both sides", () => {
  const { fd, end } = listener();
  assertEquals(end.ip, "127.0.0.1");
  assert(end.port > 0);
  assertEquals(accept(fd), -EAGAIN);
  const client = socket(end);
  connect(client, end);
  assert(new Readiness(client, WRITABLE).ready(1000));
  assertEquals(socketError(client), undefined);
  readable(fd);
  const { fd: server, remote } = taken(fd);
  assertEquals(remote, getsockname(client));
  assertEquals(getsockname(server), end);
  dropOptions(server);
  setNoDelay(server);
  setKeepAlive(server, 60);
  const buffer = new Uint8Array(10);
  assertEquals(read(server, buffer), -EAGAIN);
  assertEquals(write(client, bytes("to")), 2);
  readable(server);
  assertEquals(latin1(buffer.subarray(0, read(server, buffer))), "to");
  closeWrite(client);
  readable(server);
  assertEquals(read(server, buffer), 0);
  assertEquals(sendNonblocking(server, bytes("back")), 4);
  readable(client);
  assertEquals(latin1(buffer.subarray(0, read(client, buffer))), "back");
  for (const one of [fd, client, server]) close(one);
});

Deno.test("sockets: a reset is seen as one", () => {
  const { client, server } = pair();
  closeWithReset(server);
  readable(client);
  const error = new SysError(-read(client, new Uint8Array(1)));
  assertEquals([error.code, error.message], ["ECONNRESET", "connection reset"]);
  close(client);
});

Deno.test("sockets: a refusal is told when it comes", () => {
  const { fd, end } = listener();
  close(fd);
  const client = socket(end);
  const errno = -connect(client, end);
  if (errno !== 0) {
    readable(client);
    const error = socketError(client) ?? new SysError(errno);
    assertEquals(error.code, "ECONNREFUSED");
  }
  close(client);
});

Deno.test("sockets: an address in use, one that isn't here", () => {
  const { fd, end } = listener();
  const second = socket(end);
  const used = assertThrows(() => {
    bind(second, end);
    listen(second, 1);
  }, SysError);
  assertEquals(used.message, "address already used");
  close(second);
  close(fd);
});

Deno.test("a connection is accepted with reads that wait, or return at once", () => {
  const { fd, end } = listener();
  for (const nonblocking of [true, false]) {
    const client = socket(end);
    connect(client, end);
    readable(fd);
    const accepted = accept(fd, nonblocking);
    assert(typeof accepted === "object");
    assertEquals(isNonblocking(accepted.fd), nonblocking);
    setNonblocking(accepted.fd, !nonblocking);
    assertEquals(isNonblocking(accepted.fd), !nonblocking);
    close(client);
    close(accepted.fd);
  }
  close(fd);
});

function isNonblocking(fd: number): boolean {
  const info = Deno.readTextFileSync(`/proc/self/fdinfo/${fd}`);
  return (parseInt(/flags:\s+(\d+)/.exec(info)![1]!, 8) & 0o4000) !== 0;
}

Deno.test(
  "sockets: IPv6, and IPv4 inside it",
  { ignore: !hasIPv6 },
  async () => {
    const [six] = await getaddrinfo("::", 0);
    const { fd, end } = listener(six);
    for (const [host, ip] of [["::1", "::1"], ["127.0.0.1", "127.0.0.1"]]) {
      const [to] = await getaddrinfo(host!, end.port);
      const client = socket(to!);
      connect(client, to!);
      readable(fd);
      const { fd: server, remote } = taken(fd);
      assertEquals(remote.ip, ip);
      assertEquals(getsockname(server), {
        ...getsockname(server),
        ip,
        port: end.port,
      });
      close(client);
      close(server);
    }
    close(fd);
  },
);

Deno.test("epoll: finds what is ready, and nothing else", () => {
  const watcher = new Epoll(4);
  const pairs = Array.from({ length: 8 }, pair);
  for (const { server } of pairs) watcher.add(server, READABLE);
  assertEquals(watcher.poll(), 0);
  write(pairs[3]!.client, bytes("x"));
  write(pairs[5]!.client, bytes("x"));
  readable(watcher.fd);
  const found = Array.from(
    { length: watcher.poll() },
    (_, i) => watcher.fdAt(i),
  );
  assertEquals(found, [pairs[3]!.server, pairs[5]!.server]);
  watcher.change(pairs[3]!.server, 0);
  watcher.change(pairs[5]!.server, 0);
  assertEquals(watcher.poll(), 0);
  watcher.change(pairs[3]!.server, READABLE);
  assertEquals([watcher.poll(), watcher.fdAt(0)], [1, pairs[3]!.server]);
  for (const { client, server } of pairs) {
    close(client);
    close(server);
  }
  assertEquals(watcher.poll(), 0);
  close(watcher.fd);
});

Deno.test("epoll: a poller waits for it", async () => {
  const watcher = new Epoll();
  const poller = new Poller(1);
  const { client, server } = pair();
  watcher.add(server, READABLE);
  poller.set(0, watcher.fd, READABLE);
  setTimeout(() => write(client, bytes("x")), 20);
  await poller.wait();
  assertEquals([poller.found(0), watcher.poll()], [READABLE, 1]);
  poller.close();
  for (const fd of [client, server, watcher.fd]) close(fd);
});

Deno.test("poller: a look may wait, without the event loop", () => {
  const poller = new Poller(1);
  const { client, server } = pair();
  poller.set(0, server, READABLE);
  const start = performance.now();
  assertEquals(poller.look(30), false);
  assert(performance.now() - start > 25);
  write(client, bytes("x"));
  assertEquals(poller.look(-1), true);
  poller.close();
  close(client);
  close(server);
});

Deno.test("names: numbers, localhost, and what is none", async () => {
  const ips = async (host: string) =>
    (await getaddrinfo(host, 7)).map(({ ip, port }) => `${ip} ${port}`);
  assertEquals(await ips("127.0.0.1"), ["127.0.0.1 7"]);
  assertEquals(await ips("::1"), ["::1 7"]);
  assert((await ips("localhost")).includes("127.0.0.1 7"));
  assertEquals(await ips(""), []);
  assertEquals(await ips("a\0b"), []);
  assertEquals(wildcardAddress(5), {
    ...wildcardAddress(5),
    ip: "0.0.0.0",
    port: 5,
  });
});

Deno.test("names: an address's name leads back to it, where it has one", async () => {
  const name = await getnameinfo(loopbackAddress(0));
  if (name === undefined) return;
  const back = await getaddrinfo(name, 0);
  assert(back.some(({ ip }) => ip === "127.0.0.1"));
});

testWith(
  ["root", "unshare"],
  "names: what isn't printable ASCII is no host's name",
  async () => {
    using at = folder();
    const words = withHosts(
      at.path,
      "127.0.0.8 plain\n127.0.0.9 \u0100x\n",
    );
    const code = `
      for (const ip of ["127.0.0.8", "127.0.0.9"]) {
        const [address] = await names.getaddrinfo(ip, 0);
        console.log(await names.getnameinfo(address));
      }`;
    const { text } = await run([...words, ...denoCommand(code)]);
    assertEquals(text, "plain\nundefined\n");
  },
);

Deno.test("names: ports by number and by name", () => {
  assertEquals(parsePort("0"), 0);
  assertEquals(parsePort("65535"), 65535);
  assertEquals(parsePort("65536"), undefined);
  assertEquals(parsePort("-1"), undefined);
  assertEquals(parsePort("no-such-service"), undefined);
  assertEquals(parsePort(""), undefined);
  const file = "/etc/services";
  try {
    if (!/^smtp\s+25\/tcp/m.test(Deno.readTextFileSync(file))) return;
  } catch {
    return;
  }
  assertEquals(parsePort("smtp"), 25);
});

Deno.test("limits: what there is already is granted", () => {
  assertEquals(raiseDescriptorLimit(10), 10);
});

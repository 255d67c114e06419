import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  close,
  isInherited,
  pipe,
  read,
  write,
} from "../../src/sys/descriptors.ts";
import { SysError } from "../../src/sys/errors.ts";
import { READABLE, Readiness, WRITABLE } from "../../src/sys/poll.ts";
import { Epoll } from "../../src/sys/epoll.ts";
import { bytes } from "../tools.ts";

/** The descriptors that a look finds, the smaller first. */
function look(watcher: Epoll): number[] {
  return Array.from({ length: watcher.poll() }, (_, i) => watcher.fdAt(i))
    .sort((a, b) => a - b);
}

Deno.test("epoll finds what can be read, written, and has hung up", () => {
  const watcher = new Epoll();
  const { reader, writer } = pipe();
  assert(!isInherited(watcher.fd));
  watcher.add(reader, READABLE);
  watcher.add(writer, 0);
  assertEquals(look(watcher), []);
  watcher.change(writer, WRITABLE);
  assertEquals(look(watcher), [writer]);
  write(writer, bytes("x"));
  assertEquals(look(watcher), [reader, writer]);
  watcher.change(reader, 0);
  assertEquals(look(watcher), [writer]);
  watcher.change(reader, READABLE);
  read(reader, new Uint8Array(9));
  close(writer);
  assertEquals(look(watcher), [reader]);
  close(reader);
  assertEquals(look(watcher), []);
  close(watcher.fd);
});

Deno.test("epoll's own descriptor tells when to look", () => {
  const watcher = new Epoll();
  const ready = new Readiness(watcher.fd);
  const { reader, writer } = pipe();
  watcher.add(reader, READABLE);
  assert(!ready.ready());
  write(writer, bytes("x"));
  assert(ready.ready(-1));
  for (const fd of [reader, writer, watcher.fd]) close(fd);
});

Deno.test("a look that finds too many finds the rest next time", () => {
  const watcher = new Epoll(2);
  const pipes = Array.from({ length: 5 }, pipe);
  for (const { reader, writer } of pipes) {
    watcher.add(reader, READABLE);
    write(writer, bytes("x"));
  }
  const found = new Set<number>();
  for (let i = 0; i < 3; i++) for (const fd of look(watcher)) found.add(fd);
  assertEquals(found, new Set(pipes.map(({ reader }) => reader)));
  for (const { reader, writer } of pipes) {
    close(reader);
    close(writer);
  }
  close(watcher.fd);
});

Deno.test("epoll refuses what can't be watched", () => {
  const watcher = new Epoll();
  const { reader, writer } = pipe();
  watcher.add(reader, READABLE);
  const codes = [
    () => watcher.add(reader, READABLE),
    () => watcher.change(writer, READABLE),
    () => watcher.add(999, READABLE),
  ].map((what) => assertThrows(what, SysError).code);
  assertEquals(codes, ["EEXIST", "ENOENT", "EBADF"]);
  for (const fd of [reader, writer, watcher.fd]) close(fd);
});

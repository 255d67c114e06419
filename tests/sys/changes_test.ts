import { assertEquals, assertThrows } from "@std/assert";
import { Changes } from "../../src/sys/changes.ts";
import { SysError } from "../../src/sys/errors.ts";
import { Readiness } from "../../src/sys/poll.ts";
import { folder } from "../tools.ts";

Deno.test("changes of a directory are reported in their order", () => {
  using work = folder();
  using changes = new Changes(work.path);
  const readiness = new Readiness(changes.fd);
  assertEquals(readiness.ready(), false);
  assertEquals(changes.take(), []);
  const path = (name: string) => `${work.path}/${name}`;
  Deno.writeTextFileSync(path("current"), "a line\n");
  Deno.renameSync(path("current"), path("previous"));
  Deno.removeSync(path("previous"));
  assertEquals(readiness.ready(), true);
  assertEquals(changes.take(), [
    { name: "current", what: "come" },
    { name: "current", what: "written" },
    { name: "current", what: "gone" },
    { name: "previous", what: "come" },
    { name: "previous", what: "gone" },
  ]);
  assertEquals(changes.take(), []);
});

Deno.test("a directory that isn't there can't be watched", () => {
  const error = assertThrows(() => new Changes("/nowhere"), SysError);
  assertEquals(error.code, "ENOENT");
});

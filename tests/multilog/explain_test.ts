import { assertEquals } from "@std/assert";
import { AS_NOBODY, folder, forOthers, ours, run, until } from "../tools.ts";
import { canMount, Disk, start } from "./harness.ts";

Deno.test("the message about a log that is in use names the process that writes to it", async () => {
  using at = folder();
  await using writer = await start(["./log"], { cwd: at.path });
  const { code, stderr } = await run([ours.multilog, "./log"], {
    cwd: at.path,
  });
  assertEquals([code, stderr], [
    111,
    "multilog: fatal: unable to lock directory ./log: " +
    `temporarily unavailable: process ${writer.pid} (multilog) writes to it\n`,
  ]);
  assertEquals(await writer.finish(), 0);
});

Deno.test("the message about a lock that another program holds names the program", async () => {
  using at = folder();
  Deno.mkdirSync(`${at.path}/log`);
  const holder = new Deno.Command("flock", {
    args: ["./log/lock", "sleep", "60"],
    cwd: at.path,
  }).spawn();
  let said = "";
  try {
    await until("the lock is held", async () => {
      said = (await run([ours.multilog, "./log"], { cwd: at.path })).stderr;
      return said !== "";
    });
  } finally {
    holder.kill("SIGKILL");
    await holder.status;
  }
  // sleep has inherited it; the kernel tells who took it.
  assertEquals(
    said,
    "multilog: fatal: unable to lock directory ./log: " +
      `temporarily unavailable: process ${holder.pid} (flock) writes to it\n`,
  );
});

Deno.test({
  name: "what a user may not do is said of the directory that is the reason",
  ignore: Deno.uid() !== 0,
  async fn() {
    using at = folder();
    const program = forOthers(at.path, ours.multilog);
    const make = (name: string, mode: number) => {
      Deno.mkdirSync(`${at.path}/${name}`, { recursive: true });
      Deno.chmodSync(`${at.path}/${name}`, mode);
    };
    make("inside/closed/log", 0o777);
    make("inside/closed", 0o700);
    make("inside", 0o755);
    make("unentered", 0o744);
    make("unreadable", 0o733);
    make("unwritable", 0o755);
    make("locked", 0o777);
    Deno.writeTextFileSync(`${at.path}/locked/lock`, "");
    const user = "user 65534 may not";
    const rows: [path: string, says: string][] = [
      [
        "./inside/closed/log",
        `open directory ./inside/closed/log: access denied: ${user} enter ./inside/closed`,
      ],
      [
        "./inside/new",
        `open directory ./inside/new: file does not exist: ${user} make a directory in ./inside`,
      ],
      ["./none/new", "open directory ./none/new: file does not exist"],
      [
        "./unentered",
        `lock directory ./unentered: access denied: ${user} enter ./unentered`,
      ],
      [
        "./unreadable",
        `open directory ./unreadable: access denied: ${user} read ./unreadable`,
      ],
      [
        "./unwritable",
        `lock directory ./unwritable: access denied: ${user} write to ./unwritable`,
      ],
      [
        "./locked",
        `lock directory ./locked: access denied: ${user} write to ./locked/lock`,
      ],
      [
        `${at.path}/unwritable`,
        `lock directory ${at.path}/unwritable: access denied: ${user} write to ${at.path}/unwritable`,
      ],
    ];
    for (const [path, says] of rows) {
      const { code, stderr } = await run([...AS_NOBODY, program, path], {
        cwd: at.path,
      });
      assertEquals([code, stderr], [
        111,
        `multilog: fatal: unable to ${says}\n`,
      ]);
    }
  },
});

Deno.test({
  name: "the message about a log that can't be made says why it can't",
  ignore: !canMount(),
  async fn() {
    using at = folder();
    using _disk = new Disk(`${at.path}/disk`, "64k,ro");
    for (const name of ["./disk/log", "./disk/deep/log"]) {
      const { code, stderr } = await run([ours.multilog, name], {
        cwd: at.path,
      });
      const reason = name === "./disk/log"
        ? "read-only file system"
        : "file does not exist";
      assertEquals([code, stderr], [
        111,
        `multilog: fatal: unable to open directory ${name}: ${reason}\n`,
      ]);
    }
  },
});

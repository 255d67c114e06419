/**
 * A program that carries out a processor as multilog does inside itself, but
 * with its own descriptors, so that what a program does can be compared with it:
 *
 *   driver tryto -pv cat
 *
 * Links to it named for a program are that program, so that a processor which
 * is looked up in `$PATH` finds this very file.
 *
 * @module
 */
import { processorInside } from "../../src/inside.ts";
import { isInherited } from "../../src/sys/descriptors.ts";
import { environ } from "../../src/sys/environment.ts";
import { invokedName } from "../../src/sys/invocation.ts";
import { open, openDirectory } from "../../src/sys/files.ts";
import { exec } from "../../src/sys/process.ts";

if (invokedName() !== "driver") await import("../../cmd/logferry.ts");
const processor = processorInside(Deno.args);
// What is no task is for the shell.
if (processor === undefined) exec(Deno.args, environ());
const own = (fd: number) => isInherited(fd) ? fd : open("/dev/null", "read");
const running = processor!.start({
  command: Deno.args.join(" "),
  directory: openDirectory("."),
  path: ".",
  name: "log",
  fds: { log: 0, processed: 1, state: own(4), newstate: own(5) },
});
Deno.addSignalListener("SIGTERM", () => running.kill("SIGTERM"));
Deno.addSignalListener("SIGUSR1", () => running.kill("SIGKILL"));
const { code, signal } = await running.ended;
Deno.exit(code ?? 128 + signal!);

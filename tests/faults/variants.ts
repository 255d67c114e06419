/**
 * Our programs with something changed in them: broken on purpose, so that the
 * checker has something to find, or with a clock that can be set.
 *
 * @module
 */
import { copySync, existsSync, walkSync } from "@std/fs";
import { inCheckout } from "../tools.ts";

/** A change of the sources. */
export interface Change {
  /** What is in its sources, exactly once: in whatever file. */
  readonly from: string;
  /** What takes its place. */
  readonly to: string;
}

/**
 * A multilog that adds to the time what it finds in a file `clock` where it
 * works. No preloaded library can do that: it asks the C library itself.
 */
export const SETTABLE_CLOCK: Change = {
  from: `  moment.nanoseconds = words[2]!;
  return moment;
}
`,
  to: `  moment.nanoseconds = words[2]!;
  moment.seconds += stepped();
  return moment;
}

const more = load({
  open: { parameters: ["buffer", "i32"], result: "i32" },
  read: { parameters: ["i32", "buffer", "usize"], result: "i32" },
  close: { parameters: ["i32"], result: "i32" },
});

function stepped(): number {
  const fd = more.open(new TextEncoder().encode("clock\\0"), 0);
  if (fd < 0) return 0;
  const text = new Uint8Array(20);
  const n = more.read(fd, text, 20n);
  more.close(fd);
  return parseInt(new TextDecoder().decode(text.subarray(0, n))) || 0;
}
`,
};

/**
 * Compiles the changed executable, with all its names: multilog runs only what
 * is the same executable inside itself.
 *
 * @param folder Where to, an empty folder
 * @param change The change
 * @returns The folder of the executables
 */
export async function compileChanged(
  folder: string,
  { from, to }: Change,
): Promise<string> {
  for (const name of ["cmd", "src", "deno.json", "mod.ts"]) {
    copySync(inCheckout(name), `${folder}/${name}`);
  }
  // Where the modules come from the network, there is none.
  const vendor = inCheckout("vendor");
  if (existsSync(vendor)) Deno.symlinkSync(vendor, `${folder}/vendor`);
  let changes = 0;
  for (const { path } of walkSync(`${folder}/src`, { exts: [".ts"] })) {
    const before = Deno.readTextFileSync(path);
    changes += before.split(from).length - 1;
    Deno.writeTextFileSync(path, before.replace(from, () => to));
  }
  if (changes !== 1) {
    throw new Error(`it is there ${changes} times, not once: ${from}`);
  }
  const executables = `${folder}/dist`;
  Deno.mkdirSync(executables);
  for (const name of ["multilog", "tryto", "socklog-tcp"]) {
    Deno.symlinkSync("logferry", `${executables}/${name}`);
  }
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["compile", "--quiet", "--no-check", "--no-prompt"].concat(
      ["--no-code-cache", "--allow-ffi", "--output"],
      [`${executables}/logferry`, "cmd/logferry.ts"],
    ),
    cwd: folder,
    stdin: "null",
    stdout: "null",
  }).output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
  return executables;
}

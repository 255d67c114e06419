/**
 * The examples for those who come from svlogd and s6-log: each configuration
 * beside the run script that takes its place, on the same input.
 */
import { assert, assertEquals } from "@std/assert";
import { encode, latin1 } from "../../src/bytes.ts";
import { folder, inCheckout, ours, run, testWith } from "../tools.ts";

const PROGRAMS: readonly [name: string, starts: string][] = [
  ["svlogd", "chpst -u log "],
  ["s6-log", "s6-setuidgid log "],
];

/** Lines such as services write; each once. */
function input(): string {
  const lines: string[] = [];
  const names = ["mail", "web", "app: mail", "STAT", "a:b"];
  const levels = ["debug", "error", "warning", "info", "line", "line  ", "lin"];
  const rests = [
    "expected end",
    "unused variable",
    "disk",
    "",
    "unused",
    "é\xff",
  ];
  for (const name of names) {
    for (const level of levels) {
      for (const rest of rests) {
        for (let i = 0; i < 3; i++) {
          lines.push(
            `${name}: ${level}: ${rest} ${i}`,
            `${name}: ${level} ${rest} ${i}`,
          );
        }
      }
    }
  }
  lines.push("", "no colon", ": error: ", "STATUS of all", "error: alone");
  return `${lines.join("\n")}\n`;
}

/** A line without what a program has put before it. */
function bare(line: string): string {
  return line
    .replace(/^s6-log: alert: /, "")
    .replace(/^@[0-9a-f]{24} /, "")
    .replace(/^\d{4}-\d\d-\d\d[_T ]\d\d:\d\d:\d\d\.\d+(?:Z|\s)? ?/, "");
}

function lines(text: string): string[] {
  return text.split("\n").slice(0, -1).map(bare);
}

/** What a run has left: the lines of each log, alerts, and status files. */
interface Left {
  logs: Record<string, string[]>;
  alerts: string[];
  status: Record<string, string>;
}

/** Runs a script on the input, in a folder that stands for /var/log. */
async function left(
  script: string,
  starts: string,
  configs: Record<string, string>,
  stdin: string,
): Promise<Left> {
  using at = folder();
  assert(script.includes(`exec ${starts}`), "it runs as the user log");
  const here = (text: string) =>
    text.replace(starts, "").replaceAll("/var/log", at.path)
      // Many files, of which none goes.
      .replaceAll("s1000000", "s4096");
  for (const name of Object.keys(configs)) Deno.mkdirSync(`${at.path}/${name}`);
  for (const [name, text] of Object.entries(configs)) {
    Deno.writeTextFileSync(`${at.path}/${name}/config`, here(text));
  }
  Deno.writeTextFileSync(`${at.path}/run`, here(script));
  const bin = ours.multilog.replace(/\/[^/]*$/, "");
  const { stderr, code } = await run(["sh", `${at.path}/run`], {
    stdin: Uint8Array.from(stdin, (character) => character.charCodeAt(0)),
    env: { PATH: `${bin}:${Deno.env.get("PATH")}` },
    patience: 60,
  });
  assertEquals(code, 0, stderr);
  const found: Left = { logs: {}, alerts: lines(stderr), status: {} };
  for (const { name, isDirectory } of Deno.readDirSync(at.path)) {
    const path = `${at.path}/${name}`;
    if (isDirectory) {
      const { text, code, stderr } = await run([ours.multilog, "--cat", path]);
      assertEquals([code, stderr], [0, ""]);
      found.logs[name] = lines(text);
    } else if (name !== "run") found.status[name] = Deno.readTextFileSync(path);
  }
  return found;
}

function read(path: string): string {
  return Deno.readTextFileSync(inCheckout(path));
}

for (const [program, starts] of PROGRAMS) {
  const examples = `scripts/examples/${program}`;
  for (const { name } of Deno.readDirSync(inCheckout(examples))) {
    // No server is there; RECIPES and README are about sending.
    if (name === "send") continue;
    testWith(
      [program],
      `${program}: "${name}" selects the lines that multilog's script selects`,
      async () => {
        const path = `${examples}/${name}`;
        const configs: Record<string, string> = {};
        for (
          const { name: log, isDirectory } of Deno.readDirSync(
            inCheckout(`${path}/${program}`),
          )
        ) {
          if (!isDirectory) continue;
          configs[log] = read(`${path}/${program}/${log}/config`);
        }
        const stdin = input();
        const theirs = await left(
          read(`${path}/${program}/run`),
          starts,
          configs,
          stdin,
        );
        const mine = await left(read(`${path}/run`), starts, {}, stdin);
        assertEquals(mine, theirs);
        const all = lines(latin1(encode(stdin))).length;
        for (const [log, lines] of Object.entries(mine.logs)) {
          assert(lines.length > 0, `${log} has lines`);
          if (name === "all") assertEquals(lines.length, all);
        }
        if (name === "alerts") assert(mine.alerts.length > 0);
      },
    );
  }
}

for (
  const [program, script] of [
    ["svlogd", ["svlogd", "./log"]],
    ["s6-log", ["s6-log", "./log"]],
  ] as const
) {
  testWith(
    [program],
    `multilog goes on with a directory of ${program}'s`,
    async () => {
      using at = folder();
      Deno.mkdirSync(`${at.path}/log`);
      const many = "a line\n".repeat(15_000);
      for (const words of [script, [ours.multilog, "./log"]]) {
        const { code, stderr } = await run(words, {
          cwd: at.path,
          stdin: many,
          patience: 60,
        });
        assertEquals([code, stderr], [0, ""]);
      }
      const { text, code, stderr } = await run(
        [ours.multilog, "--cat", "./log"],
        { cwd: at.path },
      );
      assertEquals([code, stderr], [0, ""]);
      assertEquals(text, many.repeat(2));
      const names = [...Deno.readDirSync(`${at.path}/log`)]
        .map(({ name }) => name);
      assert(!names.some((name) => name.endsWith(".u")), names.join());
    },
  );
}

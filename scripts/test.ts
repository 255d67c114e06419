// Compiles what is stale, sees to the programs that the tests compare ours with,
// runs the tests, and says at the end how many passed.
//
//   deno task test [path or name …] [flags of `deno test`]

import { cleaningUp } from "./clean_up.ts";

/** The programs that tests run beside ours, and the Debian packages they are in. */
const PEERS: Record<string, string> = {
  "multilog": "daemontools",
  "tcpserver": "ucspi-tcp",
  "socklog": "socklog",
  "svlogd": "runit",
  "s6-log": "s6",
  "strace": "strace",
  "ip": "iproute2",
  "nc": "netcat-openbsd",
  "mandoc": "mandoc",
};

/** The programs that RECIPES.md has at the other end. */
const RECIPES: Record<string, string> = {
  "openssl": "openssl",
  "stunnel": "stunnel4",
  "ssh": "openssh-client",
  "sshd": "openssh-server",
  "rsyslogd": "rsyslog",
  "kcat": "kcat",
  "rabbitmq-server": "rabbitmq-server",
  "/usr/lib/python3/dist-packages/pika/__init__.py": "python3-pika",
};

/** What answers for Debian's packages whether they may start their services. */
const POLICY = "/usr/sbin/policy-rc.d";
/** No; and how ours, which a killed run may have left, is told from others'. */
const REFUSAL =
  "#!/bin/sh\n# While logferry's tests install packages.\nexit 101\n";

async function exists(path: string): Promise<boolean> {
  try {
    await Deno.stat(path);
    return true;
  } catch (error) {
    if (
      error instanceof Deno.errors.NotFound ||
      error instanceof Deno.errors.NotADirectory ||
      error instanceof Deno.errors.PermissionDenied
    ) return false;
    throw error;
  }
}

async function installed(program: string): Promise<boolean> {
  if (program.startsWith("/")) return await exists(program);
  const path = `${Deno.env.get("PATH") ?? ""}:/usr/sbin:/sbin`;
  for (const folder of path.split(":")) {
    if (await exists(`${folder}/${program}`)) return true;
  }
  return false;
}

async function missing(programs: Record<string, string>): Promise<string[]> {
  const packages = [];
  for (const [program, debianPackage] of Object.entries(programs)) {
    if (!await installed(program)) packages.push(debianPackage);
  }
  return packages;
}

/** What runs now. */
let running: Deno.ChildProcess | undefined;

/** Ends what runs, and waits for that. */
async function endRunning() {
  running?.kill("SIGTERM");
  await running?.status;
}

async function aptGet(args: string[]) {
  running = new Deno.Command("apt-get", {
    args: ["-qq", "-o", "DPkg::Lock::Timeout=120", ...args],
    env: { DEBIAN_FRONTEND: "noninteractive" },
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  const { success, stderr } = await running.output();
  running = undefined;
  if (success) return;
  const lines = new TextDecoder().decode(stderr).trim().split("\n");
  console.log(`test: apt-get ${args[0]} failed: ${lines.at(-1)}`);
}

/**
 * Whether to install the recipes' programs too. Some are servers, which a machine
 * with an init system would start at its next boot: there only when told to.
 */
async function wantsRecipes(): Promise<boolean> {
  const told = Deno.env.get("LOGFERRY_RECIPES");
  return told ? told !== "0" : !await exists("/run/systemd/system");
}

/** Installs packages; none of the services in them is started. */
async function install(packages: string[]) {
  console.log(`test: installing ${packages.join(" ")}`);
  const ours = !await exists(POLICY) ||
    await Deno.readTextFile(POLICY) === REFUSAL;
  await using _policy = cleaningUp(async () => {
    await endRunning();
    if (ours) await Deno.remove(POLICY);
  });
  if (ours) await Deno.writeTextFile(POLICY, REFUSAL, { mode: 0o755 });
  await aptGet(["install", "-y", "--no-install-recommends", ...packages]);
}

/** Installs what is missing where that is possible; tests skip what they miss. */
async function installMissing() {
  const mayInstall = Deno.uid() === 0 && await installed("apt-get");
  let updated = false;
  const stillMissing = [];
  for (const programs of [PEERS, RECIPES]) {
    let packages = await missing(programs);
    const wanted = programs === PEERS || await wantsRecipes();
    if (packages.length > 0 && mayInstall && wanted) {
      if (!updated) await aptGet(["update"]);
      updated = true;
      await install(packages);
      packages = await missing(programs);
    }
    stillMissing.push(...packages);
  }
  if (stillMissing.length > 0) {
    console.log(
      `test: not installed, so what needs them is skipped: ${
        stillMissing.join(" ")
      }`,
    );
  }
}

async function deno(args: string[]): Promise<number> {
  running = new Deno.Command(Deno.execPath(), { args, stdin: "null" }).spawn();
  const { code } = await running.status;
  running = undefined;
  return code;
}

/**
 * Sorts the arguments: paths, which are the caller's, from flags, and from words
 * that tests have in their names.
 */
async function testArguments(args: string[]): Promise<string[]> {
  const flags: string[] = [];
  const paths: string[] = [];
  for (const arg of args) {
    const path = arg.startsWith("/")
      ? arg
      : `${Deno.env.get("INIT_CWD") ?? Deno.cwd()}/${arg}`;
    if (arg.startsWith("-")) flags.push(arg);
    else if (flags.at(-1) === "--filter") flags.push(arg);
    else if (await exists(path)) paths.push(path);
    else if (await exists(arg)) paths.push(arg);
    else flags.push("--filter", arg);
  }
  if (paths.length === 0) {
    for (const path of ["mod.ts", "src", "tests"]) {
      if (await exists(path)) paths.push(path);
    }
  }
  return [...flags, ...paths];
}

interface Result {
  passed: number;
  failed: number;
  skipped: string[];
}

const ENTITIES: Record<string, string> = {
  "&lt;": "<",
  "&gt;": ">",
  "&quot;": '"',
  "&apos;": "'",
  "&amp;": "&",
};

/**
 * Reads what Deno's JUnit report says of each test. A step is listed as a test
 * of its own, `test > step`; it is not counted, since its test fails with it.
 */
function readReport(xml: string): Result {
  const result: Result = { passed: 0, failed: 0, skipped: [] };
  for (const [suite] of xml.matchAll(/<testsuite .*?<\/testsuite>/gs)) {
    const tests = [...suite.matchAll(
      /<testcase name="([^"]*)"[^>]*>(.*?)<\/testcase>/gs,
    )];
    const names = new Set(tests.map(([, name]) => name));
    for (const [, name = "", body = ""] of tests) {
      const parent = name.slice(0, Math.max(0, name.lastIndexOf(" &gt; ")));
      if (names.has(parent)) continue;
      if (body.includes("<skipped")) {
        result.skipped.push(
          name.replace(/&\w+;/g, (entity) => ENTITIES[entity] ?? entity),
        );
      } else if (/<(failure|error)/.test(body)) result.failed++;
      else result.passed++;
    }
  }
  return result;
}

async function main(args: string[]): Promise<Result> {
  const flags = await testArguments(args);
  const nothing = { passed: 0, failed: 1, skipped: [] };
  if (await deno(["run", "-A", "scripts/compile.ts"]) !== 0) return nothing;
  await installMissing();
  const report = await Deno.makeTempFile({ suffix: ".xml" });
  await using _report = cleaningUp(async () => {
    await endRunning();
    await Deno.remove(report);
  });
  const code = await deno([
    "test",
    "-A",
    "--doc",
    `--junit-path=${report}`,
    ...flags,
  ]);
  const result = readReport(await Deno.readTextFile(report));
  // The report does not tell a test that was filtered out from a skipped one.
  if (flags.some((flag) => flag.startsWith("--filter"))) result.skipped = [];
  // A module that throws, or a crash, is in no report.
  if (code !== 0 && result.failed === 0) result.failed = 1;
  if (result.passed + result.failed === 0) {
    console.log("test: no test was run");
    result.failed = 1;
  }
  return result;
}

if (import.meta.main) {
  Deno.chdir(new URL("..", import.meta.url));
  const { passed, failed, skipped } = await main(Deno.args);
  for (const name of skipped) console.log(`skipped: ${name}`);
  console.log(
    `${passed} passed, ${failed} failed` +
      (skipped.length > 0 ? `, ${skipped.length} skipped` : ""),
  );
  if (failed > 0) Deno.exit(1);
}

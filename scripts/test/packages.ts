/**
 * The programs that tests need besides ours, and their installation.
 *
 * @module
 */
import { endRunning, run } from "../child.ts";
import { cleaningUp } from "../clean_up.ts";

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
  "rpm": "rpm",
  "faketime": "faketime",
};

/** The programs that RECIPES.md has at the other end. */
const RECIPES: Record<string, string> = {
  "openssl": "openssl",
  "stunnel": "stunnel4",
  "ssh": "openssh-client",
  "sshd": "openssh-server",
  "rsyslogd": "rsyslog",
  [`/usr/lib/${Deno.build.arch}-linux-gnu/rsyslog/lmnsd_gtls.so`]:
    "rsyslog-gnutls",
  [`/usr/lib/${Deno.build.arch}-linux-gnu/rsyslog/lmnsd_ossl.so`]:
    "rsyslog-openssl",
  "kcat": "kcat",
  "promtool": "prometheus",
  "nats-server": "nats-server",
  "rabbitmq-server": "rabbitmq-server",
  "/usr/lib/python3/dist-packages/pika/__init__.py": "python3-pika",
};

/** Where packages are unpacked that Debian doesn't install beside others. */
export const ASIDE = "/opt/logferry-tests";

/** What recipes have at the other end and Debian has instead of rsyslog. */
const INSTEAD: Record<string, string> = {
  "syslog-ng": "syslog-ng-core",
};

/** What runs the other machine's package; only `--all` does that. */
const EMULATED: Record<string, string> = {
  "qemu-aarch64": "qemu-user",
  "/usr/aarch64-linux-gnu/lib/libc.so.6": "libc6-arm64-cross",
  "/usr/aarch64-linux-gnu/lib/libgcc_s.so.1": "libgcc-s1-arm64-cross",
};

/** What answers for Debian's packages whether they may start their services. */
const POLICY = "/usr/sbin/policy-rc.d";
/** No; and how ours, which a killed run may have left, is told from others'. */
const REFUSAL =
  "#!/bin/sh\n# While logferry's tests install packages.\nexit 101\n";

/** Whether a file is there, and may be seen. */
export async function exists(path: string): Promise<boolean> {
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
  const path = `${Deno.env.get("PATH") ?? ""}:/usr/sbin:/sbin:` +
    `${ASIDE}/usr/sbin`;
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

async function aptGet(args: string[], cwd?: string) {
  const output = await run("apt-get", {
    args: ["-qq", "-o", "DPkg::Lock::Timeout=120", ...args],
    env: { DEBIAN_FRONTEND: "noninteractive" },
    ...(cwd === undefined ? {} : { cwd }),
  });
  if (output === undefined) return;
  console.log(`test: apt-get ${args[0]} failed: ${output.split("\n").at(-1)}`);
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
    await endRunning("SIGTERM");
    if (ours) await Deno.remove(POLICY);
  });
  if (ours) await Deno.writeTextFile(POLICY, REFUSAL, { mode: 0o755 });
  await aptGet(["install", "-y", "--no-install-recommends", ...packages]);
}

/** Unpacks packages, with all that is missing for them, and installs none. */
async function unpack(packages: string[]) {
  console.log(`test: unpacking ${packages.join(" ")} to ${ASIDE}`);
  const plan = await new Deno.Command("apt-get", {
    args: ["-s", "install", "--no-install-recommends", ...packages],
    stderr: "null",
  }).output();
  const needed = [
    ...new TextDecoder().decode(plan.stdout).matchAll(/^Inst (\S+)/gm),
  ].map(([, name]) => name!);
  const parent = ASIDE.replace(/\/[^/]*$/, "");
  await Deno.mkdir(parent, { recursive: true });
  const work = await Deno.makeTempDir({ dir: parent });
  await using _work = cleaningUp(async () => {
    await endRunning("SIGTERM");
    await Deno.remove(work, { recursive: true });
  });
  await aptGet(["download", ...needed], work);
  for await (const { name } of Deno.readDir(work)) {
    const failure = await run("dpkg", {
      args: ["-x", `${work}/${name}`, `${work}/root`],
    });
    if (failure !== undefined) return console.log(`test: ${failure}`);
  }
  // All of it, or nothing.
  if (await exists(`${work}/root`)) await Deno.rename(`${work}/root`, ASIDE);
}

/**
 * Installs what is missing where that is possible; tests skip what they miss.
 *
 * @param all Whether tests that take long are run, too
 */
export async function installMissing(all: boolean) {
  const mayInstall = Deno.uid() === 0 && await installed("apt-get");
  let updated = false;
  const stillMissing = [];
  const groups = [PEERS, RECIPES, INSTEAD, ...(all ? [EMULATED] : [])];
  for (const programs of groups) {
    let packages = await missing(programs);
    const wanted = ![RECIPES, INSTEAD].includes(programs) ||
      await wantsRecipes();
    if (packages.length > 0 && mayInstall && wanted) {
      if (!updated) await aptGet(["update"]);
      updated = true;
      await (programs === INSTEAD ? unpack : install)(packages);
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

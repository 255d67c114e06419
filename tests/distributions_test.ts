/**
 * The packages of Debian's and of RPM's kind, installed by the real dpkg and rpm,
 * each in a root folder of its own.
 */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { debName } from "../scripts/package/deb.ts";
import { rpmName } from "../scripts/package/rpm.ts";
import { VERSION } from "../src/version.ts";
import { copyTo, script } from "./checkouts.ts";
import {
  folder,
  inCheckout,
  installed,
  run,
  Running,
  testWith,
  until,
} from "./tools.ts";

const { arch } = Deno.build;
/** A version that comes after every other. */
const NEXT = "99.0.0";

/** A kind of package, and what is done with one in a root folder. */
interface Kind {
  /** The program. */
  program: string;
  /** What a package's file is called. */
  file: (version: string) => string;
  /** What makes a root folder one of its own. */
  prepare: (root: string) => Promise<void>;
  /** What installs a package, and what takes the place of one. */
  install: (root: string, file: string) => string[];
  /** What lists a package's files. */
  list: (root: string) => string[];
  /** What tells the version. */
  version: (root: string) => string[];
  /** What removes it, one after the other. */
  remove: (root: string) => string[][];
}

/** What the packages need, as dpkg would know it. */
const DEBIAN = [["libc6", "2.36"], ["libgcc-s1", "12"], ["passwd", "4.13"]]
  .map(([name, version]) =>
    `Package: ${name}\nStatus: install ok installed\nMaintainer: x <x@x>\n` +
    `Architecture: ${
      arch === "x86_64" ? "amd64" : "arm64"
    }\nVersion: ${version}\nDescription: x\n\n`
  ).join("");

const KINDS: Kind[] = [
  {
    program: "dpkg",
    file: (version) => debName(version, arch),
    prepare(root) {
      for (const name of ["info", "updates", "triggers"]) {
        Deno.mkdirSync(`${root}/var/lib/dpkg/${name}`, { recursive: true });
      }
      Deno.writeTextFileSync(`${root}/var/lib/dpkg/status`, DEBIAN);
      return Promise.resolve();
    },
    install: (root, file) => [`--root=${root}`, "-i", file],
    list: (root) => [`--root=${root}`, "-L", "logferry"],
    version: (root) => [`--root=${root}`, "-s", "logferry"],
    remove: (root) => [
      [`--root=${root}`, "-r", "logferry"],
      [`--root=${root}`, "-P", "logferry"],
    ],
  },
  {
    program: "rpm",
    file: (version) => rpmName(version, arch),
    async prepare(root) {
      await tell(["rpm", "--root", root, "--initdb"]);
    },
    // Nothing that it needs is there as a package.
    install: (root, file) => ["--root", root, "-U", "--nodeps", file],
    list: (root) => ["--root", root, "-ql", "logferry"],
    version: (root) => ["--root", root, "-qi", "logferry"],
    remove: (root) => [["--root", root, "-e", "logferry"]],
  },
];

async function tell(words: string[]): Promise<string> {
  const { code, text, stderr } = await run([
    installed(words[0]!)!,
    ...words.slice(1),
  ]);
  assertEquals(code, 0, `${words.join(" ")}: ${text}${stderr}`);
  return text;
}

/** Makes a root folder in which the packages' scripts find what they call. */
async function makeRoot(root: string): Promise<void> {
  // Folders that are another package's, which stay.
  const folders = ["etc", "var/log", "tmp", "usr/bin", "usr/sbin"].concat(
    ["lib/systemd/system", "share/doc", "share/man/man1", "share/man/man8"]
      .map((name) => `usr/${name}`),
  );
  for (const name of folders) {
    Deno.mkdirSync(`${root}/${name}`, { recursive: true });
  }
  for (const name of ["bin", "sbin"]) {
    Deno.symlinkSync(`usr/${name}`, `${root}/${name}`);
  }
  Deno.writeTextFileSync(`${root}/etc/passwd`, "root:x:0:0::/:/bin/sh\n");
  Deno.writeTextFileSync(`${root}/etc/group`, "root:x:0:\n");
  for (const name of ["sh", "grep", "useradd"]) {
    const path = installed(name)!;
    const libraries = (await tell(["ldd", path])).matchAll(/\/\S+/g);
    for (const [file] of [[path], ...libraries]) {
      const to = `${root}${file}`;
      Deno.mkdirSync(to.replace(/\/[^/]*$/, ""), { recursive: true });
      Deno.copyFileSync(file!, to);
    }
  }
}

/**
 * The files in a root folder, and the folders of ours; empty ones of nobody's are
 * left by the one, and removed by the other.
 */
async function filesIn(root: string): Promise<string[]> {
  const text = await tell(
    ["find", root, "-path", `${root}/var`, "-prune", "-o"]
      .concat("-path", `${root}/etc`, "-prune", "-o")
      .concat("(", "!", "-type", "d", "-o", "-name", "*logferry*", ")")
      .concat("-print"),
  );
  return text.split("\n").sort();
}

testWith(
  ["root", "dpkg", "rpm", "chroot", "ldd", "useradd", "--all"],
  "packages are installed, used, replaced while they run, and removed",
  async (t) => {
    using work = folder();
    const clone = `${work.path}/clone`;
    await copyTo(clone);
    Deno.writeTextFileSync(
      `${clone}/src/version.ts`,
      `export const VERSION = "${NEXT}";\n`,
    );
    const checkouts: [version: string, checkout: string][] = [
      [VERSION, inCheckout("")],
      [NEXT, clone],
    ];
    await Promise.all(checkouts.map(async ([, checkout]) => {
      const made = await script(checkout, "package");
      assertEquals([made.code, made.stderr], [0, ""]);
    }));
    for (const kind of KINDS) {
      await t.step(kind.program, async () => {
        const [first, second] = checkouts.map(([version, checkout]) =>
          `${checkout}/dist/${kind.file(version)}`
        ) as [string, string];
        await use(kind, `${work.path}/${kind.program}`, first, second);
      });
    }
  },
);

async function use(kind: Kind, root: string, first: string, second: string) {
  const manage = (words: string[]) => tell([kind.program, ...words]);
  await makeRoot(root);
  await kind.prepare(root);
  const before = await filesIn(root);

  await manage(kind.install(root, first));
  assertStringIncludes(await manage(kind.version(root)), VERSION);
  const listed = await manage(kind.list(root));
  for (
    const name of [
      "bin/socklog-tcp",
      "bin/logferry",
      "lib/logferry/bin/multilog",
      "lib/systemd/system/logferry-client.service",
      "share/man/man8/socklog-tcp.8.gz",
      "share/doc/logferry/copyright",
      "share/doc/logferry/examples/runit/client/log/run",
    ]
  ) {
    assertStringIncludes(listed, `/usr/${name}\n`);
    Deno.statSync(`${root}/usr/${name}`);
  }
  // Nothing that the originals' packages have.
  for (const name of ["bin/multilog", "bin/tryto", "share/man/man8/multilog"]) {
    assert(!listed.includes(`/usr/${name}`), name);
  }
  const users = Deno.readTextFileSync(`${root}/etc/passwd`);
  assertEquals(users.match(/^log:/gm)?.length, 1);

  const bin = `${root}/usr/lib/logferry/bin`;
  const version = () => tell([`${bin}/multilog`, "--version"]);
  assertEquals(await version(), `multilog ${VERSION}\n`);
  assertEquals(
    await tell([`${root}/usr/bin/socklog-tcp`, "--version"]),
    `socklog-tcp ${VERSION}\n`,
  );
  await using server = new Running(
    [`${bin}/socklog-tcp`, "-1aRHl0", "127.0.0.1", "0"],
  );
  await until("it listens", () => server.output.includes("\n"));
  const port = server.output.trim();
  const start = () =>
    new Running(
      [`${bin}/multilog`, "s4096"].concat(
        `!tryto -n1 socklog-tcp send -a 127.0.0.1 ${port}`,
        `${root}/var/log/test`,
      ),
      { stdin: "piped", env: { PATH: `${bin}:${Deno.env.get("PATH")}` } },
    );
  const send = async (multilog: Running, text: string) => {
    const line = `${text} `.padEnd(3000, "x") + "\n";
    await multilog.write(line);
    await until("it arrives", () => server.output.endsWith(line), 30);
  };
  await using multilog = start();
  await send(multilog, "before");
  await manage(kind.install(root, second));
  assertEquals(await version(), `multilog ${NEXT}\n`);
  assertStringIncludes(await manage(kind.version(root)), NEXT);
  // What runs goes on, and so does what is started anew.
  await send(multilog, "meanwhile");
  assertEquals([await multilog.finish(), multilog.said], [0, ""]);
  await using next = start();
  await send(next, "after");
  assertEquals([await next.finish(), next.said], [0, ""]);
  assertEquals(await server.stop(), 0);
  assertEquals(
    Deno.readTextFileSync(`${root}/etc/passwd`).match(/^log:/gm)?.length,
    1,
  );

  for (const words of kind.remove(root)) await manage(words);
  assertEquals(await filesIn(root), before);
  // Logs are nobody's to remove but their owner's.
  Deno.statSync(`${root}/var/log/test/current`);
  const { code } = await run([installed(kind.program)!, ...kind.version(root)]);
  assertEquals(code, 1);
}

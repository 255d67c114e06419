/**
 * Where a package of the distribution's kind has its files: apart from those of
 * daemontools, ucspi-tcp and socklog, so that it can be installed beside them.
 *
 * @module
 */
import { encode, latin1 } from "../../src/bytes.ts";
import type { Entry } from "./tar.ts";

type Bytes = Uint8Array<ArrayBuffer>;

/** The package's name. */
export const NAME = "logferry";
/** What it is, in one line. */
export const SUMMARY = "logs that get to a log server without being lost";
/** What it is, in lines of less than 80 characters. */
export const DESCRIPTION: readonly string[] = [
  "multilog, tryto and socklog-tcp: each machine logs to its own disk first, and",
  "each file that is big enough is then sent. When it can't be sent it waits,",
  "while the service goes on, and is sent by itself when the log server is back.",
  "They take the places of those of daemontools, ucspi-tcp and socklog, and are",
  "in /usr/lib/logferry/bin, so that they can be installed beside those.",
];
/** Whoever made it, as far as a package has to say so. */
export const MAINTAINER = "The Logferry authors <logferry@localhost>";
/** The oldest C library that it runs with. */
export const GLIBC = "2.28";

const FOLDER = "usr/lib/logferry/bin";
/** The names that are links to the executable, the originals' among them. */
const NAMES = [
  "multilog",
  "tryto",
  "socklog-tcp",
  "tcpserver",
  "tcpclient",
  "socklog",
];

/** What stands in a file of the archive for `/usr/local`. */
export interface Packed {
  /** Its name there. */
  readonly name: string;
  /** Its bytes. */
  readonly bytes: Bytes;
  /** Its permission bits. */
  readonly mode: number;
}

/** A manual page's name here: the originals' packages have theirs. */
function pageName(name: string): string {
  return name.replace(/(man\d\/)(?!socklog-tcp)/, "$1logferry-");
}

async function gzip(bytes: Bytes): Promise<Bytes> {
  const stream = ReadableStream.from([bytes])
    .pipeThrough(new CompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

function adapted(bytes: Bytes): Bytes {
  return encode(
    latin1(bytes)
      .replaceAll("/usr/local/bin", `/${FOLDER}`)
      .replace(/^#!\/bin\/sh\n/, `$&export PATH=/${FOLDER}:$PATH\n`),
  );
}

/**
 * The files of a package, their folders before them.
 *
 * @param packed The files of the archive for `/usr/local`, without its links
 * @returns The files, in the order of their names
 */
export async function layOut(packed: readonly Packed[]): Promise<Entry[]> {
  const entries: Entry[] = [];
  const link = (name: string, symlink: string) => {
    entries.push({ name, mode: 0o777, bytes: new Uint8Array(0), symlink });
  };
  for (const name of NAMES) link(`${FOLDER}/${name}`, "logferry");
  for (const name of ["logferry", "socklog-tcp"]) {
    link(`usr/bin/${name}`, `../lib/logferry/bin/logferry`);
  }
  for (const { name, mode, bytes } of packed) {
    if (name === "bin/logferry") {
      entries.push({ name: `${FOLDER}/logferry`, mode, bytes });
    } else if (name.startsWith("share/man/")) {
      entries.push({
        name: `usr/${pageName(name)}.gz`,
        mode,
        bytes: await gzip(bytes),
      });
    } else if (name.includes("/examples/systemd/")) {
      const unit = name.slice(name.lastIndexOf("/") + 1);
      const place = `usr/lib/systemd/system/${unit}`;
      entries.push({ name: place, mode, bytes: adapted(bytes) });
    } else if (name.includes("/examples/")) {
      entries.push({ name: `usr/${name}`, mode, bytes: adapted(bytes) });
    } else if (name.endsWith("/LICENSE")) {
      // Where Debian looks for it.
      const copyright = name.replace(/LICENSE$/, "copyright");
      entries.push({ name: `usr/${copyright}`, mode, bytes });
    } else if (!name.endsWith("/SHA256SUMS")) {
      entries.push({ name: `usr/${name}`, mode, bytes });
    }
  }
  const folders = new Set<string>();
  for (const { name } of entries) {
    for (let i = name.indexOf("/"); i > 0; i = name.indexOf("/", i + 1)) {
      folders.add(name.slice(0, i));
    }
  }
  for (const name of folders) {
    entries.push({
      name,
      mode: 0o755,
      bytes: new Uint8Array(0),
      directory: true,
    });
  }
  return entries.sort((a, b) => a.name < b.name ? -1 : 1);
}

/**
 * What is done when it has been installed: the user that the examples name is
 * made, and what systemd runs of it is started anew.
 */
export const AFTER_INSTALL = `\
grep -qs '^log:' /etc/passwd ||
  useradd --system --user-group --no-create-home --home-dir /nonexistent \\
    --shell /usr/sbin/nologin log
if [ -d /run/systemd/system ]; then
  systemctl daemon-reload
  systemctl try-restart logferry-server.service 'multilog@*.service' || :
fi
`;

/** What is done before it is removed: what systemd runs of it is ended. */
export const BEFORE_REMOVE = `\
if [ -d /run/systemd/system ]; then
  systemctl disable --now logferry-client.service logferry-server.service || :
  systemctl stop 'multilog@*.socket' 'multilog@*.service' || :
fi
`;

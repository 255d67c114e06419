/**
 * Writes Debian's packages, as deb(5) describes them: an `ar` archive of two
 * `tar` archives. The same files make the same bytes.
 *
 * @module
 */
import { encode } from "../../src/bytes.ts";
import {
  AFTER_INSTALL,
  BEFORE_REMOVE,
  DESCRIPTION,
  GLIBC,
  MAINTAINER,
  NAME,
  SUMMARY,
} from "./layout.ts";
import { type Entry, tar, TIME } from "./tar.ts";

type Bytes = Uint8Array<ArrayBuffer>;

/** What Debian calls the machines. */
const ARCHITECTURES: Record<string, string> = {
  x86_64: "amd64",
  aarch64: "arm64",
};

async function tarGz(entries: readonly Entry[]): Promise<Bytes> {
  // As dpkg writes them; its tools look for `./control`.
  const named = entries.map((entry) => ({ ...entry, name: `./${entry.name}` }));
  const stream = ReadableStream.from(tar(named))
    .pipeThrough(new CompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** A member of an `ar` archive. */
function member(name: string, bytes: Bytes): Bytes[] {
  const fields: [text: string, width: number][] = [
    [name, 16],
    [`${TIME}`, 12],
    ["0", 6],
    ["0", 6],
    ["100644", 8],
    [`${bytes.length}`, 10],
  ];
  const header = fields.map(([text, width]) => text.padEnd(width)).join("");
  return [
    encode(`${header}\`\n`),
    bytes,
    encode(bytes.length % 2 === 0 ? "" : "\n"),
  ];
}

function control(entries: readonly Entry[], version: string, machine: string) {
  const bytes = entries.reduce((sum, { bytes }) => sum + bytes.length, 0);
  return `\
Package: ${NAME}
Version: ${version}
Architecture: ${ARCHITECTURES[machine]}
Maintainer: ${MAINTAINER}
Installed-Size: ${Math.ceil(bytes / 1024)}
Depends: libc6 (>= ${GLIBC}), libgcc-s1, passwd
Section: admin
Priority: optional
Description: ${SUMMARY}
${DESCRIPTION.map((line) => ` ${line}\n`).join("")}`;
}

/**
 * What a package's file is called.
 *
 * @param version The version
 * @param machine `x86_64` or `aarch64`
 */
export function debName(version: string, machine: string): string {
  return `${NAME}_${version}_${ARCHITECTURES[machine]}.deb`;
}

/**
 * Makes a package.
 *
 * @param entries Its files and folders
 * @param version Its version
 * @param machine `x86_64` or `aarch64`
 * @returns Its bytes
 */
export async function deb(
  entries: readonly Entry[],
  version: string,
  machine: string,
): Promise<Bytes[]> {
  const script = (when: string, commands: string) =>
    encode(
      `#!/bin/sh\nset -e\n[ "$1" = ${when} ] || exit 0\n${commands}`,
    );
  const controls: Entry[] = [
    {
      name: "control",
      mode: 0o644,
      bytes: encode(control(entries, version, machine)),
    },
    {
      name: "postinst",
      mode: 0o755,
      bytes: script("configure", AFTER_INSTALL),
    },
    { name: "prerm", mode: 0o755, bytes: script("remove", BEFORE_REMOVE) },
  ];
  return [
    encode("!<arch>\n"),
    ...member("debian-binary", encode("2.0\n")),
    ...member("control.tar.gz", await tarGz(controls)),
    ...member("data.tar.gz", await tarGz(entries)),
  ];
}

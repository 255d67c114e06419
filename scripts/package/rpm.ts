/**
 * Writes RPM's packages, in the format of version 4: a lead, a header of sums, a
 * header of everything else, and the files in a `cpio` archive. The same files
 * make the same bytes.
 *
 * @module
 */
import { encode } from "../../src/bytes.ts";
import { sha256 } from "../compile.ts";
import {
  AFTER_INSTALL,
  BEFORE_REMOVE,
  DESCRIPTION,
  GLIBC,
  NAME,
  SUMMARY,
} from "./layout.ts";
import { type Entry, TIME } from "./tar.ts";

type Bytes = Uint8Array<ArrayBuffer>;

const RELEASE = "1";
/** The number of a SHA-256 among RPM's sums. */
const SHA256 = 8;

/** The types of a header's values, by their numbers. */
const INT16 = 3;
const INT32 = 4;
const STRING = 6;
const BIN = 7;
const STRINGS = 8;
const I18N = 9;

/** What a header may say, by RPM's names. */
const TAGS = {
  HEADERSIGNATURES: [62, BIN],
  HEADERIMMUTABLE: [63, BIN],
  HEADERI18NTABLE: [100, STRINGS],
  SIG_SHA256: [273, STRING],
  SIG_SIZE: [1000, INT32],
  NAME: [1000, STRING],
  VERSION: [1001, STRING],
  RELEASE: [1002, STRING],
  SUMMARY: [1004, I18N],
  DESCRIPTION: [1005, I18N],
  BUILDTIME: [1006, INT32],
  BUILDHOST: [1007, STRING],
  SIZE: [1009, INT32],
  LICENSE: [1014, STRING],
  GROUP: [1016, I18N],
  OS: [1021, STRING],
  ARCH: [1022, STRING],
  POSTIN: [1024, STRING],
  PREUN: [1025, STRING],
  FILESIZES: [1028, INT32],
  FILEMODES: [1030, INT16],
  FILERDEVS: [1033, INT16],
  FILEMTIMES: [1034, INT32],
  FILEDIGESTS: [1035, STRINGS],
  FILELINKTOS: [1036, STRINGS],
  FILEFLAGS: [1037, INT32],
  FILEUSERNAME: [1039, STRINGS],
  FILEGROUPNAME: [1040, STRINGS],
  SOURCERPM: [1044, STRING],
  FILEVERIFYFLAGS: [1045, INT32],
  PROVIDENAME: [1047, STRINGS],
  REQUIREFLAGS: [1048, INT32],
  REQUIRENAME: [1049, STRINGS],
  REQUIREVERSION: [1050, STRINGS],
  RPMVERSION: [1064, STRING],
  POSTINPROG: [1086, STRING],
  PREUNPROG: [1087, STRING],
  FILEDEVICES: [1095, INT32],
  FILEINODES: [1096, INT32],
  FILELANGS: [1097, STRINGS],
  PROVIDEFLAGS: [1112, INT32],
  PROVIDEVERSION: [1113, STRINGS],
  DIRINDEXES: [1116, INT32],
  BASENAMES: [1117, STRINGS],
  DIRNAMES: [1118, STRINGS],
  PAYLOADFORMAT: [1124, STRING],
  PAYLOADCOMPRESSOR: [1125, STRING],
  PAYLOADFLAGS: [1126, STRING],
  FILEDIGESTALGO: [5011, INT32],
  PAYLOADDIGEST: [5092, STRINGS],
  PAYLOADDIGESTALGO: [5093, INT32],
} as const;

type Value = string | number | readonly string[] | readonly number[];
type Values = Partial<Record<keyof typeof TAGS, Value>>;

function concat(parts: readonly Uint8Array[]): Bytes {
  const bytes = new Uint8Array(
    parts.reduce((sum, { length }) => sum + length, 0),
  );
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

/** Numbers, the most significant byte first. */
function numbers(values: readonly number[], width: 2 | 4): Bytes {
  const view = new DataView(new ArrayBuffer(width * values.length));
  values.forEach((value, i) => {
    if (width === 2) view.setUint16(2 * i, value);
    else view.setUint32(4 * i, value);
  });
  return new Uint8Array(view.buffer);
}

function encoded(type: number, values: readonly (string | number)[]): Bytes {
  switch (type) {
    case INT16:
      return numbers(values as number[], 2);
    case INT32:
      return numbers(values as number[], 4);
  }
  return encode(values.map((value) => `${value}\0`).join(""));
}

/**
 * A header: an index, and a store with the values that it leads to. All of it
 * is one region, so that what is signed is what was written.
 */
function header(
  region: "HEADERSIGNATURES" | "HEADERIMMUTABLE",
  values: Values,
) {
  const index: number[][] = [];
  const store: Bytes[] = [];
  let length = 0;
  const put = (bytes: Bytes, alignment: number) => {
    const gap = (alignment - length % alignment) % alignment;
    store.push(new Uint8Array(gap), bytes);
    length += gap;
    const at = length;
    length += bytes.length;
    return at;
  };
  const given = Object.entries(values) as [keyof typeof TAGS, Value][];
  given.sort(([a], [b]) => TAGS[a][0] - TAGS[b][0]);
  for (const [name, value] of given) {
    const [tag, type] = TAGS[name];
    const list = [value].flat() as (string | number)[];
    const alignment = type === INT16 ? 2 : type === INT32 ? 4 : 1;
    index.push([tag, type, put(encoded(type, list), alignment), list.length]);
  }
  const [tag, type] = TAGS[region];
  // Its end says how far back its beginning is.
  const back = -16 * (index.length + 1);
  const end = put(numbers([tag, type, back, 16], 4), 1);
  index.unshift([tag, type, end, 16]);
  const start = [0x8eade801, 0, index.length, length];
  return concat([numbers([...start, ...index.flat()], 4), ...store]);
}

const MODES = { file: 0o100000, symlink: 0o120000, directory: 0o040000 };

function modeOf({ mode, symlink, directory }: Entry): number {
  const kind = symlink !== undefined
    ? "symlink"
    : directory
    ? "directory"
    : "file";
  return MODES[kind] | mode;
}

function contentOf({ bytes, symlink }: Entry): Bytes {
  return symlink === undefined ? bytes : encode(symlink);
}

/** The files, in the format that cpio calls newc. */
function* cpio(entries: readonly Entry[]): Generator<Bytes> {
  const one = function* (
    name: string,
    mode: number,
    ino: number,
    bytes: Bytes,
  ) {
    const fields = [ino, mode, 0, 0, 1, mode === 0 ? 0 : TIME, bytes.length]
      .concat([0, 0, 0, 0, name.length + 1, 0])
      .map((field) => field.toString(16).padStart(8, "0"));
    const head = `070701${fields.join("")}${name}\0`;
    yield encode(head.padEnd(Math.ceil(head.length / 4) * 4, "\0"));
    yield bytes;
    yield new Uint8Array((4 - bytes.length % 4) % 4);
  };
  for (const [i, entry] of entries.entries()) {
    yield* one(`./${entry.name}`, modeOf(entry), i + 1, contentOf(entry));
  }
  yield* one("TRAILER!!!", 0, 0, new Uint8Array(0));
}

/** What a package needs: names, how they are compared, and with what. */
function requirements() {
  const LESS_OR_EQUAL = 0x0a;
  const RPMLIB = 1 << 24;
  const rows: [name: string, flags: number, version: string][] = [
    ["/bin/sh", 0, ""],
    ["/usr/sbin/useradd", 0, ""],
    [`libc.so.6(GLIBC_${GLIBC})(64bit)`, 0, ""],
    ["libgcc_s.so.1()(64bit)", 0, ""],
    ["rpmlib(CompressedFileNames)", LESS_OR_EQUAL | RPMLIB, "3.0.4-1"],
    ["rpmlib(FileDigests)", LESS_OR_EQUAL | RPMLIB, "4.6.0-1"],
    ["rpmlib(PayloadFilesHavePrefix)", LESS_OR_EQUAL | RPMLIB, "4.0-1"],
  ];
  return {
    REQUIRENAME: rows.map(([name]) => name),
    REQUIREFLAGS: rows.map(([, flags]) => flags),
    REQUIREVERSION: rows.map(([, , version]) => version),
  };
}

/** A folder that only this package has is removed with it. */
function isOwn({ name, directory }: Entry): boolean {
  return !directory || name.includes(`/${NAME}`);
}

async function fileValues(entries: readonly Entry[]): Promise<Values> {
  const all = (value: string | number) =>
    entries.map(() => value) as string[] | number[];
  const cut = entries.map(({ name }) => name.lastIndexOf("/") + 1);
  const folders = entries.map(({ name }, i) => `/${name.slice(0, cut[i])}`);
  const folderNames = [...new Set(folders)];
  const isFile = ({ symlink, directory }: Entry) =>
    symlink === undefined && !directory;
  return {
    FILESIZES: entries.map((entry) => contentOf(entry).length),
    FILEMODES: entries.map(modeOf),
    FILERDEVS: all(0),
    FILEMTIMES: all(TIME),
    FILEDIGESTS: await Promise.all(
      entries.map((entry) => isFile(entry) ? sha256(entry.bytes) : ""),
    ),
    FILELINKTOS: entries.map(({ symlink = "" }) => symlink),
    FILEFLAGS: all(0),
    FILEUSERNAME: all("root"),
    FILEGROUPNAME: all("root"),
    FILEVERIFYFLAGS: all(-1),
    FILEDEVICES: all(1),
    FILEINODES: entries.map((_, i) => i + 1),
    FILELANGS: all(""),
    DIRINDEXES: folders.map((folder) => folderNames.indexOf(folder)),
    BASENAMES: entries.map(({ name }, i) => name.slice(cut[i])),
    DIRNAMES: folderNames,
  };
}

/** The lead, which only says what kind of file this is. */
function lead(name: string): Bytes {
  const bytes = new Uint8Array(96);
  bytes.set([0xed, 0xab, 0xee, 0xdb, 3, 0, 0, 0, 0, 1]);
  bytes.set(encode(name.slice(0, 65)), 10);
  bytes.set([0, 1, 0, 5], 76);
  return bytes;
}

/**
 * What a package's file is called.
 *
 * @param version The version
 * @param machine `x86_64` or `aarch64`
 */
export function rpmName(version: string, machine: string): string {
  return `${NAME}-${version}-${RELEASE}.${machine}.rpm`;
}

/**
 * Makes a package.
 *
 * @param all Its files and folders
 * @param version Its version
 * @param machine `x86_64` or `aarch64`
 * @returns Its bytes
 */
export async function rpm(
  all: readonly Entry[],
  version: string,
  machine: string,
): Promise<Bytes[]> {
  const entries = all.filter(isOwn);
  const stream = ReadableStream.from(cpio(entries))
    .pipeThrough(new CompressionStream("gzip"));
  const payload = new Uint8Array(await new Response(stream).arrayBuffer());
  const EQUAL = 8;
  const main = header("HEADERIMMUTABLE", {
    HEADERI18NTABLE: ["C"],
    NAME,
    VERSION: version,
    RELEASE,
    SUMMARY,
    DESCRIPTION: DESCRIPTION.join("\n"),
    BUILDTIME: TIME,
    BUILDHOST: "localhost",
    SIZE: entries.reduce((sum, { bytes }) => sum + bytes.length, 0),
    LICENSE: "MIT",
    GROUP: "System/Logging",
    OS: "linux",
    ARCH: machine,
    POSTIN: AFTER_INSTALL,
    POSTINPROG: "/bin/sh",
    PREUN: `[ "$1" = 0 ] || exit 0\n${BEFORE_REMOVE}`,
    PREUNPROG: "/bin/sh",
    SOURCERPM: `${NAME}-${version}-${RELEASE}.src.rpm`,
    RPMVERSION: "4.14.0",
    PROVIDENAME: [NAME],
    PROVIDEFLAGS: [EQUAL],
    PROVIDEVERSION: [`${version}-${RELEASE}`],
    ...requirements(),
    ...await fileValues(entries),
    PAYLOADFORMAT: "cpio",
    PAYLOADCOMPRESSOR: "gzip",
    PAYLOADFLAGS: "9",
    FILEDIGESTALGO: SHA256,
    PAYLOADDIGEST: [await sha256(payload)],
    PAYLOADDIGESTALGO: SHA256,
  });
  const sums = header("HEADERSIGNATURES", {
    SIG_SHA256: await sha256(main),
    SIG_SIZE: main.length + payload.length,
  });
  const gap = new Uint8Array((8 - sums.length % 8) % 8);
  return [lead(`${NAME}-${version}-${RELEASE}`), sums, gap, main, payload];
}

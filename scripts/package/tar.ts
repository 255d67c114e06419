/**
 * Writes archives that are the same bytes whenever they have the same files:
 * no user, no time of this machine, and no order but that of the names.
 *
 * @module
 */

/** A file of an archive. */
export interface Entry {
  /** Its name, with slashes; up to 100 bytes. */
  readonly name: string;
  /** Its permission bits. */
  readonly mode: number;
  /** Its bytes. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** The name of an entry before it that is the same file: a hard link. */
  readonly link?: string;
}

const BLOCK = 512;
/** When every file was made: a time that tar doesn't find implausible. */
const TIME = Date.UTC(2020, 0, 1) / 1000;

/**
 * Writes an archive in the format that POSIX calls ustar. It has no entries
 * for folders: those of the system that it is unpacked over stay as they are.
 *
 * @param entries Its files
 * @returns Its bytes, piece by piece
 */
export async function* tar(
  entries: Iterable<Entry> | AsyncIterable<Entry>,
): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  for await (const { name, mode, bytes, link } of entries) {
    yield header(name, mode, link === undefined ? bytes.length : 0, link);
    if (link !== undefined) continue;
    yield bytes;
    yield new Uint8Array((BLOCK - bytes.length % BLOCK) % BLOCK);
  }
  yield new Uint8Array(2 * BLOCK);
}

function header(name: string, mode: number, size: number, link?: string) {
  const block = new Uint8Array(BLOCK);
  const put = (at: number, text: string) => {
    block.set(new TextEncoder().encode(text), at);
  };
  const number = (at: number, length: number, value: number) => {
    put(at, value.toString(8).padStart(length - 1, "0"));
  };
  if (new TextEncoder().encode(name).length > 100) {
    throw new RangeError(`a name of more than 100 bytes: ${name}`);
  }
  put(0, name);
  number(100, 8, mode);
  number(108, 8, 0); // user
  number(116, 8, 0); // group
  number(124, 12, size);
  number(136, 12, TIME);
  put(156, link === undefined ? "0" : "1"); // a file, or a link to one
  put(157, link ?? "");
  put(257, "ustar\0" + "00");
  put(265, "root");
  put(297, "root");
  // The sum is that of a header with spaces in its place.
  put(148, " ".repeat(8));
  number(148, 7, block.reduce((sum, byte) => sum + byte, 0));
  block[154] = 0;
  return block;
}

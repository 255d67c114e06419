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
  /** What a symbolic link leads to. */
  readonly symlink?: string;
  /** Whether it is a folder. */
  readonly directory?: boolean;
}

const BLOCK = 512;
/** When every file was made: a time that tar doesn't find implausible. */
export const TIME: number = Date.UTC(2020, 0, 1) / 1000;

/**
 * Writes an archive in the format that POSIX calls ustar. Where it has no entries
 * for folders, those of the system that it is unpacked over stay as they are.
 *
 * @param entries Its files
 * @returns Its bytes, piece by piece
 */
export async function* tar(
  entries: Iterable<Entry> | AsyncIterable<Entry>,
): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  for await (const entry of entries) {
    const { bytes, link, symlink, directory } = entry;
    const target = link ?? symlink ?? "";
    const size = target === "" ? bytes.length : 0;
    // A file, a link to one, a symbolic link, or a folder.
    const type = link !== undefined
      ? "1"
      : symlink !== undefined
      ? "2"
      : directory
      ? "5"
      : "0";
    yield header(entry, type, size, target);
    if (size === 0) continue;
    yield bytes;
    yield new Uint8Array((BLOCK - size % BLOCK) % BLOCK);
  }
  yield new Uint8Array(2 * BLOCK);
}

function header(
  { name, mode, directory }: Entry,
  type: string,
  size: number,
  target: string,
) {
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
  put(0, directory ? `${name}/` : name);
  number(100, 8, mode);
  number(108, 8, 0); // user
  number(116, 8, 0); // group
  number(124, 12, size);
  number(136, 12, TIME);
  put(156, type);
  put(157, target);
  put(257, "ustar\0" + "00");
  put(265, "root");
  put(297, "root");
  // The sum is that of a header with spaces in its place.
  put(148, " ".repeat(8));
  number(148, 7, block.reduce((sum, byte) => sum + byte, 0));
  block[154] = 0;
  return block;
}

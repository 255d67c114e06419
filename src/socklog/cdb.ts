/**
 * Reading constant databases in D. J. Bernstein's cdb format
 * (cr.yp.to/cdb/cdb.txt).
 *
 * All numbers have 32 bits, little-endian. The file begins with 256 pairs: the
 * position of a hash table, and the number of its slots. A slot is a pair: a
 * key's hash, and the position of its record (0 in an empty slot). A record is
 * the key's length, the data's length, the key and the data.
 *
 * @module
 */

/** The size of the 256 pairs in bytes. */
const TABLES = 2048;

/** The bytes aren't a complete database. */
export class CdbError extends Error {
  override name = "CdbError";
}

function hash(key: Uint8Array): number {
  let h = 5381;
  for (const byte of key) h = ((Math.imul(h, 33) >>> 0) ^ byte) >>> 0;
  return h;
}

/** Whether two arrays hold the same bytes. */
export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}

/**
 * Looks up a key.
 *
 * @param database All bytes of the database
 * @returns The data of the key's first record, or `undefined` when it has none
 * @throws {CdbError} When the bytes aren't a complete database
 */
export function find(
  database: Uint8Array,
  key: Uint8Array,
): Uint8Array | undefined {
  const view = new DataView(
    database.buffer,
    database.byteOffset,
    database.byteLength,
  );
  try {
    if (database.length < TABLES) throw new RangeError();
    const wanted = hash(key);
    const table = (wanted & 255) * 8;
    const start = view.getUint32(table, true);
    const slots = view.getUint32(table + 4, true);
    for (let i = 0; i < slots; i++) {
      const slot = start + ((wanted >>> 8) + i) % slots * 8;
      const at = view.getUint32(slot + 4, true);
      if (at === 0) return undefined;
      if (view.getUint32(slot, true) !== wanted) continue;
      const from = at + 8;
      const middle = from + view.getUint32(at, true);
      const to = middle + view.getUint32(at + 4, true);
      if (to > database.length) throw new RangeError();
      if (sameBytes(database.subarray(from, middle), key)) {
        return database.subarray(middle, to);
      }
    }
    return undefined;
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new CdbError("protocol error");
  }
}

/**
 * Lists all keys, in the order of their records.
 *
 * @param database All bytes of the database
 * @throws {CdbError} When the bytes aren't a complete database
 */
export function* keysOf(database: Uint8Array): Generator<Uint8Array> {
  if (database.length < TABLES) throw new CdbError("protocol error");
  const view = new DataView(
    database.buffer,
    database.byteOffset,
    database.byteLength,
  );
  // The records end where the first of the hash tables begins.
  let end = Infinity;
  for (let table = 0; table < TABLES; table += 8) {
    if (view.getUint32(table + 4, true) === 0) continue;
    end = Math.min(end, view.getUint32(table, true));
  }
  if (end === Infinity) return;
  if (end > database.length) throw new CdbError("protocol error");
  for (let at = TABLES; at < end;) {
    if (at + 8 > end) throw new CdbError("protocol error");
    const from = at + 8;
    const middle = from + view.getUint32(at, true);
    at = middle + view.getUint32(at + 4, true);
    if (at > end) throw new CdbError("protocol error");
    yield database.subarray(from, middle);
  }
}

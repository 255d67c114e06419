/**
 * The C library, loaded once for each group of functions that a file needs.
 *
 * Everything in `src/sys/` stands on this file; nothing outside `src/sys/`
 * calls it.
 *
 * @module
 */

/** `AT_FDCWD`: "relative to the working directory" in the `…at` calls. */
export const AT_FDCWD = -100;

const LIBC = "libc.so.6";

/**
 * Loads functions of the C library.
 *
 * In an executable each is loaded when it is first used: the machine code that
 * makes calls fast takes a tenth of a millisecond and more for every function,
 * and a program that starts often shouldn't pay for those that it doesn't
 * call. In a test it would be a leak of the test that is the first to call it.
 *
 * A result of type `ssize_t` is declared as `i32` by the callers: no call here
 * moves more than 2^31 bytes, and an `i32` comes without a BigInt.
 *
 * @param symbols The functions' declarations
 */
export function load<const S extends Deno.ForeignLibraryInterface>(
  symbols: S,
): Deno.DynamicLibrary<S>["symbols"] {
  if (!Deno.build.standalone) return Deno.dlopen(LIBC, symbols).symbols;
  const loaded: Record<string, unknown> = {};
  for (const [name, declaration] of Object.entries(symbols)) {
    Object.defineProperty(loaded, name, {
      configurable: true,
      get() {
        const { symbols } = Deno.dlopen(LIBC, { [name]: declaration });
        // From now on an ordinary property, which costs a call nothing.
        Object.defineProperty(loaded, name, { value: symbols[name] });
        return symbols[name];
      },
    });
  }
  return loaded as Deno.DynamicLibrary<S>["symbols"];
}

const encoder = new TextEncoder();

/**
 * Makes the NUL-terminated string that C functions take.
 *
 * @param text The text, or its bytes
 * @returns Its bytes and a NUL
 * @throws {TypeError} When the text itself holds a NUL, at which C would cut it
 */
export function cString(text: string | Uint8Array): Uint8Array<ArrayBuffer> {
  const bytes = typeof text === "string" ? encoder.encode(text) : text;
  if (bytes.includes(0)) throw new TypeError("a name can't hold a NUL");
  const out = new Uint8Array(bytes.length + 1);
  out.set(bytes);
  return out;
}

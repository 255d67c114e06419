/**
 * Loads functions of the C library. Each file of `src/sys/` declares those that
 * it needs; nothing outside `src/sys/` imports this.
 *
 * @module
 */

/** `AT_FDCWD`: "relative to the working directory" in the `…at` calls. */
export const AT_FDCWD = -100;

const LIBC = "libc.so.6";

/** The extra parameter of {@linkcode slow}: any structure will do. */
const STRUCTURE = { struct: ["i32"] } as const;
const nothing = new Uint8Array(4);
/** After this many calls it pays to make a function fast. */
const SEVERAL = 100;

type Call = (...args: unknown[]) => unknown;

/**
 * Loads functions of the C library.
 *
 * In an executable each function is loaded when it is first called, and made
 * fast after {@linkcode SEVERAL} calls. To make it fast the runtime compiles
 * machine code for it, which takes a tenth of a millisecond or more for every
 * function, and a program that starts often shouldn't pay for that. Elsewhere
 * all are loaded at once: `deno test` would otherwise report a leak in the test
 * that is the first to call a function.
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
    // This replaces the getter by an ordinary property, which calls cost less.
    const set = (value: unknown) =>
      Object.defineProperty(loaded, name, { value, configurable: true });
    const fast = () => Deno.dlopen(LIBC, { [name]: declaration }).symbols[name];
    Object.defineProperty(loaded, name, {
      configurable: true,
      get() {
        const value = "parameters" in declaration && !declaration.nonblocking
          ? slow(name, declaration, () => set(fast()))
          : fast();
        set(value);
        return value;
      },
    });
  }
  return loaded as Deno.DynamicLibrary<S>["symbols"];
}

/**
 * Loads a function without having machine code compiled for it. The runtime
 * compiles none for a function with a structure among its parameters, so this
 * declares a structure after the real parameters. The function doesn't look at
 * it, and in C the caller removes the arguments, so it does no harm.
 *
 * @param enough Called when the function is called for the 100th time
 */
function slow(
  name: string,
  declaration: Deno.ForeignFunction,
  enough: () => void,
): Call {
  const parameters = [...declaration.parameters, STRUCTURE];
  const { symbols } = Deno.dlopen(LIBC, {
    [name]: { ...declaration, parameters } as Deno.ForeignFunction,
  });
  const call = symbols[name] as Call;
  let calls = 0;
  return (...args) => {
    // Before the call, since `enough` would change the call's `errno`.
    if (++calls === SEVERAL) enough();
    return call(...args, nothing);
  };
}

const encoder = new TextEncoder();

/**
 * Makes the NUL-terminated string that C functions take.
 *
 * @param text The text, or its bytes
 * @returns Its bytes and a NUL
 * @throws {TypeError} When the text contains a NUL, where C would cut it off
 */
export function cString(text: string | Uint8Array): Uint8Array<ArrayBuffer> {
  const bytes = typeof text === "string" ? encoder.encode(text) : text;
  if (bytes.includes(0)) throw new TypeError("a name can't hold a NUL");
  const out = new Uint8Array(bytes.length + 1);
  out.set(bytes);
  return out;
}

/** A name has at most 4096 bytes (PATH_MAX), its NUL included. */
const PATH_MAX = 4096;
/** How many bytes UTF-8 takes at most for a unit of UTF-16. */
const UTF8_MOST = 3;

/**
 * Room for one string that a function doesn't keep. What is allocated for a call
 * takes longer than many a call.
 */
export class StringRoom {
  readonly #bytes = new Uint8Array(PATH_MAX);

  /**
   * Makes the NUL-terminated string that C functions take.
   *
   * @param text The text, or its bytes
   * @returns Its bytes, a NUL, and any others; until the next call
   * @throws {TypeError} When the text contains a NUL, where C would cut it off
   */
  put(text: string | Uint8Array): Uint8Array<ArrayBuffer> {
    if (UTF8_MOST * text.length >= PATH_MAX) return cString(text);
    const bytes = this.#bytes;
    let length = text.length;
    if (typeof text === "string") {
      length = encoder.encodeInto(text, bytes).written;
    } else bytes.set(text);
    bytes[length] = 0;
    // The same complaint as there.
    return bytes.indexOf(0) < length ? cString(text) : bytes;
  }
}

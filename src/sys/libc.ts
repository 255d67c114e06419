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

/** A structure, which is nothing to a function that has no such parameter. */
const STRUCTURE = { struct: ["i32"] } as const;
const nothing = new Uint8Array(4);
/** After so many calls it is worth a function's while to be made fast. */
const SEVERAL = 100;

type Call = (...args: unknown[]) => unknown;

/**
 * Loads functions of the C library.
 *
 * In an executable each is loaded when it is first used, and made fast when it
 * has been used some times: the machine code for that takes the runtime a tenth
 * of a millisecond and more for every function, and a program that starts often
 * shouldn't pay for it. In a test it would be a leak of the test that is the
 * first to call it.
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
    // Set once, it is an ordinary property, which costs a call nothing.
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
 * A function for which no machine code is made: the runtime makes none where a
 * structure is among the parameters. So this has one more, after all others. No
 * function looks at it, and in C it is the caller who puts arguments away.
 *
 * @param enough Called when it has been called several times
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
    // Before the call, whose `errno` it would change.
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
 * @throws {TypeError} When the text itself holds a NUL, at which C would cut it
 */
export function cString(text: string | Uint8Array): Uint8Array<ArrayBuffer> {
  const bytes = typeof text === "string" ? encoder.encode(text) : text;
  if (bytes.includes(0)) throw new TypeError("a name can't hold a NUL");
  const out = new Uint8Array(bytes.length + 1);
  out.set(bytes);
  return out;
}

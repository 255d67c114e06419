/** The version of all three programs. A test compares it with `deno.json`'s. */
export const VERSION = "0.1.0";

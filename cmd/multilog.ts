/**
 * The `multilog` executable.
 *
 * @module
 */
import { multilog } from "../src/multilog/main.ts";
import { VERSION } from "../src/version.ts";

Deno.exit(await multilog(Deno.args, VERSION));

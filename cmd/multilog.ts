/**
 * The `multilog` executable.
 *
 * @module
 */
import { multilog } from "../src/multilog/multilog.ts";
import { VERSION } from "../src/version.ts";

Deno.exit(await multilog(Deno.args, VERSION));

/**
 * The `multilog` program, to be run from its sources.
 *
 * @module
 */
import { run } from "../src/program.ts";
import { programs } from "./programs.ts";

const load = programs.get("multilog")!;
await run(await load(), Deno.args, "multilog");

/**
 * The `tryto` executable.
 *
 * @module
 */
import { tryto } from "../src/tryto/main.ts";

Deno.exit(await tryto(Deno.args));

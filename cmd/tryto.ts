/**
 * The `tryto` executable.
 *
 * @module
 */
import { tryto } from "../src/tryto/tryto.ts";

Deno.exit(await tryto(Deno.args));

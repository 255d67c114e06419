/**
 * The `socklog-tcp` executable.
 *
 * @module
 */
import { main } from "../src/socklog/main.ts";

Deno.exit(await main(Deno.args));

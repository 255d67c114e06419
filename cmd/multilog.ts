/** @module */
Deno.exit(111);

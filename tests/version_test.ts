import { assertEquals } from "@std/assert";
import { VERSION } from "../src/version.ts";
import denoJson from "../deno.json" with { type: "json" };

Deno.test("VERSION is that of deno.json", () => {
  assertEquals(VERSION, denoJson.version);
});

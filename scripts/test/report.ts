/**
 * Reading what Deno reports of its tests.
 *
 * @module
 */

/** What became of tests: how many passed, and the names of the others. */
export interface Result {
  passed: number;
  failed: string[];
  skipped: string[];
}

const ENTITIES: Record<string, string> = {
  "&lt;": "<",
  "&gt;": ">",
  "&quot;": '"',
  "&apos;": "'",
  "&amp;": "&",
};

/**
 * Reads what Deno's JUnit report says of each test. A step is listed as a test
 * of its own, `test > step`; it is not counted, since its test fails with it.
 */
export function readReport(xml: string): Result {
  const result: Result = { passed: 0, failed: [], skipped: [] };
  for (const [suite] of xml.matchAll(/<testsuite .*?<\/testsuite>/gs)) {
    const tests = [...suite.matchAll(
      /<testcase name="([^"]*)"[^>]*>(.*?)<\/testcase>/gs,
    )];
    const names = new Set(tests.map(([, name]) => name));
    for (const [, name = "", body = ""] of tests) {
      const parent = name.slice(0, Math.max(0, name.lastIndexOf(" &gt; ")));
      if (names.has(parent)) continue;
      const list = body.includes("<skipped")
        ? result.skipped
        : /<(failure|error)/.test(body)
        ? result.failed
        : undefined;
      if (list === undefined) result.passed++;
      else {
        list.push(
          name.replace(/&\w+;/g, (entity) => ENTITIES[entity] ?? entity),
        );
      }
    }
  }
  return result;
}

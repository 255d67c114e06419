import { assert, assertEquals, assertThrows } from "@std/assert";
import { parseHelp } from "../scripts/man/help.ts";
import { type Page, PageError, render } from "../scripts/man/page.ts";
import { guides, pages } from "../scripts/man/pages.ts";
import {
  CONNECT_USAGE,
  SEND_USAGE,
  SERVER_USAGE,
} from "../src/socklog/arguments.ts";
import { folder, installed, run, testWith } from "./tools.ts";

Deno.test("--help fits one screen, and the manual page says all that it says", () => {
  for (const page of pages) {
    const help = page.help!;
    const lines = help.trimEnd().split("\n");
    assert(lines.length <= 24, `${page.name}: ${lines.length} lines`);
    for (const line of lines) assert(line.length <= 80, line);
    const { usage, items } = parseHelp(help);
    assert(usage.length > 0 && items.length > 5, page.name);
    render(page, "1.2.3");
  }
});

Deno.test("a manual page that lacks one of --help's options isn't made", () => {
  for (const page of pages) {
    // One that nothing else on the page begins like.
    const tag = { multilog: "asec", tryto: "-P", "socklog-tcp": "-w n" }[
      page.name
    ];
    const sections = page.sections.map((section) => ({
      ...section,
      items: (section.items ?? []).filter((item) => item.tag !== tag),
    }));
    const less: Page = { ...page, sections };
    assertThrows(() => render(less, "1.2.3"), PageError, page.name);
  }
});

Deno.test("socklog-tcp's page has every option that the program knows", () => {
  const page = pages.find(({ name }) => name === "socklog-tcp")!;
  const tags = page.sections.flatMap(({ items = [] }) => items)
    .map(({ tag }) => tag.slice(0, 2));
  for (const usage of [SERVER_USAGE, SEND_USAGE, CONNECT_USAGE]) {
    const flags = /-(\w+)/.exec(usage)![1]!;
    const more = [...usage.matchAll(/\[ -(\w) /g)].map(([, letter]) => letter);
    for (const letter of [...flags, ...more]) {
      assert(tags.includes(`-${letter}`), `-${letter} is missing`);
    }
  }
});

Deno.test("every manual page says what is different from the original", () => {
  for (const page of pages) {
    const source = render(page, "1.2.3").replaceAll("\n", " ");
    const count = source.split("Different from the original").length - 1;
    assert(count >= 5, `${page.name}: ${count}`);
    assert(source.includes('"Logferry 1.2.3"'));
  }
});

Deno.test("in a manual page, a line that begins with a dot, a quote or a backslash is text", () => {
  const page: Page = {
    name: "x",
    part: 1,
    summary: "x",
    help: "usage: x\n",
    sections: [{
      title: "TWO WORDS",
      text: ".dir `a-b\\` _word_ no_word_\n\n    'quoted' ~\n\nend",
    }],
  };
  assertEquals(
    render(page, "1").split("\n").slice(4),
    [
      "\\fBx\\fR",
      '.SH "TWO WORDS"',
      "\\&.dir \\fBa\\-b\\e\\fR \\fIword\\fR no_word_",
      ".PP",
      ".nf",
      "  \\(aqquoted\\(aq \\(ti",
      ".fi",
      ".PP",
      "end",
      "",
    ],
  );
});

testWith(
  ["man", "groff"],
  "man shows the pages in 80 columns, without a warning",
  async () => {
    using work = folder();
    for (const page of [...pages, ...guides]) {
      const file = `${work.path}/${page.name}.${page.part}`;
      Deno.writeTextFileSync(file, render(page, "1.2.3"));
      const { text, stderr, code } = await run(
        [installed("man")!, "--warnings=w", "-l", file],
        { env: { MANWIDTH: "80", MANPAGER: "cat", LC_ALL: "C", TERM: "dumb" } },
      );
      assertEquals([code, stderr], [0, ""], page.name);
      assert(text.includes("SYNOPSIS") === pages.includes(page));
      assert(text.includes("SEE ALSO"));
      // Bold is overstruck, or not there.
      // deno-lint-ignore no-control-regex
      for (const line of text.replace(/.\x08/g, "").split("\n")) {
        assert(line.length <= 80, line);
      }
    }
  },
);

testWith(["mandoc"], "mandoc finds nothing wrong with the pages", async () => {
  for (const page of [...pages, ...guides]) {
    const { text, code } = await run(
      [installed("mandoc")!, "-T", "lint", "-W", "style"],
      { stdin: render(page, "1.2.3") },
    );
    assertEquals([code, text], [0, ""], page.name);
  }
});

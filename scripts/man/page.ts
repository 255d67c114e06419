/**
 * Makes a program's manual page of the text of `--help`, and of what there is to
 * add to it.
 *
 * @module
 */
import { type Help, parseHelp } from "./help.ts";

/**
 * Paragraphs with empty lines between them. `code` becomes bold, and _word_
 * italic; lines that are indented by four spaces are an example.
 */
export type Text = string;

/** An option, or an action. */
export interface Item {
  /** How it is written, such as `-t seconds`. */
  readonly tag: string;
  /** The text after `--help`'s own sentence. */
  readonly text: Text;
  /** Whether `--help`'s sentence is left out, as too short to be one. */
  readonly alone?: boolean;
}

/** A section. */
export interface Section {
  /** Its title. */
  readonly title: string;
  /** Its text. */
  readonly text?: Text;
  /** Its options. */
  readonly items?: readonly Item[];
  /** Text after them. */
  readonly more?: Text;
}

/** A manual page. */
export interface Page {
  /** The program's name. */
  readonly name: string;
  /** The part of the manual. */
  readonly part: 1 | 7 | 8;
  /** The line after its name, which whatis(1) shows. */
  readonly summary: string;
  /** What `--help` prints; `undefined` for a page that is no program's. */
  readonly help?: string;
  /** The sections after the synopsis. */
  readonly sections: readonly Section[];
}

/** `--help` has an option that the page doesn't describe. */
export class PageError extends Error {
  override name = "PageError";
}

/** The date on the pages: that of their last change. */
const DATE = "2026-11-27";

/**
 * Writes a page as roff, for man(1).
 *
 * @param page The page
 * @param version The program's version
 * @returns The page's source
 * @throws {PageError} When `--help` has an option that the page doesn't describe
 */
export function render(page: Page, version: string): string {
  const help = parseHelp(page.help ?? "");
  checkComplete(page, help);
  const head = `${page.name.toUpperCase()} ${page.part} ${DATE}`;
  const lines = [
    `.TH ${head} "Logferry ${version}" "Logferry"`,
    ".SH NAME",
    `${page.name} \\- ${escape(page.summary)}`,
  ];
  if (page.help !== undefined) lines.push(".SH SYNOPSIS");
  help.usage.forEach((way, index) => {
    if (index > 0) lines.push(".br");
    lines.push(`\\fB${literal(way)}\\fR`);
  });
  for (const { title, text, items = [], more } of page.sections) {
    lines.push(`.SH ${title.includes(" ") ? `"${title}"` : title}`);
    if (text) lines.push(...paragraphs(text));
    for (const item of items) {
      const sentence = item.alone ? "" : sentenceOf(help, item.tag);
      const whole = [sentence, item.text].filter((part) => part !== "");
      lines.push(
        ".TP",
        `\\fB${literal(item.tag)}\\fR`,
        ...paragraphs(whole.join(" "), ".IP"),
      );
    }
    if (more) lines.push(".PP", ...paragraphs(more));
  }
  return `${lines.join("\n")}\n`;
}

/** The options without their values: `-t` of `-t seconds`; `-h` and `-p`. */
function* beginnings(tags: readonly string[]): Generator<string> {
  for (const tag of tags) {
    const words = tag.split(" ");
    yield words[0]!;
    for (const word of words.slice(1)) if (/^[-/]/.test(word)) yield word;
  }
}

function checkComplete({ name, sections }: Page, help: Help): void {
  const items = sections.flatMap(({ items = [] }) => items);
  const described = new Set(beginnings(items.map(({ tag }) => tag)));
  for (const tag of beginnings(help.items.flatMap(({ tags }) => tags))) {
    if (!described.has(tag)) {
      throw new PageError(`${name}: --help has ${tag}, the page hasn't`);
    }
  }
}

/** Makes a sentence of the text that `--help` has for this option alone. */
function sentenceOf(help: Help, tag: string): string {
  const found = help.items.find(({ tags }) => tags.join(" ") === tag);
  if (found === undefined) return "";
  const text = found.text.replace(/^\(\w+\) /, "");
  return `${text[0]!.toUpperCase()}${text.slice(1)}.`;
}

function paragraphs(text: Text, separator = ".PP"): string[] {
  const lines: string[] = [];
  let example = false;
  for (const [index, block] of text.trim().split(/\n\n+/).entries()) {
    if (block.startsWith("    ")) {
      example = true;
      lines.push(separator === ".IP" ? ".IP" : ".PP", ".nf");
      for (const line of block.split("\n")) {
        lines.push(guard(literal(line.slice(2))));
      }
      lines.push(".fi");
      continue;
    }
    if (index > 0 || example) lines.push(separator);
    lines.push(...wrap(markup(block)));
    example = false;
  }
  return lines;
}

/** Breaks lines for those who read the source; roff fills them anew anyway. */
function wrap(text: string): string[] {
  const lines = [""];
  for (const word of text.split(/\s+/)) {
    const line = lines.at(-1)!;
    if (line === "") lines[lines.length - 1] = word;
    else if (line.length + word.length < 78) {
      lines[lines.length - 1] = `${line} ${word}`;
    } else lines.push(word);
  }
  return lines.map(guard);
}

function markup(text: string): string {
  return text.split("`").map((piece, index) =>
    index % 2 === 1
      ? `\\fB${literal(piece)}\\fR`
      : escape(piece).replace(/(?<!\w)_(\w+)_(?!\w)/g, "\\fI$1\\fR")
  ).join("");
}

/** Keeps roff from taking a line with a leading dot or quote for a request. */
function guard(line: string): string {
  return /^[.']/.test(line) ? `\\&${line}` : line;
}

function escape(text: string): string {
  return text.replaceAll("\\", "\\e");
}

/** Keeps roff from replacing ASCII characters in text that readers may copy. */
function literal(text: string): string {
  return escape(text).replaceAll("-", "\\-").replaceAll("'", "\\(aq")
    .replaceAll("^", "\\(ha").replaceAll("~", "\\(ti");
}

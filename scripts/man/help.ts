/**
 * Reads the text that `--help` prints, so that a manual page says the same.
 *
 * @module
 */

/** A line of `--help`: an option, or a few that belong together. */
export interface HelpItem {
  /** The options as they are written, such as `-t seconds`. */
  readonly tags: readonly string[];
  /** The text after them. */
  readonly text: string;
}

/** The parts of a text of `--help`. */
export interface Help {
  /** The ways to start the program. */
  readonly usage: readonly string[];
  /** The options, in their order. */
  readonly items: readonly HelpItem[];
}

/** Matches an option or an action, but no sentence. */
const TAG = /^(?:[-+=.!/]\S+|[A-Z]|[a-z]+)(?: [a-z]+(?:\+[a-z]+)?)?$/;
/** Matches a line that continues the one before it. */
const CONTINUED = /^ {8,}(\S.*)$/;

/**
 * Takes a help text apart. A line of options is indented by two spaces. At least
 * two spaces come between an option and its text, and between two options.
 *
 * @param help The text
 * @returns Its parts
 */
export function parseHelp(help: string): Help {
  const usage: string[] = [];
  const items: { tags: string[]; text: string }[] = [];
  let inUsage = true;
  let inItems = false;
  for (const line of help.split("\n")) {
    if (inUsage) {
      inUsage = line !== "";
      // After many spaces comes a remark on this way to start the program.
      const [way] = line.slice(7).split(/ {2,}/);
      if (way) usage.push(way);
      continue;
    }
    const continued = CONTINUED.exec(line);
    if (continued && inItems) {
      items.at(-1)!.text += ` ${continued[1]}`;
      continue;
    }
    inItems = /^ {2}\S/.test(line);
    if (!inItems) continue;
    let tags: string[] = [];
    let texts = 0;
    for (const part of line.trim().split(/ {2,}/)) {
      const isTag = part.startsWith("-") || texts === 0 && TAG.test(part);
      if (isTag) {
        tags.push(part);
      } else if (tags.length > 0) {
        items.push({ tags, text: part });
        tags = [];
        texts++;
      }
    }
  }
  return { usage, items };
}

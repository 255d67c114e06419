/**
 * multilog's script: one argument is one action.
 *
 * @module
 */
import { leadingNumber } from "../getopt.ts";
import {
  codeFault,
  KEEP_DEFAULT,
  KEEP_MIN,
  type LogSettings,
  SIZE_DEFAULT,
  SIZE_MAX,
  SIZE_MIN,
} from "../log/settings.ts";
import type { StampKind } from "../stamps.ts";
import { type Pattern, pattern, type PatternLanguage } from "./pattern.ts";

/** One action that is carried out for each line. */
export type Action =
  | { readonly kind: "select"; readonly pattern: Pattern }
  | { readonly kind: "deselect"; readonly pattern: Pattern }
  | { readonly kind: "alert" }
  | { readonly kind: "status"; readonly file: string }
  | {
    readonly kind: "log";
    readonly path: string;
    readonly settings: Readonly<LogSettings>;
    /** Whether there is a log in it for each host. */
    readonly hosts: boolean;
  };

/** A script. */
export interface Script {
  /** The timestamp that each line begins with; `undefined` for none. */
  timestamp: StampKind | undefined;
  /** The actions, in their order. */
  actions: Action[];
  /** What in the script does nothing, or something else than it seems. */
  warnings: string[];
}

/**
 * Reads a script.
 *
 * @param args The arguments
 * @returns The script
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * const script = parseScript(["t", "-*", "+*fatal*", "n20", "./main"]);
 * assertEquals(script.timestamp, "t");
 * assertEquals(
 *   script.actions.map((action) => action.kind),
 *   ["deselect", "select", "log"],
 * );
 * ```
 */
export function parseScript(args: readonly string[]): Script {
  const script: Script = { timestamp: undefined, actions: [], warnings: [] };
  const { actions, warnings } = script;
  const settings: LogSettings = {
    size: SIZE_DEFAULT,
    keep: KEEP_DEFAULT,
    processor: "",
    age: 0,
  };
  const ranged = (arg: string, least: number, most: number): number => {
    const given = leadingNumber(arg.slice(1)) ?? 0;
    const used = Math.min(Math.max(given, least), most);
    const number = /^.\d+$/.test(arg);
    if (given !== used || !number) {
      const why = number ? "" : "not a number, ";
      warnings.push(`${arg}: ${why}taken as ${arg[0]}${used}`);
    }
    return used;
  };
  let language: PatternLanguage = "simple";
  let unknown = false;
  /** Settings that no directory has followed yet. */
  let unused: string[] = [];
  args.forEach((arg, index) => {
    const rest = arg.slice(1);
    // Only this: whatever else begins so is more likely to be a directory.
    if (arg === "d") {
      settings.discard = true;
      unused.push(arg);
      return;
    }
    switch (arg[0]) {
      case "t":
      case "T":
      case "i":
        if (index === 0) script.timestamp = arg[0];
        else {
          warnings.push(
            `${arg}: ignored, ${arg[0]} must be the first action`,
          );
        }
        break;
      case "+":
        actions.push({ kind: "select", pattern: pattern(rest, language) });
        break;
      case "-":
        actions.push({ kind: "deselect", pattern: pattern(rest, language) });
        break;
      case "F":
        language = "fnmatch";
        break;
      case "R":
        language = "expression";
        break;
      case "S":
        language = "simple";
        break;
      case "e":
        actions.push({ kind: "alert" });
        break;
      case "=":
        actions.push({ kind: "status", file: rest });
        break;
      case "s":
        settings.size = ranged(arg, SIZE_MIN, SIZE_MAX);
        unused.push(arg);
        break;
      case "n":
        settings.keep = ranged(arg, KEEP_MIN, Number.MAX_SAFE_INTEGER);
        unused.push(arg);
        break;
      case "a":
        settings.age = ranged(arg, 1, Number.MAX_SAFE_INTEGER);
        unused.push(arg);
        break;
      case "b":
      case "k":
        // A word that isn't meant for this must not remove anything.
        if (!/^.0*[1-9]\d*$/.test(arg)) {
          warnings.push(`${arg}: ignored, ${rest || '""'} is no number over 0`);
          break;
        }
        settings[arg[0] === "b" ? "keepBytes" : "keepSeconds"] = Number(rest);
        unused.push(arg);
        break;
      case "w": {
        const fault = codeFault(rest);
        if (fault) {
          warnings.push(`${arg}: ignored, ${fault}`);
          break;
        }
        settings.code = rest;
        unused.push(arg);
        break;
      }
      case "!":
        settings.processor = rest;
        unused.push(arg);
        break;
      case ".":
      case "/":
      case "@": {
        const hosts = arg[0] === "@";
        const path = hosts ? rest : arg;
        if (path === "") {
          warnings.push("@: ignored, no directory follows it");
          break;
        }
        actions.push({ kind: "log", path, settings: { ...settings }, hosts });
        unused = [];
        break;
      }
      default:
        unknown = true;
        warnings.push(
          `${
            arg || '""'
          }: unknown action ignored; a directory begins with . or /`,
        );
    }
  });
  for (const arg of unused) {
    warnings.push(`${arg}: ignored, no directory follows it`);
  }
  const lost = actions.every(({ kind }) =>
    kind === "select" || kind === "deselect"
  );
  // Whoever gives no script at all means it; and one warning is enough.
  if (lost && args.length > 0 && !unknown) {
    warnings.push("no directory, e or =file: all lines are thrown away");
  }
  return script;
}

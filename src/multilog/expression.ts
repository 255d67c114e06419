/**
 * Regular expressions of bytes: POSIX's extended ones, as `grep -E` takes
 * them, without references back. They aren't tried one way after the other but
 * all at the same time, so no line takes longer than its length says.
 *
 * @module
 */
import type { Bytes } from "../bytes.ts";
import { classOf, readBrackets } from "./brackets.ts";
import { ANY_BYTE, type ByteSet, onlyByte, type Places } from "./places.ts";

/** The largest number in braces. */
const MOST_TIMES = 255;
/** How many parts an expression may have, repetitions written out. */
const MOST_PARTS = 10_000;
/** How many parentheses, or repetitions of repetitions, may hold one another. */
const DEEPEST = 100;

type Tree =
  | { readonly kind: "byte"; readonly set: ByteSet }
  | { readonly kind: "begin" | "end" }
  | { readonly kind: "sequence" | "choice"; readonly trees: readonly Tree[] }
  | {
    readonly kind: "repeat";
    readonly tree: Tree;
    readonly least: number;
    /** `Infinity` for any number. */
    readonly most: number;
  };

/**
 * Adds an expression to places.
 *
 * @param places The places
 * @param text The expression
 * @throws {SyntaxError} With what can't be understood in it
 */
export function addExpression(places: Places, text: Bytes): void {
  const graph = new Graph();
  const first = graph.build(new Parser(text).parse(), MATCHED);
  places.begin();
  const matched = places.matched.at(-1)!;
  const atEnd = places.atEnd.at(-1)!;
  // A node's place, once it is known that one is needed.
  const placeOf = new Map<number, number>();
  const waiting: [node: number, after: number[]][] = [];
  /** The places that can be got to without a byte. */
  const reached = (from: number, begin: boolean): number[] => {
    const found: number[] = [];
    const seen = new Set<number>();
    const stack: [node: number, end: boolean][] = [[from, false]];
    while (stack.length > 0) {
      const [node, end] = stack.pop()!;
      const key = 2 * node + (end ? 1 : 0);
      if (seen.has(key)) continue;
      seen.add(key);
      if (node === MATCHED) {
        found.push(end ? atEnd : matched);
        continue;
      }
      const { set, next, only } = graph.nodes[node]!;
      if (set === undefined) {
        if (only === "begin" && !begin) continue;
        for (const each of next) stack.push([each, end || only === "end"]);
      } else if (!end) {
        let place = placeOf.get(node);
        if (place === undefined) {
          const after: number[] = [];
          placeOf.set(node, place = places.add(set, after));
          waiting.push([next[0]!, after]);
        }
        found.push(place);
      }
    }
    return found;
  };
  places.first.push(...reached(first, true));
  // It may begin after any byte, too.
  const later: number[] = [];
  const again = places.add(ANY_BYTE, later);
  later.push(again, ...reached(first, false));
  places.first.push(again);
  while (waiting.length > 0) {
    const [node, after] = waiting.pop()!;
    after.push(...reached(node, false));
  }
}

/** Not a node: everything has been matched. */
const MATCHED = -1;

interface Node {
  /** The bytes that lead on; `undefined` where it goes on without one. */
  readonly set: ByteSet | undefined;
  readonly next: number[];
  /** Where alone it goes on. */
  readonly only?: "begin" | "end";
}

/** An expression as nodes. */
class Graph {
  readonly nodes: Node[] = [];
  #parts = 0;

  #add(node: Node): number {
    return this.nodes.push(node) - 1;
  }

  /** The node where a tree begins that goes on at `next`. */
  build(tree: Tree, next: number): number {
    if (++this.#parts > MOST_PARTS) throw new SyntaxError("too large");
    switch (tree.kind) {
      case "byte":
        return this.#add({ set: tree.set, next: [next] });
      case "begin":
      case "end":
        return this.#add({ set: undefined, next: [next], only: tree.kind });
      case "sequence":
        return tree.trees.reduceRight(
          (next, each) => this.build(each, next),
          next,
        );
      case "choice":
        return this.#add({
          set: undefined,
          next: tree.trees.map((each) => this.build(each, next)),
        });
      case "repeat": {
        const { least, most } = tree;
        let at = next;
        if (most === Infinity) {
          const ways = [next];
          at = this.#add({ set: undefined, next: ways });
          ways.push(this.build(tree.tree, at));
        } else {
          for (let i = least; i < most; i++) {
            at = this.#add({
              set: undefined,
              next: [next, this.build(tree.tree, at)],
            });
          }
        }
        for (let i = 0; i < least; i++) at = this.build(tree.tree, at);
        return at;
      }
    }
  }
}

/** Reads an expression. */
class Parser {
  readonly #text: Bytes;
  #at = 0;
  #depth = 0;

  constructor(text: Bytes) {
    this.#text = text;
  }

  #peek(): string {
    const byte = this.#text[this.#at];
    return byte === undefined ? "" : String.fromCharCode(byte);
  }

  #take(wanted: string): boolean {
    if (this.#peek() !== wanted) return false;
    this.#at++;
    return true;
  }

  parse(): Tree {
    const tree = this.#choice();
    if (this.#at < this.#text.length) throw new SyntaxError("unmatched )");
    return tree;
  }

  #choice(): Tree {
    const trees = [this.#sequence()];
    while (this.#take("|")) trees.push(this.#sequence());
    return trees.length === 1 ? trees[0]! : { kind: "choice", trees };
  }

  #sequence(): Tree {
    const trees: Tree[] = [];
    while (!["", "|", ")"].includes(this.#peek())) {
      let tree = this.#one();
      let depth = 0;
      for (let times = this.#times(); times; times = this.#times()) {
        if (++depth > DEEPEST) throw new SyntaxError("too deep");
        tree = { kind: "repeat", tree, least: times[0], most: times[1] };
      }
      trees.push(tree);
    }
    return { kind: "sequence", trees };
  }

  #times(): [least: number, most: number] | undefined {
    if (this.#take("*")) return [0, Infinity];
    if (this.#take("+")) return [1, Infinity];
    if (this.#take("?")) return [0, 1];
    if (!this.#take("{")) return undefined;
    const least = this.#number();
    let most = least;
    if (this.#take(",")) most = this.#number() ?? Infinity;
    if (least === undefined || most === undefined || !this.#take("}")) {
      throw new SyntaxError("no numbers in braces");
    }
    if (
      least > most || least > MOST_TIMES ||
      most > MOST_TIMES && most !== Infinity
    ) {
      throw new SyntaxError("wrong numbers in braces");
    }
    return [least, most];
  }

  #number(): number | undefined {
    let digits = "";
    while (/^\d$/.test(this.#peek())) {
      digits += this.#peek();
      this.#at++;
    }
    return digits === "" ? undefined : Math.min(Number(digits), MOST_TIMES + 1);
  }

  #one(): Tree {
    const character = this.#peek();
    const byte = this.#text[this.#at++]!;
    switch (character) {
      case "(": {
        if (++this.#depth > DEEPEST) throw new SyntaxError("too deep");
        const tree = this.#choice();
        if (!this.#take(")")) throw new SyntaxError("unmatched (");
        this.#depth--;
        return tree;
      }
      case "^":
        return { kind: "begin" };
      case "$":
        return { kind: "end" };
      case ".":
        return { kind: "byte", set: ANY_BYTE };
      case "[":
        return { kind: "byte", set: this.#brackets() };
      case "\\":
        return { kind: "byte", set: this.#escaped() };
      case "*":
      case "+":
      case "?":
      case "{":
        throw new SyntaxError(`nothing to repeat before ${character}`);
      default:
        return { kind: "byte", set: onlyByte(byte) };
    }
  }

  #brackets(): ByteSet {
    const not = this.#take("^");
    const { set, after, fault } = readBrackets(this.#text, this.#at, false);
    if (fault !== undefined) throw new SyntaxError(fault);
    this.#at = after;
    return not ? set.map((is) => 1 - is) : set;
  }

  #escaped(): ByteSet {
    const character = this.#peek();
    const byte = this.#text[this.#at++];
    if (byte === undefined) throw new SyntaxError("a \\ at the end");
    if (/^[wWsS]$/.test(character)) {
      const set = classOf(/w/i.test(character) ? "alnum" : "space")!;
      if (/w/i.test(character)) set["_".charCodeAt(0)] = 1;
      return /[WS]/.test(character) ? set.map((is) => 1 - is) : set;
    }
    if (/^[0-9A-Za-z]$/.test(character)) {
      throw new SyntaxError(`unknown \\${character}`);
    }
    return onlyByte(byte);
  }
}

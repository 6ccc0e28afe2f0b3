/**
 * Regular expressions that strangers wrote (in templates and routes), matched in time proportional to pattern × text (all states side by side, no backtracking), because a
 * backtracking matcher given a stranger's pattern can be made to run for hours. The syntax is the part of RE2's that such patterns
 * use: literals, `.`, classes, \d \w \s \b and their opposites, anchors, groups (named ones too, as Python and as ECMAScript write them), alternatives, `* + ? {m,n}` (lazy forms match the same text, and capture less), `(?i)` at the start.
 */

/** Pays for work from the caller's budget; throws when it is spent. */
export type Spend = (steps: number) => void;

export interface PatternUse {
  /** The match begins where the text does. */
  readonly isAnchored?: boolean;
  readonly isCaseBlind?: boolean;
}

const PATTERN_LENGTH_MAX = 500;
const PROGRAM_MAX = 2000;
export const TEXT_LENGTH_MAX = 10_000;
const REPEAT_MAX = 200;
const GROUP_DEPTH_MAX = 30;
/** Of a pattern whose groups are told apart. */
export const GROUPS_MAX = 50;

/** True when the pattern is found in the text. Throws SyntaxError for a pattern that cannot be read or is too large. */
export function matchesPattern(pattern: string, text: string, spend: Spend, use: PatternUse = {}): boolean {
  return matchesSome(pattern, [text], spend, use);
}

/** True when it is found in one of them; the pattern, which may cost more than a text, is read once. */
export function matchesSome(
  pattern: string,
  texts: readonly string[],
  spend: Spend,
  { isAnchored = false, isCaseBlind = false }: PatternUse = {},
): boolean {
  const { program } = compilePattern(pattern, isCaseBlind, false);
  spend((program.length + pattern.length) >> 2);
  return texts.some((text) => {
    if (text.length > TEXT_LENGTH_MAX) throw new SyntaxError(`a text to match is longer than ${TEXT_LENGTH_MAX} characters`);
    spend(1 + (program.length >> 3));
    return run(program, text, spend, isAnchored);
  });
}

/** How many instructions it takes. Throws SyntaxError for a pattern that could not be matched, or whose groups could not be told apart. */
export function checkPattern(pattern: string): number {
  const { program, groups } = compilePattern(pattern, false, true);
  if (groups.length > GROUPS_MAX) throw new SyntaxError(`a pattern has more than ${GROUPS_MAX} groups`);
  return program.length;
}

/** As a program for `run`, or with `isCapturing` for `pattern-captures`. Throws SyntaxError for a pattern that cannot be read or is too large. */
export function compilePattern(pattern: string, isCaseBlind: boolean, isCapturing: boolean): CompiledPattern {
  const hasFlag = pattern.startsWith('(?i)');
  const body = hasFlag ? pattern.slice(4) : pattern;
  if (body.length > PATTERN_LENGTH_MAX) throw new SyntaxError(`a pattern is longer than ${PATTERN_LENGTH_MAX} characters`);
  const compiler = new Compiler(body, hasFlag || isCaseBlind, isCapturing);
  return { program: compiler.compile(), groups: compiler.groups };
}

type Test = (char: string) => boolean;
type Anchor = 'start' | 'end' | 'word' | 'not-word';
export type Instruction =
  | { readonly op: 'char'; readonly test: Test }
  /** `a` is tried first. */
  | { readonly op: 'split'; a: number; b: number }
  | { readonly op: 'jump'; to: number }
  | { readonly op: 'anchor'; readonly anchor: Anchor }
  /** Only in a program that captures: the position is a group's beginning (even slot) or end. */
  | { readonly op: 'save'; readonly slot: number }
  | { readonly op: 'match' };

export interface CompiledPattern {
  readonly program: Instruction[];
  /** Names of the groups, in the order of their numbers from 1; undefined: it has none. */
  readonly groups: readonly (string | undefined)[];
}

/** A piece of syntax: how to write its instructions, so that a repetition can write it several times. */
type Piece = (out: Instruction[]) => void;

class Compiler {
  readonly #source: string;
  readonly #isCaseBlind: boolean;
  readonly #isCapturing: boolean;
  readonly groups: (string | undefined)[] = [];
  #at = 0;
  #depth = 0;

  constructor(source: string, isCaseBlind: boolean, isCapturing: boolean) {
    this.#source = source;
    this.#isCaseBlind = isCaseBlind;
    this.#isCapturing = isCapturing;
  }

  compile(): Instruction[] {
    const piece = this.#alternatives();
    if (this.#at < this.#source.length) throw new SyntaxError('a pattern has an unexpected ")"');
    const out: Instruction[] = [];
    piece(out);
    out.push({ op: 'match' });
    return out;
  }

  #alternatives(): Piece {
    if (++this.#depth > GROUP_DEPTH_MAX) throw new SyntaxError('a pattern has too many groups inside groups');
    const branches = [this.#sequence()];
    while (this.#eat('|')) branches.push(this.#sequence());
    this.#depth--;
    return branches.reduceRight((rest, branch) => either(branch, rest));
  }

  #sequence(): Piece {
    const pieces: Piece[] = [];
    while (this.#at < this.#source.length && this.#peek() !== '|' && this.#peek() !== ')') pieces.push(this.#repeated());
    return (out) => {
      for (const piece of pieces) piece(out);
    };
  }

  #repeated(): Piece {
    let piece = this.#single();
    for (;;) {
      const bounds = this.#bounds();
      if (bounds === undefined) return piece;
      const isLazy = this.#eat('?');
      piece = repeat(piece, bounds[0], bounds[1], isLazy);
    }
  }

  #bounds(): readonly [min: number, max: number] | undefined {
    if (this.#eat('*')) return [0, Infinity];
    if (this.#eat('+')) return [1, Infinity];
    if (this.#eat('?')) return [0, 1];
    const match = /^\{(\d{1,4})(,(\d{1,4})?)?\}/.exec(this.#source.slice(this.#at, this.#at + 12));
    if (match === null) return undefined;
    this.#at += match[0].length;
    const min = Number(match[1]);
    const max = match[2] === undefined ? min : match[3] === undefined ? Infinity : Number(match[3]);
    if (min > REPEAT_MAX || (max !== Infinity && (max > REPEAT_MAX || max < min)))
      throw new SyntaxError('a pattern has a repetition out of range');
    return [min, max];
  }

  #single(): Piece {
    const char = this.#next();
    switch (char) {
      case '(':
        return this.#group();
      case '[':
        return charPiece(this.#charClass());
      case '.':
        return charPiece((other) => other !== '\n');
      case '^':
        return anchorPiece('start');
      case '$':
        return anchorPiece('end');
      case '\\':
        return this.#escape();
      case '*':
      case '+':
      case '?':
        throw new SyntaxError('a pattern repeats nothing');
      default:
        return charPiece(this.#fold((other) => other === char));
    }
  }

  #group(): Piece {
    const isPlain = !this.#eat('?');
    const isUncounted = !isPlain && this.#eat(':');
    const name = isPlain || isUncounted ? undefined : this.#eatName();
    if (!isPlain && !isUncounted && name === undefined) throw new SyntaxError('a pattern has a group that is not supported');
    const number = isUncounted ? 0 : this.groups.push(name);
    const piece = this.#alternatives();
    if (!this.#eat(')')) throw new SyntaxError('a pattern has a group that is not closed');
    return number > 0 && this.#isCapturing ? capturing(piece, number) : piece;
  }

  #eatName(): string | undefined {
    const match = /^P?<([A-Za-z_]\w{0,63})>/.exec(this.#source.slice(this.#at, this.#at + 70));
    if (match !== null) this.#at += match[0].length;
    return match?.[1];
  }

  #escape(): Piece {
    const letter = this.#next();
    if (letter === 'b') return anchorPiece('word');
    if (letter === 'B') return anchorPiece('not-word');
    return charPiece(this.#fold(escapedTest(letter)));
  }

  #charClass(): Test {
    const isNegated = this.#eat('^');
    const ranges: Range[] = [];
    const kinds = new Set<string>();
    do {
      const item = this.#classItem();
      if (typeof item === 'string') kinds.add(item);
      else ranges.push(item);
    } while (this.#peek() !== ']');
    this.#at++;
    const test = this.#fold(classTest(ranges, [...kinds].map(escapedTest)));
    return isNegated ? (char) => !test(char) : test;
  }

  /** A range, or the letter of an escape that stands for many characters. */
  #classItem(): Range | string {
    const low = this.#next();
    const isEscaped = low === '\\';
    const first = isEscaped ? this.#next() : low;
    if (isEscaped && /[dwsDWS]/.test(first)) return first;
    const from = isEscaped ? controlOf(first) : first;
    if (this.#peek() !== '-' || this.#source[this.#at + 1] === ']') return { from, to: from };
    this.#at++;
    const last = this.#next();
    const to = last === '\\' ? controlOf(this.#next()) : last;
    if (to < from) throw new SyntaxError('a pattern has a class whose range runs backwards');
    return { from, to };
  }

  #fold(test: Test): Test {
    return this.#isCaseBlind ? (char) => test(char.toLowerCase()) || test(char.toUpperCase()) : test;
  }

  #peek(): string | undefined {
    return this.#source[this.#at];
  }

  #next(): string {
    const char = this.#source[this.#at++];
    if (char === undefined) throw new SyntaxError('a pattern ends too early');
    return char;
  }

  #eat(char: string): boolean {
    if (this.#source[this.#at] !== char) return false;
    this.#at++;
    return true;
  }
}

interface Range {
  readonly from: string;
  readonly to: string;
}

/** However many ranges were written, a character costs no more than a search among them. */
function classTest(ranges: readonly Range[], tests: readonly Test[]): Test {
  const joined: Range[] = [];
  for (const range of ranges.toSorted((a, b) => (a.from < b.from ? -1 : 1))) {
    const last = joined.at(-1);
    if (last === undefined || range.from > last.to) joined.push(range);
    else if (range.to > last.to) joined[joined.length - 1] = { from: last.from, to: range.to };
  }
  return (char) => isWithin(joined, char) || tests.some((test) => test(char));
}

/** `ranges`: in order, none within another. */
function isWithin(ranges: readonly Range[], char: string): boolean {
  let low = 0;
  let high = ranges.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    const { from, to } = ranges[middle] as Range;
    if (char < from) high = middle;
    else if (char > to) low = middle + 1;
    else return true;
  }
  return false;
}

function either(left: Piece, right: Piece): Piece {
  return (out) => {
    const split = push(out, { op: 'split', a: 0, b: 0 });
    split.a = out.length;
    left(out);
    const jump = push(out, { op: 'jump', to: 0 });
    split.b = out.length;
    right(out);
    jump.to = out.length;
  };
}

function repeat(piece: Piece, min: number, max: number, isLazy: boolean): Piece {
  const [more, end] = isLazy ? (['b', 'a'] as const) : (['a', 'b'] as const);
  return (out) => {
    for (let i = 0; i < min; i++) {
      const before = out.length;
      piece(out);
      // What writes nothing never will; repeated within repetitions it would not end.
      if (out.length === before) break;
    }
    if (max === Infinity) {
      const split = push(out, { op: 'split', a: 0, b: 0 });
      const start = out.length - 1;
      split[more] = out.length;
      piece(out);
      push(out, { op: 'jump', to: start });
      split[end] = out.length;
      return;
    }
    for (let i = min; i < max; i++) {
      const split = push(out, { op: 'split', a: 0, b: 0 });
      split[more] = out.length;
      piece(out);
      split[end] = out.length;
    }
  };
}

function capturing(piece: Piece, number: number): Piece {
  return (out) => {
    push(out, { op: 'save', slot: number * 2 });
    piece(out);
    push(out, { op: 'save', slot: number * 2 + 1 });
  };
}

function charPiece(test: Test): Piece {
  return (out) => void push(out, { op: 'char', test });
}

function anchorPiece(anchor: Anchor): Piece {
  return (out) => void push(out, { op: 'anchor', anchor });
}

function push<T extends Instruction>(out: Instruction[], instruction: T): T {
  if (out.length >= PROGRAM_MAX) throw new SyntaxError('a pattern is too large');
  out.push(instruction);
  return instruction;
}

function escapedTest(letter: string): Test {
  switch (letter) {
    case 'd':
      return isDigit;
    case 'D':
      return (char) => !isDigit(char);
    case 'w':
      return isWord;
    case 'W':
      return (char) => !isWord(char);
    case 's':
      return isSpace;
    case 'S':
      return (char) => !isSpace(char);
    default: {
      const wanted = controlOf(letter);
      return (char) => char === wanted;
    }
  }
}

/** \n, \t and the like; punctuation stands for itself; other letters mean nothing and are refused, as they may mean something elsewhere. */
function controlOf(letter: string): string {
  const controls: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t', f: '\f', v: '\v' };
  if (/[a-z0-9]/i.test(letter)) {
    const control = Object.hasOwn(controls, letter) ? controls[letter] : undefined;
    if (control === undefined) throw new SyntaxError(`a pattern has the unknown escape \\${letter}`);
    return control;
  }
  return letter;
}

function isDigit(char: string): boolean {
  return char >= '0' && char <= '9';
}

function isWord(char: string): boolean {
  return (char >= 'a' && char <= 'z') || (char >= 'A' && char <= 'Z') || isDigit(char) || char === '_';
}

function isSpace(char: string): boolean {
  return char === ' ' || (char >= '\t' && char <= '\r');
}

/** All threads step together over the text; a thread is a program position, at most one per position. */
function run(program: readonly Instruction[], text: string, spend: Spend, isAnchored: boolean): boolean {
  const seen = new Int32Array(program.length).fill(-1);
  let current: number[] = [];
  let followed = 0;
  for (let at = 0; at <= text.length; at++) {
    if (at === 0 || !isAnchored) followed += follow(program, 0, at, text, seen, current);
    else if (current.length === 0) return false;
    spend(1 + ((current.length + followed) >> 3));
    followed = 0;
    const next: number[] = [];
    const char = text[at];
    for (const position of current) {
      const instruction = program[position] as Instruction;
      if (instruction.op === 'match') return true;
      if (char !== undefined && instruction.op === 'char' && instruction.test(char)) {
        followed += follow(program, position + 1, at + 1, text, seen, next);
      }
    }
    current = next;
  }
  return false;
}

/** Adds to `threads` what can be reached from `start` without reading a character. How many instructions that took. */
function follow(program: readonly Instruction[], start: number, at: number, text: string, seen: Int32Array, threads: number[]): number {
  const stack = [start];
  let steps = 0;
  for (let position = stack.pop(); position !== undefined; position = stack.pop()) {
    steps++;
    if (seen[position] === at) continue;
    seen[position] = at;
    const instruction = program[position] as Instruction;
    if (instruction.op === 'jump') stack.push(instruction.to);
    else if (instruction.op === 'split') stack.push(instruction.b, instruction.a);
    else if (instruction.op === 'anchor') {
      if (holds(instruction.anchor, at, text)) stack.push(position + 1);
    } else if (instruction.op === 'save') stack.push(position + 1);
    else threads.push(position);
  }
  return steps;
}

export function holds(anchor: Anchor, at: number, text: string): boolean {
  if (anchor === 'start') return at === 0;
  if (anchor === 'end') return at === text.length;
  const isEdge = isWord(text[at - 1] ?? ' ') !== isWord(text[at] ?? ' ');
  return anchor === 'word' ? isEdge : !isEdge;
}

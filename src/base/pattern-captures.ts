/**
 * What the groups of a stranger's pattern caught, in the same linear time as matching: all states side by side, each with its own captures, the preferred one first, as a
 * backtracking matcher would find them. The match begins where the text does.
 */
import { type CompiledPattern, compilePattern, GROUPS_MAX, holds, type Instruction, type Spend, TEXT_LENGTH_MAX } from './pattern.ts';

export interface Captures {
  /** From 0, which is the whole match; undefined: the group took no part. */
  readonly byNumber: readonly (string | undefined)[];
  readonly byName: Readonly<Record<string, string | undefined>>;
}

/** Undefined: it does not match. Throws SyntaxError for a pattern that cannot be read or is too large. */
export function capturesOf(pattern: string, text: string, spend: Spend, isCaseBlind: boolean): Captures | undefined {
  return capturesOfFirst(pattern, [text], spend, isCaseBlind);
}

/** Of the first text that matches; the pattern is read once. */
export function capturesOfFirst(pattern: string, texts: readonly string[], spend: Spend, isCaseBlind: boolean): Captures | undefined {
  const compiled = compilePattern(pattern, isCaseBlind, true);
  if (compiled.groups.length > GROUPS_MAX) throw new SyntaxError(`a pattern has more than ${GROUPS_MAX} groups`);
  spend((compiled.program.length + pattern.length) >> 2);
  for (const text of texts) {
    if (text.length > TEXT_LENGTH_MAX) throw new SyntaxError(`a text to match is longer than ${TEXT_LENGTH_MAX} characters`);
    spend(1 + (compiled.program.length >> 3));
    const slots = new Walk(compiled.program, text, spend).run();
    if (slots !== undefined) return told(compiled, slots, text);
  }
  return undefined;
}

type Slots = readonly (number | undefined)[];

interface Thread {
  readonly position: number;
  readonly slots: Slots;
}

class Walk {
  readonly #program: readonly Instruction[];
  readonly #text: string;
  readonly #spend: Spend;
  readonly #seen: Int32Array;

  constructor(program: readonly Instruction[], text: string, spend: Spend) {
    this.#program = program;
    this.#text = text;
    this.#spend = spend;
    this.#seen = new Int32Array(program.length).fill(-1);
  }

  run(): Slots | undefined {
    let found: Slots | undefined;
    let threads: Thread[] = [];
    this.#follow({ position: 0, slots: [0] }, 0, threads);
    for (let at = 0; at <= this.#text.length && threads.length > 0; at++) {
      this.#spend(1 + (threads.length >> 2));
      const next: Thread[] = [];
      for (const { position, slots } of threads) {
        const instruction = this.#program[position] as Instruction;
        if (instruction.op === 'match') {
          // Those behind it are less preferred.
          found = withSlot(slots, 1, at);
          break;
        }
        const char = this.#text[at];
        if (char !== undefined && instruction.op === 'char' && instruction.test(char))
          this.#follow({ position: position + 1, slots }, at + 1, next);
      }
      threads = next;
    }
    return found;
  }

  /** Adds what can be reached without reading a character, the preferred first. */
  #follow(start: Thread, at: number, threads: Thread[]): void {
    const stack = [start];
    let steps = 0;
    for (let thread = stack.pop(); thread !== undefined; thread = stack.pop()) {
      const { position, slots } = thread;
      steps++;
      if (this.#seen[position] === at) continue;
      this.#seen[position] = at;
      const instruction = this.#program[position] as Instruction;
      if (instruction.op === 'jump') stack.push({ position: instruction.to, slots });
      else if (instruction.op === 'split') stack.push({ position: instruction.b, slots }, { position: instruction.a, slots });
      else if (instruction.op === 'save') {
        this.#spend(1);
        stack.push({ position: position + 1, slots: withSlot(slots, instruction.slot, at) });
      } else if (instruction.op === 'anchor') {
        if (holds(instruction.anchor, at, this.#text)) stack.push({ position: position + 1, slots });
      } else threads.push(thread);
    }
    this.#spend(steps >> 2);
  }
}

function withSlot(slots: Slots, slot: number, at: number): Slots {
  const copy = slots.slice();
  copy[slot] = at;
  return copy;
}

function told({ groups }: CompiledPattern, slots: Slots, text: string): Captures {
  const group = (number: number): string | undefined => {
    const [start, end] = [slots[number * 2], slots[number * 2 + 1]];
    return start === undefined || end === undefined || end < start ? undefined : text.slice(start, end);
  };
  const byNumber = [group(0), ...groups.map((_, index) => group(index + 1))];
  const named = groups.flatMap((name, index) => (name === undefined ? [] : [[name, byNumber[index + 1]] as const]));
  return { byNumber, byName: Object.fromEntries(named) };
}

/**
 * Walks a parsed template and writes its text. Each step, each byte of output and each level of nesting is paid from a budget;
 * when it is spent, a `TemplateFault` ends the walk. A frame is the scope of one block that changed the context: `this`, its
 * @data, its block parameters, and the frame around it (`../`).
 */
import type { Spend } from '#base/pattern.ts';
import { isTruthy, ownValue, PREDICATES, textOf, VALUES } from './helpers.ts';

/** What is wrong with the template, in words for its author. */
export class TemplateFault extends Error {}

export interface Budget {
  readonly outputBytesMax: number;
  readonly stepsMax: number;
  readonly depthMax: number;
  readonly escape: (text: string) => string;
}

interface Frame {
  readonly context: unknown;
  /** @index, @key, @first, @last. */
  readonly data: Readonly<Record<string, unknown>>;
  /** Block parameters: `as |item index|`. */
  readonly names: Readonly<Record<string, unknown>>;
  readonly outer: Frame | undefined;
}

interface Call {
  readonly path: hbs.AST.PathExpression | hbs.AST.Literal;
  readonly params: hbs.AST.Expression[];
  readonly hash?: hbs.AST.Hash;
}

const NONE: Readonly<Record<string, unknown>> = Object.freeze(Object.create(null) as Record<string, unknown>);

/** The template's text for `context`. Throws `TemplateFault`. */
export function evaluate(program: hbs.AST.Program, context: unknown, budget: Budget): string {
  const walk = new Walk(context, budget);
  walk.program(program, { context, data: NONE, names: NONE, outer: undefined });
  return walk.text();
}

class Walk {
  readonly #root: unknown;
  readonly #budget: Budget;
  readonly #out: string[] = [];
  #outputLength = 0;
  #steps = 0;
  #depth = 0;

  constructor(root: unknown, budget: Budget) {
    this.#root = root;
    this.#budget = budget;
  }

  text(): string {
    return this.#out.join('');
  }

  program(program: hbs.AST.Program | undefined, frame: Frame): void {
    if (program === undefined || program === null) return;
    if (++this.#depth > this.#budget.depthMax) throw new TemplateFault(`it is nested deeper than ${this.#budget.depthMax}`);
    for (const statement of program.body) this.#statement(statement, frame);
    this.#depth--;
  }

  #statement(statement: hbs.AST.Statement, frame: Frame): void {
    this.#spend(1);
    switch (statement.type) {
      case 'ContentStatement':
        return this.#write((statement as hbs.AST.ContentStatement).value);
      case 'CommentStatement':
        return undefined;
      case 'MustacheStatement': {
        const mustache = statement as hbs.AST.MustacheStatement;
        const text = textOf(this.#call(mustache, frame));
        return this.#write(mustache.escaped ? this.#budget.escape(text) : text);
      }
      case 'BlockStatement':
        return this.#block(statement as hbs.AST.BlockStatement, frame);
      default:
        throw new TemplateFault('partials and decorators cannot be used');
    }
  }

  #block(block: hbs.AST.BlockStatement, frame: Frame): void {
    const name = helperName(block, frame);
    const first = block.params[0];
    if (name === 'each' || name === 'with') {
      if (first === undefined || block.params.length > 1) throw new TemplateFault(`#${name} takes one value`);
      const value = this.#expression(first, frame);
      return name === 'each' ? this.#each(block, value, frame) : this.#with(block, value, frame);
    }
    if (name !== undefined && Object.hasOwn(PREDICATES, name)) {
      return this.program(this.#predicate(name, block, frame) ? block.program : block.inverse, frame);
    }
    if (block.params.length > 0) throw new TemplateFault(`there is no block helper ${shown(block.path)}`);
    // A block over a value (Mustache sections): lists are walked, objects entered, true shown, false and nothing skipped.
    const value = this.#value(block.path, frame);
    if (Array.isArray(value)) return this.#each(block, value, frame);
    if (value === true) return this.program(block.program, frame);
    return this.#with(block, value, frame);
  }

  #with(block: hbs.AST.BlockStatement, value: unknown, frame: Frame): void {
    if (!isTruthy(value)) return this.program(block.inverse, frame);
    this.program(block.program, { context: value, data: NONE, names: this.#names(block.program, [value]), outer: frame });
  }

  #each(block: hbs.AST.BlockStatement, value: unknown, frame: Frame): void {
    const isObject = typeof value === 'object' && value !== null;
    const keys = isObject ? Object.keys(value) : [];
    if (keys.length === 0) return this.program(block.inverse, frame);
    for (const [position, key] of keys.entries()) {
      this.#spend(1);
      const item = ownValue(value, key);
      const shownKey = Array.isArray(value) ? position : key;
      const data = { index: position, key: shownKey, first: position === 0, last: position === keys.length - 1 };
      this.program(block.program, { context: item, data, names: this.#names(block.program, [item, shownKey]), outer: frame });
    }
  }

  #names(program: hbs.AST.Program | undefined, values: readonly unknown[]): Frame['names'] {
    const params = program?.blockParams;
    if (params === undefined || params === null || params.length === 0) return NONE;
    return Object.fromEntries(params.map((name, i) => [name, values[i]]));
  }

  /** The value of `{{name …}}` or `(name …)`. */
  #call(call: Call, frame: Frame): unknown {
    const name = helperName(call, frame);
    if (name !== undefined && Object.hasOwn(PREDICATES, name)) return this.#predicate(name, call, frame);
    const helper = name !== undefined && Object.hasOwn(VALUES, name) ? VALUES[name] : undefined;
    if (helper !== undefined) return helper(this.#arguments(call, frame));
    if (call.params.length > 0) throw new TemplateFault(`there is no helper ${shown(call.path)}`);
    return this.#value(call.path, frame);
  }

  #predicate(name: string, call: Call, frame: Frame): boolean {
    const options: Record<string, unknown> = {};
    for (const pair of call.hash?.pairs ?? []) {
      if (pair.key === 'includeZero') options['includeZero'] = this.#expression(pair.value, frame);
    }
    return (PREDICATES[name] as (typeof PREDICATES)[string])(this.#arguments(call, frame), options, this.#spend);
  }

  #arguments(call: Call, frame: Frame): unknown[] {
    return call.params.map((param) => this.#expression(param, frame));
  }

  #expression(expression: hbs.AST.Expression, frame: Frame): unknown {
    this.#spend(1);
    if (expression.type !== 'SubExpression') return this.#value(expression, frame);
    if (++this.#depth > this.#budget.depthMax) throw new TemplateFault(`it is nested deeper than ${this.#budget.depthMax}`);
    const value = this.#call(expression as hbs.AST.SubExpression, frame);
    this.#depth--;
    return value;
  }

  #value(expression: hbs.AST.Expression, frame: Frame): unknown {
    switch (expression.type) {
      case 'PathExpression':
        return this.#path(expression as hbs.AST.PathExpression, frame);
      case 'StringLiteral':
      case 'NumberLiteral':
      case 'BooleanLiteral':
        return (expression as hbs.AST.StringLiteral).value;
      case 'NullLiteral':
        return null;
      case 'UndefinedLiteral':
        return undefined;
      default:
        throw new TemplateFault('an expression cannot be used here');
    }
  }

  #path(path: hbs.AST.PathExpression, frame: Frame): unknown {
    let scope: Frame | undefined = frame;
    for (let up = 0; up < path.depth; up++) scope = scope?.outer;
    if (scope === undefined) return undefined;
    const [head, ...tail] = path.parts;
    if (path.data) return this.#walkDown(head === 'root' ? this.#root : dataOf(scope, head ?? ''), tail);
    const named = head === undefined || isScoped(path) ? undefined : nameOf(frame, head);
    return named === undefined ? this.#walkDown(scope.context, path.parts) : this.#walkDown(named.value, tail);
  }

  #walkDown(from: unknown, parts: readonly string[]): unknown {
    let value = from;
    for (const part of parts) value = ownValue(value, part);
    return value;
  }

  #write(text: string): void {
    // Octets are counted when it may matter: a character is at most three octets per UTF-16 unit.
    this.#outputLength += text.length * 3 <= 3000 ? text.length : Buffer.byteLength(text);
    if (this.#outputLength > this.#budget.outputBytesMax) {
      throw new TemplateFault(`the result is longer than ${this.#budget.outputBytesMax} bytes`);
    }
    if (text !== '') this.#out.push(text);
  }

  readonly #spend: Spend = (steps) => {
    this.#steps += steps;
    if (this.#steps > this.#budget.stepsMax) throw new TemplateFault(`it takes more than ${this.#budget.stepsMax} steps`);
  };
}

/** The helper that a call names; a bare `{{name}}` that the data has is data, whatever the helpers are called. */
function helperName(call: Call, frame: Frame): string | undefined {
  if (call.path.type !== 'PathExpression') return undefined;
  const path = call.path as hbs.AST.PathExpression;
  const name = path.parts[0];
  if (path.data || path.depth > 0 || path.parts.length !== 1 || name === undefined || isScoped(path)) return undefined;
  if (call.params.length > 0) return name;
  return nameOf(frame, name) === undefined && ownValue(frame.context, name) === undefined ? name : undefined;
}

/** `this.x` and `./x` mean the context, even when a block parameter has the name. */
function isScoped(path: hbs.AST.PathExpression): boolean {
  return /^(?:\.|this\b)/.test(path.original);
}

function nameOf(frame: Frame, name: string): { readonly value: unknown } | undefined {
  for (let scope: Frame | undefined = frame; scope !== undefined; scope = scope.outer) {
    if (Object.hasOwn(scope.names, name)) return { value: scope.names[name] };
  }
  return undefined;
}

/** @index inside a #with is the loop's around it. */
function dataOf(frame: Frame, name: string): unknown {
  for (let scope: Frame | undefined = frame; scope !== undefined; scope = scope.outer) {
    if (Object.hasOwn(scope.data, name)) return scope.data[name];
  }
  return undefined;
}

function shown(path: hbs.AST.PathExpression | hbs.AST.Literal): string {
  return String((path as hbs.AST.PathExpression).original).slice(0, 60);
}

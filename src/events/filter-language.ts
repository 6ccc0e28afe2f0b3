/**
 * The little language of event filters: `delivered OR failed`, `NOT spam`, `"exact words"`, `(a OR b) c`, `>344 <379`. Terms next to
 * each other mean AND; comparisons are for the field `size` alone (a Message-ID may begin with <). Parsed once to a tree, bounded in length, terms and depth; evaluated with a function that matches one term.
 */
import { type AppError, badParameter } from '#model/errors.ts';

export type Expression =
  | { readonly kind: 'term'; readonly text: string; readonly compare?: '>' | '<' | '>=' | '<=' }
  | { readonly kind: 'not'; readonly inner: Expression }
  | { readonly kind: 'and' | 'or'; readonly parts: readonly Expression[] };

type Term = Extract<Expression, { readonly kind: 'term' }>;

const TEXT_MAX = 4096;
const TERMS_MAX = 200;
const DEPTH_MAX = 20;

interface Token {
  readonly text: string;
  readonly isQuoted: boolean;
}

interface Reader {
  readonly tokens: readonly Token[];
  at: number;
  readonly field: string;
}

/** Throws AppError 'bad-parameter' naming the field. */
export function parseFilter(field: string, text: string): Expression {
  if (text.length > TEXT_MAX) throw bad(field, 'is too long');
  const reader: Reader = { tokens: tokenize(field, text), at: 0, field };
  if (reader.tokens.length > TERMS_MAX) throw bad(field, 'has too many terms');
  const expression = readOr(reader, 0);
  if (reader.at < reader.tokens.length) throw bad(field, 'has a ) without its (');
  return expression;
}

export function evaluate(expression: Expression, matches: (term: Term) => boolean): boolean {
  switch (expression.kind) {
    case 'term':
      return matches(expression);
    case 'not':
      return !evaluate(expression.inner, matches);
    case 'and':
      return expression.parts.every((part) => evaluate(part, matches));
    case 'or':
      return expression.parts.some((part) => evaluate(part, matches));
  }
}

/** The text of an expression that is one plain term. */
export function singleTerm(expression: Expression): string | undefined {
  return expression.kind === 'term' && expression.compare === undefined ? expression.text : undefined;
}

function tokenize(field: string, text: string): Token[] {
  const tokens: Token[] = [];
  const pattern = /\s*(?:"((?:[^"\\]|\\.)*)"|([()])|([^\s()"]+))/y;
  const end = text.trimEnd().length;
  while (pattern.lastIndex < end) {
    const match = pattern.exec(text);
    if (match === null) throw bad(field, 'has a quote that is not closed');
    if (match[1] !== undefined) tokens.push({ text: match[1].replace(/\\(.)/g, '$1'), isQuoted: true });
    else tokens.push({ text: (match[2] ?? match[3]) as string, isQuoted: false });
  }
  return tokens;
}

function readOr(reader: Reader, depth: number): Expression {
  const parts = [readAnd(reader, depth)];
  while (isWord(reader, 'OR')) {
    reader.at++;
    parts.push(readAnd(reader, depth));
  }
  return parts.length === 1 ? (parts[0] as Expression) : { kind: 'or', parts };
}

function readAnd(reader: Reader, depth: number): Expression {
  const parts = [readOne(reader, depth)];
  for (;;) {
    if (isWord(reader, 'AND')) reader.at++;
    else if (reader.at >= reader.tokens.length || isWord(reader, 'OR') || isWord(reader, ')')) break;
    parts.push(readOne(reader, depth));
  }
  return parts.length === 1 ? (parts[0] as Expression) : { kind: 'and', parts };
}

function readOne(reader: Reader, depth: number): Expression {
  if (depth > DEPTH_MAX) throw bad(reader.field, 'is nested too deep');
  const token = reader.tokens[reader.at++];
  if (token === undefined) throw bad(reader.field, 'ends where a term is expected');
  if (token.isQuoted) return { kind: 'term', text: token.text };
  if (token.text === '(') {
    const inner = readOr(reader, depth + 1);
    if (!isWord(reader, ')')) throw bad(reader.field, 'has a ( without its )');
    reader.at++;
    return inner;
  }
  if (token.text === ')') throw bad(reader.field, 'has a ) without its (');
  if (token.text.toUpperCase() === 'NOT') return { kind: 'not', inner: readOne(reader, depth + 1) };
  return reader.field === 'size' ? comparison(token.text) : { kind: 'term', text: token.text };
}

function comparison(text: string): Expression {
  const match = /^([<>]=?)(.+)$/.exec(text);
  if (match === null) return { kind: 'term', text };
  return { kind: 'term', text: match[2] as string, compare: match[1] as '>' };
}

function isWord(reader: Reader, word: string): boolean {
  const token = reader.tokens[reader.at];
  return token !== undefined && !token.isQuoted && token.text.toUpperCase() === word;
}

function bad(field: string, what: string): AppError {
  return badParameter(`the filter of '${field}' ${what}`);
}

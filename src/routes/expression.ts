/**
 * The expressions of routes: `match_recipient("pattern")`, `match_header("name", "pattern")` and `catch_all()`, joined with `and`, `or`, `not` and parentheses. A pattern
 * matches from the start of the text and without regard to case. Whatever a stranger wrote is read in one pass, within bounds, and matched in linear time.
 */
import { checkPattern, matchesSome } from '#base/pattern.ts';
import type { Spend } from '#base/pattern.ts';
import { tokensOf } from './tokens.ts';
import type { Token } from './tokens.ts';

export type Expression =
  | { readonly op: 'recipient'; readonly pattern: string }
  | { readonly op: 'header'; readonly name: string; readonly pattern: string }
  | { readonly op: 'catch-all' }
  | { readonly op: 'not'; readonly of: Expression }
  | { readonly op: 'and' | 'or'; readonly all: readonly Expression[] };

/** What a route is asked about. */
export interface Arrival {
  readonly recipient: string;
  /** By name in lower case, values in their order. */
  readonly headers: ReadonlyMap<string, readonly string[]>;
  /** A route before this one matched. */
  readonly isCaught: boolean;
}

const EXPRESSION_BYTES_MAX = 4096;
const DEPTH_MAX = 30;
/** Instructions of all its patterns: routes are read again and again. */
const INSTRUCTIONS_MAX = 10_000;
const HEADER_VALUE_MAX = 2000;

/** Throws SyntaxError with a sentence. */
export function parseExpression(text: string): Expression {
  if (Buffer.byteLength(text) > EXPRESSION_BYTES_MAX) throw new SyntaxError(`it is longer than ${EXPRESSION_BYTES_MAX} bytes`);
  return new Reader(tokensOf(text)).whole();
}

/** Throws SyntaxError for a pattern that is too dear for this text, and what `spend` throws. */
export function matchesExpression(expression: Expression, arrival: Arrival, spend: Spend): boolean {
  switch (expression.op) {
    case 'recipient':
      return matches(expression.pattern, [arrival.recipient], spend);
    case 'header':
      return matches(expression.pattern, headerValues(arrival, expression.name), spend);
    case 'catch-all':
      return !arrival.isCaught;
    case 'not':
      return !matchesExpression(expression.of, arrival, spend);
    case 'and':
      return expression.all.every((each) => matchesExpression(each, arrival, spend));
    case 'or':
      return expression.all.some((each) => matchesExpression(each, arrival, spend));
  }
}

function matches(pattern: string, texts: readonly string[], spend: Spend): boolean {
  spend(1);
  return texts.length > 0 && matchesSome(pattern, texts, spend, { isAnchored: true, isCaseBlind: true });
}

/** As far as they are matched. */
export function headerValues({ headers }: Arrival, name: string): readonly string[] {
  return (headers.get(name) ?? []).map((value) => value.slice(0, HEADER_VALUE_MAX));
}

class Reader {
  readonly #tokens: readonly Token[];
  #at = 0;
  #depth = 0;
  #instructions = 0;

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens;
  }

  whole(): Expression {
    const result = this.#joined('or');
    const rest = this.#tokens[this.#at];
    if (rest !== undefined) throw new SyntaxError(`there is something after its end: ${rest.text.slice(0, 40)}`);
    return result;
  }

  #joined(op: 'and' | 'or'): Expression {
    const part = (): Expression => (op === 'or' ? this.#joined('and') : this.#negated());
    const all = [part()];
    while (this.#eatWord(op)) all.push(part());
    return all.length === 1 ? (all[0] as Expression) : { op, all };
  }

  #negated(): Expression {
    if (++this.#depth > DEPTH_MAX) throw new SyntaxError(`it is nested deeper than ${DEPTH_MAX}`);
    const result: Expression = this.#eatWord('not') ? { op: 'not', of: this.#negated() } : this.#term();
    this.#depth--;
    return result;
  }

  #term(): Expression {
    if (this.#eat('(')) {
      const inner = this.#joined('or');
      this.#need(')');
      return inner;
    }
    const name = this.#word();
    this.#need('(');
    const term = this.#call(name);
    this.#need(')');
    return term;
  }

  #call(name: string): Expression {
    switch (name) {
      case 'match_recipient':
        return { op: 'recipient', pattern: this.#pattern() };
      case 'match_header': {
        const header = this.#text().toLowerCase();
        if (!/^[\x21-\x39\x3b-\x7e]{1,76}$/.test(header)) throw new SyntaxError('match_header takes the name of a header and a pattern');
        this.#need(',');
        return { op: 'header', name: header, pattern: this.#pattern() };
      }
      case 'catch_all':
      case 'catchall':
        return { op: 'catch-all' };
      default:
        throw new SyntaxError(`there is no filter ${name.slice(0, 40)}: use match_recipient, match_header or catch_all`);
    }
  }

  #pattern(): string {
    const pattern = this.#text();
    this.#instructions += checkPattern(pattern);
    if (this.#instructions > INSTRUCTIONS_MAX) throw new SyntaxError('its patterns are too large together');
    return pattern;
  }

  #text(): string {
    const token = this.#tokens[this.#at++];
    if (token?.kind !== 'text') throw new SyntaxError('a text in quotes is missing');
    return token.text;
  }

  #word(): string {
    const token = this.#tokens[this.#at++];
    if (token?.kind !== 'word') throw new SyntaxError('a filter is missing: match_recipient, match_header or catch_all');
    return token.text.toLowerCase();
  }

  #eatWord(word: string): boolean {
    const token = this.#tokens[this.#at];
    if (token?.kind !== 'word' || token.text.toLowerCase() !== word) return false;
    this.#at++;
    return true;
  }

  #eat(sign: string): boolean {
    const token = this.#tokens[this.#at];
    if (token?.kind !== 'sign' || token.text !== sign) return false;
    this.#at++;
    return true;
  }

  #need(sign: string): void {
    if (!this.#eat(sign)) throw new SyntaxError(`a "${sign}" is missing`);
  }
}

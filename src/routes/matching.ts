/**
 * Whether an expression is true of mail: of a whole message, with what its filters caught; and before the message is there, when only the recipient is known, whether it can become
 * true. Pure, and paid for by step.
 */
import { capturesOf, capturesOfFirst } from '#base/pattern-captures.ts';
import type { Spend } from '#base/pattern.ts';
import { matchesPattern } from '#base/pattern.ts';
import { type Arrival, type Expression, headerValues, matchesExpression } from './expression.ts';
import { type Caught, NOTHING_CAUGHT } from './fill.ts';

/** maybe: what the header says, or whether another route matches, decides. */
export type Possibility = 'yes' | 'no' | 'maybe';

/** `isWanted`: it stands under no negation. Then a route for the rest is certain: what it does not match was matched before. */
export function possibility(expression: Expression, recipient: string, spend: Spend, isWanted = true): Possibility {
  switch (expression.op) {
    case 'recipient':
      return matchesPattern(expression.pattern, recipient, spend, { isAnchored: true, isCaseBlind: true }) ? 'yes' : 'no';
    case 'header':
      return 'maybe';
    case 'catch-all':
      return isWanted ? 'yes' : 'maybe';
    case 'not': {
      const inner = possibility(expression.of, recipient, spend, false);
      return inner === 'maybe' ? 'maybe' : inner === 'yes' ? 'no' : 'yes';
    }
    case 'and':
    case 'or': {
      const decisive = expression.op === 'and' ? 'no' : 'yes';
      let result: Possibility = expression.op === 'and' ? 'yes' : 'no';
      for (const each of expression.all) {
        const part = possibility(each, recipient, spend, isWanted);
        if (part === decisive) return decisive;
        if (part === 'maybe') result = 'maybe';
      }
      return result;
    }
  }
}

/** Undefined: it does not match. Numbers are those of the first filter that caught something; names are everybody's. */
export function caughtBy(expression: Expression, arrival: Arrival, spend: Spend): Caught | undefined {
  if (!matchesExpression(expression, arrival, spend)) return undefined;
  return collect(expression, arrival, spend) ?? NOTHING_CAUGHT;
}

function collect(expression: Expression, arrival: Arrival, spend: Spend): Caught | undefined {
  switch (expression.op) {
    case 'recipient':
      return withGroups(capturesOf(expression.pattern, arrival.recipient, spend, true));
    case 'header':
      return withGroups(capturesOfFirst(expression.pattern, headerValues(arrival, expression.name), spend, true));
    // What must not be there catches nothing.
    case 'not':
    case 'catch-all':
      return undefined;
    case 'and':
    case 'or': {
      const all = expression.all.flatMap((each) => collect(each, arrival, spend) ?? []);
      const [first] = all;
      return first === undefined
        ? undefined
        : { byNumber: first.byNumber, byName: Object.assign({}, ...all.map(({ byName }) => byName).toReversed()) };
    }
  }
}

function withGroups(caught: Caught | undefined): Caught | undefined {
  return caught === undefined || caught.byNumber.length < 2 ? undefined : caught;
}

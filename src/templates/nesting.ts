/**
 * How deep a template nests, found with the parser's own lexer, so that no trick of quoting or commenting can make the two disagree.
 * Short templates and flat ones are not even lexed: they cannot nest deeper than they have openings.
 */
import Handlebars from 'handlebars';

interface Lexer {
  setInput(source: string): void;
  lex(): number;
}
interface Parser {
  readonly lexer: Lexer;
  readonly terminals_: Readonly<Record<number, string>>;
}

const { lexer, terminals_: names } = (Handlebars as unknown as { readonly Parser: Parser }).Parser;

const CHANGE: Readonly<Record<string, number>> = {
  OPEN_BLOCK: 1,
  OPEN_INVERSE: 1,
  OPEN_INVERSE_CHAIN: 1,
  OPEN_RAW_BLOCK: 1,
  OPEN_PARTIAL_BLOCK: 1,
  OPEN_SEXPR: 1,
  OPEN_ENDBLOCK: -1,
  END_RAW_BLOCK: -1,
  CLOSE_SEXPR: -1,
};

/** The depth, or the first depth beyond `max`. Links of an else-if chain count as one level each, since they nest in the parser. */
export function nestingOf(source: string, max: number): number {
  if (openingsIn(source, max) <= max) return 0;
  lexer.setInput(source);
  let depth = 0;
  let deepest = 0;
  // Levels opened by else-if links end with their block.
  const links = [0];
  for (let name = names[lexer.lex()]; name !== undefined && name !== 'EOF'; name = names[lexer.lex()]) {
    if (name === 'INVALID') break;
    const change = Object.hasOwn(CHANGE, name) ? (CHANGE[name] as number) : 0;
    if (change === 0) continue;
    if (name === 'OPEN_INVERSE_CHAIN') links.push((links.pop() ?? 0) + 1);
    else if (name === 'OPEN_ENDBLOCK' || name === 'END_RAW_BLOCK') depth -= links.pop() ?? 0;
    else if (change > 0 && name !== 'OPEN_SEXPR') links.push(0);
    depth += change;
    deepest = Math.max(deepest, depth);
    if (deepest > max) break;
  }
  return deepest;
}

/** An upper bound of the depth that costs one pass: "(" and "{{" of any kind, counted to a little over `max`. */
function openingsIn(source: string, max: number): number {
  let count = 0;
  for (const opening of ['{{#', '{{~#', '{{^', '{{~^', '{{{{', 'else', '(']) {
    for (let at = source.indexOf(opening); at >= 0 && count <= max; at = source.indexOf(opening, at + opening.length)) count++;
  }
  return count;
}

/** Words, texts in quotes and signs of an expression or action. In a text only `\"` and `\'` are escapes; every other backslash is the pattern's. */

export interface Token {
  readonly kind: 'word' | 'text' | 'sign';
  readonly text: string;
}

const TOKENS_MAX = 500;
const TOKEN = /\s*(?:([A-Za-z_]\w*)|"((?:[^"\\]|\\[^])*)"|'((?:[^'\\]|\\[^])*)'|([(),=]))/y;

/** Throws SyntaxError with a sentence. */
export function tokensOf(text: string): Token[] {
  const tokens: Token[] = [];
  const end = text.trimEnd().length;
  TOKEN.lastIndex = 0;
  for (let at = 0; at < end; at = TOKEN.lastIndex) {
    const match = TOKEN.exec(text);
    if (match === null) throw new SyntaxError(`it cannot be read from here on: ${text.slice(at).trimStart().slice(0, 40)}`);
    if (tokens.length === TOKENS_MAX) throw new SyntaxError(`it has more than ${TOKENS_MAX} parts`);
    const [, word, double, single, sign] = match;
    const quoted = double ?? single;
    if (word !== undefined) tokens.push({ kind: 'word', text: word });
    else if (quoted !== undefined) tokens.push({ kind: 'text', text: quoted.replace(/\\(["'])/g, '$1') });
    else tokens.push({ kind: 'sign', text: sign ?? '' });
  }
  return tokens;
}

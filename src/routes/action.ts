/** The actions of routes: `forward("…")` to a URL or to addresses, `store()` with or without a URL that is told, and `stop()`. */
import { namesHostItself } from './fill.ts';
import { tokensOf } from './tokens.ts';

export type Action =
  | { readonly kind: 'forward'; readonly to: readonly string[] }
  | { readonly kind: 'store'; readonly notify?: string }
  | { readonly kind: 'stop' };

const ACTION_BYTES_MAX = 4096;

/** Throws SyntaxError with a sentence. */
export function parseAction(text: string): Action {
  if (Buffer.byteLength(text) > ACTION_BYTES_MAX) throw new SyntaxError(`it is longer than ${ACTION_BYTES_MAX} bytes`);
  const tokens = tokensOf(text);
  const name = tokens[0]?.kind === 'word' ? tokens[0].text.toLowerCase() : '';
  const shape = tokens.slice(1).map(({ kind, text: sign }) => (kind === 'sign' ? sign : kind));
  const argument = tokens.find(({ kind }) => kind === 'text')?.text.trim();
  const isBare = shape.join(' ') === '( )';
  const isPlain = shape.join(' ') === '( text )';
  if (name === 'stop' && isBare) return { kind: 'stop' };
  if (name === 'forward' && isPlain && argument !== undefined) return { kind: 'forward', to: destinations(argument) };
  if (name === 'store' && isBare) return { kind: 'store' };
  const isNamed = shape.join(' ') === '( word = text )' && tokens[2]?.text.toLowerCase() === 'notify';
  if (name === 'store' && (isPlain || isNamed) && argument !== undefined) {
    if (!isWebUrl(argument)) throw new SyntaxError('store tells a URL that begins with http:// or https://');
    return { kind: 'store', notify: argument };
  }
  throw new SyntaxError('it is one of forward("…"), store(), store(notify="…") and stop()');
}

/** Addresses may have parts that a pattern of the route caught, so they are not read as addresses before those are filled in. */
function destinations(text: string): readonly string[] {
  if (/^https?:/i.test(text)) {
    if (!isWebUrl(text)) throw new SyntaxError('forward has a URL that cannot be read');
    return [text];
  }
  const list = text.split(',').map((part) => part.trim());
  if (list.some((part) => !/^[^\s@]*@[^\s@]*$/.test(part)))
    throw new SyntaxError('forward takes a URL, or addresses with commas between them');
  return list;
}

/** What a pattern caught may stand anywhere but in the host. */
export function isWebUrl(text: string): boolean {
  return /^https?:\/\//i.test(text) && namesHostItself(text) && URL.canParse(text) && !/[\u0000-\u0020\u007f]/.test(text);
}

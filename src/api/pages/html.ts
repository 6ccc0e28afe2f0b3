/** HTML as a template tag that escapes everything put into it; only what is `Html` already goes in as it is. Subjects, names and replies are strangers' text. */
export class Html {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}

type Piece = Html | string | number | undefined | false | readonly Piece[];

const ENTITIES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };
/** Also the marks that turn the direction of text: they can make an address read as another. */
const DIRECTION = /[\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

export function escape(text: string): string {
  return text.replace(DIRECTION, '').replace(/[&<>"']/g, (character) => ENTITIES[character] as string);
}

export function html(strings: TemplateStringsArray, ...pieces: readonly Piece[]): Html {
  let text = strings[0] as string;
  for (const [index, piece] of pieces.entries()) text += written(piece) + (strings[index + 1] as string);
  return new Html(text);
}

function written(piece: Piece): string {
  if (piece === undefined || piece === false) return '';
  if (piece instanceof Html) return piece.text;
  if (typeof piece === 'object') return piece.map(written).join('');
  return escape(String(piece));
}

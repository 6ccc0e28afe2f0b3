/**
 * Groups of fields with an empty line between two, as reports for programs carry them in their bodies (RFC 3464 §2.1, RFC 5965 §3). Linear and bounded; what is no
 * field is passed by.
 */
/** One about the whole, a thousand, and one that tells that there are more. */
export const BLOCKS_MAX = 1002;
const FIELDS_MAX = 50;
const VALUES_MAX = 20;
export const VALUE_MAX = 2000;
const NAME_MAX = 60;

/** By name in lower case, every value that stands there. */
export type Fields = ReadonlyMap<string, readonly string[]>;

/** At most `BLOCKS_MAX`. */
export function readFieldBlocks(text: string): Fields[] {
  const blocks: Fields[] = [];
  let block = new Map<string, string[]>();
  let last: string[] | undefined;
  for (const raw of text.split('\n')) {
    const line = raw.endsWith('\r') ? raw.slice(0, -1) : raw;
    if (line.trim() === '') {
      if (block.size > 0 && blocks.push(block) >= BLOCKS_MAX) return blocks;
      if (block.size > 0) block = new Map();
      last = undefined;
    } else if (line.startsWith(' ') || line.startsWith('\t')) {
      if (last !== undefined) last.push(`${last.pop() ?? ''} ${line.trim()}`.slice(0, VALUE_MAX));
    } else {
      last = openField(block, line);
    }
  }
  if (block.size > 0) blocks.push(block);
  return blocks;
}

/** The values that the field's belongs to, with it at the end; undefined: it is none, or one too many. */
function openField(block: Map<string, string[]>, line: string): string[] | undefined {
  const colon = line.indexOf(':');
  if (colon < 1 || colon > NAME_MAX) return undefined;
  const name = line.slice(0, colon).trim().toLowerCase();
  let values = block.get(name);
  if (values === undefined) {
    if (block.size >= FIELDS_MAX) return undefined;
    values = [];
    block.set(name, values);
  }
  if (values.length >= VALUES_MAX) return undefined;
  values.push(
    line
      .slice(colon + 1)
      .trim()
      .slice(0, VALUE_MAX),
  );
  return values;
}

/** A list of addresses as people type it: what can be read, and what cannot. Linear; a malformed entry does not spoil its neighbours. */
import { displayMailbox, parseAddressList, parseMailbox } from '#mail/address.ts';

/** Entries of one list; more are not looked at. */
export const LIST_ENTRIES_MAX = 1000;

export interface ParsedList {
  /** "Name <local@domain>" or "local@domain". */
  readonly parsed: readonly string[];
  readonly unparseable: readonly string[];
}

export function parseList(text: string): ParsedList {
  const whole = parseAddressList(text, LIST_ENTRIES_MAX);
  if (whole !== undefined) return { parsed: whole.slice(0, LIST_ENTRIES_MAX).map(shown), unparseable: [] };
  const parsed: string[] = [];
  const unparseable: string[] = [];
  for (const entry of entries(text)) {
    const mailbox = parseMailbox(entry);
    if (mailbox === undefined) unparseable.push(entry);
    else parsed.push(shown(mailbox));
  }
  return { parsed, unparseable };
}

function shown({ name, address }: { readonly name: string; readonly address: string }): string {
  return displayMailbox(name, address);
}

/** Cut at commas and semicolons that stand outside of quotes. */
function entries(text: string): string[] {
  const found: string[] = [];
  let isQuoted = false;
  let from = 0;
  for (let at = 0; at <= text.length && found.length < LIST_ENTRIES_MAX; at++) {
    const character = text[at];
    if (character === '\\') at++;
    else if (character === '"') isQuoted = !isQuoted;
    else if (character === undefined || ((character === ',' || character === ';') && !isQuoted)) {
      const entry = text.slice(from, at).trim();
      if (entry !== '') found.push(entry);
      from = at + 1;
    }
  }
  return found;
}

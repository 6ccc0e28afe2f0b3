/** Rows of suppressions, allowlists and imports to our nouns, and which suppression stops a message: the same for both drivers. */
import type { Row } from './rows-json.ts';
import type { Suppression, SuppressionKind } from './store.ts';
import type { AllowlistEntry, ImportJob, PageAsk } from './suppression-store.ts';

/** An unsubscribe that holds for everything. */
export const ALL_TAGS = '["*"]';

/** Everything that begins with the prefix sorts before prefix + this, octet by octet. */
const LAST_CHARACTER = '\u{10FFFF}';

export function suppressionOf(row: Row): Suppression {
  const tags = String(row['tags']);
  return {
    kind: row['kind'] as SuppressionKind,
    address: String(row['address']),
    code: Number(row['code']),
    error: String(row['error']),
    createdMs: Number(row['created_ms']),
    ...(tags !== ALL_TAGS && { tags: JSON.parse(tags) as string[] }),
  };
}

export function tagsJson({ tags }: Pick<Suppression, 'tags'>): string {
  return tags === undefined || tags.includes('*') ? ALL_TAGS : JSON.stringify([...new Set(tags)].sort());
}

/** What is left of a row's tags without one of them, whatever its case; undefined: that one is not there. */
export function tagsWithout(row: Row | undefined, tag: string): readonly string[] | undefined {
  const tags = row === undefined ? [] : (JSON.parse(String(row['tags'])) as string[]);
  const left = tags.filter((each) => each.toLowerCase() !== tag.toLowerCase());
  return left.length === tags.length ? undefined : left;
}

/** Of an address's first suppression in the order of kinds, in which unsubscribes come last: whether it stops a message with these tags. */
export function stoppedBy(kind: string, tags: string, messageTags: () => readonly string[]): SuppressionKind | undefined {
  if (kind !== 'unsubscribe' || tags === ALL_TAGS) return kind as SuppressionKind;
  const scope = new Set((JSON.parse(tags) as string[]).map((tag) => tag.toLowerCase()));
  return messageTags().some((tag) => scope.has(tag.toLowerCase())) ? 'unsubscribe' : undefined;
}

export function allowlistEntryOf(row: Row): AllowlistEntry {
  return {
    type: row['type'] as AllowlistEntry['type'],
    value: String(row['value']),
    reason: String(row['reason']),
    createdMs: Number(row['created_ms']),
  };
}

/** All of an import but its octets. */
export const IMPORT_COLUMNS =
  'id, account_id, kind, target, options, size_bytes, position, added, failed, trouble, created_ms, finished_ms, epoch';

export function importOf(row: Row): ImportJob {
  return {
    id: Number(row['id']),
    accountId: Number(row['account_id']),
    kind: row['kind'] as ImportJob['kind'],
    target: Number(row['target']),
    options: JSON.parse(String(row['options'])) as ImportJob['options'],
    sizeBytes: Number(row['size_bytes']),
    position: Number(row['position']),
    added: Number(row['added']),
    failed: Number(row['failed']),
    createdMs: Number(row['created_ms']),
    ...(row['trouble'] !== null && { trouble: String(row['trouble']) }),
    ...(row['finished_ms'] !== null && { finishedMs: Number(row['finished_ms']) }),
  };
}

/** The bounds of a page: from (inclusive), after and before (exclusive), and whether it is walked from its end. */
export function boundsOf({ prefix, after = '', before, isLast = false }: PageAsk) {
  const end = prefix + LAST_CHARACTER;
  return { from: prefix, after, before: before ?? end, end, isBackward: isLast || before !== undefined };
}

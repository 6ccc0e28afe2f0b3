/** Writing an event, with the tags under which it is found. For use inside the transaction of what it tells. */
import { EVENT_KINDS, type EventRow } from '#model/event.ts';
import { tagsOf } from '#store/rows-json.ts';
import type { Database } from './database.ts';

export interface EventFacts {
  /** As it is stored. */
  readonly kind: number;
  readonly atUs: number;
  readonly accountId: number;
  readonly domainId: number;
  readonly message: number;
  readonly recipient: number;
  /** JSON. */
  readonly detail: string | null;
}

/** The id that it got. */
export function insertEvent(db: Database, event: EventFacts, tags: readonly string[] = []): number {
  const { kind, atUs, accountId, domainId, message, recipient, detail } = event;
  const id = db.insert(
    'INSERT INTO event (kind, at_us, account_id, domain_id, message, recipient, detail) VALUES (?,?,?,?,?,?,?)',
    kind,
    atUs,
    accountId,
    domainId,
    message,
    recipient,
    detail,
  );
  for (const tag of tags) {
    db.run(
      'INSERT OR IGNORE INTO event_tag (domain_id, tag, at_us, event, kind) VALUES (?,?,?,?,?)',
      domainId,
      tag.toLowerCase(),
      atUs,
      id,
      kind,
    );
  }
  return id;
}

/** One that comes by itself, under its message's tags. */
export function appendEvent(db: Database, { kind, detail, ...event }: Omit<EventRow, 'id'>): number {
  const info = event.message === 0 ? undefined : db.get('SELECT info FROM message WHERE id = ?', event.message)?.['info'];
  return insertEvent(db, { ...event, kind: EVENT_KINDS[kind], detail: JSON.stringify(detail) }, tagsOf(String(info)));
}

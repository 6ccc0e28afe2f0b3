/** What is scheduled: listed by an index that holds nothing else, moved and taken back by its message, in the writer's transaction. */
import { EVENT_KINDS } from '#model/event.ts';
import { MESSAGE_COLUMNS, messageOf, movedExtra, RECIPIENT_COLUMNS, recipientOf, type Row } from '#store/rows-json.ts';
import type { Scheduled, ScheduledChoice, ScheduledPosition } from '#store/scheduled-store.ts';
import type { Buckets } from './buckets.ts';
import type { Database } from './database.ts';
import { insertEvent } from './event-rows.ts';

const OF_DOMAIN = `SELECT ${RECIPIENT_COLUMNS} FROM recipient r WHERE r.state = 0 AND r.wait = 'scheduled' AND r.scheduled_domain = ?`;
/** Together what comes after a position; as one condition it would walk through all that is due at that time. */
const AT_THAT_TIME = `${OF_DOMAIN} AND r.due_ms = ? AND r.id > ? ORDER BY r.id LIMIT ?`;
const LATER = `${OF_DOMAIN} AND r.due_ms > ? ORDER BY r.due_ms, r.id LIMIT ?`;
const MESSAGE = `SELECT ${MESSAGE_COLUMNS} FROM message m LEFT JOIN domain d ON d.id = m.domain_id WHERE m.id = ?`;
const CHOSEN = `SELECT r.id AS id, r.bucket AS bucket, r.due_ms AS due_ms, r.expires_ms AS expires_ms, r.extra AS extra FROM recipient r
  WHERE r.message = ? AND r.state = 0 AND r.wait = 'scheduled'`;

/** Costs twice `limit` rows of each domain at most. */
export function listScheduled(
  db: Database,
  domainIds: readonly number[],
  after: ScheduledPosition | undefined,
  limit: number,
): Scheduled[] {
  const { dueAtMs, id } = after ?? { dueAtMs: -1, id: 0 };
  const rows = domainIds.flatMap((domainId) => {
    const same = after === undefined ? [] : db.all(AT_THAT_TIME, domainId, dueAtMs, id, limit);
    return [...same, ...db.all(LATER, domainId, dueAtMs, limit)];
  });
  const recipients = rows
    .map(recipientOf)
    .sort((a, b) => a.dueAtMs - b.dueAtMs || a.id - b.id)
    .slice(0, limit);
  const messages = new Map<number, Scheduled['message']>();
  return recipients.map((recipient) => {
    const message = messages.get(recipient.message) ?? messageOf(db.get(MESSAGE, recipient.message) as Row);
    messages.set(recipient.message, message);
    return { message, recipient };
  });
}

/** Ids of those that are still scheduled; none of a message that is not the tenant's. */
export function scheduledOf(db: Database, choice: ScheduledChoice): Row[] {
  const { accountId, domainId, message, recipient } = choice;
  const isTheirs =
    db.get('SELECT 1 FROM message WHERE id = ? AND account_id = ? AND domain_id = ?', message, accountId, domainId) !== undefined;
  if (!isTheirs) return [];
  return db.all(CHOSEN, message).filter((row) => recipient === undefined || row['id'] === recipient);
}

export function moveScheduled(db: Database, buckets: Buckets, choice: ScheduledChoice, dueAtMs: number, nowMs: number): number {
  const { accountId, domainId, message } = choice;
  const rows = scheduledOf(db, choice);
  for (const row of rows) {
    const [recipient, fromMs] = [Number(row['id']), Number(row['due_ms'])];
    const expiresAtMs = Number(row['expires_ms']) + dueAtMs - fromMs;
    const extra = movedExtra(row['extra'], expiresAtMs);
    db.run('UPDATE recipient SET due_ms = ?, expires_ms = ?, extra = ? WHERE id = ? AND state = 0', dueAtMs, expiresAtMs, extra, recipient);
    buckets.lookAt(Number(row['bucket']), dueAtMs);
    const detail = JSON.stringify({ moved: { fromMs, toMs: dueAtMs } });
    insertEvent(db, { kind: EVENT_KINDS.rescheduled, atUs: nowMs * 1000, accountId, domainId, message, recipient, detail });
  }
  return rows.length;
}

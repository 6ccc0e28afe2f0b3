/** Putting entries into the outbox, inside the transaction of the fact that they tell. */
import { BEHIND_MS } from '#store/outbox-store.ts';
import type { Database } from './database.ts';
import type { PackedOutbox } from './packed.ts';

/** What an entry belongs to. */
export interface OutboxOwner {
  /** Of entries that name no other. */
  readonly accountId: number;
  readonly domainId: number;
  readonly message: number;
  readonly recipient: number;
  readonly atMs: number;
  /** That they tell; 0: none. */
  readonly event: number;
}

const EARLIER = 'SELECT 1 FROM outbox WHERE message = ? AND recipient = ? AND endpoint = ? AND target = ? LIMIT 1';

/** Puts entries in, due at once or behind an earlier one of theirs. For use inside the transaction of the fact that they tell. */
export function putOutbox(db: Database, owner: OutboxOwner, entries: readonly PackedOutbox[]): void {
  const { accountId, domainId, message, recipient, atMs, event } = owner;
  for (const [kind, endpoint, target, payload, ownerId = accountId] of entries) {
    const row = db.get(
      `INSERT INTO outbox_endpoint (account_id, name, look_ms) VALUES (?1,?2,?3)
       ON CONFLICT (account_id, name) DO UPDATE SET look_ms = max(min(look_ms, ?3), parked_ms) RETURNING id`,
      ownerId,
      endpoint,
      atMs,
    );
    const id = Number(row?.['id']);
    const isBehind = message > 0 && db.get(EARLIER, message, recipient, id, target) !== undefined;
    db.run(
      'INSERT INTO outbox (kind, endpoint, account_id, domain_id, message, recipient, target, payload, created_ms, due_ms, event) VALUES (?,?,?,?,?,?,?,?,?,?,?)',
      kind,
      id,
      ownerId,
      domainId,
      message,
      recipient,
      target,
      payload,
      atMs,
      isBehind ? BEHIND_MS : atMs,
      event,
    );
  }
}

/**
 * The outbox on the embedded store. The process that holds the file is the only one that posts, so its start ends whatever leases the former one left;
 * while it runs, a lease that is over makes its entry due again like any other.
 */
import { endpointOf, itemOf } from '#store/outbox-rows.ts';
import { BEHIND_MS, type OutboxItem, type OutboxSettlement, type OutboxStore } from '#store/outbox-store.ts';
import type { EventRow } from '#model/event.ts';
import type { Synchronous } from './accounts.ts';
import type { Database, Row } from './database.ts';
import { appendEvent } from './event-rows.ts';
import { putOutbox } from './outbox-put.ts';
import { packEntry } from './packed.ts';
import { insertPost, postTables } from './posts.ts';
import { EVENT_COLUMNS, MESSAGE_COLUMNS, RECIPIENT_COLUMNS } from '#store/rows-json.ts';

const LEASE = 'UPDATE outbox SET epoch = epoch + 1, attempts = attempts + 1, due_ms = ?, is_leased = 1 WHERE id IN (SELECT id FROM outbox';
const LOOK_AGAIN = `UPDATE outbox_endpoint SET look_ms = max((SELECT min(due_ms) FROM outbox WHERE endpoint = ?1), parked_ms)
  WHERE id = ?1 AND EXISTS (SELECT 1 FROM outbox WHERE endpoint = ?1)`;

export function outboxTable(db: Database): Synchronous<OutboxStore> {
  return {
    dueEndpoints: (nowMs, limit) =>
      db
        .all('SELECT id, account_id, name, look_ms FROM outbox_endpoint WHERE look_ms <= ? ORDER BY look_ms LIMIT ?', nowMs, limit)
        .map(endpointOf),
    claim(requests, nowMs, leaseUntilMs) {
      const items: OutboxItem[] = [];
      for (const { endpoint, room } of requests) {
        const rows = db.all(
          `${LEASE} WHERE endpoint = ? AND due_ms <= ? ORDER BY due_ms, id LIMIT ?) RETURNING *`,
          leaseUntilMs,
          endpoint,
          nowMs,
          Math.max(0, room),
        );
        items.push(...rows.map((row) => leasedItem(db, row)));
        if (db.run(LOOK_AGAIN, endpoint) === 0) db.run('DELETE FROM outbox_endpoint WHERE id = ?', endpoint);
      }
      return items;
    },
    claimOld: (createdUntilMs, limit, nowMs, leaseUntilMs) =>
      db
        .all(
          `${LEASE} WHERE created_ms <= ? AND due_ms < ${BEHIND_MS} AND (is_leased = 0 OR due_ms <= ?) ORDER BY created_ms LIMIT ?) RETURNING *`,
          leaseUntilMs,
          createdUntilMs,
          nowMs,
          limit,
        )
        .map((row) => leasedItem(db, row)),
    settle: (settlement) => settle(db, settlement),
    park(endpoint, untilMs) {
      db.run('UPDATE outbox_endpoint SET look_ms = max(look_ms, ?1), parked_ms = max(parked_ms, ?1) WHERE id = ?2', untilMs, endpoint);
    },
    nextDueAtMs() {
      const at = db.get('SELECT min(look_ms) AS at FROM outbox_endpoint')?.['at'];
      return at === null || at === undefined ? undefined : Number(at);
    },
    ...postTables(db),
    depth: () => Number(db.get('SELECT count(*) AS n FROM outbox')?.['n']),
  };
}

const DONE = 'DELETE FROM outbox WHERE id = ? AND epoch = ? AND is_leased = 1 RETURNING message, recipient, endpoint, target';
const PUT_OFF =
  'UPDATE outbox SET due_ms = ?, is_leased = 0, attempts = attempts - ? WHERE id = ? AND epoch = ? AND is_leased = 1 RETURNING due_ms';
/** The next of those that are told one after another. */
const NEXT = `UPDATE outbox SET due_ms = created_ms WHERE id = (SELECT min(id) FROM outbox WHERE message = ? AND recipient = ? AND endpoint = ? AND target = ?)
  RETURNING due_ms`;

function settle(db: Database, { item, dueAtMs, isUntried, event, outbox, post }: OutboxSettlement): boolean {
  const { id, epoch, endpointId } = item;
  const settled = dueAtMs === undefined ? db.get(DONE, id, epoch) : db.get(PUT_OFF, dueAtMs, isUntried === true ? 1 : 0, id, epoch);
  if (settled === undefined) return false;
  const due = dueAtMs === undefined ? nextOf(db, settled) : settled;
  if (due !== undefined) {
    db.run('UPDATE outbox_endpoint SET look_ms = max(min(look_ms, ?), parked_ms) WHERE id = ?', Number(due['due_ms']), endpointId);
  }
  if (event !== undefined) putTold(db, event, appendEvent(db, event), outbox);
  if (post !== undefined) insertPost(db, post);
  return true;
}

function putTold(
  db: Database,
  { accountId, domainId, message, recipient, atUs }: Omit<EventRow, 'id'>,
  event: number,
  outbox: OutboxSettlement['outbox'],
): void {
  if (outbox === undefined) return;
  const owner = { accountId, domainId, message, recipient, atMs: Math.floor(atUs / 1000), event };
  putOutbox(db, owner, outbox.map(packEntry));
}

function nextOf(db: Database, { message, recipient, endpoint, target }: Row): Row | undefined {
  if (message === 0) return undefined;
  return db.get(NEXT, Number(message), Number(recipient), Number(endpoint), String(target));
}

/** For a start: nobody holds a lease of the former process any more. */
export function endOutboxLeases(db: Database, nowMs: number): void {
  const rows = db.all('UPDATE outbox SET due_ms = ?, is_leased = 0 WHERE is_leased = 1 RETURNING endpoint', nowMs);
  for (const endpoint of new Set(rows.map((row) => Number(row['endpoint'])))) {
    db.run('UPDATE outbox_endpoint SET look_ms = max(min(look_ms, ?), parked_ms) WHERE id = ?', nowMs, endpoint);
  }
}

/** The wall clock was set back by so much: what waits keeps the length of its wait, and leases theirs. */
export function outboxClockSetBack(db: Database, byMs: number, nowMs: number): void {
  db.run('UPDATE outbox SET due_ms = due_ms - ? WHERE due_ms > ? AND due_ms < ?', byMs, nowMs, BEHIND_MS);
  db.run(
    `UPDATE outbox_endpoint SET parked_ms = max(0, parked_ms - ?1),
       look_ms = max(coalesce((SELECT min(due_ms) FROM outbox WHERE endpoint = outbox_endpoint.id), look_ms - ?1), parked_ms - ?1)`,
    byMs,
  );
}

function leasedItem(db: Database, row: Row): OutboxItem {
  const about = db.get(
    `SELECT ${MESSAGE_COLUMNS}, ${RECIPIENT_COLUMNS} FROM message m LEFT JOIN domain d ON d.id = m.domain_id
     LEFT JOIN recipient r ON r.id = ? AND r.message = m.id WHERE m.id = ?`,
    Number(row['recipient']),
    Number(row['message']),
  );
  const event = Number(row['event']);
  const told = event === 0 ? undefined : db.get(`SELECT ${EVENT_COLUMNS} FROM event e WHERE e.id = ?`, event);
  const endpoint = db.get('SELECT name FROM outbox_endpoint WHERE id = ?', Number(row['endpoint']))?.['name'];
  return itemOf(row, String(endpoint), about, told);
}

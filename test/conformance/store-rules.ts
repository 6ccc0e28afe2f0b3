/**
 * Every state of a store's tables that is not legal, in words: an empty list is what must be found after any crash. In SQL that both stores understand.
 * For stores whose events have not been expired.
 */
import { EVENT_KINDS } from '#model/event.ts';
import { BEHIND_MS } from '#store/outbox-store.ts';

/** Each finds rows that must not be; `what` says why not. */
export const RULES: readonly { readonly what: string; readonly sql: string }[] = [
  {
    what: 'a recipient without its message',
    sql: 'SELECT r.id FROM recipient r LEFT JOIN message m ON m.id = r.message WHERE m.id IS NULL',
  },
  {
    what: 'a leased recipient without a node',
    sql: 'SELECT r.id FROM recipient r LEFT JOIN node n ON n.id = r.node WHERE r.state = 1 AND n.id IS NULL',
  },
  { what: 'a leased recipient that was never leased', sql: 'SELECT id FROM recipient WHERE state = 1 AND epoch < 1' },
  { what: 'a node that holds what is not leased', sql: 'SELECT id FROM recipient WHERE state <> 1 AND node IS NOT NULL' },
  { what: 'a settled recipient without an ending', sql: 'SELECT id FROM recipient WHERE state = 2 AND ending IS NULL' },
  { what: 'an ending of what is not settled', sql: 'SELECT id FROM recipient WHERE state <> 2 AND ending IS NOT NULL' },
  { what: 'a state that is none', sql: 'SELECT id FROM recipient WHERE state NOT IN (0, 1, 2)' },
  {
    what: 'a queued recipient that no look would find in time',
    sql: `SELECT r.id FROM recipient r LEFT JOIN bucket b ON b.id = r.bucket
          WHERE r.state = 0 AND (b.look_ms IS NULL OR b.look_ms > CASE WHEN r.due_ms > b.parked_ms THEN r.due_ms ELSE b.parked_ms END)`,
  },
  {
    what: 'a message that lacks recipients',
    sql: 'SELECT m.id FROM message m WHERE m.recipient_count <> (SELECT count(*) FROM recipient r WHERE r.message = m.id)',
  },
  {
    what: 'a message without the content it has',
    sql: 'SELECT m.id FROM message m LEFT JOIN content c ON c.id = m.id WHERE m.has_content = 1 AND c.id IS NULL',
  },
  {
    what: 'a content without its message',
    sql: 'SELECT c.id FROM content c LEFT JOIN message m ON m.id = c.id WHERE m.id IS NULL OR m.has_content = 0',
  },
  {
    what: 'an unsettled recipient without its content',
    sql: 'SELECT r.id FROM recipient r JOIN message m ON m.id = r.message WHERE r.state <> 2 AND m.has_content = 0',
  },
  {
    what: 'a recipient without one accepted event',
    sql: `SELECT r.id FROM recipient r WHERE 1 <> (SELECT count(*) FROM event e WHERE e.message = r.message AND e.recipient = r.id AND e.kind = ${EVENT_KINDS.accepted})`,
  },
  {
    what: 'a settled recipient without the event of its end, or with two',
    sql: `SELECT r.id FROM recipient r WHERE r.state = 2 AND r.ending <> 'received' AND 1 <> (SELECT count(*) FROM event e WHERE e.message = r.message AND e.recipient = r.id
          AND e.kind IN (${EVENT_KINDS.delivered}, ${EVENT_KINDS.failed}, ${EVENT_KINDS.cancelled}) AND coalesce(e.detail, '') NOT LIKE '%"delayed-bounce"%')`,
  },
  {
    what: 'an event of an end for what has not ended',
    sql: `SELECT r.id FROM recipient r WHERE r.state <> 2 AND EXISTS (SELECT 1 FROM event e WHERE e.message = r.message AND e.recipient = r.id
          AND e.kind IN (${EVENT_KINDS.delivered}, ${EVENT_KINDS.failed}, ${EVENT_KINDS.cancelled}))`,
  },
  {
    what: 'a recovered recipient that does not say so',
    sql: `SELECT r.id FROM recipient r WHERE r.possible_duplicate = 0
          AND EXISTS (SELECT 1 FROM event e WHERE e.message = r.message AND e.recipient = r.id AND e.kind = ${EVENT_KINDS.recovered})`,
  },
  {
    what: 'an event of no message',
    sql: 'SELECT e.id FROM event e LEFT JOIN message m ON m.id = e.message WHERE m.id IS NULL AND e.message <> 0',
  },
  {
    what: 'an idempotency key of no message',
    sql: 'SELECT i.message FROM idempotency i LEFT JOIN message m ON m.id = i.message WHERE m.id IS NULL',
  },
  {
    what: 'an entry of the outbox that no look would find in time',
    sql: `SELECT o.id FROM outbox o LEFT JOIN outbox_endpoint p ON p.id = o.endpoint
          WHERE p.id IS NULL OR p.look_ms > CASE WHEN o.due_ms > p.parked_ms THEN o.due_ms ELSE p.parked_ms END`,
  },
  {
    what: 'an entry of the outbox that waits for none',
    sql: `SELECT o.id FROM outbox o WHERE o.due_ms = ${BEHIND_MS} AND NOT EXISTS (SELECT 1 FROM outbox f WHERE f.message = o.message AND f.recipient = o.recipient
          AND f.endpoint = o.endpoint AND f.target = o.target AND f.id < o.id AND f.due_ms < ${BEHIND_MS})`,
  },
  {
    what: 'an entry of the outbox that does not wait for the one before',
    sql: `SELECT o.id FROM outbox o WHERE o.due_ms < ${BEHIND_MS} AND o.message > 0 AND EXISTS (SELECT 1 FROM outbox f WHERE f.message = o.message
          AND f.recipient = o.recipient AND f.endpoint = o.endpoint AND f.target = o.target AND f.id < o.id)`,
  },
  {
    what: 'an entry of the outbox that tells an event which was never written',
    sql: 'SELECT o.id FROM outbox o LEFT JOIN event e ON e.id = o.event WHERE o.event > 0 AND e.id IS NULL',
  },
  {
    what: 'a copy of what was not delivered',
    sql: "SELECT o.id FROM outbox o LEFT JOIN recipient r ON r.id = o.recipient WHERE o.kind = 'archive' AND coalesce(r.ending, '') <> 'delivered'",
  },
];

export const SHOWN_MAX = 5;

/** The checker of stores on PostgreSQL must find what it looks for: each illegal state is made by hand, in a transaction that does not last, and must be told. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { Client } from 'pg';
import { openPostgresStore } from '#store/postgres/open.ts';
import { startPostgres } from '../kit/postgres.ts';
import { checkPostgresStore, postgresTroubles } from './check-postgres.ts';
import { accept, claim, mail, settlement, T0, tenant } from './tenant.ts';

// In the order of their writing: before the server goes.
after(async () => {
  await client.end();
  await store.close();
});
const postgres = await startPostgres({ after });
const url = await postgres.newDatabase();
const store = await openPostgresStore({ url, mode: 'server', nowMs: T0 });
const client = new Client({ connectionString: url });
await client.connect();

const from = await tenant(store);
const idempotency = { key: 'k', fingerprint: 'f', untilMs: T0 * 2 };
const queued = await accept(store, mail(from, { to: ['a@one.example'], idempotency }));
const settled = await accept(store, mail(from, { to: ['a@two.example'], isLeased: true }));
const outbox = [{ kind: 'archive', endpoint: 'https://a.example:443', target: 'https://a.example/', payload: '{}' }] as const;
await store.mail.settle(settlement(from, settled, { outbox }));
const leased = await accept(store, mail(from, { to: ['a@three.example'] }));
await claim(store, 'three.example');

test('a store in good order has nothing to tell', async () => {
  assert.deepEqual(await checkPostgresStore(url), []);
});

const [one, two, three] = [queued.firstRecipient, settled.firstRecipient, leased.firstRecipient];
const event = (kind: number, message: number, recipient: number): string =>
  `INSERT INTO event (id, kind, at_us, account_id, domain_id, message, recipient) VALUES (1, ${kind}, 1, 1, 1, ${message}, ${recipient})`;

const BROKEN: Readonly<Record<string, string>> = {
  'a recipient without its message': `DELETE FROM message WHERE id = ${queued.id}`,
  'a leased recipient without a node': `UPDATE recipient SET node = NULL WHERE id = ${three}`,
  'a leased recipient that was never leased': `UPDATE recipient SET epoch = 0 WHERE id = ${three}`,
  'a node that holds what is not leased': `UPDATE recipient SET node = 1 WHERE id = ${one}`,
  'a settled recipient without an ending': `UPDATE recipient SET ending = NULL WHERE id = ${two}`,
  'an ending of what is not settled': `UPDATE recipient SET ending = 'failed' WHERE id = ${one}`,
  'a state that is none': `UPDATE recipient SET state = 3 WHERE id = ${one}`,
  'a queued recipient that no look would find in time': 'UPDATE bucket SET look_ms = look_ms + 1 WHERE look_ms IS NOT NULL',
  'a message that lacks recipients': `UPDATE message SET recipient_count = 2 WHERE id = ${queued.id}`,
  'a message without the content it has': `DELETE FROM content WHERE id = ${settled.id}`,
  'a content without its message': `UPDATE message SET has_content = 0 WHERE id = ${settled.id}`,
  'an unsettled recipient without its content': `UPDATE message SET has_content = 0 WHERE id = ${queued.id}`,
  'a recipient without one accepted event': `DELETE FROM event WHERE recipient = ${one}`,
  'a settled recipient without the event of its end, or with two': `DELETE FROM event WHERE recipient = ${two} AND kind = 2`,
  'an event of an end for what has not ended': event(2, queued.id, one),
  'a recovered recipient that does not say so': event(13, queued.id, one),
  'an event of no message': event(1, 99, 1),
  'an entry of the outbox that no look would find in time': 'UPDATE outbox_endpoint SET look_ms = look_ms + 1',
  'a copy of what was not delivered': `UPDATE outbox SET recipient = ${one}`,
  'an idempotency key of no message': 'UPDATE idempotency SET message = 99',
  'a recipient outside of its message’s ids': `UPDATE message SET first_recipient = first_recipient + 1 WHERE id = ${queued.id}`,
  'a message whose id has another day': `UPDATE message SET created_ms = created_ms + 86400000 WHERE id = ${queued.id}`,
  'an event whose id has another day': `UPDATE event SET at_us = at_us - 86400000000 WHERE recipient = ${one}`,
  'a content that is kept twice': `INSERT INTO content_kept SELECT * FROM content WHERE id = ${queued.id}`,
  'a content that was moved without its message knowing': `INSERT INTO content_kept SELECT id + 1, bytes FROM content WHERE id = ${queued.id}`,
  'an index that is not valid': 'CREATE INDEX half ON ONLY event (recipient)',
};

for (const [what, sql] of Object.entries(BROKEN)) {
  test(`it tells ${what}`, async () => {
    await client.query('BEGIN');
    try {
      await client.query(sql);
      const troubles = await postgresTroubles(async (asked) => (await client.query<Record<string, unknown>>(asked)).rows);
      assert.ok(
        troubles.some((trouble) => trouble.startsWith(what)),
        troubles.join('; '),
      );
    } finally {
      await client.query('ROLLBACK');
    }
  });
}

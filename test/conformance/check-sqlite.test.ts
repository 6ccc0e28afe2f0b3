/** The checker that crash tests rely on must find what it looks for: each illegal state is made by hand and must be told. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { after, before, test } from 'node:test';
import { openSqliteStore } from '#store/sqlite/open.ts';
import { checkStore } from './check-sqlite.ts';
import { accept, claim, mail, settlement, T0, tenant } from './tenant.ts';

let directory: string;
let path: string;

before(async () => {
  directory = mkdtempSync(join(tmpdir(), 'postrider-check-'));
  path = join(directory, 'postrider.db');
  const store = await openSqliteStore({ path, mode: 'server', nowMs: T0 });
  const from = await tenant(store);
  const idempotency = { key: 'k', fingerprint: 'f', untilMs: T0 * 2 };
  // 1 queued, 2 settled, 3 leased
  await accept(store, mail(from, { to: ['a@one.example'], idempotency }));
  const second = await accept(store, mail(from, { to: ['a@two.example'], isLeased: true }));
  const outbox = [{ kind: 'archive', endpoint: 'https://a.example:443', target: 'https://a.example/', payload: '{}' }] as const;
  await store.mail.settle(settlement(from, second, { outbox }));
  await accept(store, mail(from, { to: ['a@three.example'] }));
  await claim(store, 'three.example');
  await store.close();
});
after(() => rmSync(directory, { recursive: true }));

test('a store in good order has nothing to tell', () => {
  assert.deepEqual(checkStore(path), []);
});

const BROKEN: Readonly<Record<string, string>> = {
  'a recipient without its message': 'DELETE FROM message WHERE id = 1',
  'a leased recipient without a node': 'UPDATE recipient SET node = NULL WHERE id = 3',
  'a leased recipient that was never leased': 'UPDATE recipient SET epoch = 0 WHERE id = 3',
  'a node that holds what is not leased': 'UPDATE recipient SET node = 1 WHERE id = 1',
  'a settled recipient without an ending': 'UPDATE recipient SET ending = NULL WHERE id = 2',
  'an ending of what is not settled': "UPDATE recipient SET ending = 'failed' WHERE id = 1",
  'a state that is none': 'UPDATE recipient SET state = 3 WHERE id = 1',
  'a queued recipient that no look would find in time': 'UPDATE bucket SET look_ms = look_ms + 1 WHERE look_ms IS NOT NULL',
  'a message that lacks recipients': 'UPDATE message SET recipient_count = 2 WHERE id = 1',
  'a message without the content it has': 'DELETE FROM content WHERE id = 2',
  'a content without its message': 'UPDATE message SET has_content = 0 WHERE id = 2',
  'an unsettled recipient without its content': 'UPDATE message SET has_content = 0 WHERE id = 1',
  'a recipient without one accepted event': 'DELETE FROM event WHERE recipient = 1',
  'a settled recipient without the event of its end, or with two': 'DELETE FROM event WHERE recipient = 2 AND kind = 2',
  'an event of an end for what has not ended': 'UPDATE event SET recipient = 1, message = 1 WHERE kind = 2',
  'a recovered recipient that does not say so':
    'INSERT INTO event (kind, at_us, account_id, domain_id, message, recipient) VALUES (13, 1, 1, 1, 1, 1)',
  'an event of no message': 'INSERT INTO event (kind, at_us, account_id, domain_id, message, recipient) VALUES (1, 1, 1, 1, 99, 1)',
  'an entry of the outbox that no look would find in time': 'UPDATE outbox_endpoint SET look_ms = look_ms + 1',
  'a copy of what was not delivered': 'UPDATE outbox SET recipient = 1',
  'an idempotency key of no message': 'UPDATE idempotency SET message = 99',
};

for (const [what, sql] of Object.entries(BROKEN)) {
  test(`it tells ${what}`, () => {
    const db = new DatabaseSync(path);
    const copy = join(directory, 'broken.db');
    db.exec(`VACUUM INTO '${copy}'`);
    db.close();
    const broken = new DatabaseSync(copy);
    broken.exec(sql);
    broken.close();
    const troubles = checkStore(copy);
    rmSync(copy);
    assert.ok(
      troubles.some((trouble) => trouble.startsWith(what)),
      troubles.join('; '),
    );
  });
}

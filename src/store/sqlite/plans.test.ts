/**
 * How SQLite goes about our statements, for a queue and a history of millions: every statement of the ways that mail takes is looked at as it is really asked, and none
 * may read through the whole of recipients, events, messages or contents.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { AcceptMessage, Settlement } from '#store/store.ts';
import { messageInfo } from '../../../test/kit/stored.ts';
import { Database, migrate, type Row, type Value } from './database.ts';
import { eventTables } from './events.ts';
import { outboxTable } from './outbox.ts';
import { packFact, packMessage, packReception, packSettlement } from './packed.ts';
import { dueBuckets, nextDueAtMs, queuedOfDomain } from './queue-reads.ts';
import { Retention } from './retention.ts';
import { listScheduled } from './scheduled.ts';
import { MailWriter } from './write-mail.ts';

/** Writes down every statement and how it is planned. */
class WatchedDatabase extends Database {
  readonly plans = new Map<string, string>();

  #watch(sql: string, values: readonly Value[]): void {
    if (this.plans.has(sql)) return;
    this.plans.set(sql, '');
    const steps = super.allOnce(`EXPLAIN QUERY PLAN ${sql}`, ...values).map((row) => String(row['detail']));
    this.plans.set(sql, steps.join('; '));
  }

  override run(sql: string, ...values: Value[]): number {
    this.#watch(sql, values);
    return super.run(sql, ...values);
  }

  override insert(sql: string, ...values: Value[]): number {
    this.#watch(sql, values);
    return super.insert(sql, ...values);
  }

  override get(sql: string, ...values: Value[]): Row | undefined {
    this.#watch(sql, values);
    return super.get(sql, ...values);
  }

  override all(sql: string, ...values: Value[]): Row[] {
    this.#watch(sql, values);
    return super.all(sql, ...values);
  }

  override allOnce(sql: string, ...values: Value[]): Row[] {
    this.#watch(sql, values);
    return super.allOnce(sql, ...values);
  }
}

const T0 = 1_700_000_000_000;
let directory: string;
let db: WatchedDatabase;
let mail: MailWriter;

before(() => {
  directory = mkdtempSync(join(tmpdir(), 'postrider-plans-'));
  db = new WatchedDatabase(join(directory, 'postrider.db'), 'write');
  migrate(db);
  db.exec(
    "INSERT INTO account (id, name, created_ms) VALUES (1, 'a', 0); INSERT INTO domain (id, account_id, name, type, state, created_ms, retention_ms) VALUES (1, 1, 'x.example', 'custom', 'active', 0, 0); INSERT INTO node (id, started_ms) VALUES (1, 0)",
  );
  mail = new MailWriter(db, 1);
  db.plans.clear();
});
after(() => {
  db.close();
  rmSync(directory, { recursive: true });
});

const message = (isLeased: boolean, key?: string): AcceptMessage => ({
  accountId: 1,
  domainId: 1,
  domain: 'x.example',
  messageId: 'm@x.example',
  sender: 'a@x.example',
  createdMs: T0,
  dueAtMs: T0,
  wait: 'due',
  expiresAtMs: T0 + 1000,
  priority: 0,
  info: messageInfo({ sizeBytes: 1, origin: { address: '' } }),
  content: Uint8Array.of(1),
  recipients: [{ address: 'b@y.example', domain: 'y.example', isLeased }],
  idempotency: key === undefined ? undefined : { key, fingerprint: 'f', untilMs: T0 + 1 },
});

function accept(isLeased: boolean, key?: string): { id: number; recipient: number } {
  const given = message(isLeased, key);
  const result = mail.accept(...packMessage(given), given.content);
  assert.equal(result.kind, 'accepted');
  return result.kind === 'accepted' ? { id: result.id, recipient: result.firstRecipient } : assert.fail();
}

function settle(accepted: { id: number; recipient: number }, change: Partial<Settlement>): void {
  const settlement: Settlement = {
    recipient: accepted.recipient,
    epoch: 1,
    accountId: 1,
    domainId: 1,
    message: accepted.id,
    atMs: T0,
    attempts: 1,
    event: { kind: 'delivered', detail: {} },
    counters: [{ accountId: 1, domainId: 1, kind: 'delivered', provider: '', tag: '' }],
    ...change,
  };
  assert.equal(mail.settle(...packSettlement(settlement)), true);
}

/** The plans of what the body asks. */
function plansOf(body: () => void): [sql: string, plan: string][] {
  db.plans.clear();
  body();
  return [...db.plans];
}

// The index of what is leased is as small as memory; those of what is queued are read only where they hold all that is asked.
const LARGE =
  /\bSCAN (r|recipient|e|x|event|m|message|c|content|outbox|webhook_post|fact_once)\b(?! USING (COVERING INDEX recipient_(due|expiring)|(COVERING )?INDEX recipient_leased))/;

function noneReadsAll(plans: readonly [string, string][]): void {
  assert.ok(plans.length > 0);
  for (const [sql, plan] of plans) assert.doesNotMatch(plan, LARGE, sql);
}

function uses(plans: readonly [string, string][], start: string, index: RegExp): void {
  const found = plans.find(([sql]) => sql.startsWith(start));
  assert.ok(found, `nothing asked: ${start}`);
  assert.match(found[1], index, found[0]);
}

test('accepting, settling and releasing find their rows', () => {
  const plans = plansOf(() => {
    accept(false, 'key');
    settle(accept(true), {
      ending: 'delivered',
      suppression: { kind: 'bounce', address: 'b@y.example', code: 1, error: '', createdMs: T0 },
    });
    settle(accept(true), { dueAtMs: T0, wait: 'retry' });
    mail.release({ recipient: accept(true).recipient, epoch: 1, dueAtMs: T0, wait: 'due' });
    mail.flushCounters();
  });
  noneReadsAll(plans);
  uses(plans, 'UPDATE recipient SET state = ?, ending', /SEARCH recipient USING INTEGER PRIMARY KEY/);
});

const told = { kind: 'event', endpoint: 'https://hooks.example:443', target: 'https://hooks.example/in', payload: '{}' } as const;

test('what comes back and what comes in find their rows', () => {
  const plans = plansOf(() => {
    const { id, recipient } = accept(true);
    const ids = { accountId: 1, domainId: 1, message: id, recipient };
    const event = { kind: 'opened', atUs: T0 * 1000, ...ids, detail: {} } as const;
    const counter = { accountId: 1, domainId: 1, kind: 'opened', provider: '', tag: '' } as const;
    const suppression = { kind: 'bounce', address: 'b@y.example', code: 1, error: '', createdMs: T0 } as const;
    const fact = { event, once: 'a', suppression, counters: [counter], firstCounters: [], outbox: [told] };
    assert.equal(mail.record(...packFact(fact)), 'recorded');
    const stored = { kind: 'stored', atUs: T0 * 1000, accountId: 1, domainId: 1, detail: {} } as const;
    const events = [{ recipient: 0, event: stored }];
    const reception = { message: message(false), events, outbox: [{ ...told, recipient: 0 }], forwards: [message(false)] };
    assert.equal(mail.receive(packReception(reception), reception.message.content).kind, 'received');
    mail.flushCounters();
    assert.ok(eventTables(db).recipientById(recipient));
  });
  noneReadsAll(plans);
});

test('the outbox is claimed by what is due, and its log is read by account and time', () => {
  const outbox = outboxTable(db);
  const plans = plansOf(() => {
    for (const _ of [1, 2]) settle(accept(true), { ending: 'delivered', outbox: [told, told] });
    const due = outbox.dueEndpoints(T0, 10);
    outbox.nextDueAtMs();
    const items = outbox.claim(
      due.map(({ id }) => ({ endpoint: id, room: 10 })),
      T0,
      T0 + 1000,
    );
    for (const [n, item] of items.entries()) {
      const ids = {
        accountId: 1,
        domainId: 1,
        event: item.event?.id ?? 0,
        message: item.message?.id ?? 0,
        recipient: item.recipient?.id ?? 0,
      };
      const texts = { entry: 'event' as const, url: told.target, endpoint: told.endpoint, payload: '{}', error: '', response: '' };
      const post = { ...ids, ...texts, kind: 'delivered', atMs: T0, number: 1, result: 'failed', tookMs: 1 } as const;
      assert.equal(outbox.settle({ item, post, ...(n === 0 && { dueAtMs: T0 + 5000 }) }), true);
    }
    outbox.claimOld(T0, 1, T0, T0 + 1000);
    const filter = { accountId: 1, beginMs: 0, endMs: T0 };
    assert.ok(outbox.listPosts({ ...filter, result: 'failed' }, { atMs: T0 + 1, id: 1 }, 10).length > 0);
    outbox.listPosts({ ...filter, domainId: 1, url: told.target }, undefined, 10);
    assert.ok(outbox.replayPosts(filter, T0, 10).entries > 0);
  });
  noneReadsAll(plans);
  for (const [sql, plan] of plans) {
    assert.doesNotMatch(plan, /\bSCAN (outbox|webhook_post)\b(?! USING)/, sql);
    if (sql.includes('webhook_post')) assert.doesNotMatch(plan, /TEMP B-TREE/, sql);
  }
  uses(plans, 'UPDATE outbox SET epoch', /SEARCH outbox USING (COVERING )?INDEX outbox_due \(endpoint=\? AND due_ms<\?\)(?!.*TEMP)/);
  uses(plans, 'SELECT 1 FROM outbox WHERE message', /SEARCH outbox USING INDEX outbox_by_recipient \(message=\? AND recipient=\?\)/);
});

test('claims go by the buckets that are due, and in a bucket by what is due', () => {
  const plans = plansOf(() => {
    accept(false);
    const buckets = dueBuckets(db, T0, 10);
    nextDueAtMs(db);
    mail.claim(
      buckets.map(({ id }) => ({ bucket: id, room: 1 })),
      T0,
    );
    mail.parkBucket(1, T0, 'due');
  });
  noneReadsAll(plans);
  uses(
    plans,
    'SELECT id, domain, account_id, look_ms FROM bucket',
    /^SEARCH bucket USING INDEX bucket_due \(priority=\? AND look_ms<\?\)$/,
  );
  uses(plans, 'UPDATE recipient', /SEARCH recipient USING COVERING INDEX recipient_due \(bucket=\? AND due_ms<\?\)/);
  uses(plans, 'UPDATE bucket SET look_ms = (SELECT', /SEARCH recipient USING COVERING INDEX recipient_due \(bucket=\?\)/);
  for (const [sql, plan] of plans) assert.doesNotMatch(plan, /SCAN bucket(?! USING (COVERING )?INDEX bucket_due)|TEMP B-TREE/, sql);
});

test('what is too old is found by its time, and what a former process leased by its lease', () => {
  const plans = plansOf(() => {
    accept(false);
    mail.claimExpired(T0 + 2000, 10);
    accept(true);
    assert.ok(mail.recoverLeases(T0) > 0);
  });
  uses(plans, 'UPDATE recipient SET state = 1', /SEARCH recipient USING (COVERING )?INDEX recipient_expiring \(expires_ms<\?\)/);
  uses(plans, 'SELECT r.id AS id, r.message', /SCAN r USING (COVERING )?INDEX recipient_leased/);
  for (const [sql, plan] of plans) assert.doesNotMatch(plan, /\bSCAN (m|message|e|event|recipient)\b|SCAN r(?! USING)/, sql);
});

test('cancelling goes by the message, or by the buckets of the account', () => {
  const { id } = accept(false);
  const plans = plansOf(() => {
    mail.cancel(1, 1, id, T0);
    accept(false);
    mail.cancelRecipients(1, 1, queuedOfDomain(db, 1, 1, 10), T0);
  });
  noneReadsAll(plans);
});

test('what is scheduled is listed, moved and taken back by an index of its own and by its message', () => {
  const { id } = accept(false);
  const choice = { accountId: 1, domainId: 1, message: id };
  const listing = plansOf(() => void listScheduled(db, [1, 2], { dueAtMs: T0, id: 1 }, 10));
  assert.deepEqual(
    listing.map(([, plan]) => plan),
    [
      'SEARCH r USING INDEX recipient_scheduled (scheduled_domain=? AND due_ms=? AND id>?)',
      'SEARCH r USING INDEX recipient_scheduled (scheduled_domain=? AND due_ms>?)',
    ],
  );
  const plans = plansOf(() => {
    mail.moveScheduled(choice, T0 * 2, T0);
    mail.cancelScheduled(choice, T0);
  });
  noneReadsAll(plans);
});

test('retention goes by ids, a stretch at a time', () => {
  const plans = plansOf(() => {
    const retention = new Retention(db);
    settle(accept(true), { ending: 'delivered' });
    for (let step = 0; step < 3; step++) retention.expire(T0 * 2, 10, 0);
    retention.deleteContent(1, accept(true).id);
  });
  for (const [sql, plan] of plans) {
    // The oldest events and posts by id: the walk ends after `limit` rows.
    assert.doesNotMatch(plan.replace(/SCAN (event|webhook_post)(?=;|$)/, sql.includes('ORDER BY id LIMIT') ? 'walk' : '$&'), LARGE, sql);
    assert.doesNotMatch(plan, /TEMP B-TREE/, sql);
  }
});

test('events are listed by their domain and time, or by the message or recipient that was asked for', () => {
  const tables = eventTables(db);
  const filter = { accountId: 1, domainId: 1 };
  const plain = plansOf(() => {
    tables.list(filter, 'descending', undefined, 10);
    tables.list({ ...filter, beginUs: 1, endUs: 2, kinds: ['accepted'] }, 'ascending', { atUs: 1, id: 1 }, 10);
  });
  noneReadsAll(plain);
  for (const [sql, plan] of plain) {
    assert.match(plan, /SEARCH e USING INDEX event_by_domain/, sql);
    assert.doesNotMatch(plan, /TEMP B-TREE/, `it must not sort: ${sql}`);
  }
  const narrow = plansOf(() => {
    tables.list({ ...filter, messageId: 'm' }, 'ascending', undefined, 10);
    tables.list({ ...filter, recipient: 'b@y.example' }, 'descending', undefined, 10);
  });
  noneReadsAll(narrow);
  for (const [sql, plan] of narrow) assert.match(plan, /SEARCH e USING INDEX event_by_message/, sql);
});

test('events of few kinds and of several domains are listed by an index of theirs', () => {
  const events = eventTables(db);
  const filter = { accountId: 1, domainId: 0, domainIds: [1, 2] };
  db.plans.clear();
  events.list({ ...filter, kinds: ['failed', 'opened'] }, 'descending', { atUs: T0 * 1000 + 2_000_000, id: 5 }, 10);
  const rare = [...db.plans.values()].filter((plan) => plan.includes('event_by_kind'));
  assert.equal(rare.length, 1);
  for (const plan of db.plans.values()) assert.doesNotMatch(plan, /SCAN|TEMP B-TREE/);
  events.list(filter, 'ascending', undefined, 10);
  for (const [sql, plan] of db.plans) if (!sql.includes('e.id IN')) assert.doesNotMatch(plan, /SCAN|TEMP B-TREE/, sql);
});

test('a message, an address and the newest messages are found by their indexes', () => {
  const tables = eventTables(db);
  const plans = plansOf(() => {
    tables.messageById(1, 1);
    tables.messageByMessageId(1, 'm@x.example');
    tables.recipientsByAddress(1, 'b@y.example', 10);
  });
  noneReadsAll(plans);
  uses(
    plansOf(() => tables.latestMessages(undefined, 10)),
    'SELECT m.id',
    /^SCAN m(?!.*TEMP B-TREE)/,
  );
  uses(
    plansOf(() => tables.latestMessages(1, 10)),
    'SELECT m.id',
    /^SEARCH m USING INDEX message_by_account \(account_id=\?\)(?!.*TEMP B-TREE)/,
  );
});

test('the depth of the queue is counted by indexes that hold the queue alone', () => {
  const plans = plansOf(() => {
    const tables = eventTables(db);
    accept(false);
    tables.queueDepth();
    tables.queueByDomain(T0, 10);
  });
  noneReadsAll(plans);
  uses(
    plans,
    'SELECT (SELECT count(*) FROM recipient WHERE state = 0) AS queued',
    /SCAN recipient USING COVERING INDEX recipient_(due|expiring)/,
  );
});

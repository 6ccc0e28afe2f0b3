import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { StoredRecipient } from '#model/message.ts';
import type { Outcome } from '#model/outcome.ts';
import type { SuppressionKind } from '#store/store.ts';
import { storedMessage, storedRecipient } from '../../test/kit/stored.ts';
import type { RetryPlan } from './retry.ts';
import { settledAttempt, settledWithoutAttempt } from './settlement.ts';
import { workItem } from './work-item.ts';

const HOUR_MS = 3_600_000;
const PLAN: RetryPlan = { delaysMs: [HOUR_MS / 12], spread: 0, hintMinMs: 1000, hintMaxMs: HOUR_MS };

function item(of: { testMode?: boolean; suppressed?: SuppressionKind; recipient?: Partial<StoredRecipient>; expiresAtMs?: number } = {}) {
  const message = storedMessage({
    messageId: 'm@example.org',
    sender: 'a@example.org',
    createdMs: 1000,
    expiresAtMs: of.expiresAtMs ?? 8 * HOUR_MS,
    priority: 0,
    contentId: 3,
    info: {
      from: 'a@example.org',
      to: 'b@example.net',
      subject: 's',
      sizeBytes: 10,
      method: 'HTTP',
      options: { tags: ['news'], variables: {}, testMode: of.testMode === true },
    },
  });
  const recipient = storedRecipient({ address: 'b@example.net', dueAtMs: 1000, epoch: 4, ...of.recipient });
  return workItem(message, recipient, of.suppressed, 1000, 0);
}

const outcome = (disposition: Outcome['disposition'], more: Partial<Outcome> = {}): Outcome => ({
  disposition,
  code: disposition === 'delivered' ? 250 : disposition === 'failed' ? 550 : 451,
  text: 'said the server',
  attempt: { number: 0, startedMs: 1000, steps: { dot: 3 } },
  ...more,
});

test('a suppressed address is failed with the code that API clients know, without an attempt', () => {
  for (const [kind, code] of [
    ['bounce', 605],
    ['unsubscribe', 606],
    ['complaint', 607],
  ] as const) {
    const settlement = settledWithoutAttempt(item({ suppressed: kind }), 2000);
    assert.equal(settlement?.ending, 'suppressed');
    assert.equal(settlement.event.detail.code, code);
    assert.equal(settlement.event.detail.reason, `suppress-${kind}`);
  }
});

test('test mode is told as delivered with 650 and never leaves', () => {
  const settlement = settledWithoutAttempt(item({ testMode: true }), 2000);
  assert.equal(settlement?.event.kind, 'delivered');
  assert.deepEqual([settlement.event.detail.code, settlement.event.detail.testMode], [650, true]);
});

test('mail that is too old is failed with 602', () => {
  const settlement = settledWithoutAttempt(item(), 9 * HOUR_MS);
  assert.deepEqual([settlement?.ending, settlement?.event.detail.code, settlement?.event.detail.reason], ['expired', 602, 'old']);
});

test('what can be delivered is not settled before it was tried', () => {
  const held = settledWithoutAttempt(item(), 9 * HOUR_MS, '499 cannot connect');
  assert.equal(held?.event.detail.text, 'Too old: 499 cannot connect');
  assert.equal(settledWithoutAttempt(item(), 2000), undefined);
});

test('a settlement names the epoch of its lease and counts the fact and its tags', () => {
  const settlement = settledAttempt(item(), outcome('delivered'), PLAN, 2000);
  assert.equal(settlement.epoch, 4);
  assert.equal(settlement.ending, 'delivered');
  assert.deepEqual(
    settlement.counters.map((counter) => [counter.kind, counter.tag]),
    [
      ['delivered', ''],
      ['delivered', 'news'],
    ],
  );
});

test('a permanent failure suppresses only when the outcome says that the mailbox does not exist', () => {
  assert.equal(settledAttempt(item(), outcome('failed'), PLAN, 2000).suppression, undefined);
  const bounced = settledAttempt(item(), outcome('failed', { suppress: true }), PLAN, 2000);
  assert.equal(bounced.suppression?.address, 'b@example.net');
  assert.equal(bounced.event.detail.reason, 'bounce');
});

test('a temporary failure is queued again, with its reason and the time it is looked at next', () => {
  const settlement = settledAttempt(item(), outcome('deferred'), PLAN, 2000);
  assert.equal(settlement.ending, undefined);
  assert.deepEqual([settlement.dueAtMs, settlement.wait], [2000 + HOUR_MS / 12, 'retry']);
  assert.equal(settlement.event.detail.nextAtMs, settlement.dueAtMs);
});

test('an unclear end makes whatever comes next a possible duplicate, and the repeat says so', () => {
  const unclear = settledAttempt(item(), outcome('deferred', { unclear: true }), PLAN, 2000);
  assert.equal(unclear.possibleDuplicate, true);
  const repeat = settledAttempt(item({ recipient: { possibleDuplicate: true, attempts: 1 } }), outcome('delivered'), PLAN, 3000);
  assert.equal(repeat.event.detail.possibleDuplicate, true);
  assert.equal(repeat.event.detail.attempt?.possibleDuplicate, true);
  assert.equal(repeat.event.detail.attempt?.number, 2);
});

test('a temporary failure at the end of its time is an expiry that still tells the last reply', () => {
  const settlement = settledAttempt(item({ expiresAtMs: 2000 }), outcome('deferred'), PLAN, 2000);
  assert.equal(settlement.ending, 'expired');
  assert.deepEqual(
    [settlement.event.kind, settlement.event.detail.code, settlement.event.detail.text],
    ['failed', 602, 'Too old: said the server'],
  );
});

test('an attempt tells what the recipient waited for before it', () => {
  const waited = item({ recipient: { dueAtMs: 1000 } });
  waited.wait = 'lane-connections';
  const settlement = settledAttempt(waited, outcome('delivered', { attempt: { number: 0, startedMs: 5000, steps: {} } }), PLAN, 5100);
  assert.deepEqual(settlement.event.detail.attempt?.waits, [{ reason: 'lane-connections', fromMs: 1000, untilMs: 5000 }]);
});

test('what a lane gave back tells so, however soon it is taken again; what expires tells what it waited for', () => {
  const given = { ...item({ recipient: { dueAtMs: 1000, wait: 'lane-suspended', attempts: 2 } }), sinceMs: 1010 };
  const settlement = settledAttempt(given, outcome('delivered', { attempt: { number: 0, startedMs: 1011, steps: {} } }), PLAN, 1011);
  assert.deepEqual(settlement.event.detail.attempt?.waits, [{ reason: 'lane-suspended', fromMs: 1000, untilMs: 1010 }]);
  const { expiresAtMs } = given.message;
  const expired = settledWithoutAttempt({ ...given, sinceMs: expiresAtMs + 60_001 }, expiresAtMs + 60_001);
  assert.deepEqual(expired?.event.detail.waits, [{ reason: 'lane-suspended', fromMs: 1000, untilMs: expiresAtMs + 60_001 }]);
});

test('what was due but left on disk tells why', () => {
  const claimed = item({ recipient: { dueAtMs: 1000, wait: 'retry', attempts: 1 } });
  for (const [parkedFor, reason] of [
    ['lane-suspended', 'lane-suspended'],
    [undefined, 'due'],
  ] as const) {
    const late = { ...claimed, parkedFor, sinceMs: 31_000 };
    const settlement = settledAttempt(late, outcome('delivered', { attempt: { number: 0, startedMs: 31_000, steps: {} } }), PLAN, 31_000);
    assert.deepEqual(settlement.event.detail.attempt?.waits, [{ reason, fromMs: 1000, untilMs: 31_000 }]);
  }
});

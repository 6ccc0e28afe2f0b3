import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Ledger, judge } from './ledger.ts';

test('the verdict tells lost, unknown, repeated and untold mail apart', () => {
  const ledger = new Ledger();
  const kept = ledger.open('smtp', ['a@x']);
  const lost = ledger.open('api', ['a@x', 'b@x']);
  const untold = ledger.open('smtp', ['a@x']);
  const refused = ledger.open('smtp', ['a@x']);
  kept.isAccepted = true;
  lost.isAccepted = true;
  const verdict = judge(ledger, [
    { id: kept.id, recipient: 'a@x', messageId: 'm1', times: 1 },
    { id: kept.id, recipient: 'a@x', messageId: 'm2', times: 1 },
    { id: lost.id, recipient: 'a@x', messageId: 'm3', times: 1 },
    { id: untold.id, recipient: 'a@x', messageId: 'm4', times: 2 },
    { id: untold.id, recipient: 'z@x', messageId: 'm4', times: 1 },
    { id: 'smtp-99', recipient: 'a@x', messageId: 'm5', times: 1 },
  ]);
  assert.deepEqual(verdict.lost, [`${lost.id} b@x`]);
  assert.deepEqual(verdict.unknown, [`${untold.id} z@x`, 'smtp-99 a@x']);
  assert.deepEqual(
    verdict.repeated.map(({ id, times }) => `${id} ${times}`),
    [`${kept.id} 2`, `${untold.id} 2`],
  );
  assert.equal(verdict.untold, 2);
  assert.ok(!refused.isAccepted);
});

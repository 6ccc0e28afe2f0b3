import assert from 'node:assert/strict';
import { test } from 'node:test';
import { mailboxOf } from './behaviours.ts';

test('ordinary mailboxes accept, also those that look a little like others', () => {
  for (const local of ['ann', 'bouncer', 'defer-', 'defer-x', 'defer-0', 'defer-101', 'defer-N', 'slow-61', 'bounce-2', '', '+bounce']) {
    assert.equal(mailboxOf(local), undefined, local);
  }
});

test('a number is part of the behaviour', () => {
  const behaviour = mailboxOf('DEFER-17+anything')?.behaviour;
  assert.ok(behaviour?.kind === 'defer');
  assert.equal(behaviour.times, 17);
  assert.deepEqual(mailboxOf('slow-3')?.behaviour, { kind: 'delay', delayMs: 3000 });
});

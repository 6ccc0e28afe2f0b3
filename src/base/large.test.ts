import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LARGE_BYTES, LargeTurns, roomFor } from './large.ts';

test('large things are worked on one after the other, in the order of asking, also after one that failed', async () => {
  const turns = new LargeTurns();
  const steps: string[] = [];
  const work =
    (name: string, fails = false) =>
    async () => {
      steps.push(`${name} begins`);
      await new Promise(setImmediate);
      steps.push(`${name} ends`);
      if (fails) throw new Error(name);
    };
  const first = turns.run(LARGE_BYTES, work('first', true));
  const second = turns.run(LARGE_BYTES, work('second'));
  await assert.rejects(first, /first/);
  await second;
  assert.deepEqual(steps, ['first begins', 'first ends', 'second begins', 'second ends']);
});

test('small things wait for nobody', async () => {
  const turns = new LargeTurns();
  const hold = Promise.withResolvers<void>();
  const large = turns.run(LARGE_BYTES, () => hold.promise);
  assert.equal(await turns.run(LARGE_BYTES - 1, () => Promise.resolve('done')), 'done');
  hold.resolve();
  await large;
});

test('room for a large message is memory that another thread can share', () => {
  assert.ok(roomFor(LARGE_BYTES).buffer instanceof SharedArrayBuffer);
  assert.ok(roomFor(LARGE_BYTES - 1).buffer instanceof ArrayBuffer);
});

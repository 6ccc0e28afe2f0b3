import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Turns } from './turns.ts';

test('steps that were asked for at once run in their order, and others have their turn between two of them', async () => {
  const turns = new Turns();
  const seen: string[] = [];
  let isDone = false;
  const other = (): void => {
    seen.push('other');
    if (!isDone) setImmediate(other);
  };
  setImmediate(other);
  await Promise.all(['a', 'b', 'c'].map((name) => turns.take(() => seen.push(name))));
  isDone = true;
  assert.match(seen.join(' '), /a (?:other )+b (?:other )+c/);
});

test('a step that throws fails for whoever asked for it, and no other', async () => {
  const turns = new Turns();
  const failed = turns.take(() => {
    throw new Error('broken');
  });
  const next = turns.take(() => 'done');
  await assert.rejects(failed, /broken/);
  assert.equal(await next, 'done');
});

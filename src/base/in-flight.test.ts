import assert from 'node:assert/strict';
import { test } from 'node:test';
import { InFlight } from './in-flight.ts';

test('who asks while the work is under way shares it, and who asks later has it done again', async () => {
  const shared = new InFlight<string, number>();
  let times = 0;
  const ask = (key: string): Promise<number> => shared.once(key, () => Promise.resolve(++times));
  assert.deepEqual(await Promise.all([ask('a'), ask('a'), ask('b')]), [1, 1, 2]);
  assert.equal(await ask('a'), 3);
});

test('a failure is told to all who shared it, and is not kept', async () => {
  const shared = new InFlight<string, number>();
  const fail = (): Promise<number> => shared.once('a', () => Promise.reject(new Error('no')));
  const results = await Promise.allSettled([fail(), fail()]);
  assert.deepEqual(
    results.map(({ status }) => status),
    ['rejected', 'rejected'],
  );
  assert.equal(await shared.once('a', () => Promise.resolve(1)), 1);
});

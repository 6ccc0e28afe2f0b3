import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLog } from './log.ts';
import { repeat, type Repeated } from './repeat.ts';

const HOUR_MS = 3_600_000;

/** Rounds that the test answers one by one; a second one at a time is an error. */
function rounds(): { readonly round: Repeated['round']; next(): Promise<PromiseWithResolvers<boolean>> } {
  const begun: PromiseWithResolvers<boolean>[] = [];
  let waiting: PromiseWithResolvers<PromiseWithResolvers<boolean>> | undefined;
  let isRunning = false;
  return {
    async round() {
      assert.ok(!isRunning, 'two rounds at a time');
      isRunning = true;
      const answer = Promise.withResolvers<boolean>();
      if (waiting === undefined) begun.push(answer);
      else waiting.resolve(answer);
      waiting = undefined;
      return answer.promise.finally(() => (isRunning = false));
    },
    next() {
      const already = begun.shift();
      if (already !== undefined) return Promise.resolve(already);
      waiting = Promise.withResolvers();
      return waiting.promise;
    },
  };
}

test('a round that leaves more to do is followed by another at once', async () => {
  const { round, next } = rounds();
  const work = repeat({ round, pauseMs: HOUR_MS, log: silentLog, trouble: 'none' });
  (await next()).resolve(true);
  (await next()).resolve(false);
  await work.stop();
});

test('after a round that left nothing comes a pause, and then another', async () => {
  const { round, next } = rounds();
  const startedMs = performance.now();
  const work = repeat({ round, pauseMs: 30, log: silentLog, trouble: 'none' });
  (await next()).resolve(false);
  const second = await next();
  assert.ok(performance.now() - startedMs >= 28);
  second.resolve(false);
  await work.stop();
});

test('a ring ends the pause, also one that comes during the round before', async () => {
  const { round, next } = rounds();
  const work = repeat({ round, pauseMs: HOUR_MS, log: silentLog, trouble: 'none' });
  const first = await next();
  work.ring();
  first.resolve(false);
  (await next()).resolve(false);
  await new Promise(setImmediate);
  work.ring();
  (await next()).resolve(false);
  await work.stop();
});

test('a round that fails is told, and the next one comes after the pause', async () => {
  const { round, next } = rounds();
  const told: unknown[] = [];
  const log = { ...silentLog, warn: (fields: object, sentence: string) => told.push({ ...fields, sentence }) };
  const work = repeat({ round, pauseMs: 1, log, trouble: 'the work cannot be done' });
  (await next()).reject(new Error('the store is away'));
  (await next()).resolve(false);
  assert.deepEqual(told, [{ error: 'the store is away', sentence: 'the work cannot be done' }]);
  await work.stop();
});

test('stopping tells the round in work, waits for it, and begins no other', async () => {
  let begun = 0;
  let hasEnded = false;
  const work = repeat({
    async round(stopped) {
      begun++;
      await new Promise((resolve) => stopped.addEventListener('abort', resolve));
      await new Promise(setImmediate);
      hasEnded = true;
      return true;
    },
    pauseMs: HOUR_MS,
    log: silentLog,
    trouble: 'none',
  });
  assert.equal(work.stopped.aborted, false);
  await work.stop();
  assert.deepEqual([begun, hasEnded, work.stopped.aborted], [1, true, true]);
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HeldClock } from '#base/clock.ts';
import { silentLog } from '#base/log.ts';
import { StoreError } from '#store/store.ts';
import { startRetention } from './retention.ts';

const PERIODS = { eventsMs: 3000, postsMs: 2000, reportsMs: 1000 };

test('reports go while mail cannot be deleted, and mail while reports cannot', async () => {
  const clock = new HeldClock(10_000);
  for (const broken of ['mail', 'reports']) {
    const asked: string[] = [];
    const both = Promise.withResolvers<void>();
    const answer = async (what: string): Promise<number> => {
      asked.push(what);
      if (new Set(asked).size === 2) both.resolve();
      if (what.startsWith(broken)) throw new StoreError('io', 'broken');
      return 0;
    };
    const retention = startRetention({
      mail: { expire: (nowMs, limit, eventsMs, postsMs) => answer(`mail ${[nowMs, limit, eventsMs, postsMs].join(' ')}`) },
      reports: { expireReports: (beforeMs, limit) => answer(`reports ${beforeMs} ${limit}`) },
      clock,
      log: silentLog,
      ...PERIODS,
    });
    await both.promise;
    await retention.stop();
    assert.deepEqual(asked.toSorted(), ['mail 10000 200 3000 2000', 'reports 9000 10']);
  }
});

test('where a step was full the next one follows at once, by itself', async () => {
  const left = { mail: 450, reports: 25 };
  const done = Promise.withResolvers<void>();
  const take = async (what: 'mail' | 'reports', limit: number): Promise<number> => {
    const taken = Math.min(left[what], limit);
    left[what] -= taken;
    if (left.mail + left.reports === 0) done.resolve();
    return taken;
  };
  const retention = startRetention({
    mail: { expire: (_nowMs, limit) => take('mail', limit) },
    reports: { expireReports: (_beforeMs, limit) => take('reports', limit) },
    clock: new HeldClock(10_000),
    log: silentLog,
    ...PERIODS,
  });
  await done.promise;
  await retention.stop();
});

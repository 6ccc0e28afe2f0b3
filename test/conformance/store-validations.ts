/** Lists of addresses that are validated in the background: who works on one, what came of it, and how it goes. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { NOTHING_VALIDATED, type ValidationJob, type ValidationStep } from '#store/validation-store.ts';
import type { Store } from '#store/store.ts';
import { type Open, tenant, T0, unique } from './tenant.ts';

const LIST = Buffer.from('a@x.example\nzoë@x.example\n');

export function validationsConformance(open: Open): void {
  describe('validated lists', () => {
    let store: Store;
    before(async () => {
      ({ store } = await open());
    });
    after(() => store.close());

    const make = (accountId: number, name: string, createdMs = T0): Promise<string> =>
      store.validations.createValidation({ accountId, name, quantity: 2, createdMs }, 3, T0 - 1000, LIST);
    const step = ({ id, epoch }: ValidationJob, change: Partial<ValidationStep> = {}): ValidationStep => ({
      id,
      epoch,
      position: 12,
      processed: 1,
      summary: { ...NOTHING_VALIDATED, risk: { ...NOTHING_VALIDATED.risk, low: 1 } },
      results: '["é"]',
      isDone: false,
      nowMs: T0,
      heldUntilMs: T0 + 50,
      ...change,
    });
    /** All others are done or held. */
    const claimed = async (nowMs: number): Promise<ValidationJob> => {
      const job = await store.validations.claimValidation(nowMs, nowMs + 50);
      assert.ok(job);
      return job;
    };

    it('keeps a list under a name of the account, as many as it was told', async () => {
      const [mine, theirs] = [await tenant(store), await tenant(store)];
      const name = unique('list');
      assert.equal(await make(mine.accountId, name), 'created');
      assert.equal(await make(mine.accountId, name), 'taken');
      assert.equal(await make(theirs.accountId, name), 'created');
      assert.equal(await make(mine.accountId, 'b'), 'created');
      assert.equal(await make(mine.accountId, 'c'), 'created');
      assert.equal(await make(mine.accountId, 'd'), 'full');
      const { validations } = store;
      const job = await validations.validationOf(mine.accountId, name);
      assert.ok(job);
      assert.deepEqual([job.quantity, job.processed, job.summary, job.finishedMs], [2, 0, NOTHING_VALIDATED, undefined]);
      assert.deepEqual(Buffer.from((await validations.validationBytes(job.id)) ?? []), LIST);
      assert.equal(await validations.validationOf(theirs.accountId, 'b'), undefined);
      assert.equal(await validations.countValidations(mine.accountId), 3);
      for (const each of [name, 'b', 'c']) assert.equal(await validations.deleteValidation(mine.accountId, each, T0), true);
      assert.equal(await validations.deleteValidation(theirs.accountId, name, T0), true);
      assert.equal(await validations.deleteValidation(theirs.accountId, name, T0), false);
    });

    it('gives a list to one who works on it, and to the next when that one is silent', async () => {
      const { accountId } = await tenant(store);
      const { validations } = store;
      await make(accountId, 'a');
      const first = await claimed(T0);
      assert.equal(await validations.claimValidation(T0 + 49, T0 + 99), undefined);
      assert.equal(await validations.advanceValidation(step(first)), true);
      const second = await claimed(T0 + 50);
      assert.deepEqual([second.id, second.epoch, second.position, second.processed], [first.id, first.epoch + 1, 12, 1]);
      assert.equal(await validations.advanceValidation(step(first, { processed: 2 })), false);
      assert.equal(await validations.advanceValidation(step(second, { processed: 2, position: 26, results: '["2"]', isDone: true })), true);
      const done = await validations.validationOf(accountId, 'a');
      assert.deepEqual([done?.finishedMs, done?.processed, done?.summary.risk.low], [T0, 2, 1]);
      assert.equal((await validations.validationBytes(first.id))?.byteLength, 0);
      assert.deepEqual(await validations.validationResults(first.id, 0, 9), [
        { number: 1, results: '["é"]' },
        { number: 2, results: '["2"]' },
      ]);
      assert.deepEqual((await validations.validationResults(first.id, 1, 9)).length, 1);
      assert.equal(await validations.claimValidation(T0 + 9999, T0 + 99_999), undefined);
    });

    it('counts what was validated in the commit of the step, and what was validated by itself, for no domain', async () => {
      const { accountId } = await tenant(store);
      const { validations } = store;
      await make(accountId, 'a');
      const first = await claimed(T0);
      const bulk = { accountId, way: 'bulk' } as const;
      const counts = [
        { ...bulk, isValid: true, count: 3 },
        { ...bulk, isValid: false, count: 4 },
      ];
      const second = await claimed(T0 + 50);
      assert.equal(await validations.advanceValidation(step(first, { counts })), false);
      assert.equal(await validations.advanceValidation(step(second, { counts, isDone: true })), true);
      for (let i = 0; i < 2; i++) await validations.countValidated([{ accountId, way: 'single', isValid: true, count: 1 }], T0);
      for (const { step: by, from } of [
        { step: 'hour', from: T0 / 3_600_000 },
        { step: 'day', from: T0 / 86_400_000 },
      ] as const) {
        const span = { step: by, from: Math.floor(from), until: Math.floor(from) + 1 };
        const sums = await store.stats.sums({ accountId, domainIds: [0], ...span, by: ['reason'], rowsMax: 10 });
        assert.deepEqual(
          sums.map(({ kind, reason, n }) => [kind, reason, n]).toSorted((a, b) => Number(a[2]) - Number(b[2])),
          [
            ['validated', 'single/valid', 2],
            ['validated', 'bulk/valid', 3],
            ['validated', 'bulk', 4],
          ],
        );
      }
    });

    it('pages lists from the newest, and forgets those that were done long ago', async () => {
      const { accountId } = await tenant(store);
      const { validations } = store;
      for (const name of ['a', 'b', 'c']) {
        await make(accountId, name);
        await validations.advanceValidation(step(await claimed(T0), { isDone: true }));
      }
      const names = (jobs: readonly ValidationJob[]): string => jobs.map(({ name }) => name).join('');
      const page = await validations.validationPage(accountId, 2);
      assert.equal(names(page), 'cb');
      assert.equal(names(await validations.validationPage(accountId, 2, { before: page[1]?.id as number })), 'a');
      assert.equal(names(await validations.validationPage(accountId, 2, { after: page[1]?.id as number })), 'c');
      const again = { accountId, name: 'a', quantity: 1, createdMs: T0 + 9 };
      assert.equal(await validations.createValidation(again, 3, T0, LIST), 'taken');
      assert.equal(await validations.createValidation(again, 3, T0 + 1, LIST), 'created');
      assert.equal(names(await validations.validationPage(accountId, 9)), 'a');
      await validations.deleteValidation(accountId, 'a', T0);
    });

    it('takes a deleted list away in steps, and its name is free at once', async () => {
      const { accountId } = await tenant(store);
      const { validations } = store;
      while (await validations.purgeValidations(1000));
      await make(accountId, 'a');
      const job = await claimed(T0);
      for (const processed of [1, 2, 3]) await validations.advanceValidation(step(job, { processed }));
      assert.equal(await validations.deleteValidation(accountId, 'a', T0), true);
      assert.equal(await validations.advanceValidation(step(job, { processed: 4 })), false);
      assert.equal(await make(accountId, 'a'), 'created');
      assert.equal(await validations.purgeValidations(2), true);
      assert.equal((await validations.validationResults(job.id, 0, 9)).length, 1);
      assert.equal(await validations.purgeValidations(2), true);
      assert.equal(await validations.purgeValidations(2), false);
      assert.equal((await validations.validationOf(accountId, 'a'))?.processed, 0);
      await validations.deleteValidation(accountId, 'a', T0);
    });
  });
}

/** Alerts: who is told, and what is yet to be told. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { AlertPost, AlertSetting } from '#store/alert-store.ts';
import type { Store } from '#store/store.ts';
import { type Open, tenant, T0, unique } from './tenant.ts';

export function alertsConformance(open: Open): void {
  describe('alerts', () => {
    let store: Store;
    before(async () => {
      ({ store } = await open());
    });
    after(() => store.close());

    const setting = (accountId: number, change: Partial<AlertSetting> = {}): AlertSetting => ({
      id: unique('alert'),
      accountId,
      eventType: 'send_alert',
      channel: 'email',
      targets: ['zoë@x.example', 'b@x.example'],
      createdMs: T0,
      ...change,
    });
    const post = (accountId: number, change: Partial<AlertPost> = {}): AlertPost => ({
      id: unique('post'),
      accountId,
      eventType: 'send_alert',
      channel: 'webhook',
      target: 'https://hooks.example/ü',
      payload: '{"a":"é"}',
      createdMs: T0,
      dueMs: T0,
      attempts: 0,
      ...change,
    });

    it('keeps who is told, as many as it was told, each for its account', async () => {
      const [mine, theirs] = [await tenant(store), await tenant(store)];
      const { alerts } = store;
      const [first, second] = [setting(mine.accountId), setting(mine.accountId, { createdMs: T0 + 1 })];
      assert.equal(await alerts.createAlert(second, 2), true);
      assert.equal(await alerts.createAlert(first, 2), true);
      assert.equal(await alerts.createAlert(setting(mine.accountId), 2), false);
      assert.deepEqual(await alerts.listAlerts(mine.accountId), [first, second]);
      const change = { eventType: 'send_limit', channel: 'webhook' as const, targets: ['https://x.example'] };
      assert.equal(await alerts.changeAlert(theirs.accountId, first.id, change), false);
      assert.equal(await alerts.changeAlert(mine.accountId, first.id, change), true);
      assert.deepEqual((await alerts.listAlerts(mine.accountId))[0], { ...first, ...change });
      assert.equal(await alerts.deleteAlert(theirs.accountId, first.id), false);
      assert.equal(await alerts.deleteAlert(mine.accountId, first.id), true);
      assert.deepEqual(await alerts.listAlerts(mine.accountId), [second]);
    });

    it('keeps one key of an account until it is made anew', async () => {
      const { accountId } = await tenant(store);
      const { alerts } = store;
      assert.equal(await alerts.alertKey(accountId), undefined);
      const made = await Promise.all(['a', 'b'].map((sealed) => alerts.putAlertKey(accountId, sealed, false)));
      assert.equal(made[0], made[1]);
      assert.equal(await alerts.putAlertKey(accountId, 'c', true), 'c');
      assert.equal(await alerts.alertKey(accountId), 'c');
    });

    it('gives what is due to one at a time, again when nothing was heard of it, and never more than was told', async () => {
      const { accountId } = await tenant(store);
      const { alerts } = store;
      const [early, late] = [post(accountId), post(accountId, { dueMs: T0 + 10, channel: 'email' })];
      assert.equal(await alerts.putAlertPosts(accountId, [early, late, post(accountId)], 2), 2);
      assert.equal(await alerts.putAlertPosts(accountId, [post(accountId)], 2), 0);
      const claims = (await Promise.all([1, 2].map(() => alerts.claimAlertPosts(T0, T0 + 60, 9)))).flat();
      assert.deepEqual(claims, [{ ...early, dueMs: T0 + 60, attempts: 1 }]);
      assert.deepEqual(await alerts.claimAlertPosts(T0 + 20, T0 + 90, 9), [{ ...late, dueMs: T0 + 90, attempts: 1 }]);
      await alerts.settleAlertPost(late.id, undefined);
      await alerts.settleAlertPost(early.id, T0 + 200);
      assert.deepEqual(await alerts.claimAlertPosts(T0 + 199, T0 + 300, 9), []);
      assert.equal((await alerts.claimAlertPosts(T0 + 200, T0 + 300, 9))[0]?.attempts, 2);
      assert.equal((await alerts.claimAlertPosts(T0 + 300, T0 + 400, 9))[0]?.attempts, 3);
      await alerts.settleAlertPost(early.id, undefined);
      assert.deepEqual(await alerts.claimAlertPosts(T0 + 9999, T0 + 99_999, 9), []);
    });
  });
}

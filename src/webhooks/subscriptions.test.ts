/** Which URLs get which events, and how the answer stays true while sets change. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HeldClock } from '#base/clock.ts';
import type { EventKind } from '#model/event.ts';
import { ACCOUNT_WEBHOOKS, type Webhook, type WebhookEvent } from '#store/webhook-store.ts';

import { STALE_MS, Subscriptions, webhookEventOf } from './subscriptions.ts';

const [PARENT, ACCOUNT, OTHER] = [1, 2, 3];
const DOMAIN = 7;

const hook = (url: string, ...events: WebhookEvent[]): Webhook => ({ id: '0'.repeat(24), url, events, description: '', createdMs: 0 });

function rig() {
  const clock = new HeldClock(0);
  const sets = new Map<string, Webhook[]>();
  const reads = { count: 0, hold: undefined as Promise<void> | undefined };
  const subscriptions = new Subscriptions({
    clock,
    parentOf: async (accountId) => (accountId === ACCOUNT ? PARENT : undefined),
    webhooks: {
      async webhooksOf(accountId, domainId) {
        reads.count++;
        const webhooks = sets.get(`${accountId} ${domainId}`) ?? [];
        await reads.hold;
        return { revision: 1, webhooks };
      },
    },
  });
  const urls = async (kind: EventKind, accountId = ACCOUNT, domainId = DOMAIN): Promise<string[]> =>
    ((await subscriptions.entriesFor(accountId, domainId, kind)) ?? []).map(({ target }) => target);
  return { clock, sets, reads, subscriptions, urls };
}

test('an event goes to the webhooks of its domain, of its account and of the account above, to each URL once', async () => {
  const { sets, urls } = rig();
  sets.set(`${ACCOUNT} ${DOMAIN}`, [hook('https://a.test/1', 'delivered'), hook('https://a.test/2', 'delivered', 'opened')]);
  sets.set(`${ACCOUNT} ${ACCOUNT_WEBHOOKS}`, [hook('https://a.test/1', 'delivered', 'clicked')]);
  sets.set(`${PARENT} ${ACCOUNT_WEBHOOKS}`, [hook('https://parent.test/', 'delivered')]);
  sets.set(`${OTHER} ${ACCOUNT_WEBHOOKS}`, [hook('https://other.test/', 'delivered')]);
  assert.deepEqual(await urls('delivered'), ['https://a.test/1', 'https://a.test/2', 'https://parent.test/']);
  assert.deepEqual(await urls('opened'), ['https://a.test/2']);
  assert.deepEqual(await urls('clicked'), ['https://a.test/1']);
  assert.deepEqual(await urls('complained'), []);
  assert.deepEqual(await urls('delivered', PARENT, 8), ['https://parent.test/']);
  assert.deepEqual(await urls('delivered', OTHER, 9), ['https://other.test/']);
});

test('the account above owns what goes to its webhooks, but not a URL that the account has too', async () => {
  const { sets, subscriptions } = rig();
  const [own, both, above] = ['https://a.test/', 'https://both.test/', 'https://parent.test/'];
  sets.set(`${ACCOUNT} ${DOMAIN}`, [hook(own, 'delivered')]);
  sets.set(`${ACCOUNT} ${ACCOUNT_WEBHOOKS}`, [hook(both, 'delivered')]);
  sets.set(`${PARENT} ${ACCOUNT_WEBHOOKS}`, [hook(both, 'delivered', 'opened'), hook(above, 'delivered')]);
  const owners = async (kind: EventKind, accountId: number, domainId: number) =>
    ((await subscriptions.entriesFor(accountId, domainId, kind)) ?? []).map(({ target, ownerId }) => [target, ownerId]);
  assert.deepEqual(await owners('delivered', ACCOUNT, DOMAIN), [
    [own, undefined],
    [both, undefined],
    [above, PARENT],
  ]);
  assert.deepEqual(await owners('opened', ACCOUNT, DOMAIN), [[both, PARENT]]);
  assert.deepEqual(await owners('opened', PARENT, 8), [[both, undefined]]);
});

test('what belongs to no domain goes to the account’s webhooks', async () => {
  const { sets, urls } = rig();
  sets.set(`${ACCOUNT} ${DOMAIN}`, [hook('https://a.test/domain', 'complained')]);
  sets.set(`${ACCOUNT} ${ACCOUNT_WEBHOOKS}`, [hook('https://a.test/account', 'complained')]);
  assert.deepEqual(await urls('complained', ACCOUNT, 0), ['https://a.test/account']);
});

test('temporary and permanent failures are told apart, and kinds of our own are told to nobody', () => {
  assert.equal(webhookEventOf('deferred'), 'temporary_fail');
  assert.equal(webhookEventOf('failed'), 'permanent_fail');
  for (const kind of ['rejected', 'stored', 'cancelled', 'notified', 'recovered', 'archived'] as const)
    assert.equal(webhookEventOf(kind), undefined);
});

test('entries of one server share its turns', async () => {
  const { sets, subscriptions } = rig();
  sets.set(`${ACCOUNT} ${DOMAIN}`, [
    hook('https://a.test/1?x', 'opened'),
    hook('https://a.test:443/2', 'opened'),
    hook('http://a.test/', 'opened'),
  ]);
  const entries = await subscriptions.entriesFor(ACCOUNT, DOMAIN, 'opened');
  assert.deepEqual(
    entries?.map(({ kind, endpoint }) => `${kind} ${endpoint}`),
    ['event https://a.test:443', 'event https://a.test:443', 'event http://a.test:80'],
  );
});

test('what is known is answered at once and read again beside the work; what is old is waited for', async () => {
  const { clock, sets, reads, subscriptions, urls } = rig();
  assert.deepEqual(await urls('opened'), []);
  const first = reads.count;
  for (let n = 0; n < 100; n++) assert.equal(subscriptions.entriesFor(ACCOUNT, DOMAIN, 'opened'), undefined);
  assert.equal(reads.count, first);
  sets.set(`${ACCOUNT} ${DOMAIN}`, [hook('https://a.test/', 'opened')]);
  clock.advance(STALE_MS - 1);
  assert.equal(subscriptions.entriesFor(ACCOUNT, DOMAIN, 'opened'), undefined);
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal((subscriptions.entriesFor(ACCOUNT, DOMAIN, 'opened') as readonly unknown[]).length, 1);
  sets.delete(`${ACCOUNT} ${DOMAIN}`);
  clock.advance(STALE_MS + 1);
  assert.ok(subscriptions.entriesFor(ACCOUNT, DOMAIN, 'opened') instanceof Promise);
  assert.deepEqual(await urls('opened'), []);
});

test('a change holds at once, also for who is reading while it is made', async () => {
  const { sets, reads, subscriptions, urls } = rig();
  const held = Promise.withResolvers<void>();
  reads.hold = held.promise;
  const early = urls('opened');
  await new Promise((resolve) => setImmediate(resolve));
  sets.set(`${ACCOUNT} ${DOMAIN}`, [hook('https://a.test/', 'opened')]);
  subscriptions.forget();
  held.resolve();
  assert.deepEqual(await early, ['https://a.test/']);
  sets.delete(`${ACCOUNT} ${DOMAIN}`);
  subscriptions.forget();
  assert.deepEqual(await urls('opened'), []);
});

test('trouble of the store is told to who asks', async () => {
  const { clock } = rig();
  const subscriptions = new Subscriptions({
    clock,
    parentOf: async () => undefined,
    webhooks: { webhooksOf: async () => Promise.reject(new Error('gone')) },
  });
  await assert.rejects(async () => subscriptions.entriesFor(ACCOUNT, DOMAIN, 'opened'), /gone/);
});

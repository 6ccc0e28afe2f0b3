/** What a webhook is sent: the event, and signatures that are new with each attempt. */
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { test } from 'node:test';
import { HeldClock } from '#base/clock.ts';
import type { OutboxItem } from '#store/outbox-store.ts';
import { createEventMaker, type SigningKeys } from './event-maker.ts';
import type { PostRequest } from './guarded-post.ts';
import { sampleEvent } from './sample-event.ts';
import type { Signature } from './signature.ts';

const OWNER = { accountId: 7, domainId: 8, domain: 'ours.example' };
const NOW_MS = 1_763_931_234_567;

function item(change: Partial<OutboxItem> = {}): OutboxItem {
  const { event, message, recipient } = sampleEvent(OWNER, 'delivered', NOW_MS);
  return {
    id: 17,
    kind: 'event',
    endpoint: 'https://hooks.example:443',
    target: 'https://hooks.example/in',
    payload: '',
    endpointId: 1,
    epoch: 1,
    accountId: OWNER.accountId,
    domainId: OWNER.domainId,
    createdMs: NOW_MS,
    attempts: 2,
    message,
    recipient,
    event,
    ...change,
  };
}

function maker(keys: SigningKeys, clock = new HeldClock(NOW_MS), isWanted = async (): Promise<boolean> => true) {
  const eventData = ({ event }: { event: { kind: string } }): Record<string, unknown> => ({ event: event.kind });
  return createEventMaker({ clock, eventData, signingKeys: () => keys, isWanted, giveUpAfterMs: 1000 });
}

async function made(from: ReturnType<typeof maker>, of = item()): Promise<PostRequest> {
  const request = await from.make(of);
  if ('gone' in request) throw new Error(request.gone);
  return request;
}

const bodyOf = (body: readonly Buffer[]): Record<string, Signature> =>
  JSON.parse(Buffer.concat(body).toString()) as Record<string, Signature>;

test('the event is signed with the account’s key, over timestamp and token, all of them texts', async () => {
  const { url, headers, body } = await made(maker({ own: 'secret' }));
  assert.equal(url, 'https://hooks.example/in');
  assert.partialDeepStrictEqual(headers, { 'content-type': 'application/json', 'x-postrider-delivery': '17', 'x-postrider-attempt': '3' });
  const { signature, ...rest } = bodyOf(body);
  assert.deepEqual(rest, { 'event-data': { event: 'delivered' } });
  assert.equal(signature?.timestamp, '1763931234');
  assert.match(signature?.token ?? '', /^[0-9a-f]{50}$/);
  assert.equal(signature?.signature, createHmac('sha256', 'secret').update(`${signature?.timestamp}${signature?.token}`).digest('hex'));
});

test('each attempt is signed afresh, also the second try of one whose connection was cut', async () => {
  const clock = new HeldClock(NOW_MS);
  const from = maker({ own: 'secret' }, clock);
  const first = await made(from);
  clock.advance(60_000);
  const second = await made(from);
  const signatures = [first.body, first.bodyAgain?.() ?? [], second.body].map((body) => bodyOf(body)['signature'] as Signature);
  assert.equal(new Set(signatures.map(({ token }) => token)).size, 3);
  assert.deepEqual(
    signatures.map(({ timestamp }) => Number(timestamp) - 1_763_931_234),
    [0, 60, 60],
  );
});

test('what a subaccount’s event tells is signed with the key of the account above too', async () => {
  const { body } = await made(maker({ own: 'own', parent: 'above' }));
  const { signature, 'parent-signature': parent } = bodyOf(body);
  assert.notEqual(signature?.token, parent?.token);
  for (const [key, given] of [
    ['own', signature],
    ['above', parent],
  ] as const)
    assert.equal(given?.signature, createHmac('sha256', key).update(`${given?.timestamp}${given?.token}`).digest('hex'));
});

test('the keys are of the account that the event is of, also where the webhook is of the account above', async () => {
  const asked: number[] = [];
  const from = createEventMaker({
    clock: new HeldClock(NOW_MS),
    eventData: () => ({}),
    signingKeys(accountId) {
      asked.push(accountId);
      return { own: 'own', parent: 'above' };
    },
    async isWanted(target, { accountId, domainId }) {
      assert.deepEqual([target, accountId, domainId], ['https://hooks.example/in', OWNER.accountId, OWNER.domainId]);
      return true;
    },
    giveUpAfterMs: 1000,
  });
  await made(from, item({ accountId: 1 }));
  assert.deepEqual(asked, [OWNER.accountId]);
});

test('an event that is gone is given up, and only what was given up is told in the timeline', async () => {
  const from = maker({ own: 'secret' });
  const { event: _event, ...without } = item();
  assert.deepEqual(await from.make(without), { gone: 'the event was deleted meanwhile' });
  const record = { url: 'https://hooks.example/in', number: 3, tookMs: 1 };
  assert.equal(from.event(item(), { ...record, result: 'done' }, 'HTTP 200'), undefined);
  assert.equal(from.event(item(), { ...record, result: 'deferred' }, 'HTTP 500'), undefined);
  assert.deepEqual(from.event(item(), { ...record, result: 'failed' }, 'HTTP 406'), {
    webhook: { ...record, result: 'failed', event: 'delivered' },
    text: 'HTTP 406',
  });
});

test('a webhook that was deleted is not told again, but of what happened before it is told once', async () => {
  const from = maker({ own: 'secret' }, new HeldClock(NOW_MS), async () => false);
  assert.deepEqual(await from.make(item({ attempts: 1 })), { gone: 'the webhook was deleted meanwhile' });
  assert.ok(!('gone' in (await from.make(item({ attempts: 0 })))));
});

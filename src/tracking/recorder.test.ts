import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { HeldClock } from '#base/clock.ts';
import { silentLog } from '#base/log.ts';
import type { StoredMessage, StoredRecipient } from '#model/message.ts';
import type { Fact } from '#store/fact-store.ts';
import { TrackingRecorder, type TrackedVisit } from './recorder.ts';

const NOW_MS = 1_800_000_000_000;
const CHROME = 'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36';

const click = (change: Partial<TrackedVisit> = {}): TrackedVisit => ({
  kind: 'clicked',
  copy: { recipient: 7, sentMs: NOW_MS - 60_000 },
  url: 'https://shop.example/',
  method: 'GET',
  ip: '198.51.100.7',
  userAgent: CHROME,
  isPrefetch: false,
  ...change,
});

/** Recipients 1 to 99 exist. `trouble`: what the store says, until it is mended. */
function rig(trouble?: Error) {
  const clock = new HeldClock(NOW_MS);
  const facts: Fact[] = [];
  const state = { trouble, looks: 0, before: (_fact: Fact): Promise<void> => Promise.resolve() };
  const recorder = new TrackingRecorder({
    clock,
    log: silentLog,
    humanAfterMs: 3000,
    events: {
      async recipientById(id) {
        state.looks++;
        if (id > 99) return undefined;
        const message = { id: 5, accountId: 1, domainId: 2, info: { options: { tags: ['news'] } } } as unknown as StoredMessage;
        return { message, recipient: { id, domain: 'gmail.com' } as StoredRecipient };
      },
    },
    async record(fact) {
      await state.before(fact);
      if (state.trouble !== undefined) throw state.trouble;
      facts.push(fact);
      return 'recorded';
    },
  });
  return { clock, facts, state, recorder };
}

const settled = async (): Promise<void> => {
  for (let i = 0; i < 10; i++) await turn();
};

test('a click is an event of its recipient, counted with its tags, and what is first is counted apart', async () => {
  const { facts, recorder } = rig();
  recorder.note(click());
  await settled();
  const [fact] = facts;
  assert.deepEqual(fact?.event, {
    kind: 'clicked',
    atUs: NOW_MS * 1000,
    accountId: 1,
    domainId: 2,
    message: 5,
    recipient: 7,
    detail: {
      client: { name: 'Chrome', os: 'Windows', type: 'browser', device: 'desktop', userAgent: CHROME },
      ip: '198.51.100.7',
      url: 'https://shop.example/',
    },
  });
  const shown = (fact.counters ?? []).map(({ kind, tag, provider, receiver, device, reason }) => [
    kind,
    tag,
    provider,
    receiver,
    device,
    reason,
  ]);
  assert.deepEqual(shown, [
    ['clicked', '', 'Gmail', 'gmail.com', 'desktop', ''],
    ['clicked', 'news', 'Gmail', 'gmail.com', 'desktop', ''],
  ]);
  assert.deepEqual([fact.firstCounters?.[0]?.reason, fact.firstOf?.mark, fact.firstOf?.counters[0]?.reason], ['any/', 'person', 'own/']);
});

test('visits of one recipient are written in their order, however long the store takes over the first, and hold up no other', async () => {
  const first = Promise.withResolvers<void>();
  const { facts, recorder, state } = rig();
  state.before = (fact) => (fact.event.detail.url === 'https://shop.example/1' ? first.promise : Promise.resolve());
  for (const path of ['1', '2', '3']) recorder.note(click({ url: `https://shop.example/${path}` }));
  recorder.note(click({ copy: { recipient: 8, sentMs: NOW_MS - 60_000 }, url: 'https://shop.example/other' }));
  await settled();
  const written = (): string[] => facts.map(({ event }) => String(event.detail.url).slice('https://shop.example/'.length));
  assert.deepEqual(written(), ['other']);
  first.resolve();
  await recorder.stop();
  assert.deepEqual(written(), ['other', '1', '2', '3']);
});

test('what a machine does is marked, in the event and where it is counted', async () => {
  const { facts, recorder } = rig();
  recorder.note(click({ copy: { recipient: 7, sentMs: NOW_MS - 1000 } }));
  await settled();
  const [fact] = facts;
  assert.equal(fact?.event.detail.client?.bot, 'generic');
  assert.deepEqual([fact.counters[0]?.reason, fact.firstCounters?.[0]?.reason, fact.firstOf?.mark], ['/generic', 'any/generic', 'generic']);
});

test('a user agent without end is cut', async () => {
  const { facts, recorder } = rig();
  recorder.note(click({ userAgent: 'x'.repeat(10_000) }));
  await settled();
  assert.equal(facts[0]?.event.detail.client?.userAgent.length, 512);
});

test('a recipient that is gone has no events, and is not looked for again and again', async () => {
  const { facts, state, recorder } = rig();
  for (let i = 0; i < 5; i++) {
    recorder.note(click({ copy: { recipient: 500, sentMs: 0 } }));
    await settled();
  }
  assert.deepEqual([facts.length, state.looks], [0, 1]);
});

test('one copy whose links are followed without end is written down now and then, and harms no other', async () => {
  const { clock, facts, recorder } = rig();
  for (let i = 0; i < 500; i++) recorder.note(click());
  recorder.note(click({ copy: { recipient: 8, sentMs: 0 } }));
  await settled();
  assert.deepEqual([facts.length, facts.filter(({ event }) => event.recipient === 8).length, recorder.counts.dropped], [101, 1, 400]);
  clock.advance(60_000);
  recorder.note(click());
  recorder.note(click());
  await settled();
  assert.equal(facts.length, 102);
});

test('while the store is away visits wait, and are written when it is there again', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const { clock, facts, state, recorder } = rig(new Error('away'));
  for (const recipient of [1, 2, 3]) recorder.note(click({ copy: { recipient, sentMs: 0 } }));
  await settled();
  assert.equal(facts.length, 0);
  state.trouble = undefined;
  clock.advance(1000);
  t.mock.timers.tick(1000);
  await settled();
  assert.equal(facts.length, 3);
  assert.equal(facts[0]?.event.atUs, NOW_MS * 1000, 'as of when they came');
});

test('what the store did not take for a minute is lost, and said to be', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const { clock, recorder } = rig(new Error('away'));
  recorder.note(click());
  await settled();
  clock.advance(61_000);
  t.mock.timers.tick(1000);
  await settled();
  assert.deepEqual(recorder.counts, { recorded: 0, dropped: 0, lost: 1 });
});

test('no more than so many wait, whatever comes', async () => {
  const { recorder } = rig(new Error('away'));
  for (let i = 0; i < 30_000; i++) recorder.note(click({ copy: { recipient: 1000 + i, sentMs: 0 } }));
  assert.ok(recorder.counts.dropped >= 30_000 - 20_064, `${recorder.counts.dropped} dropped`);
  await recorder.stop();
});

test('a stop writes what waits, and takes no more', async () => {
  const { facts, recorder } = rig();
  for (let recipient = 1; recipient <= 99; recipient++) recorder.note(click({ copy: { recipient, sentMs: 0 } }));
  await recorder.stop();
  recorder.note(click());
  assert.deepEqual([facts.length, recorder.counts.dropped], [99, 1]);
});

test('a stop does not wait for a store that is away', async () => {
  const { recorder } = rig(new Error('away'));
  recorder.note(click());
  await settled();
  await recorder.stop();
  assert.equal(recorder.counts.lost, 1);
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLog } from '#base/log.ts';
import { AppError } from '#model/errors.ts';
import type { MessageInfo } from '#model/message.ts';
import type { GrantUse } from '#store/grant-store.ts';
import type { AcceptMessage, AcceptResult, Ungranted } from '#store/store.ts';
import type { Threshold, ThresholdHit } from '#store/threshold-store.ts';
import { LimitGate } from './gate.ts';
import { CHECK_EVERY_MS, HIT_LASTS_MS, isReached, lookAtThresholds } from './watch.ts';
import type { Measured } from './watch.ts';

const THRESHOLD: Threshold = {
  id: 't',
  accountId: 1,
  kind: 'limit',
  name: 'many',
  description: '',
  metric: 'accepted_count',
  comparator: '>=',
  limit: '100',
  dimension: 'domain',
  period: '1d',
  filters: [],
  channels: [],
  createdMs: 0,
  updatedMs: 0,
  checkedMs: 0,
};

const NOW_MS = 1_000_000;

async function look(measured: readonly Measured[] | Error, threshold = THRESHOLD): Promise<ThresholdHit[]> {
  const hits: ThresholdHit[] = [];
  const store = {
    claimThresholds: async (beforeMs: number, nowMs: number) => {
      assert.deepEqual([beforeMs, nowMs], [NOW_MS - CHECK_EVERY_MS, NOW_MS]);
      return [threshold];
    },
    recordHit: async (hit: ThresholdHit) => {
      hits.push(hit);
      return true;
    },
  };
  const measure = async (): Promise<readonly Measured[]> => {
    if (measured instanceof Error) throw measured;
    return measured;
  };
  const clock = { nowMs: () => NOW_MS, monotonicMs: () => 0 };
  assert.equal(await lookAtThresholds({ store, measure, clock, log: silentLog }), 1);
  return hits;
}

test('only what reaches its limit is recorded, for as long as it takes to look again', async () => {
  const hits = await look([
    { dimensionValue: 'a.example', value: 100 },
    { dimensionValue: 'b.example', value: 99.9 },
  ]);
  assert.deepEqual(
    hits.map(({ dimensionValue, latestValue, expiresMs, thresholdId }) => [dimensionValue, latestValue, expiresMs, thresholdId]),
    [['a.example', 100, NOW_MS + HIT_LASTS_MS, 't']],
  );
  assert.ok(HIT_LASTS_MS > 2 * CHECK_EVERY_MS);
});

test('a threshold that cannot be measured is no hit, and stops nothing', async () => {
  assert.deepEqual(await look(new Error('too long')), []);
});

test('each comparator compares as it says', () => {
  const reached = (['>', '>=', '<', '<=', '==', '!='] as const).map((comparator) =>
    [1, 2, 3].map((value) => isReached(value, comparator, 2)),
  );
  const [yes, no] = [true, false];
  assert.deepEqual(reached, [
    [no, no, yes],
    [no, yes, yes],
    [yes, no, no],
    [yes, yes, no],
    [no, yes, no],
    [yes, no, yes],
  ]);
});

const DONE: AcceptResult = { kind: 'accepted', id: 1, contentId: 1, firstRecipient: 1, suppressed: [] };

interface Given {
  readonly dimension: string;
  readonly dimensionValue: string;
  readonly isRepeat?: boolean;
}

/** What becomes of a message of a.example with the tag News. */
async function sent({ dimension, dimensionValue, isRepeat = false }: Given, key?: string): Promise<string> {
  const hit: ThresholdHit = { ...THRESHOLD, thresholdId: 't', dimension, dimensionValue, latestValue: 1, expiresMs: NOW_MS + 5000 };
  const gate = new LimitGate({ activeHits: async () => [hit] }, { nowMs: () => NOW_MS, monotonicMs: () => 0 });
  const repeat = { kind: 'repeat', id: 9, messageId: 'm', recipientCount: 1 } as const;
  const ask = async ({ uses }: { readonly uses: readonly GrantUse[] }): Promise<AcceptResult | Ungranted> => {
    assert.equal(uses[0]?.holder, 0);
    return isRepeat ? repeat : { kind: 'ungranted' };
  };
  const accept = gate.accepting(async () => DONE, ask);
  const info = { options: { tags: ['News'] } } as unknown as MessageInfo;
  try {
    return (
      await accept({
        accountId: 1,
        domain: 'a.example',
        info,
        ...(key !== undefined && { idempotency: { key, fingerprint: '', untilMs: 0 } }),
      })
    ).kind;
  } catch (error) {
    assert.ok(error instanceof AppError);
    assert.equal(error.details['seconds'], 5);
    return error.message;
  }
}

test('a limit that is reached puts off mail that came in and is to be sent on, and none that is only kept', async () => {
  const hit: ThresholdHit = {
    ...THRESHOLD,
    thresholdId: 't',
    dimension: 'domain',
    dimensionValue: 'a.example',
    latestValue: 1,
    expiresMs: NOW_MS + 5000,
  };
  const gate = new LimitGate({ activeHits: async () => [hit] }, { nowMs: () => NOW_MS, monotonicMs: () => 0 });
  const received = { kind: 'received', id: 1, contentId: 1, firstRecipient: 1, forwards: [] } as const;
  const receive = gate.receiving(async () => received);
  const mailOf = (domain: string): AcceptMessage => ({ accountId: 1, domain, info: { options: { tags: [] } } }) as unknown as AcceptMessage;
  const brought = (...forwards: string[]): ReturnType<typeof receive> =>
    receive({ message: mailOf('a.example'), events: [], outbox: [], forwards: forwards.map(mailOf) });
  assert.equal(await brought(), received);
  assert.equal(await brought('b.example'), received);
  await assert.rejects(brought('b.example', 'a.example'), (error) => error instanceof AppError && error.code === 'quota-exceeded');
});

test('a limit that is reached refuses what it is about, and nothing else', async () => {
  assert.match(
    await sent({ dimension: 'domain', dimensionValue: 'a.example' }),
    /^Domain a\.example is not allowed to send: threshold many limit exceeded/,
  );
  assert.match(await sent({ dimension: 'tag', dimensionValue: 'news' }), /threshold many/);
  assert.match(await sent({ dimension: 'account', dimensionValue: '1' }), /threshold many/);
  assert.equal(await sent({ dimension: 'domain', dimensionValue: 'b.example' }), 'accepted');
  assert.equal(await sent({ dimension: 'tag', dimensionValue: 'other' }), 'accepted');
});

test('what was accepted before is answered as it was then, also while a limit is reached', async () => {
  const limit = { dimension: 'account', dimensionValue: '1' };
  assert.equal(await sent({ ...limit, isRepeat: true }, 'key'), 'repeat');
  assert.match(await sent(limit, 'key'), /threshold many/);
});

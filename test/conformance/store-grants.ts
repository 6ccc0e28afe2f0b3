/** Grants: parts of a ceiling that holders are given, give back and use; and the limits of accounts. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { GrantAnswer, GrantAsk } from '#store/grant-store.ts';
import type { AcceptMessage, Store } from '#store/store.ts';
import { suiteStore } from './suite-store.ts';
import { HOUR_MS, mail, type Open, type Tenant, tenant, T0, unique } from './tenant.ts';

const LEASE_MS = 20_000;
let lastHolder = 0;

export function grantsConformance(open: Open): void {
  describe('grants', () => {
    const store = suiteStore(open);
    sharing(store);
    spans(store);
    counting(store);
    limits(store);
  });
}

const holder = (): number => ++lastHolder;

async function hold(store: Store, who: number, ask: Partial<GrantAsk> & { readonly name: string }, nowMs = T0): Promise<GrantAnswer> {
  const whole = { startMs: T0, spanMs: HOUR_MS, ceiling: 100, wanted: 0, used: 0, ...ask };
  const [answer] = await store.grants.hold(who, [whole], LEASE_MS, nowMs);
  assert.ok(answer);
  return answer;
}

function sharing(store: () => Store): void {
  it('gives what is left and no more, however many ask at once', async () => {
    const name = unique('ceiling ');
    const answers = await Promise.all(Array.from({ length: 20 }, () => hold(store(), holder(), { name, wanted: 7 })));
    const held = answers.map((answer) => answer.held);
    assert.equal(
      held.reduce((sum, n) => sum + n, 0),
      100,
    );
    assert.deepEqual(
      [...held].sort((a, b) => b - a),
      [...Array.from({ length: 14 }, () => 7), 2, 0, 0, 0, 0, 0],
    );
  });

  it('gives a part of what is wanted when there is no more', async () => {
    const name = unique('ceiling ');
    const first = holder();
    assert.deepEqual(await hold(store(), first, { name, wanted: 90 }), {
      held: 90,
      used: 0,
      free: 10,
      idle: 0,
      others: 0,
      reliefMs: T0 + HOUR_MS,
    });
    assert.deepEqual(await hold(store(), holder(), { name, wanted: 30 }), {
      held: 10,
      used: 0,
      free: 0,
      idle: 90,
      others: 1,
      reliefMs: T0 + HOUR_MS,
    });
    assert.equal((await hold(store(), first, { name, wanted: 95, used: 40 })).held, 90);
  });

  it('takes back what was not used, for others, and the same ask twice is the same as once', async () => {
    const name = unique('ceiling ');
    const [one, other] = [holder(), holder()];
    await hold(store(), one, { name, wanted: 100 });
    assert.equal((await hold(store(), other, { name, wanted: 10 })).held, 0);
    for (const _ of [1, 2]) assert.equal((await hold(store(), one, { name, wanted: 30, used: 30 })).held, 30);
    for (const _ of [1, 2]) assert.equal((await hold(store(), other, { name, wanted: 80 })).held, 70);
  });

  it('keeps as held what a holder that is not heard of any more may have used', async () => {
    const name = unique('ceiling ');
    await hold(store(), holder(), { name, wanted: 100, used: 0 });
    const { held, idle } = await hold(store(), holder(), { name, wanted: 1 }, T0 + LEASE_MS);
    assert.deepEqual([held, idle], [0, 0]);
  });

  it('gives nothing more when the ceiling was lowered below what is held', async () => {
    const name = unique('ceiling ');
    const one = holder();
    await hold(store(), one, { name, wanted: 50 });
    assert.deepEqual(
      [
        (await hold(store(), holder(), { name, wanted: 5, ceiling: 40 })).held,
        (await hold(store(), one, { name, wanted: 60, ceiling: 40 })).held,
      ],
      [0, 50],
    );
  });

  it('keeps ceilings of different names apart, and answers in the order of the asks', async () => {
    const names = [unique('ceiling '), unique('ceiling ')] as const;
    const asks = names.map((name, n) => ({ name, startMs: T0, spanMs: HOUR_MS, ceiling: 10, wanted: n + 3, used: 0 }));
    const answers = await store().grants.hold(holder(), asks, LEASE_MS, T0);
    assert.deepEqual(
      answers.map(({ held }) => held),
      [3, 4],
    );
  });

  it('takes two asks of one ceiling in their order: what the first gives back is there for the second', async () => {
    const name = unique('ceiling ');
    const one = holder();
    await hold(store(), one, { name, wanted: 100, spanMs: 2 * HOUR_MS });
    const ask = { name, spanMs: 2 * HOUR_MS, ceiling: 100 };
    const answers = await store().grants.hold(
      one,
      [
        { ...ask, startMs: T0, wanted: 60, used: 60 },
        { ...ask, startMs: T0 + HOUR_MS, wanted: 50, used: 0 },
      ],
      LEASE_MS,
      T0,
    );
    assert.deepEqual(
      answers.map(({ held }) => held),
      [60, 40],
    );
  });
}

function spans(store: () => Store): void {
  it('counts windows less than the span away, before and after', async () => {
    const name = unique('ceiling ');
    const spanMs = 3000;
    await hold(store(), holder(), { name, startMs: T0 + 1000, spanMs, wanted: 60 });
    const free = async (startMs: number): Promise<number> => (await hold(store(), holder(), { name, startMs, spanMs })).free;
    assert.deepEqual([await free(T0 + 3000), await free(T0 + 4000), await free(T0 - 1000), await free(T0 - 2000)], [40, 100, 40, 100]);
  });

  it('tells when the oldest part that counts ceases to', async () => {
    const name = unique('ceiling ');
    const spanMs = 3000;
    await hold(store(), holder(), { name, startMs: T0, spanMs, wanted: 10 });
    await hold(store(), holder(), { name, startMs: T0 + 1000, spanMs, wanted: 90 });
    assert.equal((await hold(store(), holder(), { name, startMs: T0 + 2000, spanMs, wanted: 1 })).reliefMs, T0 + spanMs);
  });

  it('forgets windows that count for nobody any more', async () => {
    const name = unique('ceiling ');
    await hold(store(), holder(), { name, startMs: T0 - 10 * HOUR_MS, wanted: 100 }, T0 - 10 * HOUR_MS);
    await hold(store(), holder(), { name: unique('ceiling ') }, T0);
    assert.equal((await hold(store(), holder(), { name, startMs: T0 - 10 * HOUR_MS, wanted: 100 }, T0)).held, 100);
  });
}

function counting(store: () => Store): void {
  const counted = async (who: number, name: string, wanted: number, nowMs = T0): Promise<GrantAnswer> => {
    const [answer] = await store().grants.hold(who, [{ name, startMs: T0, spanMs: HOUR_MS, ceiling: 100, wanted }], LEASE_MS, nowMs);
    assert.ok(answer);
    return answer;
  };
  const using = (from: Tenant, who: number, uses: Readonly<Record<string, number>>, to = 1): AcceptMessage =>
    mail(from, {
      to: Array.from({ length: to }, (_, n) => `user${n}@${unique('receiver')}.example`),
      uses: Object.entries(uses).map(([name, count]) => ({ holder: who, name, startMs: T0, count })),
    });

  it('counts what an accept uses in its own commit', async () => {
    const [from, name, one] = [await tenant(store()), unique('ceiling '), holder()];
    await counted(one, name, 10);
    assert.equal((await store().mail.accept(using(from, one, { [name]: 4 }, 4))).kind, 'accepted');
    assert.equal((await counted(holder(), name, 0)).idle, 6);
  });

  it('does not accept, nor use anything, where one of the grants is not held to that amount', async () => {
    const [from, hour, day, one] = [await tenant(store()), unique('ceiling '), unique('ceiling '), holder()];
    await counted(one, hour, 10);
    await counted(one, day, 3);
    const message = using(from, one, { [hour]: 4, [day]: 4 }, 4);
    assert.deepEqual(await store().mail.accept(message), { kind: 'ungranted' });
    assert.equal(await store().events.messageByMessageId(from.accountId, message.messageId), undefined);
    assert.deepEqual([(await counted(holder(), hour, 0)).idle, (await counted(holder(), day, 0)).idle], [10, 3]);
    assert.deepEqual(await store().mail.accept(using(from, holder(), { [hour]: 1 })), { kind: 'ungranted' });
  });

  it('refuses one message for its grant and takes those that came with it', async () => {
    const [from, name, one] = [await tenant(store()), unique('ceiling '), holder()];
    await counted(one, name, 5);
    const kinds = await Promise.all(
      Array.from({ length: 8 }, async () => (await store().mail.accept(using(from, one, { [name]: 1 }))).kind),
    );
    assert.deepEqual(kinds.sort(), [...Array.from({ length: 5 }, () => 'accepted'), 'ungranted', 'ungranted', 'ungranted']);
    assert.equal((await store().mail.accept(mail(from))).kind, 'accepted');
  });

  it('answers a repeat without using anything', async () => {
    const [from, name, one] = [await tenant(store()), unique('ceiling '), holder()];
    await counted(one, name, 2);
    const idempotency = { key: unique('key'), fingerprint: 'f', untilMs: T0 + HOUR_MS };
    const kinds: string[] = [];
    for (const _ of [1, 2, 3]) kinds.push((await store().mail.accept({ ...using(from, one, { [name]: 2 }), idempotency })).kind);
    assert.deepEqual(kinds, ['accepted', 'repeat', 'repeat']);
  });

  it('frees all that a lost holder did not use, and refuses what it brings later', async () => {
    const [from, name, lost] = [await tenant(store()), unique('ceiling '), holder()];
    await counted(lost, name, 100);
    await store().mail.accept(using(from, lost, { [name]: 7 }, 7));
    assert.equal((await counted(holder(), name, 100, T0 + LEASE_MS - 1)).held, 0);
    assert.equal((await counted(holder(), name, 100, T0 + LEASE_MS)).held, 93);
    assert.deepEqual(await store().mail.accept(using(from, lost, { [name]: 1 })), { kind: 'ungranted' });
  });

  it('prolongs the lease with each ask', async () => {
    const [name, one] = [unique('ceiling '), holder()];
    await counted(one, name, 100);
    await counted(one, name, 100, T0 + LEASE_MS - 1);
    assert.equal((await counted(holder(), name, 100, T0 + LEASE_MS)).held, 0);
  });
}

function limits(store: () => Store): void {
  it('keeps the limits of an account, and tells absent from none', async () => {
    const [mine, theirs] = [await tenant(store()), await tenant(store())];
    assert.deepEqual(await store().grants.limitsOf(mine.accountId), {});
    assert.equal(
      await store().grants.setLimits(mine.accountId, {
        recipientsPerHour: 10,
        recipientsPerDay: 0,
        recipientsPerMonth: 99,
        requestsPerSecond: 3,
      }),
      true,
    );
    assert.deepEqual(await store().grants.limitsOf(mine.accountId), {
      recipientsPerHour: 10,
      recipientsPerDay: 0,
      recipientsPerMonth: 99,
      requestsPerSecond: 3,
    });
    assert.equal(await store().grants.setLimits(mine.accountId, { recipientsPerDay: 7 }), true);
    assert.deepEqual(await store().grants.limitsOf(mine.accountId), { recipientsPerDay: 7 });
    assert.deepEqual(await store().grants.limitsOf(theirs.accountId), {});
  });

  it('has no limits for an account that does not exist', async () => {
    assert.equal(await store().grants.setLimits(999_999_999, { recipientsPerHour: 1 }), false);
  });
}

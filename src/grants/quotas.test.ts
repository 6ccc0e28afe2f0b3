/** Quotas between a purse and an `accept` that answers what a test wants: what is used, put back and told. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { HeldClock } from '#base/clock.ts';
import { silentLog } from '#base/log.ts';
import { AppError } from '#model/errors.ts';
import type { GrantStore } from '#store/grant-store.ts';
import { openSqliteStore, type SqliteStore } from '#store/sqlite/open.ts';
import { type AcceptMessage, type AcceptResult, StoreError, type Ungranted } from '#store/store.ts';
import { LimitBook } from './account-limits.ts';
import { Purse } from './purse.ts';
import { Quotas } from './quotas.ts';

const T0 = Date.UTC(2026, 2, 1, 12, 30);
const directory = mkdtempSync(join(tmpdir(), 'postrider-quotas-'));
let store: SqliteStore;

before(async () => {
  store = await openSqliteStore({ path: join(directory, 'postrider.db'), lingerMs: 0 });
});
after(async () => {
  await store.close();
  rmSync(directory, { recursive: true });
});

const REPEAT: AcceptResult = { kind: 'repeat', id: 1, messageId: 'm', recipientCount: 1 };

const mailTo = (accountId: number, count: number): AcceptMessage => ({
  accountId,
  domainId: 1,
  domain: 'd.test',
  messageId: 'm@d.test',
  sender: 'app@d.test',
  createdMs: T0,
  dueAtMs: T0,
  wait: 'due',
  expiresAtMs: T0 + 1000,
  priority: 0,
  info: {} as AcceptMessage['info'],
  content: new Uint8Array(3),
  recipients: Array.from({ length: count }, (_, n) => ({ address: `u${n}@x.test`, domain: 'x.test', isLeased: false })),
});

/** An account with ten recipients an hour, whose accepts are answered by what stands in `answers`, or by the store. */
async function account(hold: GrantStore['hold'] = store.grants.hold) {
  const clock = new HeldClock(T0);
  const { id } = await store.accounts.createAccount('a', T0);
  await store.grants.setLimits(id, { recipientsPerHour: 10 });
  const quotas = new Quotas({
    purse: new Purse({ store: { ...store.grants, hold }, clock, log: silentLog }),
    limits: new LimitBook(store.grants, {}, clock),
    clock,
  });
  const answers: (AcceptResult | Ungranted | Error)[] = [];
  const accept = quotas.accepting<AcceptMessage>(async (message) => {
    const answer = answers.shift();
    if (answer instanceof Error) throw answer;
    return answer ?? store.mail.accept(message);
  });
  return { clock, quotas, answers, id, send: (count: number) => accept(mailTo(id, count)) };
}

const isOver = (error: unknown): boolean => error instanceof AppError && error.code === 'quota-exceeded';

test('a message over the quota is refused whole, with the end of the hour', async () => {
  const { send } = await account();
  await send(7);
  await assert.rejects(send(4), (error) => {
    assert.ok(error instanceof AppError);
    assert.equal(
      error.message,
      'Domain d.test is not allowed to send: recipient limit exceeded, try again after Sun, 01 Mar 2026 13:00:00 UTC',
    );
    assert.deepEqual([error.http, error.smtpCode, error.details.seconds], [429, 452, 1800]);
    return true;
  });
  await send(3);
  await assert.rejects(send(1), isOver);
});

test('the next hour is another', async () => {
  const { clock, send } = await account();
  await send(10);
  await assert.rejects(send(1), isOver);
  clock.advance(1_800_000);
  await send(10);
  await assert.rejects(send(1), isOver);
});

test('a repeat and a conflict use nothing', async () => {
  const { answers, send } = await account();
  for (const answer of [REPEAT, { kind: 'conflict' } as const]) {
    answers.push(answer);
    assert.equal((await send(6)).kind, answer.kind);
  }
  await send(10);
  await assert.rejects(send(1), isOver);
});

test('what failed in the store without being kept is not counted for the rest of the hour', async () => {
  const { answers, send } = await account();
  answers.push(new StoreError('full', 'no space'));
  await assert.rejects(send(10), StoreError);
  await send(10);
  await assert.rejects(send(1), isOver);
});

test('a part that the store does not know any more is put off, and asked for anew', async () => {
  const { answers, send } = await account();
  answers.push({ kind: 'ungranted' });
  await assert.rejects(send(6), (error) => error instanceof AppError && error.code === 'store-unavailable');
  await send(10);
  await assert.rejects(send(1), isOver);
});

test('while the store cannot be asked, what is not granted yet is put off', async () => {
  const { send } = await account(() => Promise.reject(new StoreError('io', 'no connection')));
  await assert.rejects(send(1), (error) => error instanceof AppError && error.code === 'store-unavailable');
});

test('what the shorter time gave is given back when the longer one has no room, or cannot be asked', async () => {
  let isTroubled = false;
  const { id, send } = await account((holder, asks, ...rest) =>
    isTroubled && asks.some(({ name }) => name.endsWith('by the day'))
      ? Promise.reject(new StoreError('io', 'no connection'))
      : store.grants.hold(holder, asks, ...rest),
  );
  await store.grants.setLimits(id, { recipientsPerHour: 10, recipientsPerDay: 8 });
  await assert.rejects(send(9), isOver);
  isTroubled = true;
  await assert.rejects(send(8), (error) => error instanceof AppError && error.code === 'store-unavailable');
  isTroubled = false;
  await send(8);
});

test('what is sent on of mail that came in counts as what is sent, and what is only kept does not', async () => {
  const { quotas, id, send } = await account();
  const receive = quotas.receiving((reception) => store.mail.receive(reception));
  const brought = (...forwards: number[]): ReturnType<typeof receive> =>
    receive({ message: mailTo(id, 1), events: [], outbox: [], forwards: forwards.map((count) => mailTo(id, count)) });
  await brought();
  await brought(4, 3);
  await assert.rejects(brought(2, 2), isOver);
  await brought(2);
  await brought();
  await send(1);
  await assert.rejects(send(1), isOver);
});

test('what was sent on and is refused for its part is put off, and asked for anew', async () => {
  const { quotas, id, send } = await account();
  const receive = quotas.receiving(async () => ({ kind: 'ungranted' }));
  await assert.rejects(
    receive({ message: mailTo(id, 1), events: [], outbox: [], forwards: [mailTo(id, 6)] }),
    (error) => error instanceof AppError && error.code === 'store-unavailable',
  );
  await send(10);
});

test('an account without a quota is not asked for one', async () => {
  const { quotas, id, send } = await account();
  await store.grants.setLimits(id, {});
  await send(1000);
  assert.equal(quotas.stateOf(id), undefined);
});

test('what is left is told with the answer however long the commit took', async () => {
  const { quotas, id, clock, send } = await account();
  await send(4);
  clock.advance(60_000);
  assert.deepEqual(quotas.stateOf(id), { limit: 10, remaining: 6, resetMs: T0 + 30 * 60_000 });
});

/** SIGKILL at every arrow of a recipient's life: what was told stands, what was not told is wholly there or not at all, and every state found is a legal one. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { type TestContext, test } from 'node:test';
import { checkStore } from '../conformance/check-sqlite.ts';
import { accept, bucketsOf, claim, deferral, mail, settlement, T0, tenant, unique } from '../conformance/tenant.ts';
import { directoryFor, processFor, type StoreProcess } from './storage-process.ts';

const LATER_MS = 3_600_000;

async function openedFor(t: TestContext, path: string): Promise<StoreProcess> {
  const child = processFor(t);
  await child.open({ path, nowMs: T0 });
  return child;
}

/** No other process can commit until it is released. */
function holdWrites(path: string): () => void {
  const db = new DatabaseSync(path);
  db.exec('BEGIN IMMEDIATE');
  return () => db.close();
}

/** The store as the next process finds it; legal before and after its start. */
async function nextFor(t: TestContext, path: string): Promise<{ child: StoreProcess; recovered: number }> {
  assert.deepEqual(checkStore(path), []);
  const child = processFor(t);
  const recovered = await child.open({ path, nowMs: T0 + 60_000 });
  assert.deepEqual(checkStore(path), []);
  return { child, recovered };
}

test('before the commit nothing is kept, and the sender was told nothing (S0)', async (t) => {
  const path = join(directoryFor(t), 'postrider.db');
  const child = await openedFor(t, path);
  const message = mail(await tenant(child.store));
  const release = holdWrites(path);
  const accepting = child.store.mail.accept(message).then(
    () => 'accepted',
    () => 'not told',
  );
  await child.health();
  await child.kill();
  release();
  assert.equal(await accepting, 'not told');
  const { child: next } = await nextFor(t, path);
  assert.equal(await next.store.events.messageByMessageId(undefined, message.messageId), undefined);
});

test('after the commit all of it is kept, though the sender was not told (S0 → S1)', async (t) => {
  const path = join(directoryFor(t), 'postrider.db');
  const child = await openedFor(t, path);
  const message = mail(await tenant(child.store), { to: ['a@x.example', 'b@y.example'] });
  await assert.rejects(child.call('last', 'mail.accept', [message]));
  const { child: next, recovered } = await nextFor(t, path);
  assert.equal(recovered, 0);
  const view = await next.store.events.messageByMessageId(undefined, message.messageId);
  assert.deepEqual(
    view?.recipients.map(({ state, possibleDuplicate }) => [state, possibleDuplicate]),
    [
      ['queued', false],
      ['queued', false],
    ],
  );
  assert.deepEqual(Buffer.from((await next.store.mail.content(view?.message.contentId as number)) ?? []), Buffer.from(message.content));
});

test('what was leased is due again and marked as a possible duplicate, whether it was tried or not (S2 → S1, P4)', async (t) => {
  const path = join(directoryFor(t), 'postrider.db');
  const child = await openedFor(t, path);
  const from = await tenant(child.store);
  const to = `${unique('claimed')}.example`;
  const leased = await accept(child.store, mail(from, { isLeased: true }));
  const claimed = await accept(child.store, mail(from, { to: [`a@${to}`] }));
  assert.equal((await claim(child.store, to)).length, 1);
  await child.kill();

  const { child: next, recovered } = await nextFor(t, path);
  assert.equal(recovered, 2);
  for (const { id } of [leased, claimed]) {
    const view = await next.store.events.messageById(from.accountId, id);
    assert.partialDeepStrictEqual(view?.recipients[0], {
      state: 'queued',
      wait: 'recovered',
      possibleDuplicate: true,
      dueAtMs: T0 + 60_000,
    });
    assert.deepEqual(
      view?.events.map(({ kind, detail }) => [kind, detail.possibleDuplicate]),
      [
        ['accepted', undefined],
        ['recovered', true],
      ],
    );
  }
  assert.equal((await bucketsOf(next.store, to, T0 + 60_000)).length, 1);
});

test('a settlement that was not committed leaves a recipient that is tried again, marked as a possible duplicate (P4)', async (t) => {
  const path = join(directoryFor(t), 'postrider.db');
  const child = await openedFor(t, path);
  const from = await tenant(child.store);
  const accepted = await accept(child.store, mail(from, { isLeased: true }));
  const release = holdWrites(path);
  const settling = child.store.mail.settle(settlement(from, accepted)).then(
    () => 'settled',
    () => 'not told',
  );
  await child.health();
  await child.kill();
  release();
  assert.equal(await settling, 'not told');
  const { child: next } = await nextFor(t, path);
  const view = await next.store.events.messageById(from.accountId, accepted.id);
  assert.partialDeepStrictEqual(view?.recipients[0], { state: 'queued', possibleDuplicate: true });
  assert.deepEqual(
    view?.events.map(({ kind }) => kind),
    ['accepted', 'recovered'],
  );
});

test('what was settled stays settled and is never claimed again (S2 → S3)', async (t) => {
  const path = join(directoryFor(t), 'postrider.db');
  const child = await openedFor(t, path);
  const from = await tenant(child.store);
  const to = `${unique('settled')}.example`;
  const accepted = await accept(child.store, mail(from, { to: [`a@${to}`], isLeased: true }));
  await assert.rejects(child.call('last', 'mail.settle', [settlement(from, accepted)]));
  const { child: next, recovered } = await nextFor(t, path);
  assert.equal(recovered, 0);
  const view = await next.store.events.messageById(from.accountId, accepted.id);
  assert.partialDeepStrictEqual(view?.recipients[0], { state: 'done', ending: 'delivered' });
  assert.deepEqual(await claim(next.store, to, T0 * 2), []);
});

test('what was deferred or released waits for its time, without being marked (S2 → S1)', async (t) => {
  const path = join(directoryFor(t), 'postrider.db');
  const child = await openedFor(t, path);
  const from = await tenant(child.store);
  const deferred = await accept(child.store, mail(from, { isLeased: true }));
  const released = await accept(child.store, mail(from, { isLeased: true }));
  await child.store.mail.settle(settlement(from, deferred, deferral(T0 + LATER_MS)));
  const release = { recipient: released.firstRecipient, epoch: 1, dueAtMs: T0 + LATER_MS, wait: 'lane-rate' };
  await assert.rejects(child.call('last', 'mail.release', [release]));
  const { child: next } = await nextFor(t, path);
  for (const [accepted, wait] of [
    [deferred, 'retry'],
    [released, 'lane-rate'],
  ] as const) {
    const view = await next.store.events.messageById(from.accountId, accepted.id);
    assert.partialDeepStrictEqual(view?.recipients[0], { state: 'queued', dueAtMs: T0 + LATER_MS, wait, possibleDuplicate: false });
  }
});

test('a start that is killed leaves a store that starts', async (t) => {
  const path = join(directoryFor(t), 'postrider.db');
  const child = await openedFor(t, path);
  const from = await tenant(child.store);
  const to = Array.from({ length: 1000 }, (_, n) => `user${n}@many.example`);
  const { id } = await accept(child.store, mail(from, { to, isLeased: true }));
  await child.kill();
  for (let attempt = 0; attempt < 3; attempt++) {
    const starting = processFor(t);
    const opening = starting.open({ path, nowMs: T0 }).catch(() => undefined);
    await Promise.race([opening, starting.health()]);
    await starting.kill();
  }
  const { child: next } = await nextFor(t, path);
  const view = await next.store.events.messageById(from.accountId, id, 2000);
  assert.equal(view?.recipients.filter(({ state, possibleDuplicate }) => state === 'queued' && possibleDuplicate).length, 1000);
  assert.equal(view?.events.filter(({ kind }) => kind === 'recovered').length, 1000, 'recovered once, however often it was begun');
});

test('under load, everything that was told stands, and what was not told is whole or not there', async (t) => {
  const path = join(directoryFor(t), 'postrider.db');
  const toldAll: string[] = [];
  const settledAll: number[] = [];
  for (let round = 0; round < 3; round++) {
    const child = processFor(t);
    await child.open({ path, nowMs: T0 });
    const from = await tenant(child.store);
    const told: string[] = [];
    const end = new AbortController();
    const client = async (n: number): Promise<void> => {
      while (!end.signal.aborted) {
        const message = mail(from, { to: ['a@x.example', 'b@y.example'], isLeased: n % 2 === 0, content: new Uint8Array(10_000 + n) });
        const accepted = await accept(child.store, message);
        told.push(message.messageId);
        if (n % 2 === 0 && (await child.store.mail.settle(settlement(from, accepted)))) settledAll.push(accepted.firstRecipient);
      }
    };
    const clients = Array.from({ length: 10 }, (_, n) => client(n).catch(() => undefined));
    while (told.length < 150 * (round + 1)) await new Promise((resolve) => setImmediate(resolve));
    end.abort();
    await child.kill();
    await Promise.all(clients);
    toldAll.push(...told);
    assert.deepEqual(checkStore(path), []);
  }
  const { child: next } = await nextFor(t, path);
  for (const messageId of toldAll) {
    assert.equal((await next.store.events.messageByMessageId(undefined, messageId))?.recipients.length, 2, messageId);
  }
  assert.ok(settledAll.length > 0);
});

test('a second server on the same store refuses to start, and says what to do; the first goes on', async (t) => {
  const path = join(directoryFor(t), 'postrider.db');
  const first = await openedFor(t, path);
  const from = await tenant(first.store);
  await accept(first.store, mail(from, { isLeased: true }));
  const second = processFor(t);
  await assert.rejects(second.open({ path }), { name: 'StoreError', kind: 'busy', message: /another process serves/ });
  await accept(first.store, mail(from));
  await first.kill();
  assert.equal(await second.open({ path }), 1, 'free as soon as the first is gone');
});

test('a tool may open beside a server: each sees what the other wrote, and no lease ends', async (t) => {
  const path = join(directoryFor(t), 'postrider.db');
  const server = await openedFor(t, path);
  const from = await tenant(server.store);
  const accepted = await accept(server.store, mail(from, { isLeased: true }));
  const tool = processFor(t);
  assert.equal(await tool.open({ path, mode: 'tool' }), 0);
  const { accountId } = await tenant(tool.store);
  assert.equal((await server.store.accounts.accountById(accountId))?.id, accountId);
  const view = await tool.store.events.messageById(undefined, accepted.id);
  assert.equal(view?.recipients[0]?.state, 'leased');
  await tool.kill();
  assert.equal(await server.store.mail.settle(settlement(from, accepted)), true);
  assert.deepEqual(checkStore(path), []);
});

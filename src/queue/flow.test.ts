import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, test } from 'node:test';
import { HeldClock } from '#base/clock.ts';
import { silentLog } from '#base/log.ts';
import { AppError } from '#model/errors.ts';
import type { WaitReason } from '#model/wait-reason.ts';
import type { OpenedStore } from '#store/open.ts';
import { type Claimed, type MailStore, type Settlement, StoreError } from '#store/store.ts';
import { messageInfo, newDomain } from '../../test/kit/stored.ts';
import { openTestStore } from '../../test/kit/stores.ts';
import { Claimer, type Room } from './claimer.ts';
import { createIntake, type Incoming } from './intake.ts';
import { Memory } from './memory.ts';
import { settledAttempt } from './settlement.ts';
import { Settler } from './settler.ts';
import type { WorkItem } from './work-item.ts';

const START_MS = 1_800_000_000_000;
let directory: string;
let store: OpenedStore;
let clock: HeldClock;
let accountId: number;
let domainId: number;

before(async () => {
  directory = mkdtempSync(join(tmpdir(), 'postrider-flow-'));
  store = await openTestStore(directory, { mode: 'server', nowMs: START_MS });
  accountId = (await store.accounts.createAccount('one', START_MS)).id;
  const domain = await store.accounts.createDomain(newDomain({ accountId, createdMs: START_MS }));
  domainId = (domain as { id: number }).id;
});

after(async () => {
  await store.close();
  rmSync(directory, { recursive: true });
});

beforeEach(() => {
  clock = new HeldClock(START_MS);
});

let serial = 0;
function incoming(domain: string, recipients = 1, more: Partial<Incoming> = {}): Incoming {
  const id = ++serial;
  return {
    accountId,
    domainId,
    domain: 'example.org',
    messageId: `${id}@example.org`,
    sender: 'a@example.org',
    createdMs: clock.nowMs(),
    dueAtMs: clock.nowMs(),
    wait: 'due',
    expiresAtMs: clock.nowMs() + 3_600_000,
    priority: 0,
    info: messageInfo({ from: 'a@example.org', to: 'x', subject: 's', sizeBytes: 5, method: 'HTTP' }),
    content: new Uint8Array(Buffer.from('hello')),
    recipients: Array.from({ length: recipients }, (_, n) => ({ address: `u${id}-${n}@${domain}`, domain })),
    ...more,
  };
}

const memoryOf = (recipientsMax: number): Memory =>
  new Memory({ recipientsMax, contentBytesMax: 1000, load: (id) => store.mail.content(id) });

function intakeWith(memory: Memory, room: (domain: string) => number) {
  const entered: WorkItem[] = [];
  let rings = 0;
  const accept = createIntake({
    store,
    clock,
    memory,
    roomFor: room,
    enter: (item) => {
      memory.enter(item.message.contentId);
      entered.push(item);
    },
    ring: () => rings++,
  });
  return { accept, entered, rings: () => rings };
}

test('what is due and finds room is leased in the accepting commit and needs no claim', async () => {
  const { accept, entered, rings } = intakeWith(memoryOf(100), () => 100);
  const result = await accept(incoming('room.test', 3));
  assert.equal(result.kind, 'accepted');
  assert.equal(entered.length, 3);
  assert.equal(rings(), 0);
  assert.deepEqual(await store.mail.dueBuckets(clock.nowMs(), 10), []);
});

test('a lane is given no more than it has room for, and the rest waits on disk', async () => {
  const { accept, entered, rings } = intakeWith(memoryOf(100), () => 2);
  await accept(incoming('narrow.test', 5));
  assert.equal(entered.length, 2);
  assert.equal(rings(), 1);
  const [bucket] = await store.mail.dueBuckets(clock.nowMs(), 10);
  const claimed = await store.mail.claim([{ bucket: (bucket as { id: number }).id, room: 10 }], clock.nowMs());
  assert.equal(claimed[0]?.recipients.length, 3);
});

test('memory is a limit for all lanes together', async () => {
  const { accept, entered } = intakeWith(memoryOf(4), () => 100);
  await accept(incoming('memory-a.test', 3));
  await accept(incoming('memory-b.test', 3));
  assert.equal(entered.length, 4);
});

test('one destination cannot have all memory, and urgent mail finds some when others have taken what they may', () => {
  const memory = memoryOf(800);
  assert.deepEqual([memory.shareOf(0, 0), memory.shareOf(0, 2), memory.shareOf(0, 2, 400)], [100, 88, 38]);
  assert.equal(memory.shareOf(88, 2), 0);
  for (let taken = 0; taken < 700; taken++) memory.enter(taken);
  assert.deepEqual([memory.shareOf(0, 2), memory.shareOf(0, 0)], [0, 13]);
});

test('memory is not empty while what is leased for it is being written', async () => {
  const memory = memoryOf(10);
  const { accept, entered } = intakeWith(memory, () => 100);
  const accepting = accept(incoming('coming.test', 2));
  assert.deepEqual([memory.isEmpty, memory.recipients], [false, 0]);
  await accepting;
  assert.deepEqual([memory.isEmpty, memory.recipients], [false, 2]);
  for (const { message } of entered) memory.leave(message.contentId);
  assert.equal(memory.isEmpty, true);
});

test('scheduled mail is not leased before its time', async () => {
  const { accept, entered } = intakeWith(memoryOf(100), () => 100);
  await accept(incoming('later.test', 1, { dueAtMs: clock.nowMs() + 60_000, wait: 'scheduled' }));
  assert.equal(entered.length, 0);
});

test('a store that cannot write is told as a temporary refusal', async () => {
  const failing = { ...store, mail: { ...store.mail, accept: () => Promise.reject(new StoreError('full', 'no space')) } };
  const accept = createIntake({
    store: failing,
    clock,
    memory: memoryOf(1),
    roomFor: () => 1,
    enter: () => undefined,
    ring: () => undefined,
  });
  await assert.rejects(
    accept(incoming('full.test')),
    (error) => error instanceof AppError && error.code === 'store-full' && error.smtpCode === 452,
  );
});

function claimerWith(room: (domain: string, account: number) => Room, memoryRoom = () => 1000) {
  const taken: Claimed[] = [];
  const claimer = new Claimer({
    mail: store.mail,
    clock,
    log: silentLog,
    pollMs: 20,
    roomFor: room,
    memoryRoom,
    take: (claimed) => taken.push(...claimed),
  });
  return { claimer, taken };
}

async function until(condition: () => boolean): Promise<void> {
  const endMs = performance.now() + 60_000;
  while (!condition()) {
    assert.ok(performance.now() < endMs, 'it did not happen within a minute');
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

const open = (room: number): Room => ({ room, wait: 'lane-connections', untilMs: clock.nowMs() + 1000 });

test('a claim asks for what the lane has room for', async () => {
  const { accept } = intakeWith(memoryOf(0), () => 0);
  await accept(incoming('claim.test', 10));
  const { claimer, taken } = claimerWith(
    (domain) => open(domain === 'claim.test' ? 4 : 0),
    () => (taken.length > 0 ? 0 : 1000),
  );
  claimer.start();
  await until(() => taken.length > 0);
  await claimer.stop();
  assert.equal(taken.flatMap(({ recipients }) => recipients).length, 4);
});

test('a bucket whose lane has no room is parked with the reason, and others go on', async () => {
  const { accept } = intakeWith(memoryOf(0), () => 0);
  const stuck = await accept(incoming('stuck.test', 1));
  await accept(incoming('healthy.test', 1));
  const untilMs = clock.nowMs() + 120_000;
  const { claimer, taken } = claimerWith((domain) =>
    domain === 'healthy.test' ? open(10) : { room: 0, wait: 'lane-suspended' as WaitReason, untilMs },
  );
  claimer.start();
  await until(() => taken.some(({ recipients }) => recipients[0]?.domain === 'healthy.test'));
  await claimer.stop();
  assert.ok(stuck.kind === 'accepted');
  const view = await store.events.messageById(accountId, stuck.id);
  assert.deepEqual([view?.recipients[0]?.wait, view?.recipients[0]?.dueAtMs], ['lane-suspended', untilMs]);
});

test('an account with places of its own is not made to wait by those who wait longer', async () => {
  const other = (await store.accounts.createAccount('late', START_MS)).id;
  const { accept } = intakeWith(memoryOf(0), () => 0);
  await accept(incoming('crowded.test', 20));
  await accept({ ...incoming('crowded.test', 3), accountId: other });
  const { claimer, taken } = claimerWith(
    (domain, account) => ({ ...open(domain === 'crowded.test' ? 1 : 0), own: domain === 'crowded.test' && account === other ? 2 : 0 }),
    () => (taken.length > 0 ? 0 : 1000),
  );
  claimer.start();
  await until(() => taken.length > 0);
  await claimer.stop();
  const shares = Map.groupBy(taken, ({ message }) => message.accountId);
  assert.equal(shares.get(other)?.flatMap(({ recipients }) => recipients).length, 2);
});

test('a bucket of a full lane is claimed as soon as the lane has room, not when its parking ends', async () => {
  const { accept } = intakeWith(memoryOf(0), () => 0);
  await accept(incoming('full-lane.test', 1));
  let room = 0;
  let looks = 0;
  const { claimer, taken } = claimerWith((domain) => {
    if (domain !== 'full-lane.test') return open(0);
    looks++;
    return { room, wait: 'lane-connections', untilMs: clock.nowMs() + 3_600_000 };
  });
  claimer.start();
  await until(() => looks > 0);
  room = 1;
  claimer.roomAgain();
  await until(() => taken.some(({ recipients }) => recipients[0]?.domain === 'full-lane.test'));
  await claimer.stop();
});

test('two accounts that wait for one lane share its room', async () => {
  const other = (await store.accounts.createAccount('two', START_MS)).id;
  const { accept } = intakeWith(memoryOf(0), () => 0);
  await accept(incoming('shared.test', 20));
  await accept({ ...incoming('shared.test', 20), accountId: other });
  const { claimer, taken } = claimerWith(
    (domain) => open(domain === 'shared.test' ? 10 : 0),
    () => (taken.length > 0 ? 0 : 1000),
  );
  claimer.start();
  await until(() => taken.length > 0);
  await claimer.stop();
  const shares = Map.groupBy(taken, ({ message }) => message.accountId);
  assert.deepEqual(
    [accountId, other].map((account) => shares.get(account)?.flatMap(({ recipients }) => recipients).length),
    [5, 5],
  );
});

test('mail that is too old is claimed although its lane has no room', async () => {
  const { accept } = intakeWith(memoryOf(0), () => 0);
  const old = await accept(incoming('old.test', 1, { expiresAtMs: clock.nowMs() + 1000 }));
  clock.advance(2000);
  const { claimer, taken } = claimerWith(() => open(0));
  claimer.start();
  await until(() => taken.length > 0);
  await claimer.stop();
  assert.ok(old.kind === 'accepted' && taken.some(({ message }) => message.id === old.id));
});

test('an outcome is kept and written again until the store takes it', async () => {
  const { accept, entered } = intakeWith(memoryOf(1), () => 1);
  const accepted = await accept(incoming('outcome.test'));
  const item = entered[0] as WorkItem;
  let refusals = 3;
  const mail = {
    settle: (settlement: Settlement) =>
      refusals-- > 0 ? Promise.reject(new StoreError('full', 'no space')) : store.mail.settle(settlement),
  } as MailStore;
  const settler = new Settler({ mail, log: silentLog });
  const plan = { delaysMs: [1000], spread: 0, hintMinMs: 1, hintMaxMs: 1 };
  const outcome = { disposition: 'delivered', code: 250, text: 'ok', attempt: { number: 0, startedMs: clock.nowMs(), steps: {} } } as const;
  settler.settle(settledAttempt(item, outcome, plan, clock.nowMs()));
  await until(() => settler.pending === 0);
  assert.ok(accepted.kind === 'accepted');
  assert.equal((await store.events.messageById(accountId, accepted.id))?.recipients[0]?.ending, 'delivered');
});

test('contents that memory had to drop are read again, once for all who ask', async () => {
  const { accept } = intakeWith(memoryOf(0), () => 0);
  const accepted = await accept(incoming('content.test'));
  assert.ok(accepted.kind === 'accepted');
  let loads = 0;
  const memory = new Memory({
    recipientsMax: 1,
    contentBytesMax: 100,
    load: (id) => {
      loads++;
      return store.mail.content(id);
    },
  });
  const [one, two] = await Promise.all([memory.content(accepted.contentId), memory.content(accepted.contentId)]);
  assert.deepEqual([one?.toString(), two?.toString(), loads], ['hello', 'hello', 1]);
});

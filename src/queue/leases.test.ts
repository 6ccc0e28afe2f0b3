/** What the queue does with leases that it cannot rely on: it claims nothing under them, and knows of what it leased which tenure it came with. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { systemClock } from '#base/clock.ts';
import { silentLog } from '#base/log.ts';
import type { OpenedStore } from '#store/open.ts';
import type { Claimed } from '#store/store.ts';
import { messageInfo, newDomain } from '../../test/kit/stored.ts';
import { openTestStore } from '../../test/kit/stores.ts';
import { until } from '../../test/kit/until.ts';
import { Claimer } from './claimer.ts';
import { createIntake, type Incoming } from './intake.ts';
import { Memory } from './memory.ts';
import type { WorkItem } from './work-item.ts';

let directory: string;
let store: OpenedStore;
let accountId: number;
let domainId: number;

before(async () => {
  directory = mkdtempSync(join(tmpdir(), 'postrider-leases-'));
  store = await openTestStore(directory, { mode: 'server' });
  accountId = (await store.accounts.createAccount('one', 1)).id;
  const domain = await store.accounts.createDomain(newDomain({ accountId, createdMs: 1 }));
  domainId = (domain as { id: number }).id;
});
after(async () => {
  await store.close();
  rmSync(directory, { recursive: true });
});

function incoming(to: string): Incoming {
  const nowMs = systemClock.nowMs();
  return {
    accountId,
    domainId,
    domain: 'example.org',
    messageId: `${to}@example.org`,
    sender: 'a@example.org',
    createdMs: nowMs,
    dueAtMs: nowMs,
    wait: 'due',
    expiresAtMs: nowMs + 3_600_000,
    priority: 0,
    info: messageInfo({ sizeBytes: 5, method: 'HTTP', origin: { address: '' } }),
    content: new Uint8Array(Buffer.from('hello')),
    recipients: [{ address: `u@${to}`, domain: to }],
  };
}

function intakeWith(leases: { isHeld: boolean; tenure: number }, hasRoom: boolean) {
  const entered: WorkItem[] = [];
  const accept = createIntake({
    store,
    clock: systemClock,
    memory: new Memory({ recipientsMax: 100, contentBytesMax: 1000, load: (id) => store.mail.content(id) }),
    roomFor: () => (hasRoom ? 100 : 0),
    enter: (item) => entered.push(item),
    ring: () => undefined,
    leases,
  });
  return { accept, entered };
}

test('what was leased while the leases were lost came with the lost ones, whenever the commit is answered', async () => {
  const leases = { isHeld: true, tenure: 1 };
  const { accept, entered } = intakeWith(leases, true);
  const accepted = accept(incoming('lost.test'));
  leases.tenure = 2;
  await accepted;
  assert.deepEqual(
    entered.map(({ tenure }) => tenure),
    [1],
  );
});

test('nothing is claimed while the leases are not held, and what is claimed names its tenure', async () => {
  const leases = { isHeld: false, tenure: 7 };
  const { accept } = intakeWith(leases, false);
  await accept(incoming('waiting.test'));
  const taken: { claimed: readonly Claimed[]; tenure: number }[] = [];
  let looks = 0;
  const claimer = new Claimer({
    mail: store.mail,
    clock: systemClock,
    log: silentLog,
    pollMs: 5,
    roomFor: (domain) => ({ room: domain === 'waiting.test' ? 10 : 0, wait: 'due', untilMs: systemClock.nowMs() + 1000 }),
    memoryRoom: () => 100,
    take: (claimed, tenure) => taken.push({ claimed, tenure }),
    leases: {
      get isHeld() {
        looks++;
        return leases.isHeld;
      },
      get tenure() {
        return leases.tenure;
      },
    },
  });
  claimer.start();
  await until(() => looks > 5, 'it has looked');
  assert.equal(taken.length, 0);
  leases.isHeld = true;
  await until(() => taken.length > 0, 'it claims when they are held');
  await claimer.stop();
  assert.deepEqual(
    taken.map(({ claimed, tenure }) => [claimed[0]?.recipients[0]?.address, tenure]),
    [['u@waiting.test', 7]],
  );
});

test('a claimer that was stopped goes on when it is started again', async () => {
  const { accept } = intakeWith({ isHeld: true, tenure: 1 }, false);
  const taken: string[] = [];
  const claimer = new Claimer({
    mail: store.mail,
    clock: systemClock,
    log: silentLog,
    pollMs: 5,
    roomFor: (domain) => ({ room: domain === 'again.test' ? 10 : 0, wait: 'due', untilMs: systemClock.nowMs() + 1000 }),
    memoryRoom: () => 100,
    take: (claimed) => taken.push(...claimed.flatMap(({ recipients }) => recipients.map(({ address }) => address))),
  });
  claimer.start();
  await claimer.stop();
  await accept(incoming('again.test'));
  claimer.ring();
  claimer.start();
  await until(() => taken.length > 0, 'it goes on');
  await claimer.stop();
  assert.deepEqual(taken, ['u@again.test']);
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createSignedTokens } from '#base/signed-token.ts';
import { silentLog } from '#base/log.ts';
import type { ReportedRecipient } from '#mail/status-report.ts';
import { readHeader } from '#mail/header.ts';
import { AppError } from '#model/errors.ts';
import type { StoredMessage, StoredRecipient } from '#model/message.ts';
import type { Fact } from '#store/fact-store.ts';
import { storedMessage, storedRecipient } from '../../test/kit/stored.ts';
import { noReturns, Recorder, type Report } from './recorder.ts';
import { createReturnTokens } from './return-token.ts';

const AT_MS = Date.UTC(2026, 10, 23);
const tokens = createReturnTokens(createSignedTokens(Buffer.alloc(32, 3)));

function message(): StoredMessage {
  return storedMessage({
    domain: 'ours.test',
    messageId: 'a@ours.test',
    sender: 'app@ours.test',
    createdMs: AT_MS,
    expiresAtMs: AT_MS,
    info: { options: { tags: ['sale'], variables: {}, testMode: false } },
  });
}

function recipient(id: number, address: string, change: Partial<StoredRecipient> = {}): StoredRecipient {
  return storedRecipient({ id, address, domain: 'x.test', state: 'done', ending: 'delivered', attempts: 2, ...change });
}

function rig(recipients: readonly StoredRecipient[]) {
  const facts: Omit<Fact, 'outbox'>[] = [];
  const told: string[] = [];
  const counts = noReturns();
  const recorder = new Recorder({
    async record(fact) {
      const isKnown = facts.some(({ once, event }) => once === fact.once && event.recipient === fact.event.recipient);
      if (!isKnown) facts.push(fact);
      return isKnown ? 'repeated' : 'recorded';
    },
    events: {
      recipientById: async (id) => {
        const found = recipients.find((each) => each.id === id);
        return found === undefined ? undefined : { message: message(), recipient: found };
      },
      messageById: async (_, id) => (id === 7 ? { message: message(), recipients, events: [] } : undefined),
    },
    tokens,
    openUnsubscribe: (address) => (address === 'https://ours.test/u/eleven' ? 11 : undefined),
    classify: ({ enhanced }) =>
      enhanced === '5.1.1' ? { bounceClass: 'invalid-recipient', suppress: true } : { bounceClass: 'unclassified' },
    notify: async ({ recipient: { id } }, action) => void told.push(`${id} ${action}`),
    counts,
    log: silentLog,
  });
  return { recorder, facts, told, counts };
}

function report(...recipients: ReportedRecipient[]): Report {
  return { kind: 'report', format: 'rfc3464', recipients, isTruncated: false };
}

const GONE = { action: 'failed', status: '5.1.1', diagnostic: '550 5.1.1 no such user' } as const;
const JANE = recipient(11, 'Jane@x.test');
const JOE = recipient(12, 'joe@x.test');

test('a bounce is an event, a suppression and counters, with the tags of its message, and is told to the submitter', async () => {
  const { recorder, facts, told, counts } = rig([JANE]);
  await recorder.report(report({ ...GONE, address: 'jane@x.test' }), { kind: 'recipient', id: 11 }, AT_MS);
  const [fact] = facts;
  assert.deepEqual([fact?.once, fact?.event.detail.reason, fact?.event.detail.code], ['delayed-bounce', 'delayed-bounce', 550]);
  assert.equal(fact?.suppression?.address, 'Jane@x.test');
  assert.deepEqual(
    fact?.counters.map(({ tag, reason, receiver }) => [tag, reason, receiver]),
    ['', 'sale'].map((tag) => [tag, 'delayed-bounce/invalid-recipient/2', 'x.test']),
  );
  assert.deepEqual(told, ['11 failed']);
  assert.equal(counts.bounce, 1);
});

test('while its delivery is not written yet, the reporter is asked to come again', async () => {
  const { recorder, facts } = rig([recipient(11, 'jane@x.test', { state: 'leased', ending: undefined })]);
  await assert.rejects(
    recorder.report(report({ ...GONE }), { kind: 'recipient', id: 11 }, AT_MS),
    (error) => error instanceof AppError && error.smtpCode === 451,
  );
  assert.deepEqual(facts, []);
});

test('a failure that we know of already is not counted again', async () => {
  for (const ending of ['failed', 'expired', 'suppressed', 'cancelled'] as const) {
    const { recorder, facts, counts } = rig([recipient(11, 'jane@x.test', { ending })]);
    await recorder.report(report({ ...GONE }), { kind: 'recipient', id: 11 }, AT_MS);
    assert.deepEqual([facts.length, counts.repeated], [0, 1]);
  }
});

test('of several lines about one recipient the one that names it counts', async () => {
  const { recorder, facts } = rig([JANE]);
  const elsewhere = { ...GONE, address: 'behind@elsewhere.test', diagnostic: '550 5.1.1 gone from there' };
  await recorder.report(report(elsewhere, { action: 'delivered', address: 'jane@x.test' }), { kind: 'recipient', id: 11 }, AT_MS);
  assert.equal(facts.length, 0);
});

test('a mailbox behind the address that does not exist suppresses nobody', async () => {
  const { recorder, facts } = rig([JANE]);
  await recorder.report(report({ ...GONE, address: 'behind@elsewhere.test' }), { kind: 'recipient', id: 11 }, AT_MS);
  assert.deepEqual([facts.length, facts[0]?.suppression], [1, undefined]);
});

test('word of a delay or a delivery is passed on and changes nothing', async () => {
  const { recorder, facts, told } = rig([JANE]);
  for (const action of ['delayed', 'relayed'] as const)
    await recorder.report(report({ action, address: 'jane@x.test' }), { kind: 'recipient', id: 11 }, AT_MS);
  assert.deepEqual([facts, told], [[], ['11 delayed', '11 relayed']]);
});

test('with the token of a message only its own recipients are found', async () => {
  const { recorder, facts, counts } = rig([JANE, JOE]);
  const about = { kind: 'message', id: 7 } as const;
  await recorder.report(report({ ...GONE, address: 'stranger@x.test' }), about, AT_MS);
  assert.deepEqual([facts.length, counts.unmatched], [0, 1]);
  await recorder.report(report({ ...GONE, original: 'joe@x.test', address: 'j.o.e@store.x.test' }), about, AT_MS);
  assert.deepEqual([facts[0]?.event.recipient, facts[0]?.suppression], [12, undefined]);
});

test('mail of which nothing is kept is counted and gone', async () => {
  const { recorder, counts } = rig([]);
  await recorder.report(report({ ...GONE }), { kind: 'recipient', id: 99 }, AT_MS);
  assert.equal(counts.gone, 1);
});

function enclosed(fields: string): ReturnType<typeof readHeader> {
  return readHeader(Buffer.from(`${fields}\r\n\r\n`));
}

test('a complaint is proven by any token of ours in what it encloses, a recipient before a message', async () => {
  const mine = { kind: 'recipient', id: 11 } as const;
  const all = { kind: 'message', id: 7 } as const;
  const proofs = [
    `CFBL-Feedback-ID: ${tokens.feedbackToken(mine)}`,
    `CFBL-Address: ${tokens.complaintAddress(tokens.feedbackToken(mine), 'ours.test')}; report=arf`,
    `Return-Path: <${tokens.returnPath(mine, 'ours.test')}>`,
    'List-Unsubscribe: <mailto:stranger@x.test>, <https://ours.test/u/eleven>',
    `CFBL-Feedback-ID: ${tokens.feedbackToken(all)}\r\nReturn-Path: <${tokens.returnPath(mine, 'ours.test')}>`,
  ];
  for (const proof of proofs) {
    const { recorder, facts } = rig([JANE, JOE]);
    await recorder.complaint({ format: 'rfc5965', type: 'abuse', recipients: [], returned: enclosed(proof) }, undefined, AT_MS);
    assert.deepEqual(
      [facts[0]?.event.recipient, facts[0]?.suppression?.kind, facts[0]?.event.detail.feedback],
      [11, 'complaint', 'abuse'],
      proof,
    );
  }
  const { recorder, facts } = rig([JANE, JOE]);
  await recorder.complaint(
    { format: 'rfc5965', type: 'abuse', recipients: [], mailFrom: tokens.returnPath(mine, 'ours.test') },
    undefined,
    AT_MS,
  );
  assert.equal(facts.length, 1);
});

test('a complaint without proof, and a report that is none, change nothing', async () => {
  const { recorder, facts, counts } = rig([JANE]);
  const returned = enclosed('Message-ID: <a@ours.test>\r\nX-Mailgun-Sid: 7.b');
  await recorder.complaint({ format: 'rfc5965', type: 'abuse', recipients: ['jane@x.test'], returned }, undefined, AT_MS);
  await recorder.complaint({ format: 'rfc5965', type: 'not-spam', recipients: [] }, { kind: 'recipient', id: 11 }, AT_MS);
  assert.deepEqual([facts, counts.unproven, counts['not-a-complaint']], [[], 1, 1]);
});

test('with the token of a message a complaint of one of its recipients is told, and suppresses nobody', async () => {
  const { recorder, facts } = rig([JANE, JOE]);
  const about = { kind: 'message', id: 7 } as const;
  await recorder.complaint({ format: 'rfc5965', type: 'abuse', recipients: ['joe@x.test'] }, about, AT_MS);
  assert.deepEqual([facts[0]?.event.recipient, facts[0]?.suppression], [12, undefined]);
});

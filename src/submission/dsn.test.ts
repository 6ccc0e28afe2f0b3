import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HeldClock } from '#base/clock.ts';
import type { MessageInfo, StoredMessage, StoredRecipient } from '#model/message.ts';
import type { AttemptRecord } from '#model/outcome.ts';
import type { Settlement } from '#store/store.ts';
import { storedMessage, storedRecipient } from '../../test/kit/stored.ts';
import { createDsnWriter } from './dsn.ts';

const START_MS = Date.UTC(2026, 10, 23, 14);
const HOUR_MS = 3_600_000;
const ORIGINAL = 'From: shop@example.org\r\nSubject: Your receipt\r\nMessage-ID: <a@b>\r\n\r\nthe body\r\n';

const write = createDsnWriter({
  clock: new HeldClock(START_MS + 1000),
  hostname: 'mx.postrider.example',
  delayAfterMs: 4 * HOUR_MS,
  lifetimeMs: 48 * HOUR_MS,
});

function message(change: Partial<StoredMessage> = {}, info: Partial<MessageInfo> = {}): StoredMessage {
  return storedMessage({
    id: 1,
    accountId: 3,
    domainId: 4,
    messageId: 'a@b',
    createdMs: START_MS,
    expiresAtMs: START_MS + 120 * HOUR_MS,
    priority: 0,
    ...change,
    info: {
      from: 'shop@example.org',
      to: 'bob@example.net',
      subject: 'Your receipt',
      sizeBytes: ORIGINAL.length,
      origin: { address: '192.0.2.7' },
      ...info,
    },
  });
}

function recipient(change: Partial<StoredRecipient> = {}): StoredRecipient {
  return storedRecipient({ id: 7, message: 1, address: 'bob@example.net', dueAtMs: START_MS, ...change });
}

const REFUSED: AttemptRecord = {
  number: 1,
  startedMs: START_MS,
  host: 'mx.example.net',
  steps: {},
  reply: { code: 550, enhanced: '5.1.1', text: 'No such user' },
};

function settlement(
  kind: Settlement['event']['kind'],
  detail: Settlement['event']['detail'] = {},
  change: Partial<Settlement> = {},
): Settlement {
  return {
    recipient: 7,
    epoch: 1,
    accountId: 3,
    domainId: 4,
    message: 1,
    atMs: START_MS,
    attempts: 1,
    event: { kind, detail },
    counters: [],
    ...change,
  };
}

const FAILED = settlement(
  'failed',
  { code: 550, enhanced: '5.1.1', text: 'No such user', bounceClass: 'invalid-recipient', attempt: REFUSED },
  { ending: 'failed' },
);
const DELIVERED = settlement('delivered', { code: 250, attempt: { number: 1, startedMs: START_MS, steps: {} } }, { ending: 'delivered' });

async function told(m: StoredMessage, r: StoredRecipient, s: Settlement): Promise<string | undefined> {
  return (await write(m, r, s, async () => Buffer.from(ORIGINAL)))?.action;
}

async function text(m: StoredMessage, r: StoredRecipient, s: Settlement): Promise<string> {
  const notification = await write(m, r, s, async () => Buffer.from(ORIGINAL));
  assert.ok(notification);
  return Buffer.from(notification.message.content).toString();
}

test('a failure is told to the SMTP submitter, with the null reverse-path', async () => {
  const notification = await write(message(), recipient(), FAILED, async () => Buffer.from(ORIGINAL));
  assert.ok(notification);
  assert.equal(notification.action, 'failed');
  const { sender, recipients, accountId, domainId, content, expiresAtMs } = notification.message;
  assert.deepEqual([sender, accountId, domainId], ['', 3, 4]);
  assert.deepEqual(recipients, [{ address: 'shop@example.org', domain: 'example.org', notify: ['NEVER'], isLeased: false }]);
  assert.equal(expiresAtMs, START_MS + 1000 + 48 * HOUR_MS);
  assert.equal(content.byteLength, content.buffer.byteLength);
  assert.deepEqual([notification.message.info.notifiesOf, notification.message.info.subject], [1, 'Your mail could not be delivered']);
  const dsn = Buffer.from(content).toString();
  assert.match(
    dsn,
    /Action: failed\r\nStatus: 5\.1\.1\r\nRemote-MTA: dns; mx\.example\.net\r\nDiagnostic-Code: smtp; 550 5\.1\.1 No such user\r\n/,
  );
  assert.match(dsn, /the body/);
});

test('a notification is never told of in turn, nor anything with a null reverse-path', async () => {
  assert.equal(await told(message({ sender: '' }), recipient({ notify: ['SUCCESS', 'FAILURE', 'DELAY'] }), FAILED), undefined);
});

test('of mail that was sent on to several, its sender is told once of each thing that befell it, and of their own mail each time', async () => {
  const writeSentOn = createDsnWriter({
    clock: new HeldClock(START_MS + 1000),
    hostname: 'mx.postrider.example',
    delayAfterMs: 4 * HOUR_MS,
    lifetimeMs: 48 * HOUR_MS,
    senderBehind: (sender) => (sender === 'SRS0=x@ours.example' ? 'ann@sender.example' : sender),
  });
  const toldTo = async (m: StoredMessage, id: number): Promise<string | undefined> =>
    (await writeSentOn(m, recipient({ id }), FAILED, async () => Buffer.from(ORIGINAL)))?.message.recipients[0]?.address;
  const sentOn = message({ sender: 'SRS0=x@ours.example' });
  assert.equal(await toldTo(sentOn, 7), 'ann@sender.example');
  assert.equal(await toldTo(sentOn, 8), undefined);
  assert.equal(await toldTo(sentOn, 7), 'ann@sender.example', 'its settlement was not committed');
  assert.equal(await toldTo({ ...sentOn, id: 2 }, 9), 'ann@sender.example', 'another message');
  assert.deepEqual([await toldTo(message(), 7), await toldTo(message(), 8)], ['shop@example.org', 'shop@example.org']);
});

test('a copy for a member that fails is not told to the mailing list that sent it', async () => {
  const mailingList = { address: 'news@example.org', listId: 'news.example.org', sid: '1.2' };
  assert.equal(await told(message({ sender: 'News@example.org' }, { mailingList }), recipient(), FAILED), undefined);
  assert.equal(await told(message({ sender: 'ann@example.org' }, { mailingList }), recipient(), FAILED), 'failed');
});

test('NOTIFY decides', async () => {
  assert.equal(await told(message(), recipient({ notify: ['NEVER'] }), FAILED), undefined);
  assert.equal(await told(message(), recipient({ notify: ['SUCCESS'] }), FAILED), undefined);
  assert.equal(await told(message(), recipient({ notify: ['FAILURE'] }), FAILED), 'failed');
  assert.equal(await told(message(), recipient(), DELIVERED), undefined);
  assert.equal(await told(message(), recipient({ notify: ['SUCCESS', 'FAILURE'] }), DELIVERED), 'relayed');
});

test('success is not told twice: a next server that offers DSN tells it', async () => {
  const handedOn = settlement('delivered', { attempt: { number: 1, startedMs: START_MS, steps: {}, dsnHandedOn: true } });
  assert.equal(await told(message(), recipient({ notify: ['SUCCESS'] }), handedOn), undefined);
});

test('API senders have events, and get no mail unless a recipient asks for it', async () => {
  assert.equal(await told(message({}, { method: 'HTTP' }), recipient(), FAILED), undefined);
  assert.equal(await told(message({}, { method: 'HTTP' }), recipient({ notify: ['FAILURE'] }), FAILED), 'failed');
});

test('mail that was cancelled or in test mode is not told', async () => {
  assert.equal(await told(message(), recipient(), settlement('cancelled', {}, { ending: 'cancelled' })), undefined);
  const testMode = message({}, { options: { tags: [], variables: {}, testMode: true } });
  assert.equal(await told(testMode, recipient({ notify: ['SUCCESS'] }), DELIVERED), undefined);
});

test('suppressed and expired recipients are failures with their own status', async () => {
  const suppressed = settlement(
    'failed',
    { code: 605, text: 'Not delivering to previously bounced address', bounceClass: 'suppressed' },
    { ending: 'suppressed' },
  );
  assert.match(await text(message(), recipient(), suppressed), /Status: 5\.7\.1\r\n/);
  const expired = settlement('failed', { code: 602, text: 'Too old', bounceClass: 'expired', enhanced: '4.2.2' }, { ending: 'expired' });
  assert.match(await text(message(), recipient(), expired), /Status: 5\.4\.7\r\n/);
});

function deferred(dueAtMs: number): Settlement {
  return settlement('deferred', { code: 451, enhanced: '4.7.1', text: 'later' }, { dueAtMs, wait: 'retry' });
}

test('a delay is told once, by the attempt whose wait passes the moment', async () => {
  const dueTimes = [0, 1, 2, 3.9, 4.5, 5, 8].map((hours) => START_MS + hours * HOUR_MS);
  const actions = [];
  for (const [i, dueAtMs] of dueTimes.slice(0, -1).entries()) {
    actions.push(await told(message(), recipient({ dueAtMs, notify: ['DELAY'] }), deferred(dueTimes[i + 1] as number)));
  }
  assert.deepEqual(actions, [undefined, undefined, undefined, 'delayed', undefined, undefined]);
  assert.equal(await told(message(), recipient(), deferred(START_MS + 9 * HOUR_MS)), undefined, 'NOTIFY must ask for it');
});

test('a delay says until when it is tried', async () => {
  const dsn = await text(message(), recipient({ notify: ['DELAY'] }), deferred(START_MS + 9 * HOUR_MS));
  assert.match(dsn, /Status: 4\.7\.1\r\n/);
  assert.match(dsn, /Will-Retry-Until: Sat, 28 Nov 2026 14:00:00 \+0000\r\n/);
  assert.doesNotMatch(dsn, /the body/);
});

test('the time that a message was scheduled for is no delay', async () => {
  const scheduled = message({}, { options: { tags: [], variables: {}, testMode: false, deliverAtMs: START_MS + 24 * HOUR_MS } });
  assert.equal(
    await told(scheduled, recipient({ notify: ['DELAY'], dueAtMs: START_MS + 24 * HOUR_MS }), deferred(START_MS + 25 * HOUR_MS)),
    undefined,
  );
});

test('ENVID, ORCPT and RET are honoured', async () => {
  const dsn = await text(message({}, { envid: 'job+2B7', ret: 'HDRS' }), recipient({ orcpt: 'rfc822;Bob+2Bx@example.net' }), FAILED);
  assert.match(dsn, /Original-Envelope-Id: job\+7\r\n/);
  assert.match(dsn, /Original-Recipient: rfc822; Bob\+x@example\.net\r\n/);
  assert.match(dsn, /Subject: Your receipt\r\n/);
  assert.doesNotMatch(dsn, /the body/);
});

test('a message whose content is gone is told of all the same', async () => {
  const notification = await write(message(), recipient(), FAILED, async () => undefined);
  assert.match(Buffer.from(notification?.message.content ?? []).toString(), /Action: failed/);
});

/** What a server reports later, told to the submitter whose reverse-path was ours on the way. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HeldClock } from '#base/clock.ts';
import { parseMime } from '#mail/mime.ts';
import { readStatusReport } from '#mail/status-report.ts';
import type { EventDetail } from '#model/event.ts';
import type { MessageInfo, StoredMessage, StoredRecipient } from '#model/message.ts';
import { storedMessage, storedRecipient } from '../../test/kit/stored.ts';
import { createReportedDsnWriter } from './dsn.ts';

const NOW_MS = Date.UTC(2026, 10, 23, 14);
const write = createReportedDsnWriter({ clock: new HeldClock(NOW_MS), hostname: 'mail.ours.test', delayAfterMs: 0, lifetimeMs: 3_600_000 });

function message(change: Partial<StoredMessage> = {}, info: Partial<MessageInfo> = {}): StoredMessage {
  return storedMessage({
    id: 1,
    accountId: 3,
    domainId: 4,
    domain: 'ours.test',
    messageId: 'a@ours.test',
    sender: 'app@ours.test',
    createdMs: NOW_MS,
    expiresAtMs: NOW_MS,
    priority: 0,
    ...change,
    info: { origin: { address: '192.0.2.7' }, envid: 'order+2B1', ...info },
  });
}

function recipient(change: Partial<StoredRecipient> = {}): StoredRecipient {
  return storedRecipient({
    id: 7,
    message: 1,
    address: 'bob@example.net',
    state: 'done',
    ending: 'delivered',
    dueAtMs: NOW_MS,
    attempts: 1,
    orcpt: 'rfc822;bob+2Bx@example.net',
    ...change,
  });
}

const DETAIL: EventDetail = {
  code: 550,
  enhanced: '5.1.1',
  text: 'no such user',
  bounceClass: 'invalid-recipient',
  returned: { format: 'rfc3464', by: 'recipient', reporter: 'mx.example.net' },
};
const content = async (): Promise<Uint8Array> => Buffer.from('From: app@ours.test\r\nMessage-ID: <a@ours.test>\r\n\r\nx\r\n');

test('a failure goes to the submitter with its own ENVID and ORCPT, and with who reported it', async () => {
  const told = await write(message(), recipient(), 'failed', DETAIL, content);
  assert.deepEqual([told?.sender, told?.recipients[0]?.address, told?.recipients[0]?.notify], ['', 'app@ours.test', ['NEVER']]);
  const report = readStatusReport(parseMime(Buffer.from(told?.content ?? '')));
  assert.equal(report?.envelopeId, 'order+1');
  assert.deepEqual(report?.recipients, [
    {
      action: 'failed',
      address: 'bob@example.net',
      original: 'bob+x@example.net',
      status: '5.1.1',
      diagnostic: '550 5.1.1 no such user',
      remoteMta: 'mx.example.net',
    },
  ]);
});

test('it is told as NOTIFY says, and to nobody who has events or no address', async () => {
  const isTold = async (action: 'failed' | 'delayed' | 'delivered', m = message(), r = recipient()): Promise<boolean> =>
    (await write(m, r, action, DETAIL, content)) !== undefined;
  assert.deepEqual([await isTold('failed'), await isTold('delayed'), await isTold('delivered')], [true, false, false]);
  const wishes = recipient({ notify: ['SUCCESS', 'DELAY'] });
  assert.deepEqual(
    [await isTold('failed', message(), wishes), await isTold('delayed', message(), wishes), await isTold('delivered', message(), wishes)],
    [false, true, true],
  );
  assert.equal(await isTold('failed', message(), recipient({ notify: ['NEVER'] })), false);
  assert.equal(await isTold('failed', message({ sender: '' })), false);
  assert.equal(await isTold('failed', message({}, { method: 'HTTP' })), false);
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { EventDetail, EventKind } from '#model/event.ts';
import type { MessageInfo, StoredMessage, StoredRecipient } from '#model/message.ts';
import type { EventView } from '#store/store.ts';
import { mailgunEvent } from './mailgun-json.ts';

const URLS = { storage: (domain: string, key: string) => `https://mail.example/${domain}/${key}` };
const AT_MS = Date.UTC(2026, 0, 2, 3, 4, 5);

const INFO: MessageInfo = {
  from: 'Ann <ann@example.org>',
  to: 'bob@example.net',
  subject: 'Hello',
  sizeBytes: 586,
  attachments: [],
  method: 'HTTP',
  origin: { address: '192.0.2.7' },
  keyId: 'f2153fd0-f1277777',
  options: { tags: ['t1'], variables: { id: '%recipient.id%', n: 1 }, testMode: false },
  smtputf8: false,
  body: '7BIT',
};

function view(kind: EventKind, detail: EventDetail = {}, info: Partial<MessageInfo> = {}): EventView {
  const message: StoredMessage = {
    id: 5,
    accountId: 1,
    domainId: 2,
    domain: 'example.org',
    messageId: 'm1@example.org',
    sender: 'ann@example.org',
    createdMs: AT_MS,
    expiresAtMs: AT_MS + 1,
    priority: 1,
    contentId: 9,
    info: { ...INFO, ...info },
  };
  const recipient: StoredRecipient = {
    id: 6,
    message: 5,
    address: 'bob@example.net',
    domain: 'example.net',
    state: 'queued',
    dueAtMs: AT_MS,
    wait: 'due',
    attempts: 1,
    epoch: 1,
    possibleDuplicate: false,
    variables: { id: 'B7' },
  };
  return {
    event: { id: 8, kind, atUs: AT_MS * 1000 + 123_456, accountId: 1, domainId: 2, message: 5, recipient: 6, detail },
    message,
    recipient,
  };
}

const shown = (...given: Parameters<typeof view>): Record<string, unknown> => mailgunEvent(view(...given), URLS);

test('accepted says by which key and from where, and where the message is stored', () => {
  const { id, storage, ...event } = shown('accepted');
  assert.match(String(id), /^[\w-]{22}$/);
  assert.match((storage as { url: string }).url, /^https:\/\/mail\.example\/example\.org\/[\w-]+$/);
  assert.deepEqual(event, {
    event: 'accepted',
    timestamp: AT_MS / 1000 + 0.123456,
    'log-level': 'info',
    method: 'HTTP',
    'originating-ip': '192.0.2.7',
    'api-key-id': 'f2153fd0-f1277777',
    envelope: { sender: 'ann@example.org', transport: 'smtp', targets: 'bob@example.net' },
    flags: { 'is-authenticated': true, 'is-routed': false, 'is-system-test': false, 'is-test-mode': false, 'is-amp': false },
    message: {
      headers: { to: 'bob@example.net', 'message-id': 'm1@example.org', from: 'Ann <ann@example.org>', subject: 'Hello' },
      attachments: [],
      recipients: ['bob@example.net'],
      size: 586,
    },
    recipient: 'bob@example.net',
    'recipient-domain': 'example.net',
    tags: ['t1'],
    campaigns: [],
    'user-variables': { id: 'B7', n: 1 },
  });
});

test('the time of an event has a fraction also at a full second: Symfony’s parser of webhooks refused it without', () => {
  const timeOf = (atUs: number): unknown =>
    mailgunEvent({ ...view('opened'), event: { ...view('opened').event, atUs } }, URLS)['timestamp'];
  assert.equal(timeOf(AT_MS * 1000), AT_MS / 1000 + 0.0001);
  assert.equal(timeOf(AT_MS * 1000 + 1000), AT_MS / 1000 + 0.001);
});

test('a suppressed recipient failed for good, with its code and Mailgun’s description', () => {
  const event = shown('failed', { code: 605, reason: 'suppress-bounce', text: 'Not delivering to previously bounced address' });
  assert.deepEqual([event['severity'], event['reason'], event['log-level']], ['permanent', 'suppress-bounce', 'error']);
  assert.deepEqual(event['delivery-status'], {
    code: 605,
    message: '',
    description: 'Not delivering to previously bounced address',
    'attempt-no': 1,
    'session-seconds': 0,
  });
});

test('a deferral is a temporary failure with seconds until the next attempt', () => {
  const event = shown('deferred', { code: 451, enhanced: '4.7.1', text: 'come back', reason: 'greylisted', nextAtMs: AT_MS + 600_123 });
  assert.deepEqual([event['event'], event['severity'], event['log-level']], ['failed', 'temporary', 'warn']);
  const status = event['delivery-status'] as Record<string, unknown>;
  assert.deepEqual([status['retry-seconds'], status['enhanced-code'], status['code']], [600, '4.7.1', 451]);
});

test('an asynchronous bounce has no envelope', () => {
  const event = shown('failed', { code: 550, enhanced: '5.1.1', reason: 'delayed-bounce', text: 'gone' });
  assert.deepEqual([event['envelope'], event['flags']], [{}, { 'is-delayed-bounce': true }]);
});

test('test mode is delivered with code 650', () => {
  const event = shown('delivered', { code: 650, testMode: true }, { options: { ...INFO.options, testMode: true } });
  assert.equal((event['delivery-status'] as { code: number }).code, 650);
  assert.equal((event['flags'] as Record<string, boolean>)['is-test-mode'], true);
});

test('rejected names no recipient; opened tells only the Message-ID', () => {
  assert.equal('recipient' in shown('rejected', { text: 'why' }), false);
  assert.deepEqual(shown('rejected', { text: 'why' })['reject'], { reason: 'why', description: '' });
  assert.deepEqual(shown('opened')['message'], { headers: { 'message-id': 'm1@example.org' } });
});

test('variables that are too many are replaced by the sentence that SDKs know', () => {
  const event = shown('accepted', {}, { options: { ...INFO.options, variables: { big: 'x'.repeat(5000) } } });
  assert.match(String(event['user-variables']), /^Could not load user-variables\./);
});

test('content that is gone has no storage', () => {
  const gone = view('delivered');
  assert.ok(gone.message !== undefined);
  assert.equal('storage' in mailgunEvent({ ...gone, message: { ...gone.message, contentId: 0 } }, URLS), false);
});

test('headers of a batch are shown as this recipient got them', () => {
  const batch = { to: '%recipient%', subject: 'Hi %recipient.id%, %recipient.unknown%' };
  const headers = (info: Partial<MessageInfo>): unknown => (shown('delivered', {}, info)['message'] as Record<string, unknown>)['headers'];
  assert.partialDeepStrictEqual(headers({ ...batch, batchId: 'b' }), { to: 'bob@example.net', subject: 'Hi B7, %recipient.unknown%' });
  assert.partialDeepStrictEqual(headers(batch), batch, 'elsewhere they are text');
});

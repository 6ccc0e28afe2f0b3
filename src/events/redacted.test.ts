/** What a webhook is told where an account wants no personal data told. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { threadCpuMs } from '../../test/kit/cpu-time.ts';
import { redacted } from './redacted.ts';

test('persons are taken out of an event, and what says which message it is stays', () => {
  const told = redacted({
    event: 'failed',
    id: 'abc',
    timestamp: 1.5,
    method: 'HTTP',
    'originating-ip': '192.0.2.7',
    reason: 'bounce',
    severity: 'permanent',
    recipient: 'bob.miller@example.net',
    'recipient-domain': 'example.net',
    tags: ['news'],
    'user-variables': { order: 7 },
    envelope: { sender: 'ann@example.org', targets: 'bob.miller@example.net', transport: 'smtp', 'sending-ip': '198.51.100.1' },
    'delivery-status': { code: 550, 'enhanced-code': '5.1.1', message: '<bob.miller@example.net>: unknown', description: 'bob.miller' },
    message: {
      headers: {
        to: '"Miller, Bob" <bob.miller@example.net>, eve@example.com',
        from: 'Ann <ann@example.org>',
        subject: 'Dear Bob',
        'message-id': 'm1@example.org',
      },
      recipients: ['bob.miller@example.net'],
      attachments: [{ filename: 'bob.pdf', 'content-type': 'application/pdf', size: 3 }],
      size: 586,
    },
    routes: [{ id: 'r1', expression: 'match_recipient("bob.miller@example.net")', match: { recipient: 'bob.miller@example.net' } }],
  });
  assert.deepEqual(told, {
    event: 'failed',
    id: 'abc',
    timestamp: 1.5,
    method: 'HTTP',
    reason: 'bounce',
    severity: 'permanent',
    recipient: 'redacted@example.net',
    'recipient-domain': 'example.net',
    tags: ['news'],
    'user-variables': { order: 7 },
    envelope: { sender: 'redacted@example.org', targets: 'redacted@example.net', transport: 'smtp', 'sending-ip': '198.51.100.1' },
    'delivery-status': { code: 550, 'enhanced-code': '5.1.1', message: '', description: '' },
    message: {
      headers: {
        to: 'redacted@example.net, redacted@example.com',
        from: 'redacted@example.org',
        subject: 'redacted',
        'message-id': 'm1@example.org',
      },
      recipients: ['redacted@example.net'],
      attachments: [{ filename: 'redacted', 'content-type': 'application/pdf', size: 3 }],
      size: 586,
    },
    routes: [{ id: 'r1', expression: 'redacted', match: { recipient: 'redacted@example.net' } }],
  });
});

test('of who clicked the country and the kind of program are told, and of the link what stands before its query', () => {
  const told = redacted({
    event: 'clicked',
    ip: '192.0.2.1',
    url: 'https://shop.example/sale?customer=bob#bob',
    geolocation: { country: 'US', region: 'CA', city: 'San Francisco' },
    'client-info': { 'client-type': 'browser', 'client-os': 'Linux', 'user-agent': 'Mozilla/5.0 (X11; Linux x86_64)' },
  });
  assert.deepEqual(told, {
    event: 'clicked',
    url: 'https://shop.example/sale',
    geolocation: { country: 'US', region: 'Unknown', city: 'Unknown' },
    'client-info': { 'client-type': 'browser', 'client-os': 'Linux', 'user-agent': 'redacted' },
  });
});

test('a field that nobody thought of is not told', () => {
  assert.deepEqual(redacted({ event: 'opened', shoeSize: 44, __proto__: { recipient: 'bob@example.net' } }), { event: 'opened' });
});

test('an address with a quoted local part, and text that holds none, tell nothing but domains', () => {
  assert.equal(redacted({ recipient: '"bob@home.example miller"@example.net' })['recipient'], 'redacted@example.net');
  assert.equal(redacted({ recipient: 'Bob@work Miller <bob@example.net>, Eve' })['recipient'], 'redacted@example.net, redacted');
  assert.equal(redacted({ recipient: 'Bob Miller' })['recipient'], 'redacted');
  assert.equal(
    (redacted({ envelope: { targets: 'https://in.example/for/bob?x=bob' } })['envelope'] as { targets: string }).targets,
    'https://in.example',
  );
  assert.equal(redacted({ url: 'mailto:bob@example.net' })['url'], 'redacted');
});

test('a quote that is not closed tells nothing behind it, and many of them cost no more than one', () => {
  assert.equal(redacted({ recipient: 'Ann "x, bob@example.net' })['recipient'], 'redacted');
  const startMs = threadCpuMs();
  for (let i = 0; i < 100; i++) redacted({ recipient: `"${'\\"'.repeat(2047)}` });
  assert.ok(threadCpuMs() - startMs < 500);
});

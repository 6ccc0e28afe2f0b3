import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Reply } from '#model/outcome.ts';
import { threadCpuMs } from '../../test/kit/cpu-time.ts';
import { classify } from './classify.ts';
import type { Verdict } from './classify.ts';
import type { Stage } from './classify-rule.ts';
import { RULES } from './classify-rules.ts';
import { providerOf } from './provider.ts';

function verdict(code: number, text: string, stage: Stage = 'rcpt', recipientCount = 1): Verdict {
  const match = /^(\d\.\d+\.\d+) (.*)$/s.exec(text);
  const reply: Reply = match === null ? { code, text } : { code, enhanced: match[1] as string, text: match[2] as string };
  return classify(reply, stage, { recipientCount });
}

test('each sample is for its rule, and no earlier one takes it', () => {
  for (const { name, sample } of RULES) {
    const { code, enhanced, text, provider, stage = 'dot' } = sample;
    const reply: Reply = { code, text, ...(enhanced === undefined ? {} : { enhanced }) };
    const { rule } = classify(reply, stage, { recipientCount: 1, ...(provider === undefined ? {} : { provider }) });
    assert.equal(rule, name, `${code} ${enhanced ?? ''} ${text}`);
  }
});

test('names are unique, phrases are lower case, and every rule explains itself in a sentence', () => {
  assert.equal(new Set(RULES.map(({ name }) => name)).size, RULES.length);
  for (const rule of RULES) {
    for (const phrase of rule.phrases ?? []) assert.equal(phrase, phrase.toLowerCase(), rule.name);
    assert.match(rule.explanation, /^[A-Z].*\.$/, rule.name);
  }
});

test('delivered is a 2xx to the end of the message and nothing else', () => {
  assert.equal(verdict(250, 'Ok', 'dot').disposition, 'delivered');
  assert.equal(verdict(251, 'Will forward', 'dot').disposition, 'delivered');
  for (const stage of ['greeting', 'mail', 'rcpt', 'data'] as const) assert.equal(verdict(250, 'Ok', stage).disposition, 'deferred', stage);
});

test('what is not understood is deferred', () => {
  for (const code of [100, 199, 299, 354, 399, 600, 999]) {
    const { disposition, bounceClass } = verdict(code, 'Hm', 'rcpt');
    assert.deepEqual([code, disposition, bounceClass], [code, 'deferred', 'protocol']);
  }
});

test('the first digit decides, whatever the words', () => {
  for (const rule of RULES) {
    const { enhanced, text, provider, stage = 'dot' } = rule.sample;
    const context = { recipientCount: 1, ...(provider === undefined ? {} : { provider }) };
    const temporary = classify({ code: 450, text, ...(enhanced === undefined ? {} : { enhanced }) }, stage, context);
    assert.equal(temporary.disposition, 'deferred', rule.name);
    assert.equal(temporary.suppress, undefined, rule.name);
  }
});

test('a 5xx that is about now, or about us, is deferred', () => {
  assert.equal(verdict(550, '5.7.1 Greylisted, try again in 5 minutes').disposition, 'deferred');
  assert.equal(verdict(503, '5.5.1 Bad sequence of commands').disposition, 'deferred');
  assert.equal(verdict(552, '5.5.3 Too many recipients').disposition, 'deferred');
  for (const stage of ['greeting', 'ehlo', 'tls', 'auth'] as const) {
    assert.equal(verdict(554, '5.7.1 Blocked by Spamhaus', stage).disposition, 'deferred', stage);
  }
});

test('only a clear "no such mailbox" about this one address suppresses it', () => {
  const gone = '5.1.1 User unknown';
  assert.equal(verdict(550, gone, 'rcpt', 3).suppress, true);
  assert.equal(verdict(550, gone, 'dot', 1).suppress, true);
  assert.equal(verdict(550, gone, 'dot', 2).suppress, undefined);
  assert.equal(verdict(550, gone, 'mail').suppress, undefined);
  assert.equal(verdict(450, '4.1.1 User unknown').suppress, undefined);
  for (const text of [
    '5.2.2 Mailbox full',
    '5.7.1 Blocked using zen.spamhaus.org',
    '5.2.1 Mailbox disabled',
    '5.7.1 Message rejected as spam',
    '5.1.2 Unknown domain',
    'No thanks',
    'Mailbox unavailable',
    '5.7.1 Relay access denied',
  ]) {
    assert.equal(verdict(550, text).suppress, undefined, text);
  }
});

test('well-known replies get the class that an operator expects', () => {
  const expected: [number, string, string, Stage?][] = [
    [550, '5.1.1 <x@y>: Recipient address rejected: User unknown in local recipient table', 'invalid-recipient'],
    [550, 'No such user here', 'invalid-recipient'],
    [550, '5.7.1 Unable to relay', 'relay-denied'],
    [554, '5.7.1 Service unavailable; Client host [192.0.2.1] blocked using bl.spamcop.net', 'spam-reputation'],
    [450, '4.7.1 <x@y>: Recipient address rejected: Greylisting in action, please come back later', 'greylisted'],
    [451, '4.7.1 Greylisting in action, please come back in 00:05:00', 'greylisted'],
    [452, '4.2.2 Mailbox full', 'mailbox-full'],
    [552, '5.3.4 Message size exceeds fixed limit', 'too-large'],
    [421, '4.7.0 Too many connections from your IP', 'rate-limited'],
    [550, '5.7.1 Email rejected per DMARC policy for example.org', 'authentication', 'dot'],
    [554, '5.7.1 Spam message rejected', 'spam-content', 'dot'],
    [554, '5.6.0 Message contains invalid header', 'spam-content', 'dot'],
    [451, '4.3.0 Error: queue file write error', 'transient', 'dot'],
    [553, '5.1.8 <x@y>: Sender address rejected: Domain not found', 'invalid-sender', 'mail'],
  ];
  for (const [code, text, bounceClass, stage] of expected) assert.equal(verdict(code, text, stage).bounceClass, bounceClass, text);
});

test('a reply as long as can be costs little', () => {
  const text = 'try again in 1 '.repeat(200_000);
  const startedMs = threadCpuMs();
  for (let i = 0; i < 100; i++) verdict(450, text);
  assert.ok(threadCpuMs() - startedMs < 1000);
});

test('a host belongs to its provider by the end of its name', () => {
  assert.equal(providerOf('gmail-smtp-in.l.google.com'), 'google');
  assert.equal(providerOf('example-org.mail.protection.outlook.com'), 'microsoft');
  assert.equal(providerOf('mta5.am0.yahoodns.net'), 'yahoo');
  assert.equal(providerOf('eu-smtp-inbound-1.mimecast.com'), 'mimecast');
  assert.equal(providerOf('notgoogle.com.evil.test'), undefined);
  assert.equal(providerOf('evilgoogle.com'), undefined);
  assert.equal(providerOf(''), undefined);
});

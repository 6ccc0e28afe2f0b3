/** What each sample of a bounce means, by the rules for replies: its class, and whether it says that there is no such mailbox. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { readReturned } from '#bounces/read-returned.ts';
import { verdictOf } from '#bounces/verdict.ts';
import { classify } from '#delivery/classify.ts';
import { providerOf } from '#delivery/provider.ts';

const SAMPLES = new URL('../corpus/bounces/', import.meta.url);

/** For each recipient that failed: the class, with "!" where the address is to be suppressed. */
const MEANINGS: Readonly<Record<string, readonly string[]>> = {
  communigate: ['mailbox-full'],
  courier: ['invalid-recipient!'],
  'exchange-old': ['invalid-recipient!'],
  'exchange-online': ['invalid-recipient!'],
  'exchange-quota': ['mailbox-full'],
  exim: ['inactive-mailbox'],
  'exim-delayed': [],
  expired: ['expired'],
  'failed-recipients-field': ['unclassified', 'unclassified'],
  french: ['invalid-recipient!'],
  german: ['invalid-recipient!'],
  gmail: ['invalid-recipient!'],
  'gmail-old': ['invalid-recipient!'],
  gmx: ['invalid-recipient!'],
  groupwise: ['invalid-recipient!'],
  imail: ['mailbox-full'],
  ironport: ['invalid-recipient!'],
  'lotus-notes': ['invalid-recipient!'],
  'mail-ru': ['invalid-recipient!'],
  'mailbox-full': ['mailbox-full'],
  mdaemon: ['invalid-recipient!'],
  mimecast: ['routing'],
  'office365-html': ['spam-content'],
  opensmtpd: ['relay-denied'],
  postfix: ['invalid-recipient!'],
  'postfix-delayed': [],
  'postfix-old': ['mailbox-full'],
  'postfix-several': ['invalid-recipient!', 'routing'],
  qmail: ['invalid-recipient!', 'invalid-recipient!'],
  qq: ['invalid-recipient!'],
  sendmail: ['relay-denied'],
  'sendmail-old': ['invalid-recipient!'],
  'sendmail-warning': [],
  spam: ['spam-content'],
  'status-encoded': ['invalid-recipient!'],
  success: [],
  'undeliverable-generic': ['unclassified'],
  'utf-8': ['inactive-mailbox'],
  yahoo: ['invalid-recipient!'],
};

function meaningOf(name: string): string[] {
  const read = readReturned(Buffer.from(readFileSync(new URL(`${name}.eml`, SAMPLES), 'utf8').replaceAll('\n', '\r\n')));
  assert.ok(read.kind === 'report');
  const failed = read.recipients.filter(({ action }) => action === 'failed');
  return failed.map((reported) => {
    const { bounceClass, isNoMailbox } = verdictOf(reported, read.reportingMta, (reply, host) => {
      const provider = host === undefined ? undefined : providerOf(host);
      return classify(reply, 'rcpt', { recipientCount: 1, ...(provider !== undefined && { provider }) });
    });
    return isNoMailbox ? `${bounceClass}!` : bounceClass;
  });
}

for (const [name, meaning] of Object.entries(MEANINGS)) {
  test(`the bounce ${name} means ${meaning.join(' and ') || 'no failure'}`, () => assert.deepEqual(meaningOf(name), meaning));
}

test('every sample has a meaning', () => {
  assert.deepEqual(
    readdirSync(SAMPLES)
      .map((file) => file.replace(/\.eml$/, ''))
      .sort(),
    Object.keys(MEANINGS).sort(),
  );
});

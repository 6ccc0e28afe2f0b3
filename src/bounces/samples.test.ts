/** Every row of the tables about what comes back has a sample in test/corpus, and every sample is read as its sender meant it. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { parseMime } from '#mail/mime.ts';
import { BOUNCE_FORMATS, GENERIC_BOUNCES } from './bounce-formats.ts';
import { COMPLAINT_SHAPES, type Complaint, isComplaint, readComplaint } from './read-complaint.ts';
import { readReturned, type Returned } from './read-returned.ts';
import { GENERIC_REPLIES, REPLY_FORMATS } from './reply-formats.ts';
import { replyOf } from './verdict.ts';

const CORPUS = new URL('../../test/corpus/', import.meta.url);

function sample(kind: string, name: string): Buffer {
  return Buffer.from(readFileSync(new URL(`${kind}/${name}.eml`, CORPUS), 'utf8').replaceAll('\n', '\r\n'));
}

function names(kind: string): string[] {
  return readdirSync(new URL(`${kind}/`, CORPUS))
    .map((file) => file.replace(/\.eml$/, ''))
    .sort();
}

interface Expected {
  readonly format: string;
  /** "action address status code text", text as a part of what is to be there; one for each recipient. */
  readonly recipients: readonly (readonly [
    action: string,
    address: string | undefined,
    status: string | undefined,
    code: number,
    text: string,
  ])[];
  readonly messageId?: string;
}

const JANE = 'jane@example.net';
const ORDER = '<order-1182@ours.test>';

const BOUNCES: Readonly<Record<string, Expected>> = {
  postfix: { format: 'rfc3464', recipients: [['failed', JANE, '5.1.1', 550, 'User unknown']], messageId: ORDER },
  'postfix-delayed': { format: 'rfc3464', recipients: [['delayed', JANE, '4.4.1', 451, 'Connection timed out']], messageId: ORDER },
  'postfix-several': {
    format: 'rfc3464',
    recipients: [
      ['failed', JANE, '5.1.1', 550, 'user unknown'],
      ['failed', 'joe@example.net', '5.4.6', 550, 'loops back'],
      ['delivered', 'jim@example.net', '2.0.0', 554, 'reported later'],
    ],
    messageId: ORDER,
  },
  success: { format: 'rfc3464', recipients: [['delivered', JANE, '2.1.5', 554, '250 2.1.5 OK']], messageId: ORDER },
  'utf-8': { format: 'rfc3464', recipients: [['failed', 'jäne@example.net', '5.2.1', 550, 'mailbox disabled']], messageId: ORDER },
  'exchange-online': { format: 'rfc3464', recipients: [['failed', JANE, '5.1.10', 550, 'RecipientNotFound']], messageId: ORDER },
  'exchange-quota': { format: 'rfc3464', recipients: [['failed', JANE, '5.2.2', 554, 'mailbox full']], messageId: ORDER },
  gmail: {
    format: 'rfc3464',
    recipients: [['failed', JANE, '5.1.1', 550, 'does not exist. Please try double-checking']],
    messageId: ORDER,
  },
  sendmail: { format: 'rfc3464', recipients: [['failed', JANE, '5.7.1', 553, 'allowed rcpthosts']], messageId: ORDER },
  expired: { format: 'rfc3464', recipients: [['failed', JANE, '4.4.7', 421, 'timeout exceeded']], messageId: ORDER },
  spam: { format: 'rfc3464', recipients: [['failed', JANE, '5.7.1', 554, 'rejected as spam']], messageId: ORDER },
  'status-encoded': { format: 'rfc3464', recipients: [['failed', JANE, '5.1.1', 550, 'No such user here']], messageId: ORDER },
  qmail: {
    format: 'qmail',
    recipients: [
      ['failed', JANE, '5.1.1', 550, 'User unknown'],
      ['failed', 'joe@example.net', '5.1.1', 550, 'no mailbox here by that name'],
    ],
    messageId: ORDER,
  },
  exim: { format: 'exim', recipients: [['failed', JANE, '5.2.1', 550, 'The mailbox is disabled']], messageId: ORDER },
  'exim-delayed': { format: 'exim-delayed', recipients: [['delayed', JANE, '4.3.0', 451, 'try later']] },
  'postfix-old': { format: 'postfix', recipients: [['failed', JANE, undefined, 552, 'Mailbox quota exceeded']] },
  'sendmail-old': { format: 'sendmail', recipients: [['failed', JANE, undefined, 550, 'User unknown']], messageId: ORDER },
  'sendmail-warning': { format: 'sendmail-warning', recipients: [['delayed', JANE, undefined, 554, 'Deferred: Connection timed out']] },
  'exchange-old': { format: 'exchange', recipients: [['failed', JANE, '5.1.1', 550, 'e-mail account does not exist']] },
  'office365-html': { format: 'office365', recipients: [['failed', JANE, '5.7.1', 550, 'Access denied, spam abuse detected']] },
  'gmail-old': { format: 'gmail', recipients: [['failed', JANE, '5.1.1', 550, 'User unknown']], messageId: ORDER },
  yahoo: { format: 'yahoo', recipients: [['failed', JANE, undefined, 554, "doesn't have a yahoo.com account"]], messageId: ORDER },
  groupwise: { format: 'groupwise', recipients: [['failed', JANE, undefined, 554, 'user unknown']], messageId: ORDER },
  'lotus-notes': { format: 'lotus-notes', recipients: [['failed', JANE, undefined, 554, 'not listed in Domino Directory']] },
  'mail-ru': { format: 'mail-ru', recipients: [['failed', JANE, undefined, 550, 'invalid mailbox']] },
  gmx: { format: 'gmx', recipients: [['failed', JANE, '5.1.1', 550, 'Recipient address rejected']], messageId: ORDER },
  ironport: { format: 'ironport', recipients: [['failed', JANE, '5.1.0', 550, '5.1.1 user unknown']] },
  mimecast: { format: 'mimecast', recipients: [['failed', JANE, '5.4.1', 550, 'Recipient address rejected: Access denied']] },
  courier: { format: 'courier', recipients: [['failed', JANE, undefined, 550, 'User unknown']] },
  communigate: { format: 'communigate', recipients: [['failed', JANE, undefined, 554, 'account is full (quota exceeded)']] },
  imail: { format: 'imail', recipients: [['failed', JANE, undefined, 554, 'exceeds allowed size']], messageId: ORDER },
  mdaemon: { format: 'mdaemon', recipients: [['failed', JANE, undefined, 550, 'no such user here']] },
  opensmtpd: { format: 'opensmtpd', recipients: [['failed', JANE, '5.7.1', 550, 'Relaying denied']], messageId: ORDER },
  qq: { format: 'qq', recipients: [['failed', JANE, undefined, 550, 'Mailbox not found']] },
  french: { format: 'translated', recipients: [['failed', JANE, '5.1.1', 550, 'destinataire invalide']] },
  german: { format: 'office365', recipients: [['failed', JANE, '5.1.1', 550, 'RecipNotFound']] },
  'mailbox-full': { format: 'mailbox-full', recipients: [['failed', undefined, undefined, 554, 'Mailbox full']] },
  'failed-recipients-field': {
    format: 'failed-recipients-field',
    recipients: [
      ['failed', JANE, undefined, 554, 'could not be handed over'],
      ['failed', 'joe@example.net', undefined, 554, 'could not be handed over'],
    ],
  },
  'undeliverable-generic': { format: 'mailer-daemon', recipients: [['failed', undefined, undefined, 554, 'takes no mail any more']] },
};

for (const [name, expected] of Object.entries(BOUNCES)) {
  test(`the bounce ${name} is read as ${expected.format}`, () => {
    const read = readReturned(sample('bounces', name));
    assert.equal(read.kind, 'report');
    const report = read as Extract<Returned, { kind: 'report' }>;
    assert.equal(report.format, expected.format);
    const seen = report.recipients.map((each, position) => {
      const reply = replyOf(each);
      const text = expected.recipients[position]?.[4] ?? '';
      assert.ok(`${reply.text} ${each.diagnostic ?? ''}`.includes(text), `${reply.text} has not ${text}`);
      return [each.action, each.address, each.status, reply.code, text];
    });
    assert.deepEqual(seen, expected.recipients);
    assert.equal(messageIdOf(report), expected.messageId);
  });
}

function messageIdOf({ returned }: { readonly returned?: Complaint['returned'] }): string | undefined {
  const field = returned?.fields.find((each) => each.name === 'message-id');
  return field === undefined ? undefined : returned?.bytes.toString('latin1', field.valueStart, field.end).trim();
}

const REPLIES: Readonly<Record<string, readonly [kind: Returned['kind'], format?: string]>> = {
  vacation: ['auto-reply', 'auto-submitted-vacation'],
  'exchange-out-of-office': ['auto-reply', 'exchange-out-of-office'],
  'german-out-of-office': ['auto-reply', 'absence-subject'],
  'german-absence': ['auto-reply', 'absence-subject'],
  'french-out-of-office': ['auto-reply', 'absence-subject'],
  'spanish-out-of-office': ['auto-reply', 'absence-subject'],
  'japanese-out-of-office': ['auto-reply', 'absence-subject'],
  'cpanel-autoresponder': ['auto-reply', 'x-autorespond'],
  'x-autoreply': ['auto-reply', 'x-autoreply'],
  'gmail-vacation': ['auto-reply', 'x-autoreply'],
  'precedence-auto-reply': ['auto-reply', 'precedence'],
  'ticket-system': ['auto-reply', 'auto-submitted'],
  'suppress-field': ['auto-reply', 'auto-response-suppress'],
  'bulk-answer': ['auto-reply', 'precedence-bulk'],
  boxtrapper: ['challenge', 'boxtrapper'],
  tmda: ['challenge', 'tmda'],
  spamarrest: ['challenge', 'spamarrest'],
  'challenge-by-subject': ['challenge', 'challenge-subject'],
  'read-receipt': ['receipt', 'rfc8098'],
  'deleted-unread': ['receipt', 'rfc8098'],
  'receipt-by-subject': ['receipt', 'receipt-subject'],
  'forwarded-bounce': ['unknown'],
  human: ['unknown'],
};

for (const [name, [kind, format]] of Object.entries(REPLIES)) {
  test(`the mail ${name} is no bounce: ${kind}`, () => {
    const read = readReturned(sample('auto-replies', name));
    assert.deepEqual([read.kind, 'format' in read ? read.format : undefined], [kind, format]);
  });
}

interface ExpectedComplaint {
  readonly format: string;
  readonly type: string;
  readonly recipients: readonly string[];
  readonly isComplaint: boolean;
  readonly hasMessage: boolean;
}

const rfc = (type: string, recipients: readonly string[], isOne = true): ExpectedComplaint => ({
  format: 'rfc5965',
  type,
  recipients,
  isComplaint: isOne,
  hasMessage: true,
});

const COMPLAINTS: Readonly<Record<string, ExpectedComplaint | undefined>> = {
  rfc5965: rfc('abuse', [JANE]),
  'yahoo-cfl': rfc('abuse', [JANE]),
  aol: rfc('abuse', []),
  'headers-only': rfc('abuse', []),
  'opt-out': rfc('opt-out', [JANE]),
  fraud: rfc('fraud', []),
  'not-spam': rfc('not-spam', [], false),
  'auth-failure': rfc('auth-failure', [], false),
  'without-original': { ...rfc('abuse', [JANE]), hasMessage: false },
  jmrp: { ...rfc('abuse', [JANE]), format: 'jmrp' },
  'abuse-with-message': { ...rfc('abuse', []), format: 'enclosed-message' },
  spamcop: { ...rfc('abuse', []), format: 'spamcop' },
  letter: undefined,
};

for (const [name, expected] of Object.entries(COMPLAINTS)) {
  test(`the complaint ${name} is read as ${expected?.format ?? 'none'}`, () => {
    const read = readComplaint(parseMime(sample('complaints', name), { intoMessages: true }), 'complaint-address');
    if (expected === undefined || read === undefined) return assert.equal(read, expected);
    const { format, type, recipients } = read;
    assert.deepEqual({ format, type, recipients, isComplaint: isComplaint(read), hasMessage: messageIdOf(read) === ORDER }, expected);
  });
}

test('no sample and no row of a table is without its test', () => {
  assert.deepEqual(names('bounces'), Object.keys(BOUNCES).sort());
  assert.deepEqual(names('auto-replies'), Object.keys(REPLIES).sort());
  assert.deepEqual(names('complaints'), Object.keys(COMPLAINTS).sort());
  const bounceRows = [...BOUNCE_FORMATS, ...GENERIC_BOUNCES].map(({ name }) => name);
  assert.deepEqual(new Set([...bounceRows, 'rfc3464']), new Set(Object.values(BOUNCES).map(({ format }) => format)));
  const replyRows = [...REPLY_FORMATS, ...GENERIC_REPLIES].map(({ name }) => name);
  assert.deepEqual(new Set([...replyRows, 'rfc8098', undefined]), new Set(Object.values(REPLIES).map(([, format]) => format)));
  const complaintRows = COMPLAINT_SHAPES.map(({ name }) => name);
  assert.deepEqual(new Set([...complaintRows, 'rfc5965']), new Set(Object.values(COMPLAINTS).flatMap((each) => each?.format ?? [])));
});

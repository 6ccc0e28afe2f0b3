/** For the tests of `submit`: a house with domains, a template and a store that remembers, and submissions to hand in. */
import assert from 'node:assert/strict';
import { HeldClock } from '#base/clock.ts';
import { AppError } from '#model/errors.ts';
import type { ErrorCode } from '#model/errors.ts';
import type { Principal } from '#model/principal.ts';
import type { Content, Submission } from '#model/submission.ts';
import type { AcceptResult, Domain } from '#store/store.ts';
import type { TemplateVersion } from '#store/template-store.ts';
import { NO_OPTIONS } from './options.ts';
import { createSubmit } from './submit.ts';
import type { Accept, SubmitDeps } from './submit.ts';

export const NOW_MS = Date.UTC(2026, 10, 23, 14, 5, 9);
export const HOUR_MS = 3_600_000;

function domain(id: number, accountId: number, name: string, change: Partial<Domain> = {}): Domain {
  return {
    id,
    accountId,
    name,
    type: 'custom',
    state: 'active',
    createdMs: 0,
    retentionMs: 0,
    requireTls: false,
    skipVerification: false,
    ...change,
  };
}

const DOMAINS = [
  domain(1, 1, 'example.org'),
  domain(2, 1, 'second.example'),
  domain(3, 2, 'other.example'),
  domain(4, 1, 'unverified.example', { state: 'unverified' }),
  domain(5, 1, 'disabled.example', { state: 'disabled' }),
  domain(6, 2, 'theirs.example.org'),
  domain(7, 1, 'strict.example', { requireTls: true }),
];

export const TEMPLATE: TemplateVersion = {
  templateId: 1,
  name: 'welcome',
  tag: 'initial',
  source: '<p>Hello {{name}}</p>',
  engine: 'handlebars',
  comment: '',
  headers: { Subject: 'Welcome {{name}}', 'Reply-To': 'help@example.org' },
  isActive: true,
  createdMs: 0,
};

/** Renders {{name}} only: the real renderer has tests of its own. */
function render(source: string, context: Readonly<Record<string, unknown>>): string {
  if (source.includes('{{broken')) throw new AppError('template-failed', { name: 'source', reason: 'it is broken' });
  return source.replaceAll('{{name}}', String(context['name'] ?? ''));
}

interface House {
  readonly kept: Parameters<Accept>[0][];
  submit(submission: Submission, principal?: Principal): Promise<{ messageId: string; recipientCount: number; repeated: boolean }>;
}

export function house(change: Partial<SubmitDeps> = {}, answer?: AcceptResult): House {
  const kept: Parameters<Accept>[0][] = [];
  const submit = createSubmit({
    domainFor: async (name) => DOMAINS.find((entry) => entry.name === name),
    accept: async (message) => {
      kept.push(message);
      return answer ?? { kind: 'accepted', id: kept.length, contentId: 1, firstRecipient: 1, suppressed: [] };
    },
    clock: new HeldClock(NOW_MS),
    hostname: 'mx.postrider.example',
    limits: {
      messageBytesMax: 100_000,
      headerBytesMax: 20_000,
      recipientsMax: 3,
      batchCopiesMax: 5,
      receivedMax: 5,
      apiLifetimeMs: 8 * HOUR_MS,
      smtpLifetimeMs: 120 * HOUR_MS,
      idempotencyMs: 24 * HOUR_MS,
    },
    requireVerification: true,
    templates: { version: async (domainId, name) => (domainId === 1 && name === 'welcome' ? TEMPLATE : undefined) },
    render,
    htmlToText: (html) => html.replace(/<[^>]*>/g, ''),
    timeZone: 'UTC',
    maySendFrom: (_accountId, ip) => ip === '192.0.2.1',
    mayUsePool: (_accountId, pool) => pool === 'receipts',
    ...change,
  });
  return { kept, submit: (submission, principal = LOGIN) => submit(principal, submission) };
}

export const LOGIN: Principal = { accountId: 1, kind: 'credential', role: 'sending', domainId: 1, login: 'app@example.org' };
export const ACCOUNT_KEY: Principal = { accountId: 1, kind: 'account-key', role: 'admin', keyId: 'k1' };
export const DOMAIN_KEY: Principal = { accountId: 1, kind: 'domain-key', role: 'sending', domainId: 1, keyId: 'k2' };

export const MIME =
  'From: Shop <shop@example.org>\r\nTo: bob@example.net\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\nDate: Mon, 23 Nov 2026 14:00:00 +0000\r\nMessage-ID: <a@b>\r\n\r\nHi\r\n';

export function bySmtp(
  mime: string | Buffer = MIME,
  change: Partial<Submission> = {},
  envelope: Partial<Submission['envelope']> = {},
): Submission {
  return {
    method: 'SMTP',
    domain: 'example.org',
    envelope: { sender: 'shop@example.org', smtputf8: false, body: '8BITMIME', recipients: [{ address: 'bob@example.net' }], ...envelope },
    content: { kind: 'mime', bytes: Buffer.from(mime) },
    options: NO_OPTIONS,
    origin: { address: '198.51.100.9', helo: 'app.example.org', tls: 'TLSv1.3 TLS_AES_256_GCM_SHA384' },
    batch: false,
    ...change,
  };
}

export function byApi(
  parts: Partial<Content & { kind: 'parts' }> = {},
  change: Partial<Submission> = {},
  envelope: Partial<Submission['envelope']> = {},
): Submission {
  const content: Content = {
    kind: 'parts',
    from: 'Shop <shop@example.org>',
    to: ['bob@example.net'],
    cc: [],
    subject: 'Hi',
    text: 'Hello',
    headers: [],
    attachments: [],
    ...parts,
  };
  return bySmtp('', { method: 'HTTP', content, origin: { address: '203.0.113.5' }, ...change }, envelope);
}

export function rawByApi(mime: string): Submission {
  return bySmtp(mime, { method: 'HTTP' });
}

export async function kept(submission: Submission, principal?: Principal, change?: Partial<SubmitDeps>): Promise<Parameters<Accept>[0]> {
  const h = house(change);
  await h.submit(submission, principal);
  assert.equal(h.kept.length, 1);
  return h.kept[0] as Parameters<Accept>[0];
}

export async function refused(
  code: ErrorCode,
  submission: Submission,
  principal?: Principal,
  change?: Partial<SubmitDeps>,
): Promise<string> {
  const h = house(change);
  let message = '';
  await assert.rejects(h.submit(submission, principal), (error) => {
    assert.ok(error instanceof AppError, String(error));
    assert.equal(error.code, code);
    message = error.message;
    return true;
  });
  assert.equal(h.kept.length, 0, 'nothing is kept of what is refused');
  return message;
}

export function text(message: { readonly content: Uint8Array }): string {
  return Buffer.from(message.content).toString('utf8');
}

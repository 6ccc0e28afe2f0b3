/** The API on a real store for the tests of this door: an account with a key, a domain with DKIM keys, and a submit that accepts into the store. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createAccounts } from '#accounts/accounts.ts';
import type { Accounts } from '#accounts/accounts.ts';
import { secretBox } from '#accounts/instance-secret.ts';
import { startApi } from '#api/start.ts';
import type { Api } from '#api/start.ts';
import type { ApiConfig, ApiDeps } from '#api/deps.ts';
import { silentLog } from '#base/log.ts';
import { systemClock } from '#base/clock.ts';
import type { AcceptMessage, Domain } from '#store/store.ts';
import type { Submission } from '#model/submission.ts';
import { openSqliteStore } from '#store/sqlite/open.ts';
import type { SqliteStore } from '#store/sqlite/open.ts';

export interface Tenant {
  readonly accountId: number;
  readonly key: string;
  readonly domain: Domain;
}

export interface ApiRig extends AsyncDisposable {
  readonly api: Api;
  readonly url: string;
  readonly store: SqliteStore;
  readonly accounts: Accounts;
  readonly tenant: Tenant;
  /** What reached `submit`, in order. */
  readonly submissions: readonly Submission[];
  addTenant(name: string, domain: string): Promise<Tenant>;
  /** With the tenant's key, unless the options say otherwise. */
  fetch(path: string, options?: RequestInit & { readonly key?: string }): Promise<Response>;
}

export async function startRig(config: Partial<ApiConfig> = {}, deps: Partial<ApiDeps> = {}): Promise<ApiRig> {
  const directory = await mkdtemp(join(tmpdir(), 'postrider-api-'));
  const store = await openSqliteStore({ path: join(directory, 'store.db'), mode: 'server' });
  const accounts = createAccounts({
    store: store.accounts,
    secret: secretBox(Buffer.alloc(32, 7)),
    dkim: { bits: 1024, ed25519: true },
    retentionMs: 86_400_000,
    sending: { hostname: 'mail.example.org', addresses: [] },
  });
  const submissions: Submission[] = [];
  const api = await startApi({
    store,
    accounts,
    submit: async (principal, submission) => {
      submissions.push(submission);
      return acceptInto(store, accounts, principal.accountId, submission);
    },
    laneReport: () => [],
    config: { listen: [{ host: '127.0.0.1', port: 0 }], hostname: 'mail.example.org', metricsNetworks: [], isCapturing: true, ...config },
    clock: systemClock,
    log: silentLog,
    isReady: () => true,
    ...deps,
  });
  const url = `http://127.0.0.1:${api.port}`;
  const addTenant = (name: string, domain: string): Promise<Tenant> => makeTenant(accounts, name, domain);
  const tenant = await addTenant('main', 'example.org');
  return {
    api,
    url,
    store,
    accounts,
    tenant,
    submissions,
    addTenant,
    fetch: (path, { key = tenant.key, ...options } = {}) =>
      fetch(url + path, { ...options, headers: { authorization: basic(key), ...(options.headers as Record<string, string> | undefined) } }),
    async [Symbol.asyncDispose]() {
      await api.close();
      await store.close();
      await rm(directory, { recursive: true });
    },
  };
}

async function makeTenant(accounts: Accounts, name: string, domainName: string): Promise<Tenant> {
  const account = await accounts.createAccount(name);
  const { secret } = await accounts.createKey({ accountId: account.id, role: 'admin' });
  const domain = await accounts.addDomain(account.id, domainName);
  if (domain === undefined) throw new Error(`${domainName} is taken`);
  return { accountId: account.id, key: secret, domain };
}

export function basic(key: string): string {
  return `Basic ${Buffer.from(`api:${key}`).toString('base64')}`;
}

/** The least that makes a message of a submission: the rules of `submission/` are tested where they live. */
async function acceptInto(store: SqliteStore, accounts: Accounts, accountId: number, submission: Submission) {
  const domain = (await accounts.domainFor(submission.domain)) as Domain;
  const { content, envelope, options } = submission;
  const nowMs = Date.now();
  const mime =
    content.kind === 'mime'
      ? content.bytes
      : Buffer.from(
          `From: ${content.from}\r\nTo: ${content.to.join(', ')}\r\nSubject: ${content.subject ?? ''}\r\n\r\n${content.text ?? content.html ?? ''}\r\n`,
        );
  const messageId = `${nowMs}.${Math.random().toString(16).slice(2)}@${domain.name}`;
  const message: AcceptMessage = {
    accountId,
    domainId: domain.id,
    domain: domain.name,
    messageId,
    sender: envelope.sender,
    createdMs: nowMs,
    dueAtMs: options.deliverAtMs ?? nowMs,
    wait: options.deliverAtMs === undefined ? 'due' : 'scheduled',
    expiresAtMs: nowMs + 28_800_000,
    priority: 1,
    info: {
      from: content.kind === 'parts' ? content.from : '',
      to: content.kind === 'parts' ? content.to.join(', ') : '',
      subject: content.kind === 'parts' ? (content.subject ?? '') : '',
      sizeBytes: mime.length,
      attachments:
        content.kind === 'parts'
          ? content.attachments.map((item) => ({ filename: item.filename, 'content-type': item.contentType, size: item.bytes.length }))
          : [],
      method: 'HTTP',
      origin: submission.origin,
      options,
      smtputf8: envelope.smtputf8,
      body: envelope.body,
    },
    content: new Uint8Array(mime),
    recipients: envelope.recipients.map((recipient) => ({
      address: recipient.address,
      domain: recipient.address.slice(recipient.address.lastIndexOf('@') + 1),
      isLeased: false,
    })),
    ...(submission.idempotency !== undefined && { idempotency: { ...submission.idempotency, untilMs: nowMs + 86_400_000 } }),
  };
  const result = await store.mail.accept(message);
  if (result.kind === 'conflict') throw new (await import('#model/errors.ts')).AppError('idempotency-conflict');
  if (result.kind === 'repeat')
    return { messageId: result.messageId, id: result.id, recipientCount: result.recipientCount, repeated: true };
  return { messageId, id: result.id, recipientCount: message.recipients.length, repeated: false };
}

/** The API on a real store for the tests of this door: an account with a key, a domain with DKIM keys, and the real way in. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createAccounts } from '#accounts/accounts.ts';
import type { Accounts } from '#accounts/accounts.ts';
import { createDynamicPools } from '#accounts/dynamic-pools.ts';
import { secretBox } from '#accounts/instance-secret.ts';
import { createAlertKeys } from '#accounts/signing-key.ts';
import { startApi } from '#api/start.ts';
import type { Api } from '#api/start.ts';
import type { ApiConfig, ApiDeps } from '#api/deps.ts';
import { silentLog } from '#base/log.ts';
import { systemClock } from '#base/clock.ts';
import { measureHealth } from '#app/pool-health.ts';
import type { Submission, Submit } from '#model/submission.ts';
import type { Domain } from '#store/store.ts';
import type { OpenedStore } from '#store/open.ts';
import { createIntake } from '#queue/intake.ts';
import { Memory } from '#queue/memory.ts';
import { createSubmit } from '#submission/submit.ts';
import { htmlToText } from '#templates/html-text.ts';
import { createRenderer } from '#templates/render.ts';
import { createValidate, type Validate } from '#validation/validate.ts';
import { openTestStore } from '../kit/stores.ts';

export interface Tenant {
  readonly accountId: number;
  readonly key: string;
  readonly domain: Domain;
}

export interface ApiRig extends AsyncDisposable {
  readonly api: Api;
  readonly url: string;
  /** Of the embedded store. */
  readonly directory: string;
  readonly store: OpenedStore;
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
  const store = await openTestStore(directory, { mode: 'server' });
  const accounts = createAccounts({
    store: store.accounts,
    access: store.access,
    domains: store.domains,
    secret: secretBox(Buffer.alloc(32, 7)),
    dkim: { bits: 1024, ed25519: true },
    retentionMs: 86_400_000,
    sending: { hostname: 'mail.example.org', addresses: [] },
  });
  const submissions: Submission[] = [];
  const submit = submitInto(store, accounts);
  const api = await startApi({
    store,
    accounts,
    submit: (principal, submission) => {
      submissions.push(submission);
      return submit(principal, submission);
    },
    render: createRenderer(),
    verifyDomain: async (domain) => (await accounts.verifyDomain(domain, async () => undefined)).domain,
    dynamicPools: createDynamicPools({
      egress: store.egress,
      changeDomain: accounts.changeDomain,
      domainById: accounts.domainById,
      parentOf: async (accountId) => (await accounts.standingOf(accountId))?.parentId,
      measure: measureHealth(store, systemClock),
      clock: systemClock,
      log: silentLog,
    }),
    alertKeys: createAlertKeys(store.alerts, secretBox(Buffer.alloc(32, 7))),
    testAlert: async () => 'nothing is told here',
    validateAddress: validation(store),
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
    directory,
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

/** Without DNS. */
export function validation(store: OpenedStore): Validate {
  return createValidate({
    dns: undefined,
    pastTroubles: (accountId, address) => store.suppressions.suppressionsOfAddress(accountId, address, 10),
  });
}

/** The real way in, up to the commit; nothing is delivered. */
function submitInto(store: OpenedStore, accounts: Accounts): Submit {
  const accept = createIntake({
    store,
    clock: systemClock,
    memory: new Memory({ recipientsMax: 0, contentBytesMax: 0, load: async () => undefined }),
    roomFor: () => 0,
    enter: () => assert.fail('nothing is leased where there is no room'),
    ring: () => undefined,
  });
  return createSubmit({
    domainFor: accounts.domainFor,
    accept: async (message) => {
      const result = await accept(message);
      if (result.kind === 'ungranted') throw new Error('no grant was asked for');
      return result;
    },
    clock: systemClock,
    hostname: 'mail.example.org',
    limits: {
      messageBytesMax: 25 * 1024 * 1024,
      headerBytesMax: 512 * 1024,
      recipientsMax: 1000,
      batchCopiesMax: 10_000,
      receivedMax: 50,
      apiLifetimeMs: 8 * 3_600_000,
      smtpLifetimeMs: 5 * 86_400_000,
      idempotencyMs: 86_400_000,
    },
    requireVerification: false,
    templates: store.templates,
    render: createRenderer(),
    htmlToText,
    timeZone: 'UTC',
    maySendFrom: () => false,
    mayUsePool: (_accountId, pool) => pool === 'default',
    refusalOf: accounts.sendingRefusal,
    maySandboxSendTo: accounts.maySandboxSendTo,
  });
}

export type Json = Record<string, unknown>;

/** Asks with a form, by the tenant's key unless another is given; the status, and the JSON that was answered. */
export async function ask(
  rig: ApiRig,
  method: string,
  path: string,
  fields?: Readonly<Record<string, string | readonly string[]>>,
  key?: string,
): Promise<[status: number, body: Json]> {
  if (fields === undefined) return askWith(rig, method, path, undefined, key);
  const form = new URLSearchParams();
  for (const [name, value] of Object.entries(fields)) for (const each of [value].flat()) form.append(name, each);
  return askWith(rig, method, path, form, key);
}

/** The same with any body: what is no form goes as JSON. `path`: also a whole URL of the rig. */
export async function askWith(
  rig: ApiRig,
  method: string,
  path: string,
  body?: unknown,
  key?: string,
): Promise<[status: number, body: Json]> {
  const isForm = body instanceof FormData || body instanceof URLSearchParams;
  const response = await rig.fetch(path.replace(rig.url, ''), {
    method,
    headers: body === undefined || isForm ? {} : { 'content-type': 'application/json' },
    ...(body !== undefined && { body: isForm ? body : JSON.stringify(body) }),
    ...(key !== undefined && { key }),
  });
  return [response.status, (await response.json()) as Json];
}

/** Of an answer with this status. */
export async function bodyOf<T>(response: Response, status = 200): Promise<T> {
  const text = await response.text();
  assert.equal(response.status, status, text);
  return JSON.parse(text) as T;
}

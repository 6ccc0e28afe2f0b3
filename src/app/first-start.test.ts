import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { createAccounts } from '#accounts/accounts.ts';
import type { Accounts } from '#accounts/accounts.ts';
import { openInstanceSecret } from '#accounts/instance-secret.ts';
import type { Log } from '#base/log.ts';
import { silentLog } from '#base/log.ts';
import type { OpenedStore } from '#store/open.ts';
import { openTestStore } from '../../test/kit/stores.ts';
import { loadConfig } from './config.ts';
import type { Config } from './config.ts';
import { firstStart, SANDBOX_DOMAIN, welcome } from './first-start.ts';

const KEY = 'key-0123456789abcdef0123456789abcdef';
let directory: string;
let store: OpenedStore;
let accounts: Accounts;
/** What makes a store one of several nodes is its URL. */
const SHARED = { POSTRIDER_STORE_URL: 'postgres://app@db.example/mail' };

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'postrider-first-'));
  store = await openTestStore(directory);
  accounts = createAccounts({
    store: store.accounts,
    access: store.access,
    domains: store.domains,
    secret: await openInstanceSecret({ data: directory }, store.accounts),
    dkim: { bits: 2048, ed25519: false },
    retentionMs: 0,
    sending: { hostname: 'mx.example.net', addresses: [] },
  });
});
afterEach(async () => {
  await store.close();
  rmSync(directory, { recursive: true });
});

const config = (dev: boolean, env: Record<string, string> = {}): Config => loadConfig({ env: { POSTRIDER_DATA: directory, ...env }, dev });

test('the first start makes an account with a key, and further starts make nothing', async () => {
  const made = await firstStart(config(false), accounts, store.accounts, silentLog);
  assert.ok(made);
  assert.equal((await accounts.authenticateKey(made.apiKey))?.accountId, made.accountId);
  assert.equal(made.domain, undefined, 'nothing can be sent from a sandbox domain where mail is really delivered');
  assert.equal(await firstStart(config(false), accounts, store.accounts, silentLog), undefined);
  assert.equal((await accounts.listAccounts()).length, 1);
  assert.equal(readdirSync(directory).includes('dev-credentials.json'), false, 'a secret is not left in a file');
});

test('POSTRIDER_API_KEY is the key of the first account', async () => {
  await firstStart(config(false, { POSTRIDER_API_KEY: KEY }), accounts, store.accounts, silentLog);
  assert.equal((await accounts.authenticateKey(KEY))?.role, 'admin');
});

test('a later POSTRIDER_API_KEY opens nothing, and the operator is told', async () => {
  await firstStart(config(false), accounts, store.accounts, silentLog);
  const warnings: string[] = [];
  const log: Log = { ...silentLog, warn: (_, sentence) => void warnings.push(sentence) };
  await firstStart(config(false, { POSTRIDER_API_KEY: KEY }), accounts, store.accounts, log);
  assert.equal(await accounts.authenticateKey(KEY), undefined);
  assert.match(warnings.join(), /POSTRIDER_API_KEY is not a key of this installation/);
  assert.equal(warnings.join().includes(KEY), false);
});

test('development mode makes a sandbox to send from, and every start shows the same credentials', async () => {
  const made = await firstStart(config(true), accounts, store.accounts, silentLog);
  assert.equal(made?.domain, SANDBOX_DOMAIN);
  assert.equal((await accounts.domainFor(SANDBOX_DOMAIN))?.state, 'active');
  const login = await accounts.authenticateLogin({
    login: made?.smtpLogin ?? '',
    password: made?.smtpPassword ?? '',
    address: '127.0.0.1',
  });
  assert.equal(login.kind, 'ok');
  assert.deepEqual(await firstStart(config(true), accounts, store.accounts, silentLog), made);
  if (process.platform !== 'win32') assert.equal(statSync(join(directory, 'dev-credentials.json')).mode & 0o777, 0o600);
});

test('development mode makes new credentials when the kept ones were revoked', async () => {
  const made = await firstStart(config(true), accounts, store.accounts, silentLog);
  const [key] = await accounts.listKeys(made?.accountId ?? 0);
  await accounts.revokeKey(made?.accountId ?? 0, key?.id ?? '');
  const again = await firstStart(config(true), accounts, store.accounts, silentLog);
  assert.notEqual(again?.apiKey, made?.apiKey);
  assert.ok(await accounts.authenticateKey(again?.apiKey ?? ''));
  assert.equal((await accounts.listAccounts()).length, 1);
});

test('of nodes that start at once on a new store one makes the account, and all go on when it has', async () => {
  const key = { ...SHARED, POSTRIDER_API_KEY: KEY };
  const made = await Promise.all(Array.from({ length: 3 }, () => firstStart(config(false, key), accounts, store.accounts, silentLog)));
  assert.equal(made.filter((credentials) => credentials !== undefined).length, 1);
  assert.deepEqual(
    (await accounts.listAccounts()).map(({ name }) => name),
    ['main'],
  );
});

test('a second node in development mode has credentials of its own, and the first keeps its login', async () => {
  const first = await firstStart(config(true, SHARED), accounts, store.accounts, silentLog);
  const elsewhere = mkdtempSync(join(directory, 'second-'));
  const second = await firstStart(config(true, { ...SHARED, POSTRIDER_DATA: elsewhere }), accounts, store.accounts, silentLog);
  assert.notEqual(second?.smtpLogin, first?.smtpLogin);
  for (const made of [first, second]) {
    const asked = { login: made?.smtpLogin ?? '', password: made?.smtpPassword ?? '', address: '127.0.0.1' };
    assert.equal((await accounts.authenticateLogin(asked)).kind, 'ok');
  }
  assert.equal((await accounts.listAccounts()).length, 1);
});

test('the welcome can be pasted: a curl with the key, and the settings of an SMTP client', async () => {
  const made = await firstStart(config(true), accounts, store.accounts, silentLog);
  assert.ok(made);
  const text = welcome(made, { http: 'http://127.0.0.1:8080', smtp: { host: '127.0.0.1', port: 2525 } });
  assert.match(text, new RegExp(`curl -s --user 'api:${made.apiKey}' http://127\\.0\\.0\\.1:8080/v3/sandbox\\.postrider\\.test/messages`));
  assert.match(text, /host 127\.0\.0\.1, port 2525, STARTTLS/);
  assert.ok(text.includes(`password ${made.smtpPassword}`));
});

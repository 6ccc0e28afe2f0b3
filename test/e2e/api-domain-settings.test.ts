/** Domains made, changed, verified and deleted, with their DKIM keys, tracking and connection settings, as the clients of the API ask for them. */
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { test } from 'node:test';
import Mailgun from 'mailgun.js';
import { HeldClock, systemClock } from '#base/clock.ts';
import { createDomainCheck } from '#app/domain-check.ts';
import type { Config } from '#app/config.ts';
import { startDnsZone } from '../kit/dns-zone.ts';
import { type ApiRig, ask, type Json, startRig } from './api-kit.ts';

async function sendAs(rig: ApiRig, fields: Record<string, string> = {}): Promise<number> {
  const [status] = await ask(rig, 'POST', '/v3/example.org/messages', { from: 'a@example.org', to: 'b@example.net', text: 'x', ...fields });
  return status;
}

test('a domain is made with every parameter, and each can be changed later; what is not named stays', async () => {
  await using rig = await startRig();
  const [status, made] = await ask(rig, 'POST', '/v4/domains', {
    name: 'new.example',
    spam_action: 'tag',
    wildcard: 'True',
    web_scheme: 'http',
    web_prefix: 'click',
    require_tls: 'yes',
    skip_verification: '1',
    message_ttl: '3600',
    dkim_selector: 'mail',
    dkim_key_size: '1024',
    smtp_password: 'secret-1',
  });
  assert.equal(status, 200);
  assert.partialDeepStrictEqual(made['domain'], {
    name: 'new.example',
    spam_action: 'tag',
    wildcard: true,
    web_scheme: 'http',
    web_prefix: 'click',
    require_tls: true,
    skip_verification: true,
    message_ttl: 3600,
    state: 'unverified',
  });
  const sending = made['sending_dns_records'] as Json[];
  assert.ok(sending.some(({ name, record_type: type }) => name === 'mail._domainkey.new.example' && type === 'TXT'));
  assert.ok(
    sending.some(({ name, record_type: type, value }) => name === 'click.new.example' && type === 'CNAME' && value === 'mail.example.org'),
  );
  assert.deepEqual(made['receiving_dns_records'], [
    { is_active: true, cached: [], priority: '10', record_type: 'MX', valid: 'unknown', value: 'mail.example.org' },
  ]);
  const kept = async (): Promise<number | undefined> => (await rig.store.accounts.domainByName('new.example'))?.retentionMs;
  assert.equal(await kept(), 3_600_000);
  const [, changed] = await ask(rig, 'PUT', '/v3/domains/new.example', { spam_action: 'block', web_scheme: 'https', message_ttl: '0' });
  assert.equal(changed['message'], 'Domain has been updated');
  assert.partialDeepStrictEqual(changed['domain'], {
    spam_action: 'block',
    web_scheme: 'https',
    wildcard: true,
    web_prefix: 'click',
    message_ttl: 0,
  });
  assert.equal(await kept(), 86_400_000);
  const login = { login: 'postmaster@new.example', password: 'secret-1', address: '192.0.2.1' };
  assert.equal((await rig.accounts.authenticateLogin(login)).kind, 'ok');
});

test('a parameter that cannot be understood is refused with its name, and nothing is kept of the request', async () => {
  await using rig = await startRig();
  for (const [name, value] of [
    ['spam_action', 'maybe'],
    ['wildcard', 'perhaps'],
    ['web_scheme', 'ftp'],
    ['web_prefix', 'a b'],
    ['message_ttl', '-1'],
    ['message_ttl', '1e9'],
    ['dkim_key_size', '999'],
    ['dkim_selector', 'a\r\nb'],
    ['archive_to', 'javascript:alert(1)'],
    ['archive_to', 'https://hooks.example/\r\nx'],
    ['ips', '198.51.100.200'],
    ['smtp_password', 'abc'],
  ] as const) {
    const [status, body] = await ask(rig, 'POST', '/v4/domains', { name: 'bad.example', [name]: value });
    assert.equal(status, 400, `${name}=${value}`);
    assert.equal(typeof body['message'], 'string');
  }
  assert.equal((await ask(rig, 'GET', '/v4/domains/bad.example'))[0], 404);
  assert.equal((await ask(rig, 'PUT', '/v4/domains/example.org', { wildcard: 'yes', spam_action: 'x' }))[0], 400);
  assert.partialDeepStrictEqual((await ask(rig, 'GET', '/v4/domains/example.org'))[1]['domain'], { wildcard: false });
});

test('lists are filtered and sorted', async () => {
  await using rig = await startRig();
  for (const name of ['zeta.example', 'beta.example']) await ask(rig, 'POST', '/v4/domains', { name });
  const names = async (query: string): Promise<unknown[]> =>
    ((await ask(rig, 'GET', `/v4/domains?${query}`))[1]['items'] as Json[]).map(({ name }) => name);
  assert.deepEqual(await names('sort=name:desc'), ['zeta.example', 'example.org', 'beta.example']);
  assert.deepEqual(await names('search=ETA&sort=name'), ['beta.example', 'zeta.example']);
  assert.deepEqual(await names('state=active'), []);
  assert.deepEqual(await names('authority=beta.example'), ['beta.example']);
  assert.equal((await ask(rig, 'GET', '/v4/domains?sort=__proto__'))[0], 400);
});

test('verifying looks every record up; what stands in DNS is shown, and an answer that does not come changes nothing', async () => {
  const zone = await startDnsZone({});
  let check: ReturnType<typeof createDomainCheck> | undefined;
  await using rig: ApiRig = await startRig(
    {},
    {
      verifyDomain: async (domain) => (await (check as NonNullable<typeof check>).verify(domain)).domain,
      clock: new HeldClock(Date.now()),
    },
  );
  check = createDomainCheck(
    { dns: { servers: [zone.server], timeoutMs: 30_000, tries: 1 } } as unknown as Config,
    rig.accounts,
    systemClock,
  );
  try {
    const recordsOf = (answer: Json): Json[] => [
      ...(answer['sending_dns_records'] as Json[]),
      ...(answer['receiving_dns_records'] as Json[]),
    ];
    const [, before] = await ask(rig, 'GET', '/v4/domains/example.org');
    assert.ok(recordsOf(before).every(({ valid }) => valid === 'unknown'));
    const dkim = recordsOf(before).filter(({ name }) => String(name).includes('._domainkey.'));
    for (const { name, value } of dkim) zone.zone[String(name)] = { TXT: [(String(value).match(/.{1,255}/g) ?? []) as string[]] };
    zone.zone['example.org'] = { TXT: ['v=spf1 include:elsewhere.example ~all'], MX: [[10, 'mail.example.org']] };
    zone.zone['email.example.org'] = { CNAME: 'mail.example.org' };
    const [status, verified] = await ask(rig, 'PUT', '/v4/domains/example.org/verify');
    assert.equal(status, 200);
    assert.equal(verified['message'], 'Domain DNS records have been updated');
    assert.equal((verified['domain'] as Json)['state'], 'active');
    const validOf = (answer: Json, type: string, name?: string): unknown =>
      recordsOf(answer).find((record) => record['record_type'] === type && (name === undefined || record['name'] === name))?.['valid'];
    assert.equal(validOf(verified, 'TXT', String(dkim[0]?.['name'])), 'valid');
    assert.equal(validOf(verified, 'TXT', 'example.org'), 'invalid');
    assert.equal(validOf(verified, 'CNAME'), 'valid');
    assert.equal(validOf(verified, 'MX'), 'valid');
    assert.equal(validOf(verified, 'TXT', '_dmarc.example.org'), 'invalid');
    const spf = recordsOf(verified).find(({ name, record_type: type }) => name === 'example.org' && type === 'TXT');
    assert.deepEqual(spf?.['cached'], ['v=spf1 include:elsewhere.example ~all']);
    zone.zone['email.example.org'] = { refusal: 'SERVFAIL' };
    delete zone.zone['example.org'];
    const [, later] = await ask(rig, 'PUT', '/v3/domains/example.org/verify');
    assert.equal(validOf(later, 'CNAME'), 'valid');
    assert.equal(validOf(later, 'MX'), 'invalid');
    assert.equal((later['domain'] as Json)['state'], 'active');
    const statuses = [];
    for (let i = 0; i < 12; i++) statuses.push((await ask(rig, 'PUT', '/v4/domains/example.org/verify'))[0]);
    assert.ok(statuses.includes(429));
  } finally {
    check.close();
    await zone.close();
  }
});

test('what the connection of a domain demands is demanded by its mail', async () => {
  await using rig = await startRig();
  const path = '/v3/domains/example.org/connection';
  assert.deepEqual(await ask(rig, 'GET', path), [
    200,
    { require_tls: false, skip_verification: false, connection: { require_tls: false, skip_verification: false } },
  ]);
  const [, changed] = await ask(rig, 'PUT', path, { 'require-tls': 'true' });
  assert.partialDeepStrictEqual(changed, { require_tls: true, 'require-tls': true, skip_verification: false });
  assert.equal((await ask(rig, 'PUT', path, { require_tls: 'sometimes' }))[0], 400);
  assert.equal(await sendAs(rig), 200);
  const [latest] = await rig.store.events.latestMessages(rig.tenant.accountId, 1);
  assert.equal(latest?.message.info.options.requireTls, true);
});

test('tracking settings are kept as they are set, and shown with their defaults', async () => {
  await using rig = await startRig();
  const path = '/v3/domains/example.org/tracking';
  const [, shown] = await ask(rig, 'GET', path);
  assert.deepEqual(shown['tracking'], {
    open: { active: false, place_at_the_top: false },
    click: { active: false },
    unsubscribe: {
      active: false,
      html_footer: '\n<br>\n<p><a href="%unsubscribe_url%">unsubscribe</a></p>\n',
      text_footer: '\n\nTo unsubscribe click: <%unsubscribe_url%>\n\n',
    },
    web_scheme: 'https',
  });
  const message = 'Domain tracking settings have been updated';
  assert.deepEqual(await ask(rig, 'PUT', `${path}/click`, { active: 'htmlonly' }), [200, { message, click: { active: 'htmlonly' } }]);
  assert.deepEqual(await ask(rig, 'PUT', `${path}/click`, { active: 'false' }), [200, { message, click: { active: false } }]);
  assert.deepEqual(await ask(rig, 'PUT', `${path}/open`, { active: 'yes', place_at_the_top: 'true' }), [
    200,
    { message, open: { active: true, place_at_the_top: true } },
  ]);
  assert.deepEqual(await ask(rig, 'PUT', `${path}/unsubscribe`, { active: 'on', html_footer: '<b>bye</b>', text_footer: '' }), [
    200,
    { message, unsubscribe: { active: true, html_footer: '<b>bye</b>', text_footer: '' } },
  ]);
  assert.equal((await ask(rig, 'PUT', `${path}/open`, { active: 'htmlonly' }))[0], 400);
  const half = await rig.fetch(`${path}/unsubscribe`, {
    method: 'PUT',
    body: String.raw`{"html_footer":"\ud800"}`,
    headers: { 'content-type': 'application/json' },
  });
  assert.equal(half.status, 400);
  assert.deepEqual(await ask(rig, 'PUT', '/v3/domains/example.org/web_prefix', { web_prefix: 'go' }), [
    200,
    { message: 'Domain web prefix updated' },
  ]);
  assert.equal((await ask(rig, 'PUT', '/v3/domains/example.org/web_prefix', { web_prefix: '../x' }))[0], 400);
});

test('keys are made and imported, sign when they are activated, and the last one stays', async () => {
  await using rig = await startRig();
  const { domain } = rig.tenant;
  const first = (await rig.accounts.signingKeys(domain.id))[0]?.selector as string;
  const [status, made] = await ask(rig, 'POST', '/v1/dkim/keys', { signing_domain: 'example.org', selector: 'K1', bits: '1024' });
  assert.equal(status, 200);
  assert.partialDeepStrictEqual(made, {
    signing_domain: 'example.org',
    selector: 'k1',
    dns_record: { name: 'k1._domainkey.example.org', is_active: false },
  });
  assert.deepEqual(await ask(rig, 'POST', '/v1/dkim/keys', { signing_domain: 'example.org', selector: 'k1' }), [
    400,
    { message: 'failed to create domain key: duplicate key' },
  ]);
  const activate = '/v4/domains/example.org/keys/k1';
  assert.deepEqual(await ask(rig, 'PUT', `${activate}/activate`), [
    200,
    { message: 'domain key activated', authority: 'example.org', selector: 'k1', active: true },
  ]);
  assert.equal((await rig.accounts.signingKeys(domain.id))[0]?.selector, 'k1');
  assert.equal((await ask(rig, 'PUT', `/v4/domains/example.org/keys/${first}/deactivate`))[0], 200);
  assert.deepEqual(await ask(rig, 'PUT', `${activate}/deactivate`), [
    400,
    { message: 'cannot deactivate domain key: must have at least one active domain key' },
  ]);
  const query = 'signing_domain=example.org&selector';
  assert.deepEqual(await ask(rig, 'DELETE', `/v1/dkim/keys?${query}=k1`), [
    400,
    { message: 'cannot delete domain key: must have at least one active domain key' },
  ]);
  assert.deepEqual(await ask(rig, 'DELETE', `/v1/dkim/keys?${query}=${first}`), [200, { message: 'success' }]);
  assert.deepEqual(await ask(rig, 'DELETE', `/v1/dkim/keys?${query}=${first}`), [404, { message: 'domain key not found' }]);
  assert.equal((await ask(rig, 'PUT', '/v4/domains/example.org/keys/none/activate'))[0], 404);
});

test('a key is imported as PEM, whichever way it is wrapped; what is no RSA key is refused', async () => {
  await using rig = await startRig();
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 1024 });
  const form = { signing_domain: 'example.org', selector: 'own' };
  const [, made] = await ask(rig, 'POST', '/v1/dkim/keys', { ...form, pem: privateKey.export({ type: 'pkcs1', format: 'pem' }) as string });
  assert.match(String((made['dns_record'] as Json)['value']), /^v=DKIM1; k=rsa; p=MIGf/);
  assert.deepEqual(await ask(rig, 'POST', '/v1/dkim/keys', { ...form, selector: 'x', pem: 'nonsense' }), [
    400,
    { message: 'failed to import domain key: failed to parse PEM' },
  ]);
  const other = generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }) as string;
  assert.equal((await ask(rig, 'POST', '/v1/dkim/keys', { ...form, selector: 'x', pem: other }))[0], 400);
});

test('keys of all domains are paged to the end and back', async () => {
  await using rig = await startRig();
  await ask(rig, 'POST', '/v4/domains', { name: 'second.example', dkim_selector: 's', dkim_key_size: '1024' });
  const page = async (url: string): Promise<[string[], Record<string, string>]> => {
    const [, body] = await ask(rig, 'GET', url.replace(rig.url, ''));
    const items = body['items'] as { signing_domain: string; selector: string }[];
    return [items.map((item) => `${item.signing_domain} ${item.selector}`), body['paging'] as Record<string, string>];
  };
  const [all] = await page('/v1/dkim/keys');
  assert.equal(all.length, 4);
  const [first, links] = await page('/v1/dkim/keys?limit=3');
  const [second, after] = await page(links['next'] as string);
  assert.deepEqual([...first, ...second], all);
  assert.deepEqual((await page(after['previous'] as string))[0], first);
  assert.deepEqual((await page(links['last'] as string))[0], all.slice(1));
  assert.deepEqual((await page(after['next'] as string))[0], []);
  assert.deepEqual((await page('/v1/dkim/keys?signing_domain=second.example&selector=s'))[0], ['second.example s']);
  assert.equal((await ask(rig, 'GET', '/v1/dkim/keys?page=xxx'))[0], 400);
});

test('the selector of the key that signs is changed, and a domain may sign with the keys of the one above it', async () => {
  await using rig = await startRig();
  assert.deepEqual(await ask(rig, 'PUT', '/v3/domains/example.org/dkim_selector', { dkim_selector: 'fresh' }), [
    200,
    { message: 'DKIM selector changed' },
  ]);
  assert.equal((await rig.accounts.signingKeys(rig.tenant.domain.id))[0]?.selector, 'fresh');
  await ask(rig, 'POST', '/v4/domains', { name: 'news.example.org', dkim_key_size: '1024' });
  const authority = '/v3/domains/news.example.org/dkim_authority';
  assert.partialDeepStrictEqual((await ask(rig, 'PUT', authority, { self: 'true' }))[1], {
    message: 'Domain DKIM authority has not been changed',
    changed: false,
  });
  const [, changed] = await ask(rig, 'PUT', authority, { self: 'false' });
  assert.equal(changed['changed'], true);
  assert.ok((changed['sending_dns_records'] as Json[]).some(({ name }) => name === 'fresh._domainkey.example.org'));
  const news = await rig.accounts.domainFor('news.example.org');
  const [key] = await rig.accounts.signingKeys(news?.id as number);
  assert.deepEqual([key?.domain, key?.selector], ['example.org', 'fresh']);
});

test('rotation is told how often, and made at once when it is asked for', async () => {
  await using rig = await startRig();
  const path = '/v1/dkim_management/domains/example.org';
  const [, on] = await ask(rig, 'PUT', `${path}/rotation`, { rotation_enabled: 'true', rotation_interval: '30d' });
  assert.partialDeepStrictEqual(on['domain'], { name: 'example.org', rotation_enabled: true, rotation_interval: '30d' });
  assert.deepEqual(await ask(rig, 'PUT', `${path}/rotation`, { rotation_enabled: 'false', rotation_interval: '30d' }), [
    400,
    { message: 'rotation_interval is not allowed unless also enabling DKIM rotation' },
  ]);
  assert.equal((await ask(rig, 'PUT', `${path}/rotation`, { rotation_enabled: 'true', rotation_interval: '1d' }))[0], 400);
  assert.equal((await ask(rig, 'POST', `${path}/rotate`))[0], 400);
  await rig.accounts.setDomainState(rig.tenant.domain.id, 'active');
  assert.equal((await ask(rig, 'POST', `${path}/rotate`))[0], 200);
  const states = (await rig.accounts.domainKeys(rig.tenant.domain)).map(({ state }) => state);
  assert.deepEqual(states, ['signing', 'signing', 'published', 'published']);
});

test('a deleted domain is gone at once with its logins, its mail stays queued, and its name can be had again', async () => {
  await using rig = await startRig();
  assert.equal(await sendAs(rig), 200);
  await ask(rig, 'POST', '/v3/domains/example.org/credentials', { login: 'app', password: 'secret-1' });
  assert.deepEqual(await ask(rig, 'DELETE', '/v3/domains/example.org'), [200, { message: 'Domain will be deleted in the background' }]);
  assert.deepEqual(await ask(rig, 'DELETE', '/v4/domains/example.org'), [404, { message: 'Domain not found' }]);
  const letter = new URLSearchParams({ from: 'a@example.org', to: 'b@example.net', text: 'x' });
  assert.equal((await rig.fetch('/v3/example.org/messages', { method: 'POST', body: letter })).status, 401);
  const login = { login: 'app@example.org', password: 'secret-1', address: '192.0.2.1' };
  assert.notEqual((await rig.accounts.authenticateLogin(login)).kind, 'ok');
  assert.equal((await rig.store.events.queueDepth()).queued, 1);
  const { key } = await rig.addTenant('next', 'next.example');
  assert.equal((await ask(rig, 'POST', '/v4/domains', { name: 'example.org' }, key))[0], 200);
});

test('what belongs to a domain of another account is not there', async () => {
  await using rig = await startRig();
  const { key } = await rig.addTenant('other', 'other.example');
  for (const [method, path, fields] of [
    ['PUT', '/v4/domains/example.org', { wildcard: 'yes' }],
    ['PUT', '/v3/domains/example.org/verify', {}],
    ['DELETE', '/v3/domains/example.org', undefined],
    ['GET', '/v3/domains/example.org/connection', undefined],
    ['PUT', '/v3/domains/example.org/connection', { require_tls: 'yes' }],
    ['GET', '/v3/domains/example.org/tracking', undefined],
    ['PUT', '/v3/domains/example.org/tracking/open', { active: 'yes' }],
    ['PUT', '/v3/domains/example.org/web_prefix', { web_prefix: 'x' }],
    ['PUT', '/v3/domains/example.org/dkim_authority', { self: 'yes' }],
    ['PUT', '/v3/domains/example.org/dkim_selector', { dkim_selector: 'x' }],
    ['GET', '/v4/domains/example.org/keys', undefined],
    ['PUT', '/v4/domains/example.org/keys/k1/activate', undefined],
    ['POST', '/v1/dkim/keys', { signing_domain: 'example.org', selector: 'x' }],
    ['DELETE', '/v1/dkim/keys?signing_domain=example.org&selector=x', undefined],
    ['PUT', '/v1/dkim_management/domains/example.org/rotation', { rotation_enabled: 'yes' }],
  ] as const) {
    assert.equal((await ask(rig, method, path, fields, key))[0], 404, `${method} ${path}`);
  }
  assert.deepEqual(
    ((await ask(rig, 'GET', '/v1/dkim/keys', undefined, key))[1]['items'] as Json[]).map((item) => item['signing_domain']),
    ['other.example', 'other.example'],
  );
});

test('mailgun.js reads and changes domains', async () => {
  await using rig = await startRig();
  const client = new Mailgun(FormData).client({ username: 'api', key: rig.tenant.key, url: rig.url });
  assert.equal((await client.domains.create({ name: 'js.example', web_prefix: 'go' })).name, 'js.example');
  assert.equal((await client.domains.get('js.example')).web_prefix, 'go');
  assert.equal((await client.domains.verify('js.example')).state, 'unverified');
  assert.equal((await client.domains.update('js.example', { wildcard: true })).wildcard, true);
  assert.equal((await client.domains.getConnection('js.example')).require_tls, false);
  await client.domains.updateConnection('js.example', { require_tls: true, skip_verification: true });
  assert.equal((await client.domains.getTracking('js.example')).click.active, false);
  await client.domains.updateTracking('js.example', 'open', { active: true });
  assert.equal((await client.domains.updateDKIMAuthority('js.example', { self: 'yes' })).changed, false);
  assert.equal((await client.domains.updateDKIMSelector('js.example', { dkimSelector: 'k' })).message, 'DKIM selector changed');
  await client.domains.updateWebPrefix('js.example', { webPrefix: 'web' });
  assert.equal((await client.domains.get('js.example')).web_prefix, 'web');
  assert.match((await client.domains.destroy('js.example')).message, /deleted in the background/);
});

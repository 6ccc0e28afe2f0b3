/** Address validation over HTTP, as the SDKs ask for it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import Mailgun from 'mailgun.js';
import { createValidate } from '#validation/validate.ts';
import { createResolver } from '#dns/resolver.ts';
import { systemClock } from '#base/clock.ts';
import { startDnsZone } from '../kit/dns-zone.ts';
import { startRig } from './api-kit.ts';

test('an address is validated by DNS and by what its account knows of it', async (t) => {
  await using rig = await startRig();
  const ask = async (query: string, options: RequestInit & { readonly key?: string } = {}): Promise<Record<string, unknown>> => {
    const response = await rig.fetch(`/v4/address/validate${query}`, options);
    assert.equal(response.status, 200);
    return (await response.json()) as Record<string, unknown>;
  };

  await t.test('the answer is the union of what the SDKs read', async () => {
    assert.deepEqual(await ask('?address=Ann%2Bnews%40example.net&provider_lookup=true'), {
      address: 'Ann+news@example.net',
      did_you_mean: null,
      is_disposable_address: false,
      is_role_address: false,
      is_valid: true,
      mailbox_verification: 'unknown',
      parts: { display_name: null, domain: 'example.net', local_part: 'Ann+news' },
      reason: ['the domain could not be looked up'],
      result: 'unknown',
      risk: 'unknown',
      root_address: 'Ann@example.net',
    });
  });

  await t.test('a form is taken as well', async () => {
    const { result } = await ask('', { method: 'POST', body: new URLSearchParams({ address: 'nobody' }) });
    assert.equal(result, 'undeliverable');
  });

  await t.test('an address that bounced here is undeliverable here, and says nothing to another account', async () => {
    await rig.fetch('/v3/example.org/bounces', { method: 'POST', body: new URLSearchParams({ address: 'gone@example.net', code: '550' }) });
    const other = await rig.addTenant('other', 'other.example');
    assert.equal((await ask('?address=Gone@example.net'))['result'], 'undeliverable');
    assert.equal((await ask('?address=gone@example.net', { key: other.key }))['result'], 'unknown');
  });

  await t.test('nothing to validate and too much of it are refused', async () => {
    for (const query of ['', '?address=', `?address=${'a'.repeat(513)}`]) {
      const response = await rig.fetch(`/v4/address/validate${query}`);
      assert.equal(response.status, 400);
      assert.match(((await response.json()) as { message: string }).message, /^address parameter is/);
    }
  });

  await t.test('a list is parsed', async () => {
    for (const path of ['/v4/address/parse', '/v3/address/private/parse', '/v3/address/parse']) {
      const response = await rig.fetch(`${path}?addresses=${encodeURIComponent('Ann <ann@example.net>,bob')}`);
      assert.deepEqual(await response.json(), { parsed: ['Ann <ann@example.net>'], unparseable: ['bob'] });
    }
  });

  await t.test('the elder path gives the reason as a text', async () => {
    const response = await rig.fetch('/v3/address/private/validate?address=nobody');
    assert.deepEqual(((await response.json()) as { reason: unknown }).reason, 'malformed address; missing @ sign');
  });

  await t.test('mailgun.js validates', async () => {
    const client = new Mailgun(FormData).client({ username: 'api', key: rig.tenant.key, url: rig.url });
    const { result, is_disposable_address: isDisposable } = (await client.validate.get('ann@mailinator.com')) as unknown as Record<
      string,
      unknown
    >;
    assert.deepEqual([result, isDisposable], ['do_not_send', true]);
  });
});

test('the domain of an address is looked up', async () => {
  const zone = await startDnsZone({ 'example.net': { MX: [[10, 'mx.example.net']] }, 'null.example': { MX: [[0, '.']] } });
  const dns = createResolver({ servers: [zone.server], timeoutMs: 30_000, tries: 1, cacheMax: 10, clock: systemClock });
  await using rig = await startRig({}, { validateAddress: createValidate({ dns, pastTroubles: async () => [] }) });
  const results = await Promise.all(
    ['ann@example.net', 'ann@null.example', 'ann@gone.example'].map(async (address) => {
      const response = await rig.fetch(`/v4/address/validate?address=${address}`);
      return ((await response.json()) as { result: string }).result;
    }),
  );
  assert.deepEqual(results, ['deliverable', 'undeliverable', 'undeliverable']);
  dns.close();
  await zone.close();
});

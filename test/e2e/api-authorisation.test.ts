/** Every endpoint of the list, for every kind of caller: who may not is refused before anything is looked at, and what is another account's is not there (P10). */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Right } from '#api/conventions/auth.ts';
import { endpoints } from '#api/endpoints.ts';
import type { Door, Endpoint } from '#api/endpoint.ts';
import { type ApiRig, startRig } from './api-kit.ts';

type Role = 'admin' | 'developer' | 'basic' | 'sending';

const RIGHTS: Readonly<Record<Role, readonly Right[]>> = {
  // What belongs to the whole installation is for the admins of the first account alone; these are of another.
  admin: ['send', 'read', 'validate', 'write', 'administer'],
  developer: ['send', 'read', 'validate', 'write'],
  basic: ['send', 'read', 'validate'],
  sending: ['send'],
};

async function described(rig: ApiRig): Promise<readonly Endpoint[]> {
  const { paths } = (await (await fetch(`${rig.url}/openapi.json`)).json()) as { paths: Readonly<Record<string, object>> };
  const list = endpoints({ deps: { store: rig.store, accounts: rig.accounts } } as unknown as Door);
  // The list that is looked at here is the one that is served.
  assert.deepEqual(new Set(list.map(({ url }) => url.replace(/:(\w+)/g, '{$1}'))), new Set(Object.keys(paths)));
  return list;
}

/** The path with this domain; other parameters name nothing that exists. */
function pathOf({ url }: Endpoint, domain: string): string {
  return url.replace(/:domain\b/, domain).replace(/:\w+/g, 'nothing');
}

test('no endpoint answers without a key, or with one that is wrong, revoked, expired or public', async () => {
  await using rig = await startRig();
  const { accountId } = rig.tenant;
  const expired = await rig.accounts.createKey({ accountId, expiresAtMs: Date.now() - 1000 });
  const revoked = await rig.accounts.createKey({ accountId });
  await rig.accounts.revokeKey(accountId, revoked.key.id);
  const publicKey = await rig.accounts.renewPublicKey(accountId);
  for (const endpoint of await described(rig)) {
    const { method } = endpoint;
    const path = pathOf(endpoint, 'example.org');
    const bare = await fetch(rig.url + path, { method });
    assert.deepEqual([bare.status, await bare.text()], [401, 'Forbidden'], `${method} ${path} without a key`);
    for (const [name, key] of [
      ['a wrong', `${rig.tenant.key}0`],
      ['an expired', expired.secret],
      ['a revoked', revoked.secret],
      ...(endpoint.right === 'validate' ? [] : [['a public', publicKey]]),
    ] as const) {
      assert.equal((await rig.fetch(path, { method, key: key as string })).status, 401, `${method} ${path} with ${name} key`);
    }
  }
});

test('every endpoint is open to the roles that its right names, and to no other', async () => {
  await using rig = await startRig();
  const other = await rig.addTenant('other', 'other.example');
  for (const role of Object.keys(RIGHTS) as Role[]) {
    const { secret: key } = await rig.accounts.createKey({ accountId: other.accountId, role });
    for (const endpoint of await described(rig)) {
      const isAllowed = RIGHTS[role].includes(endpoint.right);
      // What changes something is tried on what does not exist, so that the next finds everything as it was.
      const domain = isAllowed && endpoint.method !== 'GET' && endpoint.right !== 'send' ? 'nothing.example' : 'other.example';
      const { status } = await rig.fetch(pathOf(endpoint, domain), { method: endpoint.method, key });
      const what = `${endpoint.method} ${endpoint.url} with the role ${role}: ${status}`;
      if (isAllowed && endpoint.url === '/v5/users/me') assert.equal(status, 403, "the key is nobody's");
      else if (isAllowed) assert.ok(status !== 401 && status !== 403 && status < 500, what);
      else assert.equal(status, 403, what);
    }
  }
});

test("another account's domain is not there, whoever asks and whatever for", async () => {
  await using rig = await startRig();
  const other = await rig.addTenant('other', 'other.example');
  for (const endpoint of (await described(rig)).filter(({ url }) => url.includes(':domain'))) {
    const { status } = await rig.fetch(pathOf(endpoint, 'example.org'), { method: endpoint.method, key: other.key });
    // What sends to a foreign domain is refused as clients of the hosted service know it.
    assert.ok(status === 404 || (endpoint.right === 'send' && status === 401), `${endpoint.method} ${endpoint.url}: ${status}`);
  }
});

test('a key of one domain sends through no other, and does nothing else', async () => {
  await using rig = await startRig();
  const second = await rig.accounts.addDomain(rig.tenant.accountId, 'second.example');
  assert.ok(second);
  const { secret: key } = await rig.accounts.createKey({ accountId: rig.tenant.accountId, domainId: second.id });
  for (const endpoint of await described(rig)) {
    const { status } = await rig.fetch(pathOf(endpoint, 'example.org'), { method: endpoint.method, key });
    const expected = endpoint.right === 'send' ? [401, 404] : [403];
    assert.ok(expected.includes(status), `${endpoint.method} ${endpoint.url}: ${status}`);
  }
});

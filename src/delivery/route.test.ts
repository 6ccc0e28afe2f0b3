/** Routes from a zone of our own, looked up over real DNS messages. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { HeldClock } from '#base/clock.ts';
import { createResolver } from '#dns/resolver.ts';
import type { FindRoute } from '#model/delivery.ts';
import { startDnsZone } from '../../test/kit/dns-zone.ts';
import type { DnsZone, ZoneNode } from '../../test/kit/dns-zone.ts';
import { createFindRoute } from './route.ts';
import type { FindRouteDeps } from './route.ts';

interface Setup {
  readonly find: FindRoute;
  readonly dns: DnsZone;
  readonly clock: HeldClock;
}

const { signal } = new AbortController();

async function setUp(
  t: TestContext,
  zone: Record<string, ZoneNode>,
  over: Partial<FindRouteDeps> = {},
  timeoutMs = 30_000,
): Promise<Setup> {
  const dns = await startDnsZone(zone);
  const clock = new HeldClock(1_700_000_000_000);
  const resolver = createResolver({ servers: [dns.server], timeoutMs, tries: 1, cacheMax: 1000, clock });
  t.after(async () => {
    resolver.close();
    await dns.close();
  });
  const find = createFindRoute({ resolver, routes: [], port: 25, ownNames: ['us.test'], allowLiterals: true, clock, ...over });
  return { find, dns, clock };
}

async function siteOf(find: FindRoute, domain: string): Promise<string> {
  const found = await find(domain, signal);
  if (found.kind === 'route') return found.route.site;
  const { disposition, code, enhanced, bounceClass } = found.outcome;
  return `${disposition} ${code} ${enhanced} ${bounceClass}`;
}

test('the MX are the hosts, and domains with the same set are one site', async (t) => {
  const { find } = await setUp(t, {
    'a.test': {
      MX: [
        [10, 'mx1.p.test'],
        [20, 'mx2.p.test'],
      ],
    },
    'b.test': {
      MX: [
        [5, 'MX2.p.test'],
        [5, 'mx1.p.test'],
      ],
    },
  });
  const found = await find('A.test', signal);
  assert.deepEqual(found, {
    kind: 'route',
    route: {
      site: 'mx1.p.test,mx2.p.test',
      hosts: [
        { host: 'mx1.p.test', preference: 10 },
        { host: 'mx2.p.test', preference: 20 },
      ],
      port: 25,
    },
  });
  assert.equal(await siteOf(find, 'b.test'), 'mx1.p.test,mx2.p.test');
});

test('a large set has a short name of its own', async (t) => {
  const set = (letter: string): ZoneNode => ({
    MX: Array.from({ length: 30 }, (_, i) => [i, `mail-${letter}-${i}.provider.test`] as const),
  });
  const { find } = await setUp(t, { 'a.test': set('x'), 'b.test': set('x'), 'c.test': set('y') });
  const site = await siteOf(find, 'a.test');
  assert.match(site, /^mail-x-0\.provider\.test\+29-[0-9a-f]{10}$/);
  assert.equal(await siteOf(find, 'b.test'), site);
  assert.notEqual(await siteOf(find, 'c.test'), site);
});

test('a domain without MX is its own host, if it has an address', async (t) => {
  const { find } = await setUp(t, { 'a.test': { A: ['8.8.8.8'] }, 'six.test': { AAAA: ['2606:4700::1'] }, 'bare.test': { TXT: ['x'] } });
  assert.equal(await siteOf(find, 'a.test'), 'a.test');
  assert.equal(await siteOf(find, 'six.test'), 'six.test');
  assert.equal(await siteOf(find, 'bare.test'), 'failed 550 5.1.2 bad-domain');
});

test('null MX, no such domain and trouble in DNS are told apart: only the last is temporary', async (t) => {
  const { find } = await setUp(t, {
    'null.test': { MX: [[0, '.']] },
    'local.test': { MX: [[10, 'localhost']] },
    'both.test': {
      MX: [
        [0, '.'],
        [10, 'localhost'],
      ],
    },
    'mixed.test': {
      MX: [
        [0, '.'],
        [10, 'mx.p.test'],
      ],
    },
    'sick.test': { refusal: 'SERVFAIL' },
    'refused.test': { refusal: 'REFUSED' },
    'half.test': { refusalOf: { A: 'SERVFAIL' } },
  });
  const sites: Record<string, string> = {};
  for (const domain of ['null', 'local', 'both', 'mixed', 'gone', 'sick', 'refused', 'half']) {
    sites[domain] = await siteOf(find, `${domain}.test`);
  }
  const hasty = await setUp(t, { 'silent.test': { refusal: 'silent' } }, {}, 100);
  sites['silent'] = await siteOf(hasty.find, 'silent.test');
  const nullMx = 'failed 556 5.1.10 bad-domain';
  const trouble = 'deferred 498 4.4.3 dns-failure';
  assert.deepEqual(sites, {
    null: nullMx,
    local: nullMx,
    both: nullMx,
    mixed: 'mx.p.test',
    gone: 'failed 550 5.1.2 bad-domain',
    sick: trouble,
    refused: trouble,
    silent: trouble,
    half: trouble,
  });
});

test('where DNS says that we take the mail ourselves, it goes to our own listener', async (t) => {
  const inside = { hosts: [{ host: '127.0.0.1', preference: 0 }], port: 2526 };
  const zone = { 'ours.test': { MX: [[10, 'us.test']] as const }, 'us.test': { A: ['192.0.2.1'] }, 'theirs.test': { A: ['192.0.2.2'] } };
  const { find } = await setUp(t, zone, { inside: () => inside });
  assert.deepEqual(await find('ours.test', signal), { kind: 'route', route: { site: 'inside:ours.test', ...inside, isInside: true } });
  assert.equal(await siteOf(find, 'us.test'), 'inside:us.test');
  assert.equal(await siteOf(find, 'theirs.test'), 'theirs.test');
  const none = await setUp(t, zone, { inside: () => undefined });
  assert.equal(await siteOf(none.find, 'ours.test'), 'failed 554 5.4.6 routing');
});

test('an MX of ours cuts itself and what is not better; nothing left is a loop', async (t) => {
  const { find } = await setUp(t, {
    'backup.test': {
      MX: [
        [10, 'better.test'],
        [20, 'us.test'],
        [20, 'equal.test'],
        [30, 'worse.test'],
      ],
    },
    'first.test': {
      MX: [
        [10, 'US.test'],
        [20, 'worse.test'],
      ],
    },
    'us.test': { A: ['8.8.8.8'] },
  });
  assert.equal(await siteOf(find, 'backup.test'), 'better.test');
  assert.equal(await siteOf(find, 'first.test'), 'failed 554 5.4.6 routing');
  assert.equal(await siteOf(find, 'us.test'), 'failed 554 5.4.6 routing');
});

test('the first smart host rule that matches counts, and DNS is not asked', async (t) => {
  const { find, dns } = await setUp(
    t,
    {},
    {
      routes: [
        { match: 'exact.test', host: 'One.test', port: 587, tls: 'required', username: 'u', password: 'secret' },
        { match: '*.exact.test', host: 'two.test', port: 25, tls: 'none' },
        { match: '*', host: 'three.test', port: 2525, tls: 'opportunistic' },
      ],
    },
  );
  assert.equal(await siteOf(find, 'exact.test'), 'u@one.test:587');
  assert.equal(await siteOf(find, 'a.exact.test'), 'two.test:25');
  assert.equal(await siteOf(find, 'a.b.exact.test'), 'two.test:25');
  assert.equal(await siteOf(find, 'inexact.test'), 'three.test:2525');
  assert.equal(await siteOf(find, '[192.0.2.1]'), 'three.test:2525');
  const found = await find('exact.test', signal);
  assert.deepEqual(found.kind === 'route' && found.route.smartHost, { tls: 'required', username: 'u', password: 'secret' });
  assert.equal(dns.queries.length, 0);
});

test('address literals are routes when they are allowed', async (t) => {
  const { find } = await setUp(t, {});
  assert.equal(await siteOf(find, '[8.8.8.8]'), '[8.8.8.8]');
  const six = await find('[IPv6:2606:4700::1]', signal);
  assert.deepEqual(six.kind === 'route' && six.route.hosts, [{ host: '2606:4700::1', preference: 0 }]);
  assert.equal(await siteOf(find, '[nonsense]'), 'failed 550 5.1.3 invalid-recipient');
  const strict = await setUp(t, {}, { allowLiterals: false });
  assert.equal(await siteOf(strict.find, '[8.8.8.8]'), 'failed 550 5.1.3 policy');
});

test('a route is kept for a while, trouble is not', async (t) => {
  const { find, dns, clock } = await setUp(t, { 'a.test': { MX: [[10, 'mx.test']] }, 'sick.test': { refusal: 'SERVFAIL' } });
  assert.equal(await find('a.test', signal), await find('A.test', signal), 'the very same');
  assert.equal(dns.queries.filter(({ name }) => name === 'a.test').length, 1);
  assert.equal((await find('sick.test', signal)).kind, 'failed');
  dns.zone['sick.test'] = { MX: [[10, 'mx.test']] };
  dns.zone['a.test'] = { MX: [[10, 'other.test']] };
  clock.advance(6_000);
  assert.equal(await siteOf(find, 'sick.test'), 'mx.test');
  clock.advance(300_000);
  assert.equal(await siteOf(find, 'a.test'), 'other.test');
});

test('whoever stops waiting gets a temporary outcome at once', async (t) => {
  const { find } = await setUp(t, { 'silent.test': { refusal: 'silent' } });
  const control = new AbortController();
  const finding = find('silent.test', control.signal);
  control.abort();
  const found = await finding;
  assert.equal(found.kind === 'failed' && found.outcome.disposition, 'deferred');
});

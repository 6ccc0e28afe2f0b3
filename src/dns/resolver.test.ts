/** The resolver against a DNS server of our own, over UDP and TCP. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { HeldClock } from '#base/clock.ts';
import { startDnsZone } from '../../test/kit/dns-zone.ts';
import type { DnsZone, ZoneNode } from '../../test/kit/dns-zone.ts';
import { createResolver, MX_RECORDS_MAX } from './resolver.ts';
import type { Resolver, ResolverOptions } from './resolver.ts';

interface Setup {
  readonly resolver: Resolver;
  readonly dns: DnsZone;
  readonly clock: HeldClock;
}

async function setUp(t: TestContext, zone: Record<string, ZoneNode>, over: Partial<ResolverOptions> = {}): Promise<Setup> {
  const dns = await startDnsZone(zone);
  const clock = new HeldClock(1_700_000_000_000);
  const resolver = createResolver({ servers: [dns.server], timeoutMs: 30_000, tries: 2, cacheMax: 1000, clock, ...over });
  t.after(async () => {
    resolver.close();
    await dns.close();
  });
  return { resolver, dns, clock };
}

test('MX come by preference, in lower case, and the root is told apart', async (t) => {
  const { resolver } = await setUp(t, {
    'x.test': {
      MX: [
        [20, 'B.x.test'],
        [10, 'a.x.test'],
      ],
    },
    'null.test': { MX: [[0, '.']] },
  });
  assert.deepEqual(await resolver.mx('X.test.'), {
    kind: 'found',
    records: [
      { preference: 10, host: 'a.x.test' },
      { preference: 20, host: 'b.x.test' },
    ],
  });
  assert.deepEqual(await resolver.mx('null.test'), { kind: 'found', records: [{ preference: 0, host: '' }] });
});

test('addresses are those of both families, and one family is enough', async (t) => {
  const { resolver } = await setUp(t, {
    'both.test': { A: ['192.0.2.1'], AAAA: ['2001:db8::1'] },
    'six.test': { AAAA: ['2001:db8::2'] },
    'half.test': { A: ['192.0.2.3'], refusalOf: { AAAA: 'SERVFAIL' } },
    'neither.test': { TXT: ['x'] },
    'doubtful.test': { refusalOf: { AAAA: 'SERVFAIL' } },
  });
  const records = async (host: string): Promise<unknown> => {
    const answer = await resolver.addresses(host);
    return answer.kind === 'found' ? answer.records : answer.kind;
  };
  assert.deepEqual(await records('both.test'), ['192.0.2.1', '2001:db8::1']);
  assert.deepEqual(await records('six.test'), ['2001:db8::2']);
  assert.deepEqual(await records('half.test'), ['192.0.2.3']);
  assert.equal(await records('neither.test'), 'none');
  assert.equal(await records('doubtful.test'), 'trouble');
});

test('no such name, no such records, and no usable answer are three things', async (t) => {
  const { resolver } = await setUp(t, {
    'empty.test': {},
    'mx.below.test': { A: ['192.0.2.1'] },
    'servfail.test': { refusal: 'SERVFAIL' },
    'refused.test': { refusal: 'REFUSED' },
    'notimp.test': { refusal: 'NOTIMP' },
  });
  const { resolver: hasty } = await setUp(
    t,
    { 'silent.test': { refusal: 'silent' }, 'garbage.test': { refusal: 'garbage' } },
    { timeoutMs: 150 },
  );
  const kinds: Record<string, string> = {};
  for (const name of ['nowhere.test', 'empty.test', 'below.test', 'servfail.test', 'refused.test', 'notimp.test']) {
    kinds[name] = (await resolver.mx(name)).kind;
  }
  for (const name of ['silent.test', 'garbage.test']) kinds[name] = (await hasty.mx(name)).kind;
  assert.deepEqual(kinds, {
    'nowhere.test': 'no-such-domain',
    'empty.test': 'none',
    'below.test': 'none',
    'servfail.test': 'trouble',
    'refused.test': 'trouble',
    'notimp.test': 'trouble',
    'silent.test': 'trouble',
    'garbage.test': 'trouble',
  });
});

test('a server that is not there is trouble', async (t) => {
  const { resolver, dns } = await setUp(t, {});
  await dns.close();
  assert.equal((await resolver.mx('x.test')).kind, 'trouble');
});

test('names that are none are never asked for', async (t) => {
  const { resolver, dns } = await setUp(t, {});
  for (const name of [
    '',
    '.',
    'a b.test',
    'a..test',
    `${'a'.repeat(64)}.test`,
    'ü.test',
    '192.0.2.1',
    'x.test\0',
    '-a.test',
    'a'.repeat(300),
  ]) {
    assert.equal((await resolver.mx(name)).kind, 'no-such-domain', name);
  }
  assert.equal(dns.queries.length, 0);
});

test('CNAMEs are followed, by the server or by us, and a loop is trouble', async (t) => {
  const target = { MX: [[10, 'mx.target.test']] as const, A: ['192.0.2.9'] };
  const chain = Object.fromEntries(Array.from({ length: 12 }, (_, i) => [`c${i}.test`, { CNAME: `c${i + 1}.test`, bareCname: true }]));
  const { resolver } = await setUp(t, {
    'alias.test': { CNAME: 'target.test' },
    'bare.test': { CNAME: 'target.test', bareCname: true },
    'target.test': target,
    'loop1.test': { CNAME: 'loop2.test' },
    'loop2.test': { CNAME: 'loop1.test' },
    'self.test': { CNAME: 'self.test', bareCname: true },
    ...chain,
  });
  for (const name of ['alias.test', 'bare.test']) {
    assert.deepEqual(await resolver.mx(name), { kind: 'found', records: [{ preference: 10, host: 'mx.target.test' }] });
    assert.deepEqual(await resolver.addresses(name), { kind: 'found', records: ['192.0.2.9'], ttlMs: 300_000 });
  }
  for (const name of ['loop1.test', 'self.test', 'c0.test']) assert.equal((await resolver.mx(name)).kind, 'trouble', name);
});

test('a cut answer is asked for again over TCP, and only the best of hundreds of MX are used', async (t) => {
  const MX = Array.from({ length: 400 }, (_, i) => [400 - i, `mx${400 - i}.many.test`] as const);
  const { resolver, dns } = await setUp(t, { 'many.test': { MX }, 'cut.test': { TXT: ['v=1'], truncated: true } });
  const answer = await resolver.mx('many.test');
  assert.equal(answer.kind === 'found' && answer.records.length, MX_RECORDS_MAX);
  assert.equal(answer.kind === 'found' && answer.records[0]?.host, 'mx1.many.test');
  assert.deepEqual(await resolver.txt('cut.test'), { kind: 'found', records: ['v=1'] });
  assert.ok(dns.queries.some(({ transport }) => transport === 'tcp'));
});

test('an answer under another id is not believed', async (t) => {
  const { resolver } = await setUp(t, { 'x.test': { A: ['192.0.2.1'], forged: { A: ['203.0.113.66'] } } });
  const answer = await resolver.addresses('x.test');
  assert.deepEqual(answer.kind === 'found' && answer.records, ['192.0.2.1']);
});

test('the character-strings of a TXT record are joined', async (t) => {
  const { resolver } = await setUp(t, { 'x.test': { TXT: [['v=DKIM1; ', 'p=abc'], 'other'] } });
  const answer = await resolver.txt('x.test');
  assert.deepEqual(answer.kind === 'found' && [...answer.records].sort(), ['other', 'v=DKIM1; p=abc']);
});

test('thousands of lookups of one domain are one question, and the answer is kept for its time', async (t) => {
  const { resolver, dns, clock } = await setUp(t, { 'x.test': { MX: [[10, 'a.x.test']], A: ['192.0.2.1'], ttl: 60 } });
  const answers = await Promise.all(Array.from({ length: 3000 }, () => resolver.addresses('x.test')));
  assert.ok(answers.every(({ kind }) => kind === 'found'));
  assert.equal(dns.queries.length, 2, 'A and AAAA');
  clock.advance(59_000);
  await resolver.addresses('x.test');
  assert.equal(dns.queries.length, 2);
  clock.advance(2_000);
  await resolver.addresses('x.test');
  assert.equal(dns.queries.length, 4);
});

test('TTL 0 does not make a question of every message, and trouble is forgotten soon', async (t) => {
  const { resolver, dns, clock } = await setUp(t, { 'zero.test': { A: ['192.0.2.1'], ttl: 0 }, 'sick.test': { refusal: 'REFUSED' } });
  for (let i = 0; i < 20; i++) await resolver.addresses('zero.test');
  assert.equal(dns.queries.length, 2);
  assert.equal((await resolver.mx('sick.test')).kind, 'trouble');
  dns.zone['sick.test'] = { MX: [[10, 'a.test']] };
  clock.advance(6_000);
  assert.equal((await resolver.mx('sick.test')).kind, 'found');
});

test('the cache and the questions at one time are bounded, and every one of them is answered', async (t) => {
  const { resolver, dns } = await setUp(t, { 'x.test': { MX: [[10, 'a.x.test']] } }, { cacheMax: 10 });
  const names = Array.from({ length: 1000 }, (_, i) => `n${i}.x.test`);
  const answers = await Promise.all(names.map((name) => resolver.mx(name)));
  assert.ok(answers.every(({ kind }) => kind === 'no-such-domain'));
  const asked = dns.queries.length;
  await resolver.mx('n0.x.test');
  assert.ok(dns.queries.length > asked, 'the oldest was forgotten');
});

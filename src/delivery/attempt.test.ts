/** Connections to real sinks on several loopback addresses, found through a DNS zone of our own. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { createAddressGuard } from '#base/address-guard.ts';
import type { Listener } from '#base/address-guard.ts';
import { HeldClock } from '#base/clock.ts';
import { silentLog } from '#base/log.ts';
import { createResolver } from '#dns/resolver.ts';
import type { Connect, ConnectFailure, DeliveryJob, DeliverySession } from '#model/delivery.ts';
import type { EgressSource, Route, TlsDemand } from '#model/egress.ts';
import type { ClientTimeouts } from '#smtp/client-session.ts';
import { commandsHang, hangsAt, PATIENT } from '../../test/kit/client-timeouts.ts';
import { startDnsZone } from '../../test/kit/dns-zone.ts';
import type { DnsZone, ZoneNode } from '../../test/kit/dns-zone.ts';
import { startSink } from '../../test/kit/sink.ts';
import type { Sink, SinkOptions } from '../../test/kit/sink.ts';
import { TEST_CERTIFICATE } from '../../test/kit/sink-certificate.ts';
import { ADDRESSES_TRIED_MAX, createConnect, HOSTS_TRIED_MAX } from './attempt.ts';

const SOURCE: EgressSource = { name: 'default', ehlo: 'us.test', pool: 'default' };
const { signal } = new AbortController();

interface Setup {
  readonly connect: Connect;
  readonly dns: DnsZone;
  readonly clock: HeldClock;
}

interface Over {
  readonly allow?: readonly string[];
  readonly own?: readonly Listener[];
  readonly timeouts?: ClientTimeouts;
}

async function setUp(t: TestContext, zone: Record<string, ZoneNode>, over: Over = {}): Promise<Setup> {
  const dns = await startDnsZone(zone);
  const clock = new HeldClock(1_700_000_000_000);
  const resolver = createResolver({ servers: [dns.server], timeoutMs: 30_000, tries: 1, cacheMax: 100, clock });
  t.after(async () => {
    resolver.close();
    await dns.close();
  });
  const guard = createAddressGuard({ allowNetworks: over.allow ?? ['127.0.0.0/8'], ownListeners: over.own ?? [], localAddresses: [] });
  const connect = createConnect({
    resolver,
    guard,
    timeouts: over.timeouts ?? PATIENT,
    clock,
    log: silentLog,
    extraRoots: [TEST_CERTIFICATE],
  });
  return { connect, dns, clock };
}

async function sinkFor(t: TestContext, options: SinkOptions = {}): Promise<Sink> {
  const sink = await startSink(options);
  t.after(() => sink.close());
  return sink;
}

function route(port: number, ...hosts: (readonly [preference: number, host: string])[]): Route {
  return { site: 'site.test', hosts: hosts.map(([preference, host]) => ({ preference, host })), port };
}

async function open(
  t: TestContext,
  connect: Connect,
  to: Route,
  demand: TlsDemand = 'opportunistic',
  source = SOURCE,
): Promise<DeliverySession> {
  const result = await connect(to, source, demand, signal);
  if (result.kind === 'failed') assert.fail(result.outcome.text);
  t.after(() => result.session.close());
  return result.session;
}

const JOB: DeliveryJob = {
  sender: 'a@example.org',
  recipients: [{ address: 'b@a.test' }],
  tls: 'opportunistic',
  compose: () =>
    Promise.resolve({ chunks: [Buffer.from('From: a@example.org\r\n\r\nHi\r\n')], sizeBytes: 29, body: '7BIT', smtputf8: false }),
};

async function fail(connect: Connect, to: Route, demand: TlsDemand = 'opportunistic', source = SOURCE): Promise<ConnectFailure> {
  const result = await connect(to, source, demand, signal);
  if (result.kind === 'failed') return result;
  await result.session.close();
  return assert.fail('it connected');
}

test('hosts are tried by preference, and every address of each', async (t) => {
  const sink = await sinkFor(t, { address: '127.0.0.3' });
  const { connect } = await setUp(t, {
    'best.test': { A: ['127.0.0.1', '127.0.0.2'] },
    'good.test': { A: ['127.0.0.4', '127.0.0.3'] },
  });
  const session = await open(t, connect, route(sink.port, [20, 'good.test'], [10, 'best.test']));
  assert.deepEqual([session.host, session.address], ['good.test', '127.0.0.3']);
});

test('a host that refuses in its greeting or EHLO is passed over for the next', async (t) => {
  for (const at of [{ greeting: '554 5.7.1 no' }, { greeting: 'drop' }, { ehlo: 'close-421' }, { ehlo: 'hang' }] as const) {
    const first = await sinkFor(t, { address: '127.0.0.2', at });
    const second = await sinkFor(t, { address: '127.0.0.3', port: first.port });
    const zone = { 'a.test': { A: ['127.0.0.2'] }, 'b.test': { A: ['127.0.0.3'] } };
    const { connect } = await setUp(t, zone, { timeouts: commandsHang(() => second.connectionCount() === 0) });
    const session = await open(t, connect, route(second.port, [10, 'a.test'], [20, 'b.test']));
    assert.equal(session.host, 'b.test');
    assert.equal(first.connectionCount(), 1);
  }
});

test('hosts of equal preference share the load', async (t) => {
  const sink = await sinkFor(t, { address: '127.0.0.2' });
  await sinkFor(t, { address: '127.0.0.3', port: sink.port });
  const { connect } = await setUp(t, { 'a.test': { A: ['127.0.0.2'] }, 'b.test': { A: ['127.0.0.3'] } });
  const hosts = new Set<string>();
  for (let i = 0; i < 40 && hosts.size < 2; i++) {
    hosts.add((await open(t, connect, route(sink.port, [10, 'a.test'], [10, 'b.test']))).host);
  }
  assert.equal(hosts.size, 2);
});

test('when nobody answers the outcome names every host, and the site is down', async (t) => {
  const sink = await sinkFor(t, { address: '127.0.0.2' });
  await sink.close();
  const { connect } = await setUp(t, { 'a.test': { A: ['127.0.0.2', '127.0.0.2'] }, 'b.test': { A: ['127.0.0.3'] } });
  const { outcome, isSiteDown } = await fail(connect, route(sink.port, [10, 'a.test'], [20, 'b.test'], [30, 'gone.test']));
  assert.deepEqual([outcome.disposition, outcome.code, outcome.enhanced, outcome.bounceClass], ['deferred', 499, '4.4.1', 'no-answer']);
  assert.match(
    outcome.text,
    /a\.test \[127\.0\.0\.2\]: the connection was refused; b\.test \[127\.0\.0\.3\]: .*refused; gone\.test: there is no such host/,
  );
  assert.equal(isSiteDown, true);
  assert.equal(outcome.attempt.site, 'site.test');
  assert.equal(outcome.attempt.source, 'default');
});

test('a refusal in the greeting is temporary, classified, with its dialogue', async (t) => {
  const sink = await sinkFor(t, { at: { greeting: '554 5.7.1 Client host blocked using zen.spamhaus.org' } });
  const { connect } = await setUp(t, { 'a.test': { A: ['127.0.0.1'] } });
  const { outcome, isSiteDown } = await fail(connect, route(sink.port, [10, 'a.test']));
  assert.deepEqual([outcome.disposition, outcome.code, outcome.bounceClass, isSiteDown], ['deferred', 554, 'spam-reputation', false]);
  assert.deepEqual(outcome.attempt.dialogue?.[0], 'S: 554 5.7.1 Client host blocked using zen.spamhaus.org');
});

test('a site that connects and says nothing is not down', async (t) => {
  for (const greeting of ['drop', 'hang'] as const) {
    const sink = await sinkFor(t, { at: { greeting } });
    const { connect } = await setUp(t, { 'a.test': { A: ['127.0.0.1'] } }, { timeouts: hangsAt('greetingMs') });
    const { outcome, isSiteDown } = await fail(connect, route(sink.port, [10, 'a.test']));
    assert.deepEqual([outcome.disposition, outcome.bounceClass, isSiteDown], ['deferred', 'connection', false], greeting);
  }
});

test('hundreds of hosts and addresses are not all tried', async (t) => {
  const many = Array.from({ length: 30 }, (_, i) => `127.0.1.${i + 1}`);
  const names = Array.from({ length: 30 }, (_, i) => `h${i}.test`);
  const { connect, dns } = await setUp(t, Object.fromEntries(names.map((name) => [name, { A: many }])));
  const sink = await sinkFor(t);
  await sink.close();
  const { outcome } = await fail(connect, route(sink.port, ...names.map((name, i) => [i, name] as const)));
  assert.equal(outcome.text.split('refused').length - 1, ADDRESSES_TRIED_MAX);
  assert.ok(new Set(dns.queries.map(({ name }) => name)).size <= HOSTS_TRIED_MAX);
  const singles = await setUp(t, Object.fromEntries(names.map((name, i) => [name, { A: [`127.0.1.${i + 1}`] }])));
  const failure = await fail(singles.connect, route(sink.port, ...names.map((name, i) => [i, name] as const)));
  assert.equal(failure.outcome.text.split('refused').length - 1, HOSTS_TRIED_MAX);
});

test('addresses that are not public are never connected to, and a site that has no others is refused for good', async (t) => {
  const sink = await sinkFor(t);
  const { connect } = await setUp(
    t,
    { 'lo.test': { A: ['127.0.0.1'], AAAA: ['::1', '::ffff:127.0.0.1', 'fe80::1'] }, 'meta.test': { A: ['169.254.169.254'] } },
    { allow: [] },
  );
  const { outcome, isSiteDown } = await fail(connect, route(sink.port, [10, 'lo.test'], [20, 'meta.test'], [30, '127.0.0.1']));
  assert.deepEqual([outcome.disposition, outcome.code, outcome.enhanced, isSiteDown], ['failed', 550, '5.4.4', false]);
  assert.match(outcome.text, /lo\.test \[127\.0\.0\.1\]: mail is not sent to this loopback address/);
  assert.equal(sink.connectionCount(), 0);
});

test('a smart host may be anywhere', async (t) => {
  const sink = await sinkFor(t, { address: '0.0.0.0', auth: { username: 'u', password: 'p' }, tls: 'starttls' });
  const { connect } = await setUp(t, { 'smart.test': { A: ['127.0.0.1', '127.0.0.2', '127.0.0.3'] } }, { allow: [] });
  const to = { ...route(sink.port, [0, 'smart.test']), smartHost: { tls: 'required', username: 'u', password: 'p' } } as const;
  const session = await open(t, connect, to);
  assert.equal(session.satisfies('require'), true);
  const wrong = { ...to, smartHost: { ...to.smartHost, password: 'wrong' } };
  const { outcome } = await fail(connect, wrong);
  assert.deepEqual([outcome.disposition, outcome.code], ['deferred', 535]);
  assert.equal(sink.connectionCount(), 2, 'a wrong password is not tried at every address');
});

test('a smart host without TLS does not serve a message that demands it', async (t) => {
  const sink = await sinkFor(t, { tls: 'starttls' });
  const { connect } = await setUp(t, {});
  const { outcome } = await fail(connect, { ...route(sink.port, [0, '127.0.0.1']), smartHost: { tls: 'none' } }, 'require');
  assert.deepEqual([outcome.disposition, outcome.bounceClass, sink.connectionCount()], ['deferred', 'tls', 0]);
});

test('our own listener is a loop, unless a better host is there', async (t) => {
  const sink = await sinkFor(t, { address: '127.0.0.2' });
  const zone = { 'us.test': { A: ['127.0.0.9'] }, 'other.test': { A: ['127.0.0.2'] } };
  const { connect } = await setUp(t, zone, { own: [{ address: '127.0.0.9', port: sink.port }] });
  const { outcome } = await fail(connect, route(sink.port, [10, 'us.test'], [20, 'other.test']));
  assert.deepEqual([outcome.disposition, outcome.enhanced], ['failed', '5.4.6']);
  const session = await open(t, connect, route(sink.port, [10, 'other.test'], [20, 'us.test']));
  assert.equal(session.host, 'other.test');
});

test('hosts whose names do not resolve are temporary', async (t) => {
  const { connect } = await setUp(t, { 'sick.test': { refusal: 'SERVFAIL' }, 'bare.test': { TXT: ['x'] } });
  for (const host of ['sick.test', 'bare.test', 'gone.test']) {
    const { outcome, isSiteDown } = await fail(connect, route(25, [10, host]));
    assert.deepEqual([outcome.disposition, outcome.code, outcome.bounceClass, isSiteDown], ['deferred', 498, 'dns-failure', true], host);
  }
});

test('broken TLS falls back to plaintext at once, and is remembered for some hours', async (t) => {
  for (const tlsTrouble of ['garbage', 'drop', 'hang', 'old'] as const) {
    const sink = await sinkFor(t, { tls: 'starttls', tlsTrouble });
    const saidCount = (said: RegExp): number => sink.commands.filter((line) => said.test(line)).length;
    const starttlsCount = (): number => saidCount(/^STARTTLS$/);
    // Its newest connection is past EHLO, and waits for TLS.
    const isInTls = (): boolean => sink.commands.at(-1) === 'STARTTLS' && saidCount(/^EHLO /) === sink.connectionCount();
    const { connect, clock } = await setUp(t, { 'a.test': { A: ['127.0.0.1'] } }, { timeouts: commandsHang(isInTls) });
    const to = route(sink.port, [10, 'a.test']);
    await open(t, connect, to);
    await open(t, connect, to);
    assert.deepEqual([tlsTrouble, starttlsCount(), sink.connectionCount()], [tlsTrouble, 1, 3]);
    clock.advance(5 * 3_600_000);
    await open(t, connect, to);
    assert.equal(starttlsCount(), 2);
    const { outcome, isDemandUnmet } = await fail(connect, to, 'require');
    assert.deepEqual([outcome.disposition, outcome.bounceClass, isDemandUnmet], ['deferred', 'tls', true]);
  }
});

test('a server that refuses STARTTLS is told as trouble with TLS where the message demands it', async (t) => {
  const sink = await sinkFor(t, { tls: 'starttls', tlsTrouble: 'refuse' });
  const { connect } = await setUp(t, { 'a.test': { A: ['127.0.0.1'] } });
  const { outcome } = await fail(connect, route(sink.port, [10, 'a.test']), 'require');
  assert.deepEqual([outcome.disposition, outcome.code, outcome.bounceClass], ['deferred', 454, 'tls']);
});

test('TLS that is not there is told apart from a site that does not work', async (t) => {
  const sink = await sinkFor(t);
  const { connect } = await setUp(t, { 'a.test': { A: ['127.0.0.1'] } });
  const to = route(sink.port, [10, 'a.test']);
  assert.equal((await fail(connect, to, 'require')).isDemandUnmet, true);
  sink.configure({ at: { greeting: 'drop' } });
  assert.equal((await fail(connect, to, 'require')).isDemandUnmet, undefined);
});

test('the first message on a connection tells what was tried before it was there', async (t) => {
  const sink = await sinkFor(t, { address: '127.0.0.3', tls: 'starttls', tlsTrouble: 'garbage' });
  const { connect } = await setUp(t, { 'dead.test': { A: ['127.0.0.2'] }, 'a.test': { A: ['127.0.0.3'] } });
  const before = async (to: Route): Promise<unknown[]> => {
    const session = await open(t, connect, to);
    const told = [];
    for (let i = 0; i < 2; i++) told.push((await session.deliver(JOB))[0]?.attempt.before);
    return told;
  };
  const [first, second] = await before(route(sink.port, [10, 'dead.test'], [20, 'a.test']));
  assert.match(
    String(first),
    /^dead\.test \[127\.0\.0\.2\]: the connection was refused; a\.test \[127\.0\.0\.3\]: .+; plaintext is used instead$/,
  );
  assert.equal(second, undefined);
  assert.match(String((await before(route(sink.port, [10, 'a.test'])))[0]), /TLS was found broken there lately/);
});

test('a reply injected into STARTTLS is not followed by plaintext', async (t) => {
  const sink = await sinkFor(t, { tls: 'starttls', tlsTrouble: 'inject' });
  const { connect } = await setUp(t, { 'a.test': { A: ['127.0.0.1'] } });
  const { outcome } = await fail(connect, route(sink.port, [10, 'a.test']));
  assert.deepEqual([outcome.disposition, sink.connectionCount()], ['deferred', 1]);
});

test('demands on TLS decide which hosts will do', async (t) => {
  const plain = await sinkFor(t, { address: '127.0.0.2' });
  await sinkFor(t, { address: '127.0.0.3', port: plain.port, tls: 'starttls' });
  const { connect } = await setUp(t, {
    'plain.test': { A: ['127.0.0.2'] },
    'wrong-name.test': { A: ['127.0.0.3'] },
    'mx.test': { A: ['127.0.0.3'] },
  });
  const to = route(plain.port, [10, 'plain.test'], [20, 'wrong-name.test'], [30, 'mx.test']);
  assert.equal((await open(t, connect, to)).host, 'plain.test');
  const required = await open(t, connect, to, 'require');
  assert.deepEqual(
    [required.host, required.satisfies('require'), required.satisfies('require-verified')],
    ['wrong-name.test', true, false],
  );
  const verified = await open(t, connect, to, 'require-verified');
  assert.deepEqual([verified.host, verified.satisfies('require-verified')], ['mx.test', true]);
});

test('a source with an address uses it, and leaves the other family alone', async (t) => {
  const sink = await sinkFor(t);
  const { connect } = await setUp(t, { 'a.test': { A: ['127.0.0.1'] } }, { allow: ['127.0.0.0/8', '::/0'] });
  await open(t, connect, route(sink.port, [10, 'a.test']), 'opportunistic', { ...SOURCE, address: '127.0.0.5' });
  const { outcome } = await fail(connect, route(sink.port, [10, 'a.test']), 'opportunistic', { ...SOURCE, address: '::1' });
  assert.match(outcome.text, /no address of the family/);
  assert.equal(outcome.disposition, 'deferred');
});

test('an abort ends the walk', async (t) => {
  const sink = await sinkFor(t, { at: { greeting: 'hang' } });
  const { connect } = await setUp(t, { 'a.test': { A: ['127.0.0.1', '127.0.0.2'] } });
  const control = new AbortController();
  const walking = connect(route(sink.port, [10, 'a.test']), SOURCE, 'opportunistic', control.signal);
  setImmediate(() => control.abort());
  const result = await walking;
  assert.deepEqual([result.kind, result.kind === 'failed' && result.isSiteDown], ['failed', false]);
});

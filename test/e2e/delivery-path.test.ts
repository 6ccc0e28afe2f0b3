/** From a recipient domain to the server that takes its mail: DNS, route, connection, transaction, outcome, all over real sockets. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { systemClock } from '#base/clock.ts';
import { silentLog } from '#base/log.ts';
import { createAddressGuard } from '#base/address-guard.ts';
import { createConnect } from '#delivery/attempt.ts';
import { createFindRoute } from '#delivery/route.ts';
import type { SmartHostRule } from '#delivery/route.ts';
import { createResolver } from '#dns/resolver.ts';
import type { Outcome } from '#model/outcome.ts';
import { startDnsZone } from '../kit/dns-zone.ts';
import type { ZoneNode } from '../kit/dns-zone.ts';
import { startSink } from '../kit/sink.ts';
import type { Sink, SinkOptions } from '../kit/sink.ts';

interface Setup {
  readonly allow?: readonly string[];
  readonly routes?: readonly SmartHostRule[];
  /** Of one command. Long unless a server hangs: who answers is this process itself, which may stand still. */
  readonly commandMs?: number;
}

const PATIENT_MS = 30_000;

const BYTES = Buffer.from('Subject: x\r\n\r\nhello\r\n');
const SOURCE = { name: 'out', ehlo: 'us.test', pool: 'default' };
const { signal } = new AbortController();

async function sinkAt(t: TestContext, address: string, port: number, options: SinkOptions = {}): Promise<Sink> {
  const sink = await startSink({ ...options, address, port });
  t.after(() => sink.close());
  return sink;
}

async function sender(
  t: TestContext,
  zone: Record<string, ZoneNode>,
  port: number,
  setup: Setup = {},
): Promise<(to: string) => Promise<Outcome>> {
  const dns = await startDnsZone(zone);
  const resolver = createResolver({ servers: [dns.server], timeoutMs: PATIENT_MS, tries: 1, cacheMax: 100, clock: systemClock });
  t.after(async () => {
    resolver.close();
    await dns.close();
  });
  const find = createFindRoute({
    resolver,
    routes: setup.routes ?? [],
    port,
    ownNames: ['us.test'],
    allowLiterals: true,
    clock: systemClock,
  });
  const guard = createAddressGuard({ allowNetworks: setup.allow ?? ['127.0.0.0/8'], ownListeners: [] });
  const { commandMs = PATIENT_MS } = setup;
  const timeouts = { connectMs: PATIENT_MS, greetingMs: PATIENT_MS, commandMs, dataMs: PATIENT_MS, dotMs: PATIENT_MS };
  const connect = createConnect({ resolver, guard, timeouts, clock: systemClock, log: silentLog });
  return async (to) => {
    const found = await find(to.slice(to.lastIndexOf('@') + 1), signal);
    if (found.kind === 'failed') return found.outcome;
    const opened = await connect(found.route, SOURCE, 'opportunistic', signal);
    if (opened.kind === 'failed') return opened.outcome;
    const compose = async () => ({ chunks: [BYTES], sizeBytes: BYTES.length, body: '7BIT', smtputf8: false }) as const;
    const [outcome] = await opened.session.deliver({ sender: 'a@us.test', recipients: [{ address: to }], tls: 'opportunistic', compose });
    await opened.session.close();
    assert.ok(outcome !== undefined);
    return outcome;
  };
}

test('mail goes to the best MX that takes it, by IPv4 or IPv6, through CNAMEs, or to the domain itself', async (t) => {
  const second = await sinkAt(t, '127.0.0.3', 0, { chunking: true, tls: 'starttls' });
  const first = await sinkAt(t, '127.0.0.2', second.port, { at: { greeting: '421 4.3.2 Busy' } });
  const six = await sinkAt(t, '::1', second.port).catch(() => undefined); // a machine without IPv6
  const zone: Record<string, ZoneNode> = {
    'mx.test': {
      MX: [
        [10, 'busy.mx.test'],
        [20, 'good.mx.test'],
      ],
    },
    'busy.mx.test': { A: ['127.0.0.2'] },
    'good.mx.test': { CNAME: 'real.mx.test' },
    'real.mx.test': { A: ['127.0.0.3'] },
    'six.test': { MX: [[10, 'six.mx.test']] },
    'six.mx.test': { AAAA: ['::1'] },
    'alone.test': { A: ['127.0.0.3'] },
    'alias.test': { CNAME: 'mx.test' },
  };
  const send = await sender(t, zone, second.port, { allow: ['127.0.0.0/8', '::1/128'] });
  for (const to of ['a@mx.test', 'b@alone.test', 'c@alias.test', 'd@[127.0.0.3]', ...(six === undefined ? [] : ['e@six.test'])]) {
    const outcome = await send(to);
    assert.deepEqual([to, outcome.disposition], [to, 'delivered']);
  }
  assert.equal(first.connectionCount(), 2);
  assert.deepEqual(
    second.transactions.map(({ recipients }) => recipients[0]?.address),
    ['a@mx.test', 'b@alone.test', 'c@alias.test', 'd@[127.0.0.3]'],
  );
  assert.ok(second.transactions.every(({ tls, via }) => tls && via === 'BDAT'));
  if (six !== undefined) assert.equal(six.transactions[0]?.bytes.toString(), BYTES.toString());
  assert.deepEqual([...first.violations, ...second.violations, ...(six?.violations ?? [])], []);
});

test('whoever controls a zone cannot lead mail into networks that are not public', async (t) => {
  const sink = await sinkAt(t, '127.0.0.1', 0);
  const inside = ['127.0.0.1', '10.0.0.1', '169.254.169.254', '0.0.0.0'];
  const zone: Record<string, ZoneNode> = { 'six.test': { AAAA: ['::1', '::ffff:127.0.0.1', 'fd00::1'] } };
  inside.forEach((address, i) => {
    zone[`d${i}.test`] = { MX: [[10, `mx.d${i}.test`]] };
    zone[`mx.d${i}.test`] = { A: [address] };
  });
  const send = await sender(t, zone, sink.port, { allow: [] });
  for (const domain of [...inside.map((_, i) => `d${i}.test`), 'six.test', '[127.0.0.1]', '[IPv6:::1]']) {
    const outcome = await send(`a@${domain}`);
    assert.deepEqual([domain, outcome.disposition, outcome.enhanced], [domain, 'failed', '5.4.4']);
  }
  assert.equal(sink.connectionCount(), 0);
});

test('a smart host takes what its rule names, with TLS and a login', async (t) => {
  const login = { username: 'user', password: 'pa55' };
  const smart = await sinkAt(t, '127.0.0.2', 0, { tls: 'implicit', auth: login });
  const routes = [{ match: '*.far.test', host: 'smart.test', port: smart.port, tls: 'implicit', ...login }] as const;
  const send = await sender(t, { 'smart.test': { A: ['127.0.0.2'] } }, 25, { allow: [], routes });
  assert.equal((await send('a@very.far.test')).disposition, 'delivered');
  assert.deepEqual([smart.transactions[0]?.login, smart.transactions[0]?.tls], ['user', true]);
  assert.equal((await send('a@near.test')).enhanced, '5.1.2');
});

test('what the mailbox is told decides the outcome, its class and what follows', async (t) => {
  const sink = await sinkAt(t, '127.0.0.2', 0);
  const zone = { 'x.test': { A: ['127.0.0.2'] } };
  const send = await sender(t, zone, sink.port);
  const sendToHanging = await sender(t, zone, sink.port, { commandMs: 500 });
  const told: Record<string, string> = {};
  for (const mailbox of [
    'good',
    '550',
    '450-slow',
    'reject-552',
    '554-at-dot',
    'drop-after-data',
    'drop-after-dot',
    'hang-at-rcpt',
    'malformed-at-dot',
  ]) {
    const { disposition, bounceClass, suppress, unclear, retryAfterMs } = await (mailbox.startsWith('hang') ? sendToHanging : send)(
      `${mailbox}@x.test`,
    );
    told[mailbox] = [disposition, bounceClass, suppress === true && 'suppress', unclear === true && 'unclear', retryAfterMs]
      .filter(Boolean)
      .join(' ');
  }
  assert.deepEqual(told, {
    good: 'delivered',
    '550': 'failed invalid-recipient suppress',
    '450-slow': 'deferred transient 300000',
    'reject-552': 'failed mailbox-full',
    '554-at-dot': 'failed spam-content',
    'drop-after-data': 'deferred connection unclear',
    'drop-after-dot': 'deferred connection unclear',
    'hang-at-rcpt': 'deferred connection',
    'malformed-at-dot': 'deferred connection unclear',
  });
});

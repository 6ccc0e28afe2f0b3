/** What a delivery session makes of the ends of a transaction: outcomes, with what the timeline needs to explain them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { createAddressGuard } from '#base/address-guard.ts';
import { systemClock } from '#base/clock.ts';
import { silentLog } from '#base/log.ts';
import type { Composed, DeliveryJob, DeliverySession } from '#model/delivery.ts';
import type { Outcome } from '#model/outcome.ts';
import { startSink } from '../../test/kit/sink.ts';
import type { Sink, SinkOptions } from '../../test/kit/sink.ts';
import { createConnect } from './attempt.ts';

const { signal } = new AbortController();
const connect = createConnect({
  resolver: { addresses: async () => ({ kind: 'none' }) },
  guard: createAddressGuard({ allowNetworks: ['127.0.0.0/8'], ownListeners: [], localAddresses: [] }),
  timeouts: { connectMs: 60_000, greetingMs: 60_000, commandMs: 60_000, dataMs: 60_000, dotMs: 60_000 },
  clock: systemClock,
  log: silentLog,
});
const BYTES = Buffer.from('Subject: x\r\n\r\nhello\r\n');
const COMPOSED: Composed = { chunks: [BYTES], sizeBytes: BYTES.length, body: '7BIT', smtputf8: false };

async function setUp(t: TestContext, options: SinkOptions = {}): Promise<{ sink: Sink; session: DeliverySession }> {
  const sink = await startSink(options);
  const route = { site: 'site.test', hosts: [{ host: '127.0.0.1', preference: 0 }], port: sink.port };
  const result = await connect(route, { name: 'out', ehlo: 'us.test', pool: 'default' }, 'opportunistic', signal);
  if (result.kind === 'failed') assert.fail(result.outcome.text);
  t.after(async () => {
    await result.session.close();
    await sink.close();
  });
  return { sink, session: result.session };
}

function job(recipients: readonly string[], compose: DeliveryJob['compose'] = async () => COMPOSED): DeliveryJob {
  return { sender: 'a@us.test', recipients: recipients.map((address) => ({ address })), tls: 'opportunistic', compose };
}

function brief({ disposition, code, enhanced, bounceClass }: Outcome): string {
  return [disposition, code, enhanced, bounceClass].join(' ');
}

test('a delivery is told with its reply, its steps and its connection, and without the dialogue', async (t) => {
  const { session } = await setUp(t, { tls: 'starttls' });
  const [first] = await session.deliver(job(['a@x.test']));
  assert.equal(first?.disposition, 'delivered');
  assert.equal(first.text, 'Ok: queued as SINK');
  assert.deepEqual(Object.keys(first.attempt.steps).sort(), ['connect', 'data', 'dot', 'ehlo', 'greeting', 'mail', 'rcpt', 'tls']);
  assert.deepEqual(
    [first.attempt.site, first.attempt.address, first.attempt.source, first.attempt.ehlo],
    ['site.test', '127.0.0.1', 'out', 'us.test'],
  );
  assert.deepEqual([first.attempt.connectionUse, first.attempt.tls?.verified, first.attempt.dialogue], [1, false, undefined]);
  const [second] = await session.deliver(job(['b@x.test']));
  assert.deepEqual(Object.keys(second?.attempt.steps ?? {}).sort(), ['data', 'dot', 'mail', 'rcpt']);
  assert.deepEqual([second?.attempt.connectionUse, session.uses], [2, 2]);
});

test('a server that takes over NOTIFY is said to, so that we do not report besides it', async (t) => {
  const asking: DeliveryJob = { ...job([]), recipients: [{ address: 'a@x.test', notify: ['SUCCESS'] }, { address: 'b@x.test' }] };
  const { session } = await setUp(t, { dsn: true });
  assert.deepEqual(
    (await session.deliver(asking)).map(({ attempt }) => attempt.dsnHandedOn),
    [true, undefined],
  );
  const { session: other } = await setUp(t, { dsn: false });
  assert.equal((await other.deliver(asking))[0]?.attempt.dsnHandedOn, undefined);
});

test('recipients of one transaction have their own outcomes, and those not delivered the dialogue', async (t) => {
  const { session } = await setUp(t);
  const outcomes = await session.deliver(job(['a@x.test', '550-b@x.test', '450-c@x.test', 'd\0@x.test']));
  assert.deepEqual(outcomes.map(brief), [
    'delivered 250 2.0.0 ',
    'failed 550 5.1.1 invalid-recipient',
    'deferred 450 4.2.0 transient',
    'failed 553 5.1.3 invalid-recipient',
  ]);
  assert.equal(outcomes[1]?.suppress, true);
  assert.equal(outcomes[2]?.retryAfterMs, 300_000);
  assert.ok(outcomes[1]?.attempt.dialogue?.includes('C: RCPT TO:<550-b@x.test>'));
  assert.equal(outcomes[0]?.attempt.dialogue, undefined);
});

test('a message that no such server can take is refused for good', async (t) => {
  const { session, sink } = await setUp(t, { sizeMax: 10 });
  const [refused] = await session.deliver(job(['a@x.test'], async () => ({ refused: 'the address needs SMTPUTF8' })));
  assert.equal(brief(refused as Outcome), 'failed 550 5.6.7 content');
  const [tooLarge] = await session.deliver(job(['a@x.test']));
  assert.equal(brief(tooLarge as Outcome), 'failed 552 5.3.4 too-large');
  assert.ok(!sink.commands.some((line) => line.startsWith('MAIL')));
});

test('an address that needs SMTPUTF8 is refused where it is not offered', async (t) => {
  const { session } = await setUp(t);
  const [outcome] = await session.deliver(job(['ü@x.test'], async () => ({ ...COMPOSED, smtputf8: true })));
  assert.equal(brief(outcome as Outcome), 'failed 553 5.6.7 invalid-recipient');
});

test('a bug of ours defers every recipient, tells no inner detail, and gives the connection up', async (t) => {
  const { session } = await setUp(t);
  const failing = job(['a@x.test', 'b@x.test'], () => Promise.reject(new Error('secret inner detail')));
  const outcomes = await session.deliver(failing);
  assert.deepEqual(outcomes.map(brief), ['deferred 451 4.3.0 transient', 'deferred 451 4.3.0 transient']);
  assert.doesNotMatch(JSON.stringify(outcomes), /secret/);
  assert.equal(session.isUsable, false);
});

test('the capabilities that the bytes depend on are those of the server', async (t) => {
  const { session } = await setUp(t, { eightBitMime: false, smtputf8: true });
  const seen: unknown[] = [];
  const looking = job(['a@x.test'], async ({ eightBitMime, smtputf8, binaryMime }) => {
    seen.push(eightBitMime, smtputf8, binaryMime);
    return COMPOSED;
  });
  await session.deliver(looking);
  assert.deepEqual(seen, [false, true, false]);
});

test('an end after the final dot is deferred and unclear; on a connection that was gone before, stale and clear', async (t) => {
  const { session } = await setUp(t);
  const [cut] = await session.deliver(job(['drop-after-dot@x.test']));
  assert.deepEqual([brief(cut as Outcome), cut?.unclear, cut?.stale], ['deferred 499 4.4.2 connection', true, undefined]);
  assert.match(cut?.attempt.trouble ?? '', /closed by the remote/);
  const [gone] = await session.deliver(job(['b@x.test'], () => assert.fail('composed for a connection that is gone')));
  assert.deepEqual([gone?.disposition, gone?.unclear, gone?.stale], ['deferred', undefined, true]);
});

test('what a server says cannot be more than text', async (t) => {
  const { session } = await setUp(t);
  const [outcome] = await session.deliver(job(['eight-bit-at-rcpt@x.test']));
  assert.equal(outcome?.text, 'caf\ufffd ?[31mred?[0m? ?<script>alert(1)</script>');
  assert.doesNotMatch(JSON.stringify(outcome), /\\u001b|\\u0000|\u202e/);
});

test('a message that demands TLS never leaves on a connection without it', async (t) => {
  const { session, sink } = await setUp(t);
  const [outcome] = await session.deliver({ ...job(['a@x.test']), tls: 'require' });
  assert.equal(brief(outcome as Outcome), 'deferred 499 4.7.5 tls');
  assert.equal(sink.transactions.length, 0);
  const [next] = await session.deliver(job(['b@x.test']));
  assert.equal(next?.disposition, 'delivered');
});

test('a server that drops a new connection at MAIL was tried: only a kept connection can be stale', async (t) => {
  const dropping = await setUp(t, { at: { mail: 'drop' } });
  const [fresh] = await dropping.session.deliver(job(['a@x.test']));
  assert.deepEqual([fresh?.disposition, fresh?.stale], ['deferred', undefined]);
  const { session } = await setUp(t);
  await session.deliver(job(['a@x.test']));
  const [kept] = await session.deliver({ ...job(['b@x.test']), sender: 'drop-at-mail@us.test' });
  assert.deepEqual([kept?.disposition, kept?.stale], ['deferred', true]);
});

test('what is not this node’s own any more when its bytes are ready is withdrawn: nothing is sent, and the connection stays', async (t) => {
  const { sink, session } = await setUp(t);
  let isOwn = true;
  const composed = async (): Promise<Composed> => {
    isOwn = false;
    return COMPOSED;
  };
  const before = sink.commands.length;
  const outcomes = await session.deliver({ ...job(['a@x.test', 'b@x.test'], composed), mayBegin: () => isOwn });
  assert.deepEqual(
    outcomes.map(({ disposition, withdrawn }) => [disposition, withdrawn]),
    [
      ['deferred', true],
      ['deferred', true],
    ],
  );
  assert.equal(sink.commands.length, before);
  const [next] = await session.deliver({ ...job(['c@x.test']), mayBegin: () => true });
  assert.deepEqual([next?.disposition, next?.withdrawn], ['delivered', undefined]);
});
